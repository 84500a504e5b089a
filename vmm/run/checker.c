/* checker: hashes what a guest begins with beside the making of the rest. See checker.h. */
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
#define SELF      STDIN_FILENO

struct answer {
    int rc;
    struct memory_sum sum;
    struct err err;
};

static bool tell(int sock, const struct answer *a)
{
    return send(sock, a, sizeof(*a), MSG_NOSIGNAL) == (ssize_t)sizeof(*a);
}

/* Until the keeper closes its end. */
static _Noreturn void serve(void)
{
    struct answer a;

    do {
        struct fds got;
        char question;
        int fd;

        if (fds_receive(SELF, &question, 1, &got, 0) != 1 || (fd = fds_one(&got)) < 0)
            _exit(0);
        a = (struct answer){0};
        a.rc = memory_digest(fd, &a.sum, &a.err);
        close(fd);
    } while (tell(SELF, &a));
    _exit(0);
}

static _Noreturn void be_checker(const struct image *im, int sock, pid_t keeper)
{
    struct answer a = {0};

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != keeper)
        _exit(1);
    a.rc = image_check_boot(im, &a.err);
    if (!tell(sock, &a) || dup2(sock, SELF) < 0 || syscall(SYS_close_range, SELF + 1, ~0u, 0) < 0)
        _exit(1);
    serve();
}

int checker_start(const struct image *im, struct checker *ret, struct err *e)
{
    const pid_t keeper = getpid();
    int pair[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(e, ERR_HOST, errno, "socketpair");
    pid = fork();
    if (pid == 0)
        be_checker(im, pair[1], keeper);
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

static int wait_answer(const struct checker *c, struct answer *ret, struct err *e)
{
    const uint64_t until = clock_mono_ms() + ANSWER_MS;
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    ssize_t n;
    int r;

    do {
        r = poll(&p, 1, clock_poll_timeout(until));
    } while (r < 0 && errno == EINTR);
    if (r == 0)
        return err_set(e, ERR_HOST, "what the guest begins with was not read in time");
    n = r < 0 ? -1 : recv(c->fd, ret, sizeof(*ret), MSG_DONTWAIT);
    if (n < 0)
        return err_sys(e, ERR_HOST, errno, "cannot hear of what the guest begins with");
    if (n != (ssize_t)sizeof(*ret))
        return err_set(e, ERR_HOST, "the process that reads what the guest begins with died");
    if (ret->rc < 0)
        *e = ret->err;
    return ret->rc;
}

int checker_image(const struct checker *c, struct err *e)
{
    struct answer a;

    return wait_answer(c, &a, e);
}

int checker_answer(const struct checker *c, struct memory_sum *ret, struct err *e)
{
    struct answer a;

    if (wait_answer(c, &a, e) < 0)
        return -1;
    *ret = a.sum;
    return 0;
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
