/* copy_tar: the tree that a copy is, from a tar and to one. See copy_tar.h. UNTRUSTED input. */
#include "run/copy_tar.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/own.h"
#include "images/reader.h"
#include "images/tar.h"
#include "shared/tree.h"

#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <string.h>
#include <sys/stat.h>

/* What the reader says of an entry that it left out; one without a reason ends them. */
struct left_out {
    uint32_t why;              /* enum tree_why */
    uint32_t any;              /* at their end: something was not left out */
    struct copy_tar_made made; /* the same, of a tar */
    char name[256];
};

static void say_left_out(int to_fd, enum tree_why why, const char *name, size_t len)
{
    struct left_out l = {.why = why};

    str_escape(l.name, sizeof(l.name), name, len);
    file_write_all(to_fd, &l, sizeof(l)); /* nobody to tell if it fails */
}

static void say_end(int to_fd, bool any, const struct copy_tar_made *made, const struct err *e)
{
    struct left_out end = {.why = TREE_WHY_NONE, .any = any};

    if (made)
        end.made = *made;
    file_write_all(to_fd, &end, sizeof(end));
    reader_put_err(to_fd, e);
}

/* What the reader says, to its end; `class` is of what is wrong with what it read. */
static int hear(struct reader *r, enum err_class class, struct run_result *notes, bool *ret_any,
                struct copy_tar_made *ret_made, struct err *e)
{
    uint64_t n = 0;
    struct left_out l;
    int rc;

    while ((rc = reader_take(r, &l, sizeof(l), e)) == 0 && l.why != TREE_WHY_NONE) {
        if (l.why >= TREE_WHY_END || !str_is_printable(l.name, sizeof(l.name)) ||
            ++n > TREE_ENTRIES_MAX)
            return err_set(e, class, "broke the process that read it, which lies");
        if (n <= COPY_SHOWN)
            run_note(notes, "not copied: '%.100s': %s", l.name,
                     tree_why_text((enum tree_why)l.why));
    }
    if (rc == 0)
        rc = reader_take_err(r, e);
    if (rc < 0 && e->class == ERR_IMAGE)
        e->class = class;
    *ret_any = rc == 0 && l.any;
    if (rc == 0 && ret_made) {
        l.made.sha256[sizeof(l.made.sha256) - 1] = '\0';
        if (!digest_is_hex(l.made.sha256))
            return err_set(e, class, "broke the process that read it, which lies");
        *ret_made = l.made;
    }
    if (rc == 0 && n > COPY_SHOWN)
        run_note(notes, "not copied: %" PRIu64 " entries in all", n);
    return rc;
}

/* ---- a tar becomes a tree -------------------------------------------------------------------- */

struct intake {
    int tar_fd, tree_fd;
    uint64_t size;                  /* of the tar */
    uint32_t n;                     /* entries so far */
    char folder[TREE_NAME_MAX + 1]; /* the one that was made last, "": none */
};

static int put_entry(struct intake *in, const struct tree_entry *en, struct err *e)
{
    uint8_t head[TREE_HEADER_SIZE + TREE_NAME_MAX];

    if (en->kind != TREE_END && ++in->n > TREE_ENTRIES_MAX)
        return err_set(e, ERR_IMAGE, "has more than %u entries", TREE_ENTRIES_MAX);
    if (file_write_all(in->tree_fd, head, tree_entry_format(head, en)) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot write the copy's spool");
    return 0;
}

static int put_folder(struct intake *in, const char *name, size_t len, mode_t mode, struct err *e)
{
    struct tree_entry en = {.kind = TREE_DIR, .mode = (uint16_t)(mode & 0777), .name_len = len};

    memcpy(en.name, name, len);
    memcpy(in->folder, name, len);
    in->folder[len] = '\0';
    return put_entry(in, &en, e);
}

/* Is this folder the last one, or above it? */
static bool is_made(const struct intake *in, const char *name, size_t len)
{
    return strncmp(in->folder, name, len) == 0 &&
           (in->folder[len] == '\0' || in->folder[len] == '/');
}

/* Made again if it was made long ago, which is nothing new to whoever takes the tree. */
static int put_parents(struct intake *in, const char *name, struct err *e)
{
    for (const char *p = strchr(name, '/'); p; p = strchr(p + 1, '/'))
        if (!is_made(in, name, (size_t)(p - name)) &&
            put_folder(in, name, (size_t)(p - name), 0755, e) < 0)
            return -1;
    return 0;
}

static int put_content(const struct intake *in, const struct tar_entry *t, struct err *e)
{
    static char buf[65536];
    uint64_t at = t->offset, left = t->size;

    while (left > 0) {
        ssize_t n = pread(in->tar_fd, buf, left < sizeof(buf) ? left : sizeof(buf), (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || file_write_all(in->tree_fd, buf, (size_t)n) < 0)
            return err_sys(e, ERR_HOST, n == 0 ? EIO : errno, "cannot write the copy's spool");
        at += (uint64_t)n;
        left -= (uint64_t)n;
    }
    return 0;
}

static int put_file(struct intake *in, const char *name, size_t len, const struct tar_entry *t,
                    struct err *e)
{
    struct tree_entry en = {
        .kind = TREE_FILE, .mode = (uint16_t)(t->mode & 0777), .size = t->size, .name_len = len};

    memcpy(en.name, name, len);
    return put_entry(in, &en, e) < 0 ? -1 : put_content(in, t, e);
}

/* "./a/" is "a". */
static void trim(const struct str *path, const char **ret, size_t *ret_len)
{
    const char *name = path->data;
    size_t len = path->len;

    while (len >= 2 && name[0] == '.' && name[1] == '/')
        for (name++, len--; len > 0 && *name == '/'; len--)
            name++;
    while (len > 1 && name[len - 1] == '/')
        len--;
    *ret = name;
    *ret_len = len;
}

static enum tree_why why_not(const struct tar_entry *t)
{
    if (t->type == TAR_SYMLINK)
        return TREE_WHY_LINK;
    if (t->type == TAR_DEVICE || t->type == TAR_FIFO)
        return TREE_WHY_SPECIAL;
    return t->mode & (S_ISUID | S_ISGID) && t->type == TAR_FILE ? TREE_WHY_SETID : TREE_WHY_NONE;
}

static int take_entry(struct intake *in, const struct tar_entry *t, int to_fd, struct err *e)
{
    char shown[200], name[TREE_NAME_MAX + 1];
    const char *path;
    enum tree_why why;
    size_t len;

    trim(&t->path, &path, &len);
    if (len == 0 || (len == 1 && *path == '.'))
        return 0; /* the folder itself */
    str_escape(shown, sizeof(shown), path, len);
    why = tree_name_check(path, len);
    if (why != TREE_WHY_NONE)
        return err_set(e, ERR_IMAGE, "'%s': %s", shown, tree_why_text(why));
    memcpy(name, path, len);
    name[len] = '\0';
    if (t->type == TAR_HARDLINK)
        return err_set(e, ERR_IMAGE, "'%s' is a hard link (make the tar with --hard-dereference)",
                       shown);
    why = why_not(t);
    if (why != TREE_WHY_NONE) {
        say_left_out(to_fd, why, name, len);
        return 0;
    }
    if (put_parents(in, name, e) < 0)
        return -1;
    return t->type == TAR_DIR ? put_folder(in, name, len, t->mode, e)
                              : put_file(in, name, len, t, e);
}

static void take_in(void *arg, int to_fd)
{
    const struct tree_entry end = {.kind = TREE_END};
    struct intake *in = arg;
    struct tar_reader t;
    struct tar_entry en = {0};
    struct err e;
    bool more = true;
    int rc = 0;

    tar_reader_init(&t, in->tar_fd, in->size);
    while (rc == 0 && (rc = tar_next(&t, &en, &more, &e)) == 0 && more)
        rc = take_entry(in, &en, to_fd, &e);
    if (rc == 0)
        rc = put_entry(in, &end, &e);
    say_end(to_fd, in->n > 0, NULL, rc < 0 ? &e : NULL);
    tar_entry_done(&en);
    tar_reader_done(&t);
}

int copy_tar_to_tree(int tar_fd, int tree_fd, struct run_result *notes, struct err *e)
{
    own_reader_child struct reader r = {.fd = -1};
    struct intake in = {.tar_fd = tar_fd, .tree_fd = tree_fd};
    const int fds[] = {tar_fd, tree_fd};
    struct stat st;
    bool any = false;

    if (fstat(tar_fd, &st) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot read it");
    in.size = (uint64_t)st.st_size;
    /* No content is there twice, so the tree is hardly larger than the tar. */
    if (reader_start(&r, take_in, &in, fds, 2,
                     in.size + (uint64_t)TREE_ENTRIES_MAX * sizeof(struct tree_entry), e) < 0)
        return -1;
    return hear(&r, ERR_REFUSED, notes, &any, NULL, e);
}

/* ---- a tree becomes a tar -------------------------------------------------------------------- */

struct named {
    struct named *next; /* of all, whatever the tree makes of them */
    bool folder;
    char name[TREE_NAME_MAX + 1];
};

struct output {
    int tree_fd, tar_fd;
    const char *top;
    struct digest *digest; /* of what was written: */
    struct copy_tar_made made;
    uint64_t max_bytes;       /* that are left */
    uint64_t uid, gid, now_s; /* what entries have */
    void *names; /* of all that was written, as the guest has them: struct named, tsearch(3) */
    struct named *all;
    size_t top_len; /* of the first name's first part */
    char first[TREE_NAME_MAX + 1];
    uint64_t offset; /* of the tree, behind what is in buf */
    size_t start, end;
    uint8_t buf[131072];
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

static int refill(struct output *o, struct err *e)
{
    ssize_t n = file_refill(o->tree_fd, &o->offset, o->buf, sizeof(o->buf), &o->start, &o->end);

    if (n < 0)
        return err_sys(e, ERR_HOST, errno, "cannot read the copy's spool");
    return n == 0 ? err_set(e, ERR_IMAGE, "the tree ends before its end") : 0;
}

static int next_entry(struct output *o, struct tree_entry *ret, struct err *e)
{
    long n;

    while ((n = tree_entry_parse(o->buf + o->start, o->end - o->start, ret)) == 0)
        if (refill(o, e) < 0)
            return -1;
    if (n < 0)
        return err_set(e, ERR_IMAGE, "the tree has an entry that is not one");
    o->start += (size_t)n;
    return 0;
}

static int put(struct output *o, const void *data, size_t len, struct err *e)
{
    if (file_write_all(o->tar_fd, data, len) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot write the tar");
    o->made.bytes += len;
    return digest_add(o->digest, data, len, e);
}

/* Everything is below one entry at the top; that gets another name. */
static int check_top(struct output *o, const struct tree_entry *en, struct err *e)
{
    size_t len = strcspn(en->name, "/");

    if (o->top_len == 0) {
        o->top_len = len;
        memcpy(o->first, en->name, len);
    }
    if (len == o->top_len && memcmp(o->first, en->name, len) == 0)
        return 0;
    return err_set(e, ERR_IMAGE, "the guest sent more than it was asked for");
}

/* The folder that an entry is in has been written. */
static bool has_folder(const struct output *o, const struct tree_entry *en)
{
    const char *slash = strrchr(en->name, '/');
    struct named above = {0}, *const * found;

    if (!slash)
        return true;
    memcpy(above.name, en->name, (size_t)(slash - en->name));
    found = tfind(&above, &o->names, by_name);
    return found && (*found)->folder;
}

/* Remembers the name. *ret_why: it came before; an error: its folder did not. */
static int check_new(struct output *o, const struct tree_entry *en, enum tree_why *ret_why,
                     struct err *e)
{
    struct named key = {.folder = en->kind == TREE_DIR}, *mine;

    if (!has_folder(o, en))
        return err_set(e, ERR_IMAGE, "the tree has an entry before its folder");
    memcpy(key.name, en->name, en->name_len);
    if (tfind(&key, &o->names, by_name)) {
        *ret_why = TREE_WHY_EXISTS;
        return 0;
    }
    mine = malloc(sizeof(*mine));
    if (!mine)
        return err_set(e, ERR_HOST, "out of memory");
    *mine = key;
    mine->next = o->all;
    o->all = mine;
    return tsearch(mine, &o->names, by_name) ? 0 : err_set(e, ERR_HOST, "out of memory");
}

static int put_header(struct output *o, const struct tree_entry *en, struct err *e)
{
    bool folder = en->kind == TREE_DIR;
    own_str struct str bytes = {0};
    own_tar_entry struct tar_entry t = {
        .type = folder ? TAR_DIR : TAR_FILE,
        .mode = (en->mode & 0755) | (folder ? 0700 : 0600),
        .uid = o->uid,
        .gid = o->gid,
        .mtime = o->now_s,
        .size = en->size,
    };

    str_addf(&t.path, "%s%s%s", o->top, en->name + o->top_len, folder ? "/" : "");
    tar_format(&bytes, &t);
    return put(o, bytes.data, bytes.len, e);
}

/* The content, into the tar or nowhere. */
static int pass_content(struct output *o, const struct tree_entry *en, bool wanted, struct err *e)
{
    static const char zeros[TAR_BLOCK];
    uint64_t left = en->size;

    while (left > 0) {
        size_t n = o->end - o->start;

        if (n == 0) {
            if (refill(o, e) < 0)
                return -1;
            continue;
        }
        n = left < n ? (size_t)left : n;
        if (wanted && put(o, o->buf + o->start, n, e) < 0)
            return -1;
        o->start += n;
        left -= n;
    }
    return wanted ? put(o, zeros, tar_padding(en->size), e) : 0;
}

static int give_entry(struct output *o, const struct tree_entry *en, int to_fd, struct err *e)
{
    enum tree_why why =
        en->kind == TREE_SKIPPED ? (enum tree_why)en->why : tree_name_check(en->name, en->name_len);

    if (en->size > o->max_bytes)
        return err_set(e, ERR_IMAGE, "the guest sent more than it was asked for");
    o->max_bytes -= en->size;
    if (why == TREE_WHY_NONE && (check_top(o, en, e) < 0 || check_new(o, en, &why, e) < 0))
        return -1;
    if (why != TREE_WHY_NONE)
        say_left_out(to_fd, why, en->name, en->name_len);
    else if (put_header(o, en, e) < 0)
        return -1;
    return pass_content(o, en, why == TREE_WHY_NONE, e);
}

static void keep(void *name)
{
    (void)name;
}

static void forget_names(struct output *o)
{
    tdestroy(o->names, keep);
    o->names = NULL;
    for (struct named *n = o->all; n; n = o->all) {
        o->all = n->next;
        free(n);
    }
}

static void give_out(void *arg, int to_fd)
{
    static const char zeros[2 * TAR_BLOCK]; /* the end mark */
    struct output *o = arg;
    struct tree_entry en;
    struct err e;
    int rc;

    for (uint32_t n = 0; (rc = next_entry(o, &en, &e)) == 0 && en.kind != TREE_END; n++) {
        rc = n < TREE_ENTRIES_MAX ? give_entry(o, &en, to_fd, &e)
                                  : err_set(&e, ERR_IMAGE, "the tree has too many entries");
        if (rc < 0)
            break;
    }
    if (rc == 0 && (o->start != o->end || refill(o, &e) == 0))
        rc = err_set(&e, ERR_IMAGE, "the tree goes on after its end");
    if (rc == 0)
        rc = put(o, zeros, sizeof(zeros), &e);
    if (rc == 0)
        rc = digest_finish(o->digest, o->made.sha256, &e);
    say_end(to_fd, o->top_len > 0, &o->made, rc < 0 ? &e : NULL);
    forget_names(o);
}

int copy_tree_to_tar(int tree_fd, const char *top, uint64_t max_bytes, int tar_fd,
                     struct copy_tar_made *ret, struct run_result *notes, struct err *e)
{
    own_reader_child struct reader r = {.fd = -1};
    own_digest struct digest *digest = NULL;
    own_free struct output *o = calloc(1, sizeof(*o));
    const int fds[] = {tree_fd, tar_fd};
    bool any = false;

    if (!o)
        return err_set(e, ERR_HOST, "out of memory");
    if (digest_new(&digest, e) < 0)
        return -1; /* cppcheck-suppress memleak ; cleanup frees it */
    o->digest = digest;
    o->tree_fd = tree_fd;
    o->tar_fd = tar_fd;
    o->top = top;
    o->max_bytes = max_bytes;
    o->uid = geteuid();
    o->gid = getegid();
    o->now_s = clock_real_ns() / 1000000000u;
    if (reader_start(&r, give_out, o, fds, 2, UINT64_MAX, e) < 0)
        return -1;
    if (hear(&r, ERR_PROTOCOL, notes, &any, ret, e) < 0)
        return -1;
    return any ? 0 : err_set(e, ERR_REFUSED, "it is neither a file nor a folder");
}
