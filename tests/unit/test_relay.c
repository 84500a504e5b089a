/* test_relay: promises of lazaret-relay: streams, console, and the process itself. */
#include "tests/unit/relay_rig.h"

#include "base/confine.h"
#include "channel/sink.h"

#include <errno.h>
#include <limits.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* ---- streams --------------------------------------------------------------------------------- */

/* In a child: sends `len` bytes of a pattern within credit, then EXIT. */
static pid_t fork_sender(uint32_t stream, size_t len)
{
    pid_t pid = fork();
    uint64_t credit = WIRE_WINDOW;
    size_t sent = 0;

    if (pid != 0)
        return pid;
    while (sent < len) {
        size_t n = 1 + sent % 60000;

        if (n > len - sent)
            n = len - sent;
        for (size_t i = 0; i < n; i++)
            junk[i] = (uint8_t)((sent + i) * 31 >> 3);
        take_credit(&rig, stream, &credit, n);
        guest_send(&rig, WIRE_DATA, stream, junk, n);
        credit -= n;
        sent += n;
    }
    send_exit(&rig, wire_stream_exec(stream), 0);
    _exit(0);
}

/* Reads the pattern until the end of the stream. */
static void check_pattern(int fd, size_t len)
{
    static uint8_t buf[100000];
    size_t at = 0, wrong = 0;
    ssize_t n;

    while ((n = read(fd, buf, sizeof(buf))) > 0)
        for (ssize_t i = 0; i < n; i++, at++)
            wrong += buf[i] != (uint8_t)(at * 31 >> 3);
    ck_assert_uint_eq(wrong, 0);
    ck_assert_uint_eq(at, len);
}

START_TEST(bytes_arrive_in_order_in_every_kind_of_sink)
{
    const size_t len = 3000000;

    for (int kind = 0; kind < 3; kind++) {
        int fds[2];
        pid_t pid;

        if (kind == 0)
            ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        else if (kind == 1)
            ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        else
            fds[1] = fds[0] = memfd_create("sink", MFD_CLOEXEC);
        rig_open(&rig, 0);
        meet(&rig);
        start(&rig, (struct channel_exec){
                        .exec = 3, .stdin_fd = -1, .stdout_fd = fds[1], .stderr_fd = fds[1]});
        if (kind < 2)
            close(fds[1]);
        pid = fork_sender(out_of(3), len);
        if (kind < 2)
            check_pattern(fds[0], len);
        expect_event(&rig, CHANNEL_EXIT);
        if (kind == 2) {
            lseek(fds[0], 0, SEEK_SET);
            check_pattern(fds[0], len);
        }
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
        close(fds[0]);
        rig_close(&rig);
    }
}
END_TEST

static long rss_kib(pid_t pid)
{
    char path[64], line[256];
    long kib = -1;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    f = fopen(path, "re");
    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof(line), f))
        if (strncmp(line, "VmRSS:", 6) == 0)
            kib = strtol(line + 6, NULL, 10);
    fclose(f);
    return kib;
}

/* `wrote`: those of them that came from the guest. */
static uint64_t ask_moved(uint32_t exec, uint64_t wrote)
{
    struct channel_event ev;

    ck_ok(channel_moved(rig.ch, exec, &rig_err));
    ev = expect_event(&rig, CHANNEL_MOVED);
    ck_assert_uint_eq(ev.exec, exec);
    ck_assert_uint_eq(ev.wrote, wrote);
    return ev.bytes;
}

START_TEST(what_a_jobs_streams_moved_is_counted_both_ways_and_for_each)
{
    own_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int in[2];
    const uint8_t *p;

    ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
    rig_open(&rig, 0);
    meet(&rig);
    start(&rig, (struct channel_exec){
                    .exec = 1, .stdin_fd = in[0], .stdout_fd = null, .stderr_fd = null});
    start(&rig,
          (struct channel_exec){.exec = 2, .stdin_fd = -1, .stdout_fd = null, .stderr_fd = null});
    close(in[0]);
    ck_assert_uint_eq(ask_moved(1, 0), 0);
    guest_send(&rig, WIRE_DATA, out_of(1), "abc", 3);
    guest_send(&rig, WIRE_DATA, wire_stream(2, WIRE_STDERR), "abcd", 4);
    guest_send(&rig, WIRE_LOG, 0, "mark", 4);
    expect_event(&rig, CHANNEL_LOG);
    ck_assert_uint_eq(ask_moved(1, 3), 3);
    ck_assert_uint_eq(ask_moved(2, 4), 4);
    ck_assert_int_eq(write(in[1], "in", 2), 2);
    guest_expect(&rig, WIRE_DATA, wire_stream(1, WIRE_STDIN), &p);
    ck_assert_uint_eq(ask_moved(1, 3), 5);
    /* Once asked, it is told at the end, too: what a short job moved counts. */
    send_exit(&rig, 1, 0);
    ck_assert_uint_eq(expect_event(&rig, CHANNEL_MOVED).bytes, 5);
    ck_assert_uint_eq(expect_event(&rig, CHANNEL_EXIT).wrote, 3);
    /* Of one that has ended nobody says anything. */
    ck_ok(channel_moved(rig.ch, 1, &rig_err));
    ck_assert_uint_eq(ask_moved(2, 4), 4);
    close(in[1]);
    rig_close(&rig);
}
END_TEST

START_TEST(a_sink_that_is_not_read_stops_its_own_stream_and_nothing_grows)
{
    int pipefd[2], other[2], filled = 0;
    struct channel_event ev;
    const uint8_t *p;
    long before;

    ck_assert_int_eq(pipe2(pipefd, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(other, O_CLOEXEC), 0);
    rig_open(&rig, 0);
    meet(&rig);
    start(&rig, (struct channel_exec){
                    .exec = 1, .stdin_fd = -1, .stdout_fd = pipefd[1], .stderr_fd = other[1]});
    before = rss_kib(channel_relay_pid(rig.ch));
    send_window(&rig, out_of(1));
    /* What the pipe itself holds is given back, once. */
    guest_expect(&rig, WIRE_CREDIT, out_of(1), &p);
    guest_send(&rig, WIRE_DATA, wire_stream(1, WIRE_STDERR), "other", 5);
    send_exit(&rig, 1, 5);
    expect_nothing_before_log(&rig); /* neither EXIT nor LOST nor TAMPERED */
    ck_assert_int_eq(read(other[0], junk, sizeof(junk)), 5);
    close(other[0]);
    close(other[1]);
    ck_assert_int_lt(rss_kib(channel_relay_pid(rig.ch)) - before, 1024);
    close(pipefd[1]);
    while (filled < (int)WIRE_WINDOW) {
        ssize_t n = read(pipefd[0], junk, sizeof(junk));

        ck_assert_int_gt(n, 0);
        filled += (int)n;
    }
    ev = expect_event(&rig, CHANNEL_EXIT);
    ck_assert_uint_eq(ev.exit.code, 5);
    ck_assert_uint_eq(ev.exit.peak_bytes, 9);
    ck_assert_int_eq(read(pipefd[0], junk, 1), 0); /* the relay has let go of it */
    close(pipefd[0]);
    rig_close(&rig);
}
END_TEST

START_TEST(a_shared_pipe_is_written_a_page_at_a_time_and_never_blocks)
{
    static struct sink k;
    int pipefd[2];
    struct pollfd p;
    size_t written = 0;

    ck_assert_int_eq(pipe2(pipefd, O_CLOEXEC), 0); /* blocking: a wrong write hangs the test */
    sink_init(&k, pipefd[1], RELAY_FD_SHARED, WIRE_WINDOW, 0);
    ck_assert(sink_put(&k, junk, sizeof(junk)) && sink_put(&k, junk, 1000));
    p = (struct pollfd){.fd = pipefd[1], .events = POLLOUT};
    while (poll(&p, 1, 0) == 1) {
        uint32_t fill = k.fill;

        sink_write(&k);
        ck_assert_uint_le(fill - k.fill, PIPE_BUF);
        written += fill - k.fill;
    }
    ck_assert_uint_eq(written, 65536);
    ck_assert_uint_eq(k.fill, 1000);
    close(pipefd[0]);
    sink_done(&k);
}
END_TEST

START_TEST(a_sink_that_went_away_is_closed_in_the_guest)
{
    int pipefd[2];
    const uint8_t *p;

    signal(SIGPIPE, SIG_IGN);
    ck_assert_int_eq(pipe2(pipefd, O_CLOEXEC), 0);
    rig_open(&rig, 0);
    meet(&rig);
    start(&rig, (struct channel_exec){
                    .exec = 1, .stdin_fd = -1, .stdout_fd = pipefd[1], .stderr_fd = pipefd[1]});
    close(pipefd[0]);
    guest_send(&rig, WIRE_DATA, out_of(1), "x", 1);
    guest_expect(&rig, WIRE_CLOSE, out_of(1), &p);
    guest_send(&rig, WIRE_DATA, out_of(1), junk, sizeof(junk)); /* was under way: dropped */
    send_exit(&rig, 1, 0);
    expect_event(&rig, CHANNEL_EXIT);
    close(pipefd[1]);
    rig_close(&rig);
}
END_TEST

START_TEST(a_job_whose_output_is_dropped_ends_though_its_reader_hangs)
{
    own_close int spool = memfd_create("err", MFD_CLOEXEC);
    const uint8_t *p;
    int pipefd[2];

    ck_assert_int_eq(pipe2(pipefd, O_CLOEXEC), 0);
    rig_open(&rig, 0);
    meet(&rig);
    start(&rig, (struct channel_exec){
                    .exec = 1, .stdin_fd = -1, .stdout_fd = pipefd[1], .stderr_fd = spool});
    send_window(&rig, out_of(1));
    guest_expect(&rig, WIRE_CREDIT, out_of(1), &p);
    send_exit(&rig, 1, 5);
    expect_nothing_before_log(&rig);
    ck_ok(channel_drop(rig.ch, 1, &rig_err));
    ck_assert_uint_eq(expect_event(&rig, CHANNEL_EXIT).exit.code, 5);
    ck_ok(channel_drop(rig.ch, 1, &rig_err)); /* over: nothing happens */
    close(pipefd[0]);
    close(pipefd[1]);
    rig_close(&rig);
}
END_TEST

START_TEST(a_running_jobs_dropped_streams_are_closed_in_the_guest)
{
    own_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    const uint8_t *p;

    rig_open(&rig, 0);
    meet(&rig);
    start(&rig,
          (struct channel_exec){.exec = 1, .stdin_fd = -1, .stdout_fd = null, .stderr_fd = null});
    ck_ok(channel_drop(rig.ch, 1, &rig_err));
    guest_expect(&rig, WIRE_CLOSE, out_of(1), &p);
    guest_expect(&rig, WIRE_CLOSE, wire_stream(1, WIRE_STDERR), &p);
    guest_send(&rig, WIRE_DATA, out_of(1), "late", 4); /* was on its way */
    send_exit(&rig, 1, 0);
    expect_event(&rig, CHANNEL_EXIT);
    rig_close(&rig);
}
END_TEST

START_TEST(a_host_without_space_is_the_hosts_fault)
{
    own_close int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    struct channel_event ev;
    const uint8_t *p;

    rig_open(&rig, 0);
    meet(&rig);
    start(&rig,
          (struct channel_exec){.exec = 4, .stdin_fd = -1, .stdout_fd = full, .stderr_fd = full});
    guest_send(&rig, WIRE_DATA, out_of(4), "x", 1);
    ev = expect_event(&rig, CHANNEL_HOST_FAILED);
    ck_assert_uint_eq(ev.exec, 4);
    ck_assert_ptr_nonnull(strstr(ev.text, "No space left"));
    guest_expect(&rig, WIRE_CLOSE, out_of(4), &p);
    collect(&rig, full, 1000);
    guest_send(&rig, WIRE_DATA, wire_stream(0, WIRE_TREE), "x", 1);
    send_collected(&rig, WIRE_COLLECT_DONE);
    ev = expect_event(&rig, CHANNEL_HOST_FAILED);
    ck_assert_uint_eq(ev.exec, 0);
    expect_nothing_before_log(&rig); /* no COLLECTED: the spool is not whole */
    rig_close(&rig);
}
END_TEST

START_TEST(stdin_goes_within_the_guests_credit_and_then_ends)
{
    const uint32_t in = wire_stream(1, WIRE_STDIN);
    const size_t len = WIRE_WINDOW + WIRE_WINDOW / 2;
    int pipefd[2];
    size_t got = 0, wrong = 0;
    uint8_t raw[4];
    pid_t pid;

    ck_assert_int_eq(pipe2(pipefd, O_CLOEXEC), 0);
    rig_open(&rig, 0);
    meet(&rig);
    start(&rig,
          (struct channel_exec){
              .exec = 1, .stdin_fd = pipefd[0], .stdout_fd = pipefd[1], .stderr_fd = pipefd[1]});
    pid = fork();
    if (pid == 0) {
        for (size_t at = 0; at < len; at += 251) {
            for (size_t i = 0; i < 251; i++)
                junk[i] = (uint8_t)i;
            (void)!write(pipefd[1], junk, len - at < 251 ? len - at : 251);
        }
        _exit(0);
    }
    close(pipefd[0]);
    while (got < len) {
        const uint8_t *p;
        struct wire_header h = guest_expect(&rig, WIRE_DATA, in, &p);

        for (uint32_t i = 0; i < h.length; i++, got++)
            wrong += p[i] != got % 251;
        ck_assert_uint_eq(wrong, 0);
        if (got == WIRE_WINDOW) {
            expect_nothing_before_log(&rig);
            ck_assert_int_eq(recv(rig.guest, raw, 1, MSG_DONTWAIT | MSG_PEEK), -1);
            wire_u32_format(raw, WIRE_WINDOW);
            guest_send(&rig, WIRE_CREDIT, in, raw, sizeof(raw));
        }
        ck_assert_uint_le(got, len);
    }
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    send_exit(&rig, 1, 0);
    expect_event(&rig, CHANNEL_EXIT);
    close(pipefd[1]);
    rig_close(&rig);
}
END_TEST

START_TEST(stdin_that_cannot_be_read_is_the_hosts_fault)
{
    own_close int folder = open("/", O_RDONLY | O_CLOEXEC);
    own_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct channel_event ev;

    rig_open(&rig, 0);
    meet(&rig);
    start(&rig, (struct channel_exec){
                    .exec = 1, .stdin_fd = folder, .stdout_fd = null, .stderr_fd = null});
    ev = expect_event(&rig, CHANNEL_HOST_FAILED);
    ck_assert_uint_eq(ev.exec, 1);
    ck_assert_str_eq(ev.text, "cannot read standard input: Is a directory");
    rig_close(&rig);
}
END_TEST

START_TEST(the_end_of_stdin_reaches_the_guest)
{
    own_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    const uint8_t *p;

    rig_open(&rig, 0);
    meet(&rig);
    start(&rig, (struct channel_exec){
                    .exec = 16, .stdin_fd = null, .stdout_fd = null, .stderr_fd = null});
    guest_expect(&rig, WIRE_EOF, wire_stream(16, WIRE_STDIN), &p);
    rig_close(&rig);
}
END_TEST

/* ---- console --------------------------------------------------------------------------------- */

START_TEST(the_console_log_is_plain_text)
{
    static const char in[] = "boot\r\n\033[2J\a\tok\\ \xc3\xa9\r.\n";
    static const char want[] = "boot\n\\x1b[2J\\x07\tok\\x5c \\xc3\\xa9\\x0d.\n";
    char got[sizeof(want)] = "";
    size_t n = 0;

    rig_open(&rig, 1000);
    for (size_t i = 0; i < sizeof(in) - 1; i++) /* wherever it is cut */
        ck_assert_int_eq(send(rig.console, in + i, 1, 0), 1);
    while (n < sizeof(want) - 1) {
        ssize_t r = read(rig.log, got + n, sizeof(want) - 1 - n);

        ck_assert_int_gt(r, 0);
        n += (size_t)r;
    }
    ck_assert_str_eq(got, want);
    rig_close(&rig);
}
END_TEST

START_TEST(the_console_log_is_cut_and_the_console_still_drained)
{
    char got[200];
    size_t n = 0;

    rig_open(&rig, 101);
    memset(junk, 'c', sizeof(junk));
    for (int i = 0; i < 64; i++) /* 4 MiB: more than sockets hold */
        ck_assert_int_eq(send(rig.console, junk, sizeof(junk), MSG_NOSIGNAL), sizeof(junk));
    meet(&rig); /* a console that ends does not end the channel */
    shutdown(rig.console, SHUT_RDWR);
    expect_nothing_before_log(&rig);
    channel_close(rig.ch);
    rig.ch = NULL;
    for (ssize_t r; (r = read(rig.log, got + n, sizeof(got) - n)) > 0;)
        n += (size_t)r;
    ck_assert_uint_eq(n, 101);
    rig_close(&rig);
}
END_TEST

/* ---- the process ----------------------------------------------------------------------------- */

START_TEST(the_relay_has_no_rights_left)
{
    static const char *const want[] = {"NoNewPrivs:\t1\n",
                                       "Seccomp:\t2\n",
                                       "CapEff:\t0000000000000000\n",
                                       "CapPrm:\t0000000000000000\n",
                                       "CapInh:\t0000000000000000\n",
                                       "CapAmb:\t0000000000000000\n"};
    char path[64], text[8192];
    own_close int fd = -1;
    ssize_t n;

    rig_open(&rig, 0);
    meet(&rig);
    snprintf(path, sizeof(path), "/proc/%d/status", channel_relay_pid(rig.ch));
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = read(fd, text, sizeof(text) - 1);
    ck_assert_int_gt(n, 0);
    text[n] = '\0';
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
        ck_assert_msg(strstr(text, want[i]) != NULL, "%s", want[i]);
    rig_close(&rig);
}
END_TEST

START_TEST(a_call_that_is_not_listed_kills)
{
    static const struct confine_call calls[] = {{SCMP_SYS(exit_group), CONFINE_ANY_ARG, "end"},
                                                {SCMP_SYS(sendto), 4, "connected sockets"}};
    const struct confine rights = {
        .calls = calls, .n_calls = 2, .dir_fd = -1, .max_fds = 8, .max_file_bytes = UINT64_MAX};

    for (int i = 0; i < 3; i++) {
        struct sockaddr to = {.sa_family = AF_UNIX};
        int status;
        pid_t pid = fork();

        if (pid == 0) {
            if (confine_self(&rights, &rig_err) < 0)
                _exit(1);
            if (i == 1)
                syscall(SYS_openat, AT_FDCWD, "/", O_RDONLY);
            if (i == 2)
                sendto(0, "", 1, 0, &to, sizeof(to));
            _exit(0);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        if (i == 0)
            ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        else
            ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
    }
}
END_TEST

START_TEST(the_relay_dies_with_its_keeper)
{
    int pipefd[2];
    pid_t keeper, relay;
    own_close int pidfd = -1;
    int go[2];

    ck_assert_int_eq(pipe2(pipefd, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(go, O_CLOEXEC), 0);
    keeper = fork();
    if (keeper == 0) {
        rig_open(&rig, 0);
        meet(&rig);
        relay = channel_relay_pid(rig.ch);
        (void)!write(pipefd[1], &relay, sizeof(relay));
        (void)!read(go[0], &relay, 1);
        kill(getpid(), SIGKILL);
    }
    ck_assert_int_eq(read(pipefd[0], &relay, sizeof(relay)), sizeof(relay));
    pidfd = (int)syscall(SYS_pidfd_open, relay, 0);
    ck_assert_int_ge(pidfd, 0);
    ck_assert_int_eq(write(go[1], "", 1), 1);
    wait_readable(pidfd);
    ck_assert_int_eq(waitpid(keeper, NULL, 0), keeper);
    close(pipefd[0]);
    close(pipefd[1]);
    close(go[0]);
    close(go[1]);
}
END_TEST

START_TEST(a_channel_that_ends_is_lost_once_and_after_the_last_output)
{
    int pipefd[2];
    struct channel_event ev;
    char got[8];

    ck_assert_int_eq(pipe2(pipefd, O_CLOEXEC), 0);
    rig_open(&rig, 0);
    meet(&rig);
    start(&rig, (struct channel_exec){
                    .exec = 1, .stdin_fd = -1, .stdout_fd = pipefd[1], .stderr_fd = pipefd[1]});
    guest_send(&rig, WIRE_DATA, out_of(1), "last", 4);
    guest_raw(&rig, "LAZ1", 4); /* in the middle of a frame */
    close(rig.guest);
    rig.guest = -1;
    expect_event(&rig, CHANNEL_LOST);
    ck_assert_int_eq(read(pipefd[0], got, sizeof(got)), 4);
    ck_assert_int_eq(channel_next(rig.ch, &ev), 0);
    close(pipefd[0]);
    close(pipefd[1]);
    rig_close(&rig);
}
END_TEST

START_TEST(a_relay_that_dies_is_lost_and_takes_no_command)
{
    struct channel_event ev;

    rig_open(&rig, 0);
    meet(&rig);
    kill(channel_relay_pid(rig.ch), SIGKILL);
    expect_event(&rig, CHANNEL_LOST);
    ck_assert_int_eq(channel_next(rig.ch, &ev), 0);
    ck_assert_int_eq(channel_hello(rig.ch, &(struct channel_hello){0}, &rig_err), -1);
    ck_assert_int_eq(rig_err.class, ERR_HOST);
    rig_close(&rig);
}
END_TEST

START_TEST(what_the_terminal_sends_does_not_end_the_relay)
{
    static const int signals[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP, SIGTTIN, SIGTTOU};

    rig_open(&rig, 0);
    meet(&rig);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        kill(channel_relay_pid(rig.ch), signals[i]);
    expect_nothing_before_log(&rig);
    rig_close(&rig);
}
END_TEST

SUITE("relay", bytes_arrive_in_order_in_every_kind_of_sink,
      what_a_jobs_streams_moved_is_counted_both_ways_and_for_each,
      a_sink_that_is_not_read_stops_its_own_stream_and_nothing_grows,
      a_shared_pipe_is_written_a_page_at_a_time_and_never_blocks,
      a_job_whose_output_is_dropped_ends_though_its_reader_hangs,
      a_running_jobs_dropped_streams_are_closed_in_the_guest,
      a_sink_that_went_away_is_closed_in_the_guest, a_host_without_space_is_the_hosts_fault,
      stdin_goes_within_the_guests_credit_and_then_ends,
      stdin_that_cannot_be_read_is_the_hosts_fault, the_end_of_stdin_reaches_the_guest,
      the_console_log_is_plain_text, the_console_log_is_cut_and_the_console_still_drained,
      the_relay_has_no_rights_left, a_call_that_is_not_listed_kills, the_relay_dies_with_its_keeper,
      a_channel_that_ends_is_lost_once_and_after_the_last_output,
      a_relay_that_dies_is_lost_and_takes_no_command,
      what_the_terminal_sends_does_not_end_the_relay)
