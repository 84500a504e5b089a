/* copy: a file or folder as a tree stream, from or into the container. See copy.h. */
#include "agent/copy.h"

#include "shared/guest.h"
#include "shared/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int status_of(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return GUEST_COPY_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return GUEST_COPY_DENIED;
    case ENOSPC:
    case EDQUOT:
        return GUEST_COPY_FULL;
    default:
        return GUEST_COPY_FAILED;
    }
}

static int write_all(int fd, const uint8_t *p, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, p, len);

        if (n < 0 && errno != EINTR)
            return -1;
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

/* ---- out ------------------------------------------------------------------------------------- */

static int collect(const char *path, const char *cap)
{
    static struct walk w;
    static uint8_t buf[65536];
    char real[PATH_MAX];
    struct stat st;
    char *base;
    size_t n;
    int fd;

    if (!realpath(path, real) || stat(real, &st) < 0)
        return status_of(errno);
    base = strrchr(real, '/');
    if (!base || !base[1])
        return GUEST_COPY_DENIED; /* the root itself, with /proc and /sys in it */
    *base++ = '\0';
    fd = open(real[0] ? real : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) /* not access(2), which knows nothing of declared paths */
        return status_of(errno);
    close(fd);
    walk_init(&w);
    walk_open(&w, real[0] ? real : "/", base, strtoull(cap, NULL, 10));
    while ((n = walk_read(&w, buf, sizeof(buf))) > 0)
        if (write_all(STDOUT_FILENO, buf, n) < 0)
            return status_of(errno);
    if (w.how == WALK_OVER)
        return GUEST_COPY_OVER;
    return w.how == WALK_DONE ? GUEST_COPY_DONE : GUEST_COPY_FAILED;
}

/* ---- in -------------------------------------------------------------------------------------- */

struct place {
    int dir_fd;      /* where the tree goes */
    const char *top; /* the name of its top entry, NULL: its own */
    struct tree_entry entry;
    size_t start, end; /* unread bytes in buf */
    uint8_t buf[131072];
};

/* More of the stream: 0 at its end. */
static ssize_t refill(struct place *p)
{
    ssize_t n;

    memmove(p->buf, p->buf + p->start, p->end - p->start);
    p->end -= p->start;
    p->start = 0;
    do
        n = read(STDIN_FILENO, p->buf + p->end, sizeof(p->buf) - p->end);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        p->end += (size_t)n;
    return n;
}

static int next_entry(struct place *p)
{
    long n;

    while ((n = tree_entry_parse(p->buf + p->start, p->end - p->start, &p->entry)) == 0)
        if (refill(p) <= 0)
            return -EBADMSG;
    if (n < 0)
        return -EBADMSG;
    p->start += (size_t)n;
    return 0;
}

/* Where the entry goes: its top name may be another one here. */
static int target(const struct place *p, char ret[PATH_MAX])
{
    const char *name = p->entry.name, *rest = p->top ? strchr(name, '/') : name;
    int n;

    if (tree_name_check(name, p->entry.name_len) != TREE_WHY_NONE)
        return -1;
    n = snprintf(ret, PATH_MAX, "%s%s", p->top ? p->top : "", rest ? rest : "");
    return n > 0 && n < PATH_MAX ? 0 : -1;
}

/* The file's content; it is read to its end even if it cannot be written. 0, or a status. */
static int copy_content(struct place *p, int fd)
{
    uint64_t left = p->entry.size;
    int status = GUEST_COPY_DONE;

    while (left > 0) {
        size_t n = p->end - p->start;

        if (n == 0) {
            if (refill(p) <= 0)
                return GUEST_COPY_FAILED;
            continue;
        }
        n = left < n ? (size_t)left : n;
        if (status == GUEST_COPY_DONE && write_all(fd, p->buf + p->start, n) < 0)
            status = status_of(errno);
        p->start += n;
        left -= n;
    }
    return status;
}

static int place_file(struct place *p, const char *path)
{
    int fd = openat(p->dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
                    p->entry.mode);
    int status = fd < 0 ? status_of(errno) : copy_content(p, fd);

    if (fd >= 0 && (fchmod(fd, p->entry.mode) < 0 || close(fd) < 0) && status == GUEST_COPY_DONE)
        status = status_of(errno);
    return status;
}

static int place_entry(struct place *p)
{
    char path[PATH_MAX];

    if (p->entry.kind == TREE_SKIPPED)
        return GUEST_COPY_DONE;
    if (target(p, path) < 0)
        return GUEST_COPY_FAILED;
    if (p->entry.kind == TREE_FILE)
        return place_file(p, path);
    if (mkdirat(p->dir_fd, path, p->entry.mode | 0700) < 0 && errno != EEXIST)
        return status_of(errno);
    return GUEST_COPY_DONE;
}

/* Into an existing folder, or under a new name beside what is there. */
static int open_place(struct place *p, char *path)
{
    const char *dir = path;
    struct stat st;
    char *slash;
    size_t len = strlen(path);

    p->top = NULL;
    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
        while (len > 1 && path[len - 1] == '/')
            path[--len] = '\0';
        slash = strrchr(path, '/');
        p->top = slash ? slash + 1 : path;
        if (tree_name_check(p->top, strlen(p->top)) != TREE_WHY_NONE)
            return -EINVAL;
        if (slash)
            *slash = '\0';
        dir = !slash ? "." : slash == path ? "/" : path;
    }
    p->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return p->dir_fd < 0 ? -errno : 0;
}

static int place(const char *path, bool in)
{
    static struct place p;
    static char copy[PATH_MAX];
    struct stat st;
    int rc, status;

    if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy))
        return GUEST_COPY_FAILED;
    if (in && stat(copy, &st) < 0)
        return status_of(errno);
    if (in && !S_ISDIR(st.st_mode))
        return GUEST_COPY_NO_FOLDER;
    rc = open_place(&p, copy);
    if (rc < 0)
        return status_of(-rc);
    for (;;) {
        if (next_entry(&p) < 0)
            return GUEST_COPY_FAILED;
        if (p.entry.kind == TREE_END)
            return GUEST_COPY_DONE;
        status = place_entry(&p);
        if (status != GUEST_COPY_DONE)
            return status;
    }
}

int copy_main(char *const argv[])
{
    if (argv[0] && strcmp(argv[0], "--collect") == 0 && argv[1] && argv[2])
        return collect(argv[1], argv[2]);
    if (argv[0] && strcmp(argv[0], "--place") == 0 && argv[1])
        return place(argv[1], false);
    if (argv[0] && strcmp(argv[0], "--place-in") == 0 && argv[1])
        return place(argv[1], true);
    return GUEST_COPY_FAILED;
}
