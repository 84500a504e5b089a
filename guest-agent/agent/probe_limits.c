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

#define MEMORY_SLACK  (8u << 20) /* more than the limit by this much is a breach */
#define PROCESSES_MAX 65536u

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
