/* tree_out: the added and changed files of a disk as a tree stream. See tree_out.h. */
#include "look/tree_out.h"

#include <string.h>
#include <sys/stat.h>

static void put(struct tree_out *t, enum tree_kind kind, enum tree_why why, uint32_t mode,
                uint64_t size)
{
    uint8_t raw[TREE_HEADER_SIZE + TREE_NAME_MAX];

    if (kind != TREE_END && t->entries >= TREE_ENTRIES_MAX - 1) {
        t->over = true;
        return;
    }
    t->entry.kind = (uint8_t)kind;
    t->entry.why = (uint8_t)why;
    t->entry.mode = (uint16_t)(mode & 0777);
    t->entry.size = size;
    spool_put(&t->spool, raw, tree_entry_format(raw, &t->entry));
    t->entries++;
}

static void skip(struct tree_out *t, enum tree_why why)
{
    put(t, TREE_SKIPPED, why, 0, 0);
}

/* The entry's name; false: it was cut. */
static bool set_name(struct tree_out *t, enum look_place place, const char *path, size_t len)
{
    static const char *const tops[] = {
        [LOOK_ROOT] = "root", [LOOK_WORK] = "work", [LOOK_OUT] = "out"};
    size_t at = strlen(tops[place]);
    bool whole;

    memcpy(t->entry.name, tops[place], at);
    if (len > 0)
        t->entry.name[at++] = '/';
    whole = len <= TREE_NAME_MAX - at;
    len = whole ? len : TREE_NAME_MAX - at;
    memcpy(t->entry.name + at, path, len);
    t->entry.name_len = at + len;
    t->entry.name[at + len] = '\0';
    return whole;
}

/* True if the first `len` bytes of the entry's name are a folder that was sent. */
static bool was_sent(const struct tree_out *t, size_t len)
{
    return len <= t->folder_len && memcmp(t->folder, t->entry.name, len) == 0 &&
           (len == t->folder_len || t->folder[len] == '/');
}

static void put_folder(struct tree_out *t, size_t len, uint32_t mode)
{
    char cut = t->entry.name[len];
    size_t whole = t->entry.name_len;

    t->entry.name[len] = '\0';
    t->entry.name_len = len;
    put(t, TREE_DIR, TREE_WHY_NONE, mode, 0);
    memcpy(t->folder, t->entry.name, len + 1);
    t->folder_len = len;
    t->entry.name[len] = cut;
    t->entry.name_len = whole;
}

static void put_folders(struct tree_out *t, const uint32_t *modes)
{
    size_t depth = 0;

    for (size_t i = 0; i < t->entry.name_len && !t->over; i++)
        if (t->entry.name[i] == '/') {
            if (!was_sent(t, i))
                put_folder(t, i, modes[depth]);
            depth++;
        }
}

/*
 * The file's blocks were found sound: what fails now is the host, or the budget. The stream says
 * how long the file is, so it is that long whatever happens.
 */
static void put_content(struct tree_out *t, struct disk_reader *r, uint64_t left)
{
    while (left > 0) {
        uint64_t bytes = left < sizeof(t->buf) ? left : sizeof(t->buf);

        if (!t->over) {
            bool zeros;
            uint64_t n = disk_reader_stretch(r, &zeros), most = sizeof(t->buf) / DISK_BLOCK;

            n = n < most ? n : most;
            bytes = n * DISK_BLOCK < left ? n * DISK_BLOCK : left;
            t->over = disk_reader_take(r, n, t->buf) < 0;
        }
        if (t->over)
            memset(t->buf, 0, (size_t)bytes);
        spool_put(&t->spool, t->buf, (size_t)bytes);
        left -= bytes;
    }
}

static void put_file(struct tree_out *t, struct disk *d, const struct disk_file *f)
{
    struct disk_reader r;

    if (!disk_file_is_sound(d, f) || disk_reader_open(&r, d, f) < 0) {
        skip(t, TREE_WHY_UNREADABLE);
        return;
    }
    if (f->size > t->left_bytes)
        t->over = true;
    else
        put(t, TREE_FILE, TREE_WHY_NONE, f->mode, f->size);
    if (!t->over) {
        t->left_bytes -= f->size;
        put_content(t, &r, f->size);
    }
    disk_reader_close(&r);
}

static enum tree_why why_not(const struct tree_out *t, const struct disk_file *f)
{
    if (S_ISLNK(f->mode))
        return TREE_WHY_LINK;
    if (!S_ISREG(f->mode) && !S_ISDIR(f->mode))
        return TREE_WHY_SPECIAL;
    if (S_ISREG(f->mode) && (f->mode & (S_ISUID | S_ISGID)))
        return TREE_WHY_SETID;
    return tree_name_check(t->entry.name, t->entry.name_len);
}

void tree_out_put(struct tree_out *t, struct disk *d, const struct disk_file *f,
                  enum look_place place, const char *path, size_t path_len, const uint32_t *modes)
{
    enum tree_why why = TREE_WHY_DEPTH;

    if (!t->wanted || t->over)
        return;
    if (set_name(t, place, path, path_len))
        why = why_not(t, f);
    if (why != TREE_WHY_NONE) {
        skip(t, why);
        return;
    }
    put_folders(t, modes);
    if (t->over)
        return;
    if (S_ISREG(f->mode))
        put_file(t, d, f);
    else if (!was_sent(t, t->entry.name_len))
        put_folder(t, t->entry.name_len, f->mode);
}

void tree_out_end(struct tree_out *t)
{
    t->entry.name_len = 0;
    if (t->wanted)
        put(t, TREE_END, TREE_WHY_NONE, 0, 0);
}
