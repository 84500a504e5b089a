/* clock: monotonic and wall time, in the units that the names say. */
#include "base/clock.h"

#include <limits.h>
#include <stdio.h>
#include <time.h>

static uint64_t now_ns(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t clock_mono_ms(void)
{
    return now_ns(CLOCK_MONOTONIC) / 1000000u;
}

uint64_t clock_mono_us(void)
{
    return now_ns(CLOCK_MONOTONIC) / 1000u;
}

uint64_t clock_real_ns(void)
{
    return now_ns(CLOCK_REALTIME);
}

int clock_poll_timeout(uint64_t deadline_ms)
{
    uint64_t now = clock_mono_ms();

    if (deadline_ms == UINT64_MAX)
        return -1;
    if (deadline_ms <= now)
        return 0;
    return deadline_ms - now > INT_MAX ? INT_MAX : (int)(deadline_ms - now);
}

/* Up to the second, into at least 32 bytes. Returns the length. */
static size_t format_second(char *out, uint64_t real_ns)
{
    time_t sec = (time_t)(real_ns / 1000000000u);
    struct tm tm;

    gmtime_r(&sec, &tm);
    return strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
}

const char *clock_format_utc(char *out, uint64_t real_ns)
{
    size_t n = format_second(out, real_ns);

    snprintf(out + n, 32 - n, ".%03uZ", (unsigned)(real_ns / 1000000u % 1000u));
    return out;
}

const char *clock_format_utc_ns(char *out, uint64_t real_ns)
{
    size_t n = format_second(out, real_ns);

    snprintf(out + n, 36 - n, ".%09uZ", (unsigned)(real_ns % 1000000000u));
    return out;
}
