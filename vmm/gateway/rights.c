/* rights: what lazaret-gateway may still do when it reads a guest. See rights.h. */
#include "gateway/rights.h"

#include "gateway/record.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOBODY   65534
#define FDS_MAX  2048u
#define DATA_MAX (1ull << 30)

#define SOCKET(type) 1, (type), SOCK_NONBLOCK | SOCK_CLOEXEC
#define TCP          SOCKET(SOCK_STREAM)
#define UDP          SOCKET(SOCK_DGRAM)

static const struct confine_call calls[] = {
    {SCMP_SYS(poll), CONFINE_ANY_ARG, "waiting; libcurl looks at its sockets with it too"},
    /* Not AF_UNIX: abstract sockets of the host are in its network namespace. */
    {SCMP_SYS(socket), 0, "connections; name servers, over TCP", AF_INET, TCP},
    {SCMP_SYS(socket), 0, "the same", AF_INET6, TCP},
    {SCMP_SYS(socket), 0, "name servers", AF_INET, UDP},
    {SCMP_SYS(socket), 0, "the same", AF_INET6, UDP},
    {SCMP_SYS(connect), CONFINE_ANY_ARG, "the same; to addresses that were judged"},
    {SCMP_SYS(getsockname), CONFINE_ANY_ARG, "whether it is this host itself"},
    {SCMP_SYS(getpeername), CONFINE_ANY_ARG, "libcurl, for the address that is told"},
    {SCMP_SYS(getsockopt), 1, "whether a connection came about", SOL_SOCKET, 2, SO_ERROR},
    {SCMP_SYS(setsockopt), 1, "no delay", IPPROTO_TCP, 2, TCP_NODELAY},
    {SCMP_SYS(setsockopt), 1, "keepalive", SOL_SOCKET, 2, SO_KEEPALIVE},
    {SCMP_SYS(shutdown), CONFINE_ANY_ARG, "half of a connection"},
    {SCMP_SYS(sendto), CONFINE_ANY_ARG, "port, events, connections, questions for names"},
    {SCMP_SYS(recvfrom), CONFINE_ANY_ARG, "port, connections, answers"},
    {SCMP_SYS(recvmsg), 0, "commands of the keeper, with fds: from nobody else", GATEWAY_CONTROL},
    {SCMP_SYS(read), CONFINE_ANY_ARG, "rules and secrets"},
    {SCMP_SYS(write), CONFINE_ANY_ARG, "libcurl wakes itself"},
    {SCMP_SYS(writev), CONFINE_ANY_ARG, "c-ares, over TCP"},
    {SCMP_SYS(lseek), CONFINE_ANY_ARG, "rules, from their beginning"},
    /* Not F_SETOWN: the kernel would signal others in our name. */
    {SCMP_SYS(fcntl), 1, "sockets that do not block", F_GETFL},
    {SCMP_SYS(fcntl), 1, "the same", F_SETFL},
    {SCMP_SYS(fcntl), 1, "c-ares: sockets that no program would get", F_SETFD},
    {SCMP_SYS(close), CONFINE_ANY_ARG, "connections that have ended"},
    {SCMP_SYS(getrandom), CONFINE_ANY_ARG, "TLS"},
    {SCMP_SYS(clock_gettime), CONFINE_ANY_ARG, "where it is not in the vdso"},
    {SCMP_SYS(gettimeofday), CONFINE_ANY_ARG, "the same"},
    {SCMP_SYS(getpid), CONFINE_ANY_ARG, "OpenSSL asks whether it was forked"},
    {SCMP_SYS(futex), CONFINE_ANY_ARG, "locks of libraries"},
    {SCMP_SYS(rt_sigaction), CONFINE_ANY_ARG, "libcurl guards itself from SIGPIPE"},
    CONFINE_CALLS_MEMORY,
    CONFINE_CALLS_END,
};

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

struct confine rights_gateway(void)
{
    return (struct confine){
        .calls = calls,
        .n_calls = sizeof(calls) / sizeof(calls[0]),
        .dir_fd = -1,
        .network = true,
        .max_fds = FDS_MAX,
        .max_file_bytes = 0,
        .max_data_bytes = DATA_MAX,
    };
}

int rights_take(const struct confine *rights, struct err *e)
{
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
    return confine_self(rights, e);
}
