/* pread_io: what libext2fs reads a disk through. See pread_io.h. */
#include "look/pread_io.h"

#include "base/err.h"
#include "base/str.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

struct state {
    int fd;
    int host_errno;
};

static errcode_t io_close(io_channel channel)
{
    if (--channel->refcount > 0)
        return 0;
    ext2fs_free_mem(&channel->private_data);
    ext2fs_free_mem(&channel->name);
    ext2fs_free_mem(&channel);
    return 0;
}

static errcode_t io_open(const char *name, int flags, io_channel *ret)
{
    io_channel c = NULL;
    struct state *s = NULL;
    struct err e;
    uint64_t fd;
    errcode_t r;

    if ((flags & IO_FLAG_RW) || str_parse_u64(name, "fd", 0, INT_MAX, &fd, &e) < 0)
        return EXT2_ET_BAD_DEVICE_NAME;
    r = ext2fs_get_memzero(sizeof(*c), &c);
    if (r)
        return r;
    c->magic = EXT2_ET_MAGIC_IO_CHANNEL;
    c->manager = &pread_io;
    c->block_size = 1024;
    c->refcount = 1;
    r = ext2fs_get_memzero(sizeof(*s), &s);
    if (!r)
        r = ext2fs_get_memzero(PREAD_IO_NAME_SIZE, &c->name); /* for the library's messages */
    if (r) {
        ext2fs_free_mem(&s);
        ext2fs_free_mem(&c);
        return r;
    }
    s->fd = (int)fd;
    c->private_data = s;
    *ret = c;
    return 0;
}

static errcode_t io_set_blksize(io_channel channel, int size)
{
    channel->block_size = size;
    return 0;
}

/* A negative count is of bytes. */
static errcode_t io_read(io_channel channel, unsigned long long block, int count, void *data)
{
    struct state *s = channel->private_data;
    const uint64_t unit = (uint64_t)channel->block_size;
    const uint64_t size = count < 0 ? (uint64_t) - (int64_t)count : (uint64_t)count * unit;
    uint8_t *p = data;
    uint64_t done = 0;

    if (unit == 0 || block > (INT64_MAX - size) / unit)
        return EXT2_ET_SHORT_READ;
    while (done < size) {
        ssize_t n = pread(s->fd, p + done, size - done, (off_t)(block * unit + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            if (s->host_errno == 0)
                s->host_errno = errno;
            return errno;
        }
        if (n == 0)
            return EXT2_ET_SHORT_READ;
        done += (uint64_t)n;
    }
    return 0;
}

static errcode_t io_read_short(io_channel channel, unsigned long block, int count, void *data)
{
    return io_read(channel, block, count, data);
}

static errcode_t no_write_short(io_channel channel, unsigned long block, int count,
                                const void *data)
{
    return EXT2_ET_RO_FILSYS;
}

static errcode_t no_write(io_channel channel, unsigned long long block, int count, const void *data)
{
    return EXT2_ET_RO_FILSYS;
}

static errcode_t no_discard(io_channel channel, unsigned long long block, unsigned long long count)
{
    return EXT2_ET_RO_FILSYS;
}

static errcode_t io_flush(io_channel channel)
{
    return 0;
}

int pread_io_errno(io_channel channel)
{
    const struct state *s = channel->private_data;

    return s->host_errno;
}

struct struct_io_manager pread_io = {
    .magic = EXT2_ET_MAGIC_IO_MANAGER,
    .name = "pread",
    .open = io_open,
    .close = io_close,
    .set_blksize = io_set_blksize,
    .read_blk = io_read_short,
    .read_blk64 = io_read,
    .write_blk = no_write_short,
    .write_blk64 = no_write,
    .write_byte = no_write_short,
    .flush = io_flush,
    .discard = no_discard,
    .zeroout = no_discard,
};
