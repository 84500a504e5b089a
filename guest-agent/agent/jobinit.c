/*
 * jobinit: the container's first process: starts the command as its child and reports on it.
 *
 * How it works
 *   It runs confined as the command will be: same user, no capabilities, seccomp. It shows the
 *   agent its network namespace, and waits for GO on the link (link.h), so nothing of the job runs
 *   before the agent has set up its terminal; takes on itself what the plan declares (declared.h),
 *   which all that it starts inherits; starts the command in a session of its own; then reaps
 *   whatever the command left behind, passes signals on, and ends when the command has ended: the
 *   kernel then kills the rest of the pid namespace. Secrets for the environment come with GO, in a
 *   memfd. They are in the command's environment only: here they are wiped once it runs.
 *
 * Must not: hold the job's stdin, stdout or stderr, or the job's pipes would never end.
 */
#include "agent/jobinit.h"

#include "agent/facts.h"
#include "agent/link.h"
#include "shared/fds.h"
#include "shared/guest.h"
#include "shared/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define JOBINIT_FAILED   127
#define JOBINIT_FILE_MAX 4096
#define JOBINIT_PATH     "/usr/local/bin:/usr/bin:/bin" /* where the environment has no PATH */

static int tell(enum link_kind kind, int value)
{
    const struct link_record r = {.kind = kind, .value = value};

    return send(LINK_FD, &r, sizeof(r), MSG_NOSIGNAL) == sizeof(r) ? 0 : -1;
}

/* The first file of that name in PATH from *at on, which moves behind it; false: there is no more.
 */
static bool next_in_path(const char **at, const char *name, char ret[JOBINIT_FILE_MAX])
{
    while (*at) {
        const char *p = *at + (**at == ':');
        size_t len = strcspn(p, ":");

        *at = p[len] ? p + len : NULL;
        if (snprintf(ret, JOBINIT_FILE_MAX, "%.*s/%s", (int)len, len ? p : ".", name) <
            JOBINIT_FILE_MAX)
            return true;
    }
    return false;
}

static const char *search_path(void)
{
    const char *path = getenv("PATH");

    return path && *path ? path : JOBINIT_PATH;
}

/* Tries every folder of PATH, as execvp does, but never runs a file of unknown format by a shell.
 */
static int exec_in_path(char *const argv[])
{
    const char *at = search_path();
    char file[JOBINIT_FILE_MAX];
    int result = ENOENT;

    while (next_in_path(&at, argv[0], file)) {
        execve(file, argv, environ);
        if (errno == EACCES)
            result = EACCES;
        else if (errno != ENOENT && errno != ENOTDIR)
            return errno;
    }
    return result;
}

static _Noreturn void run_command(char *const argv[], int why_fd, bool tty)
{
    sigset_t none;
    int error;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    if (tty)
        (void)ioctl(STDIN_FILENO, TIOCSCTTY, 0);
    if (strchr(argv[0], '/')) {
        execve(argv[0], argv, environ);
        error = errno;
    } else {
        error = exec_in_path(argv);
    }
    (void)!write(why_fd, &error, sizeof(error));
    _exit(JOBINIT_FAILED);
}

/* Returns the command's pid, or -errno when it could not be started. */
static pid_t start_command(char *const argv[])
{
    bool tty = isatty(STDIN_FILENO);
    int why[2], error = 0;
    pid_t pid;

    /* The terminal goes to the command's own session. */
    if (tty)
        (void)ioctl(STDIN_FILENO, TIOCNOTTY);
    if (pipe2(why, O_CLOEXEC) < 0)
        return -errno;
    pid = fork();
    if (pid == 0)
        run_command(argv, why[1], tty);
    error = pid < 0 ? errno : 0;
    close(why[1]);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        close(fd);
    if (pid > 0 && read(why[0], &error, sizeof(error)) != sizeof(error))
        error = 0;
    close(why[0]);
    return error ? -error : pid;
}

/* Reaps every child that has ended. True when the command was among them. */
static bool reap(pid_t command, int *ret_status)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != command)
            continue;
        *ret_status = status;
        return true;
    }
    return false;
}

/* Until the command has ended, or the agent is gone. */
static int stay(pid_t command, int signal_fd)
{
    struct pollfd fds[2] = {{.fd = LINK_FD, .events = POLLIN}, {.fd = signal_fd, .events = POLLIN}};
    int status = 0;

    while (!reap(command, &status)) {
        struct link_record r;
        struct signalfd_siginfo info;

        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return JOBINIT_FAILED;
        if (fds[1].revents)
            (void)!read(signal_fd, &info, sizeof(info));
        if (!fds[0].revents)
            continue;
        if (recv(LINK_FD, &r, sizeof(r), 0) != sizeof(r))
            return JOBINIT_FAILED;
        if (r.kind == LINK_KILL)
            (void)kill(-command, r.value); /* its process group, as a terminal would */
    }
    (void)tell(LINK_ENDED, status);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The agent has no right to look for the namespace in /proc: it is shown. Without one there is no
 * way out, which is the agent's to tell. */
static void show_network(bool probe)
{
    struct link_record r = {.kind = LINK_HERE};
    int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        r.value = -errno;
    if (probe)
        memcpy(r.text, FACTS_WISH, sizeof(FACTS_WISH));
    (void)fds_send(LINK_FD, &r, sizeof(r), &fd, fd >= 0, 0);
    if (fd >= 0)
        close(fd);
}

/* The file that the command is, as exec_in_path() finds it; NULL: there is none. */
static const char *find_program(const char *name, char ret[JOBINIT_FILE_MAX])
{
    const char *at = search_path();

    if (strchr(name, '/'))
        return name;
    while (next_in_path(&at, name, ret))
        if (access(ret, X_OK) == 0)
            return ret;
    return NULL;
}

/* A program of ours, which looks at what confines a job (shared/probe.h): at what is declared, or,
 * without being held by that, at everything else. */
static bool is_probe(char *const argv[], const char *which)
{
    return strcmp(argv[0], GUEST_JOB_INIT) == 0 && argv[1] && strcmp(argv[1], which) == 0;
}

/* It gets what this process was told that is declared, as its arguments: in front of `argv` in the
 * same array, so the two change places. Returns its command. */
static char **hand_declared(char *args[], char *argv[])
{
    const size_t n = (size_t)(argv - args);
    char *const own[PROBE_DECLARED_OWN] = {argv[0], argv[1], argv[2]};

    memmove(args + PROBE_DECLARED_OWN, args, n * sizeof(args[0]));
    memcpy(args, own, sizeof(own));
    return args;
}

/* False: it has been told why the job must not start. */
static bool confine(char *const args[], char *const argv[])
{
    struct link_record r = {.kind = LINK_UNCONFINED};
    char file[JOBINIT_FILE_MAX];
    int rc = 0;

    if (declared_is_any(args) && !is_probe(argv, PROBE_ALL))
        rc = declared_apply(args, find_program(argv[0], file), r.text);
    if (rc == 0)
        return true;
    r.value = -rc;
    (void)send(LINK_FD, &r, sizeof(r), MSG_NOSIGNAL);
    return false;
}

/* GO, and the memfd that came with it, or -1. */
static int wait_for_go(bool probe, int *ret_fd)
{
    struct link_record r = {0};
    struct fds with;

    if (fds_receive(LINK_FD, &r, sizeof(r), &with, 0) != sizeof(r) || r.kind != LINK_GO)
        return -1;
    *ret_fd = fds_one(&with);
    r.text[sizeof(r.text) - 1] = '\0';
    return probe ? setenv(FACTS_ENV, r.text, 1) : 0;
}

/* Strings for the environment, mapped from the memfd: wiping them wipes it. Takes the fd. */
struct extra {
    char *text;
    size_t size;
};

static int take_extra(int fd, struct extra *ret)
{
    struct stat st;
    int rc = -1;

    *ret = (struct extra){0};
    if (fd < 0)
        return 0;
    if (fstat(fd, &st) == 0 && st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        if (p != MAP_FAILED) {
            *ret = (struct extra){.text = p, .size = (size_t)st.st_size};
            rc = 0;
        }
    }
    close(fd);
    for (size_t at = 0; rc == 0 && at < ret->size; at += strlen(ret->text + at) + 1)
        rc = putenv(ret->text + at);
    return rc;
}

static void wipe_extra(struct extra *x)
{
    if (!x->text)
        return;
    environ = NULL; /* it points there */
    explicit_bzero(x->text, x->size);
    (void)munmap(x->text, x->size);
}

int jobinit_main(char *args[])
{
    char **argv = declared_command(args);
    const bool probe = argv && is_probe(argv, PROBE_ALL);
    struct extra extra;
    sigset_t child;
    int signal_fd, extra_fd = -1;
    pid_t pid;

    if (!argv || fcntl(LINK_FD, F_SETFD, FD_CLOEXEC) < 0)
        return JOBINIT_FAILED;
    /* The job has the same user: it shall not trace this process. */
    prctl(PR_SET_DUMPABLE, 0);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    signal_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    show_network(probe);
    if (signal_fd < 0 || wait_for_go(probe, &extra_fd) < 0 || take_extra(extra_fd, &extra) < 0)
        return JOBINIT_FAILED;
    if (!confine(args, argv))
        return JOBINIT_FAILED;
    if (is_probe(argv, PROBE_DECLARED) && argv[2] && !argv[PROBE_DECLARED_OWN])
        argv = hand_declared(args, argv);
    pid = start_command(argv);
    wipe_extra(&extra);
    if (pid < 0) {
        (void)tell(LINK_CANNOT, -pid);
        return JOBINIT_FAILED;
    }
    return tell(LINK_BEGUN, 0) == 0 ? stay(pid, signal_fd) : JOBINIT_FAILED;
}
