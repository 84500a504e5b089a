/*
 * standin: stands in for crun where there is no guest: runs a job with no confinement at all.
 *
 * Takes crun's command line as agent/container.c writes it. config.json is not JSON here: its lines
 * are the command, with what is declared in front of it as in shared/guest.h; or, after a "!", what
 * the runtime fails with. The job's first process is the
 * real one (agent/jobinit.c), in a pid namespace of its own.
 */
#include "agent/jobinit.h"
#include "shared/guest.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ARGS_MAX 16

struct standin {
    const char *state, *log, *bundle, *pidfile, *console, *verb, *id;
    char config[65536];
    char *command[ARGS_MAX + 2];
};

static int parse(struct standin *s, int argc, char *argv[])
{
    for (int i = 1; i < argc; i++) {
        const struct {
            const char *name, **value;
        } options[] = {{"--root", &s->state},
                       {"--log", &s->log},
                       {"--bundle", &s->bundle},
                       {"--pid-file", &s->pidfile},
                       {"--console-socket", &s->console}};
        size_t o = 0, n = sizeof(options) / sizeof(options[0]);

        while (o < n && strcmp(argv[i], options[o].name) != 0)
            o++;
        if (o < n && i + 1 < argc)
            *options[o].value = argv[++i];
        else if (argv[i][0] != '-' && !s->verb)
            s->verb = argv[i];
        else if (argv[i][0] != '-')
            s->id = argv[i];
    }
    return s->state && s->verb && s->id ? 0 : -1;
}

static int write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    if (!f)
        return -1;
    fputs(text, f);
    return fclose(f);
}

static int read_config(struct standin *s)
{
    static char end[] = GUEST_DECLARED_END;
    char path[4096], *line = s->config;
    size_t n = 0;
    FILE *f;

    snprintf(path, sizeof(path), "%s/config.json", s->bundle);
    f = fopen(path, "r");
    if (!f)
        return -1;
    s->config[fread(s->config, 1, sizeof(s->config) - 1, f)] = '\0';
    fclose(f);
    if (strncmp(line, "--", 2) != 0)
        s->command[n++] = end;
    while (line && n < ARGS_MAX)
        s->command[n++] = strsep(&line, "\n");
    return 0;
}

static int send_console(const char *path, int fd)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = (char[]){"/dev/ptmx"}, .iov_len = 9};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof(control)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    return connect(s, (const struct sockaddr *)&a, sizeof(a)) < 0 || sendmsg(s, &m, 0) < 0 ? -1 : 0;
}

/* In the job's first process, before the agent's code takes over. */
static int become_job(struct standin *s, int slave)
{
    setsid();
    if (slave >= 0) {
        for (int i = 0; i < 3; i++)
            dup2(slave, i);
        close(slave);
        ioctl(0, TIOCSCTTY, 0);
    }
    return jobinit_main(s->command);
}

static int run(struct standin *s)
{
    int master = -1, slave = -1;
    char text[32], path[4096];
    pid_t pid;

    if (read_config(s) < 0)
        return 1;
    if (s->config[0] == '!') {
        snprintf(path, sizeof(path), "2026-01-31T12:00:00.000000000Z: %s", s->config + 1);
        write_text(s->log, path);
        return 1;
    }
    if (s->console) {
        master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (master < 0 || unlockpt(master) < 0)
            return 1;
        slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
        if (slave < 0 || send_console(s->console, master) < 0)
            return 1;
        close(master);
    }
    if (unshare(CLONE_NEWPID) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWPID) < 0)
        return 1;
    pid = fork();
    if (pid == 0)
        _exit(become_job(s, slave));
    if (pid < 0)
        return 1;
    snprintf(text, sizeof(text), "%d", pid);
    snprintf(path, sizeof(path), "%s/%s", s->state, s->id);
    return write_text(s->pidfile, text) < 0 || write_text(path, text) < 0;
}

static int delete (const struct standin *s)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/%s", s->state, s->id);
    return unlink(path) < 0;
}

int main(int argc, char *argv[])
{
    static struct standin s;

    if (parse(&s, argc, argv) < 0)
        return 2;
    /* No clean-up of a sanitizer's: it wants threads, which a process that has left its pid
     * namespace cannot have. */
    _exit(strcmp(s.verb, "run") == 0 ? run(&s) : delete (&s));
}
