/* reader: a child process without rights, in which bytes that others made are read. See reader.h.
 */
#include "images/reader.h"

#include "base/confine.h"
#include "base/file.h"
#include "base/own.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define FDS_MAX 4

static const struct confine_call calls[] = {
    {SCMP_SYS(pread64), CONFINE_ANY_ARG, "the archive"},
    {SCMP_SYS(write), CONFINE_ANY_ARG, "what is unpacked, and what is found"},
    CONFINE_CALLS_MEMORY,
    CONFINE_CALLS_END,
};

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void close_others(const int *fds, size_t n_fds, int to_fd)
{
    int keep[FDS_MAX + 2];
    size_t n = 0;
    unsigned from = 0;

    for (size_t i = 0; i < n_fds; i++)
        keep[n++] = fds[i];
    keep[n++] = to_fd;
#ifdef CONFINE_SANITIZED
    keep[n++] = STDERR_FILENO; /* for its report */
#endif
    qsort(keep, n, sizeof(keep[0]), by_number);
    for (size_t i = 0; i < n; i++) {
        if ((unsigned)keep[i] > from)
            syscall(SYS_close_range, from, (unsigned)keep[i] - 1, 0);
        from = (unsigned)keep[i] + 1;
    }
    syscall(SYS_close_range, from, ~0u, 0);
}

/* Tokens of the user live there. */
static void forget_environment(void)
{
    for (char **p = environ; *p; p++)
        explicit_bzero(*p, strlen(*p));
}

static void child(reader_fn *fn, void *arg, const int *fds, size_t n_fds, int to_fd,
                  uint64_t max_file_bytes)
{
    const struct confine rights = {
        .calls = calls,
        .n_calls = sizeof(calls) / sizeof(calls[0]),
        .dir_fd = -1,
        .max_fds = 1024, /* those that there are; none can be opened */
        .max_file_bytes = max_file_bytes,
        .max_data_bytes = READER_MEMORY_MAX,
        .max_cpu_s = READER_CPU_S_MAX,
    };
    struct err e;

    close_others(fds, n_fds, to_fd);
    forget_environment();
    if (confine_self(&rights, &e) < 0)
        reader_put_err(to_fd, &e);
    else
        fn(arg, to_fd);
    _exit(0);
}

#ifdef LZ_FUZZING
/* A fuzzer sees this process only: all is read here, into a file in place of the pipe. */
int reader_start(struct reader *r, reader_fn *fn, void *arg, const int *fds, size_t n_fds,
                 uint64_t max_file_bytes, struct err *e)
{
    int fd = memfd_create("reader", MFD_CLOEXEC);

    (void)child;
    (void)fds;
    (void)n_fds;
    (void)max_file_bytes;
    if (fd < 0)
        return err_sys(e, ERR_HOST, errno, "memfd");
    fn(arg, fd);
    lseek(fd, 0, SEEK_SET);
    *r = (struct reader){.fd = fd};
    return 0;
}
#else
int reader_start(struct reader *r, reader_fn *fn, void *arg, const int *fds, size_t n_fds,
                 uint64_t max_file_bytes, struct err *e)
{
    int ends[2];
    pid_t pid;

    if (n_fds > FDS_MAX)
        return err_set(e, ERR_HOST, "a reader of more than %d files", FDS_MAX);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(e, ERR_HOST, errno, "pipe");
    pid = fork();
    if (pid == 0)
        child(fn, arg, fds, n_fds, ends[1], max_file_bytes);
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return err_sys(e, ERR_HOST, errno, "fork");
    }
    r->pid = pid;
    r->fd = ends[0];
    r->at = r->len = 0;
    return 0;
}
#endif

void reader_done(struct reader *r)
{
    if (r->pid > 0) {
        kill(r->pid, SIGKILL);
        while (waitpid(r->pid, NULL, 0) < 0 && errno == EINTR)
            ;
        r->pid = 0;
    }
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
}

/* It closed the pipe before it had said all. */
static int explain_end(struct reader *r, struct err *e)
{
    int status = 0;

    while (r->pid > 0 && waitpid(r->pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_sys(e, ERR_HOST, errno, "waitpid");
    r->pid = 0;
    if (WIFSIGNALED(status))
        return err_set(e, ERR_IMAGE,
                       "broke the process that read it, which signal %d (%s) ended (do not use it)",
                       WTERMSIG(status), strsignal(WTERMSIG(status)));
    return err_set(e, ERR_IMAGE, "broke the process that read it (do not use it)");
}

static int fill(struct reader *r, struct err *e)
{
    struct pollfd p = {.fd = r->fd, .events = POLLIN};
    ssize_t n;

    do
        n = poll(&p, 1, (int)READER_QUIET_S * 1000);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        return err_set(e, ERR_IMAGE, "took more than %u seconds to read (do not use it)",
                       READER_QUIET_S);
    do
        n = read(r->fd, r->buf, sizeof(r->buf));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(e, ERR_HOST, errno, "cannot read from the reader");
    if (n == 0)
        return explain_end(r, e);
    r->at = 0;
    r->len = (size_t)n;
    return 0;
}

int reader_take(struct reader *r, void *to, size_t len, struct err *e)
{
    char *p = to;

    while (len > 0) {
        size_t n = r->len - r->at < len ? r->len - r->at : len;

        if (n == 0) {
            if (fill(r, e) < 0)
                return -1;
            continue;
        }
        memcpy(p, r->buf + r->at, n);
        r->at += n;
        p += n;
        len -= n;
    }
    return 0;
}

/* An error as it goes through the pipe. */
struct told {
    uint32_t class; /* ERR_NONE: none */
    char text[ERR_TEXT_MAX];
};

void reader_put_err(int to_fd, const struct err *e)
{
    struct told t = {.class = e ? e->class : ERR_NONE};

    if (e)
        memcpy(t.text, e->text, strnlen(e->text, sizeof(t.text) - 1));
    file_write_all(to_fd, &t, sizeof(t)); /* nobody to tell if it fails */
}

int reader_take_err(struct reader *r, struct err *e)
{
    struct told t;
    char shown[ERR_TEXT_MAX];

    if (reader_take(r, &t, sizeof(t), e) < 0)
        return -1;
    if (t.class == ERR_NONE)
        return 0;
    str_escape(shown, sizeof(shown), t.text, strnlen(t.text, sizeof(t.text)));
    return err_set(e, t.class == ERR_HOST ? ERR_HOST : ERR_IMAGE, "%s", shown);
}
