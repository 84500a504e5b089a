/* memory: files of guest memory: large, and mostly zeros. See memory.h. */
#include "snapshots/memory.h"

#include "base/own.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK (256u * MEMORY_PAGE)

struct walk {
    int fd, to; /* to: -1 without a copy */
    struct digest *digest;
    uint64_t size, used;
    uint8_t *chunk;
};

static bool is_zero(const uint8_t *page)
{
    return page[0] == 0 && memcmp(page, page + 1, MEMORY_PAGE - 1) == 0;
}

static int write_at(int fd, const uint8_t *p, size_t len, uint64_t at, struct err *e)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, p, len, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, ERR_HOST, errno, "cannot write a copy of the memory");
        p += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

static int add_number(struct digest *d, uint64_t n, struct err *e)
{
    uint8_t raw[8];

    for (unsigned i = 0; i < sizeof(raw); i++)
        raw[i] = (uint8_t)(n >> 8 * i);
    return digest_add(d, raw, sizeof(raw), e);
}

/* Hashes the pages of a chunk that are not zeros, and copies each row of them. */
static int take_chunk(struct walk *w, size_t len, uint64_t at, struct err *e)
{
    size_t row = 0; /* where the row of used pages began that ends at `i` */

    for (size_t i = 0; i <= len; i += MEMORY_PAGE) {
        bool used = i < len && !is_zero(w->chunk + i);

        if (used) {
            w->used += MEMORY_PAGE;
            if (add_number(w->digest, at + i, e) < 0 ||
                digest_add(w->digest, w->chunk + i, MEMORY_PAGE, e) < 0)
                return -1;
            continue;
        }
        if (w->to >= 0 && write_at(w->to, w->chunk + row, i - row, at + row, e) < 0)
            return -1;
        row = i + MEMORY_PAGE;
    }
    return 0;
}

/* Fills the chunk with `len` bytes from `at`. */
static int read_chunk(const struct walk *w, uint64_t at, size_t len, struct err *e)
{
    for (size_t have = 0; have < len;) {
        ssize_t n = pread(w->fd, w->chunk + have, len - have, (off_t)(at + have));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, ERR_HOST, errno, "cannot read the memory");
        if (n == 0)
            return err_set(e, ERR_HOST, "the memory's file became shorter while it was read");
        have += (size_t)n;
    }
    return 0;
}

/* The next used page at or behind `at`; the size if there is none. Not every file system knows. */
static uint64_t next_used(const struct walk *w, uint64_t at)
{
    off_t next = lseek(w->fd, (off_t)at, SEEK_DATA);

    if (next < 0)
        return errno == ENXIO ? w->size : at;
    return (uint64_t)next / MEMORY_PAGE * MEMORY_PAGE;
}

static int walk(struct walk *w, struct err *e)
{
    for (uint64_t at = next_used(w, 0); at < w->size; at = next_used(w, at)) {
        size_t len = w->size - at < CHUNK ? (size_t)(w->size - at) : CHUNK;

        if (read_chunk(w, at, len, e) < 0 || take_chunk(w, len, at, e) < 0)
            return -1;
        at += len;
    }
    return add_number(w->digest, w->size, e);
}

int memory_copy(int fd, int to, struct memory_sum *ret, struct err *e)
{
    own_free uint8_t *chunk = calloc(1, CHUNK);
    own_digest struct digest *digest = NULL;
    struct walk w = {.fd = fd, .to = to, .chunk = chunk};
    struct memory_sum sum = {0};
    struct stat st;

    if (!chunk)
        return err_set(e, ERR_HOST, "out of memory");
    if (fstat(fd, &st) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot read the memory");
    if (!S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size % MEMORY_PAGE != 0)
        return err_set(e, ERR_HOST, "the memory's file is not one of whole pages");
    w.size = (uint64_t)st.st_size;
    if (digest_new(&digest, e) < 0)
        return -1;
    w.digest = digest;
    if (walk(&w, e) < 0 || digest_finish(digest, sum.sha256, e) < 0)
        return -1;
    if (to >= 0 && ftruncate(to, st.st_size) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot write a copy of the memory");
    sum.size_bytes = w.size;
    sum.used_bytes = w.used;
    *ret = sum;
    return 0;
}

int memory_digest(int fd, struct memory_sum *ret, struct err *e)
{
    return memory_copy(fd, -1, ret, e);
}
