/*
 * relay: what the process between QEMU and the manager costs: bytes of a job's output through the
 * real relay beside the same bytes through one pipe, and a byte there and back. scripts/bench runs
 * it; no test.
 */
#include "tests/unit/relay_rig.h"

#include "base/clock.h"

#include <stdio.h>
#include <sys/wait.h>

#define BYTES  (256u << 20)
#define TRIPS  5000
#define ROUNDS 7

/* The guest: sends within its credit, or writes to a pipe. */
static void send_all(bool relay, int fd)
{
    uint64_t credit = WIRE_WINDOW;

    for (uint64_t left = BYTES; left > 0;) {
        uint32_t n = WIRE_PAYLOAD_MAX / 2;

        if (relay) {
            take_credit(&rig, out_of(1), &credit, n);
            guest_send(&rig, WIRE_DATA, out_of(1), junk, n);
            credit -= n;
        } else {
            n = (uint32_t)write(fd, junk, n);
        }
        left -= n;
    }
}

/* Microseconds for BYTES. */
static uint64_t bulk(bool relay)
{
    static uint8_t buf[65536];
    uint64_t began, got = 0;
    int fds[2];
    ssize_t n;
    pid_t pid;

    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    if (relay) {
        rig_open(&rig, 0);
        meet(&rig);
        start(&rig, (struct channel_exec){
                        .exec = 1, .stdin_fd = -1, .stdout_fd = fds[1], .stderr_fd = fds[1]});
    }
    began = clock_mono_us();
    pid = fork();
    if (pid == 0) {
        send_all(relay, fds[1]);
        _exit(0);
    }
    close(fds[1]);
    while (got < BYTES && (n = read(fds[0], buf, sizeof(buf))) > 0)
        got += (uint64_t)n;
    began = clock_mono_us() - began;
    ck_assert_uint_eq(got, BYTES);
    waitpid(pid, NULL, 0);
    close(fds[0]);
    if (relay)
        rig_close(&rig);
    return began;
}

/* Nanoseconds for a byte to the guest and back: through the relay, or by two pipes. */
static uint64_t trip(bool relay)
{
    int in[2], out[2];
    uint64_t began;
    pid_t pid;
    char c = 'x';

    ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
    if (relay) {
        rig_open(&rig, 0);
        meet(&rig);
        start(&rig, (struct channel_exec){
                        .exec = 1, .stdin_fd = in[0], .stdout_fd = out[1], .stderr_fd = out[1]});
    }
    pid = fork();
    if (pid == 0) {
        const uint8_t *p;

        for (int i = 0; i < TRIPS; i++) {
            if (relay)
                (void)guest_expect(&rig, WIRE_DATA, wire_stream(1, WIRE_STDIN), &p);
            else
                (void)!read(in[0], &c, 1);
            if (relay)
                guest_send(&rig, WIRE_DATA, out_of(1), "x", 1);
            else
                (void)!write(out[1], "x", 1);
        }
        _exit(0);
    }
    began = clock_mono_us();
    for (int i = 0; i < TRIPS; i++) {
        ck_assert_int_eq(write(in[1], &c, 1), 1);
        ck_assert_int_eq(read(out[0], &c, 1), 1);
    }
    began = (clock_mono_us() - began) * 1000 / TRIPS;
    waitpid(pid, NULL, 0);
    for (int i = 0; i < 2; i++) {
        close(in[i]);
        close(out[i]);
    }
    if (relay)
        rig_close(&rig);
    return began;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* Interleaved rounds; medians. */
static void compare(const char *what, const char *unit, uint64_t (*go)(bool relay))
{
    const int mid = ROUNDS / 2;
    uint64_t relay[ROUNDS], pipes[ROUNDS];

    for (int i = 0; i < ROUNDS; i++) {
        relay[i] = go(true);
        pipes[i] = go(false);
    }
    qsort(relay, ROUNDS, sizeof(relay[0]), by_size);
    qsort(pipes, ROUNDS, sizeof(pipes[0]), by_size);
    printf("%s: relay %ju [%ju..%ju] %s, pipe %ju [%ju..%ju]: ratio %.2f\n", what,
           (uintmax_t)relay[mid], (uintmax_t)relay[0], (uintmax_t)relay[ROUNDS - 1], unit,
           (uintmax_t)pipes[mid], (uintmax_t)pipes[0], (uintmax_t)pipes[ROUNDS - 1],
           (double)relay[mid] / (double)pipes[mid]);
}

START_TEST(bench)
{
    compare("256 MiB of output", "us", bulk);
    compare("a byte there and back", "ns", trip);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("relay");

    tcase_set_timeout(tc, 0);
    tcase_add_test(tc, bench);
    return suite_run("relay", tc);
}
