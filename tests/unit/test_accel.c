/* test_accel: promises of the accelerator self-test that need no KVM. */
#include "base/clock.h"
#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "hv/accel_parts.h"
#include "tests/unit/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

/* Returns a scratch folder of this test's own. */
static const char *scratch(void)
{
    strcpy(dir, "/tmp/lz-accel-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    return dir;
}

static void drop_scratch(void)
{
    struct err e;

    ck_assert_int_eq(file_remove_tree(AT_FDCWD, dir, &e), 0);
}

START_TEST(judges_by_what_was_measured)
{
    static const struct {
        struct accel_measure m;
        enum accel_verdict verdict;
        const char *text;
    } rows[] = {
        {{.loops_per_ms = 2000000, .native_per_ms = 2500000}, ACCEL_GOOD, "native speed"},
        {{.loops_per_ms = 3000000, .native_per_ms = 2500000}, ACCEL_GOOD, "native speed"},
        {{.loops_per_ms = 100, .native_per_ms = 2000}, ACCEL_GOOD, "native speed"},
        {{.loops_per_ms = 99, .native_per_ms = 2000}, ACCEL_SLOW, "20 times slower"},
        {{.loops_per_ms = 800, .native_per_ms = 2500000, .timed_out = true},
         ACCEL_SLOW,
         "emulates kernel code (3125 times slower than native"},
        {{.native_per_ms = 2500000, .timed_out = true}, ACCEL_SLOW, "in time"},
        {{.timed_out = true}, ACCEL_BROKEN, "try again"},
        {{0}, ACCEL_BROKEN, "try again"},
        {{.failed_step = "KVM_CREATE_VM", .failed_errno = EIO, .native_per_ms = 1},
         ACCEL_BROKEN,
         "KVM_CREATE_VM: Input/output error"},
        {{.failed_step = "KVM_RUN", .failed_errno = EFAULT, .loops_per_ms = 9, .native_per_ms = 9},
         ACCEL_BROKEN,
         "KVM_RUN: Bad address"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct accel_result r;

        memset(&r, 'x', sizeof(r));
        accel_judge(&rows[i].m, &r);
        ck_assert_msg(r.verdict == rows[i].verdict, "row %zu: %d", i, (int)r.verdict);
        ck_assert_msg(strstr(r.text, rows[i].text), "row %zu: %s", i, r.text);
        ck_assert_uint_eq(r.loops_per_ms, rows[i].m.loops_per_ms);
        ck_assert_uint_eq(r.native_per_ms, rows[i].m.native_per_ms);
    }
}
END_TEST

START_TEST(a_missing_device_is_said_with_the_way_out)
{
    struct accel_result r;

    accel_test_device("/nonexistent/kvm", scratch(), &r);
    ck_assert_int_eq(r.verdict, ACCEL_MISSING);
    ck_assert_ptr_nonnull(strstr(r.text, "/nonexistent/kvm"));
    ck_assert_ptr_nonnull(strstr(r.text, "load the module"));
    drop_scratch();
}
END_TEST

START_TEST(a_forbidden_device_is_said_with_the_way_out)
{
    own_free char *path = str_printf("%s/kvm", scratch());
    struct accel_result r;
    struct err e;

    ck_assert_int_eq(file_write(AT_FDCWD, path, "", 0, 0, &e), 0);
    ck_assert_int_eq(chmod(dir, 0755), 0);
    if (geteuid() == 0) /* root may open everything: look as somebody else */
        ck_assert_int_eq(seteuid(65534), 0);
    accel_test_device(path, NULL, &r);
    if (getuid() == 0)
        ck_assert_int_eq(seteuid(0), 0);
    ck_assert_int_eq(r.verdict, ACCEL_FORBIDDEN);
    ck_assert_ptr_nonnull(strstr(r.text, "kvm', then log in again"));
    drop_scratch();
}
END_TEST

START_TEST(a_device_that_is_not_kvm_is_broken_and_leaves_no_child)
{
    uint64_t before_ms = clock_mono_ms();
    struct accel_result r;

    accel_test_device("/dev/null", scratch(), &r);
    ck_assert_int_eq(r.verdict, ACCEL_BROKEN);
    ck_assert_ptr_nonnull(strstr(r.text, "KVM_GET_API_VERSION"));
    ck_assert_uint_gt(r.native_per_ms, 1000); /* a million loops a second is a slow computer */
    ck_assert_uint_lt(clock_mono_ms() - before_ms, 500);
    drop_scratch();
}
END_TEST

/* Stands for a device that was measured before: a cache is written under its key. */
static void put_cache(const char *device, const char *text_format, const char *key_end)
{
    own_close int fd = open(device, O_RDWR | O_CLOEXEC);
    own_free char *key = accel_cache_key(fd);
    own_free char *path = str_printf("%s/accel.json", dir);
    own_free char *whole_key = str_printf("%s%s", key, key_end);
    own_str struct str text = {0};
    const char *at = strchr(text_format, '@');
    struct err e;

    str_add_bytes(&text, text_format, at ? (size_t)(at - text_format) : strlen(text_format));
    if (at) {
        str_add(&text, whole_key);
        str_add(&text, at + 1);
    }
    ck_assert_int_eq(file_write(AT_FDCWD, path, text.data, text.len, 0600, &e), 0);
}

START_TEST(uses_a_cached_measure_and_tests_again_when_it_does_not_fit)
{
    /* /dev/null is no KVM: a new test says BROKEN, so GOOD and SLOW can only be from the cache. */
    static const struct {
        const char *text, *key_end;
        enum accel_verdict verdict;
    } rows[] = {
        {"{\"version\":1,\"key\":\"@\",\"loops_per_ms\":9,\"native_per_ms\":9}", "", ACCEL_GOOD},
        {"{\"version\":1,\"key\":\"@\",\"loops_per_ms\":1,\"native_per_ms\":99}", "", ACCEL_SLOW},
        {"{\"version\":1,\"key\":\"@\",\"loops_per_ms\":0,\"native_per_ms\":99}", "", ACCEL_SLOW},
        {"{\"version\":1,\"key\":\"@\",\"loops_per_ms\":9,\"native_per_ms\":9}", "0", ACCEL_BROKEN},
        {"{\"version\":2,\"key\":\"@\",\"loops_per_ms\":9,\"native_per_ms\":9}", "", ACCEL_BROKEN},
        {"{\"version\":1,\"key\":\"@\",\"loops_per_ms\":9,\"native_per_ms\":0}", "", ACCEL_BROKEN},
        {"{\"version\":1,\"key\":\"@\",\"loops_per_ms\":\"9\",\"native_per_ms\":9}", "",
         ACCEL_BROKEN},
        {"{\"version\":1,\"key\":\"@\",\"loops_per_ms\":9}", "", ACCEL_BROKEN},
        {"{\"version\":1,\"key\":\"@\"", "", ACCEL_BROKEN},
        {"[]", "", ACCEL_BROKEN},
        {"\x01garbage", "", ACCEL_BROKEN},
    };

    scratch();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct accel_result r;

        put_cache("/dev/null", rows[i].text, rows[i].key_end);
        accel_test_device("/dev/null", dir, &r);
        ck_assert_msg(r.verdict == rows[i].verdict, "row %zu: %s", i, r.text);
    }
    drop_scratch();
}
END_TEST

START_TEST(a_measure_that_was_written_is_read_again)
{
    const struct accel_measure m = {.loops_per_ms = 800, .native_per_ms = 2500000};
    own_close int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    own_free char *key = accel_cache_key(fd);
    own_free char *deep = str_printf("%s/not/yet/there", scratch());
    struct accel_result r;

    accel_write_cache(deep, key, &m);
    accel_test_device("/dev/null", deep, &r);
    ck_assert_int_eq(r.verdict, ACCEL_SLOW);
    ck_assert_uint_eq(r.loops_per_ms, 800);
    ck_assert_uint_eq(r.native_per_ms, 2500000);
    drop_scratch();
}
END_TEST

START_TEST(what_was_not_measured_is_not_cached)
{
    struct accel_result r;
    bool empty = false;
    struct err e;
    int fd;

    accel_test_device("/nonexistent/kvm", scratch(), &r);
    accel_test_device("/dev/null", dir, &r);
    ck_assert_int_eq(file_open_dir(dir, &fd, &e), 0);
    ck_assert_int_eq(file_dir_is_empty(fd, &empty, &e), 0);
    ck_assert(empty);
    close(fd);
    drop_scratch();
}
END_TEST

START_TEST(a_cache_that_cannot_be_written_is_no_failure)
{
    struct accel_measure m = {.loops_per_ms = 1, .native_per_ms = 1};
    struct accel_result r;

    accel_write_cache("/proc/nowhere", "key", &m);
    accel_test_device("/dev/null", "/proc/nowhere", &r);
    ck_assert_int_eq(r.verdict, ACCEL_BROKEN);
}
END_TEST

START_TEST(reads_the_clock_of_the_first_cpu)
{
    static const struct {
        const char *line;
        uint64_t khz;
    } rows[] = {
        {"cpu MHz\t\t: 2596.140\n", 2596140},
        {"cpu MHz\t\t: 2596.1\n", 2596100},
        {"cpu MHz\t\t: 2596\n", 2596000},
        {"cpu MHz\t\t: 2596.1409999\n", 2596140},
        {"cpu MHz\t\t: \n", 0},
        {"cpu MHz\n", 0},
        {"cpu MHz\t\t: 25.96.1\n", 0},
        {"cpu MHz\t\t: -1\n", 0},
        {"cpu MHz\t\t: 99999999999999999999999999\n", 0},
        {"model name\t: 2596.140\n", 0},
        {"", 0},
    };
    uint64_t khz;
    struct err e;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ck_assert_msg(accel_parse_mhz(rows[i].line) == rows[i].khz, "row %zu", i);
    ck_assert_int_eq(accel_tsc_khz(&khz, &e), 0);
    ck_assert_uint_gt(khz, 100000);
    ck_assert_uint_lt(khz, 10000000);
}
END_TEST

SUITE("accel", judges_by_what_was_measured, a_missing_device_is_said_with_the_way_out,
      a_forbidden_device_is_said_with_the_way_out,
      a_device_that_is_not_kvm_is_broken_and_leaves_no_child,
      uses_a_cached_measure_and_tests_again_when_it_does_not_fit,
      a_measure_that_was_written_is_read_again, what_was_not_measured_is_not_cached,
      a_cache_that_cannot_be_written_is_no_failure, reads_the_clock_of_the_first_cpu)
