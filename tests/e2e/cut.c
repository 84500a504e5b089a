/*
 * cut: loaded into lazaret by test_cuts.py only: counts the steps of an operation, and at the Nth
 * one ends the process that is about to take it, or holds it there until somebody else has been
 * killed.
 *
 * How it works
 *   A step is a call that changes files, or speaks to a socket: to QEMU, a client or the relay. The
 *   counter is in a file that the test and all processes that are forked from one share. Whatever
 * is executed from there is not counted, and neither is what libvirt keeps for itself, in memory
 * that goes with the sandbox's namespaces.
 */
#include "tests/e2e/preloaded.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { END_ITSELF = 1, HOLD = 2 };
#define HOLD_MS 120000

/* The same in test_cuts.py. */
struct cut {
    atomic_int armed, count, at, how, hit, go;
    char trigger[64]; /* a path with this in it arms; "": the test does */
    char what[128];   /* the step that was hit */
};
static struct cut *cut;

__attribute__((constructor)) static void begin(void)
{
    cut = preloaded_share("LAZARET_CUT", sizeof(*cut));
}

static bool is_libvirts(const char *path)
{
    return path && (strncmp(path, "/run/lz/root", 12) == 0 || strncmp(path, "/dev", 4) == 0);
}

static void step(const char *what, const char *path)
{
    const struct timespec nap = {.tv_nsec = 1000000};
    int saved = errno;

    if (!cut || is_libvirts(path))
        return;
    if (!atomic_load(&cut->armed) && cut->trigger[0] && path && strstr(path, cut->trigger))
        atomic_store(&cut->armed, 1);
    if (!atomic_load(&cut->armed) || atomic_fetch_add(&cut->count, 1) + 1 != atomic_load(&cut->at))
        return;
    (void)snprintf(cut->what, sizeof(cut->what), "%s %.80s", what, path ? path : "");
    atomic_store(&cut->hit, 1);
    if (atomic_load(&cut->how) == END_ITSELF)
        syscall(SYS_exit_group, 137);
    for (int ms = 0; !atomic_load(&cut->go) && ms < HOLD_MS; ms++)
        nanosleep(&nap, NULL);
    errno = saved;
}

static void step_at(const char *what, int fd)
{
    char link[64], path[512] = "";

    if (!cut || !atomic_load(&cut->armed))
        return;
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    (void)!readlink(link, path, sizeof(path) - 1);
    step(what, path);
}

static void step_if_socket(int fd)
{
    struct stat st;

    if (cut && atomic_load(&cut->armed) && fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode))
        step("write", "a socket");
}

/* The C library's function in whose place ours, cut_NAME, is. */
#define REAL(name) ((__typeof__(&cut_##name))(uintptr_t)dlsym(RTLD_NEXT, #name))

/* result NAME(parameters) { a step; NAME(arguments) }
 * NOLINTBEGIN(bugprone-macro-parentheses): the arguments come in parentheses of their own. */
#define COUNT(result, name, parameters, arguments, step)                                           \
    result cut_##name parameters __asm__(#name);                                                   \
    result cut_##name parameters                                                                   \
    {                                                                                              \
        step;                                                                                      \
        return REAL(name) arguments;                                                               \
    }
/* NOLINTEND(bugprone-macro-parentheses) */

COUNT(int, rename, (const char *a, const char *b), (a, b), step("rename", b))
COUNT(int, renameat, (int x, const char *a, int y, const char *b), (x, a, y, b),
      step("renameat", b))
COUNT(int, renameat2, (int x, const char *a, int y, const char *b, unsigned f), (x, a, y, b, f),
      step("renameat2", b))
COUNT(int, link, (const char *a, const char *b), (a, b), step("link", b))
COUNT(int, linkat, (int x, const char *a, int y, const char *b, int f), (x, a, y, b, f),
      step("linkat", b))
COUNT(int, unlink, (const char *a), (a), step("unlink", a))
COUNT(int, unlinkat, (int x, const char *a, int f), (x, a, f), step("unlinkat", a))
COUNT(int, rmdir, (const char *a), (a), step("rmdir", a))
COUNT(int, mkdir, (const char *a, mode_t m), (a, m), step("mkdir", a))
COUNT(int, mkdirat, (int x, const char *a, mode_t m), (x, a, m), step("mkdirat", a))
COUNT(int, fsync, (int fd), (fd), step_at("fsync", fd))
COUNT(int, fdatasync, (int fd), (fd), step_at("fdatasync", fd))
COUNT(int, ftruncate64, (int fd, off64_t n), (fd, n), step_at("ftruncate64", fd))
COUNT(int, fallocate64, (int fd, int m, off64_t a, off64_t n), (fd, m, a, n),
      step_at("fallocate64", fd))

COUNT(ssize_t, sendmsg, (int fd, const struct msghdr *m, int f), (fd, m, f), step("sendmsg", NULL))
COUNT(ssize_t, send, (int fd, const void *p, size_t n, int f), (fd, p, n, f), step("send", NULL))
COUNT(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n), step_if_socket(fd))

#define COUNT_OPENAT(name)                                                                         \
    int cut_##name(int at, const char *path, int flags, ...) __asm__(#name);                       \
    int cut_##name(int at, const char *path, int flags, ...)                                       \
    {                                                                                              \
        mode_t mode;                                                                               \
                                                                                                   \
        PRELOADED_MODE(flags, mode);                                                               \
        if (flags & O_CREAT)                                                                       \
            step(#name, path);                                                                     \
        return (int)syscall(SYS_openat, at, path, flags, mode);                                    \
    }
COUNT_OPENAT(openat)
COUNT_OPENAT(openat64)

#define COUNT_OPEN(name)                                                                           \
    int cut_##name(const char *path, int flags, ...) __asm__(#name);                               \
    int cut_##name(const char *path, int flags, ...)                                               \
    {                                                                                              \
        mode_t mode;                                                                               \
                                                                                                   \
        PRELOADED_MODE(flags, mode);                                                               \
        if (flags & O_CREAT)                                                                       \
            step(#name, path);                                                                     \
        return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);                              \
    }
COUNT_OPEN(open)
COUNT_OPEN(open64)
