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

#include "base/clock.h"
#include "base/confine.h"
#include "shared/fds.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NOBODY    65534
#define FDS_MAX   2048u
#define DATA_MAX  (1ull << 30)
#define OWN_POLLS 2u

static const struct confine_call calls[] = {
    {SCMP_SYS(poll), CONFINE_ANY_ARG, "waiting; libcurl looks at its sockets with it too"},
    {SCMP_SYS(ppoll), CONFINE_ANY_ARG, "waiting, where the C library has no poll"},
    /* Not AF_UNIX: abstract sockets of the host are in its network namespace. */
    {SCMP_SYS(socket), 0, "connections and name servers", AF_INET},
    {SCMP_SYS(socket), 0, "the same", AF_INET6},
    {SCMP_SYS(connect), CONFINE_ANY_ARG, "the same; to addresses that were judged"},
    {SCMP_SYS(bind), CONFINE_ANY_ARG, "c-ares, to any port of its own"},
    {SCMP_SYS(getsockname), CONFINE_ANY_ARG, "whether it is this host itself"},
    {SCMP_SYS(getpeername), CONFINE_ANY_ARG, "libcurl, for the address that is told"},
    {SCMP_SYS(getsockopt), CONFINE_ANY_ARG, "whether a connection came about"},
    {SCMP_SYS(setsockopt), CONFINE_ANY_ARG, "no delay, keepalive"},
    {SCMP_SYS(shutdown), CONFINE_ANY_ARG, "half of a connection"},
    {SCMP_SYS(sendto), CONFINE_ANY_ARG, "port, events, connections, questions for names"},
    {SCMP_SYS(sendmsg), CONFINE_ANY_ARG, "the same, where a library uses it"},
    {SCMP_SYS(recvfrom), CONFINE_ANY_ARG, "port, connections, answers"},
    {SCMP_SYS(recvmsg), CONFINE_ANY_ARG, "commands of the keeper, with fds"},
    {SCMP_SYS(read), CONFINE_ANY_ARG, "rules and secrets"},
    {SCMP_SYS(write), CONFINE_ANY_ARG, "libcurl wakes itself"},
    {SCMP_SYS(writev), CONFINE_ANY_ARG, "c-ares, over TCP"},
    {SCMP_SYS(lseek), CONFINE_ANY_ARG, "rules, from their beginning"},
    {SCMP_SYS(fcntl), CONFINE_ANY_ARG, "sockets that do not block"},
    {SCMP_SYS(ioctl), CONFINE_ANY_ARG, "the same, as libcurl does it"},
    {SCMP_SYS(socketpair), CONFINE_ANY_ARG, "libcurl wakes itself"},
    {SCMP_SYS(pipe2), CONFINE_ANY_ARG, "the same"},
    {SCMP_SYS(eventfd2), CONFINE_ANY_ARG, "the same"},
    {SCMP_SYS(close), CONFINE_ANY_ARG, "connections that have ended"},
    {SCMP_SYS(getrandom), CONFINE_ANY_ARG, "TLS"},
    {SCMP_SYS(clock_gettime), CONFINE_ANY_ARG, "where it is not in the vdso"},
    {SCMP_SYS(gettimeofday), CONFINE_ANY_ARG, "the same"},
    {SCMP_SYS(getpid), CONFINE_ANY_ARG, "OpenSSL asks whether it was forked"},
    {SCMP_SYS(futex), CONFINE_ANY_ARG, "locks of libraries"},
    {SCMP_SYS(mprotect), CONFINE_ANY_ARG, "memory"},
    {SCMP_SYS(rt_sigaction), CONFINE_ANY_ARG, "libraries that guard themselves from SIGPIPE"},
    {SCMP_SYS(rt_sigprocmask), CONFINE_ANY_ARG, "the same"},
    CONFINE_CALLS_MEMORY,
    CONFINE_CALLS_END,
};

static struct gate gate;
static struct pollfd polls[OWN_POLLS + GATE_POLLS_MAX];
static int port = -1;

/* ---- confinement ----------------------------------------------------------------------------- */

/* No file has a name any more. Where the kernel lets nobody do it, Landlock is left. */
static void empty_root(void)
{
    uid_t uid = geteuid();

    if (unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | (uid ? CLONE_NEWUSER : 0)) < 0)
        return;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", "/proc", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,mode=555") <
            0 ||
        chdir("/proc") < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
        return;
    if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return;
    (void)mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

/* Root of a user namespace that maps nobody else cannot, and need not: it is somebody outside. */
static int leave_root(struct err *e)
{
    if (geteuid() != 0)
        return 0;
    if ((setgroups(0, NULL) == 0 || errno == EPERM) &&
        ((setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0) ||
         errno == EINVAL))
        return 0;
    return err_sys(e, ERR_HOST, errno, "cannot become nobody");
}

static int confine_all(struct err *e)
{
    const struct confine rights = {
        .calls = calls,
        .n_calls = sizeof(calls) / sizeof(calls[0]),
        .dir_fd = -1,
        .network = true,
        .max_fds = FDS_MAX,
        .max_file_bytes = 0,
        .max_data_bytes = DATA_MAX,
    };
    struct rlimit fds;

    if (getrlimit(RLIMIT_NOFILE, &fds) == 0) {
        fds.rlim_cur = fds.rlim_max < FDS_MAX ? fds.rlim_max : FDS_MAX;
        (void)setrlimit(RLIMIT_NOFILE, &fds);
    }
    empty_root();
    if (leave_root(e) < 0)
        return -1;
    /* Secrets are in its memory. */
    if (prctl(PR_SET_DUMPABLE, 0) < 0)
        return err_sys(e, ERR_HOST, errno, "prctl");
    return confine_self(&rights, e);
}

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
    else if (errno != EAGAIN && errno != EINTR) /* reading says that it is gone */
        gate_sent(&gate, len);
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
            _exit(1);
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
        confine_all(&e) < 0)
        gate_end(&gate, GATEWAY_LOST, "the gateway cannot begin: %s", e.text);
    if (login)
        explicit_bzero(login, strlen(login));
    run();
    _exit(0);
}
