/* tar_apart: the headers of a tar, read in a process without rights. See tar_apart.h. */
#include "images/tar_apart.h"

#include "base/file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define FLUSH 16384 /* bytes of records at once */

/* One entry; path, link and attributes follow it. Both ends are one program. */
struct record {
    uint32_t more; /* 0: no entry, but an error or none (reader_take_err()) */
    uint32_t type, mode;
    uint32_t path_len, link_len, xattrs_len;
    uint64_t uid, gid, mtime, size, offset, dropped_xattrs, dropped_acls;
};

/* ---- the child --------------------------------------------------------------------------------
 */

struct source {
    int fd;
    uint64_t size;
};

static void add_entry(struct str *out, const struct tar_entry *en)
{
    const struct record r = {.more = 1,
                             .type = en->type,
                             .mode = en->mode,
                             .path_len = (uint32_t)en->path.len,
                             .link_len = (uint32_t)en->link.len,
                             .xattrs_len = (uint32_t)en->xattrs.len,
                             .uid = en->uid,
                             .gid = en->gid,
                             .mtime = en->mtime,
                             .size = en->size,
                             .offset = en->offset,
                             .dropped_xattrs = en->dropped.xattrs,
                             .dropped_acls = en->dropped.acls};

    str_add_bytes(out, &r, sizeof(r));
    str_add_bytes(out, en->path.data, en->path.len);
    str_add_bytes(out, en->link.data, en->link.len);
    str_add_bytes(out, en->xattrs.data, en->xattrs.len);
}

static void send_all(void *arg, int to_fd)
{
    const struct source *s = arg;
    const struct record end = {0};
    struct tar_reader t;
    struct tar_entry en = {0};
    struct str out = {0};
    struct err e;
    bool more = true;
    int rc = 0;

    tar_reader_init(&t, s->fd, s->size);
    while (rc == 0 && (rc = tar_next(&t, &en, &more, &e)) == 0 && more) {
        add_entry(&out, &en);
        if (out.len < FLUSH)
            continue;
        rc = file_write_all(to_fd, out.data, out.len);
        out.len = 0;
        if (rc < 0)
            break; /* the parent wants no more */
    }
    str_add_bytes(&out, &end, sizeof(end));
    file_write_all(to_fd, out.data, out.len);
    reader_put_err(to_fd, rc < 0 ? &e : NULL);
    str_done(&out);
    tar_entry_done(&en);
    tar_reader_done(&t);
}

/* ---- the parent -------------------------------------------------------------------------------
 */

int tar_apart_open(struct tar_apart *t, int fd, struct err *e)
{
    struct source s = {.fd = fd};
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot read the archive");
    s.size = t->size = (uint64_t)st.st_size;
    return reader_start(&t->reader, send_all, &s, &fd, 1, 0, e);
}

void tar_apart_done(struct tar_apart *t)
{
    reader_done(&t->reader);
}

static int take_text(struct tar_apart *t, struct str *to, size_t len, struct err *e)
{
    char buf[4096];

    to->len = 0;
    if (to->data)
        to->data[0] = '\0';
    while (len > 0) {
        size_t n = len < sizeof(buf) ? len : sizeof(buf);

        if (reader_take(&t->reader, buf, n, e) < 0)
            return -1;
        str_add_bytes(to, buf, n);
        len -= n;
    }
    return 0;
}

/* What tar_next() promises, and rootfs.h relies on. */
static bool is_sound(const struct tar_apart *t, const struct record *r)
{
    bool is_link = r->type == TAR_SYMLINK || r->type == TAR_HARDLINK;

    return r->type <= TAR_FIFO && r->mode <= 07777 && r->path_len > 0 &&
           r->path_len <= TAR_EXTRA_MAX && r->link_len <= TAR_EXTRA_MAX &&
           r->xattrs_len <= TAR_EXTRA_MAX && (r->link_len > 0) == is_link &&
           (r->type == TAR_FILE || r->size == 0) && r->offset <= t->size &&
           r->size <= t->size - r->offset;
}

static bool has_nul(const struct str *s)
{
    return s->len > 0 && memchr(s->data, '\0', s->len);
}

int tar_apart_next(struct tar_apart *t, struct tar_entry *en, bool *ret_more, struct err *e)
{
    static const char *const lie = "broke the process that read it, which lies (do not use it)";
    struct record r;

    if (reader_take(&t->reader, &r, sizeof(r), e) < 0)
        return -1;
    if (!r.more) {
        *ret_more = false;
        return reader_take_err(&t->reader, e);
    }
    if (!is_sound(t, &r))
        return err_set(e, ERR_IMAGE, "%s", lie);
    if (take_text(t, &en->path, r.path_len, e) < 0 || take_text(t, &en->link, r.link_len, e) < 0 ||
        take_text(t, &en->xattrs, r.xattrs_len, e) < 0)
        return -1;
    if (has_nul(&en->path) || has_nul(&en->link) || !tar_xattrs_are_sound(&en->xattrs))
        return err_set(e, ERR_IMAGE, "%s", lie);
    en->type = (enum tar_type)r.type;
    en->mode = (mode_t)r.mode;
    en->uid = r.uid;
    en->gid = r.gid;
    en->mtime = r.mtime;
    en->size = r.size;
    en->offset = r.offset;
    en->dropped = (struct tar_dropped){.xattrs = r.dropped_xattrs, .acls = r.dropped_acls};
    *ret_more = true;
    return 0;
}
