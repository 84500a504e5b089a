/*
 * test_answers: answers that do not fit what was asked, claims, silence, and ends at every point of
 * a session. Against the real relay.
 */
#include "tests/hostile/relay_rows.h"

/* ---- answers to what was asked --------------------------------------------------------------- */

static void ready_of_another_version(void)
{
    send_ready(&rig, WIRE_VERSION - 1, rig.nonce);
    expect_tampered();
}

static void ready_of_a_later_version(void)
{
    send_ready(&rig, WIRE_VERSION + 1, rig.nonce);
    expect_tampered();
}

static void ready_with_one_bit_of_the_nonce_wrong(void)
{
    rig.nonce[WIRE_NONCE_SIZE - 1] ^= 1;
    send_ready(&rig, WIRE_VERSION, rig.nonce);
    expect_tampered();
}

static void ready_with_a_nonce_that_was_used(void)
{
    uint8_t old[WIRE_NONCE_SIZE];

    memcpy(old, rig.nonce, sizeof(old));
    greet(&rig);
    send_ready(&rig, WIRE_VERSION, old);
    expect_tampered();
}

static void ready_where_parked_was_asked_for(void)
{
    send_answer(&rig, WIRE_READY, WIRE_VERSION, rig.nonce);
    expect_tampered();
}

static void parked_where_ready_was_asked_for(void)
{
    send_answer(&rig, WIRE_PARKED, WIRE_VERSION, rig.nonce);
    expect_tampered();
}

static void ready_that_keeps_every_job(void)
{
    send_kept(&rig, WIRE_READY, WIRE_VERSION, rig.nonce, WIRE_EXEC_ALL);
    expect_tampered();
}

static void ready_that_keeps_a_job_beyond_the_last(void)
{
    send_kept(&rig, WIRE_READY, WIRE_VERSION, rig.nonce, 1u << WIRE_EXEC_MAX);
    expect_tampered();
}

/* Numbers of the guest's own, as large as they get: they come through as its word, and change
 * nothing. */
static void claims_of_all_ones_are_the_guests_word(void)
{
    own_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    const struct wire_exit claim = {.code = 255,
                                    .oom = ~0u,
                                    .cpu_us = UINT64_MAX,
                                    .peak_bytes = UINT64_MAX,
                                    .peak_pids = UINT32_MAX};
    struct wire_ready ready = {.version = WIRE_VERSION, .boot_us = UINT64_MAX};
    uint8_t raw[WIRE_READY_SIZE], out[WIRE_EXIT_SIZE];
    struct channel_event ev;

    greet(&rig);
    memcpy(ready.nonce, rig.nonce, sizeof(ready.nonce));
    wire_ready_format(raw, &ready);
    guest_send(&rig, WIRE_READY, 0, raw, sizeof(raw));
    ck_assert_uint_eq(expect_event(&rig, CHANNEL_READY).boot_us, UINT64_MAX);
    start(&rig,
          (struct channel_exec){.exec = 1, .stdin_fd = -1, .stdout_fd = null, .stderr_fd = null});
    wire_exit_format(out, &claim);
    guest_send(&rig, WIRE_EXIT, CONTROL(1), out, sizeof(out));
    ev = expect_event(&rig, CHANNEL_EXIT);
    ck_assert_uint_eq(ev.exit.cpu_us, UINT64_MAX);
    ck_assert_uint_eq(ev.exit.code, 255);
}

static void used_that_comes_twice(void)
{
    uint8_t raw[WIRE_USED_SIZE] = {0};

    guest_send(&rig, WIRE_USED, 0, raw, sizeof(raw));
    expect_event(&rig, CHANNEL_USED);
    guest_send(&rig, WIRE_USED, 0, raw, sizeof(raw));
    expect_tampered();
}

/* ---- silence and ends ------------------------------------------------------------------------ */

/* It waits for the rest, takes commands meanwhile, and goes when it is told to. */
static void half_a_header_and_silence(void)
{
    struct channel_event ev;

    guest_raw(&rig, "LAZ1\4\0", 6);
    ck_ok(channel_usage(rig.ch, &rig_err));
    ck_assert_uint_eq(guest_recv(&rig, &(const uint8_t *){NULL}).type, WIRE_USAGE);
    ck_assert_int_eq(channel_next(rig.ch, &ev), 0);
}

static void half_a_payload_and_silence(void)
{
    struct wire_header h = {.type = WIRE_LOG, .length = WIRE_TEXT_MAX};
    uint8_t raw[WIRE_HEADER_SIZE];
    struct channel_event ev;

    wire_header_format(raw, &h);
    guest_raw(&rig, raw, sizeof(raw));
    guest_raw(&rig, "x", 1);
    ck_ok(channel_usage(rig.ch, &rig_err));
    ck_assert_uint_eq(guest_recv(&rig, &(const uint8_t *){NULL}).type, WIRE_USAGE);
    ck_assert_int_eq(channel_next(rig.ch, &ev), 0);
}

/* Closes the channel at this point: told once, and nothing after it. */
static void expect_lost(void)
{
    struct channel_event ev;
    uint32_t logs;

    close(rig.guest);
    rig.guest = -1;
    ev = next_event(&logs);
    ck_assert_msg(ev.type == CHANNEL_LOST, "event %d: %s", ev.type, ev.text);
    ck_assert_int_eq(channel_next(rig.ch, &ev), 0);
}

static void end_in_a_header(void)
{
    guest_raw(&rig, "LAZ1\4\0\0\0\0", 9);
    expect_lost();
}

static void end_in_a_payload(void)
{
    struct wire_header h = {.type = WIRE_DATA, .stream = out_of(1), .length = WIRE_PAYLOAD_MAX};
    uint8_t raw[WIRE_HEADER_SIZE];

    wire_header_format(raw, &h);
    guest_raw(&rig, raw, sizeof(raw));
    guest_raw(&rig, junk, WIRE_PAYLOAD_MAX - 1);
    expect_lost();
}

/* A guest that reads nothing: commands are refused after their deadline, none is lost in between.
 */
static void a_guest_that_never_reads(void)
{
    own_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    own_close int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    struct channel_event ev;

    start(&rig,
          (struct channel_exec){.exec = 1, .stdin_fd = zero, .stdout_fd = null, .stderr_fd = null});
    /* Stdin stops at its credit, however much there is. */
    for (uint32_t got = 0; got < WIRE_WINDOW;) {
        const uint8_t *p;

        got += guest_expect(&rig, WIRE_DATA, wire_stream(1, WIRE_STDIN), &p).length;
        ck_assert_uint_le(got, WIRE_WINDOW);
    }
    ck_ok(channel_usage(rig.ch, &rig_err));
    ck_assert_uint_eq(guest_recv(&rig, &(const uint8_t *){NULL}).type, WIRE_USAGE);
    ck_assert_int_eq(channel_next(rig.ch, &ev), 0);
}

static const struct relay_row rows[] = {
    ROW(ready_of_another_version, GREETED),
    ROW(ready_of_a_later_version, GREETED),
    ROW(ready_with_one_bit_of_the_nonce_wrong, GREETED),
    ROW(ready_with_a_nonce_that_was_used, READY),
    ROW(ready_where_parked_was_asked_for, PARKING),
    ROW(parked_where_ready_was_asked_for, GREETED),
    ROW(ready_that_keeps_every_job, GREETED),
    ROW(ready_that_keeps_a_job_beyond_the_last, GREETED),
    ROW(claims_of_all_ones_are_the_guests_word, UNMET),
    ROW(used_that_comes_twice, USING),
    ROW(half_a_header_and_silence, READY),
    ROW(half_a_payload_and_silence, READY),
    ROW(end_in_a_header, READY),
    ROW(end_in_a_payload, RUNNING),
    ROW(a_guest_that_never_reads, READY),
    {"end_before_hello", expect_lost, UNMET},
    {"end_after_hello", expect_lost, GREETED},
    {"end_while_parking", expect_lost, PARKING},
    {"end_when_parked", expect_lost, PARKED},
    {"end_after_failed", expect_lost, FAILED},
    {"end_after_ready", expect_lost, READY},
    {"end_after_usage", expect_lost, USING},
    {"end_after_exec", expect_lost, ASKED},
    {"end_after_started", expect_lost, RUNNING},
    {"end_after_sync", expect_lost, SYNCING},
    {"end_after_synced", expect_lost, HELD},
    {"end_after_exit", expect_lost, EXITED},
    {"end_while_collecting", expect_lost, COLLECTING},
    {"end_after_collected", expect_lost, COLLECTED},
};

int main(void)
{
    return relay_rows_run("answers", rows, COUNT(rows));
}
