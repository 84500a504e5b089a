/* test_secret_relay: promises of the relay about secrets on their way to the guest. */
#include "base/str.h"
#include "tests/unit/relay_rig.h"

#include <sys/mman.h>

/* A file with this in it, read from its beginning. */
static int file_of(const void *data, size_t len)
{
    int fd = memfd_create("secret", MFD_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static void begin(struct rig *r, uint32_t exec, const struct channel_secret *secrets, size_t n)
{
    own_close int config = file_of(CONFIG_TEXT, strlen(CONFIG_TEXT));
    own_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct wire_exec m;
    struct wire_header h;
    const uint8_t *p;

    ck_ok(channel_exec(r->ch,
                       &(struct channel_exec){.exec = exec,
                                              .config_fd = config,
                                              .config_size = strlen(CONFIG_TEXT),
                                              .stdin_fd = -1,
                                              .stdout_fd = null,
                                              .stderr_fd = null,
                                              .secrets = secrets,
                                              .n_secrets = n,
                                              .uid = 7,
                                              .gid = 8},
                       &rig_err));
    h = guest_expect(r, WIRE_EXEC, wire_stream(exec, WIRE_CONTROL), &p);
    ck_assert_int_eq(wire_exec_parse(p, h.length, &m), 0);
    ck_assert_uint_eq(m.secrets, n);
}

static struct wire_secret expect_secret(struct rig *r, uint32_t exec, const char *name)
{
    struct wire_secret m;
    const uint8_t *p;
    struct wire_header h = guest_expect(r, WIRE_SECRET, wire_stream(exec, WIRE_CONTROL), &p);

    ck_assert_int_eq(wire_secret_parse(p, h.length, &m), 0);
    ck_assert_str_eq(m.name, name);
    ck_assert_uint_eq(m.uid, 7);
    ck_assert_uint_eq(m.gid, 8);
    return m;
}

static void expect_config(struct rig *r, uint32_t exec)
{
    const uint8_t *p;

    guest_expect(r, WIRE_CONFIG, wire_stream(exec, WIRE_CONTROL), &p);
}

START_TEST(secrets_go_in_order_whole_and_before_the_configuration)
{
    own_close int small = file_of("a\0b", 3);
    own_close int large = file_of(junk, WIRE_SECRET_MAX);
    int in[2];
    const struct channel_secret list[] = {
        {"A", small, false}, {"B", large, false}, {"C", -1, true}};
    struct channel_secret all[3];
    struct wire_secret m;

    memcpy(all, list, sizeof(all));
    ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
    all[2].fd = in[0];
    rig_open(&rig, 0);
    meet(&rig);
    begin(&rig, 3, all, 3);
    m = expect_secret(&rig, 3, "A");
    ck_assert_uint_eq(m.value_len, 3);
    ck_assert_mem_eq(m.value, "a\0b", 3);
    ck_assert_uint_eq(m.flags, 0);
    ck_assert_uint_eq(expect_secret(&rig, 3, "B").value_len, WIRE_SECRET_MAX);
    /* A pipe is read to its end, however it comes, and nothing else waits for that. */
    ck_assert_int_eq(write(in[1], "to", 2), 2);
    expect_nothing_before_log(&rig);
    ask(&rig,
        (struct channel_exec){.exec = 1, .stdin_fd = -1, .stdout_fd = in[1], .stderr_fd = in[1]});
    ck_assert_int_eq(write(in[1], "ken", 3), 3);
    close(in[0]);
    /* The relay holds the other end of it as a job's stdout: that job goes first. */
    guest_send(&rig, WIRE_STARTED, wire_stream(1, WIRE_CONTROL), NULL, 0);
    expect_event(&rig, CHANNEL_STARTED);
    send_exit(&rig, 1, 0);
    expect_event(&rig, CHANNEL_EXIT);
    close(in[1]);
    m = expect_secret(&rig, 3, "C");
    ck_assert_uint_eq(m.value_len, 5);
    ck_assert_mem_eq(m.value, "token", 5);
    ck_assert_uint_eq(m.flags, WIRE_SECRET_ENV);
    expect_config(&rig, 3);
    rig_close(&rig);
}
END_TEST

START_TEST(a_secret_that_cannot_be_had_is_told_and_the_job_not_started)
{
    const struct {
        int fd;
        bool env;
        const char *word;
    } rows[] = {{file_of("", 0), false, "is empty"},
                {file_of(junk, WIRE_SECRET_MAX + 1), false, "is over"},
                {file_of("a\0b", 3), true, "NUL"},
                {open("/", O_RDONLY | O_CLOEXEC), false, "cannot be read"}};
    const uint8_t why[4] = {WIRE_WHY_RUNTIME};

    rig_open(&rig, 0);
    meet(&rig);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own_close int good = file_of("good", 4);
        const struct channel_secret list[] = {{"A", rows[i].fd, rows[i].env}, {"B", good, false}};
        struct channel_event ev;

        begin(&rig, 2, list, 2);
        ck_assert_uint_eq(expect_secret(&rig, 2, "A").value_len, 0);
        ck_assert_uint_eq(expect_secret(&rig, 2, "B").value_len, 0);
        expect_config(&rig, 2);
        ev = expect_event(&rig, CHANNEL_HOST_FAILED);
        ck_assert_uint_eq(ev.exec, 2);
        ck_assert_msg(strstr(ev.text, "secret 'A'") && strstr(ev.text, rows[i].word), "%s",
                      ev.text);
        guest_send(&rig, WIRE_UNSTARTED, wire_stream(2, WIRE_CONTROL), why, sizeof(why));
        expect_event(&rig, CHANNEL_UNSTARTED);
        close(rows[i].fd);
    }
    rig_close(&rig);
}
END_TEST

START_TEST(a_job_that_is_not_wanted_any_more_does_not_wait_for_its_secret)
{
    own_close int good = file_of("good", 4);
    struct channel_secret slow = {"SLOW", -1, false}, other = {"GOOD", good, false};
    int in[2];

    ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
    slow.fd = in[0];
    rig_open(&rig, 0);
    meet(&rig);
    begin(&rig, 1, &slow, 1); /* nobody ever writes */
    begin(&rig, 2, &other, 1);
    ck_assert_uint_eq(expect_secret(&rig, 2, "GOOD").value_len, 4);
    expect_config(&rig, 2);
    ck_ok(channel_drop(rig.ch, 1, &rig_err));
    ck_assert_uint_eq(expect_secret(&rig, 1, "SLOW").value_len, 0);
    expect_config(&rig, 1);
    close(in[0]);
    close(in[1]);
    rig_close(&rig);
}
END_TEST

START_TEST(a_pipe_that_is_slow_in_the_middle_holds_up_no_other_jobs_secret)
{
    own_close int good = file_of("good", 4);
    struct channel_secret slow = {"SLOW", -1, false}, other = {"GOOD", good, false};
    struct wire_secret m;
    int in[2];

    ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
    slow.fd = in[0];
    rig_open(&rig, 0);
    meet(&rig);
    ck_assert_int_eq(write(in[1], "be", 2), 2);
    begin(&rig, 1, &slow, 1);
    /* The relay has the first part of it. */
    while (poll(&(struct pollfd){.fd = in[0], .events = POLLIN}, 1, 0) == 1)
        expect_nothing_before_log(&rig);
    begin(&rig, 2, &other, 1);
    m = expect_secret(&rig, 2, "GOOD");
    ck_assert_uint_eq(m.value_len, 4);
    ck_assert_mem_eq(m.value, "good", 4);
    expect_config(&rig, 2);
    close(in[0]);
    ck_assert_int_eq(write(in[1], "gun", 3), 3);
    close(in[1]);
    m = expect_secret(&rig, 1, "SLOW");
    ck_assert_uint_eq(m.value_len, 5);
    ck_assert_mem_eq(m.value, "begun", 5);
    expect_config(&rig, 1);
    rig_close(&rig);
}
END_TEST

/* What a guest may not say while its host still sends secrets, or at all. */
START_TEST(a_guest_that_speaks_too_early_or_sends_one_is_tampering)
{
    static const uint16_t types[] = {WIRE_STARTED, WIRE_EXIT, WIRE_SECRET, WIRE_UNSTARTED};
    uint8_t head[WIRE_SECRET_HEAD];
    struct wire_secret m = {.name = "A"};

    wire_secret_format(head, &m);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        const size_t sizes[] = {0, WIRE_EXIT_SIZE, sizeof(head), 4};
        struct channel_secret slow = {"SLOW", -1, false};
        int in[2];

        ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
        slow.fd = in[0];
        rig_open(&rig, 0);
        meet(&rig);
        begin(&rig, 1, &slow, 1);
        guest_send(&rig, types[i], wire_stream(1, WIRE_CONTROL), head, sizes[i]);
        expect_event(&rig, CHANNEL_TAMPERED);
        close(in[0]);
        close(in[1]);
        rig_close(&rig);
    }
}
END_TEST

START_TEST(values_lie_in_locked_memory_that_no_core_file_has)
{
    char path[64], line[512];
    bool in_one = false, found = false;
    FILE *f;

    rig_open(&rig, 0);
    meet(&rig);
    snprintf(path, sizeof(path), "/proc/%d/smaps", channel_relay_pid(rig.ch));
    f = fopen(path, "re");
    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof(line), f)) {
        if (strncmp(line, "Size:", 5) == 0)
            in_one = strtoul(line + 5, NULL, 10) * 1024 >= WIRE_SECRET_MAX * WIRE_EXEC_MAX;
        if (strncmp(line, "VmFlags:", 8) == 0)
            found |= in_one && strstr(line, " dd") && strstr(line, " lo");
    }
    fclose(f);
#ifdef __SANITIZE_ADDRESS__
    found = true; /* its runtime makes mlock(2) do nothing */
#endif
    ck_assert_msg(found, "no locked mapping that is kept out of core files");
    rig_close(&rig);
}
END_TEST

/* A sanitizer's runtime maps more than can be searched. */
#ifdef __SANITIZE_ADDRESS__
#define SEARCHABLE 0
#else
#define SEARCHABLE 1
#endif

/* How often `text` is in the memory that this process can write to; -1: we cannot look. */
static int times_in_memory(pid_t pid, const char *text)
{
    own_free char *maps_path = str_printf("/proc/%d/maps", (int)pid);
    own_free char *mem_path = str_printf("/proc/%d/mem", (int)pid);
    own_close int mem = SEARCHABLE ? open(mem_path, O_RDONLY | O_CLOEXEC) : -1;
    FILE *maps = fopen(maps_path, "re");
    char line[512], *dash, *mode;
    int n = 0;

    ck_assert_ptr_nonnull(maps);
    while (mem >= 0 && fgets(line, sizeof(line), maps)) {
        unsigned long at = strtoul(line, &dash, 16), end = strtoul(dash + 1, &mode, 16);

        if (strncmp(mode, " rw", 3) != 0)
            continue;
        for (char part[4096 + 64]; at < end; at += 4096) { /* it may lie across two pages */
            ssize_t len = pread(mem, part, 4096 + strlen(text) - 1, (off_t)at);

            n += len > 0 && memmem(part, (size_t)len, text, strlen(text)) != NULL;
        }
    }
    fclose(maps);
    return mem < 0 ? -1 : n;
}

START_TEST(a_value_that_was_sent_is_nowhere_in_the_relay_any_more)
{
    static const char front[] = "a value of which there is one copy";
    struct channel_secret key = {"KEY", -1, false};
    pid_t relay;
    int in[2];

    ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
    key.fd = in[0];
    rig_open(&rig, 0);
    meet(&rig);
    relay = channel_relay_pid(rig.ch);
    ck_assert_int_eq(write(in[1], front, strlen(front)), strlen(front));
    begin(&rig, 1, &key, 1);
    while (poll(&(struct pollfd){.fd = in[0], .events = POLLIN}, 1, 0) == 1)
        expect_nothing_before_log(&rig);
    close(in[0]);
    if (times_in_memory(relay, front) >= 0) {
        ck_assert_int_eq(times_in_memory(relay, front), 1);
        close(in[1]);
        ck_assert_uint_eq(expect_secret(&rig, 1, "KEY").value_len, strlen(front));
        expect_config(&rig, 1);
        expect_nothing_before_log(&rig);
        ck_assert_int_eq(times_in_memory(relay, front), 0);
    }
    rig_close(&rig);
}
END_TEST

SUITE("secret_relay", a_value_that_was_sent_is_nowhere_in_the_relay_any_more,
      secrets_go_in_order_whole_and_before_the_configuration,
      a_secret_that_cannot_be_had_is_told_and_the_job_not_started,
      a_job_that_is_not_wanted_any_more_does_not_wait_for_its_secret,
      a_pipe_that_is_slow_in_the_middle_holds_up_no_other_jobs_secret,
      a_guest_that_speaks_too_early_or_sends_one_is_tampering,
      values_lie_in_locked_memory_that_no_core_file_has)
