/* extract: a tree stream becomes files and folders below one directory fd. See extract.h. */
#include "channel/extract.h"

#include "base/file.h"
#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

/* ---- the stream ------------------------------------------------------------------------------ */

/* Reads more of the spool behind what is unread; *ret_eof when there is no more. */
static int refill(struct extract *x, bool *ret_eof, struct err *e)
{
    ssize_t n = file_refill(x->spool_fd, &x->offset, x->buf, sizeof(x->buf), &x->start, &x->end);

    if (n < 0)
        return err_sys(e, ERR_HOST, errno, "cannot read the output tree's spool");
    *ret_eof = n == 0;
    return 0;
}

static int next_entry(struct extract *x, struct err *e)
{
    for (;;) {
        long used = tree_entry_parse(x->buf + x->start, x->end - x->start, &x->entry);
        bool eof;

        if (used < 0)
            return err_set(e, ERR_PROTOCOL, "the output tree has an entry that is not one");
        if (used > 0) {
            x->start += (size_t)used;
            return 0;
        }
        if (refill(x, &eof, e) < 0)
            return -1;
        if (eof)
            return err_set(e, ERR_PROTOCOL, "the output tree ends before its end");
    }
}

static int write_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Where content goes: into a file, into the sealed archive, or nowhere. */
enum to { TO_FILE, TO_SEALED, TO_NOWHERE };

static int put(struct extract *x, enum to to, int fd, const uint8_t *data, size_t len)
{
    if (to == TO_FILE && x->made && digest_add(x->digest, data, len, &(struct err){0}) < 0) {
        errno = EIO;
        return -1;
    }
    if (to == TO_FILE)
        return write_all(fd, data, len);
    return to == TO_SEALED ? sealed_out_put(x->sealed, data, len) : 0;
}

/* Takes the content of the current entry from the stream; `fd` is for TO_FILE. */
static int take_content(struct extract *x, enum to to, int fd, struct err *e)
{
    uint64_t left = x->entry.size;

    while (left > 0) {
        size_t have = x->end - x->start;
        bool eof;

        if (have == 0) {
            if (refill(x, &eof, e) < 0)
                return -1;
            if (eof)
                return err_set(e, ERR_PROTOCOL, "the output tree ends within a file");
            continue;
        }
        if (have > left)
            have = (size_t)left;
        if (put(x, to, fd, x->buf + x->start, have) < 0)
            return err_sys(e, ERR_HOST, errno, "cannot write the output folder");
        x->start += have;
        left -= have;
    }
    return 0;
}

/* ---- names ----------------------------------------------------------------------------------- */

static void refuse(struct extract *x, enum tree_why why, bool by_guest)
{
    x->n_refused++;
    x->refused(x, why, by_guest, x->entry.name, x->entry.name_len);
}

static void close_parent(struct extract *x)
{
    if (x->parent_fd >= 0)
        close(x->parent_fd);
    x->parent_fd = -1;
}

/*
 * Opens the folder `path` (may be ""), step by step and without following anything. Keeps it open,
 * because what comes next is mostly in the same one. 0, or -1 and errno.
 */
static int open_parent(struct extract *x, const char *path)
{
    own_close int fd = -1;

    if (x->parent_fd >= 0 && strcmp(path, x->parent) == 0)
        return 0;
    close_parent(x);
    fd = openat(x->dir_fd, ".", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    for (const char *p = path; *p && fd >= 0;) {
        char part[TREE_PART_MAX + 1];
        size_t len = strcspn(p, "/");
        int next;

        memcpy(part, p, len); /* tree_name_check() bounded it */
        part[len] = '\0';
        next = openat(fd, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        close(fd);
        fd = next;
        p += len + (p[len] == '/');
    }
    if (fd < 0)
        return -1;
    x->parent_fd = own_steal_fd(fd);
    memcpy(x->parent, path, strlen(path) + 1);
    return 0;
}

/* True if a component is the name that we need for ourselves. */
static bool has_part_name(const char *name)
{
    size_t len = strlen(EXTRACT_PART);

    for (const char *p = name; (p = strstr(p, EXTRACT_PART)); p++)
        if ((p == name || p[-1] == '/') && (p[len] == '\0' || p[len] == '/'))
            return true;
    return false;
}

/*
 * Finds where the entry goes: parent_fd is open and *ret_leaf is the name in it. *ret_why is why it
 * cannot be made, if so. Fails if the stream is not legal or the host cannot.
 */
static int find_place(struct extract *x, const char **ret_leaf, enum tree_why *ret_why,
                      struct err *e)
{
    char path[TREE_NAME_MAX + 1];
    const char *slash;
    size_t len;

    *ret_why = tree_name_check(x->entry.name, x->entry.name_len);
    if (*ret_why == TREE_WHY_NONE && has_part_name(x->entry.name))
        *ret_why = TREE_WHY_NAME;
    if (*ret_why != TREE_WHY_NONE || x->sealed)
        return 0;
    slash = strrchr(x->entry.name, '/');
    len = slash ? (size_t)(slash - x->entry.name) : 0;
    memcpy(path, x->entry.name, len);
    path[len] = '\0';
    *ret_leaf = slash ? slash + 1 : x->entry.name;
    if (open_parent(x, path) == 0)
        return 0;
    if (errno == ENOENT)
        return err_set(e, ERR_PROTOCOL, "the output tree has an entry before its folder");
    if (errno != ENOTDIR && errno != ELOOP)
        return err_sys(e, ERR_HOST, errno, "cannot open a folder of the output");
    *ret_why = TREE_WHY_EXISTS; /* something else has the folder's name */
    return 0;
}

/* ---- entries --------------------------------------------------------------------------------- */

static int make_folder(struct extract *x, const char *leaf, enum tree_why *ret_why, struct err *e)
{
    /* We ourselves must be able to fill it. */
    if (mkdirat(x->parent_fd, leaf, (x->entry.mode & 0755) | 0700) == 0) {
        x->folders++;
        return 0;
    }
    if (errno != EEXIST)
        return err_sys(e, ERR_HOST, errno, "cannot make a folder of the output");
    *ret_why = TREE_WHY_EXISTS;
    return 0;
}

int extract_give_name(int dir_fd, const char *leaf)
{
    if (renameat2(dir_fd, EXTRACT_PART, dir_fd, leaf, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL) /* file systems without NOREPLACE, as NFS */
        return -1;
    if (linkat(dir_fd, EXTRACT_PART, dir_fd, leaf, 0) < 0)
        return -1;
    unlinkat(dir_fd, EXTRACT_PART, 0);
    return 0;
}

static int make_file(struct extract *x, const char *leaf, enum tree_why *ret_why, struct err *e)
{
    own_close int fd =
        openat(x->parent_fd, EXTRACT_PART, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
               (x->entry.mode & 0755) | 0600);
    char sha256[DIGEST_HEX_SIZE];

    if (fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot make a file of the output");
    if ((x->made && digest_restart(x->digest, e) < 0) || take_content(x, TO_FILE, fd, e) < 0 ||
        (x->made && digest_finish(x->digest, sha256, e) < 0)) {
        unlinkat(x->parent_fd, EXTRACT_PART, 0);
        return -1;
    }
    if (extract_give_name(x->parent_fd, leaf) == 0) {
        x->files++;
        x->bytes += x->entry.size;
        if (x->made)
            x->made(x, sha256);
        return 0;
    }
    if (errno != EEXIST)
        err_sys(e, ERR_HOST, errno, "cannot name a file of the output");
    else
        *ret_why = TREE_WHY_EXISTS;
    unlinkat(x->parent_fd, EXTRACT_PART, 0);
    return *ret_why == TREE_WHY_EXISTS ? 0 : -1;
}

/* A file or folder of the archive. */
static int seal_entry(struct extract *x, struct err *e)
{
    if (sealed_out_entry(x->sealed, &x->entry) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot write the sealed output");
    if (take_content(x, TO_SEALED, -1, e) < 0)
        return -1;
    if (sealed_out_pad(x->sealed, x->entry.size) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot write the sealed output");
    if (x->entry.kind == TREE_DIR)
        x->folders++;
    else
        x->files++;
    x->bytes += x->entry.size;
    return 0;
}

static int make_entry(struct extract *x, struct err *e)
{
    enum tree_why why = TREE_WHY_NONE;
    const char *leaf = NULL;

    if (x->entry.kind == TREE_SKIPPED) {
        refuse(x, (enum tree_why)x->entry.why, true);
        return 0;
    }
    if (x->entry.size > x->max_bytes - x->content_bytes)
        return err_set(e, ERR_LIMIT, "the output is larger than %" PRIu64 " bytes", x->max_bytes);
    x->content_bytes += x->entry.size;
    if (find_place(x, &leaf, &why, e) < 0)
        return -1;
    if (why != TREE_WHY_NONE) {
        if (take_content(x, TO_NOWHERE, -1, e) < 0)
            return -1;
    } else if (x->sealed) {
        if (seal_entry(x, e) < 0)
            return -1;
    } else if (x->entry.kind == TREE_DIR) {
        if (make_folder(x, leaf, &why, e) < 0)
            return -1;
    } else if (make_file(x, leaf, &why, e) < 0) {
        return -1;
    }
    if (why != TREE_WHY_NONE)
        refuse(x, why, false);
    return 0;
}

int extract_run(struct extract *x, struct err *e)
{
    bool eof;

    for (uint32_t n = 0;; n++) {
        if (next_entry(x, e) < 0)
            goto fail;
        if (x->entry.kind == TREE_END)
            break;
        if (n == TREE_ENTRIES_MAX) {
            err_set(e, ERR_PROTOCOL, "the output tree has more than %u entries", TREE_ENTRIES_MAX);
            goto fail;
        }
        if (make_entry(x, e) < 0)
            goto fail;
    }
    close_parent(x);
    if (x->start == x->end && refill(x, &eof, e) < 0)
        return -1;
    if (x->start != x->end)
        return err_set(e, ERR_PROTOCOL, "the output tree goes on after its end");
    return 0;
fail:
    close_parent(x);
    return -1;
}
