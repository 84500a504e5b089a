/* egress: the agent's side of the way out. See egress.h. */
#include "agent/egress.h"

#include "agent/proxy.h"
#include "agent/say.h"
#include "shared/fds.h"
#include "shared/guest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EGRESS_UID     65533 /* below those of jobs, which begin at GUEST_ID_BASE */
#define EGRESS_BACKLOG 512
#define EGRESS_PORT_MS 1000 /* for all ports to have their names: they come one by one */
#define COUNT(a)       (sizeof(a) / sizeof((a)[0]))

/* ---- the process ------------------------------------------------------------------------------
 */

/* What its loop does, and no more. Anything else ends it. */
static const int calls[] = {
    SYS_read,
    SYS_write, /* the port */
    SYS_recvfrom,
    SYS_sendto,
    SYS_recvmsg,
    SYS_accept4, /* the jobs, the agent */
    SYS_shutdown,
    SYS_setsockopt,
    SYS_close,
    SYS_poll, /* ... */
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_wait, /* the port's edges */
    SYS_mmap,
    SYS_munmap,
    SYS_mremap,
    SYS_brk,
    SYS_madvise,       /* memory */
    SYS_getrandom,     /* malloc's first use */
    SYS_clock_gettime, /* where the vDSO does not know */
    SYS_restart_syscall,
    SYS_rt_sigreturn,
    SYS_exit_group, /* its end */
};

static int filter_calls(void)
{
    struct sock_filter code[COUNT(calls) + 6];
    struct sock_fprog program = {.filter = code};
    size_t n = 0;

    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < COUNT(calls); i++)
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i],
                                                 (uint8_t)(COUNT(calls) - i), 0);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    program.len = (unsigned short)n;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}

static int confine(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
        return -1;
    for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
            return -1;
    if (setgroups(0, NULL) < 0 || setresgid(EGRESS_UID, EGRESS_UID, EGRESS_UID) < 0 ||
        setresuid(EGRESS_UID, EGRESS_UID, EGRESS_UID) < 0 ||
        syscall(SYS_capset, &header, none) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    /* A change of user resets it. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
        return -1;
    return filter_calls();
}

static _Noreturn void become_net(int port, int control)
{
    int rc;

    signal(SIGPIPE, SIG_IGN);
    if (confine() < 0) {
        say("the net process cannot be confined: %s", strerror(errno));
        _exit(1);
    }
    rc = proxy_run(port, control);
    if (rc < 0)
        say("the net process has ended: %s", strerror(-rc));
    _exit(rc < 0);
}

static int write_resolv(void)
{
    static const char text[] = "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n";
    int fd = open(GUEST_RESOLV, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0444);
    int rc = fd >= 0 && fchmod(fd, 0444) == 0 && write(fd, text, sizeof(text) - 1) > 0 ? 0 : -1;

    if (fd >= 0)
        close(fd);
    return rc;
}

static int find_port(void)
{
    uint64_t deadline = boot_now_ms() + EGRESS_PORT_MS;
    int fd;

    while ((fd = boot_find_port(NET_PORT_NAME)) == -EAGAIN && boot_now_ms() < deadline)
        boot_nap();
    return fd;
}

int egress_start(struct egress *e, struct boot_fault *f)
{
    int port = find_port(), pair[2];
    pid_t pid;

    e->control = -1;
    if (port == -ENODEV || port == -EAGAIN)
        return 0;
    if (port < 0) {
        errno = -port;
        return boot_fail(f, "port '" NET_PORT_NAME "'");
    }
    if (write_resolv() < 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0 ||
        (pid = fork()) < 0)
        return boot_fail(f, "start the net process");
    if (pid == 0) {
        close(pair[0]);
        become_net(port, pair[1]);
    }
    close(port);
    close(pair[1]);
    e->control = pair[0];
    return 0;
}

/* ---- a job's sockets --------------------------------------------------------------------------
 */

static const struct {
    int type;
    uint16_t port;
} places[PROXY_SOCKETS] = {
    [PROXY_HTTP] = {SOCK_STREAM, GUEST_PROXY_PORT},
    [PROXY_ORIGINS] = {SOCK_STREAM, 80},
    [PROXY_DNS] = {SOCK_DGRAM, 53},
    [PROXY_DNS_TCP] = {SOCK_STREAM, 53},
};

static void close_all(const int fds[PROXY_SOCKETS])
{
    for (size_t i = 0; i < PROXY_SOCKETS; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static int loopback_up(int fd)
{
    struct ifreq r = {.ifr_name = "lo"};

    if (ioctl(fd, SIOCGIFFLAGS, &r) < 0)
        return -1;
    r.ifr_flags = (short)(r.ifr_flags | IFF_UP);
    return ioctl(fd, SIOCSIFFLAGS, &r);
}

/* In the namespace of the job. */
static int make_sockets(int fds[PROXY_SOCKETS])
{
    const int on = 1;

    for (size_t i = 0; i < PROXY_SOCKETS; i++) {
        const struct sockaddr_in at = {.sin_family = AF_INET,
                                       .sin_port = htons(places[i].port),
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

        fds[i] = socket(AF_INET, places[i].type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fds[i] < 0 || setsockopt(fds[i], SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
            (i == 0 && loopback_up(fds[i]) < 0) ||
            bind(fds[i], (const struct sockaddr *)&at, sizeof(at)) < 0 ||
            (places[i].type == SOCK_STREAM && listen(fds[i], EGRESS_BACKLOG) < 0))
            return -errno;
    }
    return 0;
}

/* The agent goes into the namespace and comes back: it has one thread. */
static int make_sockets_in(int network_fd, int fds[PROXY_SOCKETS])
{
    int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int rc = here < 0 || setns(network_fd, CLONE_NEWNET) < 0 ? -errno : 0;

    if (rc == 0) {
        rc = make_sockets(fds);
        if (setns(here, CLONE_NEWNET) < 0) {
            say("cannot leave a job's network: %s", strerror(errno));
            power_off();
        }
    }
    if (here >= 0)
        close(here);
    return rc;
}

static int tell(const struct egress *e, enum proxy_word word, unsigned exec, const int *fds)
{
    struct proxy_record r = {.word = word, .exec = exec};

    return fds_send(e->control, &r, sizeof(r), fds, fds ? PROXY_SOCKETS : 0, 0) < 0 ? -errno : 0;
}

bool egress_is_on(const struct egress *e)
{
    return e && e->control >= 0;
}

int egress_serve(const struct egress *e, unsigned exec, int network_fd)
{
    int fds[PROXY_SOCKETS] = {-1, -1, -1, -1};
    int rc = make_sockets_in(network_fd, fds);

    if (rc == 0)
        rc = tell(e, PROXY_SERVE, exec, fds);
    close_all(fds);
    return rc;
}

void egress_forget(const struct egress *e, unsigned exec)
{
    if (egress_is_on(e))
        (void)tell(e, PROXY_FORGET, exec, NULL);
}
