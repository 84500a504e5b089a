/*
 * pack: host folders -> one read-only squashfs input disk.
 *
 * How it works: every folder is first walked with directory fds, without following links, so that
 * the user hears of the first thing that cannot go in before anything is written. Then mksquashfs
 * reads the same folders; it stops at the first error, so nothing can be left out in silence.
 */
#include "images/pack.h"

#include "base/file.h"
#include "base/own.h"
#include "base/spawn.h"
#include "images/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define PACK_DEPTH_MAX   128
#define PACK_ENTRIES_MAX 4000000u
#define PACK_TIMEOUT_S   3600
#define PACK_ROOM_MIN    1048576u /* bytes; with less left a failure was for want of room */

/* The folders that are open above the current place. */
struct walk {
    DIR *dirs[PACK_DEPTH_MAX];
    size_t path_len[PACK_DEPTH_MAX]; /* bytes of `path` that name dirs[i] */
    size_t depth;
    size_t entries;
    uint64_t left; /* bytes of content that may still come; of all folders together */
    struct str path;
};

static void walk_done(struct walk *w)
{
    while (w->depth > 0)
        closedir(w->dirs[--w->depth]);
    str_done(&w->path);
}

/* Paths are the user's own, but they go to a terminal. */
static int refuse(const struct walk *w, const char *why, int errnum, struct err *e)
{
    char shown[512];

    str_escape(shown, sizeof(shown), w->path.data, w->path.len);
    if (errnum)
        return err_sys(e, ERR_USAGE, errnum, "input '%s': %s", shown, why);
    return err_set(e, ERR_USAGE, "input '%s': %s", shown, why);
}

static int enter(struct walk *w, int parent, const char *name, struct err *e)
{
    /* The top folder may be given by a link; below it none is followed. */
    int nofollow = w->depth > 0 ? O_NOFOLLOW : 0;
    int fd;

    if (w->depth == PACK_DEPTH_MAX)
        return refuse(w, "folders are nested too deeply", 0, e);
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | nofollow);
    w->dirs[w->depth] = fd < 0 ? NULL : fdopendir(fd);
    if (!w->dirs[w->depth]) {
        int errnum = errno;

        if (fd >= 0)
            close(fd);
        return refuse(w, "cannot read the folder", errnum, e);
    }
    w->path_len[w->depth] = w->path.len;
    w->depth++;
    return 0;
}

static int check_file(struct walk *w, int parent, const char *name, struct err *e)
{
    own_close int fd = openat(parent, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return refuse(w, "cannot read the file", errno, e);
    if ((uint64_t)st.st_size > w->left)
        return refuse(w, "with it the input is too large (raise it with --in-max)", 0, e);
    w->left -= (uint64_t)st.st_size;
    return 0;
}

bool pack_link_stays(unsigned depth, const char *target)
{
    bool down = false;

    if (target[0] == '/')
        return false;
    while (*target) {
        size_t len = strcspn(target, "/");
        bool up = len == 2 && target[0] == '.' && target[1] == '.';

        if (up && (down || depth-- == 0))
            return false;
        if (!up && len > 0 && !(len == 1 && target[0] == '.'))
            down = true;
        target += len + (target[len] == '/');
    }
    return true;
}

static int check_link(struct walk *w, int parent, const char *name, struct err *e)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(parent, name, target, sizeof(target) - 1);

    if (n < 0)
        return refuse(w, "cannot read the link", errno, e);
    target[n] = '\0';
    return pack_link_stays((unsigned)w->depth - 1, target) ? 0 : refuse(w, PACK_LINK_LEAVES, 0, e);
}

static int check_entry(struct walk *w, const char *name, struct err *e)
{
    DIR *dir = w->dirs[w->depth - 1];
    struct stat st;

    w->path.len = w->path_len[w->depth - 1];
    str_addf(&w->path, "/%s", name);
    if (++w->entries > PACK_ENTRIES_MAX)
        return refuse(w, "too many files", 0, e);
    if (fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return refuse(w, "cannot read it", errno, e);
    if (S_ISDIR(st.st_mode))
        return enter(w, dirfd(dir), name, e);
    if (S_ISREG(st.st_mode))
        return check_file(w, dirfd(dir), name, e);
    if (S_ISLNK(st.st_mode))
        return check_link(w, dirfd(dir), name, e);
    return refuse(w, "is a device, socket or pipe; only files, folders and links can go in", 0, e);
}

static int scan(const char *folder, uint64_t *left, struct err *e)
{
    __attribute__((cleanup(walk_done))) struct walk w = {.left = *left};

    str_add(&w.path, folder);
    if (enter(&w, AT_FDCWD, folder, e) < 0)
        return -1;
    while (w.depth > 0) {
        struct dirent *d;

        errno = 0;
        d = readdir(w.dirs[w.depth - 1]);
        if (!d && errno)
            return refuse(&w, "cannot read the folder", errno, e);
        if (!d)
            closedir(w.dirs[--w.depth]);
        else if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 &&
                 check_entry(&w, d->d_name, e) < 0)
            return -1;
    }
    *left = w.left;
    return 0;
}

static const char *base_name(const char *path)
{
    return strrchr(path, '/') + 1;
}

/* mksquashfs names folders by the last part of their path, so it gets whole, resolved ones. */
static int resolve(const struct strv *folders, struct strv *ret, struct err *e)
{
    for (size_t i = 0; i < folders->n; i++) {
        own_free char *path = realpath(folders->items[i], NULL);

        if (!path)
            return err_sys(e, ERR_USAGE, errno, "input '%s'", folders->items[i]);
        if (folders->n > 1 && *base_name(path) == '\0')
            return err_set(e, ERR_USAGE, "input '%s' has no name of its own", folders->items[i]);
        for (size_t j = 0; j < i; j++)
            if (strcmp(base_name(path), base_name(ret->items[j])) == 0)
                return err_set(e, ERR_USAGE,
                               "inputs '%s' and '%s' have the same name (rename one of them)",
                               folders->items[j], folders->items[i]);
        strv_add(ret, path);
    }
    return 0;
}

static int squash(const struct strv *folders, const char *path, uid_t uid, gid_t gid, struct err *e)
{
    /* No extended attributes: labels and capabilities of the host mean nothing in the guest. */
    static const char *const options[] = {
        "-comp",      "lz4",    "-noappend",  "-no-progress", "-no-recovery",
        "-no-xattrs", "-quiet", "-root-mode", "0755",         "-exit-on-error"};
    own_strv struct strv argv = {0};
    struct tool t = {.package = "squashfs-tools",
                     .in = SPAWN_NULL,
                     .out = SPAWN_NULL,
                     .timeout_s = PACK_TIMEOUT_S};

    strv_add(&argv, "mksquashfs");
    strv_add_all(&argv, folders);
    strv_add(&argv, path);
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        strv_add(&argv, options[i]);
    strv_add(&argv, "-force-uid");
    strv_addf(&argv, "%u", uid);
    strv_add(&argv, "-force-gid");
    strv_addf(&argv, "%u", gid);
    t.argv = (const char *const *)argv.items;
    return tool_run(&t, e);
}

int pack_folders(const struct strv *folders, uint64_t max_bytes, const char *path, uid_t uid,
                 gid_t gid, struct err *e)
{
    own_strv struct strv resolved = {0};
    own_close int fd = -1;

    if (folders->n == 0)
        return err_set(e, ERR_USAGE, "no input folder");
    if (resolve(folders, &resolved, e) < 0)
        return -1;
    for (size_t i = 0; i < resolved.n; i++)
        if (scan(resolved.items[i], &max_bytes, e) < 0)
            return -1;
    /* Ours from the start, and readable by nobody else. */
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot make the input disk '%s'", path);
    if (squash(&resolved, path, uid, gid, e) < 0) {
        bool full = file_is_full(fd, PACK_ROOM_MIN);

        unlink(path);
        if (full)
            return err_set(e, ERR_HOST, "no space for the input disk '%s' (make room there)", path);
        return err_wrap(e, "input disk");
    }
    return 0;
}
