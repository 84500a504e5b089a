/*
 * fault: loaded into lazaret by test_faults.py only: has the Nth call of a kind fail.
 *
 * How it works
 *   A call counts when lazaret's own code makes it (by the return address), not when a library does
 *   that is in its process, such as libvirt with its embedded driver. The counter is in a file that
 *   the test and all processes that are forked from one share. Whatever is executed from there is
 *   not counted. The call that fails does nothing, and sets an errno that the kernel could set
 *   there.
 */
#include "tests/e2e/preloaded.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { CALL = 1, ALLOCATION = 2, LIBVIRT = 4 };

/* The same in test_faults.py. */
struct fault {
    atomic_int armed, at, kinds, hit;
    atomic_int counts[3]; /* of CALL, ALLOCATION, LIBVIRT */
    int32_t clock_jump_s; /* of CLOCK_REALTIME, forth and back at every other look */
    char what[128];       /* the call that failed */
    char only[64];        /* of calls and the monitor's commands, those with this in them */
};
static struct fault *fault;
static uintptr_t ours, ours_end; /* lazaret's own code */

static int find_ours(struct dl_phdr_info *info, size_t size, void *arg)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];

        if (p->p_type == PT_LOAD && p->p_flags & PF_X) {
            ours = info->dlpi_addr + p->p_vaddr;
            ours_end = ours + p->p_memsz;
        }
    }
    return 1; /* the program is the first */
}

__attribute__((constructor)) static void begin(void)
{
    dl_iterate_phdr(find_ours, NULL);
    fault = preloaded_share("LAZARET_FAULT", sizeof(*fault));
}

/* Is it this call's turn? Nothing here allocates. */
static bool fails(int kind, const char *what, const void *caller)
{
    uintptr_t at = (uintptr_t)caller;
    int kinds, turn;

    if (!fault || !atomic_load(&fault->armed))
        return false;
    kinds = atomic_load(&fault->kinds);
    if (at < ours || at >= ours_end)
        return false;
    if (!strstr(what, fault->only))
        return false;
    turn = atomic_fetch_add(&fault->counts[kind / 2], 1) + 1;
    if (!(kinds & kind) || turn != atomic_load(&fault->at))
        return false;
    strncpy(fault->what, what, sizeof(fault->what) - 1);
    atomic_store(&fault->hit, 1);
    return true;
}

#define CALLER __builtin_return_address(0)

/* The library's function in whose place ours, fault_NAME, is. */
#define REAL(name) ((__typeof__(&fault_##name))(uintptr_t)dlsym(RTLD_NEXT, #name))

/* result NAME(parameters) { at its turn: errno, and `failed`; else NAME(arguments) }
 * NOLINTBEGIN(bugprone-macro-parentheses): the arguments come in parentheses of their own. */
#define FAILS(result, name, parameters, arguments, number, failed)                                 \
    result fault_##name parameters __asm__(#name);                                                 \
    result fault_##name parameters                                                                 \
    {                                                                                              \
        if (fails(CALL, #name, CALLER)) {                                                          \
            errno = number;                                                                        \
            return failed;                                                                         \
        }                                                                                          \
        return REAL(name) arguments;                                                               \
    }
#define FAILS_LIBVIRT(result, name, parameters, arguments, failed)                                 \
    result fault_##name parameters __asm__(#name);                                                 \
    result fault_##name parameters                                                                 \
    {                                                                                              \
        if (fails(LIBVIRT, #name, CALLER)) {                                                       \
            virResetLastError();                                                                   \
            return failed;                                                                         \
        }                                                                                          \
        return REAL(name) arguments;                                                               \
    }
/* NOLINTEND(bugprone-macro-parentheses) */

FAILS(int, rename, (const char *a, const char *b), (a, b), EIO, -1)
FAILS(int, renameat, (int x, const char *a, int y, const char *b), (x, a, y, b), EIO, -1)
FAILS(int, link, (const char *a, const char *b), (a, b), ENOSPC, -1)
FAILS(int, unlinkat, (int x, const char *a, int f), (x, a, f), EIO, -1)
FAILS(int, unlink, (const char *a), (a), EIO, -1)
FAILS(int, rmdir, (const char *a), (a), EIO, -1)
FAILS(int, mkdir, (const char *a, mode_t m), (a, m), ENOSPC, -1)
FAILS(int, mkdirat, (int x, const char *a, mode_t m), (x, a, m), ENOSPC, -1)
FAILS(int, symlink, (const char *a, const char *b), (a, b), ENOSPC, -1)
FAILS(int, symlinkat, (const char *a, int x, const char *b), (a, x, b), ENOSPC, -1)
FAILS(int, fsync, (int fd), (fd), EIO, -1)
FAILS(int, ftruncate64, (int fd, off64_t n), (fd, n), ENOSPC, -1)
FAILS(int, fchown, (int fd, uid_t u, gid_t g), (fd, u, g), EPERM, -1)
FAILS(int, fchmod, (int fd, mode_t m), (fd, m), EPERM, -1)
FAILS(ssize_t, read, (int fd, void *p, size_t n), (fd, p, n), EIO, -1)
FAILS(ssize_t, pread64, (int fd, void *p, size_t n, off64_t o), (fd, p, n, o), EIO, -1)
FAILS(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n), ENOSPC, -1)
FAILS(ssize_t, pwrite64, (int fd, const void *p, size_t n, off64_t o), (fd, p, n, o), ENOSPC, -1)
FAILS(ssize_t, sendfile64, (int a, int b, off64_t *o, size_t n), (a, b, o, n), ENOSPC, -1)
FAILS(int, mount, (const char *a, const char *b, const char *c, unsigned long f, const void *d),
      (a, b, c, f, d), EPERM, -1)
FAILS(int, socket, (int a, int b, int c), (a, b, c), EMFILE, -1)
FAILS(int, socketpair, (int a, int b, int c, int p[2]), (a, b, c, p), EMFILE, -1)
FAILS(int, bind, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n), EADDRINUSE, -1)
FAILS(int, listen, (int fd, int n), (fd, n), EADDRINUSE, -1)
FAILS(int, connect, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n), ECONNREFUSED, -1)
FAILS(ssize_t, sendmsg, (int fd, const struct msghdr *m, int f), (fd, m, f), ENOBUFS, -1)
FAILS(ssize_t, send, (int fd, const void *p, size_t n, int f), (fd, p, n, f), ENOBUFS, -1)
FAILS(int, pipe2, (int p[2], int f), (p, f), EMFILE, -1)
FAILS(int, dup, (int fd), (fd), EMFILE, -1)
FAILS(int, signalfd, (int fd, const sigset_t *m, int f), (fd, m, f), EMFILE, -1)
FAILS(int, memfd_create, (const char *n, unsigned f), (n, f), EMFILE, -1)
FAILS(int, pidfd_open, (pid_t pid, unsigned f), (pid, f), EMFILE, -1)
FAILS(void *, mmap64, (void *a, size_t n, int p, int f, int fd, off64_t o), (a, n, p, f, fd, o),
      ENOMEM, MAP_FAILED)
FAILS(pid_t, fork, (void), (), EAGAIN, -1)
FAILS(ssize_t, recvmsg, (int fd, struct msghdr *m, int f), (fd, m, f), ENOMEM, -1)
FAILS(int, dup2, (int a, int b), (a, b), EMFILE, -1)
FAILS(int, fdatasync, (int fd), (fd), EIO, -1)
FAILS(int, fstat64, (int fd, struct stat64 *s), (fd, s), EIO, -1)
FAILS(int, pidfd_send_signal, (int fd, int s, siginfo_t *i, unsigned f), (fd, s, i, f), EPERM, -1)
FAILS(int, flock, (int fd, int op), (fd, op), ENOLCK, -1)
FAILS(int, prctl, (int o, unsigned long a, unsigned long b, unsigned long c, unsigned long d),
      (o, a, b, c, d), EINVAL, -1)
FAILS(ssize_t, getrandom, (void *p, size_t n, unsigned f), (p, n, f), ENOSYS, -1)
FAILS(int, pthread_create, (pthread_t * t, const pthread_attr_t *a, void *(*f)(void *), void *arg),
      (t, a, f, arg), EAGAIN, EAGAIN)

int fault_openat64(int at, const char *path, int flags, ...) __asm__("openat64");
int fault_openat64(int at, const char *path, int flags, ...)
{
    mode_t mode;

    PRELOADED_MODE(flags, mode);
    if (fails(CALL, "openat64", CALLER)) {
        errno = EMFILE;
        return -1;
    }
    return (int)syscall(SYS_openat, at, path, flags, mode);
}

int fault_open64(const char *path, int flags, ...) __asm__("open64");
int fault_open64(const char *path, int flags, ...)
{
    mode_t mode;

    PRELOADED_MODE(flags, mode);
    if (fails(CALL, "open64", CALLER)) {
        errno = EMFILE;
        return -1;
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

/* What the C library lets through unseen: clone, mount_setattr, close_range and the like. */
long fault_syscall(long n, ...) __asm__("syscall");
long fault_syscall(long n, ...)
{
    long a[6];
    va_list ap;

    va_start(ap, n);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(ap, long);
    va_end(ap);
    if (fails(CALL, "syscall", CALLER)) {
        errno = n == SYS_clone ? EAGAIN : EPERM;
        return -1;
    }
    return REAL(syscall)(n, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* ---- memory: the C library's own by its other names, for dlsym() allocates --------------------
 */

/* NOLINTBEGIN(bugprone-reserved-identifier): they are the C library's. */
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t a, size_t b);
extern void *__libc_realloc(void *p, size_t n);
/* NOLINTEND(bugprone-reserved-identifier) */

#define FAILS_ALLOCATION(name, parameters, call)                                                   \
    void *fault_##name parameters __asm__(#name);                                                  \
    void *fault_##name parameters                                                                  \
    {                                                                                              \
        if (fails(ALLOCATION, #name, CALLER)) {                                                    \
            errno = ENOMEM;                                                                        \
            return NULL;                                                                           \
        }                                                                                          \
        return call;                                                                               \
    }
FAILS_ALLOCATION(malloc, (size_t n), __libc_malloc(n))
FAILS_ALLOCATION(calloc, (size_t a, size_t b), __libc_calloc(a, b))
FAILS_ALLOCATION(realloc, (void *p, size_t n), __libc_realloc(p, n))
FAILS_ALLOCATION(reallocarray, (void *p, size_t a, size_t b),
                 a &&b > SIZE_MAX / a ? NULL : __libc_realloc(p, a *b))

/* ---- libvirt ----------------------------------------------------------------------------------
 */

/* It does what it would do: without it libvirt has no place for errors. */
int fault_virInitialize(void) __asm__("virInitialize");
int fault_virInitialize(void)
{
    int r = REAL(virInitialize)();

    return fails(LIBVIRT, "virInitialize", CALLER) ? -1 : r;
}

FAILS_LIBVIRT(int, virEventRegisterDefaultImpl, (void), (), -1)
FAILS_LIBVIRT(virConnectPtr, virConnectOpen, (const char *uri), (uri), NULL)
FAILS_LIBVIRT(int, virConnectGetLibVersion, (virConnectPtr c, unsigned long *v), (c, v), -1)
FAILS_LIBVIRT(const char *, virConnectGetType, (virConnectPtr c), (c), NULL)
FAILS_LIBVIRT(int, virConnectDomainEventRegisterAny,
              (virConnectPtr c, virDomainPtr d, int id, virConnectDomainEventGenericCallback f,
               void *o, virFreeCallback x),
              (c, d, id, f, o, x), -1)
FAILS_LIBVIRT(virDomainPtr, virDomainCreateXML, (virConnectPtr c, const char *x, unsigned f),
              (c, x, f), NULL)
FAILS_LIBVIRT(int, virDomainGetUUIDString, (virDomainPtr d, char *u), (d, u), -1)
FAILS_LIBVIRT(char *, virDomainGetXMLDesc, (virDomainPtr d, unsigned f), (d, f), NULL)
FAILS_LIBVIRT(int, virDomainDestroy, (virDomainPtr d), (d), -1)
FAILS_LIBVIRT(int, virDomainIsActive, (virDomainPtr d), (d), -1)
FAILS_LIBVIRT(virDomainPtr, virDomainLookupByName, (virConnectPtr c, const char *n), (c, n), NULL)
FAILS_LIBVIRT(int, virEventAddTimeout,
              (int ms, virEventTimeoutCallback f, void *o, virFreeCallback x), (ms, f, o, x), -1)
FAILS_LIBVIRT(int, virConnectRegisterCloseCallback,
              (virConnectPtr c, virConnectCloseFunc f, void *o, virFreeCallback x), (c, f, o, x),
              -1)
FAILS_LIBVIRT(int, virConnectDomainEventDeregisterAny, (virConnectPtr c, int id), (c, id), -1)
FAILS_LIBVIRT(int, virDomainResume, (virDomainPtr d), (d), -1)
FAILS_LIBVIRT(int, virDomainSuspend, (virDomainPtr d), (d), -1)
FAILS_LIBVIRT(int, virDomainQemuMonitorCommandWithFiles,
              (virDomainPtr d, const char *c, unsigned n, int *fds, unsigned *m, int **out,
               char **r, unsigned f),
              (d, c, n, fds, m, out, r, f), -1)

int fault_virDomainQemuMonitorCommand(virDomainPtr d, const char *c, char **r,
                                      unsigned f) __asm__("virDomainQemuMonitorCommand");
int fault_virDomainQemuMonitorCommand(virDomainPtr d, const char *c, char **r, unsigned f)
{
    if (fails(LIBVIRT, c, CALLER)) {
        virResetLastError();
        return -1;
    }
    return REAL(virDomainQemuMonitorCommand)(d, c, r, f);
}

/* ---- the clock --------------------------------------------------------------------------------
 */

int fault_clock_gettime(clockid_t id, struct timespec *t) __asm__("clock_gettime");
int fault_clock_gettime(clockid_t id, struct timespec *t)
{
    static atomic_uint looks;
    int r = (int)syscall(SYS_clock_gettime, id, t);

    if (fault && fault->clock_jump_s && id == CLOCK_REALTIME && r == 0)
        t->tv_sec += atomic_fetch_add(&looks, 1) % 2 ? fault->clock_jump_s : -fault->clock_jump_s;
    return r;
}
