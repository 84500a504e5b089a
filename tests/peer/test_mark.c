/* test_mark: promises of the guest agent about being saved alive and met again. */
#include "agent/boot.h"
#include "agent/exec.h"
#include "tests/peer/peer.h"
#include "tests/unit/suite.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define STDOUT1 wire_stream(1, WIRE_STDOUT)
#define STDIN2  wire_stream(2, WIRE_STDIN)

/* Writes a little for ever. */
#define TICKING "sh\n-c\nwhile echo tick; do sleep 0.01; done"

START_TEST(from_synced_to_resume_the_guest_says_nothing)
{
    struct peer pe;
    static struct peer_frame f;
    bool ticked = false, ended = false;
    char go[80], wait[160];

    peer_open(&pe, NULL);
    peer_meet(&pe);
    (void)snprintf(go, sizeof(go), "%s/go", pe.dir);
    (void)snprintf(wait, sizeof(wait), "sh\n-c\nuntil rm %s 2>&-; do sleep 0.01; done", go);
    peer_exec(&pe, 1, 0, TICKING);
    peer_expect(&pe, WIRE_STARTED, &f);
    for (int round = 0; round < 2; round++) {
        peer_exec(&pe, 2, 0, wait);
        do
            ck_assert(peer_next(&pe, &f, PEER_WAIT_MS));
        while (f.h.type != WIRE_STARTED);
        ck_assert_uint_eq(peer_sync(&pe), WIRE_SYNC_DONE);
        ck_assert_int_eq(peer_frozen(&pe), '1');
        /* Not by this machine's kernel: the second job ends now. */
        ck_assert_int_eq(symlink("/", go), 0);
        ck_assert(!peer_next(&pe, &f, 300));
        peer_send(&pe, WIRE_RESUME, 0, NULL, 0);
        ck_assert(peer_next(&pe, &f, PEER_WAIT_MS));
        ck_assert_int_eq(peer_frozen(&pe), '0');
        for (ticked = ended = false; !ticked || !ended;) {
            ck_assert(peer_next(&pe, &f, PEER_WAIT_MS));
            ticked = ticked || (f.h.type == WIRE_DATA && f.h.stream == STDOUT1);
            ended = ended || (f.h.type == WIRE_EXIT && wire_stream_exec(f.h.stream) == 2);
        }
    }
    peer_close(&pe);
}
END_TEST

START_TEST(a_disk_that_cannot_be_written_is_told)
{
    struct peer pe;
    char path[128];

    peer_open(&pe, NULL);
    peer_meet(&pe);
    (void)snprintf(path, sizeof(path), "%s/scratch", pe.dir);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_uint_eq(peer_sync(&pe), WIRE_SYNC_ERROR);
    ck_assert_int_eq(symlink("/dev", path), 0);
    peer_send(&pe, WIRE_RESUME, 0, NULL, 0);
    ck_assert_uint_eq(peer_sync(&pe), WIRE_SYNC_DONE);
    peer_close(&pe);
}
END_TEST

START_TEST(jobs_that_cannot_be_stopped_are_told)
{
    struct peer pe;
    char path[128];

    peer_open(&pe, NULL);
    peer_meet(&pe);
    (void)snprintf(path, sizeof(path), "%s/cgroup/cgroup.freeze", pe.dir);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_uint_eq(peer_sync(&pe), WIRE_SYNC_ERROR);
    peer_close(&pe);
}
END_TEST

START_TEST(hello_ends_a_hold)
{
    struct peer pe;
    static struct peer_frame f;
    struct wire_exit ex;
    char out[64];

    peer_open(&pe, NULL);
    peer_meet(&pe);
    peer_exec(&pe, 1, 0, TICKING);
    peer_expect(&pe, WIRE_STARTED, &f);
    ck_assert_uint_eq(peer_sync(&pe), WIRE_SYNC_DONE);
    ck_assert_int_eq(peer_frozen(&pe), '1');
    peer_meet(&pe);
    ck_assert_int_eq(peer_frozen(&pe), '0');
    peer_exec(&pe, 1, 0, "echo\nnew");
    peer_expect(&pe, WIRE_STARTED, &f);
    ck_assert_uint_eq(peer_finish(&pe, 1, out, sizeof(out), &ex), 4);
    peer_close(&pe);
}
END_TEST

/* Up to a frame of this type, of this exec. */
static void skip_to(struct peer *pe, uint16_t type, uint32_t exec, struct peer_frame *ret)
{
    do
        ck_assert_msg(peer_next(pe, ret, PEER_WAIT_MS), "no %s came", wire_type_name(type));
    while (ret->h.type != type || wire_stream_exec(ret->h.stream) != exec);
}

static void run(struct peer *pe, uint32_t exec, uint32_t flags, const char *command)
{
    static struct peer_frame f;

    peer_exec(pe, exec, flags, command);
    skip_to(pe, WIRE_STARTED, exec, &f);
}

START_TEST(the_jobs_that_are_asked_for_go_on_and_the_others_end)
{
    struct peer pe;
    static struct peer_frame f;
    struct wire_exit ex;
    uint8_t raw[4];

    peer_open(&pe, NULL);
    peer_meet(&pe);
    run(&pe, 1, 0, TICKING);
    run(&pe, 2, WIRE_EXEC_STDIN, "cat");
    run(&pe, 3, 0, TICKING);
    run(&pe, 4, 0, "true");
    skip_to(&pe, WIRE_EXIT, 4, &f);
    ck_assert_uint_eq(peer_sync(&pe), WIRE_SYNC_DONE);
    ck_assert_uint_eq(peer_meet_again(&pe, 0x800b), 3); /* 4 has ended, 16 never was */
    ck_assert_int_eq(peer_frozen(&pe), '0');
    skip_to(&pe, WIRE_EXIT, 2, &f); /* its stdin is over */
    ck_assert_int_eq(wire_exit_parse(f.p, f.h.length, &ex), 0);
    ck_assert_uint_eq(ex.signaled | ex.code, 0);
    skip_to(&pe, WIRE_DATA, 1, &f);
    wire_u32_format(raw, SIGTERM);
    peer_send(&pe, WIRE_SIGNAL, wire_stream(1, WIRE_CONTROL), raw, sizeof(raw));
    skip_to(&pe, WIRE_EXIT, 1, &f);
    ck_assert_int_eq(wire_exit_parse(f.p, f.h.length, &ex), 0);
    ck_assert_uint_eq(ex.code, SIGTERM);
    peer_expect_free(&pe, 4);
    peer_close(&pe);
}
END_TEST

/* Takes DATA of STDOUT1 until `bytes` have come. */
static void take_output(struct peer *pe, size_t bytes)
{
    static struct peer_frame f;

    for (size_t n = 0; n < bytes; n += f.h.length) {
        peer_expect(pe, WIRE_DATA, &f);
        ck_assert_uint_eq(f.h.stream, STDOUT1);
        ck_assert_uint_le(f.h.length, bytes - n);
    }
}

START_TEST(a_kept_job_has_a_whole_window_again)
{
    struct peer pe;
    static struct peer_frame f;

    peer_open(&pe, NULL);
    peer_meet(&pe);
    run(&pe, 1, 0, "cat\n/dev/zero");
    take_output(&pe, WIRE_WINDOW);
    ck_assert_uint_eq(peer_sync(&pe), WIRE_SYNC_DONE);
    ck_assert_uint_eq(peer_meet_again(&pe, 1), 1);
    take_output(&pe, WIRE_WINDOW);
    ck_assert(!peer_next(&pe, &f, 100));
    peer_close(&pe);
}
END_TEST

START_TEST(what_a_kept_job_has_not_read_still_comes_and_no_credit_for_it)
{
    static const uint8_t bulk[18000];
    struct peer pe;
    static struct peer_frame f;
    char go[80], command[160];
    char out[16] = "";
    size_t n = 0;

    peer_open(&pe, NULL);
    peer_meet(&pe);
    (void)snprintf(go, sizeof(go), "%s/go", pe.dir);
    (void)snprintf(command, sizeof(command), "sh\n-c\nuntil rm %s 2>&-; do sleep 0.01; done; wc -c",
                   go);
    run(&pe, 2, WIRE_EXEC_STDIN, command);
    for (int i = 0; i < 5; i++) /* less than credit, more than a pipe holds */
        peer_send(&pe, WIRE_DATA, STDIN2, bulk, sizeof(bulk));
    ck_assert_uint_eq(peer_sync(&pe), WIRE_SYNC_DONE);
    ck_assert_uint_eq(peer_meet_again(&pe, 2), 2);
    ck_assert_int_eq(symlink("/", go), 0);
    for (;;) {
        ck_assert(peer_next(&pe, &f, PEER_WAIT_MS));
        if (f.h.type == WIRE_EXIT)
            break;
        ck_assert_str_eq(wire_type_name(f.h.type), "DATA");
        ck_assert_uint_lt(f.h.length, sizeof(out) - n);
        memcpy(out + n, f.p, f.h.length);
        n += f.h.length;
    }
    ck_assert_str_eq(out, "90000\n");
    peer_close(&pe);
}
END_TEST

START_TEST(a_kept_jobs_terminal_stays_silent)
{
    struct peer pe;
    static struct peer_frame f;
    uint8_t raw[4];

    peer_open(&pe, NULL);
    peer_meet(&pe);
    run(&pe, 1, WIRE_EXEC_TTY | WIRE_EXEC_STDIN, "sh\n-c\nstty -echo; echo go; cat; echo end");
    skip_to(&pe, WIRE_DATA, 1, &f);
    ck_assert_uint_eq(peer_sync(&pe), WIRE_SYNC_DONE);
    ck_assert_uint_eq(peer_meet_again(&pe, 1), 1);
    ck_assert(!peer_next(&pe, &f, 300)); /* neither an end of the input nor a hang-up */
    wire_u32_format(raw, SIGINT);
    peer_send(&pe, WIRE_SIGNAL, wire_stream(1, WIRE_CONTROL), raw, sizeof(raw));
    skip_to(&pe, WIRE_EXIT, 1, &f);
    peer_close(&pe);
}
END_TEST

enum crime { KEEP_UNHELD, KEEP_WHEN_PARKING, INPUT_FOR_A_KEPT_JOB, CRIMES };

START_TEST(what_another_host_end_may_not_do_ends_the_session)
{
    struct peer pe;
    uint8_t raw[WIRE_HELLO_SIZE];

    for (enum crime crime = 0; crime < CRIMES; crime++) {
        const struct wire_hello hello = {.version = WIRE_VERSION,
                                         .flags = crime == KEEP_WHEN_PARKING ? WIRE_HELLO_PARK : 0,
                                         .uid = PEER_UID,
                                         .keep = 1};

        peer_open(&pe, NULL);
        peer_meet(&pe);
        run(&pe, 1, WIRE_EXEC_STDIN, "sleep\n1000");
        if (crime != KEEP_UNHELD)
            ck_assert_uint_eq(peer_sync(&pe), WIRE_SYNC_DONE);
        wire_hello_format(raw, &hello);
        if (crime == INPUT_FOR_A_KEPT_JOB) {
            ck_assert_uint_eq(peer_meet_again(&pe, 1), 1);
            peer_send(&pe, WIRE_DATA, wire_stream(1, WIRE_STDIN), "x", 1);
        } else {
            peer_send(&pe, WIRE_HELLO, 0, raw, sizeof(raw));
        }
        ck_assert_msg(peer_wait(&pe) == PEER_PROTOCOL, "crime %d", crime);
        peer_close(&pe);
    }
}
END_TEST

/* A host that was asleep, or a clock that ran on while the guest stood still. */
START_TEST(a_gap_in_the_clock_fires_no_deadline)
{
    static const struct container_paths none = {.runtime_fd = -1, .state = "", .cgroup = ""};
    static struct outbox outbox;
    static struct exec x;
    struct pollfd fds[EXEC_SLOTS];

    for (int rearmed = 0; rearmed < 2; rearmed++) {
        exec_init(&x, 1, &none, &(struct audit){.fd = -1}, &(struct secrets_config){.dir = ""},
                  NULL);
        outbox_init(&outbox, WIRE_MAGIC);
        x.state = WIRE_IN_STARTING;
        x.deadline_ms = 1; /* long ago */
        if (rearmed)
            exec_rearm(&x);
        ck_assert_int_eq(exec_deadline(&x) > boot_now_ms(), rearmed);
        exec_fill(&x, true, fds);
        exec_pump(&x, fds, &outbox);
        ck_assert_int_eq(outbox.end == 0, rearmed); /* else UNSTARTED */
    }
}
END_TEST

SUITE("mark", from_synced_to_resume_the_guest_says_nothing, a_disk_that_cannot_be_written_is_told,
      jobs_that_cannot_be_stopped_are_told, hello_ends_a_hold,
      the_jobs_that_are_asked_for_go_on_and_the_others_end, a_kept_job_has_a_whole_window_again,
      what_a_kept_job_has_not_read_still_comes_and_no_credit_for_it,
      a_kept_jobs_terminal_stays_silent, what_another_host_end_may_not_do_ends_the_session,
      a_gap_in_the_clock_fires_no_deadline)
