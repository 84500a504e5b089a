/* spawn: starts another program with exactly the fds that it is told, and waits with a deadline. */
#include "base/spawn.h"

#include "base/clock.h"
#include "base/confine.h"
#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "shared/fds.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define SPAWN_OUT_MAX  (1u << 20)
#define SPAWN_TAIL_MAX 8192
#define SPAWN_FEED_S   60   /* for which a tool may take nothing */
#define SPAWN_TELL_MS  5000 /* for which a child may take no record */

/* Moves the fds to 0, 1, 2, ... and the report fd behind them; everything else is closed. */
static int place_fds(const struct spawn *s, int report_fd)
{
    int keep = 3 + s->n_fds;
    int high[SPAWN_FDS_MAX + 4]; /* above every target, so that no move covers one still needed */

    for (int i = 0; i <= keep; i++) {
        int fd = i == keep ? report_fd : i < 3 ? s->stdio[i] : s->fds[i - 3];

        if (fd == SPAWN_NULL)
            fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (fd < 0 && i < keep)
            return -1;
        high[i] = fcntl(fd, F_DUPFD_CLOEXEC, keep + 1);
        if (high[i] < 0)
            return -1;
    }
    for (int i = 0; i < keep; i++)
        if (dup2(high[i], i) < 0)
            return -1;
    if (dup3(high[keep], keep, O_CLOEXEC) < 0)
        return -1;
    return (int)syscall(SYS_close_range, keep + 1, ~0u, 0);
}

/* From here on we end with `parent`, also if it has ended already. */
static int die_with(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return -1;
    if (getppid() == parent)
        return 0;
    errno = ESRCH;
    return -1;
}

/* Runs in the child; returns only on failure, with errno set, which `*report_fd` then takes. */
static void child(const struct spawn *s, pid_t parent, int *report_fd)
{
    sigset_t none;

    if (s->die_with_parent && die_with(parent) < 0)
        return;
    if (place_fds(s, *report_fd) < 0)
        return;
    *report_fd = 3 + s->n_fds;
    if (s->only && confine_tool(s->only) < 0)
        return;
    if (s->cwd && chdir(s->cwd) < 0)
        return;
    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (s->env)
        execvpe(s->argv[0], (char *const *)(uintptr_t)s->argv, (char *const *)(uintptr_t)s->env);
    else
        execvp(s->argv[0], (char *const *)(uintptr_t)s->argv);
}

int spawn_start(const struct spawn *s, pid_t *ret_pid, struct err *e)
{
    const pid_t parent = getpid();
    int report[2];
    int errnum = 0;
    pid_t pid;
    ssize_t n;

    if (s->n_fds > SPAWN_FDS_MAX)
        return err_set(e, ERR_HOST, "'%s': more than %d fds", s->argv[0], SPAWN_FDS_MAX);
    if (pipe2(report, O_CLOEXEC) < 0)
        return err_sys(e, ERR_HOST, errno, "pipe");
    pid = fork();
    if (pid == 0) {
        child(s, parent, &report[1]);
        errnum = errno;
        (void)!write(report[1], &errnum, sizeof(errnum));
        _exit(127);
    }
    close(report[1]);
    if (pid < 0) {
        close(report[0]);
        return err_sys(e, ERR_HOST, errno, "fork");
    }
    do
        n = read(report[0], &errnum, sizeof(errnum));
    while (n < 0 && errno == EINTR);
    close(report[0]);
    if (n == sizeof(errnum)) {
        waitpid(pid, NULL, 0);
        err_sys(e, ERR_HOST, errnum, "cannot run '%s'", s->argv[0]);
        if (errnum == ENOENT && s->package)
            err_wrap(e, "install Debian's package '%s'", s->package);
        return -1;
    }
    *ret_pid = pid;
    return 0;
}

int spawn_wait(pid_t pid, const char *name, uint64_t deadline_ms, int *ret_wait_status,
               struct err *e)
{
    own_close int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int status, why, n = -1;

    while (fd >= 0 && (n = poll(&p, 1, clock_poll_timeout(deadline_ms))) < 0 && errno == EINTR)
        ;
    why = errno;
    if (n <= 0)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_sys(e, ERR_HOST, errno, "waitpid");
    if (n < 0)
        return err_sys(e, ERR_HOST, why, "cannot wait for '%s'", name);
    if (n == 0)
        return err_set(e, ERR_HOST, "'%s' did not end in time and was killed", name);
    *ret_wait_status = status;
    return 0;
}

/* Collects stdout into `out` and the end of stderr into `tail` until both are closed. */
static int collect(int out_fd, int err_fd, uint64_t deadline_ms, struct str *out, struct str *tail,
                   struct err *e)
{
    struct pollfd p[2] = {{.fd = out_fd, .events = POLLIN}, {.fd = err_fd, .events = POLLIN}};
    char buf[4096];

    while (p[0].fd >= 0 || p[1].fd >= 0) {
        int n = poll(p, 2, clock_poll_timeout(deadline_ms));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, ERR_HOST, errno, "cannot hear it");
        if (n == 0)
            return 0; /* the wait that follows kills it and says so */
        for (int i = 0; i < 2; i++) {
            struct str *to = i == 0 ? out : tail;
            ssize_t len;

            if (p[i].fd < 0 || !p[i].revents)
                continue;
            len = read(p[i].fd, buf, sizeof(buf));
            if (len <= 0) {
                p[i].fd = -1;
                continue;
            }
            if (i == 1 && to->len > SPAWN_TAIL_MAX)
                str_done(to);
            str_add_bytes(to, buf, (size_t)len);
            if (to->len > SPAWN_OUT_MAX)
                return err_set(e, ERR_HOST, "too much output");
        }
    }
    return 0;
}

/* The last line of what a tool wrote to stderr, or "". */
static const char *last_line(struct str *tail)
{
    char *nl;

    while (tail->len > 0 && strchr(" \r\n", tail->data[tail->len - 1]))
        tail->data[--tail->len] = '\0';
    if (tail->len == 0)
        return "";
    nl = strrchr(tail->data, '\n');
    return nl ? nl + 1 : tail->data;
}

static int check_status(const struct spawn *s, int status, struct str *tail, struct err *e)
{
    char text[400];
    const char *line;

    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    line = last_line(tail);
    str_escape(text, sizeof(text), line, strlen(line));
    if (WIFSIGNALED(status))
        return err_set(e, ERR_HOST, "'%s' was killed by signal %d: %s", s->argv[0],
                       WTERMSIG(status), text);
    return err_set(e, ERR_HOST, "'%s' failed with status %d%s%s", s->argv[0], WEXITSTATUS(status),
                   text[0] ? ": " : "", text);
}

int spawn_tool(const struct spawn *s, const char *package, uint64_t timeout_ms, char **ret_out,
               struct err *e)
{
    struct spawn run = *s;
    uint64_t deadline = clock_mono_ms() + timeout_ms;
    own_str struct str out = {0};
    own_str struct str tail = {0};
    own_close int out_r = -1, out_w = -1, err_r = -1, err_w = -1;
    int err_pipe[2], out_pipe[2];
    int status;
    pid_t pid;

    if (pipe2(err_pipe, O_CLOEXEC) < 0)
        return err_sys(e, ERR_HOST, errno, "pipe");
    err_r = err_pipe[0];
    run.stdio[2] = err_w = err_pipe[1];
    if (ret_out) {
        if (pipe2(out_pipe, O_CLOEXEC) < 0)
            return err_sys(e, ERR_HOST, errno, "pipe");
        out_r = out_pipe[0];
        run.stdio[1] = out_w = out_pipe[1];
    }
    run.package = package;
    if (spawn_start(&run, &pid, e) < 0)
        return -1;
    close(own_steal_fd(err_w));
    if (out_w >= 0)
        close(own_steal_fd(out_w));
    if (collect(out_r, err_r, deadline, &out, &tail, e) < 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return err_wrap(e, "'%s'", s->argv[0]);
    }
    if (spawn_wait(pid, s->argv[0], deadline, &status, e) < 0)
        return -1;
    if (check_status(s, status, &tail, e) < 0)
        return -1;
    if (ret_out)
        *ret_out = str_steal(&out);
    return 0;
}

/* A socket, because a send to a tool that is gone can fail without a signal, and has a timeout. */
struct spawn_feed {
    int fd;
    const char *name;
    bool gone; /* the tool does not read any more */
};

int spawn_feed(struct spawn_feed *f, const void *data, size_t len, struct err *e)
{
    const char *p = data;

    while (len > 0) {
        ssize_t n = send(f->fd, p, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return err_set(e, ERR_HOST, "'%s' took nothing for %d seconds and was killed", f->name,
                           SPAWN_FEED_S);
        if (n < 0) {
            f->gone = true;
            return err_sys(e, ERR_HOST, errno, "cannot write to '%s'", f->name);
        }
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int spawn_tell(int sock, const void *record, size_t size, const int *fds, size_t n_fds)
{
    const uint64_t deadline = clock_mono_ms() + SPAWN_TELL_MS;

    while (fds_send(sock, record, size, fds, n_fds, MSG_DONTWAIT) < 0) {
        struct pollfd p = {.fd = sock, .events = POLLOUT};
        int n;

        if (errno == EPIPE || errno == ECONNRESET)
            return 0;
        if (errno != EAGAIN)
            return -errno;
        n = poll(&p, 1, clock_poll_timeout(deadline));
        if (n == 0)
            return -ETIMEDOUT;
        if (n < 0 && errno != EINTR)
            return -errno;
    }
    return 0;
}

ssize_t spawn_hear(int sock, void *record, size_t size)
{
    ssize_t n;

    /* Of a child that ended before it read all, that is told first, once; then what it has said. */
    do
        n = recv(sock, record, size, MSG_DONTWAIT | MSG_TRUNC);
    while (n < 0 && (errno == EINTR || errno == ECONNRESET));
    return n;
}

/* The end of what a tool wrote into a file. */
static void read_tail(int fd, struct str *tail)
{
    char buf[SPAWN_TAIL_MAX];
    off_t size = lseek(fd, 0, SEEK_END);
    off_t from = size > (off_t)sizeof(buf) ? size - (off_t)sizeof(buf) : 0;
    ssize_t n = pread(fd, buf, sizeof(buf), from);

    if (n > 0)
        str_add_bytes(tail, buf, (size_t)n);
}

int spawn_feed_tool(const struct spawn *s, const char *package, uint64_t timeout_ms,
                    int (*fill)(void *arg, struct spawn_feed *f, struct err *e), void *arg,
                    struct err *e)
{
    const struct timeval patience = {.tv_sec = SPAWN_FEED_S};
    struct spawn run = *s;
    struct spawn_feed f = {.name = s->argv[0]};
    uint64_t deadline = clock_mono_ms() + timeout_ms;
    own_close int said = memfd_create("stderr", MFD_CLOEXEC);
    own_close int ours = -1, theirs = -1;
    own_str struct str tail = {0};
    int pair[2], status, filled;
    pid_t pid;

    if (said < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(e, ERR_HOST, errno, "socketpair");
    f.fd = ours = pair[0];
    run.stdio[0] = theirs = pair[1];
    run.stdio[2] = said;
    run.package = package;
    if (setsockopt(ours, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
        return err_sys(e, ERR_HOST, errno, "setsockopt");
    if (spawn_start(&run, &pid, e) < 0)
        return -1;
    close(own_steal_fd(theirs));
    filled = fill(arg, &f, e);
    if (filled < 0 && !f.gone)
        kill(pid, SIGKILL);
    close(own_steal_fd(ours));
    if (filled < 0 && !f.gone) {
        waitpid(pid, NULL, 0);
        return -1;
    }
    if (spawn_wait(pid, s->argv[0], deadline, &status, e) < 0)
        return -1;
    read_tail(said, &tail);
    if (check_status(s, status, &tail, e) < 0)
        return -1;
    return filled; /* a tool that reads half and is content */
}

int spawn_leave_caller(const int *keep, size_t n, struct err *e)
{
    own_close int null = -1;

    file_close_others(keep, n);
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || chdir("/") < 0)
        return err_sys(e, ERR_HOST, errno, "cannot go into the background");
    setsid();
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (dup2(null, fd) < 0)
            return err_sys(e, ERR_HOST, errno, "cannot go into the background");
    return 0;
}
