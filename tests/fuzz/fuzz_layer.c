/* fuzz_layer: two tars become layers of one tree, by its rules, and the tree reads back as written.
 */
#include "images/rootfs_private.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/tar_blocks.h"

#include "base/own.h"
#include "base/str.h"
#include "shared/guest.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int make_fd(const void *data, size_t len)
{
    int fd = memfd_create("layer", MFD_CLOEXEC);

    MUST(fd >= 0 && write(fd, data, len) == (ssize_t)len);
    return fd;
}

static bool climbs_out(const char *path, const char *target)
{
    int depth = 0;

    if (target[0] == '/')
        return false;
    for (const char *p = path; *p; p++)
        depth += *p == '/';
    for (const char *p = target; *p && depth >= 0; p += strcspn(p, "/"), p += strspn(p, "/")) {
        size_t n = strcspn(p, "/");

        if (n == 2 && p[0] == '.' && p[1] == '.')
            depth--;
        else if (n > 1 || (n == 1 && p[0] != '.'))
            depth++;
    }
    return depth < 0;
}

static void check_path(const struct rootfs *r, const char *path)
{
    char parent[ROOTFS_PATH_MAX + 1];
    const char *slash = strrchr(path, '/');

    MUST(path[0] != '\0' && path[0] != '/' && strlen(path) <= ROOTFS_PATH_MAX);
    MUST(!strstr(path, "//") && strcmp(path, "..") != 0 && strncmp(path, "../", 3) != 0);
    MUST(!strstr(path, "/../") && path[strlen(path) - 1] != '/');
    if (!slash)
        return;
    memcpy(parent, path, (size_t)(slash - path));
    parent[slash - path] = '\0';
    MUST(S_ISDIR(rootfs_find(r, parent)->mode));
}

struct walk {
    const struct rootfs *r, *other; /* `other` has the same names, owners apart; or NULL */
    size_t n;
};

static int check_entry(void *arg, const char *path, const struct rootfs_entry *en, struct err *e)
{
    struct walk *w = arg;
    own_free char *data = NULL, *same = NULL;
    size_t len, same_len;

    check_path(w->r, path);
    w->n++;
    MUST(rootfs_find(w->r, path) == en);
    MUST(en->uid < GUEST_ID_COUNT && en->gid < GUEST_ID_COUNT);
    MUST((en->mode & ~(S_IFMT | 01777)) == 0 && !S_ISLNK(en->mode) == !en->target);
    MUST(!en->target || (*en->target && !climbs_out(path, en->target)));
    if (w->other) {
        const struct rootfs_entry *o = rootfs_find(w->other, path);

        MUST(o && o->mode == en->mode && o->size == en->size);
        MUST(!en->target || strcmp(o->target, en->target) == 0);
    }
    if (S_ISREG(en->mode)) {
        MUST(rootfs_read(w->r, path, SIZE_MAX, &data, &len, e) == 0 && len == en->size);
        if (w->other)
            MUST(rootfs_read(w->other, path, SIZE_MAX, &same, &same_len, e) == 0 &&
                 same_len == len && memcmp(same, data, len) == 0);
    } else {
        MUST(S_ISDIR(en->mode) || S_ISLNK(en->mode));
    }
    return 0;
}

static size_t check_tree(const struct rootfs *r, const struct rootfs *other)
{
    struct walk w = {.r = r, .other = other};
    struct err e;

    MUST(rootfs_each(r, check_entry, &w, &e) == 0);
    return w.n;
}

static int collect(void *arg, const void *data, size_t len, struct err *e)
{
    (void)e;
    str_add_bytes(arg, data, len);
    return 0;
}

static void check_written(const struct rootfs *r)
{
    own_rootfs struct rootfs *back = NULL;
    own_str struct str tar = {0};
    own_close int fd = -1;
    struct err e;

    MUST(rootfs_write_tar(r, collect, &tar, &e) == 0);
    fd = make_fd(tar.data, tar.len);
    MUST(rootfs_new("/dev/shm", &back, &e) == 0);
    MUST(rootfs_add_archive(back, fd, "back", &e) == 0);
    MUST(check_tree(r, back) == check_tree(back, NULL));
}

static int add(struct rootfs *r, const uint8_t *data, size_t len)
{
    own_free uint8_t *copy = malloc(len + 1024);
    own_close int fd = -1;
    struct err e;

    MUST(copy);
    if (len > 0)
        memcpy(copy, data, len);
    memset(copy + len, 0, 1024);
    len = ((len + 511) & ~(size_t)511) + 512; /* ends with an end mark, if it gets there */
    fix_checksums(copy, len);
    fd = make_fd(copy, len);
    if (rootfs_add_layer(r, fd, "layer", true, &e) == 0)
        return 0;
    MUST(e.class == ERR_IMAGE && str_is_printable(e.text, sizeof(e.text)));
    return -1;
}

/* The first byte says how many blocks are the lower layer. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    own_rootfs struct rootfs *r = NULL;
    size_t lower;
    struct err e;

    if (len == 0)
        return 0;
    lower = (size_t)data[0] * 512 < len - 1 ? (size_t)data[0] * 512 : len - 1;
    MUST(rootfs_new("/dev/shm", &r, &e) == 0);
    if (add(r, data + 1, lower) < 0)
        return 0;
    check_tree(r, NULL);
    if (add(r, data + 1 + lower, len - 1 - lower) < 0)
        return 0;
    check_written(r);
    return 0;
}
