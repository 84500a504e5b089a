/* test_agent: promises of the guest agent's session and jobs. */
#include "agent/outbox.h"
#include "shared/tree.h"
#include "tests/peer/peer.h"
#include "tests/unit/suite.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OUT_SIZE (1u << 16)
#define STDOUT1  wire_stream(1, WIRE_STDOUT)
#define STDIN1   wire_stream(1, WIRE_STDIN)
#define CONTROL1 wire_stream(1, WIRE_CONTROL)
#define TREE     wire_stream(0, WIRE_TREE)

START_TEST(answers_hello_with_its_nonce_after_the_resync)
{
    struct peer pe;
    struct peer_frame f;
    struct wire_ready m;
    char path[80];

    peer_open(&pe, NULL);
    for (uint8_t i = 1; i < 4; i++) {
        peer_hello(&pe, WIRE_VERSION, i);
        peer_expect(&pe, WIRE_READY, &f);
        ck_assert_int_eq(wire_ready_parse(f.p, f.h.length, &m), 0);
        ck_assert_uint_eq(m.nonce[0], i);
        ck_assert_uint_eq(m.nonce[WIRE_NONCE_SIZE - 1], i);
        (void)snprintf(path, sizeof(path), "%s/resync", pe.dir);
        ck_assert_int_eq(unlink(path), 0);
    }
    peer_close(&pe);
}
END_TEST

START_TEST(refuses_another_version_and_tells_a_failed_bring_up)
{
    struct peer pe;
    struct peer_frame f;

    peer_open(&pe, NULL);
    peer_hello(&pe, WIRE_VERSION + 1, 1);
    peer_expect(&pe, WIRE_FAILED, &f);
    peer_meet(&pe);
    peer_close(&pe);

    peer_open(&pe, "disk 'lz-root': no such device");
    peer_hello(&pe, WIRE_VERSION, 1);
    peer_expect(&pe, WIRE_FAILED, &f);
    ck_assert_uint_eq(f.h.length, 30);
    ck_assert_int_eq(memcmp(f.p, "disk 'lz-root': no such device", 30), 0);
    ck_assert_int_eq(peer_wait(&pe), PEER_TOLD);
    peer_close(&pe);
}
END_TEST

/* True once: the mark is taken away. */
static bool take_mark(const struct peer *pe, const char *name)
{
    char path[96];

    (void)snprintf(path, sizeof(path), "%s/%s", pe->dir, name);
    return unlink(path) == 0;
}

START_TEST(a_parked_guest_answers_parked_and_becomes_a_runs_with_the_next_hello)
{
    struct peer pe;
    struct peer_frame f;
    struct wire_ready m;

    peer_open(&pe, NULL);
    for (uint8_t i = 1; i < 3; i++) {
        peer_hello_with(&pe, WIRE_VERSION, i, WIRE_HELLO_PARK);
        peer_expect(&pe, WIRE_PARKED, &f);
        ck_assert_int_eq(wire_ready_parse(f.p, f.h.length, &m), 0);
        ck_assert_uint_eq(m.nonce[0], i);
        ck_assert(take_mark(&pe, "resync") && take_mark(&pe, "parked"));
        ck_assert(!take_mark(&pe, "arrived"));
    }
    peer_hello_with(&pe, WIRE_VERSION, 9, WIRE_HELLO_INPUT);
    peer_expect(&pe, WIRE_READY, &f);
    ck_assert(take_mark(&pe, "resync") && !take_mark(&pe, "parked"));
    peer_exec(&pe, 1, 0, "true");
    peer_expect(&pe, WIRE_STARTED, &f);
    peer_close(&pe);
}
END_TEST

START_TEST(a_guest_that_has_its_disks_cannot_be_parked)
{
    struct peer pe;
    struct peer_frame f;

    peer_open(&pe, NULL);
    peer_meet(&pe);
    peer_hello_with(&pe, WIRE_VERSION, 1, WIRE_HELLO_PARK);
    peer_expect(&pe, WIRE_FAILED, &f);
    ck_assert_int_eq(memcmp(f.p, "park: ", 6), 0);
    peer_close(&pe);
}
END_TEST

START_TEST(a_parked_guest_takes_nothing_but_hello)
{
    struct peer pe;
    struct peer_frame f;

    peer_open(&pe, NULL);
    peer_hello_with(&pe, WIRE_VERSION, 1, WIRE_HELLO_PARK);
    peer_expect(&pe, WIRE_PARKED, &f);
    peer_exec(&pe, 1, 0, "true");
    ck_assert_int_eq(peer_wait(&pe), PEER_PROTOCOL);
    peer_close(&pe);
}
END_TEST

START_TEST(tells_status_signal_and_commands_that_cannot_start_apart)
{
    static const struct {
        const char *command;
        uint32_t unstarted, signaled, code;
        const char *out;
    } rows[] = {
        {"true", 0, 0, 0, ""},
        {"sh\n-c\nexit 7", 0, 0, 7, ""},
        {"sh\n-c\nexit 137", 0, 0, 137, ""},
        {"sh\n-c\nkill -9 $$", 0, 1, SIGKILL, ""},
        {"sh\n-c\nkill -TERM $$", 0, 1, SIGTERM, ""},
        {"echo\na b\n", 0, 0, 0, "a b \n"},
        {"sh\n-c\nsleep 1000 & echo left; exit 4", 0, 0, 4, "left\n"},
        {"no-such-command", WIRE_WHY_NOT_FOUND, 0, 0, ""},
        {"/no/such/file", WIRE_WHY_NOT_FOUND, 0, 0, ""},
        {"./relative", WIRE_WHY_NOT_FOUND, 0, 0, ""},
        {"/etc/passwd", WIRE_WHY_NOT_EXEC, 0, 0, ""},
        {"/etc", WIRE_WHY_NOT_EXEC, 0, 0, ""},
        {"!no cgroup", WIRE_WHY_RUNTIME, 0, 0, "no cgroup"},
    };
    struct peer pe;
    struct peer_frame f;
    struct wire_exit ex;
    struct wire_unstarted un;
    static char out[OUT_SIZE];

    peer_open(&pe, NULL);
    peer_meet(&pe);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t n;

        peer_exec(&pe, 1, 0, rows[i].command);
        peer_expect(&pe, rows[i].unstarted ? WIRE_UNSTARTED : WIRE_STARTED, &f);
        if (rows[i].unstarted) {
            ck_assert_int_eq(wire_unstarted_parse(f.p, f.h.length, &un), 0);
            ck_assert_msg(un.why == rows[i].unstarted, "%s", rows[i].command);
            ck_assert(un.text_len >= strlen(rows[i].out));
            ck_assert_int_eq(memcmp(un.text, rows[i].out, strlen(rows[i].out)), 0);
            continue;
        }
        n = peer_finish(&pe, 1, out, sizeof(out), &ex);
        ck_assert_msg(ex.signaled == rows[i].signaled && ex.code == rows[i].code, "%s: %u %u",
                      rows[i].command, ex.signaled, ex.code);
        ck_assert_uint_eq(n, strlen(rows[i].out));
        ck_assert_int_eq(memcmp(out, rows[i].out, n), 0);
    }
    peer_close(&pe);
}
END_TEST

START_TEST(passes_signals_on_and_kills_for_certain)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGKILL};
    struct peer pe;
    struct peer_frame f;
    struct wire_exit ex;
    char out[16];

    peer_open(&pe, NULL);
    peer_meet(&pe);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        uint8_t raw[4];

        wire_u32_format(raw, (uint32_t)signals[i]);
        peer_exec(&pe, 1, 0, "sleep\n1000");
        peer_expect(&pe, WIRE_STARTED, &f);
        peer_send(&pe, WIRE_SIGNAL, CONTROL1, raw, 4);
        ck_assert_uint_eq(peer_finish(&pe, 1, out, sizeof(out), &ex), 0);
        ck_assert_uint_eq(ex.signaled, 1);
        ck_assert_uint_eq(ex.code, (uint32_t)signals[i]);
    }
    peer_close(&pe);
}
END_TEST

/* The k-th byte of a stream that does not repeat within a frame's length. */
static uint8_t pattern(size_t k)
{
    return (uint8_t)(k * 31 + (k >> 8) * 7 + (k >> 16));
}

START_TEST(sixteen_mebibytes_come_back_whole_and_in_order)
{
    const size_t total = 16u << 20;
    size_t sent = 0, got = 0, credit = WIRE_WINDOW, unacked = 0, wrong = 0;
    struct peer pe;
    static struct peer_frame f;
    static uint8_t chunk[WIRE_PAYLOAD_MAX];

    peer_open(&pe, NULL);
    peer_meet(&pe);
    peer_exec(&pe, 1, WIRE_EXEC_STDIN, "cat");
    peer_expect(&pe, WIRE_STARTED, &f);
    while (got < total) {
        while (sent < total && credit > 0) {
            size_t n = credit < sizeof(chunk) ? credit : sizeof(chunk);

            n = n < total - sent ? n : total - sent;
            for (size_t i = 0; i < n; i++)
                chunk[i] = pattern(sent + i);
            peer_send(&pe, WIRE_DATA, STDIN1, chunk, n);
            sent += n;
            credit -= n;
            if (sent == total)
                peer_send(&pe, WIRE_EOF, STDIN1, NULL, 0);
        }
        ck_assert(peer_next(&pe, &f, PEER_WAIT_MS));
        if (f.h.type == WIRE_CREDIT) {
            uint32_t n = 0;

            ck_assert_int_eq(wire_credit_parse(f.p, f.h.length, &n), 0);
            credit += n;
            ck_assert_uint_le(credit, WIRE_WINDOW);
            continue;
        }
        ck_assert_uint_eq(f.h.type, WIRE_DATA);
        /* One assertion a frame: Check writes to a pipe at each. */
        for (size_t i = 0; i < f.h.length; i++)
            wrong += f.p[i] != pattern(got + i);
        ck_assert_uint_eq(wrong, 0);
        got += f.h.length;
        unacked += f.h.length;
        ck_assert_uint_le(unacked, WIRE_WINDOW);
        ck_assert_uint_le(f.h.length, OUTBOX_PAYLOAD_MAX);
        /* Late on purpose: the agent must live with what it has. */
        if (unacked > WIRE_WINDOW / 2 || got == total) {
            peer_credit(&pe, STDOUT1, unacked);
            unacked = 0;
        }
    }
    ck_assert_uint_eq(got, total);
    while (peer_next(&pe, &f, PEER_WAIT_MS) && f.h.type != WIRE_EXIT)
        ck_assert_uint_eq(f.h.type, WIRE_CREDIT);
    ck_assert_uint_eq(f.h.type, WIRE_EXIT);
    peer_close(&pe);
}
END_TEST

START_TEST(a_host_that_gives_no_credit_stops_the_job)
{
    struct peer pe;
    static struct peer_frame f;
    struct wire_exit ex;
    static char out[OUT_SIZE];
    size_t got = 0, more = 0;

    peer_open(&pe, NULL);
    peer_meet(&pe);
    /* The job counts on stderr what it could write. */
    peer_exec(&pe, 1, 0, "sh\n-c\ntrap '' PIPE; head -c 4194304 /dev/zero; echo end >&2");
    peer_expect(&pe, WIRE_STARTED, &f);
    while (got < WIRE_WINDOW) {
        peer_expect(&pe, WIRE_DATA, &f);
        ck_assert_uint_eq(f.h.stream, STDOUT1);
        got += f.h.length;
    }
    ck_assert_uint_eq(got, WIRE_WINDOW);
    ck_assert(!peer_next(&pe, &f, 300));
    /* A little credit is a little output. */
    peer_credit(&pe, STDOUT1, 1000);
    while (more < 1000) {
        peer_expect(&pe, WIRE_DATA, &f);
        more += f.h.length;
    }
    ck_assert_uint_eq(more, 1000);
    ck_assert(!peer_next(&pe, &f, 100));
    /* No reader at all: the job gets its SIGPIPE or error, and goes on. */
    peer_send(&pe, WIRE_CLOSE, STDOUT1, NULL, 0);
    ck_assert_uint_eq(peer_finish(&pe, 1, out, sizeof(out), &ex) > 4, 1);
    ck_assert_ptr_nonnull(memmem(out, sizeof(out), "end\n", 4));
    ck_assert_uint_eq(ex.code, 0);
    peer_close(&pe);
}
END_TEST

START_TEST(input_that_the_job_does_not_want_costs_nothing)
{
    static uint8_t big[WIRE_WINDOW / 4];
    struct peer pe;
    static struct peer_frame f;
    size_t back = 0;

    peer_open(&pe, NULL);
    peer_meet(&pe);
    peer_exec(&pe, 1, WIRE_EXEC_STDIN, "sh\n-c\nexec <&-; exec sleep 1000");
    peer_expect(&pe, WIRE_STARTED, &f);
    for (int i = 0; i < 4; i++)
        peer_send(&pe, WIRE_DATA, STDIN1, big, sizeof(big));
    /* Credit comes in large pieces; the last small one may stay out. */
    while (back <= WIRE_WINDOW - WIRE_WINDOW / 4) {
        uint32_t n = 0;

        peer_expect(&pe, WIRE_CREDIT, &f);
        ck_assert_int_eq(wire_credit_parse(f.p, f.h.length, &n), 0);
        back += n;
    }
    ck_assert_uint_le(back, WIRE_WINDOW);
    peer_close(&pe);
}
END_TEST

START_TEST(a_terminal_has_its_size_from_the_first_instruction)
{
    struct peer pe;
    static struct peer_frame f;
    struct wire_exit ex;
    static char out[OUT_SIZE];
    uint8_t raw[4];
    size_t n;

    peer_open(&pe, NULL);
    peer_meet(&pe);
    peer_exec(&pe, 1, WIRE_EXEC_TTY | WIRE_EXEC_STDIN,
              "sh\n-c\nstty size; stty -echo; echo go; read a; stty size; echo \"<$a>\"");
    peer_expect(&pe, WIRE_STARTED, &f);
    for (n = 0; !memmem(out, n, "go\r\n", 4); n += f.h.length) {
        peer_expect(&pe, WIRE_DATA, &f);
        ck_assert_uint_lt(n + f.h.length, sizeof(out));
        memcpy(out + n, f.p, f.h.length);
    }
    ck_assert_int_eq(memcmp(out, "33 77\r\n", 7), 0);
    wire_resize_format(raw, 5, 6);
    peer_send(&pe, WIRE_RESIZE, CONTROL1, raw, 4);
    peer_send(&pe, WIRE_DATA, STDIN1, "hi\n", 3);
    n = peer_finish(&pe, 1, out, sizeof(out), &ex);
    ck_assert_ptr_nonnull(memmem(out, n, "5 6\r\n<hi>\r\n", 11));
    ck_assert_uint_eq(ex.signaled | ex.code, 0);
    peer_close(&pe);
}
END_TEST

START_TEST(hello_ends_the_jobs_of_the_old_session)
{
    struct peer pe;
    static struct peer_frame f;

    peer_open(&pe, NULL);
    peer_meet(&pe);
    peer_exec(&pe, 1, 0, "cat\n/dev/zero");
    peer_expect(&pe, WIRE_STARTED, &f);
    peer_exec(&pe, 2, 0, "sleep\n1000");
    peer_hello(&pe, WIRE_VERSION, 9);
    do
        ck_assert(peer_next(&pe, &f, PEER_WAIT_MS));
    while (f.h.type != WIRE_READY);
    peer_expect_free(&pe, 2);
    peer_close(&pe);
}
END_TEST

START_TEST(sixteen_jobs_run_side_by_side)
{
    struct peer pe;
    static struct peer_frame f;
    unsigned started = 0, exited = 0;
    size_t bytes = 0;

    peer_open(&pe, NULL);
    peer_meet(&pe);
    for (uint32_t exec = 1; exec <= WIRE_EXEC_MAX; exec++)
        peer_exec(&pe, exec, 0, "head\n-c\n90000\n/dev/zero");
    while (exited < WIRE_EXEC_MAX) {
        ck_assert(peer_next(&pe, &f, PEER_WAIT_MS));
        started += f.h.type == WIRE_STARTED;
        exited += f.h.type == WIRE_EXIT;
        if (f.h.type == WIRE_DATA)
            bytes += f.h.length;
    }
    ck_assert_uint_eq(started, WIRE_EXEC_MAX);
    ck_assert_uint_eq(bytes, 90000u * WIRE_EXEC_MAX);
    peer_close(&pe);
}
END_TEST

START_TEST(reports_what_the_cgroup_says)
{
    static const struct {
        const char *name, *text;
    } files[] = {{"memory.events", "low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 0\n"},
                 {"cpu.stat", "usage_usec 123456\nuser_usec 1\n"},
                 {"memory.peak", "7340032\n"},
                 {"pids.peak", "5\n"}};
    struct peer pe;
    struct peer_frame f;
    struct wire_exit ex;
    char out[4];

    peer_open(&pe, NULL);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char path[128];
        int fd;

        (void)snprintf(path, sizeof(path), "%s/cgroup/exec-1/%s", pe.dir, files[i].name);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        ck_assert_int_eq(write(fd, files[i].text, strlen(files[i].text)),
                         (int)strlen(files[i].text));
        close(fd);
    }
    peer_meet(&pe);
    peer_exec(&pe, 1, 0, "true");
    peer_expect(&pe, WIRE_STARTED, &f);
    (void)peer_finish(&pe, 1, out, sizeof(out), &ex);
    ck_assert_uint_eq(ex.oom, 2);
    ck_assert_uint_eq(ex.cpu_us, 123456);
    ck_assert_uint_eq(ex.peak_bytes, 7340032);
    ck_assert_uint_eq(ex.peak_pids, 5);
    peer_close(&pe);
}
END_TEST

START_TEST(says_what_it_uses_when_asked)
{
    static const struct {
        const char *name, *text;
    } files[] = {{"memory.current", "4096\n"},
                 {"cpu.stat", "usage_usec 123456\nuser_usec 1\n"},
                 {"memory.peak", "99999999999999999999\n"}, /* more than there can be */
                 {"pids.current", "3\n"}};
    struct wire_used used;
    struct peer pe;
    struct peer_frame f;

    peer_open(&pe, NULL);
    for (size_t i = 0; i < 4; i++) {
        char path[128];
        int fd;

        (void)snprintf(path, sizeof(path), "%s/cgroup/exec-1/%s", pe.dir, files[i].name);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        ck_assert_int_eq(write(fd, files[i].text, strlen(files[i].text)),
                         (int)strlen(files[i].text));
        close(fd);
    }
    peer_meet(&pe);
    for (int running = 0; running < 2; running++) {
        if (running) {
            peer_exec(&pe, 1, 0, "sleep\n1000");
            peer_expect(&pe, WIRE_STARTED, &f);
        }
        peer_send(&pe, WIRE_USAGE, 0, NULL, 0);
        peer_expect(&pe, WIRE_USED, &f);
        ck_assert_int_eq(wire_used_parse(f.p, f.h.length, &used), 0);
        ck_assert_uint_gt(used.memory_total_bytes, 0);
        ck_assert_uint_eq(used.execs[0].cpu_us, running ? 123456 : 0);
        ck_assert_uint_eq(used.execs[0].memory_bytes, running ? 4096 : 0);
        ck_assert_uint_eq(used.execs[0].peak_bytes, running ? WIRE_BYTES_MAX : 0);
        ck_assert_uint_eq(used.execs[0].pids, running ? 3 : 0);
        ck_assert_uint_eq(used.execs[1].cpu_us, 0);
    }
    /* What it says comes before it is held. */
    peer_send(&pe, WIRE_USAGE, 0, NULL, 0);
    peer_send(&pe, WIRE_SYNC, 0, NULL, 0);
    peer_expect(&pe, WIRE_USED, &f);
    peer_expect(&pe, WIRE_SYNCED, &f);
    peer_close(&pe);
}
END_TEST

/* What the host may not send ends the agent's session. */
enum crime {
    NOT_A_FRAME,
    EXEC_BEFORE_HELLO,
    READY_FROM_THE_HOST,
    DATA_FOR_NO_JOB,
    DATA_WITHOUT_STDIN,
    TOO_MUCH_INPUT,
    TOO_MUCH_CREDIT,
    EXEC_TWICE,
    CONFIG_TOO_LONG,
    TREE_CREDIT_UNASKED,
    SYNC_BEFORE_HELLO,
    SYNC_TWICE,
    RESUME_UNASKED,
    EXEC_WHILE_HELD,
    USAGE_WHILE_HELD,
    CRIMES
};

static void commit_crime(struct peer *pe, enum crime crime)
{
    static const uint8_t big[WIRE_PAYLOAD_MAX];
    struct peer_frame f;

    if (crime != NOT_A_FRAME && crime != EXEC_BEFORE_HELLO && crime != SYNC_BEFORE_HELLO)
        peer_meet(pe);
    if (crime == NOT_A_FRAME)
        ck_assert_int_eq(write(pe->fd, big, 32), 32);
    if (crime == EXEC_BEFORE_HELLO)
        peer_exec(pe, 1, 0, "true");
    if (crime == READY_FROM_THE_HOST)
        peer_send(pe, WIRE_READY, 0, big, WIRE_READY_SIZE);
    if (crime == DATA_FOR_NO_JOB)
        peer_send(pe, WIRE_DATA, STDIN1, big, 1);
    if (crime == TREE_CREDIT_UNASKED)
        peer_credit(pe, TREE, 1);
    if (crime == SYNC_TWICE || crime == SYNC_BEFORE_HELLO)
        peer_send(pe, WIRE_SYNC, 0, NULL, 0);
    if (crime == SYNC_TWICE)
        peer_send(pe, WIRE_SYNC, 0, NULL, 0);
    if (crime == RESUME_UNASKED)
        peer_send(pe, WIRE_RESUME, 0, NULL, 0);
    if (crime == EXEC_WHILE_HELD) {
        ck_assert_uint_eq(peer_sync(pe), WIRE_SYNC_DONE);
        peer_exec(pe, 1, 0, "true");
    }
    if (crime == USAGE_WHILE_HELD) {
        ck_assert_uint_eq(peer_sync(pe), WIRE_SYNC_DONE);
        peer_send(pe, WIRE_USAGE, 0, NULL, 0);
    }
    if (crime == CONFIG_TOO_LONG) {
        peer_exec(pe, 1, 0, "true");
        peer_send(pe, WIRE_CONFIG, CONTROL1, big, 1);
    }
    if (crime < DATA_WITHOUT_STDIN || crime > EXEC_TWICE || crime == DATA_FOR_NO_JOB)
        return;
    peer_exec(pe, 1, crime == TOO_MUCH_INPUT ? WIRE_EXEC_STDIN : 0, "sleep\n1000");
    peer_expect(pe, WIRE_STARTED, &f);
    if (crime == DATA_WITHOUT_STDIN)
        peer_send(pe, WIRE_DATA, STDIN1, big, 1);
    if (crime == TOO_MUCH_CREDIT)
        peer_credit(pe, STDOUT1, 1);
    if (crime == EXEC_TWICE)
        peer_exec(pe, 1, 0, "true");
    for (int i = 0; crime == TOO_MUCH_INPUT && i < 6; i++)
        peer_send(pe, WIRE_DATA, STDIN1, big, sizeof(big));
}

START_TEST(illegal_traffic_of_the_host_ends_the_session)
{
    struct peer pe;

    for (int crime = 0; crime < CRIMES; crime++) {
        peer_open(&pe, NULL);
        commit_crime(&pe, (enum crime)crime);
        ck_assert_msg(peer_wait(&pe) == PEER_PROTOCOL, "crime %d", crime);
        peer_close(&pe);
    }
}
END_TEST

START_TEST(frames_that_cross_an_exit_are_dropped)
{
    struct peer pe;
    struct peer_frame f;
    struct wire_exit ex;
    uint8_t raw[4];
    char out[4];

    peer_open(&pe, NULL);
    peer_meet(&pe);
    peer_exec(&pe, 1, WIRE_EXEC_STDIN, "true");
    peer_expect(&pe, WIRE_STARTED, &f);
    (void)peer_finish(&pe, 1, out, sizeof(out), &ex);
    wire_u32_format(raw, SIGTERM);
    peer_send(&pe, WIRE_SIGNAL, CONTROL1, raw, 4);
    peer_send(&pe, WIRE_DATA, STDIN1, "x", 1);
    peer_send(&pe, WIRE_EOF, STDIN1, NULL, 0);
    peer_credit(&pe, STDOUT1, 10);
    peer_exec(&pe, 1, 0, "sh\n-c\nexit 3");
    peer_expect(&pe, WIRE_STARTED, &f);
    (void)peer_finish(&pe, 1, out, sizeof(out), &ex);
    ck_assert_uint_eq(ex.code, 3);
    peer_close(&pe);
}
END_TEST

SUITE("agent", answers_hello_with_its_nonce_after_the_resync,
      refuses_another_version_and_tells_a_failed_bring_up,
      a_parked_guest_answers_parked_and_becomes_a_runs_with_the_next_hello,
      a_guest_that_has_its_disks_cannot_be_parked, a_parked_guest_takes_nothing_but_hello,
      tells_status_signal_and_commands_that_cannot_start_apart,
      passes_signals_on_and_kills_for_certain, sixteen_mebibytes_come_back_whole_and_in_order,
      a_host_that_gives_no_credit_stops_the_job, input_that_the_job_does_not_want_costs_nothing,
      a_terminal_has_its_size_from_the_first_instruction, hello_ends_the_jobs_of_the_old_session,
      sixteen_jobs_run_side_by_side, reports_what_the_cgroup_says, says_what_it_uses_when_asked,
      illegal_traffic_of_the_host_ends_the_session, frames_that_cross_an_exit_are_dropped)
