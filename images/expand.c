/* expand: a compressed file becomes a plain one. See expand.h. */
#include "images/expand.h"

#include "base/file.h"
#include "base/own.h"
#include "images/reader.h"

#include <archive.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/statvfs.h>

struct input {
    int fd;
    uint64_t at, end;
    int errnum; /* of a failed read */
    char buf[131072];
};

/* The next bytes of the range into in->buf; 0 at its end, -1 and in->errnum. */
static ssize_t next(struct input *in)
{
    uint64_t left = in->end - in->at;
    ssize_t n;

    do
        n = pread(in->fd, in->buf, left < sizeof(in->buf) ? (size_t)left : sizeof(in->buf),
                  (off_t)in->at);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        in->errnum = errno;
    else if (n == 0 && left > 0)
        in->errnum = EIO, n = -1; /* shorter than it was said to be */
    else
        in->at += (uint64_t)n;
    return n;
}

static la_ssize_t read_cb(struct archive *a, void *arg, const void **ret_data)
{
    struct input *in = arg;
    ssize_t n = next(in);

    *ret_data = in->buf;
    if (n < 0)
        archive_set_error(a, in->errnum, "read");
    return n;
}

/* What came out so far, and what it may become. */
struct output {
    int fd;
    uint64_t bytes, max, size_in;
    bool over;
};

static int put(struct output *out, const void *data, size_t len, struct err *e)
{
    if (len > out->max - out->bytes) {
        out->over = true;
        return err_set(e, ERR_IMAGE, "holds more than %" PRIu64 " bytes", out->max);
    }
    out->bytes += len;
    if (out->bytes > EXPAND_SMALL && out->bytes / EXPAND_RATIO_MAX > out->size_in)
        return err_set(e, ERR_IMAGE,
                       "grows more than %u times when it is unpacked (it is made to fill disks; do "
                       "not use it)",
                       EXPAND_RATIO_MAX);
    if (file_write_all(out->fd, data, len) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot write what is unpacked");
    return 0;
}

static int copy(struct input *in, struct output *out, struct err *e)
{
    ssize_t n;

    while ((n = next(in)) > 0)
        if (put(out, in->buf, (size_t)n, e) < 0)
            return -1;
    return n < 0 ? err_sys(e, ERR_HOST, in->errnum, "cannot read") : 0;
}

static void free_reader(struct archive **a)
{
    if (*a)
        archive_read_free(*a);
}

/* libarchive's words about hostile bytes are its own, not theirs; but they may be none. */
static int damaged(struct archive *a, const struct input *in, struct err *e)
{
    const char *why = a ? archive_error_string(a) : "out of memory";

    if (in->errnum)
        return err_sys(e, ERR_HOST, in->errnum, "cannot read");
    return err_set(e, ERR_IMAGE, "cannot be unpacked: %s (it is damaged; get it again)",
                   why ? why : "no reason given");
}

static int unpack(struct input *in, struct output *out, struct err *e)
{
    __attribute__((cleanup(free_reader))) struct archive *a = archive_read_new();
    struct archive_entry *entry;

    if (!a || archive_read_support_filter_gzip(a) != ARCHIVE_OK ||
        archive_read_support_filter_zstd(a) != ARCHIVE_OK ||
        archive_read_support_format_raw(a) != ARCHIVE_OK ||
        archive_read_open(a, in, NULL, read_cb, NULL) != ARCHIVE_OK ||
        archive_read_next_header(a, &entry) != ARCHIVE_OK)
        return damaged(a, in, e);
    for (;;) {
        const void *data;
        la_int64_t offset;
        size_t len;
        int r = archive_read_data_block(a, &data, &len, &offset);

        if (r == ARCHIVE_EOF)
            return 0;
        if (r != ARCHIVE_OK)
            return damaged(a, in, e);
        if (put(out, data, len, e) < 0)
            return -1;
    }
}

bool expand_is_needed(int fd, uint64_t offset, uint64_t size)
{
    static const unsigned char gzip[] = {0x1f, 0x8b}, zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
    unsigned char magic[4] = {0};

    if (pread(fd, magic, size < sizeof(magic) ? (size_t)size : sizeof(magic), (off_t)offset) < 0)
        return false;
    return memcmp(magic, gzip, sizeof(gzip)) == 0 || memcmp(magic, zstd, sizeof(zstd)) == 0;
}

/* What the child is to do. */
struct task {
    struct input in;
    struct output out;
};

static void work(void *arg, int to_fd)
{
    struct task *t = arg;
    uint64_t size = t->in.end - t->in.at;
    struct err e;
    int rc = expand_is_needed(t->in.fd, t->in.at, size) ? unpack(&t->in, &t->out, &e)
                                                        : copy(&t->in, &t->out, &e);

    file_write_all(to_fd, &t->out.over, sizeof(t->out.over));
    reader_put_err(to_fd, rc < 0 ? &e : NULL);
}

int expand(int in_fd, uint64_t offset, uint64_t size, int out_fd, uint64_t max, bool *ret_over,
           struct err *e)
{
    struct task t = {.in = {.fd = in_fd, .at = offset, .end = offset + size},
                     .out = {.fd = out_fd, .max = max, .size_in = size}};
    own_reader_child struct reader r = {.fd = -1};
    const int fds[] = {in_fd, out_fd};
    uint8_t over;

    *ret_over = false;
    if (reader_start(&r, work, &t, fds, 2, max, e) < 0 || reader_take(&r, &over, 1, e) < 0)
        return -1;
    *ret_over = over == 1;
    return reader_take_err(&r, e);
}

/* Bytes that may be written now; *ret_disk: because the disk has no more. */
static int room(const char *temp_dir, uint64_t max, uint64_t *ret, bool *ret_disk, struct err *e)
{
    struct statvfs v;
    uint64_t bytes;

    if (statvfs(temp_dir, &v) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot ask for the room in '%s'", temp_dir);
    bytes = (uint64_t)v.f_bavail * v.f_frsize;
    bytes = bytes > EXPAND_FREE_MIN ? bytes - EXPAND_FREE_MIN : 0;
    *ret_disk = bytes < max;
    *ret = *ret_disk ? bytes : max;
    return 0;
}

int expand_to_temp(int in_fd, uint64_t offset, uint64_t size, const char *temp_dir, uint64_t max,
                   int *ret_fd, struct err *e)
{
    own_close int fd = -1;
    bool disk, over;

    if (file_open_unnamed(temp_dir, &fd, e) < 0 || room(temp_dir, max, &max, &disk, e) < 0)
        return -1;
    if (expand(in_fd, offset, size, fd, max, &over, e) < 0)
        return over && disk
                   ? err_set(e, ERR_HOST, "there is no room for it in '%s' (make room)", temp_dir)
                   : -1;
    *ret_fd = own_steal_fd(fd);
    return 0;
}
