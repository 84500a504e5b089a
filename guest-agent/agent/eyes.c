/* eyes: watches what a job does to files. See eyes.h. UNTRUSTED: paths, and what is behind them. */
#include "agent/eyes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EYES_MOUNTS  128 /* of a container; it has about twenty */
#define EYES_LINE    1024
#define EYES_READS   8  /* in one turn */
#define EYES_EVENTS  42 /* in one read; each holds an fd */
#define EYES_REST_MS 20
#define EYES_DELETED " (deleted)"
#define EYES_TOUCH   (FAN_OPEN | FAN_MODIFY)
#define EYES_FD_PATH 32
#define EYES_PATH    (WIRE_PATH_MAX + 16) /* room for it, and to see that it is longer */

void eyes_init(struct eyes *y)
{
    y->files = y->canaries = y->mounts = -1;
    y->rest_ms = 0;
    y->config_at = 0;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void eyes_close(struct eyes *y)
{
    close_fd(&y->files);
    close_fd(&y->canaries);
    close_fd(&y->mounts);
    y->rest_ms = 0;
    y->config_at = 0;
}

ssize_t eyes_take_config(struct eyes *y, const struct wire_exec *ask, const uint8_t *p, size_t len)
{
    size_t left = ask->canaries * WIRE_CANARY_SIZE - y->config_at;

    if (len > left)
        len = left;
    if (len == 0)
        return 0;
    memcpy((char *)y->paths + y->config_at, p, len);
    y->config_at += len;
    for (size_t i = 0; len == left && i < ask->canaries; i++)
        if (y->paths[i][0] != '/' || y->paths[i][WIRE_CANARY_SIZE - 1] != '\0')
            return -EPROTO;
    return (ssize_t)len;
}

static int new_group(void)
{
    return fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK,
                         O_RDONLY | O_NONBLOCK | O_NOATIME | O_CLOEXEC);
}

static const char *fd_path(int fd, char ret[EYES_FD_PATH])
{
    (void)snprintf(ret, EYES_FD_PATH, "/proc/self/fd/%d", fd);
    return ret;
}

static int mark(int group, unsigned flags, uint64_t mask, int fd)
{
    char path[EYES_FD_PATH];

    return fanotify_mark(group, flags, mask, AT_FDCWD, fd_path(fd, path));
}

/* What is at this path for a process with that root. */
static int look_up(int root, const char *path)
{
    const struct open_how how = {.flags = O_PATH | O_CLOEXEC,
                                 .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};

    return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

/* Those of kernel interfaces, devices and what hides them hold no files of the job; but to read the
 * first has to be declared, too. */
static bool holds_files(const char *at, const char *type, bool learn)
{
    static const char *const none[] = {"proc",    "sysfs",  "devpts", "devtmpfs",
                                       "cgroup2", "cgroup", "mqueue"};

    if (learn && (strcmp(at, "/proc") == 0 || strcmp(at, "/sys") == 0))
        return true;
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        if (strcmp(type, none[i]) == 0)
            return false;
    return strncmp(at, "/proc/", 6) != 0 && strncmp(at, "/sys/", 5) != 0;
}

/* One line of mountinfo: "36 35 98:0 /root /at rw,noatime master:1 - type source rw". */
static int mark_mount(int group, uint64_t mask, int root, const char *line)
{
    char at[EYES_LINE], type[32];
    const char *rest = strstr(line, " - ");
    int fd, rc = 0;

    if (!rest || sscanf(line, "%*s %*s %*s %*s %1023s", at) != 1 ||
        sscanf(rest, " - %31s", type) != 1 || strchr(at, '\\'))
        return -EINVAL;
    if (!holds_files(at, type, mask & FAN_OPEN))
        return 0;
    fd = look_up(root, at);
    if (fd < 0)
        return -errno;
    if (mark(group, FAN_MARK_ADD | FAN_MARK_MOUNT, mask, fd) < 0)
        rc = -errno;
    close(fd);
    return rc;
}

static int mark_mounts(int group, uint64_t mask, int root, pid_t init)
{
    char line[EYES_LINE];
    FILE *f;
    int n = 0, rc = 0;

    (void)snprintf(line, sizeof(line), "/proc/%d/mountinfo", (int)init);
    f = fopen(line, "re");
    if (!f)
        return -errno;
    while (rc == 0 && fgets(line, sizeof(line), f))
        rc = n++ < EYES_MOUNTS && strchr(line, '\n') ? mark_mount(group, mask, root, line) : -E2BIG;
    (void)fclose(f);
    return rc;
}

/* 0, or -errno: what is told would not be all, or not with its path. */
static int open_files(struct eyes *y, uint64_t mask, int root, pid_t init)
{
    char path[EYES_FD_PATH];

    (void)snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)init);
    y->mounts = open(path, O_RDONLY | O_CLOEXEC);
    y->files = new_group();
    if (root < 0 || y->mounts < 0 || y->files < 0)
        return -errno;
    return mark_mounts(y->files, mask, root, init);
}

static bool watch_canary(struct eyes *y, size_t i, int root)
{
    int fd = look_up(root, y->paths[i]);
    struct stat st;
    bool ok = fd >= 0 && fstat(fd, &st) == 0 &&
              mark(y->canaries, FAN_MARK_ADD, EYES_TOUCH | FAN_ONDIR, fd) == 0;

    if (ok)
        y->known[i] = (struct eyes_canary){.dev = st.st_dev, .ino = st.st_ino};
    if (fd >= 0)
        close(fd);
    return ok;
}

void eyes_open(struct eyes *y, const struct wire_exec *ask, pid_t init, struct seen *seen)
{
    const uint64_t mask = (ask->flags & WIRE_EXEC_WATCH ? FAN_CLOSE_WRITE : 0) |
                          (ask->flags & WIRE_EXEC_LEARN ? FAN_OPEN | FAN_OPEN_EXEC | FAN_ONDIR : 0);
    char path[EYES_FD_PATH];
    int root;

    (void)snprintf(path, sizeof(path), "/proc/%d/root", (int)init);
    root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (mask && open_files(y, mask, root, init) < 0) {
        close_fd(&y->files);
        seen->blind = true;
    }
    memset(y->known, 0, sizeof(y->known));
    if (ask->canaries > 0)
        y->canaries = new_group();
    for (size_t i = 0; i < ask->canaries; i++)
        if (y->canaries < 0 || root < 0 || !watch_canary(y, i, root))
            seen->absent |= 1u << i;
    close_fd(&root);
}

/* The path of an event's file as its job sees it, NUL-terminated, with a '/' behind a folder's; its
 * length, or 0: it is too long. */
static size_t path_of(int fd, const struct stat *st, char ret[EYES_PATH])
{
    static const ssize_t tail = sizeof(EYES_DELETED) - 1;
    char link[EYES_FD_PATH];
    ssize_t n = readlink(fd_path(fd, link), ret, EYES_PATH - 2);

    if (st->st_nlink == 0 && n > tail && memcmp(ret + n - tail, EYES_DELETED, (size_t)tail) == 0)
        n -= tail;
    if (n > 1 && S_ISDIR(st->st_mode))
        ret[n++] = '/';
    if (n <= 0 || n > (ssize_t)WIRE_PATH_MAX || ret[0] != '/')
        return 0;
    ret[n] = '\0';
    return (size_t)n;
}

static void on_file(const struct fanotify_event_metadata *ev, const struct stat *st,
                    struct seen *seen)
{
    static const struct {
        uint64_t mask;
        enum wire_seen_kind kind;
    } kinds[] = {{FAN_OPEN_EXEC, WIRE_SEEN_EXECUTED},
                 {FAN_OPEN, WIRE_SEEN_OPENED},
                 {FAN_CLOSE_WRITE, WIRE_SEEN_WRITTEN}};
    char path[EYES_PATH];
    size_t len;

    if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
        return;
    len = path_of(ev->fd, st, path);
    if (len == 0)
        seen->lost++;
    for (size_t i = 0; len > 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (ev->mask & kinds[i].mask)
            seen_add(seen, kinds[i].kind, path, len,
                     kinds[i].kind == WIRE_SEEN_WRITTEN ? (uint64_t)st->st_size : 0);
}

/* One touch of each is enough. A file that was copied up for it may have another number now. */
static void on_canary(const struct eyes *y, const struct fanotify_event_metadata *ev,
                      const struct stat *st, struct seen *seen)
{
    uint32_t i = 0;

    while (i < WIRE_CANARY_SOME && (y->known[i].ino != st->st_ino || y->known[i].dev != st->st_dev))
        i++;
    seen->touched |= 1u << i;
    (void)mark(y->canaries, FAN_MARK_REMOVE, EYES_TOUCH | FAN_ONDIR, ev->fd);
}

/* What the queue had no room for were, of canaries, touches. */
static void on_overflow(const struct eyes *y, int group, struct seen *seen)
{
    if (group == y->canaries)
        seen->touched |= 1u << WIRE_CANARY_SOME;
    else
        seen->lost++;
}

static void take(const struct eyes *y, int group, const struct fanotify_event_metadata *ev,
                 struct seen *seen)
{
    struct stat st;

    if (ev->fd < 0 || fstat(ev->fd, &st) < 0)
        on_overflow(y, group, seen);
    else if (group == y->canaries)
        on_canary(y, ev, &st, seen);
    else
        on_file(ev, &st, seen);
    if (ev->fd >= 0)
        close(ev->fd);
}

static bool is_empty(int group)
{
    int bytes = 0;

    return group < 0 || ioctl(group, FIONREAD, &bytes) < 0 || bytes == 0;
}

/* True: there is no more now. An event whose file could not be opened for us is gone with the
 * reading; the error is the file's, and EAGAIN too: a job may have a lease on it (fcntl(2)). */
static bool look(const struct eyes *y, int group, struct seen *seen)
{
    struct fanotify_event_metadata events[EYES_EVENTS];

    for (int turn = 0; !is_empty(group) && turn < EYES_READS; turn++) {
        ssize_t n = read(group, events, sizeof(events));

        if (n < 0 && errno != EINTR)
            on_overflow(y, group, seen);
        /* Of a group that names files by fds, none is longer than its head. */
        for (ssize_t i = 0; i < n / (ssize_t)sizeof(events[0]); i++)
            take(y, group, &events[i], seen);
    }
    return is_empty(group);
}

bool eyes_look(struct eyes *y, uint64_t now_ms, struct seen *seen)
{
    bool none = look(y, y->canaries, seen);

    if (!look(y, y->files, seen))
        return false;
    y->rest_ms = now_ms + EYES_REST_MS;
    return none;
}

void eyes_wake(struct eyes *y, uint64_t now_ms)
{
    if (now_ms >= y->rest_ms)
        y->rest_ms = 0;
}

void eyes_fill(const struct eyes *y, struct pollfd *files, struct pollfd *canaries)
{
    *files = (struct pollfd){.fd = y->rest_ms ? -1 : y->files, .events = POLLIN};
    *canaries = (struct pollfd){.fd = y->canaries, .events = POLLIN};
}

uint64_t eyes_deadline(const struct eyes *y)
{
    return y->rest_ms;
}
