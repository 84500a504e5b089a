/* differ_entry: compares one entry on two disks, and writes the row. See differ.h. UNTRUSTED. */
#include "look/differ_private.h"

#include <string.h>
#include <sys/stat.h>

void differ_put_row(struct differ *d)
{
    uint8_t raw[LOOK_HEADER_SIZE + LOOK_PATH_MAX];

    spool_put(d->rows, raw, look_row_format(raw, &d->row));
}

static void put(struct differ *d, const struct look_row *head)
{
    if (d->n_rows == LOOK_ROWS_MAX) {
        d->cut = true;
        return;
    }
    d->n_rows++;
    d->row = *head;
    d->row.place = (uint8_t)d->place;
    d->row.path_len = d->path_len;
    memcpy(d->row.path, d->path, d->path_len);
    differ_put_row(d);
}

void differ_put_unread(struct differ *d, unsigned side, enum look_why why)
{
    const struct look_row row = {.change = LOOK_UNREAD, .side = (uint8_t)side, .why = (uint8_t)why};

    put(d, &row);
}

bool differ_is_folder(const struct sight *s)
{
    return s->there && S_ISDIR(s->file.mode);
}

static uint8_t kind_of(const struct disk_file *f)
{
    switch (f->mode & S_IFMT) {
    case S_IFREG:
        return LOOK_FILE;
    case S_IFDIR:
        return LOOK_DIR;
    case S_IFLNK:
        return LOOK_LINK;
    case S_IFCHR:
        return LOOK_CHAR;
    case S_IFBLK:
        return LOOK_BLOCK;
    case S_IFIFO:
        return LOOK_FIFO;
    default:
        return LOOK_SOCKET;
    }
}

static uint64_t size_of(const struct disk_file *f)
{
    return S_ISREG(f->mode) || S_ISLNK(f->mode) ? f->size : 0;
}

/* ---- content --------------------------------------------------------------------------------- */

/*
 * The blocks from here on, at most as many as `buf` has, are the same: 1, 0, or -1 with the side
 * that is damaged. What lies behind the end of the file in its last block does not count.
 */
static int same_blocks(struct differ *d, struct disk_reader r[2], unsigned *ret_side)
{
    const uint64_t most = sizeof(d->buf[0]) / DISK_BLOCK;
    const uint64_t left = d->sight[0].file.size - r[0].block * DISK_BLOCK;
    uint64_t n[2], bytes;
    bool zeros[2];

    for (unsigned side = 0; side < 2; side++)
        n[side] = disk_reader_stretch(&r[side], &zeros[side]);
    n[0] = n[0] < n[1] ? n[0] : n[1];
    if (n[0] > most && !(zeros[0] && zeros[1]))
        n[0] = most;
    for (unsigned side = 0; side < 2; side++) {
        *ret_side = side;
        if (disk_reader_take(&r[side], n[0], zeros[0] && zeros[1] ? NULL : d->buf[side]) < 0)
            return -1;
    }
    if (zeros[0] && zeros[1])
        return 1;
    bytes = n[0] * DISK_BLOCK < left ? n[0] * DISK_BLOCK : left;
    return memcmp(d->buf[0], d->buf[1], (size_t)bytes) == 0;
}

/* As same_blocks(), to the end. */
static int same_content(struct differ *d, unsigned *ret_side)
{
    struct disk_reader r[2];
    int same = 1;

    *ret_side = 0;
    if (disk_reader_open(&r[0], d->disk[0], &d->sight[0].file) < 0)
        return -1;
    *ret_side = 1;
    if (disk_reader_open(&r[1], d->disk[1], &d->sight[1].file) < 0)
        same = -1;
    while (same > 0 && r[0].block < r[0].end)
        same = same_blocks(d, r, ret_side);
    disk_reader_close(&r[0]);
    disk_reader_close(&r[1]);
    return same;
}

static int same_target(struct differ *d, unsigned *ret_side)
{
    size_t len[2];

    for (unsigned side = 0; side < 2; side++) {
        *ret_side = side;
        if (disk_link_read(d->disk[side], &d->sight[side].file, (char *)d->buf[side], &len[side]) <
            0)
            return -1;
    }
    return len[0] == len[1] && memcmp(d->buf[0], d->buf[1], len[0]) == 0;
}

/* ---- entries --------------------------------------------------------------------------------- */

/* What differs in two files of one kind, but for what is in them. */
static uint32_t compare_inodes(const struct sight *a, const struct sight *b)
{
    const struct disk_file *f = &a->file, *g = &b->file;
    uint32_t what = 0;

    if (f->mode != g->mode)
        what |= LOOK_WHAT_MODE;
    if (f->uid != g->uid || f->gid != g->gid)
        what |= LOOK_WHAT_OWNER;
    if (S_ISREG(f->mode) && f->size != g->size)
        what |= LOOK_WHAT_SIZE;
    if (memcmp(f->device, g->device, sizeof(f->device)) != 0)
        what |= LOOK_WHAT_DEVICE;
    if (a->marks.opaque != b->marks.opaque)
        what |= LOOK_WHAT_HIDES;
    return what;
}

static uint32_t compare(struct differ *d)
{
    const struct sight *a = &d->sight[0], *b = &d->sight[1];
    unsigned side = 0;
    uint32_t what;
    int same = 1;

    if ((a->file.mode ^ b->file.mode) & S_IFMT)
        return LOOK_WHAT_KIND;
    what = compare_inodes(a, b);
    if (S_ISLNK(a->file.mode))
        same = same_target(d, &side);
    else if (S_ISREG(a->file.mode) && a->file.size == b->file.size)
        same = same_content(d, &side);
    if (same == 0)
        what |= S_ISLNK(a->file.mode) ? LOOK_WHAT_TARGET : LOOK_WHAT_CONTENT;
    if (same < 0 && !disk_is_spent(d->disk[side])) /* the last row says that it is */
        differ_put_unread(d, side, LOOK_WHY_DATA);
    return what;
}

/* What one disk only shows. False: neither shows anything, or both the image's. */
static bool judge_one(const struct differ *d, const struct level *l, struct look_row *row)
{
    const struct sight *a = &d->sight[0], *b = &d->sight[1];

    if (a->there) {
        row->change = LOOK_REMOVED;
    } else if (b->there && b->marks.copied && !a->whiteout) {
        row->change = LOOK_CHANGED;
        row->kind[0] = LOOK_IMAGE;
    } else if (b->there) {
        row->change = LOOK_ADDED;
    } else if (b->whiteout && !a->whiteout) {
        row->change = LOOK_REMOVED;
        row->kind[0] = LOOK_IMAGE;
    } else if (a->whiteout && !b->whiteout && l && l->number[1] != 0 && !l->opaque[1]) {
        row->change = LOOK_ADDED;
        row->kind[1] = LOOK_IMAGE;
    } else {
        return false;
    }
    return true;
}

void differ_put_difference(struct differ *d, const struct level *l)
{
    const struct sight *a = &d->sight[0], *b = &d->sight[1];
    struct look_row row = {0};

    for (unsigned side = 0; side < 2; side++)
        if (d->sight[side].there) {
            row.kind[side] = kind_of(&d->sight[side].file);
            row.size[side] = size_of(&d->sight[side].file);
        }
    if (a->there && b->there) {
        row.change = LOOK_CHANGED;
        row.what = compare(d);
        if (row.what == 0)
            return;
    } else if (!judge_one(d, l, &row)) {
        return;
    }
    put(d, &row);
    if (b->there)
        tree_out_put(d->tree, d->disk[1], &b->file, d->place, d->path, d->path_len, d->modes);
}
