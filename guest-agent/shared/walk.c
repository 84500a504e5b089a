/* walk: a folder, or one entry of it, as a tree stream. See walk.h. UNTRUSTED: the folder. */
#include "shared/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WALK_OPEN (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)

void walk_init(struct walk *w)
{
    w->done = false;
    w->how = WALK_DONE;
    w->only = NULL;
    w->file_fd = -1;
    w->depth = 0;
    w->head_at = w->head_len = 0;
    w->entries = w->skipped = 0;
    w->entry.name_len = 0;
}

void walk_close(struct walk *w)
{
    while (w->depth > 0)
        closedir(w->levels[--w->depth].dir);
    if (w->file_fd >= 0)
        close(w->file_fd);
    walk_init(w);
}

/* Queues an entry: its header and name are the next bytes of the stream. */
static void put_entry(struct walk *w, enum tree_kind kind, enum tree_why why, uint32_t mode,
                      uint64_t size)
{
    w->entry.kind = (uint8_t)kind;
    w->entry.why = (uint8_t)why;
    w->entry.mode = (uint16_t)(mode & 0777);
    w->entry.size = size;
    w->head_at = 0;
    w->head_len = tree_entry_format(w->head, &w->entry);
    w->entries++;
    w->skipped += kind == TREE_SKIPPED;
}

static void put_end(struct walk *w, enum walk_how how)
{
    while (w->depth > 0)
        closedir(w->levels[--w->depth].dir);
    w->how = how;
    w->done = true;
    w->entry.name_len = 0;
    if (how != WALK_ERROR)
        put_entry(w, TREE_END, TREE_WHY_NONE, 0, 0);
}

static int push(struct walk *w, int fd, size_t name_len)
{
    DIR *d = fdopendir(fd);

    if (!d) {
        close(fd);
        return -1;
    }
    w->levels[w->depth++] = (struct walk_level){.dir = d, .name_len = name_len};
    return 0;
}

void walk_open(struct walk *w, const char *dir, const char *only, uint64_t cap_bytes)
{
    int fd = open(dir, WALK_OPEN | O_DIRECTORY);

    walk_close(w);
    w->left = cap_bytes;
    w->only = only;
    if (fd < 0 || push(w, fd, 0) < 0)
        put_end(w, WALK_ERROR);
}

/* The current entry's path: that of its folder, and its name. False: it was cut. */
static bool set_name(struct walk *w, const char *name)
{
    size_t at = w->levels[w->depth - 1].name_len, len = strlen(name);
    bool whole;

    if (at > 0 && at < TREE_NAME_MAX)
        w->entry.name[at++] = '/';
    whole = len <= TREE_NAME_MAX - at;
    len = whole ? len : TREE_NAME_MAX - at;
    memcpy(w->entry.name + at, name, len);
    w->entry.name_len = at + len;
    w->entry.name[at + len] = '\0';
    return whole;
}

static enum tree_why why_not(const struct stat *st)
{
    if (S_ISLNK(st->st_mode))
        return TREE_WHY_LINK;
    if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
        return TREE_WHY_SPECIAL;
    return st->st_mode & (S_ISUID | S_ISGID) ? TREE_WHY_SETID : TREE_WHY_NONE;
}

/*
 * Opens what is there under this name, if it may cross. The first look keeps us from opening a
 * device; what was opened is looked at again, for somebody may have exchanged it.
 */
static enum tree_why open_entry(int dir_fd, const char *name, int *ret_fd, struct stat *ret_st)
{
    enum tree_why why;

    if (fstatat(dir_fd, name, ret_st, AT_SYMLINK_NOFOLLOW) < 0)
        return TREE_WHY_UNREADABLE;
    why = why_not(ret_st);
    if (why != TREE_WHY_NONE)
        return why;
    *ret_fd = openat(dir_fd, name, WALK_OPEN);
    if (*ret_fd < 0)
        return TREE_WHY_UNREADABLE;
    why = fstat(*ret_fd, ret_st) < 0 ? TREE_WHY_UNREADABLE : why_not(ret_st);
    if (why != TREE_WHY_NONE) {
        close(*ret_fd);
        *ret_fd = -1;
    }
    return why;
}

static void put_file(struct walk *w, int fd, const struct stat *st)
{
    uint64_t size = (uint64_t)st->st_size;

    if (size > w->left) {
        close(fd);
        put_end(w, WALK_OVER);
        return;
    }
    w->left -= size;
    w->file_left = size;
    w->file_fd = fd;
    put_entry(w, TREE_FILE, TREE_WHY_NONE, st->st_mode, size);
}

static void put_dir(struct walk *w, int fd, const struct stat *st)
{
    if (push(w, fd, w->entry.name_len) < 0)
        put_entry(w, TREE_SKIPPED, TREE_WHY_UNREADABLE, 0, 0);
    else
        put_entry(w, TREE_DIR, TREE_WHY_NONE, st->st_mode, 0);
}

static void visit(struct walk *w, const char *name)
{
    enum tree_why why = TREE_WHY_DEPTH;
    struct stat st;
    int fd = -1;

    if (w->entries >= TREE_ENTRIES_MAX - 1) {
        put_end(w, WALK_OVER);
        return;
    }
    if (set_name(w, name))
        why = tree_name_check(w->entry.name, w->entry.name_len);
    if (why == TREE_WHY_NONE)
        why = open_entry(dirfd(w->levels[w->depth - 1].dir), name, &fd, &st);
    if (why != TREE_WHY_NONE)
        put_entry(w, TREE_SKIPPED, why, 0, 0);
    else if (S_ISDIR(st.st_mode))
        put_dir(w, fd, &st);
    else
        put_file(w, fd, &st);
}

/* One step of the walk. */
static void step(struct walk *w)
{
    struct dirent *en;

    if (w->only && w->depth == 1) {
        const char *name = w->only;

        w->only = ""; /* it was this one; then the end */
        if (name[0])
            visit(w, name);
        else
            put_end(w, WALK_DONE);
        return;
    }
    errno = 0;
    en = readdir(w->levels[w->depth - 1].dir);
    if (en && strcmp(en->d_name, ".") != 0 && strcmp(en->d_name, "..") != 0) {
        visit(w, en->d_name);
    } else if (!en && errno != 0) {
        put_end(w, WALK_ERROR);
    } else if (!en) {
        closedir(w->levels[--w->depth].dir);
        if (w->depth == 0)
            put_end(w, WALK_DONE);
    }
}

static size_t copy_head(struct walk *w, uint8_t *out, size_t room)
{
    size_t n = w->head_len - w->head_at;

    n = n < room ? n : room;
    memcpy(out, w->head + w->head_at, n);
    w->head_at += n;
    return n;
}

static size_t copy_file(struct walk *w, uint8_t *out, size_t room)
{
    ssize_t n;

    room = w->file_left < room ? (size_t)w->file_left : room;
    n = room > 0 ? read(w->file_fd, out, room) : 0;
    if (room > 0 && n <= 0) {
        /* Shorter than it was a moment ago: its size has been told, so the stream is over. */
        close(w->file_fd);
        w->file_fd = -1;
        put_end(w, WALK_ERROR);
        return 0;
    }
    w->file_left -= (uint64_t)n;
    if (w->file_left == 0) {
        close(w->file_fd);
        w->file_fd = -1;
    }
    return (size_t)n;
}

size_t walk_read(struct walk *w, uint8_t *out, size_t room)
{
    size_t n = 0;

    while (n < room) {
        if (w->head_at < w->head_len)
            n += copy_head(w, out + n, room - n);
        else if (w->file_fd >= 0)
            n += copy_file(w, out + n, room - n);
        else if (!w->done)
            step(w);
        else
            break;
    }
    return n;
}

bool walk_is_over(const struct walk *w)
{
    return w->done && w->head_at == w->head_len;
}
