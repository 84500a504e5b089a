/* carry: what the user types, from their terminal to the relay, by the launcher. */
#include "run/carry.h"

#include "base/own.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

int carry_open(struct carry *c, int tty, int *ret_other, struct err *e)
{
    own_free char *again = str_printf("/proc/self/fd/%d", tty);
    own_close int from = open(again, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    int pair[2];

    if (from < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open the terminal");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(e, ERR_HOST, errno, "socketpair");
    c->from = own_steal_fd(from);
    c->to = pair[0];
    c->at = c->fill = 0;
    *ret_other = pair[1];
    return 0;
}

void carry_close(struct carry *c)
{
    if (c->to < 0)
        return;
    close(own_steal_fd(c->to));
    close(own_steal_fd(c->from));
}

/* A terminal that is not our controlling one knows no foreground of ours. */
static bool is_in_foreground(int tty)
{
    pid_t front = tcgetpgrp(tty);

    return front < 0 || front == getpgrp();
}

void carry_polls(const struct carry *c, struct pollfd p[CARRY_POLLS])
{
    bool full = c->fill > 0;

    p[0] = (struct pollfd){.fd = -1, .events = POLLIN};
    p[1] = (struct pollfd){.fd = -1, .events = POLLOUT};
    if (c->to >= 0 && full)
        p[1].fd = c->to;
    if (c->to >= 0 && !full && is_in_foreground(c->from))
        p[0].fd = c->from;
}

void carry_work(struct carry *c, const struct pollfd p[CARRY_POLLS])
{
    ssize_t n = 1;

    if (p[0].revents && is_in_foreground(c->from)) {
        n = read(c->from, c->buf, sizeof(c->buf));
        c->at = 0;
        c->fill = n > 0 ? (size_t)n : 0;
    } else if (p[1].revents) {
        n = send(c->to, c->buf + c->at, c->fill, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) {
            c->at += (size_t)n;
            c->fill -= (size_t)n;
        }
    }
    /* The end of the input, a terminal that hung up, or a relay that reads no more. */
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        carry_close(c);
}
