/* probe: limits of a job, tried by going beyond them. See probe.c. */
#include "agent/probe_private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROBE_FILES_SOFT 1024u      /* what select(2) can take: vmm/oci/oci.c */
#define MEMORY_SLACK     (8u << 20) /* more than the limit by this much is a breach */
#define PROCESSES_MAX    65536u

bool probe_look_processes(struct probe *p)
{
    unsigned n = 0;
    int gate[2];

    if (p->pids == PROBE_NOT_GIVEN)
        return probe_holds(p, "any");
    if (pipe2(gate, O_CLOEXEC) < 0)
        return probe_broken(p, "no pipe");
    for (; n < PROCESSES_MAX && n <= p->pids; n++) {
        pid_t pid = fork();
        char byte;

        if (pid < 0)
            break;
        if (pid > 0)
            continue;
        (void)close(gate[1]);
        (void)!read(gate[0], &byte, 1); /* until the parent has counted */
        _exit(0);
    }
    (void)close(gate[0]);
    (void)close(gate[1]);
    while (waitpid(-1, NULL, 0) > 0)
        ;
    if (n + 1 > p->pids)
        return probe_broken(p, "%u processes could be made", n);
    return probe_holds(p, "no more than %u could be made", n + 1);
}

/* A mapping that was refused was so by another limit than that of memory, if there is one. */
static bool say_refused(struct probe *p, uint64_t size)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_AS, &r) < 0 || r.rlim_cur == RLIM_INFINITY)
        return probe_holds(p, "%llu MiB were refused", (unsigned long long)(size >> 20));
    return probe_holds(p, "a process may have %llu MiB of addresses at most: not reached",
                       (unsigned long long)(r.rlim_cur >> 20));
}

bool probe_look_memory(struct probe *p)
{
    uint64_t size = p->memory + MEMORY_SLACK;
    int status = 0;
    pid_t pid;

    if (p->memory == PROBE_NOT_GIVEN)
        return probe_holds(p, "any");
    pid = fork();
    if (pid == 0) {
        char *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (at == MAP_FAILED)
            _exit(1);
        for (uint64_t i = 0; i < size; i += 4096)
            at[i] = 1;
        _exit(0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return probe_broken(p, "it could not be tried");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return probe_broken(p, "%llu MiB could be used", (unsigned long long)(size >> 20));
    if (!WIFSIGNALED(status))
        return say_refused(p, size);
    return probe_holds(p, "%llu MiB were ended by the kernel", (unsigned long long)(size >> 20));
}

/* A file of more than `bytes` in `dir` must find no room. */
static bool has_an_end(struct probe *p, const char *dir, uint64_t bytes)
{
    char path[64];
    int fd, rc;

    if (bytes == PROBE_NOT_GIVEN)
        return probe_holds(p, "any");
    (void)snprintf(path, sizeof(path), "%s/.lazaret-probe", dir);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return probe_broken(p, "'%s' takes no file: %s", dir, strerror(errno));
    signal(SIGXFSZ, SIG_IGN);
    rc = fallocate(fd, 0, 0, (off_t)(bytes + 1)) < 0 ? errno : 0;
    (void)close(fd);
    (void)unlink(path);
    if (rc == 0)
        return probe_broken(p, "more than %llu MiB fit", (unsigned long long)(bytes >> 20));
    if (rc == EFBIG)
        return probe_holds(p, "no file may be that large: not reached");
    if (rc != ENOSPC && rc != ENOMEM && rc != EDQUOT)
        return probe_broken(p, "'%s' could not be tried: %s", dir, strerror(rc));
    return probe_holds(p, "more than %llu MiB do not fit", (unsigned long long)(bytes >> 20));
}

bool probe_look_tmp(struct probe *p)
{
    return has_an_end(p, "/tmp", p->tmp);
}

bool probe_look_disk(struct probe *p)
{
    return has_an_end(p, "/work", p->disk);
}

/* ---- of each process ------------------------------------------------------------------------- */

#define CPU_TRY_S  1u   /* of the CPU time that is used up for real */
#define CPU_WAIT_S 300u /* ... in at most so long: the machine may be busy */

/* As the plan has it: its 0 is none. */
static bool is_limit(struct probe *p, const char *what, int resource, uint64_t soft, uint64_t hard)
{
    struct rlimit r;

    if (getrlimit(resource, &r) < 0)
        return probe_broken(p, "the limit of %s cannot be read", what);
    if (r.rlim_cur == soft && r.rlim_max == hard)
        return true;
    if (r.rlim_max == RLIM_INFINITY)
        return probe_broken(p, "%s without a limit", what);
    return probe_broken(p, "%s: %llu, at most %llu, in place of the plan's", what,
                        (unsigned long long)r.rlim_cur, (unsigned long long)r.rlim_max);
}

/* Runs `try` in a child. Its wait status, or -1. */
static int in_child(int (*try)(struct probe *p, int fd), struct probe *p, int fd)
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(try(p, fd));
    return pid < 0 || waitpid(pid, &status, 0) != pid ? -1 : status;
}

static bool ended_well(int status)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The last descriptor that there may be, and one more. */
static int try_files(struct probe *p, int fd)
{
    const struct rlimit r = {p->files, p->files};

    if (setrlimit(RLIMIT_NOFILE, &r) < 0 ||
        fcntl(STDERR_FILENO, F_DUPFD, (int)p->files - 1) != (int)p->files - 1)
        return 1;
    return fcntl(STDERR_FILENO, F_DUPFD, (int)p->files - 1) < 0 && errno == EMFILE ? 0 : 1;
}

/* All of it cannot be had by who has a part of it already; half of it can. */
static int try_addresses(struct probe *p, int fd)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

    if (mmap(NULL, p->addresses, PROT_NONE, flags, -1, 0) != MAP_FAILED || errno != ENOMEM)
        return 1;
    return mmap(NULL, p->addresses / 2, PROT_NONE, flags, -1, 0) == MAP_FAILED;
}

/* As long as may be; with a byte more this process gets SIGXFSZ. */
static int try_file(struct probe *p, int fd)
{
    signal(SIGXFSZ, SIG_DFL);
    if (ftruncate(fd, (off_t)p->file) < 0)
        return 1;
    (void)!ftruncate(fd, (off_t)p->file + 1);
    return 1;
}

/* Less of it than the plan has, so that it does not take that long. */
static int try_cpu(struct probe *p, int fd)
{
    const rlim_t s = p->cpu_s < CPU_TRY_S ? p->cpu_s : CPU_TRY_S;
    const struct rlimit r = {s, s + 1};

    signal(SIGXCPU, SIG_DFL);
    if (setrlimit(RLIMIT_CPU, &r) < 0)
        return 1;
    alarm(CPU_WAIT_S);
    for (volatile unsigned spin = 0;; spin++)
        ;
}

static bool ends_by(int status, int signo)
{
    return status != -1 && WIFSIGNALED(status) && WTERMSIG(status) == signo;
}

static bool hits_file(struct probe *p)
{
    static const char path[] = "/tmp/.lazaret-probe-file";
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600), status;

    if (fd < 0)
        return probe_broken(p, "'%s': %s", path, strerror(errno));
    (void)unlink(path);
    status = in_child(try_file, p, fd);
    (void)close(fd);
    return ends_by(status, SIGXFSZ) ||
           probe_broken(p, "a file of %llu bytes: the limit is not held",
                        (unsigned long long)p->file);
}

static bool compare_all(struct probe *p)
{
    const uint64_t none = RLIM_INFINITY, given = PROBE_NOT_GIVEN;
    const uint64_t soft = p->files < PROBE_FILES_SOFT ? p->files : PROBE_FILES_SOFT;

    return is_limit(p, "core dumps", RLIMIT_CORE, 0, 0) &&
           (p->files == given || is_limit(p, "open files", RLIMIT_NOFILE, soft, p->files)) &&
           (p->cpu_s == given || is_limit(p, "CPU seconds", RLIMIT_CPU, p->cpu_s ? p->cpu_s : none,
                                          p->cpu_s ? p->cpu_s + 1 : none)) &&
           (p->addresses == given ||
            is_limit(p, "bytes of addresses", RLIMIT_AS, p->addresses ? p->addresses : none,
                     p->addresses ? p->addresses : none)) &&
           (p->file == given || is_limit(p, "bytes of a file", RLIMIT_FSIZE,
                                         p->file ? p->file : none, p->file ? p->file : none));
}

static void say_limit(struct probe *p, const char *what, uint64_t value)
{
    size_t n = strlen(p->text);

    if (value != 0 && value != PROBE_NOT_GIVEN)
        (void)snprintf(p->text + n, sizeof(p->text) - n, ", %s %llu", what,
                       (unsigned long long)value);
}

bool probe_look_limits(struct probe *p)
{
    const uint64_t given = PROBE_NOT_GIVEN;

    if (!compare_all(p))
        return false;
    if (p->files != given && !ended_well(in_child(try_files, p, -1)))
        return probe_broken(p, "open files: not held at %llu", (unsigned long long)p->files);
    if (p->addresses != 0 && p->addresses != given && !ended_well(in_child(try_addresses, p, -1)))
        return probe_broken(p, "addresses: not held at %llu", (unsigned long long)p->addresses);
    if (p->file != 0 && p->file != given && !hits_file(p))
        return false;
    if (p->cpu_s != 0 && p->cpu_s != given && !ends_by(in_child(try_cpu, p, -1), SIGXCPU))
        return probe_broken(p, "CPU time: a process that used it up went on");
    (void)probe_holds(p, "no core dumps");
    say_limit(p, "files", p->files);
    say_limit(p, "CPU seconds", p->cpu_s);
    say_limit(p, "addresses", p->addresses);
    say_limit(p, "file", p->file);
    return true;
}
