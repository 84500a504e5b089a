/*
 * beside: what every program of a build for valgrind has in itself; no other build has it.
 *
 * Debian 12's valgrind does not know pidfd_open(): a helper beside it (scripts/valgrind) opens
 * those fds. It makes system calls of its own in each process, and needs memory and fds: a list of
 * calls and limits on those would end the process, so that here they are not set. What those do is
 * tested without valgrind (tests/valgrind/skipped). All are weak: libraries of tests have their
 * own.
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define WEAK __attribute__((weak))

WEAK int seccomp_load(const scmp_filter_ctx ctx)
{
    (void)ctx;
    return 0;
}

/* Six arguments are passed on, whatever the call takes. */
static long call(long nr, const long a[6])
{
    register long a3 __asm__("r10") = a[3];
    register long a4 __asm__("r8") = a[4];
    register long a5 __asm__("r9") = a[5];
    long r;

    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "a"(nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(a3), "r"(a4), "r"(a5)
                     : "rcx", "r11", "memory");
    if (r >= 0 || r < -4095)
        return r;
    errno = (int)-r;
    return -1;
}

/* By the name that it has where offsets have 64 bits. */
int setrlimit64(__rlimit_resource_t what, const struct rlimit64 *limit);
WEAK int setrlimit64(__rlimit_resource_t what, const struct rlimit64 *limit)
{
    if (what == RLIMIT_AS || what == RLIMIT_DATA || what == RLIMIT_NOFILE || what == RLIMIT_FSIZE)
        return 0;
    return (int)call(SYS_setrlimit, (const long[6]){(long)what, (long)limit});
}

/* The helper's answer: an errno, and if that is 0 the fd. */
static int ask(int sock, pid_t pid, int *ret_fd)
{
    char room[CMSG_SPACE(sizeof(int))];
    int errnum = EIO;
    struct iovec v = {.iov_base = &errnum, .iov_len = sizeof(errnum)};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
    const struct cmsghdr *c;

    if (send(sock, &pid, sizeof(pid), MSG_NOSIGNAL) != sizeof(pid) ||
        recvmsg(sock, &m, MSG_CMSG_CLOEXEC) != sizeof(errnum))
        return EIO;
    c = CMSG_FIRSTHDR(&m);
    if (c)
        memcpy(ret_fd, CMSG_DATA(c), sizeof(*ret_fd));
    return errnum;
}

WEAK int pidfd_open(pid_t pid, unsigned flags)
{
    const struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = BESIDE_SOCKET};
    int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    int errnum, fd = -1;

    (void)flags;
    if (sock < 0)
        return -1;
    errnum =
        connect(sock, (const struct sockaddr *)&at, sizeof(at)) < 0 ? errno : ask(sock, pid, &fd);
    close(sock);
    errno = errnum;
    return fd;
}

/* valgrind knows only the older call, which takes all pages at once. */
WEAK int mlock2(const void *at, size_t len, unsigned flags)
{
    (void)flags;
    return mlock(at, len);
}

WEAK int prctl(int what, ...)
{
    long a[6] = {what};
    va_list ap;

    va_start(ap, what);
    for (int i = 1; i < 5; i++)
        a[i] = va_arg(ap, long);
    va_end(ap);
    return what == PR_SET_SECCOMP ? 0 : (int)call(SYS_prctl, a);
}

WEAK long syscall(long nr, ...)
{
    long a[6];
    va_list ap;

    va_start(ap, nr);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(ap, long);
    va_end(ap);
    if (nr == SYS_pidfd_open)
        return pidfd_open((pid_t)a[0], (unsigned)a[1]);
    /* There is no Landlock; what libseccomp asks the kernel for is there. */
    if (nr == SYS_landlock_create_ruleset || nr == SYS_seccomp) {
        errno = nr != SYS_seccomp ? ENOSYS : a[0] == SECCOMP_SET_MODE_STRICT ? EINVAL : EFAULT;
        return nr == SYS_seccomp && a[0] == SECCOMP_GET_ACTION_AVAIL ? 0 : -1;
    }
    return call(nr, a);
}
