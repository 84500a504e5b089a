/* test_secret: promises of the guest agent about what the host gives to one job alone. */
#include "tests/peer/peer.h"
#include "tests/unit/suite.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONTROL(exec) wire_stream(exec, WIRE_CONTROL)

static void send_exec(struct peer *pe, uint32_t exec, uint32_t secrets, const char *command)
{
    const struct wire_exec m = {.config_size = (uint32_t)strlen(command), .secrets = secrets};
    uint8_t raw[WIRE_EXEC_SIZE];

    wire_exec_format(raw, &m);
    peer_send(pe, WIRE_EXEC, CONTROL(exec), raw, sizeof(raw));
}

static void send_config(struct peer *pe, uint32_t exec, const char *command)
{
    peer_send(pe, WIRE_CONFIG, CONTROL(exec), command, strlen(command));
}

/* The files are this user's: the peer's id base is 0. */
static void send_secret(struct peer *pe, uint32_t exec, uint32_t flags, const char *name,
                        const void *value, size_t len)
{
    struct wire_secret m = {.flags = flags, .uid = geteuid() & 0xffff, .gid = getegid() & 0xffff};
    static uint8_t raw[WIRE_SECRET_HEAD + WIRE_SECRET_MAX];

    (void)snprintf(m.name, sizeof(m.name), "%s", name);
    wire_secret_format(raw, &m);
    memcpy(raw + WIRE_SECRET_HEAD, value, len);
    peer_send(pe, WIRE_SECRET, CONTROL(exec), raw, WIRE_SECRET_HEAD + len);
}

static void path_of(const struct peer *pe, const char *name, char ret[128])
{
    (void)snprintf(ret, 128, "%s/secrets/1%s%s", pe->dir, *name ? "/" : "", name);
}

START_TEST(a_file_is_the_jobs_alone_and_goes_with_it)
{
    static char out[WIRE_SECRET_MAX + 1], large[WIRE_SECRET_MAX];
    struct peer_frame f;
    struct wire_exit ex;
    struct stat st;
    char path[128], command[160];
    struct peer pe;

    peer_open(&pe, NULL);
    peer_meet(&pe);
    path_of(&pe, "B", path);
    (void)snprintf(command, sizeof(command), "cat\n%s", path);
    for (int i = 0; i < 2; i++) { /* of the same number too */
        memset(large, 'x' + i, sizeof(large));
        send_exec(&pe, 1, 2, command);
        send_secret(&pe, 1, 0, "A", "a", 1);
        send_secret(&pe, 1, 0, "B", large, sizeof(large));
        send_config(&pe, 1, command);
        peer_expect(&pe, WIRE_STARTED, &f);
        ck_assert_uint_eq(peer_finish(&pe, 1, out, sizeof(out), &ex), sizeof(large));
        ck_assert_mem_eq(out, large, sizeof(large));
        path_of(&pe, "", path);
        ck_assert_int_eq(stat(path, &st), -1);
        path_of(&pe, "B", path);
    }
    /* While it is there. */
    send_exec(&pe, 1, 1, "sleep\n100");
    send_secret(&pe, 1, 0, "B", "b", 1);
    send_config(&pe, 1, "sleep\n100");
    peer_expect(&pe, WIRE_STARTED, &f);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode, S_IFREG | 0400);
    peer_meet(&pe); /* another host end: the job is aborted */
    ck_assert_int_eq(stat(path, &st), -1);
    peer_close(&pe);
}
END_TEST

START_TEST(a_variable_is_in_the_environment_and_nowhere_else)
{
    static const char command[] = "sh\n-c\nenv; exec env A=set sh -c 'echo \"$B\"'";
    char out[4096];
    struct peer_frame f;
    struct wire_exit ex;
    struct stat st;
    struct peer pe;
    char path[128];
    size_t n;

    peer_open(&pe, NULL);
    peer_meet(&pe);
    send_exec(&pe, 1, 2, command);
    send_secret(&pe, 1, WIRE_SECRET_ENV, "B", "b b", 3);
    send_secret(&pe, 1, WIRE_SECRET_ENV, "PEER", "x=y", 3);
    send_config(&pe, 1, command);
    peer_expect(&pe, WIRE_STARTED, &f);
    path_of(&pe, "", path);
    ck_assert_int_eq(stat(path, &st), -1);
    n = peer_finish(&pe, 1, out, sizeof(out) - 1, &ex);
    out[n] = '\0';
    ck_assert_ptr_nonnull(strstr(out, "B=b b\n"));
    ck_assert_ptr_nonnull(strstr(out, "PEER=x=y\n"));
    ck_assert_str_eq(out + n - 4, "b b\n");
    /* The next one has it not. */
    peer_exec(&pe, 1, 0, "env");
    peer_expect(&pe, WIRE_STARTED, &f);
    n = peer_finish(&pe, 1, out, sizeof(out) - 1, &ex);
    out[n] = '\0';
    ck_assert_ptr_null(strstr(out, "PEER="));
    peer_close(&pe);
}
END_TEST

START_TEST(without_all_of_them_the_job_does_not_start)
{
    static const struct {
        uint32_t flags;
        const char *value;
        size_t len;
    } rows[] = {{0, "", 0}, {WIRE_SECRET_ENV, "", 0}, {WIRE_SECRET_ENV, "a\0b", 3}};
    struct wire_unstarted m;
    struct peer_frame f;
    struct stat st;
    struct peer pe;
    char path[128];

    peer_open(&pe, NULL);
    peer_meet(&pe);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        send_exec(&pe, 1, 3, "true");
        send_secret(&pe, 1, 0, "A", "a", 1);
        send_secret(&pe, 1, rows[i].flags, "B", rows[i].value, rows[i].len);
        send_secret(&pe, 1, 0, "C", "c", 1);
        send_config(&pe, 1, "true");
        peer_expect(&pe, WIRE_UNSTARTED, &f);
        ck_assert_int_eq(wire_unstarted_parse(f.p, f.h.length, &m), 0);
        ck_assert_uint_eq(m.why, WIRE_WHY_RUNTIME);
        path_of(&pe, "", path);
        ck_assert_int_eq(stat(path, &st), -1);
    }
    peer_close(&pe);
}
END_TEST

/* Each ends the session; `before` secrets are announced. */
START_TEST(a_secret_comes_once_in_its_place_and_as_it_was_announced)
{
    static const struct {
        const char *what;
        uint32_t announced;
        const char *first, *second; /* names; NULL: not sent */
        bool config_between, config_first;
        size_t len;
    } rows[] = {
        {"not announced", 0, "A", NULL, false, false, 1},
        {"too many", 1, "A", "B", false, false, 1},
        {"twice", 2, "A", "A", false, false, 1},
        {"configuration too early", 2, "A", "B", true, false, 1},
        {"after the configuration", 1, "A", NULL, false, true, 1},
        {"a name that leaves the folder", 1, "../A", NULL, false, false, 1},
        {"more announced than there may be", WIRE_SECRETS_MAX + 1, NULL, NULL, false, false, 1},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct peer pe;
        int how;

        peer_open(&pe, NULL);
        peer_meet(&pe);
        send_exec(&pe, 1, rows[i].announced, "true");
        if (rows[i].config_first)
            send_config(&pe, 1, "t");
        if (rows[i].first)
            send_secret(&pe, 1, 0, rows[i].first, "a", rows[i].len);
        if (rows[i].config_between)
            send_config(&pe, 1, "t");
        if (rows[i].second)
            send_secret(&pe, 1, 0, rows[i].second, "a", rows[i].len);
        how = peer_wait(&pe);
        ck_assert_msg(how == PEER_PROTOCOL, "%s: %d", rows[i].what, how);
        peer_close(&pe);
    }
}
END_TEST

SUITE("secret", a_file_is_the_jobs_alone_and_goes_with_it,
      a_variable_is_in_the_environment_and_nowhere_else, without_all_of_them_the_job_does_not_start,
      a_secret_comes_once_in_its_place_and_as_it_was_announced)
