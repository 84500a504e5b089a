/*
 * fast_clock: lets a deadline of minutes pass in seconds. Preloaded into lazaret; from the moment
 * on that the file $LAZARET_FAST_CLOCK is there its monotonic clock goes SPEED times as fast, and
 * what waits with a timeout waits as much shorter. For deadlines that must be met, and nothing
 * else.
 */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SPEED 30

/* Not static: poll() is an inline function of the C library with fortification. */
int lz_is_fast(void);
int lz_is_fast(void)
{
    const char *path = getenv("LAZARET_FAST_CLOCK");
    int ours = errno;
    int fast =
        path && strcmp(program_invocation_short_name, "lazaret") == 0 && access(path, F_OK) == 0;

    errno = ours;
    return fast;
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): theirs are reserved */
int clock_gettime(clockid_t id, struct timespec *t)
{
    static int64_t since_ns; /* when it began to be fast */
    int rc = (int)syscall(SYS_clock_gettime, id, t);
    int64_t ns;

    if (rc < 0 || id != CLOCK_MONOTONIC || !lz_is_fast())
        return rc;
    ns = t->tv_sec * 1000000000ll + t->tv_nsec;
    if (since_ns == 0)
        since_ns = ns;
    ns = since_ns + (ns - since_ns) * SPEED;
    t->tv_sec = ns / 1000000000;
    t->tv_nsec = ns % 1000000000;
    return rc;
}

int poll(struct pollfd *p, nfds_t n, int timeout_ms)
{
    const int slice_ms = 100;
    int left = timeout_ms;

    /* In slices, for it may become fast meanwhile. */
    for (;;) {
        int part = timeout_ms < 0 || left > slice_ms ? slice_ms : left;
        int rc = (int)syscall(SYS_poll, p, n, part);

        if (rc != 0)
            return rc;
        if (timeout_ms >= 0 && (left -= lz_is_fast() ? part * SPEED : part) <= 0)
            return 0;
    }
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
