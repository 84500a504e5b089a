/* disk_dir: the names in a folder. See disk.h. UNTRUSTED. */
#include "look/disk.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ENTRY_MIN 8u /* inode u32, length u16, name length u8, type u8 */

struct entry {
    uint32_t inode;
    uint16_t len;
    uint8_t name_len, type;
};

static void *grow(struct disk *d, void *p, size_t *cap, size_t unit)
{
    size_t more = *cap > 0 ? *cap : 64;
    void *new;

    if (more * unit > DISK_NAMES_BYTES - d->names_bytes)
        return NULL;
    new = realloc(p, (*cap + more) * unit);
    d->no_memory |= !new;
    if (new) {
        d->names_bytes += more * unit;
        *cap += more;
    }
    return new;
}

static int add_name(struct disk *d, struct disk_dir *dir, const char *name, uint8_t len,
                    uint32_t number)
{
    if (dir->n == dir->cap) {
        void *new = grow(d, dir->names, &dir->cap, sizeof(dir->names[0]));

        if (!new)
            return -1;
        dir->names = new;
    }
    while (len > dir->text_cap - dir->text_len) {
        void *new = grow(d, dir->text, &dir->text_cap, 1);

        if (!new)
            return -1;
        dir->text = new;
    }
    memcpy(dir->text + dir->text_len, name, len);
    dir->names[dir->n++] =
        (struct disk_name){.number = number, .at = (uint32_t)dir->text_len, .len = len};
    dir->text_len += len;
    return 0;
}

static bool is_dots(const char *name, uint8_t len)
{
    return len > 0 && len <= 2 && memcmp(name, "..", len) == 0;
}

/* The entries of one block, until one that cannot be. */
static unsigned read_block(struct disk *d, struct disk_dir *dir, const uint8_t *block)
{
    unsigned lies = 0;
    struct entry en;

    for (size_t at = 0; at < DISK_BLOCK; at += en.len) {
        const char *name;

        if (DISK_BLOCK - at < ENTRY_MIN)
            return lies | 1u << LOOK_WHY_DIR;
        memcpy(&en, block + at, sizeof(en));
        if (en.len < ENTRY_MIN || en.len % 4 != 0 || en.len > DISK_BLOCK - at ||
            en.name_len > en.len - ENTRY_MIN)
            return lies | 1u << LOOK_WHY_DIR;
        name = (const char *)block + at + ENTRY_MIN;
        if (en.inode == 0 || is_dots(name, en.name_len))
            continue;
        if (en.name_len == 0 || memchr(name, '/', en.name_len) || memchr(name, '\0', en.name_len))
            lies |= 1u << LOOK_WHY_NAME;
        else if (add_name(d, dir, name, en.name_len, en.inode) < 0)
            return lies | 1u << LOOK_WHY_LARGE;
    }
    return lies;
}

int disk_name_compare(const struct disk_dir *a, size_t i, const struct disk_dir *b, size_t j)
{
    const struct disk_name *x = &a->names[i], *y = &b->names[j];
    int r = memcmp(a->text + x->at, b->text + y->at, x->len < y->len ? x->len : y->len);

    return r != 0 ? r : (int)x->len - (int)y->len;
}

static int compare(const struct disk_dir *dir, size_t i, size_t j)
{
    const uint32_t x = dir->names[i].number, y = dir->names[j].number;
    int r = disk_name_compare(dir, i, dir, j);

    return r != 0 ? r : (x > y) - (x < y);
}

/* Entry `root` of the heap of n goes down to where it belongs: the largest is at its top. */
static void sift(struct disk_dir *dir, size_t root, size_t n)
{
    for (size_t below; (below = 2 * root + 1) < n; root = below) {
        struct disk_name swap = dir->names[root];

        if (below + 1 < n && compare(dir, below, below + 1) < 0)
            below++;
        if (compare(dir, root, below) >= 0)
            return;
        dir->names[root] = dir->names[below];
        dir->names[below] = swap;
    }
}

/* By heap: qsort() asks the kernel how much memory there is, and may not here. */
static void sort(struct disk_dir *dir)
{
    for (size_t i = dir->n / 2; i > 0; i--)
        sift(dir, i - 1, dir->n);
    for (size_t n = dir->n; n > 1; n--) {
        struct disk_name swap = dir->names[0];

        dir->names[0] = dir->names[n - 1];
        dir->names[n - 1] = swap;
        sift(dir, 0, n - 1);
    }
}

/* In order; of a name that comes twice the first stays. */
static unsigned tidy(struct disk_dir *dir)
{
    size_t n = 0;

    if (dir->n == 0)
        return 0;
    sort(dir);
    for (size_t i = 1; i < dir->n; i++)
        if (disk_name_compare(dir, n, dir, i) != 0)
            dir->names[++n] = dir->names[i];
    if (++n == dir->n)
        return 0;
    dir->n = n;
    return 1u << LOOK_WHY_TWICE;
}

static unsigned read_runs(struct disk *d, const struct disk_file *f, struct disk_map *m,
                          struct disk_dir *dir)
{
    uint8_t block[DISK_BLOCK] __attribute__((aligned(8)));
    struct disk_run run;
    unsigned lies = 0;
    int r;

    while ((r = disk_map_next(m, &run)) > 0)
        for (uint64_t i = 0; i < run.n; i++) {
            if (disk_is_spent(d) || (lies & 1u << LOOK_WHY_LARGE))
                return lies | 1u << LOOK_WHY_DIR;
            d->budget--;
            if (ext2fs_read_dir_block4(d->fs, run.place + i, block, 0, f->number))
                lies |= 1u << LOOK_WHY_DIR;
            else
                lies |= read_block(d, dir, block);
        }
    return r < 0 ? lies | 1u << LOOK_WHY_DIR : lies;
}

unsigned disk_dir_read(struct disk *d, const struct disk_file *f, struct disk_dir *ret)
{
    unsigned lies = 1u << LOOK_WHY_DIR;
    struct disk_map m;

    *ret = (struct disk_dir){0};
    if (S_ISDIR(f->mode) && disk_map_open(&m, d, f) == 0) {
        lies = read_runs(d, f, &m, ret);
        disk_map_close(&m);
    }
    return lies | tidy(ret);
}

void disk_dir_done(struct disk *d, struct disk_dir *dir)
{
    d->names_bytes -= dir->cap * sizeof(dir->names[0]) + dir->text_cap;
    free(dir->text);
    free(dir->names);
    *dir = (struct disk_dir){0};
}

uint32_t disk_dir_find(const struct disk_dir *dir, const char *name)
{
    for (size_t i = 0; i < dir->n; i++)
        if (dir->names[i].len == strlen(name) &&
            memcmp(dir->text + dir->names[i].at, name, dir->names[i].len) == 0)
            return dir->names[i].number;
    return 0;
}
