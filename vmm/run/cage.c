/* cage: the namespaces around keeper and QEMU, and the init that reaps there. */
#include "run/cage.h"

#include "base/dev.h"
#include "base/file.h"
#include "base/own.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mount.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define NAMESPACES (CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)

static int write_proc(const char *path, const char *text, struct err *e)
{
    own_close int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || file_write_all(fd, text, strlen(text)) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot write '%s'", path);
    return 0;
}

/* The single mapping that an ordinary user may write: its own id to itself. */
static int map_own_id(uid_t uid, gid_t gid, struct err *e)
{
    own_free char *uids = str_printf("%u %u 1\n", uid, uid);
    own_free char *gids = str_printf("%u %u 1\n", gid, gid);

    if (write_proc("/proc/self/setgroups", "deny", e) < 0 ||
        write_proc("/proc/self/uid_map", uids, e) < 0 ||
        write_proc("/proc/self/gid_map", gids, e) < 0)
        return err_wrap(e, "cannot map the user's own id");
    return 0;
}

static int mount_at(const char *type, const char *path, unsigned long flags, const char *data,
                    struct err *e)
{
    if (mount(type, path, type, flags, data) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot mount %s on %s in a namespace of our own", type,
                       path);
    return 0;
}

static int make_tree(const struct cage *c, struct err *e)
{
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot make the mounts private");
    if (!c->kvm && geteuid() == 0 && access("/dev/kvm", F_OK) == 0 && dev_without_kvm(e) < 0)
        return -1;
    if (mount_at("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, e) < 0)
        return -1;
    if (c->before && c->before(c->arg, e) < 0)
        return -1;
    if (mount_at("tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=755,size=256m", e) < 0)
        return -1;
    if (mkdir(CAGE_DIR, 0755) < 0 || mkdir(CAGE_ROOT, 0755) < 0 || mkdir(CAGE_VM, 0755) < 0 ||
        mkdir(CAGE_IN, 0755) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot make %s", CAGE_DIR);
    return 0;
}

/* Reaps until the keeper has ended, then passes its end on as our own. */
static int reap(pid_t keeper)
{
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, 0);

        if (pid < 0 && errno != EINTR)
            return 1;
        if (pid == keeper)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    }
}

/* PR_SET_PDEATHSIG says nothing of a launcher that was gone before it: then its socket hangs up. */
static int bind_to_launcher(const struct cage *c, struct err *e)
{
    struct pollfd p = {.fd = c->life_fd, .events = 0};
    int n;

    for (size_t i = 0; i < sizeof(c->launcher_fds) / sizeof(c->launcher_fds[0]); i++)
        close(c->launcher_fds[i]);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return err_sys(e, ERR_HOST, errno, "prctl");
    n = poll(&p, 1, 0);
    if (n < 0)
        return err_sys(e, ERR_HOST, errno, "cannot look whether the launcher is there");
    return n ? err_set(e, ERR_INTERRUPTED, "the launcher is gone") : 0;
}

static int init_main(const struct cage *c, uid_t uid, gid_t gid)
{
    struct err e;
    pid_t keeper;
    int up;

    setsid();
    umask(022); /* what is made in the cage is for QEMU's user too; the run's folder is 0700 */
    up = bind_to_launcher(c, &e);
    if (up == 0 && c->namespaces) {
        if (uid != 0)
            up = map_own_id(uid, gid, &e);
        if (up == 0)
            up = make_tree(c, &e);
    } else if (up == 0) {
        if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
            up = err_sys(&e, ERR_HOST, errno, "prctl");
        if (up == 0 && c->before)
            up = c->before(c->arg, &e);
    }
    if (up < 0) {
        c->failed(c->arg, &e);
        return 1;
    }
    keeper = fork();
    if (keeper == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(c->keeper(c->arg));
    }
    if (keeper < 0) {
        err_sys(&e, ERR_HOST, errno, "fork");
        c->failed(c->arg, &e);
        return 1;
    }
    /* A socket held here would hide the keeper's end from the launcher. */
    dup3(c->keep_fd, 3, O_CLOEXEC);
    syscall(SYS_close_range, 4, ~0u, 0);
    return reap(keeper);
}

int cage_start(const struct cage *c, pid_t *ret_init, struct err *e)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    unsigned long flags = SIGCHLD;
    long pid;

    if (c->namespaces)
        flags |= NAMESPACES | (uid != 0 ? CLONE_NEWUSER : 0);
    pid = syscall(SYS_clone, flags, NULL, NULL, NULL, 0);
    if (pid < 0 && c->namespaces)
        return err_sys(e, ERR_HOST, errno, "cannot make namespaces (%s; see 'lazaret doctor')",
                       uid ? "are unprivileged user namespaces allowed here?"
                           : "root lacks CAP_SYS_ADMIN here");
    if (pid < 0)
        return err_sys(e, ERR_HOST, errno, "fork");
    if (pid == 0)
        _exit(init_main(c, uid, gid));
    *ret_init = (pid_t)pid;
    return 0;
}

int cage_memory(const char *path, uint64_t bytes, struct err *e)
{
    own_free char *options = str_printf("mode=755,size=%" PRIu64, bytes);

    if (mkdir(path, 0755) < 0 ||
        mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot mount %s in memory", path);
    return 0;
}

int cage_bind(int fd, const char *path, bool read_only, struct err *e)
{
    own_free char *from = str_printf("/proc/self/fd/%d", fd);
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                                          (read_only ? MOUNT_ATTR_RDONLY : 0)};
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_sys(e, ERR_HOST, errno, "fstat");
    if (S_ISDIR(st.st_mode)) {
        if (mkdir(path, 0755) < 0)
            return err_sys(e, ERR_HOST, errno, "cannot make '%s'", path);
    } else {
        own_close int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

        if (file < 0)
            return err_sys(e, ERR_HOST, errno, "cannot make '%s'", path);
    }
    if (mount(from, path, NULL, MS_BIND | MS_REC, NULL) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot bind '%s'", path);
    if (syscall(SYS_mount_setattr, AT_FDCWD, path, AT_RECURSIVE, &attr, sizeof(attr)) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot restrict '%s'", path);
    return 0;
}
