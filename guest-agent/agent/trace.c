/* trace: tells the console which system calls a job makes. See trace.h. */
#include "agent/trace.h"

#include "agent/say.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRACED_MAX 1024 /* processes whose call is remembered at once */
#define SHOWN_ARGS 4
#define PAGE       4096u
#define OPTIONS                                                                                    \
    (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |      \
     PTRACE_O_TRACEEXEC)

/* Calls with a path among their first arguments. */
static const struct {
    uint64_t number;
    int at;
} paths[] = {
    {SYS_open, 0},       {SYS_openat, 1},   {SYS_openat2, 1},    {SYS_creat, 0},
    {SYS_execve, 0},     {SYS_execveat, 1}, {SYS_stat, 0},       {SYS_lstat, 0},
    {SYS_newfstatat, 1}, {SYS_statx, 1},    {SYS_access, 0},     {SYS_faccessat, 1},
    {SYS_faccessat2, 1}, {SYS_readlink, 0}, {SYS_readlinkat, 1}, {SYS_unlink, 0},
    {SYS_unlinkat, 1},   {SYS_rename, 0},   {SYS_renameat, 1},   {SYS_renameat2, 1},
    {SYS_mkdir, 0},      {SYS_mkdirat, 1},  {SYS_rmdir, 0},      {SYS_chdir, 0},
    {SYS_chmod, 0},      {SYS_fchmodat, 1}, {SYS_chown, 0},      {SYS_fchownat, 1},
    {SYS_link, 0},       {SYS_linkat, 1},   {SYS_symlink, 0},    {SYS_symlinkat, 0},
    {SYS_truncate, 0},   {SYS_statfs, 0},   {SYS_mount, 1},      {SYS_umount2, 0},
    {SYS_chroot, 0},     {SYS_mknod, 0},    {SYS_mknodat, 1},
};

int trace_path_at(uint64_t number)
{
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (paths[i].number == number)
            return paths[i].at;
    return -1;
}

/* Behind `len` bytes of `out`; what is not plain text as %NN, which the host's end of the console
 * leaves alone. Returns the new length. */
static size_t add_quoted(char *out, size_t len, const char *text)
{
    out[len++] = '"';
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p >= 0x20 && *p < 0x7f && *p != '"' && *p != '\\' && *p != '%')
            out[len++] = (char)*p;
        else
            len += (size_t)snprintf(out + len, 4, "%%%02x", *p);
    }
    out[len++] = '"';
    out[len] = '\0';
    return len;
}

const char *trace_format(char out[TRACE_LINE_MAX], const struct trace_call *c, const int64_t *ret)
{
    const bool known = c->number < trace_n_names && trace_names[c->number];
    size_t len = (size_t)snprintf(out, 64, "%d ", (int)c->pid);

    len += known ? (size_t)snprintf(out + len, 64, "%s(", trace_names[c->number])
                 : (size_t)snprintf(out + len, 64, "call %llu(", (unsigned long long)c->number);
    for (int i = 0; i < SHOWN_ARGS; i++) {
        len += (size_t)snprintf(out + len, 3, "%s", i ? ", " : "");
        if (c->path && c->path_at == i)
            len = add_quoted(out, len, c->path);
        else
            len += (size_t)snprintf(out + len, 24, "0x%llx", (unsigned long long)c->args[i]);
    }
    if (!ret)
        (void)snprintf(out + len, 8, ")");
    else if (*ret < 0 && *ret > -4096)
        (void)snprintf(out + len, 64, ") = -%s",
                       strerrorname_np((int)-*ret) ? strerrorname_np((int)-*ret) : "?");
    else
        (void)snprintf(out + len, 64, ") = %lld", (long long)*ret);
    return out;
}

/* ---- the process that traces ----------------------------------------------------------------- */

struct traced {
    pid_t pid; /* 0: nobody */
    struct trace_call call;
    char path[TRACE_PATH_MAX];
};

struct tracer {
    pid_t init;
    unsigned exec;
    size_t used; /* of all: nobody has been behind it */
    struct traced all[TRACED_MAX];
};

static struct traced *find(struct tracer *t, pid_t pid)
{
    for (size_t i = 0; i < t->used; i++)
        if (t->all[i].pid == pid)
            return &t->all[i];
    return NULL;
}

/* UNTRUSTED: up to the end of a page, and on if there is another. */
static bool read_path(pid_t pid, uint64_t at, char ret[TRACE_PATH_MAX])
{
    const size_t first = PAGE - at % PAGE;
    size_t got = 0;

    while (got < TRACE_PATH_MAX - 1) {
        size_t want = TRACE_PATH_MAX - 1 - got;
        struct iovec ours = {.iov_base = ret + got}, theirs = {.iov_base = (void *)(at + got)};
        ssize_t n;

        if (got < first && want > first - got)
            want = first - got;
        ours.iov_len = theirs.iov_len = want;
        n = process_vm_readv(pid, &ours, 1, &theirs, 1, 0);
        if (n <= 0)
            break;
        if (memchr(ret + got, 0, (size_t)n))
            return true;
        got += (size_t)n;
    }
    ret[got] = '\0';
    return got > 0;
}

static void print(const struct tracer *t, const struct trace_call *c, const int64_t *ret)
{
    char line[TRACE_LINE_MAX];

    say("exec %u: %s", t->exec, trace_format(line, c, ret));
}

static void on_entry(struct tracer *t, pid_t pid, const struct __ptrace_syscall_info *info)
{
    struct traced *d = find(t, pid);

    if (!d)
        d = find(t, 0);
    if (!d && t->used < TRACED_MAX)
        d = &t->all[t->used++];
    if (!d)
        return;
    d->pid = pid;
    d->call = (struct trace_call){
        .pid = pid, .number = info->entry.nr, .path_at = trace_path_at(info->entry.nr)};
    memcpy(d->call.args, info->entry.args, sizeof(d->call.args));
    if (d->call.path_at >= 0 && read_path(pid, d->call.args[d->call.path_at], d->path))
        d->call.path = d->path;
    if (d->call.number == SYS_exit || d->call.number == SYS_exit_group)
        print(t, &d->call, NULL);
}

static void on_call(struct tracer *t, pid_t pid)
{
    struct __ptrace_syscall_info info;
    struct traced *d;
    int64_t ret;

    if (pid == t->init || ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof(info), &info) <= 0)
        return;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
        on_entry(t, pid, &info);
    } else if (info.op == PTRACE_SYSCALL_INFO_EXIT && (d = find(t, pid))) {
        ret = info.exit.rval;
        print(t, &d->call, &ret);
        d->pid = 0;
    }
}

/* What is to become of one that stands: a signal that it gets, or -1: it stays as it is. */
static int on_stop(struct tracer *t, pid_t pid, int status)
{
    const int signo = WSTOPSIG(status), event = status >> 16;

    if (signo == (SIGTRAP | 0x80)) {
        on_call(t, pid);
        return 0;
    }
    if (event == PTRACE_EVENT_STOP)
        return signo == SIGSTOP || signo == SIGTSTP || signo == SIGTTIN || signo == SIGTTOU ? -1
                                                                                            : 0;
    return event ? 0 : signo;
}

static _Noreturn void trace(struct tracer *t)
{
    for (;;) {
        int status, signo;
        pid_t pid = waitpid(-1, &status, __WALL);

        if (pid < 0 && errno == EINTR)
            continue;
        if (pid < 0)
            _exit(0);
        if (!WIFSTOPPED(status)) {
            struct traced *d = find(t, pid);

            if (d)
                d->pid = 0;
            continue;
        }
        signo = on_stop(t, pid, status);
        if (signo < 0)
            (void)ptrace(PTRACE_LISTEN, pid, 0, 0);
        else
            (void)ptrace(PTRACE_SYSCALL, pid, 0, (void *)(uintptr_t)signo);
    }
}

static _Noreturn void run(pid_t init, unsigned exec, int why_fd)
{
    static struct tracer t;
    sigset_t none;
    int error = 0;

    t = (struct tracer){.init = init, .exec = exec};
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(why_fd, STDERR_FILENO + 1) < 0 || close_range(STDERR_FILENO + 2, ~0u, 0) < 0)
        _exit(1);
    if (ptrace(PTRACE_SEIZE, init, 0, (void *)(uintptr_t)OPTIONS) < 0 ||
        ptrace(PTRACE_INTERRUPT, init, 0, 0) < 0)
        error = errno;
    (void)!write(STDERR_FILENO + 1, &error, sizeof(error));
    (void)close(STDERR_FILENO + 1);
    if (error)
        _exit(1);
    trace(&t);
}

int trace_start(pid_t init, unsigned exec)
{
    int why[2], error = EIO;
    pid_t pid;

    if (pipe2(why, O_CLOEXEC) < 0)
        return -errno;
    pid = fork();
    if (pid == 0)
        run(init, exec, why[1]);
    close(why[1]);
    /* It answers at once, or dies. */
    if (pid < 0 || read(why[0], &error, sizeof(error)) != sizeof(error))
        error = pid < 0 ? EAGAIN : EIO;
    close(why[0]);
    return -error;
}
