/* disk_map: where a file's data are, and reading them. See disk.h. UNTRUSTED. */
#include "look/disk.h"

#include <string.h>
#include <sys/stat.h>

#define MAP_DEPTH_MAX  5u /* the kernel's EXT4_MAX_EXTENT_DEPTH */
#define MAP_ROOT_MAX   4u /* entries in the inode itself */
#define EXTENT_MAGIC   0xf30au
#define EXTENT_LEN_MAX 32768u

struct extent_header {
    uint16_t magic, entries, max, depth;
    uint32_t generation;
};

/* 1: there are extents; 0: there are none; -1: this is no root of extents. */
static int check_root(const struct disk_file *f)
{
    static const uint8_t none[sizeof(f->inode.i_block)];
    struct extent_header h;

    if (!(f->inode.i_flags & EXT4_EXTENTS_FL)) /* no block by the old map: the kernel makes none */
        return f->size == 0 && memcmp(f->inode.i_block, none, sizeof(none)) == 0 ? 0 : -1;
    memcpy(&h, f->inode.i_block, sizeof(h));
    if (h.magic != EXTENT_MAGIC || h.depth > MAP_DEPTH_MAX || h.max > MAP_ROOT_MAX ||
        h.entries > h.max || (h.entries == 0 && h.depth > 0))
        return -1;
    return h.entries > 0;
}

int disk_map_open(struct disk_map *m, struct disk *d, const struct disk_file *f)
{
    int r = check_root(f);

    *m = (struct disk_map){.disk = d, .inode = f->inode};
    if (r <= 0)
        return r;
    return ext2fs_extent_open2(d->fs, f->number, &m->inode, &m->handle) ? -1 : 0;
}

void disk_map_close(struct disk_map *m)
{
    if (m->handle)
        ext2fs_extent_free(m->handle);
    m->handle = NULL;
}

static bool extent_is_sane(const struct disk_map *m, const struct ext2fs_extent *x)
{
    return x->e_len > 0 && x->e_len <= EXTENT_LEN_MAX && x->e_lblk >= m->next && x->e_pblk > 0 &&
           x->e_pblk < m->disk->blocks && x->e_len <= m->disk->blocks - x->e_pblk;
}

int disk_map_next(struct disk_map *m, struct disk_run *ret)
{
    struct ext2fs_extent x;

    while (m->handle) {
        errcode_t r;

        if (disk_is_spent(m->disk))
            return -1;
        m->disk->budget--;
        r = ext2fs_extent_get(m->handle, m->begun ? EXT2_EXTENT_NEXT : EXT2_EXTENT_ROOT, &x);
        m->begun = true;
        if (r == EXT2_ET_EXTENT_NO_NEXT) {
            disk_map_close(m);
            break;
        }
        if (r)
            return -1;
        if (!(x.e_flags & EXT2_EXTENT_FLAGS_LEAF))
            continue;
        if (!extent_is_sane(m, &x))
            return -1;
        m->next = x.e_lblk + x.e_len;
        if (x.e_flags & EXT2_EXTENT_FLAGS_UNINIT)
            continue;
        *ret = (struct disk_run){.block = x.e_lblk, .n = x.e_len, .place = x.e_pblk};
        return 1;
    }
    return 0;
}

bool disk_file_is_sound(struct disk *d, const struct disk_file *f)
{
    struct disk_map m;
    struct disk_run run;
    int r = disk_map_open(&m, d, f);

    if (r == 0)
        while ((r = disk_map_next(&m, &run)) > 0)
            ;
    disk_map_close(&m);
    return r == 0;
}

/* ---- reading --------------------------------------------------------------------------------- */

static int next_run(struct disk_reader *r)
{
    int more = disk_map_next(&r->map, &r->run);

    if (more == 0)
        r->run.n = 0;
    return more < 0 ? -1 : 0;
}

int disk_reader_open(struct disk_reader *r, struct disk *d, const struct disk_file *f)
{
    *r = (struct disk_reader){.end = f->size / DISK_BLOCK + (f->size % DISK_BLOCK != 0)};
    if (disk_map_open(&r->map, d, f) < 0 || next_run(r) < 0) {
        disk_reader_close(r);
        return -1;
    }
    return 0;
}

void disk_reader_close(struct disk_reader *r)
{
    disk_map_close(&r->map);
}

uint64_t disk_reader_stretch(const struct disk_reader *r, bool *ret_zeros)
{
    uint64_t to = r->end;

    *ret_zeros = r->run.n == 0 || r->block < r->run.block;
    if (r->run.n > 0) {
        uint64_t until = *ret_zeros ? r->run.block : r->run.block + r->run.n;

        if (until < to)
            to = until;
    }
    return to - r->block;
}

int disk_reader_take(struct disk_reader *r, uint64_t n, uint8_t *out)
{
    struct disk *d = r->map.disk;
    bool zeros;

    (void)disk_reader_stretch(r, &zeros);
    if (out && zeros) {
        memset(out, 0, n * DISK_BLOCK);
    } else if (out) {
        if (n > d->budget) {
            d->budget = 0;
            return -1;
        }
        d->budget -= n;
        if (io_channel_read_blk64(d->fs->io, r->run.place + (r->block - r->run.block), (int)n, out))
            return -1;
    }
    r->block += n;
    if (r->run.n > 0 && r->block >= r->run.block + r->run.n)
        return next_run(r);
    return 0;
}
