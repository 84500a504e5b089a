/* look_rig: real scratch disks, filled by debugfs, and what lazaret-look says of them. */
#ifndef LZ_TESTS_LOOK_RIG_H
#define LZ_TESTS_LOOK_RIG_H

#include "base/spawn.h"
#include "look/look.h"
#include "snapshots/scratch.h"
#include "tests/unit/temp.h"

#include <sys/mman.h>

static struct err err;

static inline void tool(const char *const *argv, char **ret_out)
{
    const struct spawn s = {.argv = argv, .stdio = {SPAWN_NULL, SPAWN_NULL, SPAWN_NULL}};
    int r = spawn_tool(&s, NULL, 20000, ret_out, &err);

    ck_assert_msg(r == 0, "%s: %s", argv[0], err.text);
}

/* Changes the disk as debugfs is told, a command a line; files to write are in `dir`. Each command
 * must succeed: debugfs says nothing then but what it was asked, and names of inodes. */
static inline void change(const char *disk, const char *commands)
{
    own_free char *script = in_dir("script"), *path = in_dir(disk);
    const char *const argv[] = {"/sbin/debugfs", "-w", "-f", script, path, NULL};
    own_free char *out = NULL;

    put("script", commands);
    tool(argv, &out);
}

static inline void make_disk(const char *name, const char *commands)
{
    own_free char *path = in_dir(name);

    unlink(path);
    ck_assert_msg(scratch_create(path, 16u << 20, &err) == 0, "%s", err.text);
    if (commands)
        change(name, commands);
}

/* The same without checksums, for what debugfs does not write. */
static inline void make_bare_disk(const char *name, const char *commands)
{
    own_free char *path = in_dir(name);
    const char *const argv[] = {"/sbin/mke2fs",
                                "-q",
                                "-F",
                                "-t",
                                "ext4",
                                "-b",
                                "4096",
                                "-m",
                                "0",
                                "-O",
                                "^has_journal,^metadata_csum",
                                path,
                                NULL};

    unlink(path);
    put(name, "");
    ck_assert_int_eq(truncate(path, 16 << 20), 0);
    tool(argv, NULL);
    change(name, commands);
}

static inline void copy_disk(const char *from, const char *to)
{
    own_free char *a = in_dir(from), *b = in_dir(to);
    const char *const argv[] = {"cp", "--sparse=always", a, b, NULL};

    tool(argv, NULL);
}

/* Every `was` in the disk becomes `is`, of the same length. */
static inline void patch(const char *disk, const void *was, const void *is, size_t len)
{
    own_free char *path = in_dir(disk);
    own_close int fd = open(path, O_RDWR | O_CLOEXEC);
    const size_t size = 16u << 20;
    char *all = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), *at = all;
    int n = 0;

    ck_assert_ptr_ne(all, MAP_FAILED);
    while ((at = memmem(at, size - (size_t)(at - all), was, len))) {
        memcpy(at, is, len);
        n++;
    }
    munmap(all, size);
    ck_assert_int_gt(n, 0);
}

static inline int open_disk(const char *name)
{
    own_free char *path = name ? in_dir(name) : NULL;

    return path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
}

/* What differs, a line a row; `tree_fd` as look_diff(). NULL and `err` if it failed. */
static inline char *diff_with(const char *earlier, const char *later, int tree_fd, uint64_t max,
                              struct look_result *ret)
{
    own_close int a = open_disk(earlier), b = open_disk(later);
    own_close int fd = memfd_create("rows", MFD_CLOEXEC);
    static struct look_rows rows;
    own_str struct str lines = {0};
    uint64_t n = 0;

    if (look_diff(LOOK_PATH, a, b, fd, tree_fd, max, 15000, ret, &err) < 0)
        return NULL;
    rows = (struct look_rows){.fd = fd};
    for (bool more = true;; n++) {
        char text[LOOK_TEXT_SIZE];
        struct look_row row;

        ck_assert_msg(look_rows_next(&rows, &row, &more, &err) == 0, "%s", err.text);
        if (!more)
            break;
        ck_assert(str_is_printable(look_row_format_text(text, &row), sizeof(text)));
        str_addf(&lines, "%s\n", text);
    }
    ck_assert_uint_eq(n, ret->added + ret->changed + ret->removed + ret->unread);
    return str_steal(&lines);
}

static inline void expect(const char *earlier, const char *later, const char *want)
{
    struct look_result r;
    own_free char *got = diff_with(earlier, later, -1, 0, &r);

    ck_assert_msg(got != NULL, "%s", err.text);
    ck_assert_str_eq(got, want);
    ck_assert(!r.cut && !r.spent && !r.over);
}

#endif
