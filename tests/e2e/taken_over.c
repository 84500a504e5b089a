/*
 * taken_over: what an enemy would try who has taken over QEMU. For test_wrapper.py.
 *
 * A library that is loaded in the place of liblazaret-preload.so, so this runs in QEMU's own
 * process, behind lazaret-qemu and before QEMU adds libvirt's "-sandbox". What to try is at the end
 * of the file itself, behind a line "#try": a word and, for some, a path or pid. Each gives a line
 * on stderr: the same, and "done" or the error's number. Then it waits to be killed.
 */
#include <asm/sockios.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int open_it(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);

    if (fd >= 0)
        close(fd);
    return fd;
}

static int try_read(const char *arg)
{
    return open_it(arg, O_RDONLY);
}

static int try_list(const char *arg)
{
    return open_it(arg, O_RDONLY | O_DIRECTORY);
}

static int try_write(const char *arg)
{
    return open_it(arg, O_WRONLY);
}

static int try_make(const char *arg)
{
    int fd = open(arg, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd >= 0)
        close(fd);
    return fd;
}

static int try_remove(const char *arg)
{
    return unlink(arg);
}

static int try_chmod(const char *arg)
{
    return chmod(arg, 0600);
}

static int try_truncate(const char *arg)
{
    return truncate(arg, 0);
}

static int try_trace(const char *arg)
{
    pid_t pid = (pid_t)strtol(arg, NULL, 10);

    if (ptrace(PTRACE_ATTACH, pid, NULL, NULL) < 0)
        return -1;
    waitpid(pid, NULL, __WALL);
    ptrace(PTRACE_DETACH, pid, NULL, NULL);
    return 0;
}

/* Where there is nothing to read it was allowed. */
static int try_peek(const char *arg)
{
    char c;
    struct iovec to = {&c, 1}, from = {(void *)16, 1};

    return process_vm_readv((pid_t)strtol(arg, NULL, 10), &to, 1, &from, 1, 0) < 0 &&
                   errno != EFAULT
               ? -1
               : 0;
}

static int try_signal(const char *arg)
{
    return kill((pid_t)strtol(arg, NULL, 10), 0);
}

static int try_inet(const char *arg)
{
    (void)arg;
    return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

/* Without a socket of its own, with something else: who may not connect is told so first. */
static int try_connect(const char *arg)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    snprintf(at.sun_path, sizeof(at.sun_path), "%s", arg);
    return connect(fd < 0 ? 0 : fd, (struct sockaddr *)&at, sizeof(at));
}

static int wait_ok(pid_t pid)
{
    int status;

    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0
                                                                                            : -1;
}

/* In a process of its own if there can be one; if not, and it works, nothing more is reported. */
static int try_execute(const char *arg)
{
    char *const argv[] = {strdup(arg), NULL}, *const env[] = {NULL};
    pid_t pid = fork();

    if (pid > 0)
        return wait_ok(pid);
    execve(arg, argv, env);
    if (pid == 0)
        _exit(1);
    return -1;
}

static int try_fork(const char *arg)
{
    pid_t pid = fork();

    (void)arg;
    if (pid == 0)
        _exit(0);
    return pid < 0 ? -1 : wait_ok(pid);
}

static int try_memfd(const char *arg)
{
    (void)arg;
    return (int)syscall(SYS_memfd_create, "x", MFD_CLOEXEC);
}

static int try_uring(const char *arg)
{
    char params[120] = {0};

    (void)arg;
    return (int)syscall(SYS_io_uring_setup, 1, params);
}

static int try_userns(const char *arg)
{
    (void)arg;
    return unshare(CLONE_NEWUSER);
}

/* Who gets a signal when something happens to a file of ours. */
static int try_own(const char *arg)
{
    return fcntl(STDERR_FILENO, F_SETOWN, (int)strtol(arg, NULL, 10));
}

static int try_own_socket(const char *arg)
{
    int pid = (int)strtol(arg, NULL, 10);

    return ioctl(STDERR_FILENO, FIOSETOWN, &pid);
}

static int try_call(const char *arg)
{
    return (int)syscall(strtol(arg, NULL, 10), 0, 0, 0, 0, 0, 0);
}

/* A core that is no file but goes to a program is refused by a limit of 1, and not by 0. */
static int try_core(const char *arg)
{
    struct rlimit r;

    (void)arg;
    if (getrlimit(RLIMIT_CORE, &r) < 0 || r.rlim_cur > 1)
        return 0;
    r.rlim_cur = r.rlim_max = RLIM_INFINITY;
    return setrlimit(RLIMIT_CORE, &r);
}

static const struct {
    const char *word;
    int (*go)(const char *arg);
} tries[] = {
    {"read", try_read},         {"list", try_list},     {"write", try_write},
    {"make", try_make},         {"remove", try_remove}, {"chmod", try_chmod},
    {"truncate", try_truncate}, {"trace", try_trace},   {"peek", try_peek},
    {"signal", try_signal},     {"inet", try_inet},     {"connect", try_connect},
    {"execute", try_execute},   {"fork", try_fork},     {"memfd", try_memfd},
    {"uring", try_uring},       {"userns", try_userns}, {"call", try_call},
    {"core", try_core},         {"own", try_own},       {"own_socket", try_own_socket},
};

static void try_line(char *line)
{
    char *arg = strchr(line, ' ');
    size_t len = arg ? (size_t)(arg - line) : strlen(line);

    for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
        if (strlen(tries[i].word) != len || strncmp(tries[i].word, line, len) != 0)
            continue;
        errno = 0;
        if (tries[i].go(arg ? arg + 1 : "") < 0)
            dprintf(2, "try: %s %d\n", line, errno);
        else
            dprintf(2, "try: %s done\n", line);
        return;
    }
    dprintf(2, "try: %s unknown\n", line);
}

/* The end of our own file: a buffer that lives as long as we do, or NULL. */
static char *read_tail(void)
{
    static char tail[8193];
    const char *path = getenv("LD_PRELOAD");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    char *begin = NULL, *next;
    ssize_t n;

    if (fd < 0 || lseek(fd, -8192, SEEK_END) < 0 || (n = read(fd, tail, 8192)) < 0)
        return NULL;
    close(fd);
    for (ssize_t i = 0; i < n; i++) /* what is in front of it is not text */
        if (!tail[i])
            tail[i] = ' ';
    for (next = tail; (next = strstr(next, "\n#try\n")); next++)
        begin = next + strlen("\n#try\n");
    return begin;
}

__attribute__((constructor)) static void taken_over(void)
{
    char exe[4096] = "", *line, *rest = NULL;

    if (readlink("/proc/self/exe", exe, sizeof(exe) - 1) < 0 || strstr(exe, "lazaret-qemu"))
        return; /* not yet */
    if (!(rest = read_tail()))
        return;
    while ((line = strsep(&rest, "\n")))
        if (*line)
            try_line(line);
    dprintf(2, "try: end\n");
    if (strstr(exe, "qemu"))
        pause();
}
