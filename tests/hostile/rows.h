/* rows: a Check test of its own name for each row of a table, and what each must leave behind. */
#ifndef LZ_TESTS_HOSTILE_ROWS_H
#define LZ_TESTS_HOSTILE_ROWS_H

#include "base/confine.h"
#include "tests/unit/suite.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Bytes of frames. */
/* clang-format off */
#define U16(v) (uint8_t)((v) & 0xff), (uint8_t)((v) >> 8 & 0xff)
#define U32(v) U16((v) & 0xffffu), U16((uint32_t)(v) >> 16)
#define U64(v) U32((v) & 0xffffffffu), U32((uint64_t)(v) >> 32)
#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})
/* clang-format on */

#define ROWS_GROWTH_KIB                                                                            \
    4096 /* that a process may take more, at its peak, whatever a guest sends                      \
          */

/* `go` gets the row's number; borrows `name` for as long as the suite lives. */
static inline void rows_add(TCase *tc, const char *name, TFun go, int row)
{
    static TTest tests[512];
    static size_t n;

    if (suite_is_skipped(name))
        return;
    if (n == sizeof(tests) / sizeof(tests[0]))
        abort();
    tests[n] = (TTest){.name = name, .fn = go, .file = "row", .line = row};
    _tcase_add_test(tc, &tests[n++], 0, 0, row, row + 1);
}

/* A line of /proc/PID/status in KiB, -1: the process is not there. */
static inline long rows_status_kib(pid_t pid, const char *key)
{
    char path[64], line[256];
    long kib = -1;
    FILE *f;

    (void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, key, strlen(key)) == 0 && line[strlen(key)] == ':')
            kib = strtol(line + strlen(key) + 1, NULL, 10);
    if (f)
        (void)fclose(f);
    return kib;
}

/* Begins to watch the peak of a process; returns what it has now, in KiB. */
static inline long rows_watch(pid_t pid)
{
    char path[64];
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/%d/clear_refs", pid);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "5", 1) != 1) /* the peak begins anew */
        ck_abort_msg("%s: %s", path, strerror(errno));
    close(fd);
    return rows_status_kib(pid, "VmRSS");
}

/* Its peak is near what it was. Of one that has ended see rows_check_children(). */
static inline void rows_check_peak(pid_t pid, long before_kib, const char *who)
{
    long peak = rows_status_kib(pid, "VmHWM");

#ifdef CONFINE_SANITIZED
    return; /* the runtime's own memory */
#endif
    ck_assert_msg(suite_is_under_valgrind() || peak - before_kib <= ROWS_GROWTH_KIB,
                  "%s grew by %ld KiB", who, peak - before_kib);
}

/* The peaks of all that were waited for: one that ended by the lie is here only. */
static inline void rows_check_children(long before_kib)
{
    struct rusage u;

    ck_assert_int_eq(getrusage(RUSAGE_CHILDREN, &u), 0);
#ifdef CONFINE_SANITIZED
    return;
#endif
    ck_assert_msg(suite_is_under_valgrind() || u.ru_maxrss - before_kib <= ROWS_GROWTH_KIB,
                  "a child grew by %ld KiB", u.ru_maxrss - before_kib);
}

/* No process, and no fd more than before. */
static inline void rows_check_clean(size_t fds_before)
{
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    ck_assert_int_eq(errno, ECHILD);
    ck_assert_uint_eq(suite_count_fds(), fds_before);
}

#endif
