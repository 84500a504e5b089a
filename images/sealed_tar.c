/* sealed_tar: tar archives that are sealed to a key. See sealed_tar.h. */
#include "images/sealed_tar.h"

#include "base/file.h"
#include "base/own.h"
#include "images/pack.h"
#include "images/reader.h"
#include "images/tar.h"
#include "images/tool.h"
#include "seal/age.h"
#include "shared/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define TIMEOUT_S   7200
#define TOOL_MEMORY "16M"
#define ROOM_MIN    1048576u /* bytes; with less left a failure was for want of room */

/* What the child has. */
struct job {
    int sealed_fd;
    int plain_fd; /* -1: what is opened goes to out_fd and is not looked at */
    int out_fd;
    const struct seal_identity *id;
    uint64_t max_bytes; /* of what is sealed */
    bool to_tree;
    uid_t uid;
    gid_t gid;
    struct str header;
};

/* ---- in the child ---------------------------------------------------------------------------- */

static int put(int fd, const void *data, size_t len, struct err *e)
{
    return file_write_all(fd, data, len) < 0
               ? err_sys(e, ERR_HOST, errno, "cannot write what was sealed")
               : 0;
}

/* All of what is sealed, to its end. */
static int open_all(const struct job *j, uint64_t *ret_bytes, struct err *e)
{
    static struct seal_reader r;
    const unsigned char *data;
    int to = j->plain_fd >= 0 ? j->plain_fd : j->out_fd;
    size_t n;

    if (seal_open(&r, j->sealed_fd, j->id, e) < 0)
        return -1;
    for (*ret_bytes = 0;; *ret_bytes += n) {
        if (seal_next(&r, &data, &n, e) < 0)
            return -1;
        if (n == 0)
            break;
        if (n > j->max_bytes - *ret_bytes)
            return err_set(e, ERR_IMAGE,
                           "the archive is over %" PRIu64 " bytes (raise it with --in-max)",
                           j->max_bytes);
        if (put(to, data, n, e) < 0)
            return -1;
    }
    seal_close(&r);
    return 0;
}

static int copy_content(const struct job *j, const struct tar_entry *en, struct err *e)
{
    char buf[16384];

    for (uint64_t at = 0; at < en->size;) {
        size_t n = en->size - at < sizeof(buf) ? (size_t)(en->size - at) : sizeof(buf);
        ssize_t got = pread(j->plain_fd, buf, n, (off_t)(en->offset + at));

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) /* tar_next() has looked how long the file is */
            return err_sys(e, ERR_HOST, got < 0 ? errno : EIO, "cannot read the archive");
        if (put(j->out_fd, buf, (size_t)got, e) < 0)
            return -1;
        at += (uint64_t)got;
    }
    return 0;
}

/* "./a/b/" is "a/b", and "./" is "". */
static void clean_path(struct str *path)
{
    size_t skip = 0;

    while (path->data[skip] == '.' && path->data[skip + 1] == '/')
        for (skip += 2; path->data[skip] == '/';)
            skip++;
    if (strcmp(path->data + skip, ".") == 0)
        skip++;
    memmove(path->data, path->data + skip, path->len - skip + 1);
    path->len -= skip;
    while (path->len > 0 && path->data[path->len - 1] == '/')
        path->data[--path->len] = '\0';
}

/* The bytes as they are: they are escaped on the other side of the pipe. */
static int refuse(const struct tar_entry *en, const char *why, struct err *e)
{
    return err_set(e, ERR_IMAGE, "'%.256s': %s", en->path.data, why);
}

static int add_to_tree(struct job *j, const struct tar_entry *en, struct err *e)
{
    uint8_t raw[TREE_HEADER_SIZE + TREE_NAME_MAX];
    struct tree_entry t = {.kind = TREE_SKIPPED, .name_len = en->path.len};

    if (en->path.len > TREE_NAME_MAX)
        return refuse(en, "the name is too long", e);
    memcpy(t.name, en->path.data, en->path.len);
    if (en->type == TAR_FILE || en->type == TAR_DIR) {
        t.kind = en->type == TAR_DIR ? TREE_DIR : TREE_FILE;
        t.mode = en->mode & 0777;
        t.size = en->size;
    } else {
        t.why = en->type == TAR_DEVICE || en->type == TAR_FIFO ? TREE_WHY_SPECIAL : TREE_WHY_LINK;
    }
    if (put(j->out_fd, raw, tree_entry_format(raw, &t), e) < 0)
        return -1;
    return t.kind == TREE_FILE ? copy_content(j, en, e) : 0;
}

static unsigned depth_of(const char *path)
{
    unsigned n = 0;

    for (; (path = strchr(path, '/')); path++)
        n++;
    return n;
}

static int add_to_disk(struct job *j, struct tar_entry *en, struct err *e)
{
    static const char zeros[TAR_BLOCK];

    if (tree_name_check(en->path.data, en->path.len) != TREE_WHY_NONE)
        return refuse(en, "is not a plain UTF-8 name below the folder, or too deep", e);
    if (en->type == TAR_HARDLINK)
        return refuse(en, "is a hard link (make the archive with tar --hard-dereference)", e);
    if (en->type == TAR_DEVICE || en->type == TAR_FIFO)
        return refuse(en, "is a device or pipe; only files, folders and links can go in", e);
    if (en->type == TAR_SYMLINK && !pack_link_stays(depth_of(en->path.data), en->link.data))
        return refuse(en, PACK_LINK_LEAVES, e);
    en->uid = j->uid;
    en->gid = j->gid;
    en->mode &= 0777;
    en->xattrs.len = 0;
    j->header.len = 0;
    tar_format(&j->header, en);
    if (put(j->out_fd, j->header.data, j->header.len, e) < 0)
        return -1;
    if (en->type != TAR_FILE)
        return 0;
    return copy_content(j, en, e) < 0 ? -1 : put(j->out_fd, zeros, tar_padding(en->size), e);
}

static int add_end(const struct job *j, struct err *e)
{
    static const char zeros[2 * TAR_BLOCK];
    uint8_t raw[TREE_HEADER_SIZE + TREE_NAME_MAX];
    const struct tree_entry end = {.kind = TREE_END};

    if (j->to_tree)
        return put(j->out_fd, raw, tree_entry_format(raw, &end), e);
    return put(j->out_fd, zeros, sizeof(zeros), e);
}

static int walk(struct job *j, uint64_t bytes, struct err *e)
{
    own_tar_reader struct tar_reader t = {0};
    own_tar_entry struct tar_entry en = {0};
    bool more = true;

    tar_reader_init(&t, j->plain_fd, bytes);
    for (uint32_t n = 0;; n++) {
        if (tar_next(&t, &en, &more, e) < 0)
            return -1;
        if (!more)
            return add_end(j, e);
        if (n == TREE_ENTRIES_MAX)
            return err_set(e, ERR_IMAGE, "more than %u entries", TREE_ENTRIES_MAX);
        clean_path(&en.path);
        if (en.path.len == 0 && en.type == TAR_DIR)
            continue; /* the folder itself */
        if (en.path.len == 0)
            return err_set(e, ERR_IMAGE, "it has something without a name");
        if ((j->to_tree ? add_to_tree(j, &en, e) : add_to_disk(j, &en, e)) < 0)
            return -1;
    }
}

static void child(void *arg, int to_fd)
{
    struct job *j = arg;
    uint64_t bytes;
    struct err e;
    int rc = open_all(j, &bytes, &e);

    if (rc == 0 && j->plain_fd >= 0)
        rc = walk(j, bytes, &e);
    reader_put_err(to_fd, rc < 0 ? &e : NULL);
}

/* ---- the caller's side ----------------------------------------------------------------------- */

/* The child's own word; what is wrong with the file is the user's business. */
static int take_verdict(struct reader *r, struct err *e)
{
    if (reader_take_err(r, e) == 0)
        return 0;
    if (e->class == ERR_IMAGE)
        e->class = ERR_USAGE;
    return -1;
}

static int run(struct job *j, struct err *e)
{
    own_reader_child struct reader r = {.fd = -1};
    int fds[3] = {j->sealed_fd, j->out_fd, j->plain_fd};

    if (reader_start(&r, child, j, fds, j->plain_fd >= 0 ? 3 : 2, UINT64_MAX, e) < 0)
        return -1;
    return take_verdict(&r, e);
}

int sealed_to_fd(int sealed_fd, const struct seal_identity *id, int to_fd, struct err *e)
{
    struct job j = {
        .sealed_fd = sealed_fd, .plain_fd = -1, .out_fd = to_fd, .id = id, .max_bytes = UINT64_MAX};

    return run(&j, e);
}

int sealed_tar_to_tree(int sealed_fd, const struct seal_identity *id, int plain_fd, int tree_fd,
                       struct err *e)
{
    struct job j = {.sealed_fd = sealed_fd,
                    .plain_fd = plain_fd,
                    .out_fd = tree_fd,
                    .id = id,
                    .max_bytes = UINT64_MAX,
                    .to_tree = true};

    return run(&j, e);
}

static int squash(int tar_fd, const char *path, struct err *e)
{
    const char *const argv[] = {
        "sqfstar",        "-comp",        "lz4",    "-root-mode", "0755", "-mem", TOOL_MEMORY,
        "-exit-on-error", "-no-progress", "-quiet", "-force",     path,   NULL};
    const struct tool t = {.argv = argv,
                           .package = "squashfs-tools",
                           .in = tar_fd,
                           .out = SPAWN_NULL,
                           .timeout_s = TIMEOUT_S};

    return tool_run(&t, e);
}

/* The child writes into a pipe what sqfstar reads from it. What the child has to say comes first:
 * without it the tool has seen half an archive. */
static int pack(struct job *j, const char *path, struct err *e)
{
    own_reader_child struct reader r = {.fd = -1};
    own_close int tar = -1, theirs = -1;
    struct err verdict;
    int ends[2], squashed, rc;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(e, ERR_HOST, errno, "pipe");
    tar = ends[0];
    theirs = ends[1];
    j->out_fd = theirs;
    const int fds[] = {j->sealed_fd, j->plain_fd, j->out_fd};
    if (reader_start(&r, child, j, fds, 3, j->max_bytes, e) < 0)
        return -1;
    close(own_steal_fd(theirs));
    squashed = squash(tar, path, e);
    close(own_steal_fd(tar));
    rc = take_verdict(&r, &verdict);
    if (rc < 0 && (squashed == 0 || verdict.class != ERR_HOST))
        *e = verdict;
    return rc < 0 || squashed < 0 ? -1 : 0;
}

int sealed_tar_pack(int sealed_fd, const struct seal_identity *id, uint64_t max_bytes,
                    const char *path, uid_t uid, gid_t gid, struct err *e)
{
    own_close int plain = memfd_create("input", MFD_CLOEXEC);
    own_close int fd = -1;
    struct job j = {.sealed_fd = sealed_fd,
                    .plain_fd = plain,
                    .id = id,
                    .max_bytes = max_bytes,
                    .uid = uid,
                    .gid = gid};

    if (plain < 0)
        return err_sys(e, ERR_HOST, errno, "cannot make a file in memory");
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot make the input disk '%s'", path);
    if (pack(&j, path, e) == 0)
        return 0;
    if (e->class == ERR_HOST && file_is_full(fd, ROOM_MIN))
        err_set(e, ERR_HOST, "no space for the input disk '%s' (make room there)", path);
    unlink(path);
    return -1;
}
