/* test_sample: promises of what a guest has used: numbers of the kernel's, whatever it is called.
 */
#include "run/sample.h"
#include "tests/unit/suite.h"

#include <unistd.h>

START_TEST(numbers_are_found_behind_any_name)
{
    static const char stat[] =
        "7 (a) R 1 (b 2) S 1 2 3 4 5 6 7 8 9 10 300 200 0 0 20 0 1 0 9 9 5 1";
    const uint64_t tick = UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK);
    struct sample s;

    ck_assert_int_eq(sample_parse(stat, &s), 0);
    ck_assert_uint_eq(s.user_ns, 300 * tick);
    ck_assert_uint_eq(s.system_ns, 200 * tick);
    ck_assert_uint_eq(s.resident_bytes, 5 * (uint64_t)sysconf(_SC_PAGESIZE));
}
END_TEST

START_TEST(what_is_cut_or_gone_is_no_sample)
{
    struct sample s;

    ck_assert_int_eq(sample_parse("", &s), -1);
    ck_assert_int_eq(sample_parse("7 (a) R 1 2", &s), -1);
    ck_assert_int_eq(sample_parse("7 (a", &s), -1);
    ck_assert_int_eq(sample_read(0, &s), -1);
    ck_assert_int_eq(sample_read(getpid(), &s), 0);
    ck_assert_uint_gt(s.resident_bytes, 0);
}
END_TEST

SUITE("sample", numbers_are_found_behind_any_name, what_is_cut_or_gone_is_no_sample)
