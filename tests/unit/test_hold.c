/* test_hold: promises of the boundary's host end about guests that are saved alive and met again.
 */
#include "tests/unit/relay_rig.h"

#include <signal.h>

/* From SYNC to RESUME; the frames that were owed then come behind it. */
START_TEST(a_held_guest_gets_no_frame_and_nothing_is_lost)
{
    own_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    own_close int config = memfd_create("config", MFD_CLOEXEC);
    unsigned seen = 0;
    int in[2];

    ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
    ck_assert_int_eq(write(config, CONFIG_TEXT, strlen(CONFIG_TEXT)), strlen(CONFIG_TEXT));
    rig_open(&rig, 0);
    meet(&rig);
    start(&rig, (struct channel_exec){
                    .exec = 1, .stdin_fd = in[0], .stdout_fd = null, .stderr_fd = null});
    sync_guest(&rig);
    /* Each of these would be a frame now. */
    ck_assert_int_eq(write(in[1], "in", 2), 2);
    send_window(&rig, out_of(1));
    ck_ok(channel_signal(rig.ch, 1, SIGTERM, &rig_err));
    ck_ok(channel_exec(rig.ch,
                       &(struct channel_exec){.exec = 2,
                                              .config_fd = config,
                                              .config_size = strlen(CONFIG_TEXT),
                                              .stdin_fd = -1,
                                              .stdout_fd = null,
                                              .stderr_fd = null},
                       &rig_err));
    ck_ok(channel_collect(rig.ch, null, 1000, &rig_err));
    expect_nothing_before_log(&rig);
    ck_assert_int_eq(channel_sync(rig.ch, &rig_err), -1);
    ck_assert_int_eq(channel_resume(rig.ch, &rig_err), -1); /* not held yet */
    send_synced(&rig, WIRE_SYNC_ERROR);
    ck_assert_uint_eq(expect_event(&rig, CHANNEL_SYNCED).how, WIRE_SYNC_ERROR);
    ck_assert_int_eq(channel_hello(rig.ch, &(struct channel_hello){0}, &rig_err), -1);
    ck_ok(channel_resume(rig.ch, &rig_err));
    for (unsigned i = 0; i < 7; i++) {
        const uint8_t *p;
        struct wire_header h = guest_recv(&rig, &p);

        ck_assert_msg(i > 0 || h.type == WIRE_RESUME, "%s came first", wire_type_name(h.type));
        seen |= 1u << h.type;
    }
    ck_assert_uint_eq(seen, 1u << WIRE_RESUME | 1u << WIRE_DATA | 1u << WIRE_CREDIT |
                                1u << WIRE_SIGNAL | 1u << WIRE_EXEC | 1u << WIRE_CONFIG |
                                1u << WIRE_COLLECT);
    sync_guest(&rig); /* again */
    close(in[0]);
    close(in[1]);
    rig_close(&rig);
}
END_TEST

static void send_used(struct rig *r, uint64_t cpu_us)
{
    struct wire_used u = {.memory_total_bytes = 1, .disk_free_bytes = WIRE_BYTES_MAX};
    uint8_t raw[WIRE_USED_SIZE];

    u.execs[15].pids = WIRE_PIDS_MAX;
    wire_used_format(raw, &u);
    for (size_t i = 0; i < 8; i++)
        raw[32 + i] = (uint8_t)(cpu_us >> 8 * i);
    guest_send(r, WIRE_USED, 0, raw, sizeof(raw));
}

START_TEST(what_the_guest_says_it_uses_comes_when_asked_once_and_within_bounds)
{
    struct channel_event ev;
    const uint8_t *p;

    rig_open(&rig, 0);
    meet(&rig);
    for (int i = 0; i < 2; i++) {
        ck_ok(channel_usage(rig.ch, &rig_err));
        guest_expect(&rig, WIRE_USAGE, 0, &p);
        ck_ok(channel_usage(rig.ch, &rig_err)); /* asked already: no frame, for SYNC comes next */
        if (i == 1)
            sync_guest(&rig);
        send_used(&rig, 7);
        ev = expect_event(&rig, CHANNEL_USED);
        ck_assert_uint_eq(ev.used.memory_total_bytes, 1);
        ck_assert_uint_eq(ev.used.disk_free_bytes, WIRE_BYTES_MAX);
        ck_assert_uint_eq(ev.used.execs[0].cpu_us, 7);
        ck_assert_uint_eq(ev.used.execs[15].pids, WIRE_PIDS_MAX);
    }
    ck_assert_int_eq(channel_usage(rig.ch, &rig_err), -1); /* a guest that is held is not asked */
    send_used(&rig, 7);
    expect_event(&rig, CHANNEL_TAMPERED);
    rig_close(&rig);
    rig_open(&rig, 0);
    meet(&rig);
    ck_ok(channel_usage(rig.ch, &rig_err));
    send_used(&rig, WIRE_BYTES_MAX + 1);
    expect_event(&rig, CHANNEL_TAMPERED);
    rig_close(&rig);
}
END_TEST

static uint32_t bits(uint32_t a, uint32_t b, uint32_t c)
{
    return wire_exec_bit(a) | wire_exec_bit(b) | wire_exec_bit(c);
}

/* Jobs 3 and 7 with `fd`, and job 5 on a terminal; HELLO has been sent. */
static void adopt(struct rig *r, int fd)
{
    ck_ok(channel_adopt(r->ch, 3, fd, fd, false, 0, &rig_err));
    ck_ok(channel_adopt(r->ch, 5, fd, -1, true, 0, &rig_err));
    ck_ok(channel_adopt(r->ch, 7, fd, fd, false, 0, &rig_err));
    ck_assert_uint_eq(greet_with(r, &(struct channel_hello){.uid = 7}).keep, bits(3, 5, 7));
}

START_TEST(an_adopted_job_goes_on_and_one_that_is_not_there_is_gone)
{
    own_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    char got[8] = "";
    const uint8_t *p;
    int out[2];

    ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
    rig_open(&rig, 0);
    adopt(&rig, out[1]);
    close(out[1]);
    send_kept(&rig, WIRE_READY, WIRE_VERSION, rig.nonce, bits(3, 3, 5));
    expect_event(&rig, CHANNEL_READY);
    ck_assert_uint_eq(expect_event(&rig, CHANNEL_GONE).exec, 7);
    guest_send(&rig, WIRE_DATA, out_of(3), "go", 2);
    guest_send(&rig, WIRE_DATA, wire_stream(3, WIRE_STDERR), "es", 2);
    guest_send(&rig, WIRE_DATA, out_of(5), "on", 2);
    expect_nothing_before_log(&rig);
    for (ssize_t n = 0; n < 6;)
        n += read(out[0], got + n, 6 - (size_t)n);
    ck_assert_ptr_nonnull(strstr(got, "go"));
    ck_assert_ptr_nonnull(strstr(got, "es"));
    ck_assert_ptr_nonnull(strstr(got, "on"));
    ck_ok(channel_signal(rig.ch, 3, SIGTERM, &rig_err));
    guest_expect(&rig, WIRE_SIGNAL, wire_stream(3, WIRE_CONTROL), &p);
    send_exit(&rig, 3, 4);
    ck_assert_uint_eq(expect_event(&rig, CHANNEL_EXIT).exit.code, 4);
    send_exit(&rig, 5, 0);
    ck_assert_uint_eq(expect_event(&rig, CHANNEL_EXIT).exec, 5);
    ck_assert_int_eq(read(out[0], got, 1), 0); /* nobody holds it, not even the job that is gone */
    close(out[0]);
    start(&rig,
          (struct channel_exec){.exec = 7, .stdin_fd = -1, .stdout_fd = null, .stderr_fd = null});
    rig_close(&rig);
}
END_TEST

static void see(const struct wire_seen *m)
{
    uint8_t raw[WIRE_SEEN_HEAD + WIRE_PATH_MAX];

    guest_send(&rig, WIRE_SEEN, wire_stream(5, WIRE_CONTROL), raw,
               (uint32_t)wire_seen_format(raw, m));
}

/* Whoever began it may have wanted all of it. */
START_TEST(an_adopted_job_may_say_what_it_did_to_files)
{
    own_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    rig_open(&rig, 0);
    adopt(&rig, null);
    send_kept(&rig, WIRE_READY, WIRE_VERSION, rig.nonce, bits(3, 5, 7));
    expect_event(&rig, CHANNEL_READY);
    for (uint32_t kind = WIRE_SEEN_WRITTEN; kind <= WIRE_SEEN_EXECUTED; kind++) {
        see(&(struct wire_seen){.kind = kind, .path = (const uint8_t *)"/a", .path_len = 2});
        ck_assert_str_eq(expect_event(&rig, CHANNEL_SEEN).text, "/a");
    }
    see(&(struct wire_seen){.kind = WIRE_SEEN_CANARY, .detail = WIRE_CANARIES_MAX - 1});
    ck_assert_uint_eq(expect_event(&rig, CHANNEL_SEEN).seen.detail, WIRE_CANARIES_MAX - 1);
    see(&(struct wire_seen){.kind = WIRE_SEEN_CANARY, .detail = WIRE_CANARIES_MAX - 1});
    expect_event(&rig, CHANNEL_TAMPERED);
    rig_close(&rig);
}
END_TEST

START_TEST(all_sixteen_may_be_gone)
{
    own_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    rig_open(&rig, 0);
    for (uint32_t exec = 1; exec <= WIRE_EXEC_MAX; exec++)
        ck_ok(channel_adopt(rig.ch, exec, null, null, false, 0, &rig_err));
    ck_assert_uint_eq(greet_with(&rig, &(struct channel_hello){0}).keep, WIRE_EXEC_ALL);
    send_ready(&rig, WIRE_VERSION, rig.nonce);
    expect_event(&rig, CHANNEL_READY);
    for (uint32_t exec = 1; exec <= WIRE_EXEC_MAX; exec++)
        ck_assert_uint_eq(expect_event(&rig, CHANNEL_GONE).exec, exec);
    greet(&rig); /* nothing runs */
    rig_close(&rig);
}
END_TEST

START_TEST(an_adopted_jobs_window_is_whole_and_no_larger)
{
    int out[2];

    ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
    rig_open(&rig, 0);
    adopt(&rig, out[1]);
    send_kept(&rig, WIRE_READY, WIRE_VERSION, rig.nonce, bits(3, 5, 7));
    expect_event(&rig, CHANNEL_READY);
    send_window(&rig, out_of(3));
    expect_nothing_before_log(&rig);
    send_window(&rig, out_of(3));
    expect_event(&rig, CHANNEL_TAMPERED);
    close(out[0]);
    close(out[1]);
    rig_close(&rig);
}
END_TEST

/* What a restored guest may not say, behind READY (kept) or in its place (kept: 0). */
static const struct {
    uint32_t kept;
    uint16_t type;
    uint32_t stream, length;
    const char *word;
} lies[] = {
    {0x1ff, 0, 0, 0, "nobody asked"},     /* one more than was asked for */
    {0xffff0054, 0, 0, 0, "not a READY"}, /* beyond the last */
    {0, WIRE_DATA, 3 << 3 | WIRE_STDOUT, 1, "not legal"},
    {0, WIRE_EXIT, 3 << 3, WIRE_EXIT_SIZE, "not legal"},
    {0x14, WIRE_DATA, 7 << 3 | WIRE_STDOUT, 1, "not legal"}, /* it is not kept */
    {0x14, WIRE_STARTED, 3 << 3, 0, "not legal"},
    {0x14, WIRE_CREDIT, 3 << 3 | WIRE_STDIN, 4, "CREDIT"}, /* there is no stdin */
    {0x14, WIRE_DATA, 5 << 3 | WIRE_STDERR, 1, "terminal"},
};

START_TEST(a_restored_guest_keeps_what_was_asked_for_and_nothing_else)
{
    own_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct channel_event ev;

    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        rig_open(&rig, 0);
        adopt(&rig, null);
        if (lies[i].kept)
            send_kept(&rig, WIRE_READY, WIRE_VERSION, rig.nonce, lies[i].kept);
        memset(junk, lies[i].type == WIRE_CREDIT, sizeof(junk));
        if (lies[i].type)
            guest_send(&rig, lies[i].type, lies[i].stream, junk, lies[i].length);
        do
            while (channel_next(rig.ch, &ev) == 0)
                wait_readable(channel_fd(rig.ch));
        while (ev.type == CHANNEL_READY || ev.type == CHANNEL_GONE);
        ck_assert_msg(ev.type == CHANNEL_TAMPERED && strstr(ev.text, lies[i].word),
                      "lie %zu: event %d %s", i, ev.type, ev.text);
        rig_close(&rig);
    }
}
END_TEST

START_TEST(a_guest_that_was_not_asked_keeps_nothing)
{
    for (int park = 0; park < 2; park++) {
        rig_open(&rig, 0);
        greet_with(&rig, &(struct channel_hello){.park = park});
        send_kept(&rig, park ? WIRE_PARKED : WIRE_READY, WIRE_VERSION, rig.nonce, 1);
        expect_event(&rig, CHANNEL_TAMPERED);
        rig_close(&rig);
    }
}
END_TEST

START_TEST(what_cannot_be_adopted_is_refused)
{
    own_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    rig_open(&rig, 0);
    ck_assert_int_eq(channel_adopt(rig.ch, 0, null, null, false, 0, &rig_err), -1);
    ck_assert_int_eq(channel_adopt(rig.ch, 17, null, null, false, 0, &rig_err), -1);
    ck_assert_int_eq(channel_adopt(rig.ch, 1, -1, null, false, 0, &rig_err), -1);
    ck_assert_int_eq(channel_adopt(rig.ch, 1, null, null, true, 0, &rig_err), -1);
    ck_ok(channel_adopt(rig.ch, 1, null, null, false, 0, &rig_err));
    ck_assert_int_eq(channel_adopt(rig.ch, 1, null, null, false, 0, &rig_err), -1); /* twice */
    ck_assert_int_eq(channel_hello(rig.ch, &(struct channel_hello){.park = true}, &rig_err), -1);
    greet(&rig);
    ck_assert_int_eq(channel_adopt(rig.ch, 2, null, null, false, 0, &rig_err), -1); /* late */
    ck_assert_int_eq(channel_hello(rig.ch, &(struct channel_hello){0}, &rig_err), -1);
    rig_close(&rig);
}
END_TEST

SUITE("hold", a_held_guest_gets_no_frame_and_nothing_is_lost,
      what_the_guest_says_it_uses_comes_when_asked_once_and_within_bounds,
      an_adopted_job_goes_on_and_one_that_is_not_there_is_gone,
      an_adopted_job_may_say_what_it_did_to_files, all_sixteen_may_be_gone,
      an_adopted_jobs_window_is_whole_and_no_larger,
      a_restored_guest_keeps_what_was_asked_for_and_nothing_else,
      a_guest_that_was_not_asked_keeps_nothing, what_cannot_be_adopted_is_refused)
