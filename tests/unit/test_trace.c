/* test_trace: what a line about a system call says. */
#include "agent/trace.h"
#include "tests/unit/suite.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

START_TEST(a_call_is_a_line_whatever_its_path_is)
{
    static char all[TRACE_PATH_MAX];
    const int64_t three = 3, missing = -ENOENT, odd = -4095, large = -4096;
    const struct {
        struct trace_call call;
        const int64_t *ret;
        const char *line;
    } rows[] = {
        {{7, SYS_openat, {0xffffff9c, 1, 2, 3, 4, 5}, 1, "/a b"},
         &three,
         "7 openat(0xffffff9c, \"/a b\", 0x2, 0x3) = 3"},
        {{7, SYS_openat, {1, 0x10}, 1, NULL}, &missing, "7 openat(0x1, 0x10, 0x0, 0x0) = -ENOENT"},
        {{7, SYS_open, {0}, 0, "a\n\"%\\\xff\x1b"},
         &three,
         "7 open(\"a%0a%22%25%5c%ff%1b\", 0x0, 0x0, 0x0) = 3"},
        {{7, SYS_exit, {9}, -1, NULL}, NULL, "7 exit(0x9, 0x0, 0x0, 0x0)"},
        {{7, 60000, {0}, -1, NULL}, &odd, "7 call 60000(0x0, 0x0, 0x0, 0x0) = -?"},
        {{7, UINT64_MAX, {0}, -1, NULL},
         &large,
         "7 call 18446744073709551615(0x0, 0x0, 0x0, 0x0) = -4096"},
    };
    char out[TRACE_LINE_MAX];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ck_assert_str_eq(trace_format(out, &rows[i].call, rows[i].ret), rows[i].line);
    /* The longest there can be. */
    memset(all, 1, sizeof(all) - 1);
    const struct trace_call most = {
        INT32_MAX, UINT64_MAX, {UINT64_MAX, 0, UINT64_MAX, UINT64_MAX}, 1, all};

    ck_assert_uint_lt(strlen(trace_format(out, &most, &large)), TRACE_LINE_MAX);
}
END_TEST

START_TEST(paths_are_where_the_kernel_has_them)
{
    ck_assert_int_eq(trace_path_at(SYS_open), 0);
    ck_assert_int_eq(trace_path_at(SYS_openat), 1);
    ck_assert_int_eq(trace_path_at(SYS_execve), 0);
    ck_assert_int_eq(trace_path_at(SYS_write), -1);
    ck_assert_int_eq(trace_path_at(UINT64_MAX), -1);
}
END_TEST

SUITE("trace", a_call_is_a_line_whatever_its_path_is, paths_are_where_the_kernel_has_them)
