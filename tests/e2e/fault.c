/*
 * fault: loaded into lazaret by tests of faults (faults.py) only: has the Nth call of a kind fail.
 *
 * How it works
 *   A call counts when lazaret's own code makes it (by the return address), not when a library does
 *   that is in its process, such as libvirt with its embedded driver. The counter is in a file that
 *   the test and all processes that are forked from one share. Whatever is executed from there is
 *   not counted, unless the test names it: a program that lazaret starts to read a guest. Then its
 *   calls count, and lazaret's do not. The call that fails does nothing, and sets an errno that the
 *   kernel could set there. If asked for places, a call counts only the first time that it is made
 *   from where it is, by the addresses on the stack: most calls are made again and again, and fail
 *   alike.
 *   Such a program has soon taken the right from itself to open, map and allocate: whatever is
 *   needed later is had in the constructor, and a call that is counted makes no other.
 */
#include "tests/e2e/preloaded.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { CALL = 1, ALLOCATION = 2, LIBVIRT = 4, PLACES = 8191, FRAMES = 16, DEPTH = 4 };

/* The same in faults.py. */
struct fault {
    atomic_int armed, at, kinds, hit;
    atomic_int counts[3];  /* of CALL, ALLOCATION, LIBVIRT */
    int32_t clock_jump_s;  /* of CLOCK_REALTIME, forth and back at every other look */
    char what[128];        /* the call that failed */
    char only[1024];       /* if not empty, the names of those that count, and words of commands */
    int32_t places;        /* does a call count once for each place that it is made from? */
    uint32_t stack[DEPTH]; /* the call that failed: addresses in lazaret, the innermost first */
    char program[32];      /* whose calls count; empty: lazaret's own */
    atomic_uint seen[PLACES];
};
static struct fault *fault;
static char variables[2][512];         /* for the program: the library's, and the file's */
static uintptr_t base, ours, ours_end; /* lazaret's own code */

static int find_ours(struct dl_phdr_info *info, size_t size, void *arg)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];

        if (p->p_type == PT_LOAD && p->p_flags & PF_X) {
            base = info->dlpi_addr;
            ours = info->dlpi_addr + p->p_vaddr;
            ours_end = ours + p->p_memsz;
        }
    }
    return 1; /* the program is the first */
}

/* A function of a library in whose place one of ours is. */
struct real {
    const char *name;
    void *at;
};
/* All of them: the linker makes an array of what is put into this section. */
#define REALS __attribute__((section("lz_reals"), used))
/* NOLINTNEXTLINE(bugprone-reserved-identifier): they are the linker's. */
extern struct real __start_lz_reals[], __stop_lz_reals[];

static void *look_up(struct real *r)
{
    if (!r->at)
        r->at = dlsym(RTLD_NEXT, r->name);
    return r->at;
}

__attribute__((constructor)) static void begin(void)
{
    static const char *const names[] = {"LD_PRELOAD", "LAZARET_FAULT"};
    void *frames[1];

    dl_iterate_phdr(find_ours, NULL);
    backtrace(frames, 1); /* its first call loads a library */
    for (struct real *r = __start_lz_reals; r != __stop_lz_reals; r++)
        (void)look_up(r);
    for (int i = 0; i < 2; i++) {
        const char *value = getenv(names[i]);

        if (value)
            snprintf(variables[i], sizeof(variables[i]), "%s=%s", names[i], value);
    }
    fault = preloaded_share("LAZARET_FAULT", sizeof(*fault));
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* Of the one program whose calls are asked for. */
static bool is_this_program(void)
{
    const char *asked = *fault->program ? fault->program : "lazaret";

    return strcmp(program_invocation_short_name, asked) == 0;
}

static bool is_ours(uintptr_t at)
{
    return at >= ours && at < ours_end;
}

/* The innermost addresses in lazaret on the stack. */
static void look_at_stack(uint32_t out[DEPTH])
{
    void *frames[FRAMES];
    int n = backtrace(frames, FRAMES);

    for (int i = 0, found = 0; i < n && found < DEPTH; i++)
        if (is_ours((uintptr_t)frames[i]))
            out[found++] = (uint32_t)((uintptr_t)frames[i] - base);
}

/* Is it the first time that a call is made from there? */
static bool is_new_place(const uint32_t stack[DEPTH])
{
    uint32_t hash = 2166136261U, none;

    for (int i = 0; i < DEPTH; i++)
        hash = (hash ^ stack[i]) * 16777619U;
    hash |= 1;
    for (uint32_t i = 0; i < PLACES; i++) {
        none = 0;
        if (atomic_compare_exchange_strong(&fault->seen[(hash + i) % PLACES], &none, hash))
            return true;
        if (none == hash)
            return false;
    }
    return true;
}

/* Is it among those that are asked for: one of the names, or a command with the word in it? */
static bool is_asked_for(const char *what)
{
    const char *at = fault->only;
    size_t n = strlen(what);

    if (!*at || (*what == '{' && strstr(what, at)))
        return true;
    for (; (at = strstr(at, what)); at += n)
        if ((at == fault->only || at[-1] == ' ') && (at[n] == ' ' || !at[n]))
            return true;
    return false;
}

/* Is it this call's turn? Nothing here allocates. */
static bool fails(int kind, const char *what, const void *caller)
{
    uint32_t stack[DEPTH] = {0};
    int number = errno, kinds, turn;

    if (!fault || !atomic_load(&fault->armed) || !is_this_program())
        return false;
    kinds = atomic_load(&fault->kinds);
    if (!is_ours((uintptr_t)caller) || !is_asked_for(what))
        return false;
    if (fault->places ||
        (kinds & kind && atomic_load(&fault->counts[kind / 2]) + 1 == atomic_load(&fault->at)))
        look_at_stack(stack);
    errno = number;
    if (fault->places && !is_new_place(stack))
        return false;
    turn = atomic_fetch_add(&fault->counts[kind / 2], 1) + 1;
    if (!(kinds & kind) || turn != atomic_load(&fault->at))
        return false;
    strncpy(fault->what, what, sizeof(fault->what) - 1);
    memcpy(fault->stack, stack, sizeof(stack));
    atomic_store(&fault->hit, 1);
    return true;
}

#define CALLER __builtin_return_address(0)

/* The library's function in whose place ours, fault_NAME, is; HAS_REAL(NAME) is in front. */
#define HAS_REAL(name) static REALS struct real real_##name = {#name, NULL};
#define REAL(name)     ((__typeof__(&fault_##name))(uintptr_t)look_up(&real_##name))

/* result NAME(parameters) { at its turn: errno, and `failed`; else NAME(arguments) }
 * NOLINTBEGIN(bugprone-macro-parentheses): the arguments come in parentheses of their own. */
#define FAILS(result, name, parameters, arguments, number, failed)                                 \
    HAS_REAL(name)                                                                                 \
    result fault_##name parameters __asm__(#name);                                                 \
    result fault_##name parameters                                                                 \
    {                                                                                              \
        result(*real) parameters = REAL(name);                                                     \
                                                                                                   \
        if (fails(CALL, #name, CALLER)) {                                                          \
            errno = number;                                                                        \
            return failed;                                                                         \
        }                                                                                          \
        return real arguments;                                                                     \
    }
#define FAILS_LIBVIRT(result, name, parameters, arguments, failed)                                 \
    HAS_REAL(name)                                                                                 \
    result fault_##name parameters __asm__(#name);                                                 \
    result fault_##name parameters                                                                 \
    {                                                                                              \
        result(*real) parameters = REAL(name);                                                     \
                                                                                                   \
        if (fails(LIBVIRT, #name, CALLER)) {                                                       \
            virResetLastError();                                                                   \
            return failed;                                                                         \
        }                                                                                          \
        return real arguments;                                                                     \
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
FAILS(int, poll, (struct pollfd * p, nfds_t n, int ms), (p, n, ms), ENOMEM, -1)
FAILS(ssize_t, recv, (int fd, void *p, size_t n, int f), (fd, p, n, f), ENOMEM, -1)
FAILS(ssize_t, __read_chk, (int fd, void *p, size_t n, size_t m), (fd, p, n, m), EIO, -1)
FAILS(ssize_t, __pread64_chk, (int fd, void *p, size_t n, off64_t o, size_t m), (fd, p, n, o, m),
      EIO, -1)
FAILS(int, __open64_2, (const char *path, int f), (path, f), EMFILE, -1)
FAILS(int, __openat64_2, (int at, const char *path, int f), (at, path, f), EMFILE, -1)
FAILS(int, accept4, (int fd, struct sockaddr *a, socklen_t *n, int f), (fd, a, n, f), EMFILE, -1)
FAILS(int, shutdown, (int fd, int how), (fd, how), ENOTCONN, -1)
FAILS(int, setsockopt, (int fd, int l, int o, const void *p, socklen_t n), (fd, l, o, p, n), ENOMEM,
      -1)
FAILS(int, getsockopt, (int fd, int l, int o, void *p, socklen_t *n), (fd, l, o, p, n), ENOBUFS, -1)
FAILS(FILE *, fopen64, (const char *path, const char *mode), (path, mode), EMFILE, NULL)
FAILS(int, fflush, (FILE * f), (f), ENOSPC, EOF)
FAILS(DIR *, opendir, (const char *path), (path), EMFILE, NULL)
FAILS(DIR *, fdopendir, (int fd), (fd), ENOMEM, NULL)
FAILS(struct dirent64 *, readdir64, (DIR * d), (d), EIO, NULL)
FAILS(int, scandir64,
      (const char *path, struct dirent64 ***l, int (*f)(const struct dirent64 *),
       int (*c)(const struct dirent64 **, const struct dirent64 **)),
      (path, l, f, c), ENOMEM, -1)
FAILS(int, nftw64, (const char *path, __nftw64_func_t f, int n, int flags), (path, f, n, flags),
      EMFILE, -1)
FAILS(char *, realpath, (const char *path, char *out), (path, out), EACCES, NULL)
FAILS(ssize_t, readlink, (const char *path, char *p, size_t n), (path, p, n), EACCES, -1)
FAILS(ssize_t, readlinkat, (int at, const char *path, char *p, size_t n), (at, path, p, n), EACCES,
      -1)
FAILS(ssize_t, copy_file_range, (int a, off64_t *x, int b, off64_t *y, size_t n, unsigned f),
      (a, x, b, y, n, f), ENOSPC, -1)
FAILS(int, close_range, (unsigned a, unsigned b, int f), (a, b, f), ENOSYS, -1)
FAILS(int, execvp, (const char *path, char *const *argv), (path, argv), ENOMEM, -1)
FAILS(int, dup3, (int a, int b, int f), (a, b, f), EMFILE, -1)
FAILS(int, inotify_init1, (int f), (f), EMFILE, -1)
FAILS(int, inotify_add_watch, (int fd, const char *path, uint32_t m), (fd, path, m), ENOSPC, -1)
FAILS(int, stat64, (const char *path, struct stat64 *s), (path, s), EACCES, -1)
FAILS(int, lstat64, (const char *path, struct stat64 *s), (path, s), EACCES, -1)
FAILS(int, fstatat64, (int at, const char *path, struct stat64 *s, int f), (at, path, s, f), EACCES,
      -1)
FAILS(int, access, (const char *path, int m), (path, m), EACCES, -1)
FAILS(int, faccessat, (int at, const char *path, int m, int f), (at, path, m, f), EACCES, -1)
FAILS(int, statvfs64, (const char *path, struct statvfs64 *s), (path, s), EIO, -1)
FAILS(int, fstatvfs64, (int fd, struct statvfs64 *s), (fd, s), EIO, -1)
FAILS(int, setrlimit64, (__rlimit_resource_t r, const struct rlimit64 *l), (r, l), EPERM, -1)
FAILS(pid_t, setsid, (void), (), EPERM, -1)
FAILS(off64_t, lseek64, (int fd, off64_t o, int w), (fd, o, w), ESPIPE, -1)
FAILS(int, futimens, (int fd, const struct timespec t[2]), (fd, t), EPERM, -1)
FAILS(int, umount2, (const char *path, int f), (path, f), EBUSY, -1)
FAILS(pid_t, waitpid, (pid_t pid, int *status, int f), (pid, status, f), ECHILD, -1)
FAILS(int, waitid, (idtype_t t, id_t id, siginfo_t *i, int f), (t, id, i, f), ECHILD, -1)
FAILS(int, kill, (pid_t pid, int s), (pid, s), EPERM, -1)
FAILS(char *, mkdtemp, (char *path), (path), ENOSPC, NULL)
FAILS(int, mkostemp64, (char *path, int f), (path, f), ENOSPC, -1)
FAILS(int, mknod, (const char *path, mode_t m, dev_t d), (path, m, d), EPERM, -1)
FAILS(int, chdir, (const char *path), (path), EACCES, -1)
FAILS(int, chmod, (const char *path, mode_t m), (path, m), EPERM, -1)
FAILS(int, sched_getaffinity, (pid_t pid, size_t n, cpu_set_t *set), (pid, n, set), EINVAL, -1)
FAILS(int, nanosleep, (const struct timespec *t, struct timespec *left), (t, left), EINTR, -1)
FAILS(int, tcsetattr, (int fd, int a, const struct termios *t), (fd, a, t), EIO, -1)
FAILS(struct passwd *, getpwnam, (const char *name), (name), EMFILE, NULL)
FAILS(int, seccomp_load, (const scmp_filter_ctx c), (c), ENOMEM, -ENOMEM)
FAILS(scmp_filter_ctx, seccomp_init, (uint32_t a), (a), ENOMEM, NULL)
FAILS(int, mlock2, (const void *p, size_t n, unsigned f), (p, n, f), ENOMEM, -1)
FAILS(int, madvise, (void *p, size_t n, int a), (p, n, a), EAGAIN, -1)
FAILS(int, linkat, (int x, const char *a, int y, const char *b, int f), (x, a, y, b, f), EIO, -1)
FAILS(int, renameat2, (int x, const char *a, int y, const char *b, unsigned f), (x, a, y, b, f),
      EIO, -1)
FAILS(int, setgroups, (size_t n, const gid_t *g), (n, g), ENOMEM, -1)
FAILS(int, setresgid, (gid_t r, gid_t e, gid_t s), (r, e, s), EAGAIN, -1)
FAILS(int, setresuid, (uid_t r, uid_t e, uid_t s), (r, e, s), EAGAIN, -1)
FAILS(int, unshare, (int f), (f), ENOSPC, -1)
FAILS(int, getrlimit64, (__rlimit_resource_t r, struct rlimit64 *l), (r, l), EPERM, -1)
FAILS(int, getsockname, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n), ENOBUFS, -1)
FAILS(int, getpeername, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n), ENOBUFS, -1)
FAILS(int, __poll_chk, (struct pollfd * p, nfds_t n, int ms, size_t m), (p, n, ms, m), ENOMEM, -1)
FAILS(ssize_t, __recv_chk, (int fd, void *p, size_t n, size_t m, int f), (fd, p, n, m, f), ENOMEM,
      -1)
FAILS(int, capng_apply, (int set), (set), EPERM, -1)
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

HAS_REAL(execvpe)
int fault_execvpe(const char *path, char *const *argv, char *const *env) __asm__("execvpe");
int fault_execvpe(const char *path, char *const *argv, char *const *env)
{
    char *more[8] = {variables[0], variables[1]};

    if (fails(CALL, "execvpe", CALLER)) {
        errno = ENOMEM;
        return -1;
    }
    if (fault && *fault->program && strcmp(last_part(path), fault->program) == 0) {
        for (size_t i = 0; env[i] && i + 3 < sizeof(more) / sizeof(more[0]); i++)
            more[2 + i] = env[i];
        env = more;
    }
    return REAL(execvpe)(path, argv, env);
}

HAS_REAL(fgets)
char *fault_fgets(char *p, int n, FILE *f) __asm__("fgets");
char *fault_fgets(char *p, int n, FILE *f)
{
    if (fails(CALL, "fgets", CALLER)) {
        f->_flags |= _IO_ERR_SEEN;
        errno = EIO;
        return NULL;
    }
    return REAL(fgets)(p, n, f);
}

/* A call whose third argument, if any, is a number or an address. */
#define FAILS_VARIADIC(name, second, number)                                                       \
    HAS_REAL(name)                                                                                 \
    int fault_##name(int fd, second command, ...) __asm__(#name);                                  \
    int fault_##name(int fd, second command, ...)                                                  \
    {                                                                                              \
        va_list ap;                                                                                \
        void *arg;                                                                                 \
                                                                                                   \
        va_start(ap, command);                                                                     \
        arg = va_arg(ap, void *);                                                                  \
        va_end(ap);                                                                                \
        if (fails(CALL, #name, CALLER)) {                                                          \
            errno = number;                                                                        \
            return -1;                                                                             \
        }                                                                                          \
        return REAL(name)(fd, command, arg);                                                       \
    }
FAILS_VARIADIC(fcntl64, int, command == F_DUPFD_CLOEXEC ? EMFILE : ENOLCK)
FAILS_VARIADIC(ioctl, unsigned long, ENOTTY)

/* What the C library lets through unseen: clone, mount_setattr, close_range and the like. */
HAS_REAL(syscall)
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

/* It is only where libvirt is: not in the programs that lazaret starts. */
#pragma weak virResetLastError

/* It does what it would do: without it libvirt has no place for errors. */
HAS_REAL(virInitialize)
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
FAILS_LIBVIRT(int, virConnectSetKeepAlive, (virConnectPtr c, int s, unsigned n), (c, s, n), -1)
FAILS_LIBVIRT(int, virConnectNumOfDomains, (virConnectPtr c), (c), -1)
FAILS_LIBVIRT(int, virConnectNumOfDefinedDomains, (virConnectPtr c), (c), -1)
FAILS_LIBVIRT(const char *, virDomainGetName, (virDomainPtr d), (d), NULL)
FAILS_LIBVIRT(int, virEventRunDefaultImpl, (void), (), -1)
FAILS_LIBVIRT(int, virDomainListGetStats,
              (virDomainPtr * d, unsigned s, virDomainStatsRecordPtr **r, unsigned f), (d, s, r, f),
              -1)
FAILS_LIBVIRT(int, virDomainQemuMonitorCommandWithFiles,
              (virDomainPtr d, const char *c, unsigned n, int *fds, unsigned *m, int **out,
               char **r, unsigned f),
              (d, c, n, fds, m, out, r, f), -1)

HAS_REAL(virDomainQemuMonitorCommand)
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
