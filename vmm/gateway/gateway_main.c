/*
 * lazaret-gateway: the only process of a run with a network; started only where rules allow any.
 *
 * How it works: what it needs of the host's files (name servers, certificates) it reads first; then
 * it goes into namespaces of its own but for the network, with an empty root, and takes every right
 * from itself that the poll loop does not need. Then it listens to the keeper. What it does with
 * the guest's frames is in gate.h. It ends when the keeper's socket does.
 * Must: be confined before the first byte of guest or server; never block but in poll().
 * Must not: open a file, start a program, outlive the keeper or the launcher.
 */
#include "gateway/gate.h"
#include "gateway/rights.h"

#include "base/clock.h"
#include "shared/fds.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define OWN_POLLS 2u

static struct gate gate;
static struct pollfd polls[OWN_POLLS + GATE_POLLS_MAX];
static int port = -1;

/* ---- the keeper ------------------------------------------------------------------------------ */

static void send_events(void)
{
    const struct gateway_event *ev;

    while ((ev = gate_event(&gate))) {
        if (send(GATEWAY_CONTROL, ev, sizeof(*ev), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
            if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
                return;
            _exit(0);
        }
        gate_event_taken(&gate);
    }
}

/* What every turn needs does not work any more: that is the host's. */
static _Noreturn void give_up(const char *what)
{
    gate_end(&gate, GATEWAY_LOST, "the gateway cannot %s: %s", what, strerrordesc_np(errno));
    send_events();
    _exit(1);
}

/* The keeper has no more to say: what is open is closed and told, and that is all. */
static _Noreturn void finish(void)
{
    const uint64_t deadline_ms = clock_mono_ms() + GATEWAY_FINISH_MS;

    for (size_t i = 0; i < NET_STREAMS_MAX; i++) {
        struct pollfd p = {.fd = GATEWAY_CONTROL, .events = POLLOUT};

        stream_done(&gate.streams[i]);
        for (send_events(); gate_event(&gate) && clock_mono_ms() < deadline_ms; send_events())
            (void)poll(&p, 1, clock_poll_timeout(deadline_ms));
    }
    _exit(0);
}

/* False: there is none now. The end of the socket is the end of the keeper, and ours. */
static bool take_command(void)
{
    struct gateway_command c;
    struct fds with;
    ssize_t n = fds_receive(GATEWAY_CONTROL, &c, sizeof(c), &with, MSG_DONTWAIT);
    int new_port;

    if (n < 0 && errno == EAGAIN)
        return false;
    if (n < 0 && errno != ECONNRESET)
        give_up("hear the keeper");
    if (n == 0)
        finish();
    if (n != sizeof(c))
        _exit(0);
    gate_command(&gate, &c, fds_one(&with), &new_port);
    if (new_port < 0)
        return true;
    if (port >= 0)
        close(port);
    port = new_port;
    return true;
}

/* ---- the guest ------------------------------------------------------------------------------- */

static void read_port(void)
{
    uint8_t *at;
    size_t space = gate_input_space(&gate, &at);
    ssize_t n = recv(port, at, space, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0 && errno != ECONNRESET)
        give_up("hear the guest");
    if (n > 0) {
        gate_input(&gate, (size_t)n);
        return;
    }
    /* QEMU is gone: the keeper knows that by itself, and may have another one. */
    gate_lose_port(&gate);
    close(port);
    port = -1;
}

static void write_port(void)
{
    const uint8_t *at;
    size_t len = gate_output(&gate, &at);
    ssize_t n;

    if (len == 0 || port < 0)
        return;
    n = send(port, at, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0)
        gate_sent(&gate, (size_t)n);
    else if (errno == EPIPE || errno == ECONNRESET) /* reading says that it is gone */
        gate_sent(&gate, len);
    else if (errno != EAGAIN && errno != EINTR)
        give_up("write to the guest");
}

/* ---- the loop -------------------------------------------------------------------------------- */

static size_t wait_for_work(void)
{
    const uint8_t *at;
    size_t n = 0;

    polls[0] = (struct pollfd){.fd = GATEWAY_CONTROL, .events = POLLIN};
    if (gate_event(&gate))
        polls[0].events |= POLLOUT;
    polls[1] = (struct pollfd){.fd = -1};
    if (port >= 0 && gate_takes_input(&gate))
        polls[1].events |= POLLIN;
    if (port >= 0 && gate_output(&gate, &at) > 0)
        polls[1].events |= POLLOUT;
    if (polls[1].events)
        polls[1].fd = port;
    if (!gate.over)
        n = gate_poll(&gate, polls + OWN_POLLS);
    while (poll(polls, OWN_POLLS + n,
                gate.over ? -1 : clock_poll_timeout(gate_deadline_ms(&gate))) < 0)
        if (errno != EINTR)
            give_up("wait");
    return n;
}

static void run(void)
{
    for (;;) {
        size_t n = wait_for_work();

        /* First: what comes later may close an fd, and open another with its number. */
        if (!gate.over)
            gate_take(&gate, polls + OWN_POLLS, n);
        if (polls[0].revents & POLLOUT)
            send_events();
        /* All of them before a frame: what the keeper has said before, holds for it. */
        while (take_command())
            continue;
        if (polls[1].events & POLLIN && polls[1].revents & (POLLIN | POLLHUP | POLLERR) &&
            polls[1].fd == port)
            read_port();
        if (!gate.over)
            gate_turn(&gate);
        write_port();
    }
}

int main(int argc, char **argv)
{
    const struct confine rights = rights_gateway();
    char *login = getenv(GATEWAY_LOGIN_ENV);
    struct err e;

    (void)argv;
    if (argc != 1)
        return 2; /* not started by gateway_start() */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || setenv("TZ", "UTC0", 1) < 0)
        return 1;
    tzset(); /* or the dates of certificates would ask for a file */
    if (gate_open(&gate, getenv(GATEWAY_DNS_ENV), getenv(GATEWAY_CERTIFICATES_ENV), login, &e) <
            0 ||
        rights_take(&rights, &e) < 0)
        gate_end(&gate, GATEWAY_LOST, "the gateway cannot begin: %s", e.text);
    if (login)
        explicit_bzero(login, strlen(login));
    run();
    _exit(0);
}
