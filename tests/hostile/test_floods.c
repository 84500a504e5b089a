/*
 * test_floods: lies that take more than one frame: floods, credit that was not given, silence, ends
 * in the middle, consoles. Against the real relay; single frames are in test_frames.c.
 *
 * Each row must end as it says, and neither the relay nor the keeper may at its peak have taken 4
 * MiB more than before, whatever was sent.
 */
#include "tests/hostile/rows.h"
#include "tests/unit/relay_stage.h"

#include "base/str.h"

#include <signal.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const uint32_t tree_stream = WIRE_TREE;

/* The next event that is not LOG; *ret_logs counts those. */
static struct channel_event next_event(uint32_t *ret_logs)
{
    struct channel_event ev;

    for (*ret_logs = 0;; ++*ret_logs) {
        while (channel_next(rig.ch, &ev) == 0)
            wait_readable(channel_fd(rig.ch));
        ck_assert(str_is_printable(ev.text, sizeof(ev.text)));
        if (ev.type != CHANNEL_LOG)
            return ev;
    }
}

static void expect_tampered(void)
{
    uint32_t logs;
    struct channel_event ev = next_event(&logs);

    ck_assert_msg(ev.type == CHANNEL_TAMPERED, "event %d: %s", ev.type, ev.text);
    ck_assert_int_eq(channel_next(rig.ch, &ev), 0);
}

/* A pipe that holds a page and that nobody reads. */
static void unread_pipe(int fds[2])
{
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    ck_assert_int_ge(fcntl(fds[0], F_SETPIPE_SZ, 4096), 0);
}

/* ---- floods ---------------------------------------------------------------------------------- */

/* In a process of its own, so that whoever does not read does not stop the test. */
static void flood(void (*send_all)(void))
{
    pid_t pid = fork();

    if (pid == 0) {
        send_all();
        _exit(0);
    }
    ck_assert_int_gt(pid, 0);
}

static void tiny_logs(void)
{
    for (uint32_t i = 0; i <= WIRE_LOG_TOTAL; i++)
        guest_send(&rig, WIRE_LOG, 0, "x", 1);
}

static void flood_of_the_smallest_frames(void)
{
    struct channel_event ev;
    uint32_t logs;

    flood(tiny_logs);
    ev = next_event(&logs);
    ck_assert_int_eq(ev.type, CHANNEL_TAMPERED);
    ck_assert_uint_eq(logs, WIRE_LOG_TOTAL); /* as many as may be, and none more */
}

static void largest_logs(void)
{
    memset(junk, '\033', sizeof(junk));
    for (uint32_t i = 0; i <= WIRE_LOG_TOTAL / WIRE_TEXT_MAX; i++)
        guest_send(&rig, WIRE_LOG, 0, junk, WIRE_TEXT_MAX);
}

static void flood_of_log_that_is_all_escapes(void)
{
    struct channel_event ev;
    uint32_t logs;

    flood(largest_logs);
    ev = next_event(&logs);
    ck_assert_int_eq(ev.type, CHANNEL_TAMPERED);
    ck_assert_uint_eq(logs, WIRE_LOG_TOTAL / WIRE_TEXT_MAX);
}

static void tiny_output(void)
{
    for (uint32_t i = 0; i < 2 * WIRE_WINDOW; i++)
        guest_send(&rig, WIRE_DATA, out_of(1), "x", 1);
}

static void flood_of_the_smallest_output(void)
{
    int fds[2];

    unread_pipe(fds);
    start(&rig, (struct channel_exec){
                    .exec = 1, .stdin_fd = -1, .stdout_fd = fds[1], .stderr_fd = fds[1]});
    flood(tiny_output);
    expect_tampered();
    close(fds[0]);
    close(fds[1]);
}

/* A guest that keeps to its credit may send without end, and it costs nothing. */
static void flood_of_the_largest_frames_within_credit(void)
{
    own_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    uint64_t left = 64u << 20, credit = WIRE_WINDOW;

    start(&rig,
          (struct channel_exec){.exec = 1, .stdin_fd = -1, .stdout_fd = null, .stderr_fd = null});
    while (left > 0) {
        while (credit < WIRE_PAYLOAD_MAX) {
            const uint8_t *p;
            struct wire_header h = guest_expect(&rig, WIRE_CREDIT, out_of(1), &p);
            uint32_t bytes;

            ck_assert_int_eq(wire_credit_parse(p, h.length, &bytes), 0);
            credit += bytes;
        }
        guest_send(&rig, WIRE_DATA, out_of(1), junk, WIRE_PAYLOAD_MAX);
        credit -= WIRE_PAYLOAD_MAX;
        left -= WIRE_PAYLOAD_MAX;
    }
    send_exit(&rig, 1, 0);
    expect_event(&rig, CHANNEL_EXIT);
}

/* 16 jobs, two streams each, and nobody reads any of them. */
static void flood_of_every_stream_at_once(void)
{
    int fds[2 * WIRE_EXEC_MAX][2];

    for (uint32_t i = 0; i < COUNT(fds); i++)
        unread_pipe(fds[i]);
    for (uint32_t i = 0; i < WIRE_EXEC_MAX; i++)
        start(&rig, (struct channel_exec){.exec = i + 1,
                                          .stdin_fd = -1,
                                          .stdout_fd = fds[2 * i][1],
                                          .stderr_fd = fds[2 * i + 1][1]});
    for (uint32_t exec = 1; exec <= WIRE_EXEC_MAX; exec++) {
        send_window(&rig, wire_stream(exec, WIRE_STDOUT));
        send_window(&rig, wire_stream(exec, WIRE_STDERR));
    }
    expect_nothing_before_log(&rig); /* all of it was taken */
    for (uint32_t i = 0; i < COUNT(fds); i++) {
        close(fds[i][0]);
        close(fds[i][1]);
    }
}

/* The reader went away: what is still within credit is dropped, what is beyond it is not. */
static void flood_of_a_stream_that_is_closed(void)
{
    const uint8_t *p;
    int fds[2];

    signal(SIGPIPE, SIG_IGN);
    unread_pipe(fds);
    start(&rig, (struct channel_exec){
                    .exec = 1, .stdin_fd = -1, .stdout_fd = fds[1], .stderr_fd = fds[1]});
    close(fds[0]);
    guest_send(&rig, WIRE_DATA, out_of(1), "x", 1);
    guest_expect(&rig, WIRE_CLOSE, out_of(1), &p);
    flood(tiny_output);
    expect_tampered();
    close(fds[1]);
}

static void dead_output(void)
{
    for (int i = 0; i < 1000; i++)
        guest_send(&rig, WIRE_DATA, out_of(9), junk, sizeof(junk));
}

static void flood_of_a_job_that_never_was(void)
{
    flood(dead_output);
    expect_tampered();
}

static void flood_of_denials(void)
{
    own_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    uint8_t raw[WIRE_DENIED_SIZE];

    start(&rig,
          (struct channel_exec){.exec = 1, .stdin_fd = -1, .stdout_fd = null, .stderr_fd = null});
    for (uint32_t i = 0; i <= WIRE_DENIED_MAX; i++) {
        wire_denied_format(raw, &(struct wire_denied){WIRE_DENIED_CALL, i + 1, UINT64_MAX});
        guest_send(&rig, WIRE_DENIED, CONTROL(1), raw, sizeof(raw));
    }
    for (uint32_t i = 0; i < WIRE_DENIED_MAX; i++)
        expect_event(&rig, CHANNEL_DENIED);
    expect_tampered();
}

static void denials_in_falling_order(void)
{
    own_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    uint8_t raw[WIRE_DENIED_SIZE];

    start(&rig,
          (struct channel_exec){.exec = 1, .stdin_fd = -1, .stdout_fd = null, .stderr_fd = null});
    for (uint32_t i = 2; i > 0; i--) {
        wire_denied_format(raw, &(struct wire_denied){WIRE_DENIED_CALL, i, 1});
        guest_send(&rig, WIRE_DENIED, CONTROL(1), raw, sizeof(raw));
    }
    expect_event(&rig, CHANNEL_DENIED);
    expect_tampered();
}

/* Jobs that never start, again and again: their numbers come back and nothing is kept. */
static void jobs_that_never_start(void)
{
    own_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    const uint8_t why[4 + WIRE_TEXT_MAX] = {WIRE_WHY_RUNTIME, 0, 0, 0, '\033', '\xff'};

    for (int i = 0; i < 200; i++) {
        ask(&rig,
            (struct channel_exec){.exec = 1, .stdin_fd = -1, .stdout_fd = null, .stderr_fd = null});
        guest_send(&rig, WIRE_UNSTARTED, CONTROL(1), why, sizeof(why));
        ck_assert_ptr_nonnull(strstr(expect_event(&rig, CHANNEL_UNSTARTED).text, "\\x1b\\xff"));
    }
}

/* ---- credit ---------------------------------------------------------------------------------- */

static void one_byte_over(uint32_t stream)
{
    int fds[2];

    unread_pipe(fds);
    start(&rig, (struct channel_exec){
                    .exec = 1, .stdin_fd = -1, .stdout_fd = fds[1], .stderr_fd = fds[1]});
    /* What the pipe takes is less than is worth giving back. */
    send_window(&rig, stream);
    expect_nothing_before_log(&rig);
    guest_send(&rig, WIRE_DATA, stream, "x", 1);
    expect_tampered();
    close(fds[0]);
    close(fds[1]);
}

static void output_one_byte_over_its_credit(void)
{
    one_byte_over(out_of(1));
}

static void errors_one_byte_over_their_credit(void)
{
    one_byte_over(wire_stream(1, WIRE_STDERR));
}

static void errors_of_a_terminal(void)
{
    own_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    start(&rig, (struct channel_exec){.exec = 1,
                                      .stdin_fd = -1,
                                      .stdout_fd = null,
                                      .stderr_fd = -1,
                                      .tty = true,
                                      .rows = 1,
                                      .cols = 1});
    guest_send(&rig, WIRE_DATA, wire_stream(1, WIRE_STDERR), "x", 1);
    expect_tampered();
}

static void tree_one_byte_over_its_cap(void)
{
    own_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    uint64_t left = RELAY_TREE_OVERHEAD + 1000 + 1, credit = WIRE_WINDOW;

    collect(&rig, null, 1000);
    while (left > 0) {
        uint32_t n = left < sizeof(junk) ? (uint32_t)left : (uint32_t)sizeof(junk);

        while (credit < n) {
            const uint8_t *p;
            struct wire_header h = guest_expect(&rig, WIRE_CREDIT, tree_stream, &p);
            uint32_t bytes;

            ck_assert_int_eq(wire_credit_parse(p, h.length, &bytes), 0);
            credit += bytes;
        }
        guest_send(&rig, WIRE_DATA, tree_stream, junk, n);
        credit -= n;
        left -= n;
    }
    expect_tampered();
}

/* ---- answers to what was asked --------------------------------------------------------------- */

static void ready_of_another_version(void)
{
    greet(&rig);
    send_ready(&rig, WIRE_VERSION - 1, rig.nonce);
    expect_tampered();
}

static void ready_of_a_later_version(void)
{
    greet(&rig);
    send_ready(&rig, WIRE_VERSION + 1, rig.nonce);
    expect_tampered();
}

static void ready_with_one_bit_of_the_nonce_wrong(void)
{
    greet(&rig);
    rig.nonce[WIRE_NONCE_SIZE - 1] ^= 1;
    send_ready(&rig, WIRE_VERSION, rig.nonce);
    expect_tampered();
}

static void ready_with_a_nonce_that_was_used(void)
{
    uint8_t old[WIRE_NONCE_SIZE];

    meet(&rig);
    memcpy(old, rig.nonce, sizeof(old));
    greet(&rig);
    send_ready(&rig, WIRE_VERSION, old);
    expect_tampered();
}

static void ready_where_parked_was_asked_for(void)
{
    greet_with(&rig, &(struct channel_hello){.park = true});
    send_answer(&rig, WIRE_READY, WIRE_VERSION, rig.nonce);
    expect_tampered();
}

static void parked_where_ready_was_asked_for(void)
{
    greet(&rig);
    send_answer(&rig, WIRE_PARKED, WIRE_VERSION, rig.nonce);
    expect_tampered();
}

static void ready_that_keeps_every_job(void)
{
    greet(&rig);
    send_kept(&rig, WIRE_READY, WIRE_VERSION, rig.nonce, WIRE_EXEC_ALL);
    expect_tampered();
}

static void ready_that_keeps_a_job_beyond_the_last(void)
{
    greet(&rig);
    send_kept(&rig, WIRE_READY, WIRE_VERSION, rig.nonce, 1u << WIRE_EXEC_MAX);
    expect_tampered();
}

/* Numbers of the guest's own, as large as they get: they come through as its word, and change
 * nothing. */
static void claims_of_all_ones_are_the_guests_word(void)
{
    own_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    const struct wire_exit claim = {
        .code = 255, .oom = ~0u, .cpu_us = UINT64_MAX, .peak_bytes = UINT64_MAX};
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

    reach(&rig, USING);
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

    meet(&rig);
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

    meet(&rig);
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
    meet(&rig);
    guest_raw(&rig, "LAZ1\4\0\0\0\0", 9);
    expect_lost();
}

static void end_in_a_payload(void)
{
    own_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct wire_header h = {.type = WIRE_DATA, .stream = out_of(1), .length = WIRE_PAYLOAD_MAX};
    uint8_t raw[WIRE_HEADER_SIZE];

    meet(&rig);
    start(&rig,
          (struct channel_exec){.exec = 1, .stdin_fd = -1, .stdout_fd = null, .stderr_fd = null});
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

    meet(&rig);
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

/* ---- console --------------------------------------------------------------------------------- */

static void escapes_without_end(void)
{
    memset(junk, '\033', sizeof(junk));
    for (int i = 0; i < 1024; i++)
        (void)!send(rig.console, junk, sizeof(junk), MSG_NOSIGNAL);
}

/* The log is cut where it must be, the console drained, and the channel goes on. */
static void flood_of_the_console(void)
{
    flood(escapes_without_end);
    ck_assert_int_eq(waitpid(-1, NULL, 0) > 0, 1); /* all 64 MiB were taken */
    meet(&rig);
    expect_nothing_before_log(&rig);
}

static void console_of_every_byte(void)
{
    char text[2048] = "";
    size_t n = 0;

    for (unsigned b = 0; b < 256; b++)
        ck_assert_int_eq(send(rig.console, &(uint8_t){(uint8_t)b}, 1, 0), 1);
    ck_assert_int_eq(send(rig.console, "end\n", 4, 0), 4);
    while (!strstr(text, "end\n") && n < sizeof(text) - 1) {
        ssize_t got = read(rig.log, text + n, sizeof(text) - 1 - n);

        ck_assert_int_gt(got, 0);
        n += (size_t)got;
    }
    for (size_t i = 0; i < n; i++)
        ck_assert((text[i] >= 0x20 && text[i] < 0x7f) || text[i] == '\n' || text[i] == '\t');
}

/* ---- the rows -------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*go)(void);
    enum stage stage; /* where it begins */
} rows[] = {
#define ROW(name, stage)                                                                           \
    {                                                                                              \
#name, name, stage                                                                         \
    }
    ROW(flood_of_the_smallest_frames, READY),
    ROW(flood_of_log_that_is_all_escapes, READY),
    ROW(flood_of_the_smallest_output, READY),
    ROW(flood_of_the_largest_frames_within_credit, READY),
    ROW(flood_of_every_stream_at_once, READY),
    ROW(flood_of_a_stream_that_is_closed, READY),
    ROW(flood_of_a_job_that_never_was, READY),
    ROW(flood_of_denials, READY),
    ROW(denials_in_falling_order, READY),
    ROW(jobs_that_never_start, READY),
    ROW(output_one_byte_over_its_credit, READY),
    ROW(errors_one_byte_over_their_credit, READY),
    ROW(errors_of_a_terminal, READY),
    ROW(tree_one_byte_over_its_cap, READY),
    ROW(ready_of_another_version, UNMET),
    ROW(ready_of_a_later_version, UNMET),
    ROW(ready_with_one_bit_of_the_nonce_wrong, UNMET),
    ROW(ready_with_a_nonce_that_was_used, UNMET),
    ROW(ready_where_parked_was_asked_for, UNMET),
    ROW(parked_where_ready_was_asked_for, UNMET),
    ROW(ready_that_keeps_every_job, UNMET),
    ROW(ready_that_keeps_a_job_beyond_the_last, UNMET),
    ROW(claims_of_all_ones_are_the_guests_word, UNMET),
    ROW(used_that_comes_twice, UNMET),
    ROW(half_a_header_and_silence, UNMET),
    ROW(half_a_payload_and_silence, UNMET),
    ROW(end_in_a_header, UNMET),
    ROW(end_in_a_payload, UNMET),
    ROW(a_guest_that_never_reads, UNMET),
    ROW(flood_of_the_console, UNMET),
    ROW(console_of_every_byte, UNMET),
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

static void tell(int row)
{
    size_t fds = rows_count_fds();
    long mine, relays;
    pid_t relay;

    rig_open(&rig, 60000);
    reach(&rig, rows[row].stage);
    relay = channel_relay_pid(rig.ch);
    mine = rows_watch(getpid());
    relays = rows_watch(relay);
    rows[row].go();
    rows_check_peak(relay, relays, "the relay");
    rows_check_peak(getpid(), mine, "the keeper");
    rig_close(&rig);
    while (waitpid(-1, NULL, 0) > 0) /* whoever flooded has nobody to write to any more */
        ;
    rows_check_children(mine > relays ? mine : relays);
    rows_check_clean(fds);
}

int main(void)
{
    TCase *tc = tcase_create("floods");

    for (size_t i = 0; i < COUNT(rows); i++)
        rows_add(tc, rows[i].name, tell, (int)i);
    return suite_run("floods", tc);
}
