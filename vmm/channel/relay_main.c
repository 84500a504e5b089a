/*
 * lazaret-relay: the only process on the host that reads the guest's channel and console.
 *
 * How it works: one poll loop over the keeper's socket, the channel, the console and the jobs' fds;
 * the session (session.h) decides what is read and written. It ends when the keeper's socket does,
 * or after it has reported the end of the session.
 * Secrets of the user pass through it, in memory that is locked and wiped (session_secret.c).
 * Must: be confined before the first guest byte; never block but in poll().
 * Must not: open a path, allocate, or outlive the keeper.
 */
#include "channel/console.h"
#include "channel/rights.h"
#include "channel/session.h"

#include "base/str.h"
#include "shared/fds.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { P_CONTROL, P_CHANNEL, P_CONSOLE, P_SESSION, P_MAX = P_SESSION + SESSION_POLL_MAX };

static struct session session;

static void send_events(void)
{
    const struct channel_event *ev;

    while ((ev = session_event(&session))) {
        if (send(RELAY_CONTROL, ev, sizeof(*ev), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
            if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
                return;
            _exit(0);
        }
        session_event_taken(&session);
    }
}

/* What every turn needs does not work any more: that is the host's. */
static _Noreturn void give_up(const char *what)
{
    session_end(&session, CHANNEL_HOST_FAILED, "the relay cannot %s: %s", what,
                strerrordesc_np(errno));
    send_events();
    _exit(1);
}

/* One command. The end of the socket is the end of the keeper, and ours. */
static void take_command(void)
{
    struct relay_command c;
    struct fds with;
    ssize_t n = fds_receive(RELAY_CONTROL, &c, sizeof(c), &with, MSG_DONTWAIT);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n < 0 && errno != ECONNRESET)
        give_up("hear the keeper");
    if (n != sizeof(c))
        _exit(0);
    if (with.cut)
        session_end(&session, CHANNEL_HOST_FAILED, "the relay has too many files open");
    session_command(&session, &c, with.fd, (int)with.n);
}

static void read_channel(void)
{
    uint8_t *at;
    size_t space = session_input_space(&session, &at);
    ssize_t n = recv(RELAY_CHANNEL, at, space, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0 && errno != ECONNRESET)
        give_up("read the guest's channel");
    if (n > 0)
        session_input(&session, (size_t)n);
    else
        session_end(&session, CHANNEL_LOST, "QEMU closed the channel");
}

static void write_channel(void)
{
    const uint8_t *at;
    size_t len = session_output(&session, &at);
    ssize_t n;

    if (len == 0)
        return;
    n = send(RELAY_CHANNEL, at, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0)
        session_sent(&session, (size_t)n);
    else if (errno == EPIPE || errno == ECONNRESET)
        session_sent(&session, len); /* reading says LOST, after what is still there */
    else if (errno != EAGAIN && errno != EINTR)
        give_up("write to the guest's channel");
}

static void wait_for_work(struct pollfd p[P_MAX], const struct console *console)
{
    const uint8_t *at;

    p[P_CONTROL] = (struct pollfd){.fd = RELAY_CONTROL};
    if (session_takes_command(&session))
        p[P_CONTROL].events |= POLLIN;
    if (session_event(&session))
        p[P_CONTROL].events |= POLLOUT;
    p[P_CHANNEL] = (struct pollfd){.fd = -1};
    if (session_takes_input(&session))
        p[P_CHANNEL].events |= POLLIN;
    if (session_output(&session, &at) > 0)
        p[P_CHANNEL].events |= POLLOUT;
    if (p[P_CHANNEL].events)
        p[P_CHANNEL].fd = RELAY_CHANNEL;
    p[P_CONSOLE] = (struct pollfd){.fd = console->fd, .events = POLLIN};
    session_poll(&session, p + P_SESSION);
    while (poll(p, P_MAX, -1) < 0) /* no deadline: the keeper has it, and we end with the keeper */
        if (errno != EINTR)
            give_up("wait");
}

static void run(struct console *console)
{
    static struct pollfd p[P_MAX];

    for (;;) {
        if (session.over && !session_event(&session))
            return;
        wait_for_work(p, console);
        if (p[P_CONTROL].revents & POLLOUT)
            send_events();
        if (p[P_CONTROL].revents & POLLIN)
            take_command();
        else if (p[P_CONTROL].revents & (POLLHUP | POLLERR))
            _exit(0);
        if (p[P_CHANNEL].events & POLLIN && p[P_CHANNEL].revents & (POLLIN | POLLHUP | POLLERR))
            read_channel();
        if (p[P_CONSOLE].revents && console_read(console) < 0)
            give_up("read the guest's console");
        session_io(&session, p + P_SESSION);
        write_channel();
    }
}

int main(int argc, char **argv)
{
    const struct confine rights = rights_relay();
    struct console console;
    uint64_t console_max;
    struct err e;

    session_init(&session);
    session_lock(&session);
    if (argc != 2 ||
        str_parse_u64(argv[1], "console log size", 0, UINT64_MAX, &console_max, &e) < 0)
        return 2; /* not started by channel_open() */
    console_init(&console, RELAY_CONSOLE, RELAY_CONSOLE_LOG, console_max);
    if (confine_self(&rights, &e) < 0)
        session_end(&session, CHANNEL_HOST_FAILED, "the relay cannot confine itself: %s", e.text);
    run(&console);
    _exit(0);
}
