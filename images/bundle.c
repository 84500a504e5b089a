/* bundle: the files of an OCI layout or of a docker archive. See bundle.h. */
#include "images/bundle.h"

#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "images/expand.h"
#include "images/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

struct bundle {
    int dir_fd;         /* -1: a tar */
    struct rootfs *tar; /* NULL: a folder */
};

static struct bundle *new_bundle(void)
{
    struct bundle *b = calloc(1, sizeof(*b));

    if (!b)
        abort(); /* as in base/str */
    b->dir_fd = -1;
    return b;
}

void bundle_free(struct bundle *b)
{
    if (!b)
        return;
    if (b->dir_fd >= 0)
        close(b->dir_fd);
    rootfs_free(b->tar);
    free(b);
}

void bundle_file_done(struct bundle_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

int bundle_open_dir(const char *path, struct bundle **ret, struct err *e)
{
    int fd;

    if (file_open_dir(path, &fd, e) < 0)
        return -1;
    *ret = new_bundle();
    (*ret)->dir_fd = fd;
    return 0;
}

/* The plain tar in a file that may be compressed. */
static int open_plain(int fd, const char *temp_dir, int *ret_fd, struct err *e)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot read it");
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_USAGE, "is not a file");
    if (!expand_is_needed(fd, 0, (uint64_t)st.st_size)) {
        *ret_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        return *ret_fd < 0 ? err_sys(e, ERR_HOST, errno, "dup") : 0;
    }
    return expand_to_temp(fd, 0, (uint64_t)st.st_size, temp_dir, ROOTFS_BYTES_MAX, ret_fd, e);
}

int bundle_open_tar(const char *path, const char *temp_dir, struct bundle **ret, struct err *e)
{
    own_bundle struct bundle *b = new_bundle();
    own_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    own_close int plain = -1;

    if (fd < 0)
        return err_sys(e, ERR_USAGE, errno, "cannot open '%s'", path);
    if (open_plain(fd, temp_dir, &plain, e) < 0)
        return err_wrap(e, "'%s'", path);
    if (rootfs_new(temp_dir, &b->tar, e) < 0 || rootfs_add_archive(b->tar, plain, path, e) < 0)
        return -1;
    *ret = own_steal_ptr(b);
    return 0;
}

bool bundle_has(const struct bundle *b, const char *name)
{
    if (b->tar)
        return rootfs_resolve(b->tar, name) != NULL;
    return faccessat(b->dir_fd, name, F_OK, 0) == 0;
}

/* Links are followed in the user's own folder: nothing is used that has not the right digest. */
static int open_in_dir(int dir_fd, const char *name, struct bundle_file *ret, struct err *e)
{
    own_close int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;

    if (fd < 0 && errno == ENOENT)
        return err_set(e, ERR_IMAGE, "'%s' is not there", name);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(e, ERR_IMAGE, errno, "cannot open '%s'", name);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_IMAGE, "'%s' is not a file", name);
    *ret = (struct bundle_file){.fd = own_steal_fd(fd), .size = (uint64_t)st.st_size};
    return 0;
}

int bundle_file(const struct bundle *b, const char *name, struct bundle_file *ret, struct err *e)
{
    struct rootfs_content c;
    int fd;

    if (!b->tar)
        return open_in_dir(b->dir_fd, name, ret, e);
    if (rootfs_content(b->tar, name, &c, e) < 0)
        return -1;
    fd = fcntl(c.fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return err_sys(e, ERR_HOST, errno, "dup");
    *ret = (struct bundle_file){.fd = fd, .offset = c.offset, .size = c.size};
    return 0;
}

static int check_digest(const char *name, const char *want, const char *have, struct err *e)
{
    if (strcmp(want, have) == 0)
        return 0;
    return err_set(
        e, ERR_IMAGE,
        "'%s' has the digest sha256:%s instead of sha256:%s (it is damaged; get it again)", name,
        have, want);
}

int bundle_blob(const struct bundle *b, const char *name, const char *sha256, uint64_t size,
                struct bundle_file *ret, struct err *e)
{
    own_bundle_file struct bundle_file f = {.fd = -1};
    char hex[DIGEST_HEX_SIZE];

    if (bundle_file(b, name, &f, e) < 0)
        return -1;
    if (size != UINT64_MAX && f.size != size)
        return err_set(e, ERR_IMAGE,
                       "'%s' has %" PRIu64 " bytes instead of %" PRIu64
                       " (it is damaged; get it again)",
                       name, f.size, size);
    if (digest_range(f.fd, f.offset, f.size, hex, e) < 0)
        return err_wrap(e, "'%s'", name);
    if (check_digest(name, sha256, hex, e) < 0)
        return -1;
    *ret = f;
    f.fd = -1;
    return 0;
}

static int read_whole(const struct bundle_file *f, char *to, struct err *e)
{
    for (uint64_t at = 0; at < f->size;) {
        ssize_t n = pread(f->fd, to + at, (size_t)(f->size - at), (off_t)(f->offset + at));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_sys(e, ERR_HOST, n < 0 ? errno : EIO, "cannot read");
        at += (uint64_t)n;
    }
    return 0;
}

int bundle_doc(const struct bundle *b, const char *name, const char *sha256,
               char ret_sha256[DIGEST_HEX_SIZE], struct doc **ret, struct err *e)
{
    own_bundle_file struct bundle_file f = {.fd = -1};
    own_free char *text = NULL;
    char hex[DIGEST_HEX_SIZE];

    if (bundle_file(b, name, &f, e) < 0)
        return -1;
    if (f.size > BUNDLE_DOC_MAX)
        return err_set(e, ERR_IMAGE, "'%s' is over %u bytes", name, BUNDLE_DOC_MAX);
    text = malloc((size_t)f.size + 1);
    if (!text)
        return err_set(e, ERR_HOST, "out of memory");
    if (read_whole(&f, text, e) < 0 || digest_bytes(text, (size_t)f.size, hex, e) < 0)
        return err_wrap(e, "'%s'", name);
    if (sha256 && check_digest(name, sha256, hex, e) < 0)
        return -1;
    if (doc_parse(text, (size_t)f.size, name, ret, e) < 0) {
        e->class = ERR_IMAGE;
        return -1;
    }
    if (ret_sha256)
        memcpy(ret_sha256, hex, sizeof(hex));
    return 0;
}
