/* differ: walks two states of a scratch disk side by side. See differ.h. UNTRUSTED: the disks. */
#include "look/differ_private.h"

#include <string.h>
#include <sys/stat.h>

#define PLACE_AGENT ".lazaret" /* ours: GUEST_JOB_INIT */

static bool is_over(const struct differ *d)
{
    return d->cut || d->rows->failed || disk_is_spent(d->disk[1]) ||
           (d->disk[0] && disk_is_spent(d->disk[0]));
}

/* Each of a set of 1 << enum look_why. */
static void put_lies(struct differ *d, unsigned side, unsigned lies)
{
    for (unsigned why = 1; why < LOOK_WHY_END; why++)
        if (lies & 1u << why)
            differ_put_unread(d, side, (enum look_why)why);
}

/* ---- entries --------------------------------------------------------------------------------- */

/* Reads what the disk has under this number (0: nothing). False: it cannot be read. */
static bool look_at(struct differ *d, unsigned side, uint32_t number)
{
    struct sight *s = &d->sight[side];
    struct disk *disk = d->disk[side];

    memset(s, 0, sizeof(*s));
    if (number == 0)
        return true;
    if (disk_file_read(disk, number, &s->file) < 0) {
        differ_put_unread(d, side, LOOK_WHY_INODE);
        return false;
    }
    if (d->place == LOOK_ROOT && disk_is_whiteout(&s->file)) {
        s->whiteout = true;
        return true;
    }
    s->there = true;
    if (d->place == LOOK_ROOT && disk_marks_read(disk, &s->file, &s->marks) < 0) {
        differ_put_unread(d, side, LOOK_WHY_XATTR);
        return false;
    }
    return true;
}

/* Opens the folder on this disk, if it is one there. A set of what is wrong with it. */
static unsigned enter(struct differ *d, unsigned side, struct level *l, bool hidden)
{
    const struct sight *s = &d->sight[side];

    if (!s->there || !S_ISDIR(s->file.mode))
        return 0;
    if (s->file.number == DISK_ROOT_INODE) /* what places are in */
        return 1u << LOOK_WHY_CYCLE;
    for (size_t i = 0; i < d->depth; i++)
        if (d->levels[i].number[side] == s->file.number)
            return 1u << LOOK_WHY_CYCLE;
    l->number[side] = s->file.number;
    l->opaque[side] = hidden || s->marks.opaque;
    return disk_dir_read(d->disk[side], &s->file, &l->dir[side]);
}

static void leave(struct differ *d)
{
    struct level *l = &d->levels[--d->depth];

    for (unsigned side = 0; side < 2; side++)
        if (d->disk[side])
            disk_dir_done(d->disk[side], &l->dir[side]);
}

/* What is in the folder comes next. */
static void descend(struct differ *d)
{
    struct level *l = &d->levels[d->depth];
    const struct level *above = d->depth > 0 ? l - 1 : NULL;
    unsigned lies[2];

    if (!differ_is_folder(&d->sight[0]) && !differ_is_folder(&d->sight[1]))
        return;
    if (d->depth == LOOK_DEPTH_MAX) {
        differ_put_unread(d, differ_is_folder(&d->sight[1]), LOOK_WHY_DEPTH);
        return;
    }
    *l = (struct level){.path_len = d->path_len};
    for (unsigned side = 0; side < 2; side++)
        lies[side] = enter(d, side, l, above && above->opaque[side]);
    d->modes[d->depth++] = d->sight[1].file.mode;
    put_lies(d, 0, lies[0]);
    put_lies(d, 1, lies[1]);
    /* With half of it, the other disk's half would seem added or removed. */
    if (lies[0] || lies[1])
        leave(d);
}

/* The entry's path; false: it is too long. */
static bool set_path(struct differ *d, const struct level *l, const struct disk_dir *dir,
                     const struct disk_name *name)
{
    size_t at = l->path_len;

    d->path_len = at;
    if (name->len > LOOK_PATH_MAX - at - (at > 0))
        return false;
    if (at > 0)
        d->path[at++] = '/';
    memcpy(d->path + at, dir->text + name->at, name->len);
    d->path_len = at + name->len;
    return true;
}

/* The next entry of the folder that we are in. */
static void visit(struct differ *d)
{
    struct level *l = &d->levels[d->depth - 1];
    const bool has[2] = {l->at[0] < l->dir[0].n, l->at[1] < l->dir[1].n};
    uint32_t number[2] = {0, 0};
    bool fits = true;
    int order = has[0] ? -1 : 1;

    if (has[0] && has[1])
        order = disk_name_compare(&l->dir[0], l->at[0], &l->dir[1], l->at[1]);
    for (unsigned side = 0; side < 2; side++) {
        const struct disk_name *name;

        if (side == 0 ? order > 0 : order < 0)
            continue;
        name = &l->dir[side].names[l->at[side]++];
        number[side] = name->number;
        fits = set_path(d, l, &l->dir[side], name);
    }
    if (!fits) {
        differ_put_unread(d, number[1] != 0, LOOK_WHY_DEPTH);
        return;
    }
    if (d->place == LOOK_ROOT && d->path_len == strlen(PLACE_AGENT) &&
        memcmp(d->path, PLACE_AGENT, d->path_len) == 0)
        return;
    if (!look_at(d, 0, number[0]) || !look_at(d, 1, number[1]))
        return;
    differ_put_difference(d, l);
    descend(d);
}

/* ---- places ---------------------------------------------------------------------------------- */

static void walk_place(struct differ *d, enum look_place place, const uint32_t number[2])
{
    d->place = place;
    d->path_len = 0;
    if (!look_at(d, 0, number[0]) || !look_at(d, 1, number[1]))
        return;
    if (d->sight[0].there && d->sight[1].there)
        differ_put_difference(d, NULL);
    descend(d);
    while (d->depth > 0 && !is_over(d)) {
        const struct level *l = &d->levels[d->depth - 1];

        if (l->at[0] >= l->dir[0].n && l->at[1] >= l->dir[1].n)
            leave(d);
        else
            visit(d);
    }
    while (d->depth > 0)
        leave(d);
}

/* The folders of the disk's root that are places. A disk that was never used has none. */
static int find_places(struct disk *d, uint32_t ret_numbers[LOOK_PLACE_END], const char *what,
                       struct err *e)
{
    static const char *const names[LOOK_PLACE_END] = {NULL, "upper", "work", "out"};
    struct disk_file root;
    struct disk_dir dir;
    unsigned lies;

    if (disk_file_read(d, DISK_ROOT_INODE, &root) < 0)
        return err_set(e, ERR_GUEST, "%s has a file system without a root", what);
    lies = disk_dir_read(d, &root, &dir);
    for (int i = LOOK_ROOT; i < LOOK_PLACE_END; i++)
        ret_numbers[i] = disk_dir_find(&dir, names[i]);
    disk_dir_done(d, &dir);
    return lies ? err_set(e, ERR_GUEST, "%s has a damaged root folder", what) : 0;
}

static int walk(struct differ *d, struct err *e)
{
    uint32_t numbers[2][LOOK_PLACE_END] = {{0}};

    if (d->disk[0] && find_places(d->disk[0], numbers[0], "the earlier disk", e) < 0)
        return -1;
    if (find_places(d->disk[1], numbers[1], "the later disk", e) < 0)
        return -1;
    for (int i = LOOK_ROOT; i < LOOK_PLACE_END && !is_over(d); i++) {
        const uint32_t number[2] = {numbers[0][i], numbers[1][i]};

        walk_place(d, (enum look_place)i, number);
    }
    return 0;
}

static uint32_t end_flags(const struct differ *d)
{
    uint32_t flags = d->cut ? LOOK_END_CUT : 0;

    if (disk_is_spent(d->disk[1]) || (d->disk[0] && disk_is_spent(d->disk[0])))
        flags |= LOOK_END_SPENT;
    return flags | (d->tree->over ? LOOK_END_OVER : 0);
}

int differ_run(struct differ *d, struct err *e)
{
    const int rc = walk(d, e);
    const int host = disk_host_errno(d->disk[1]) ? disk_host_errno(d->disk[1])
                     : d->disk[0]                ? disk_host_errno(d->disk[0])
                                                 : 0;

    if (host != 0)
        return err_sys(e, ERR_HOST, host, "cannot read a disk");
    if (rc < 0)
        return -1;
    tree_out_end(d->tree);
    if (spool_flush(&d->tree->spool) < 0)
        return err_sys(e, ERR_HOST, d->tree->spool.failed, "cannot write the changed files");
    d->row = (struct look_row){.change = LOOK_END, .what = end_flags(d)};
    differ_put_row(d);
    if (spool_flush(d->rows) < 0)
        return err_sys(e, ERR_HOST, d->rows->failed, "cannot write the differences");
    return 0;
}
