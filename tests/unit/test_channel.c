/* test_channel: promises of the boundary's host end: what a guest may say, and what comes of it. */
#include "tests/unit/relay_stage.h"

#include <signal.h>

/* ---- what is illegal ------------------------------------------------------------------------- */

static const struct {
    enum stage stage;
    uint16_t type;
    uint32_t stream, length;
    uint8_t fill; /* of the payload */
} illegal[] = {
    {UNMET, WIRE_READY, 0, WIRE_READY_SIZE, 0},
    {UNMET, WIRE_PARKED, 0, WIRE_READY_SIZE, 0},
    {UNMET, WIRE_STARTED, CONTROL(1), 0, 0},
    {PARKING, WIRE_PARKED, 0, WIRE_READY_SIZE, 0}, /* not our version and nonce */
    {PARKING, WIRE_PARKED, CONTROL(1), WIRE_READY_SIZE, 0},
    {PARKING, WIRE_PARKED, 0, WIRE_READY_SIZE - 1, 0},
    {PARKING, WIRE_PARKED, 0, WIRE_READY_SIZE + 1, 0},
    {PARKED, WIRE_PARKED, 0, WIRE_READY_SIZE, 0}, /* twice */
    {PARKED, WIRE_READY, 0, WIRE_READY_SIZE, 0},  /* nobody asked */
    {PARKED, WIRE_STARTED, CONTROL(1), 0, 0},
    {PARKED, WIRE_DATA, STREAM(0, WIRE_TREE), 1, 0},
    {READY, WIRE_PARKED, 0, WIRE_READY_SIZE, 0},
    {UNMET, WIRE_DATA, STREAM(0, WIRE_TREE), 1, 0},
    {GREETED, WIRE_HELLO, 0, WIRE_HELLO_SIZE, 0}, /* the host's own frames, turned round */
    {READY, WIRE_EXEC, CONTROL(1), WIRE_EXEC_SIZE, 0},
    {READY, WIRE_CONFIG, CONTROL(1), 2, '{'},
    {RUNNING, WIRE_EOF, STREAM(1, WIRE_STDIN), 0, 0},
    {RUNNING, WIRE_CLOSE, STREAM(1, WIRE_STDOUT), 0, 0},
    {RUNNING, WIRE_SIGNAL, CONTROL(1), 4, 1},
    {RUNNING, WIRE_RESIZE, CONTROL(1), 4, 1},
    {READY, WIRE_COLLECT, STREAM(0, WIRE_TREE), 8, 0},
    {GREETED, WIRE_READY, 0, WIRE_READY_SIZE - 1, 0},
    {GREETED, WIRE_READY, 0, WIRE_READY_SIZE + 1, 0},
    {GREETED, WIRE_READY, CONTROL(1), WIRE_READY_SIZE, 0},
    {FAILED, WIRE_FAILED, 0, 2, 'x'}, /* twice */
    {READY, WIRE_FAILED, 0, 2, 'x'},
    {READY, WIRE_READY, 0, WIRE_READY_SIZE, 0}, /* twice */
    {READY, WIRE_LOG, 0, 0, 0},
    {READY, WIRE_LOG, 0, WIRE_TEXT_MAX + 1, 'x'},
    {READY, WIRE_LOG, CONTROL(1), 1, 'x'},
    {READY, WIRE_LOG, STREAM(0, WIRE_STDOUT), 1, 'x'},
    {READY, WIRE_STARTED, CONTROL(1), 0, 0}, /* nobody asked */
    {READY, WIRE_STARTED, 0, 0, 0},
    {READY, WIRE_UNSTARTED, CONTROL(1), 4, 1},
    {READY, WIRE_EXIT, CONTROL(1), WIRE_EXIT_SIZE, 0},
    {READY, WIRE_DATA, STREAM(1, WIRE_STDOUT), 1, 0},
    {READY, WIRE_COLLECTED, STREAM(0, WIRE_TREE), 4, 0},
    {READY, WIRE_DATA, STREAM(0, WIRE_STDOUT), 1, 0},
    {ASKED, WIRE_DATA, STREAM(1, WIRE_STDOUT), 1, 0}, /* output before STARTED */
    {ASKED, WIRE_EXIT, CONTROL(1), WIRE_EXIT_SIZE, 0},
    {ASKED, WIRE_STARTED, CONTROL(2), 0, 0}, /* another job */
    {ASKED, WIRE_STARTED, CONTROL(1), 1, 0},
    {ASKED, WIRE_UNSTARTED, CONTROL(1), 4, 0}, /* why 0 */
    {ASKED, WIRE_UNSTARTED, CONTROL(1), 5 + WIRE_TEXT_MAX, 1},
    {RUNNING, WIRE_STARTED, CONTROL(1), 0, 0}, /* twice */
    {RUNNING, WIRE_UNSTARTED, CONTROL(1), 4, 1},
    {RUNNING, WIRE_DATA, STREAM(1, WIRE_STDOUT), 0, 0},
    {RUNNING, WIRE_DATA, STREAM(1, WIRE_STDIN), 1, 0},
    {RUNNING, WIRE_DATA, STREAM(1, WIRE_TREE), 1, 0},
    {RUNNING, WIRE_DATA, CONTROL(1), 1, 0},
    {RUNNING, WIRE_DATA, STREAM(2, WIRE_STDOUT), 1, 0},
    {RUNNING, WIRE_DATA, STREAM(1, 7), 1, 0},
    {RUNNING, WIRE_DATA, STREAM(17, WIRE_STDOUT), 1, 0},
    {RUNNING, WIRE_DATA, STREAM(1, WIRE_STDOUT), WIRE_PAYLOAD_MAX + 1, 0},
    {RUNNING, WIRE_CREDIT, STREAM(1, WIRE_STDIN), 4, 1}, /* for what was never sent */
    {RUNNING, WIRE_CREDIT, STREAM(1, WIRE_STDOUT), 4, 1},
    {RUNNING, WIRE_EXIT, CONTROL(1), WIRE_EXIT_SIZE, 1}, /* numbers out of range */
    {RUNNING, WIRE_EXIT, CONTROL(1), WIRE_EXIT_SIZE - 1, 0},
    {RUNNING, 0, CONTROL(1), 0, 0},
    {RUNNING, WIRE_TYPE_END, CONTROL(1), 0, 0},
    {UNMET, WIRE_SYNCED, 0, 4, 0},
    {RUNNING, WIRE_SYNCED, 0, 4, 0}, /* nobody asked */
    {RUNNING, WIRE_SYNC, 0, 0, 0},
    {UNMET, WIRE_USED, 0, WIRE_USED_SIZE, 0},
    {READY, WIRE_USED, 0, WIRE_USED_SIZE, 0}, /* nobody asked */
    {READY, WIRE_USAGE, 0, 0, 0},
    {HELD, WIRE_USED, 0, WIRE_USED_SIZE, 0},
    {SYNCING, WIRE_SYNC, 0, 0, 0},
    {SYNCING, WIRE_SYNCED, CONTROL(1), 4, 0},
    {SYNCING, WIRE_SYNCED, 0, 4, 2}, /* how is out of range */
    {SYNCING, WIRE_SYNCED, 0, 0, 0},
    {SYNCING, WIRE_READY, 0, WIRE_READY_SIZE, 0},
    {HELD, WIRE_SYNCED, 0, 4, 0}, /* twice */
    {HELD, WIRE_RESUME, 0, 0, 0},
    {HELD, WIRE_LOG, 0, 1, 'x'}, /* silence is promised */
    {HELD, WIRE_DATA, STREAM(1, WIRE_STDOUT), 1, 0},
    {HELD, WIRE_EXIT, CONTROL(1), WIRE_EXIT_SIZE, 0},
    {EXITED, WIRE_EXIT, CONTROL(1), WIRE_EXIT_SIZE, 0}, /* twice */
    {EXITED, WIRE_DATA, STREAM(1, WIRE_STDOUT), 1, 0},  /* after the end */
    {EXITED, WIRE_CREDIT, STREAM(1, WIRE_STDIN), 4, 0},
    {EXITED, WIRE_STARTED, CONTROL(1), 0, 0},
    {COLLECTING, WIRE_COLLECTED, STREAM(0, WIRE_TREE), 4, 3}, /* how is out of range */
    {COLLECTING, WIRE_COLLECTED, STREAM(1, WIRE_TREE), 4, 0},
    {COLLECTING, WIRE_COLLECTED, 0, 4, 0},
    {COLLECTED, WIRE_COLLECTED, STREAM(0, WIRE_TREE), 4, 0}, /* twice */
    {COLLECTED, WIRE_DATA, STREAM(0, WIRE_TREE), 1, 0},
};

static void check_illegal(size_t from, size_t to)
{
    static uint8_t payload[WIRE_PAYLOAD_MAX + 1];
    struct channel_event ev;

    for (size_t i = from; i < to; i++) {
        rig_open(&rig, 0);
        reach(&rig, illegal[i].stage);
        memset(payload, illegal[i].fill, sizeof(payload));
        guest_send(&rig, illegal[i].type, illegal[i].stream, payload, illegal[i].length);
        while (channel_next(rig.ch, &ev) == 0)
            wait_readable(channel_fd(rig.ch));
        ck_assert_msg(ev.type == CHANNEL_TAMPERED, "row %zu: event %d %s", i, ev.type, ev.text);
        ck_assert_uint_gt(strlen(ev.text), 0);
        ck_assert_int_eq(channel_next(rig.ch, &ev), 0);
        rig_close(&rig);
    }
}

/* Two halves, because each row starts a relay and each test has its own time limit. */
#define N_ILLEGAL (sizeof(illegal) / sizeof(illegal[0]))

START_TEST(every_illegal_frame_is_tampering)
{
    check_illegal(0, N_ILLEGAL / 2);
}
END_TEST

START_TEST(every_illegal_frame_is_tampering_second_half)
{
    check_illegal(N_ILLEGAL / 2, N_ILLEGAL);
}
END_TEST

START_TEST(what_is_not_a_frame_is_tampering)
{
    static const uint8_t raws[][WIRE_HEADER_SIZE] = {
        "HTTP/1.1 200 OK",
        {0x4c, 0x41, 0x5a, 0x32, WIRE_LOG, 0},       /* the magic of another version */
        {0x4c, 0x41, 0x5a, 0x31, WIRE_LOG, 0, 1, 0}, /* zero is not */
        {0x4c, 0x41, 0x5a, 0x31, WIRE_LOG, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff},
    };

    for (size_t i = 0; i < sizeof(raws) / sizeof(raws[0]); i++) {
        rig_open(&rig, 0);
        guest_raw(&rig, raws[i], sizeof(raws[i]));
        expect_event(&rig, CHANNEL_TAMPERED);
        rig_close(&rig);
    }
}
END_TEST

START_TEST(ready_must_have_our_nonce_and_version)
{
    for (int i = 0; i < 2; i++) {
        rig_open(&rig, 0);
        greet(&rig);
        if (i == 0)
            rig.nonce[15] ^= 1;
        send_ready(&rig, i == 1 ? WIRE_VERSION + 1 : WIRE_VERSION, rig.nonce);
        expect_event(&rig, CHANNEL_TAMPERED);
        rig_close(&rig);
    }
}
END_TEST

START_TEST(the_answer_must_be_to_what_was_asked)
{
    rig_open(&rig, 0);
    greet_with(&rig, &(struct channel_hello){.park = true});
    send_answer(&rig, WIRE_READY, WIRE_VERSION, rig.nonce);
    expect_event(&rig, CHANNEL_TAMPERED);
    rig_close(&rig);
    rig_open(&rig, 0);
    greet(&rig);
    send_answer(&rig, WIRE_PARKED, WIRE_VERSION, rig.nonce);
    expect_event(&rig, CHANNEL_TAMPERED);
    rig_close(&rig);
}
END_TEST

START_TEST(hello_says_whose_run_it_is_and_is_new_each_time)
{
    struct wire_hello parked, one, two;

    rig_open(&rig, 0);
    parked = greet_with(&rig, &(struct channel_hello){.park = true});
    ck_assert_uint_eq(parked.flags, WIRE_HELLO_PARK);
    send_answer(&rig, WIRE_PARKED, WIRE_VERSION, rig.nonce);
    expect_event(&rig, CHANNEL_PARKED);
    one = greet_with(&rig, &(struct channel_hello){.input = true, .uid = 7, .gid = 8});
    ck_assert_uint_eq(one.flags, WIRE_HELLO_INPUT);
    ck_assert_uint_eq(one.uid, 7);
    ck_assert_uint_eq(one.gid, 8);
    ck_assert_mem_ne(one.seed, parked.seed, WIRE_SEED_SIZE);
    ck_assert_mem_ne(one.nonce, parked.nonce, WIRE_NONCE_SIZE);
    send_ready(&rig, WIRE_VERSION, rig.nonce);
    expect_event(&rig, CHANNEL_READY);
    two = greet_with(&rig, &(struct channel_hello){.uid = 7, .gid = 8});
    ck_assert_uint_eq(two.flags, 0);
    ck_assert_mem_ne(two.seed, one.seed, WIRE_SEED_SIZE);
    rig_close(&rig);
}
END_TEST

START_TEST(an_old_ready_does_not_answer_a_new_hello)
{
    uint8_t old[WIRE_NONCE_SIZE];

    rig_open(&rig, 0);
    meet(&rig);
    memcpy(old, rig.nonce, sizeof(old));
    greet(&rig);
    ck_assert_mem_ne(old, rig.nonce, sizeof(old));
    send_ready(&rig, WIRE_VERSION, old);
    expect_event(&rig, CHANNEL_TAMPERED);
    rig_close(&rig);
}
END_TEST

START_TEST(more_data_than_credit_is_tampering)
{
    int pipefd[2];

    ck_assert_int_eq(pipe2(pipefd, O_CLOEXEC), 0);
    rig_open(&rig, 0);
    meet(&rig);
    start(&rig, (struct channel_exec){
                    .exec = 1, .stdin_fd = -1, .stdout_fd = pipefd[1], .stderr_fd = pipefd[1]});
    send_window(&rig, out_of(1));
    expect_nothing_before_log(&rig);
    /* The pipe took its part; a whole window on top is more than was given back. */
    send_window(&rig, out_of(1));
    expect_event(&rig, CHANNEL_TAMPERED);
    rig_close(&rig);
}
END_TEST

START_TEST(a_flood_of_log_is_tampering)
{
    struct channel_event ev;
    uint32_t logged = 0;

    rig_open(&rig, 0);
    memset(junk, 'x', sizeof(junk));
    for (uint32_t sent = 0; sent <= WIRE_LOG_TOTAL; sent += WIRE_TEXT_MAX)
        guest_send(&rig, WIRE_LOG, 0, junk, WIRE_TEXT_MAX);
    for (;;) {
        while (channel_next(rig.ch, &ev) == 0)
            wait_readable(channel_fd(rig.ch));
        if (ev.type != CHANNEL_LOG)
            break;
        logged += WIRE_TEXT_MAX;
    }
    ck_assert_int_eq(ev.type, CHANNEL_TAMPERED);
    ck_assert_uint_eq(logged, WIRE_LOG_TOTAL);
    rig_close(&rig);
}
END_TEST

START_TEST(a_tree_beyond_its_cap_is_tampering)
{
    own_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    const uint32_t tree = wire_stream(0, WIRE_TREE);
    uint64_t left = RELAY_TREE_OVERHEAD + 1000 + 1;
    uint64_t credit = WIRE_WINDOW;

    rig_open(&rig, 0);
    meet(&rig);
    collect(&rig, null, 1000);
    while (left > 0) {
        uint32_t n = left < sizeof(junk) ? (uint32_t)left : sizeof(junk);

        take_credit(&rig, tree, &credit, n);
        if (n == left) /* all but the last byte is legal */
            expect_nothing_before_log(&rig);
        guest_send(&rig, WIRE_DATA, tree, junk, n);
        credit -= n;
        left -= n;
    }
    expect_event(&rig, CHANNEL_TAMPERED);
    rig_close(&rig);
}
END_TEST

START_TEST(a_terminal_has_no_stderr)
{
    own_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    rig_open(&rig, 0);
    meet(&rig);
    start(&rig, (struct channel_exec){.exec = 1,
                                      .stdin_fd = -1,
                                      .stdout_fd = null,
                                      .stderr_fd = -1,
                                      .tty = true,
                                      .rows = 24,
                                      .cols = 80});
    guest_send(&rig, WIRE_DATA, wire_stream(1, WIRE_STDERR), "x", 1);
    expect_event(&rig, CHANNEL_TAMPERED);
    rig_close(&rig);
}
END_TEST

/* ---- jobs ------------------------------------------------------------------------------------ */

START_TEST(jobs_run_side_by_side_and_their_numbers_come_back)
{
    own_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct channel_exec x = {.stdin_fd = -1, .stdout_fd = null, .stderr_fd = null};

    rig_open(&rig, 0);
    meet(&rig);
    for (int round = 0; round < 2; round++) {
        for (x.exec = 1; x.exec <= WIRE_EXEC_MAX; x.exec++)
            start(&rig, x);
        for (uint32_t n = WIRE_EXEC_MAX; n > 0; n--) {
            x.exec = n;
            x.config_fd = null;
            ck_assert_int_eq(channel_exec(rig.ch, &x, &rig_err), -1); /* still taken */
            guest_send(&rig, WIRE_DATA, out_of(n), "x", 1);
            send_exit(&rig, n, n);
            ck_assert_uint_eq(expect_event(&rig, CHANNEL_EXIT).exit.code, n);
        }
    }
    rig_close(&rig);
}
END_TEST

START_TEST(a_signal_waits_for_the_start_and_is_dropped_after_the_end)
{
    own_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct channel_exec x = {.exec = 1,
                             .stdin_fd = -1,
                             .stdout_fd = null,
                             .stderr_fd = -1,
                             .tty = true,
                             .rows = 24,
                             .cols = 80};
    const uint8_t *p;
    struct wire_header h;
    uint32_t signo;
    uint16_t rows, cols;

    rig_open(&rig, 0);
    meet(&rig);
    ask(&rig, x);
    ck_ok(channel_signal(rig.ch, 1, SIGTERM, &rig_err));
    ck_ok(channel_resize(rig.ch, 1, 50, 132, &rig_err));
    expect_nothing_before_log(&rig);
    guest_send(&rig, WIRE_STARTED, CONTROL(1u), NULL, 0);
    h = guest_expect(&rig, WIRE_SIGNAL, CONTROL(1u), &p);
    ck_assert_int_eq(wire_signal_parse(p, h.length, &signo), 0);
    ck_assert_uint_eq(signo, SIGTERM);
    h = guest_expect(&rig, WIRE_RESIZE, CONTROL(1u), &p);
    ck_assert_int_eq(wire_resize_parse(p, h.length, &rows, &cols), 0);
    ck_assert_uint_eq(rows, 50);
    ck_assert_uint_eq(cols, 132);
    send_exit(&rig, 1, 0);
    expect_event(&rig, CHANNEL_STARTED);
    ck_ok(channel_signal(rig.ch, 1, SIGTERM, &rig_err)); /* the keeper has not seen EXIT yet */
    expect_event(&rig, CHANNEL_EXIT);
    ck_ok(channel_signal(rig.ch, 1, SIGTERM, &rig_err));
    greet(&rig); /* HELLO comes next: no SIGNAL went out */
    rig_close(&rig);
}
END_TEST

START_TEST(a_job_that_does_not_start_says_why_in_plain_text)
{
    own_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct channel_event ev;

    rig_open(&rig, 0);
    meet(&rig);
    ask(&rig,
        (struct channel_exec){.exec = 2, .stdin_fd = -1, .stdout_fd = null, .stderr_fd = null});
    guest_send(&rig, WIRE_UNSTARTED, CONTROL(2u), "\1\0\0\0no \033[2Jsuch", 14);
    ev = expect_event(&rig, CHANNEL_UNSTARTED);
    ck_assert_uint_eq(ev.exec, 2);
    ck_assert_uint_eq(ev.why, WIRE_WHY_NOT_FOUND);
    ck_assert_str_eq(ev.text, "no \\x1b[2Jsuc");
    rig_close(&rig);
}
END_TEST

START_TEST(a_tree_goes_to_the_spool_whole)
{
    own_close int spool = memfd_create("spool", MFD_CLOEXEC);
    struct channel_event ev;
    char got[8] = "";

    rig_open(&rig, 0);
    meet(&rig);
    for (int round = 1; round <= 2; round++) {
        collect(&rig, spool, 1000);
        guest_send(&rig, WIRE_DATA, wire_stream(0, WIRE_TREE), "a\0b", 3);
        send_collected(&rig, WIRE_COLLECT_OVER);
        ev = expect_event(&rig, CHANNEL_COLLECTED);
        ck_assert_uint_eq(ev.bytes, 3);
        ck_assert_uint_eq(ev.how, WIRE_COLLECT_OVER);
        ck_assert_int_eq(pread(spool, got, sizeof(got), 0), 3 * round);
        ck_assert_mem_eq(got, "a\0ba\0b", 3 * (size_t)round);
    }
    rig_close(&rig);
}
END_TEST

SUITE("channel", every_illegal_frame_is_tampering, every_illegal_frame_is_tampering_second_half,
      what_is_not_a_frame_is_tampering, ready_must_have_our_nonce_and_version,
      the_answer_must_be_to_what_was_asked, hello_says_whose_run_it_is_and_is_new_each_time,
      an_old_ready_does_not_answer_a_new_hello, more_data_than_credit_is_tampering,
      a_flood_of_log_is_tampering, a_tree_beyond_its_cap_is_tampering, a_terminal_has_no_stderr,
      jobs_run_side_by_side_and_their_numbers_come_back,
      a_signal_waits_for_the_start_and_is_dropped_after_the_end,
      a_job_that_does_not_start_says_why_in_plain_text, a_tree_goes_to_the_spool_whole)
