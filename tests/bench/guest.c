/*
 * guest: what a guest alone can do, for a benchmark to hold lazaret against: the container of a job
 * by crun with nothing around it, and bytes out of a port with nothing in them.
 *
 * It is put in crun's place in the initramfs, with the real one behind its own bytes and then 8
 * bytes that say how long that is; so the agent has brought the guest up as for every job, and
 * starts it. It takes orders on the second port, a byte each; see serve().
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STREAM_BYTES (64u << 20) /* inside.py has it too */
#define BUNDLE       "/run/bench"
#define CONFIG       BUNDLE "/config.json"
#define STATE        "/run/bench-state"
#define PIDFILE      BUNDLE "/pid"

static uint64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static int copy(int from, int to, uint64_t left)
{
    static char buf[65536];

    while (left > 0) {
        ssize_t n = read(from, buf, left < sizeof(buf) ? (size_t)left : sizeof(buf));

        if (n <= 0)
            return n == 0 ? 0 : -1;
        for (ssize_t at = 0, w; at < n; at += w)
            if ((w = write(to, buf + at, (size_t)(n - at))) < 0)
                return -1;
        left -= (uint64_t)n;
    }
    return 0;
}

/* The real one, as a file of its own; sealed as the agent's, or crun would copy itself at each
 * start. */
static int take_crun(void)
{
    int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int fd = memfd_create("crun", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    uint64_t size;
    off_t end;

    if (self < 0 || fd < 0 || (end = lseek(self, -(off_t)sizeof(size), SEEK_END)) < 0 ||
        read(self, &size, sizeof(size)) != (ssize_t)sizeof(size) ||
        lseek(self, end - (off_t)size, SEEK_SET) < 0 || copy(self, fd, size) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return -1;
    close(self);
    return fd;
}

/* The agent removes its own when we have failed, as we shall. */
static int take_config(const char *bundle)
{
    char path[4096];
    int from, to, rc;

    (void)snprintf(path, sizeof(path), "%s/config.json", bundle);
    (void)mkdir(BUNDLE, 0700);
    from = open(path, O_RDONLY | O_CLOEXEC);
    to = open(CONFIG, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    rc = from < 0 || to < 0 ? -1 : copy(from, to, UINT64_MAX);
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    return rc;
}

/* The first one that is not the agent's: it has its own open, and a port is opened once. */
static int open_port(void)
{
    char path[32];

    for (int i = 0; i < 64; i++) { /* the device's place on the bus, and the port's on it */
        int fd;

        (void)snprintf(path, sizeof(path), "/dev/vport%dp%d", i / 8, i % 8);
        fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd >= 0)
            return fd;
    }
    return -1;
}

/* Until it has ended; its exit status, or -1. */
static int crun(int program, char *const *words)
{
    char *argv[16] = {(char[]){"crun"}, (char[]){"--root"}, (char[]){STATE},
                      (char[]){"--cgroup-manager=cgroupfs"}};
    char *const env[] = {(char[]){"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, NULL};
    int status;
    pid_t pid;

    for (size_t i = 0; i < 11 && words[i]; i++)
        argv[4 + i] = words[i];
    pid = fork();
    if (pid == 0) {
        fexecve(program, argv, env);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

/* The container's first process becomes our child when crun has gone. */
static int wait_first(void)
{
    FILE *f = fopen(PIDFILE, "re");
    char line[32] = "";
    long pid;
    int status;

    if (!f || !fgets(line, sizeof(line), f) || (pid = strtol(line, NULL, 10)) <= 0)
        return -1;
    (void)fclose(f);
    return waitpid((pid_t)pid, &status, 0) == (pid_t)pid ? 0 : -1;
}

/* As the job's configuration says. Microseconds and a newline: with its removal, or until its first
 * process has ended, which is what an exec waits for. */
static void container(int program, int port, bool whole)
{
    char run[] = "run", bundle[] = "--bundle", in[] = BUNDLE, id[] = "bench", detach[] = "--detach",
         pidfile[] = "--pid-file", pid[] = PIDFILE, del[] = "delete", force[] = "--force";
    char *const stays[] = {run, detach, bundle, in, pidfile, pid, id, NULL};
    char *const goes[] = {run, bundle, in, id, NULL};
    const uint64_t began = now_us();
    char line[64];
    uint64_t us;
    int n, rc = crun(program, whole ? goes : stays);

    if (!whole && rc == 0)
        rc = wait_first();
    us = now_us() - began;
    if (!whole)
        (void)crun(program, (char *const[]){del, force, id, NULL});
    n = rc == 0 ? snprintf(line, sizeof(line), "%ju\n", (uintmax_t)us)
                : snprintf(line, sizeof(line), "crun failed: %d\n", rc);
    (void)!write(port, line, (size_t)n);
}

/* STREAM_BYTES of zeros, by one process through a pipe to the one that writes the port. */
static void stream(int port)
{
    static const char zeros[65536];
    int fds[2], status;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return;
    pid = fork();
    if (pid == 0) {
        for (uint32_t left = STREAM_BYTES; left > 0; left -= (uint32_t)sizeof(zeros))
            if (write(fds[1], zeros, sizeof(zeros)) != (ssize_t)sizeof(zeros))
                _exit(1);
        _exit(0);
    }
    close(fds[1]);
    (void)copy(fds[0], port, STREAM_BYTES);
    close(fds[0]);
    (void)waitpid(pid, &status, 0);
}

static _Noreturn void serve(int program, int port)
{
    char order;

    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (;;) {
        if (read(port, &order, 1) != 1)
            usleep(1000); /* no host yet */
        else if (order == 'c' || order == 'e')
            container(program, port, order == 'c');
        else if (order == 's')
            stream(port);
    }
}

int main(int argc, char **argv)
{
    const char *bundle = NULL;
    int program, port, null;

    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], "--bundle") == 0)
            bundle = argv[i + 1];
    if (!bundle) /* the agent clears up behind a job that did not start */
        return 0;
    program = take_crun();
    port = open_port();
    null = open("/dev/null", O_RDWR);
    if (program < 0 || port < 0 || null < 0 || take_config(bundle) < 0) {
        fprintf(stderr, "bench: crun %d, port %d: %s\n", program, port, strerror(errno));
        return 1;
    }
    /* The agent gives what it starts a minute. */
    if (fork() > 0) {
        fprintf(stderr, "bench: goes on\n");
        return 1;
    }
    for (int i = 0; i < 4; i++)
        (void)dup2(null, i); /* the fourth is the agent's link to a job */
    serve(program, port);
}
