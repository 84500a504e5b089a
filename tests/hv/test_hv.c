/* test_hv: promises of vmm/hv over libvirt's test driver, which runs no guest. */
#include "base/clock.h"
#include "base/own.h"
#include "hv/hv.h"
#include "hv/hv_private.h"
#include "tests/unit/suite.h"

#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define UUID "11111111-2222-4333-8444-555555555555"

static const char xml[] = "<domain type='test'><name>guest</name><uuid>" UUID "</uuid>"
                          "<memory>8192</memory><os><type>hvm</type></os></domain>";

static struct hv *open_test(void)
{
    struct hv_config c = {.uri = "test:///default", .log_path = "/dev/null"};
    struct hv *h = NULL;
    struct err e;

    ck_assert_msg(hv_open(&c, &h, &e) == 0, "%s", e.text);
    return h;
}

/* The next event, whatever it is. */
static struct hv_event next(struct hv *h)
{
    struct pollfd p = {.fd = hv_event_fd(h), .events = POLLIN};
    struct hv_event ev = {0};

    ck_assert_int_eq(poll(&p, 1, 5000), 1);
    ck_assert_int_eq(hv_next_event(h, &ev), 1);
    return ev;
}

START_TEST(events_come_in_order_and_only_for_our_domain)
{
    struct hv *h = open_test();
    struct hv_event ev;
    struct err e;

    ck_assert_int_eq(hv_next_event(h, &ev), 0);
    ck_assert_msg(hv_create(h, xml, true, &e) == 0, "%s", e.text);
    ck_assert_msg(hv_destroy_by_name(h, "test", &e) == 0, "%s", e.text); /* the driver has one */
    ck_assert_msg(hv_resume(h, &e) == 0, "%s", e.text);
    ck_assert_msg(hv_destroy(h, &e) == 0, "%s", e.text);
    ck_assert_int_eq(next(h).type, HV_STARTED);
    ck_assert_int_eq(next(h).type, HV_PAUSED);
    ck_assert_int_eq(next(h).type, HV_RESUMED);
    ev = next(h);
    ck_assert_int_eq(ev.type, HV_STOPPED);
    ck_assert_int_eq(ev.why, HV_WHY_DESTROYED);
    hv_close(h);
}
END_TEST

/* Until the loop's thread has put so many bytes into the pipe; a pipe cannot be polled for that. */
static void wait_unread(struct hv *h, size_t bytes)
{
    uint64_t deadline_ms = clock_mono_ms() + 5000;
    int unread = 0;

    while (ioctl(hv_event_fd(h), FIONREAD, &unread) == 0 && (size_t)unread < bytes) {
        ck_assert_uint_lt(clock_mono_ms(), deadline_ms);
        sched_yield();
    }
}

START_TEST(a_full_pipe_does_not_lose_the_end)
{
    struct hv *h = open_test();
    const struct hv_event filler = {.type = HV_IO_ERROR};
    size_t written = 0, read_back = 0;
    struct err e;

    ck_assert_msg(hv_create(h, xml, false, &e) == 0, "%s", e.text);
    ck_assert_int_eq(next(h).type, HV_STARTED);
    ck_assert_int_eq(next(h).type, HV_PAUSED);
    while (written * sizeof(filler) <= 2048) {
        ck_assert_int_eq(write(h->event_fds[1], &filler, sizeof(filler)), sizeof(filler));
        written++;
    }
    ck_assert_int_eq(hv_resume(h, &e), 0);
    ck_assert_int_eq(hv_destroy(h, &e), 0);
    wait_unread(h, (written + 1) * sizeof(filler));
    for (; read_back < written; read_back++)
        ck_assert_int_eq(next(h).type, HV_IO_ERROR);
    ck_assert_int_eq(next(h).type, HV_STOPPED); /* RESUMED was dropped, this was not */
    hv_close(h);
}
END_TEST

START_TEST(destroying_what_is_not_there_is_fine)
{
    struct hv *h = open_test();
    struct err e;

    ck_assert_int_eq(hv_destroy(h, &e), 0);
    ck_assert_int_eq(hv_destroy_by_name(h, "no-such-domain", &e), 0);
    ck_assert_msg(hv_create(h, xml, false, &e) == 0, "%s", e.text);
    ck_assert_int_eq(hv_destroy_by_name(h, "guest", &e), 0); /* behind our back */
    ck_assert_msg(hv_destroy(h, &e) == 0, "%s", e.text);
    hv_close(h);
}
END_TEST

START_TEST(without_a_domain_there_is_nothing_to_run_or_read)
{
    struct hv *h = open_test();
    struct hv_versions v;
    char *text = NULL;
    struct err e;

    ck_assert_int_eq(hv_resume(h, &e), -1);
    ck_assert_int_eq(hv_live_xml(h, &text, &e), -1);
    ck_assert_ptr_null(text);
    ck_assert_int_eq(hv_qemu_pid(h), 0);
    ck_assert_int_eq(hv_get_versions(h, &v, &e), 0);
    ck_assert_str_eq(v.qemu, "");
    ck_assert_str_ne(v.libvirt, "");
    hv_close(h);
}
END_TEST

START_TEST(a_domain_without_our_uuid_is_refused)
{
    static const char *const rows[] = {
        "<domain type='test'><name>a</name></domain>",
        "<domain type='test'><name>a</name><uuid></uuid></domain>",
        "<domain type='test'><name>a</name><uuid>" UUID "</domain>",
        "<domain type='test'><name>a</name><uuid>" UUID "0</uuid></domain>",
        "<domain type='test'><name>a</name><!--<uuid>" UUID "</uuid>--><memory>8192</memory><os>"
        "<type>hvm</type></os></domain>",
        "",
    };
    struct hv *h = open_test();
    struct err e;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ck_assert_msg(hv_create(h, rows[i], false, &e) == -1, "row %zu", i);
        ck_assert_msg(strstr(e.text, "uuid"), "row %zu: %s", i, e.text);
        ck_assert_int_eq(hv_destroy_by_name(h, "a", &e), 0);
    }
    hv_close(h);
}
END_TEST

START_TEST(the_loop_ends_with_the_connection_and_starts_with_the_next)
{
    struct err e;

    for (int i = 0; i < 20; i++) {
        uint64_t before_ms = clock_mono_ms();
        struct hv *h = open_test();

        ck_assert_msg(hv_create(h, xml, false, &e) == 0, "%s", e.text);
        ck_assert_int_eq(next(h).type, HV_STARTED);
        ck_assert_int_eq(hv_destroy(h, &e), 0);
        hv_close(h);
        ck_assert_uint_lt(clock_mono_ms() - before_ms, 2000);
    }
}
END_TEST

SUITE("hv", events_come_in_order_and_only_for_our_domain, a_full_pipe_does_not_lose_the_end,
      destroying_what_is_not_there_is_fine, without_a_domain_there_is_nothing_to_run_or_read,
      a_domain_without_our_uuid_is_refused,
      the_loop_ends_with_the_connection_and_starts_with_the_next)
