/*
 * cost: loaded into lazaret and what it starts by test_record.py: counts the calls that wait for a
 * disk. A file in memory has none, and what libvirt keeps for itself is there.
 */
#include "tests/e2e/preloaded.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#define MEMORY_MAGIC 0x01021994 /* of tmpfs, in linux/magic.h */
#define NAMED        16

/* The same in test_record.py. */
struct cost {
    atomic_int syncs;
    char unused[124];
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
