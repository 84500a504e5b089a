/*
 * test_floods: lies that take many frames: floods, credit that was not given, consoles. Against the
 * real relay; single frames are in test_frames.c.
 *
 * Each row must end as it says, and neither the relay nor the keeper may at its peak have taken 4
 * MiB more than before, whatever was sent.
 */
#include "tests/hostile/relay_rows.h"

#include <signal.h>

static const uint32_t tree_stream = WIRE_TREE;

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
    flood(tiny_logs);
    expect_tampered_after(WIRE_LOG_TOTAL); /* as many as may be, and none more */
}

static void largest_logs(void)
{
    memset(junk, '\033', sizeof(junk));
    for (uint32_t i = 0; i <= WIRE_LOG_TOTAL / WIRE_TEXT_MAX; i++)
        guest_send(&rig, WIRE_LOG, 0, junk, WIRE_TEXT_MAX);
}

static void flood_of_log_that_is_all_escapes(void)
{
    flood(largest_logs);
    expect_tampered_after(WIRE_LOG_TOTAL / WIRE_TEXT_MAX);
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
    uint64_t left = 64u << 20, credit = WIRE_WINDOW;

    while (left > 0) {
        take_credit(&rig, out_of(1), &credit, WIRE_PAYLOAD_MAX);
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
    uint8_t raw[WIRE_DENIED_SIZE];

    for (uint32_t i = 0; i <= WIRE_DENIED_MAX; i++) {
        guest_send(
            &rig, WIRE_DENIED, CONTROL(1), raw,
            wire_denied_format(raw, &(struct wire_denied){WIRE_DENIED_CALL, i + 1, UINT64_MAX}));
    }
    for (uint32_t i = 0; i < WIRE_DENIED_MAX; i++)
        expect_event(&rig, CHANNEL_DENIED);
    expect_tampered();
}

/* A row may come again with twice its count, and once with a higher one. */
static void deny_again(uint64_t first, uint64_t second, uint64_t third)
{
    const uint64_t counts[] = {first, second, third};
    uint8_t raw[WIRE_DENIED_SIZE];
    size_t n = third ? 3 : 2;

    for (size_t i = 0; i < n; i++) {
        guest_send(&rig, WIRE_DENIED, CONTROL(1), raw,
                   wire_denied_format(raw, &(struct wire_denied){WIRE_DENIED_CALL, 1, counts[i]}));
    }
    for (size_t i = 0; i + 1 < n; i++)
        expect_event(&rig, CHANNEL_DENIED);
    expect_tampered();
}

static void denials_that_do_not_grow(void)
{
    deny_again(2, 2, 0);
}

static void denials_that_grow_a_little_twice(void)
{
    deny_again(2, 3, 4);
}

static void denials_that_come_after_the_last(void)
{
    deny_again(2, 3, 600);
}

static void see(uint32_t kind, uint32_t detail, uint64_t size, const char *path)
{
    const struct wire_seen m = {.kind = kind,
                                .detail = detail,
                                .size = size,
                                .path = (const uint8_t *)path,
                                .path_len = strlen(path)};
    uint8_t raw[WIRE_SEEN_HEAD + WIRE_PATH_MAX];

    guest_send(&rig, WIRE_SEEN, CONTROL(1), raw, (uint32_t)wire_seen_format(raw, &m));
}

/* As many rows as there may be, of the same file: they count all the same. */
static void flood_of_files(uint32_t kind, uint32_t max)
{
    for (uint32_t i = 0; i < max; i++) {
        see(kind, 0, 0, "/\033[2J");
        ck_assert_str_eq(expect_event(&rig, CHANNEL_SEEN).text, "/\\x1b[2J");
    }
    see(kind, 0, 0, "/a");
    expect_tampered();
}

static void flood_of_files_that_were_written(void)
{
    flood_of_files(WIRE_SEEN_WRITTEN, WIRE_SEEN_MAX);
}

static void flood_of_files_that_were_opened(void)
{
    own_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    start(&rig,
          (struct channel_exec){
              .exec = 1, .stdin_fd = -1, .stdout_fd = null, .stderr_fd = null, .learn = true});
    flood_of_files(WIRE_SEEN_OPENED, WIRE_SEEN_LEARN_MAX);
}

static void files_of_a_job_that_nobody_watches(void)
{
    own_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    start(&rig,
          (struct channel_exec){.exec = 1, .stdin_fd = -1, .stdout_fd = null, .stderr_fd = null});
    see(WIRE_SEEN_LOST, 0, 1, "");
    expect_tampered();
}

static void see_twice(uint32_t kind, uint32_t detail, uint64_t size)
{
    see(kind, detail, size, "");
    ck_assert_uint_eq(expect_event(&rig, CHANNEL_SEEN).seen.kind, kind);
    see(kind, detail, size, "");
    expect_tampered();
}

static void lost_files_that_come_twice(void)
{
    see_twice(WIRE_SEEN_LOST, 0, WIRE_BYTES_MAX);
}

static void blindness_that_comes_twice(void)
{
    see_twice(WIRE_SEEN_BLIND, 0, 0);
}

static void a_canary_that_is_touched_twice(void)
{
    see_twice(WIRE_SEEN_CANARY, 0, 0);
}

static void some_canary_that_is_touched_twice(void)
{
    see_twice(WIRE_SEEN_CANARY, WIRE_CANARY_SOME, 0);
}

static void a_canary_that_is_absent_twice(void)
{
    see_twice(WIRE_SEEN_NO_CANARY, 0, 0);
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

        take_credit(&rig, tree_stream, &credit, n);
        guest_send(&rig, WIRE_DATA, tree_stream, junk, n);
        credit -= n;
        left -= n;
    }
    expect_tampered();
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

static const struct relay_row rows[] = {
    ROW(flood_of_the_smallest_frames, READY),
    ROW(flood_of_log_that_is_all_escapes, READY),
    ROW(flood_of_the_smallest_output, READY),
    ROW(flood_of_the_largest_frames_within_credit, RUNNING),
    ROW(flood_of_every_stream_at_once, READY),
    ROW(flood_of_a_stream_that_is_closed, READY),
    ROW(flood_of_a_job_that_never_was, READY),
    ROW(flood_of_denials, RUNNING),
    ROW(denials_that_do_not_grow, RUNNING),
    ROW(denials_that_grow_a_little_twice, RUNNING),
    ROW(denials_that_come_after_the_last, RUNNING),
    ROW(flood_of_files_that_were_written, RUNNING),
    ROW(flood_of_files_that_were_opened, READY),
    ROW(files_of_a_job_that_nobody_watches, READY),
    ROW(lost_files_that_come_twice, RUNNING),
    ROW(blindness_that_comes_twice, RUNNING),
    ROW(a_canary_that_is_touched_twice, RUNNING),
    ROW(some_canary_that_is_touched_twice, RUNNING),
    ROW(a_canary_that_is_absent_twice, RUNNING),
    ROW(jobs_that_never_start, READY),
    ROW(output_one_byte_over_its_credit, READY),
    ROW(errors_one_byte_over_their_credit, READY),
    ROW(errors_of_a_terminal, READY),
    ROW(tree_one_byte_over_its_cap, READY),
    ROW(flood_of_the_console, UNMET),
    ROW(console_of_every_byte, UNMET),
};

int main(void)
{
    return relay_rows_run("floods", rows, COUNT(rows));
}
