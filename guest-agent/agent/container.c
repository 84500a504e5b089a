/* container: the one small interface to the OCI runtime (crun) and to the container's cgroup. */
#include "agent/container.h"

#include "agent/audit.h"
#include "agent/link.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX 4096 /* bytes that are read of a cgroup file, a pid file or a log */

/* In the child: fds[i] becomes i, signals are as a program expects them. */
static _Noreturn void become(int program, const char *const argv[], uint32_t owner, const int *fds,
                             int n_fds)
{
    char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
    char *const env[] = {path, NULL};
    int above[4];
    sigset_t none;

    for (int i = 0; i < n_fds; i++)
        above[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 16);
    program = fcntl(program, F_DUPFD_CLOEXEC, 16);
    for (int i = 0; i < n_fds; i++)
        if (above[i] < 0 || dup2(above[i], i) < 0)
            _exit(127);
    /* Where it fails the job's refused calls are without an owner. */
    if (owner > 0)
        (void)audit_name_me(owner);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    fexecve(program, (char *const *)(uintptr_t)argv, env);
    _exit(127);
}

static pid_t start(int program, const char *const argv[], uint32_t owner, const int *fds, int n_fds)
{
    pid_t pid = fork();

    if (pid == 0)
        become(program, argv, owner, fds, n_fds);
    return pid < 0 ? -errno : pid;
}

pid_t container_start(const struct container_paths *p, const struct container_start *s)
{
    char log[CONTAINER_PATH_MAX], pidfile[CONTAINER_PATH_MAX], console[CONTAINER_PATH_MAX];
    const char *argv[24] = {"crun",
                            "--root",
                            p->state,
                            "--cgroup-manager=cgroupfs",
                            "--log",
                            log,
                            "run",
                            "--detach",
                            "--bundle",
                            s->bundle,
                            "--pid-file",
                            pidfile,
                            "--preserve-fds=1"};
    const int fds[4] = {s->stdio[0], s->stdio[1], s->stdio[2], s->link};
    size_t n = 13;

    (void)snprintf(log, sizeof(log), "%s/" CONTAINER_LOG, s->bundle);
    (void)snprintf(pidfile, sizeof(pidfile), "%s/" CONTAINER_PIDFILE, s->bundle);
    (void)snprintf(console, sizeof(console), "%s/" CONTAINER_CONSOLE, s->bundle);
    if (s->tty) {
        argv[n++] = "--console-socket";
        argv[n++] = console;
    }
    argv[n] = s->id;
    return start(p->runtime_fd, argv, s->owner, fds, 4);
}

pid_t container_delete(const struct container_paths *p, const char *id)
{
    const char *const argv[] = {"crun",   "--root",  p->state, "--cgroup-manager=cgroupfs",
                                "delete", "--force", id,       NULL};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    const int fds[3] = {null, null, null};
    pid_t pid = null < 0 ? -errno : start(p->runtime_fd, argv, 0, fds, 3);

    if (null >= 0)
        close(null);
    return pid;
}

/* The front of a small text file, NUL-terminated; "" if it cannot be read. */
static void read_text(const char *path, char ret[FILE_MAX])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd < 0 ? -1 : read(fd, ret, FILE_MAX - 1);

    ret[n > 0 ? n : 0] = '\0';
    if (fd >= 0)
        close(fd);
}

pid_t container_pid(const char *bundle)
{
    char path[CONTAINER_PATH_MAX], text[FILE_MAX];
    long pid;

    (void)snprintf(path, sizeof(path), "%s/" CONTAINER_PIDFILE, bundle);
    read_text(path, text);
    pid = strtol(text, NULL, 10);
    return pid > 0 && pid <= INT32_MAX ? (pid_t)pid : 0;
}

void container_log(const char *bundle, char *ret_line, size_t size)
{
    char path[CONTAINER_PATH_MAX], text[FILE_MAX];
    const char *line = text, *stamp;

    (void)snprintf(path, sizeof(path), "%s/" CONTAINER_LOG, bundle);
    read_text(path, text);
    text[strcspn(text, "\n")] = '\0';
    /* "2026-01-31T12:00:00.000000000Z: text" */
    stamp = strstr(text, "Z: ");
    if (stamp && text[0] >= '0' && text[0] <= '9' && stamp - text < 40)
        line = stamp + 3;
    (void)snprintf(ret_line, size, "%s", line);
}

static void cgroup_path(const struct container_paths *p, unsigned exec, const char *file,
                        char ret[CONTAINER_PATH_MAX])
{
    (void)snprintf(ret, CONTAINER_PATH_MAX, "%s/exec-%u%s", p->cgroup, exec, file);
}

void container_kill(const struct container_paths *p, unsigned exec)
{
    char path[CONTAINER_PATH_MAX];
    int fd;

    cgroup_path(p, exec, "/cgroup.kill", path);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)!write(fd, "1", 1);
    close(fd);
}

void container_scrub(const struct container_paths *p, unsigned exec)
{
    char path[CONTAINER_PATH_MAX];

    container_kill(p, exec);
    cgroup_path(p, exec, "", path);
    (void)rmdir(path);
}

int container_freeze(const struct container_paths *p, bool freeze)
{
    char path[CONTAINER_PATH_MAX];
    int fd, rc = 0;

    (void)snprintf(path, sizeof(path), "%s/cgroup.freeze", p->cgroup);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (write(fd, freeze ? "1" : "0", 1) < 0)
        rc = -errno;
    close(fd);
    return rc;
}

/* The number after `key` at the start of a line; 0 if it is not there. */
static uint64_t number_of(const char *text, const char *key)
{
    size_t len = strlen(key);

    for (const char *p = text; p; p = strchr(p, '\n')) {
        p += *p == '\n';
        if (strncmp(p, key, len) == 0)
            return strtoull(p + len, NULL, 10);
    }
    return 0;
}

bool container_is_frozen(const struct container_paths *p)
{
    char path[CONTAINER_PATH_MAX], text[FILE_MAX];

    (void)snprintf(path, sizeof(path), "%s/cgroup.events", p->cgroup);
    read_text(path, text);
    return number_of(text, "frozen ") == 1;
}

/* The number behind `key` in one of the cgroup's files. */
static uint64_t told(const struct container_paths *p, unsigned exec, const char *file,
                     const char *key)
{
    char path[CONTAINER_PATH_MAX], text[FILE_MAX];

    cgroup_path(p, exec, file, path);
    read_text(path, text);
    return number_of(text, key);
}

void container_limits(const struct container_paths *p, unsigned exec, struct denials *ret)
{
    denials_add(ret, WIRE_DENIED_MEMORY, told(p, exec, "/memory.events", "max "));
    denials_add(ret, WIRE_DENIED_PIDS, told(p, exec, "/pids.events", "max "));
}

void container_usage(const struct container_paths *p, unsigned exec, struct wire_exit *ret)
{
    ret->oom = (uint32_t)told(p, exec, "/memory.events", "oom_kill ");
    ret->cpu_us = told(p, exec, "/cpu.stat", "usage_usec ");
    ret->peak_bytes = told(p, exec, "/memory.peak", "");
    ret->peak_pids = (uint32_t)told(p, exec, "/pids.peak", "");
}

void container_used(const struct container_paths *p, unsigned exec, struct wire_used_exec *ret)
{
    ret->cpu_us = told(p, exec, "/cpu.stat", "usage_usec ");
    ret->memory_bytes = told(p, exec, "/memory.current", "");
    ret->peak_bytes = told(p, exec, "/memory.peak", "");
    ret->pids = told(p, exec, "/pids.current", "");
}

/* "max" is no number, and "" neither. */
static uint64_t limit_in(const char *path)
{
    char text[FILE_MAX];

    read_text(path, text);
    return text[0] >= '0' && text[0] <= '9' ? strtoull(text, NULL, 10) : UINT64_MAX;
}

uint64_t container_limit(const struct container_paths *p, unsigned exec, const char *file)
{
    char path[CONTAINER_PATH_MAX];

    cgroup_path(p, exec, file, path);
    return limit_in(path);
}

uint64_t container_weight(const struct container_paths *p)
{
    char path[CONTAINER_PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/cpu.weight", p->cgroup);
    return limit_in(path);
}
