/* checker: hashes a saved guest's memory beside the start of its QEMU. See checker.h. */
#include "run/checker.h"

#include "base/clock.h"
#include "base/own.h"
#include "shared/fds.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_MS 120000u /* all of the memory, where the disk may be slow */

struct answer {
    int rc;
    struct memory_sum sum;
    struct err err;
};

/* Until the keeper closes its end. */
static _Noreturn void serve(int sock)
{
    for (;;) {
        struct answer a = {0};
        struct fds got;
        char question;
        int fd;

        if (fds_receive(sock, &question, 1, &got, 0) != 1 || (fd = fds_one(&got)) < 0)
            _exit(0);
        a.rc = memory_digest(fd, &a.sum, &a.err);
        close(fd);
        if (send(sock, &a, sizeof(a), MSG_NOSIGNAL) != (ssize_t)sizeof(a))
            _exit(0);
    }
}

static _Noreturn void be_checker(int sock, pid_t keeper)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != keeper ||
        dup2(sock, STDIN_FILENO) < 0 || syscall(SYS_close_range, STDIN_FILENO + 1, ~0u, 0) < 0)
        _exit(1);
    serve(STDIN_FILENO);
}

int checker_start(struct checker *ret, struct err *e)
{
    const pid_t keeper = getpid();
    int pair[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(e, ERR_HOST, errno, "socketpair");
    pid = fork();
    if (pid == 0)
        be_checker(pair[1], keeper);
    close(pair[1]);
    if (pid < 0) {
        err_sys(e, ERR_HOST, errno, "fork");
        close(pair[0]);
        return -1;
    }
    *ret = (struct checker){.pid = pid, .fd = pair[0]};
    return 0;
}

int checker_ask(const struct checker *c, int fd, struct err *e)
{
    if (fds_send(c->fd, "?", 1, &fd, 1, 0) != 1)
        return err_sys(e, ERR_HOST, errno, "cannot have a saved guest's memory checked");
    return 0;
}

int checker_answer(const struct checker *c, struct memory_sum *ret, struct err *e)
{
    const uint64_t until = clock_mono_ms() + ANSWER_MS;
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    struct answer a;
    int r;

    do {
        r = poll(&p, 1, clock_poll_timeout(until));
    } while (r < 0 && errno == EINTR);
    if (r == 0)
        return err_set(e, ERR_HOST, "a saved guest's memory was not read in time");
    if (r < 0 || recv(c->fd, &a, sizeof(a), MSG_DONTWAIT) != (ssize_t)sizeof(a))
        return err_set(e, ERR_HOST, "the process that reads a saved guest's memory died");
    if (a.rc < 0)
        *e = a.err;
    else
        *ret = a.sum;
    return a.rc;
}

void checker_end(struct checker *c)
{
    if (c->pid == 0)
        return;
    close(c->fd);
    kill(c->pid, SIGKILL);
    while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    *c = (struct checker){0};
}
