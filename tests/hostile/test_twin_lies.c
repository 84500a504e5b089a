/*
 * test_twin_lies: promises about what the manager believes of a relay, unpack, gateway or look that
 * a guest has taken over (twin.h): nothing that could not be so.
 */
#include "tests/hostile/twin_rig.h"

#include "channel/unpack.h"
#include "channel/unpack_record.h"
#include "gateway/gateway.h"
#include "look/look.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

static void open_twin(struct rig *r, uint32_t what)
{
    struct twin_ask ask = {.mode = TWIN_LIE, .what = what};
    own_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct channel_config c = {
        .relay_path = TWIN_RELAY_PATH, .console_fd = null, .console_log_fd = null};
    int channel[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel), 0);
    c.channel_fd = channel[0];
    ck_ok(channel_open(&c, &r->ch, &rig_err));
    close(channel[0]);
    r->guest = channel[1];
    guest_raw(r, &ask, sizeof(ask));
}

START_TEST(a_relay_that_lies_is_not_believed)
{
    static const enum twin_lie lies[] = {LIE_SHORT,  LIE_LONG, LIE_TYPE,     LIE_TEXT,
                                         LIE_NO_NUL, LIE_EXEC, LIE_NOT_ASKED};

    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct channel_event ev;

        open_twin(&rig, lies[i]);
        expect_event(&rig, CHANNEL_TAMPERED);
        ck_assert_int_eq(channel_next(rig.ch, &ev), 0);
        channel_close(rig.ch);
        close(rig.guest);
    }
}
END_TEST

START_TEST(fds_that_a_relay_sends_are_dropped)
{
    size_t before = suite_count_fds();

    open_twin(&rig, LIE_FDS);
    expect_event(&rig, CHANNEL_LOG);
    expect_event(&rig, CHANNEL_LOG);
    ck_assert_uint_eq(suite_count_fds(), before + 2); /* the two of the rig */
    channel_close(rig.ch);
    close(rig.guest);
}
END_TEST

START_TEST(a_relay_that_ends_or_takes_no_command_is_told)
{
    struct channel_event ev;

    open_twin(&rig, LIE_END);
    expect_event(&rig, CHANNEL_LOG);
    for (int i = 0; i < 100000 && channel_hello(rig.ch, &(struct channel_hello){0}, &rig_err) == 0;)
        i++;
    ck_assert_int_eq(rig_err.class, ERR_GUEST); /* after its deadline */
    kill(channel_relay_pid(rig.ch), SIGKILL);
    expect_event(&rig, CHANNEL_LOST);
    ck_assert_int_eq(channel_next(rig.ch, &ev), 0);
    channel_close(rig.ch);
    close(rig.guest);
}
END_TEST

static pid_t start_gateway(uint32_t lie, struct gateway **ret)
{
    const struct twin_ask ask = {.mode = TWIN_LIE, .what = lie};
    int control;
    pid_t pid;

    ck_ok(gateway_start(TWIN_GATEWAY_PATH, NULL, &control, &pid, &rig_err));
    ck_assert_int_eq(send(control, &ask, sizeof(ask), MSG_NOSIGNAL), sizeof(ask));
    *ret = gateway_new(control);
    return pid;
}

/* The first event of one that lies so. */
static struct gateway_event next_of_gateway(uint32_t lie)
{
    struct gateway_event ev;
    struct gateway *g;
    pid_t pid = start_gateway(lie, &g);

    wait_readable(gateway_fd(g));
    ck_assert_int_eq(gateway_next(g, &ev), 1);
    gateway_free(g);
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    return ev;
}

static void count_made(void *arg, const char *name, uint64_t bytes, const char *sha256)
{
    (void)name;
    (void)bytes;
    (void)sha256;
    ++*(uint32_t *)arg;
}

START_TEST(an_unpack_that_lies_is_not_believed)
{
    static const enum twin_lie lies[] = {LIE_SHORT,     LIE_LONG,   LIE_TYPE,
                                         LIE_TEXT,      LIE_NO_NUL, LIE_EXEC,
                                         LIE_NOT_ASKED, LIE_FLOOD,  LIE_FLOOD_OF_FILES};
    const struct strv nobody = {0};

    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        own_close int spool = spool_of((struct twin_ask){TWIN_LIE, lies[i], 0});
        uint32_t made = 0;
        const struct unpack_list list = {count_made, &made};
        struct unpack_result res;
        char top[32];
        own_close int out = open_out(top);

        ck_assert_int_eq(unpack_listed(TWIN_UNPACK_PATH, spool, out, &nobody, 4096, 10000, &list,
                                       &res, &rig_err),
                         -1);
        ck_assert_msg(rig_err.class == ERR_PROTOCOL, "lie %d: %s", lies[i], rig_err.text);
        ck_assert_uint_eq(made, lies[i] == LIE_FLOOD_OF_FILES ? UNPACK_MADE_MAX : 0);
        ck_ok(file_remove_tree(AT_FDCWD, top, &rig_err));
    }
}
END_TEST

START_TEST(an_unpack_that_ends_at_once_is_told)
{
    own_close int spool = spool_of((struct twin_ask){TWIN_TRY, 0, getpid()});
    struct unpack_result res;
    char top[32];
    own_close int out = open_out(top);

    ck_assert_int_eq(unpack_run(TWIN_UNPACK_PATH, spool, out, 4096, 10000, &res, &rig_err), -1);
    ck_assert_int_eq(rig_err.class, ERR_HOST);
    ck_assert_int_eq(waitpid(-1, NULL, 0), -1); /* nobody is left */
    ck_ok(file_remove_tree(AT_FDCWD, top, &rig_err));
}
END_TEST

START_TEST(a_gateway_that_lies_is_not_believed)
{
    static const enum twin_lie lies[] = {LIE_SHORT,  LIE_LONG, LIE_TYPE,     LIE_TEXT,
                                         LIE_NO_NUL, LIE_EXEC, LIE_NOT_ASKED};

    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        const struct gateway_event ev = next_of_gateway(lies[i]);

        ck_assert_msg(ev.type == GATEWAY_LOST && strstr(ev.text, "what is not an event"),
                      "lie %d: type %u, '%s'", lies[i], ev.type, ev.text);
    }
    size_t before = suite_count_fds();

    ck_assert_uint_eq(next_of_gateway(LIE_FDS).type, GATEWAY_TRY);
    ck_assert_uint_eq(suite_count_fds(), before);
}
END_TEST

/* Of what is passed over there is always one more. */
START_TEST(a_gateway_that_talks_without_end_takes_nobodys_turn)
{
    struct gateway_event ev;
    struct gateway *g;
    pid_t pid = start_gateway(LIE_FLOOD, &g);

    for (int i = 0; i < 8; i++) {
        wait_readable(gateway_fd(g));
        ck_assert_int_eq(gateway_next(g, &ev), 0);
    }
    gateway_free(g);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
END_TEST

/* Of its flood there is no more than a list has room for. */
START_TEST(a_look_that_lies_is_not_believed)
{
    static const enum twin_lie lies[] = {LIE_SHORT, LIE_TYPE,      LIE_TEXT, LIE_NO_NUL,
                                         LIE_EXEC,  LIE_NOT_ASKED, LIE_FLOOD};

    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        own_close int disk = spool_of((struct twin_ask){TWIN_LIE, lies[i], 0});
        own_close int rows = memfd_create("rows", MFD_CLOEXEC);
        struct look_result r;
        struct stat st;
        int rc = look_diff(TWIN_LOOK_PATH, -1, disk, rows, -1, 0, 60000, &r, &rig_err);

        ck_assert_msg(rc < 0 && rig_err.class == (lies[i] == LIE_FLOOD ? ERR_HOST : ERR_PROTOCOL),
                      "lie %d: %d, %s", lies[i], rc, rig_err.text);
        ck_assert_int_eq(fstat(rows, &st), 0);
        ck_assert_uint_le((uint64_t)st.st_size,
                          (LOOK_ROWS_MAX + 1ull) * (LOOK_HEADER_SIZE + LOOK_PATH_MAX));
    }
}
END_TEST

SUITE("twin_lies", a_relay_that_lies_is_not_believed, fds_that_a_relay_sends_are_dropped,
      a_relay_that_ends_or_takes_no_command_is_told, an_unpack_that_lies_is_not_believed,
      an_unpack_that_ends_at_once_is_told, a_gateway_that_lies_is_not_believed,
      a_gateway_that_talks_without_end_takes_nobodys_turn, a_look_that_lies_is_not_believed)
