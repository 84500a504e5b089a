/*
 * cost: loaded into lazaret and what it starts by test_record.py, test_flood.py and
 * tests/bench/record.py: counts the calls that wait for a disk, and what a run's processes had of
 * the processor and of memory. A file in memory
 * has no disk, and what libvirt keeps for itself is there.
 */
#include "tests/e2e/preloaded.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define MEMORY_MAGIC 0x01021994 /* of tmpfs, in linux/magic.h */
#define NAMED        16

enum { LAUNCHER, KEEPER, RELAY, WHO };
#define KEEPER_PID 2 /* behind its init, in their namespace */

/* The same in test_record.py, test_flood.py and record.py. */
struct cost {
    atomic_int syncs;
    atomic_int us[WHO];
    atomic_int kib[WHO]; /* at the peak; not of the relay, whose number is its parent's too */
    char unused[100];
    char names[NAMED][128]; /* of the first ones, what was written out */
};
static struct cost *cost;

__attribute__((constructor)) static void begin(void)
{
    cost = preloaded_map("LAZARET_COST", sizeof(*cost));
}

static void count(const char *call, int fd)
{
    const int saved = errno;
    char link[64], path[96] = "";
    struct statfs fs;
    int at;

    if (cost && (fd < 0 || fstatfs(fd, &fs) < 0 || fs.f_type != MEMORY_MAGIC)) {
        at = atomic_fetch_add(&cost->syncs, 1);
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        (void)!readlink(link, path, sizeof(path) - 1);
        if (at < NAMED)
            (void)snprintf(cost->names[at], sizeof(cost->names[at]), "%s %s", call, path);
    }
    errno = saved;
}

/* NOLINTBEGIN(bugprone-macro-parentheses): the arguments come in parentheses of their own. */
#define COUNT(result, name, parameters, arguments, fd)                                             \
    result cost_##name parameters __asm__(#name);                                                  \
    result cost_##name parameters                                                                  \
    {                                                                                              \
        count(#name, fd);                                                                          \
        return ((__typeof__(&cost_##name))(uintptr_t)dlsym(RTLD_NEXT, #name))arguments;            \
    }
/* NOLINTEND(bugprone-macro-parentheses) */

COUNT(int, fsync, (int fd), (fd), fd)
COUNT(int, fdatasync, (int fd), (fd), fd)
COUNT(int, syncfs, (int fd), (fd), fd)
COUNT(int, sync_file_range, (int fd, off64_t at, off64_t n, unsigned how), (fd, at, n, how), fd)
COUNT(int, msync, (void *at, size_t n, int how), (at, n, how), -1)

void cost_sync(void) __asm__("sync");
void cost_sync(void)
{
    count("sync", -1);
    ((__typeof__(&cost_sync))(uintptr_t)dlsym(RTLD_NEXT, "sync"))();
}

static int us_of(const struct rusage *u)
{
    return (int)((u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1000000 + u->ru_utime.tv_usec +
                 u->ru_stime.tv_usec);
}

static void note_own(int who)
{
    struct rusage u;

    if (cost && strcmp(program_invocation_short_name, "lazaret") == 0 &&
        getrusage(RUSAGE_SELF, &u) == 0) {
        atomic_fetch_add(&cost->us[who], us_of(&u));
        atomic_store(&cost->kib[who], (int)u.ru_maxrss);
    }
}

/* The launcher returns from main(), what is forked from it does not. */
__attribute__((destructor)) static void end(void)
{
    note_own(LAUNCHER);
}

void cost__exit(int status) __asm__("_exit");
void cost__exit(int status)
{
    if (getpid() == KEEPER_PID)
        note_own(KEEPER);
    ((__typeof__(&cost__exit))(uintptr_t)dlsym(RTLD_NEXT, "_exit"))(status);
    __builtin_unreachable();
}

static int is_relay(pid_t pid)
{
    char path[64], name[16] = "";
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    (void)!read(fd, name, sizeof(name) - 1);
    close(fd);
    return strcmp(name, "lazaret-relay\n") == 0;
}

pid_t cost_waitpid(pid_t pid, int *status, int options) __asm__("waitpid");
pid_t cost_waitpid(pid_t pid, int *status, int options)
{
    const int relay = cost && pid > 0 && is_relay(pid);
    struct rusage u;
    pid_t got = wait4(pid, status, options, &u);

    if (relay && got == pid)
        atomic_fetch_add(&cost->us[RELAY], us_of(&u));
    return got;
}
