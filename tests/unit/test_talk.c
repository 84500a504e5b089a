/* test_talk: promises of what a sandbox's keeper takes from a client. UNTRUSTED: the client. */
#include "base/file.h"
#include "base/own.h"
#include "run/talk.h"
#include "tests/unit/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SEALS    (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* Sends `len` bytes with `n_fds` fds through a socket pair; what the keeper's end makes of it. */
static int through(const void *data, size_t len, size_t n_fds, bool busy, struct talk_request *ret)
{
    int pair[2], fds[TALK_FDS_MAX], many[2 * TALK_FDS_MAX], rc;
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
    union {
        struct cmsghdr h;
        char space[CMSG_SPACE(sizeof(many))];
    } control = {.h = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    size_t n = 0;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    for (size_t i = 0; i < COUNT(many); i++)
        many[i] = pair[0];
    if (n_fds > 0) {
        control.h.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(&control.h), many, n_fds * sizeof(int));
        m.msg_control = control.space;
        m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
    }
    ck_assert_int_eq(sendmsg(pair[0], &m, 0), (ssize_t)len);
    rc = talk_take_request(pair[1], busy, ret, fds, &n);
    for (size_t i = 0; rc == 1 && i < n; i++)
        close(fds[i]);
    close(pair[0]);
    close(pair[1]);
    return rc;
}

static const struct {
    struct talk_request r;
    size_t n_fds;
    bool busy;
} legal[] = {
    {{.what = TALK_EXEC, .n_args = 1}, 3, false},
    {{.what = TALK_EXEC, .n_args = 1, .n_env = 2, .timeout_ms = 1, .max_bytes = 1}, 3, false},
    {{.what = TALK_EXEC, .flags = TALK_STDIN, .n_args = 1}, 4, false},
    {{.what = TALK_EXEC, .flags = TALK_TTY, .rows = 24, .cols = 80, .n_args = 1}, 2, false},
    {{.what = TALK_EXEC, .flags = TALK_TTY | TALK_STDIN, .n_args = 1}, 3, false},
    {{.what = TALK_SIGNAL, .signo = 64}, 0, true},
    {{.what = TALK_RESIZE, .rows = 1, .cols = 1}, 0, true},
    {{.what = TALK_LIST}, 0, false},
    {{.what = TALK_EXEC, .flags = TALK_DETACH, .n_args = 1}, 1, false},
    {{.what = TALK_KILL, .serial = UINT32_MAX, .signo = 1}, 0, false},
    {{.what = TALK_WAIT, .serial = 1}, 0, false},
    {{.what = TALK_PAUSE}, 0, false},
    {{.what = TALK_RESUME}, 0, false},
    {{.what = TALK_DOWN}, 0, false},
    {{.what = TALK_STATS}, 0, false},
    {{.what = TALK_EXEC, .flags = TALK_MARK, .n_args = 1, .name = "before"}, 3, false},
    {{.what = TALK_EXEC, .flags = TALK_MARK | TALK_BACK, .n_args = 1}, 3, false},
    {{.what = TALK_EXEC, .flags = TALK_DISCARD | TALK_MARK | TALK_TTY, .n_args = 1}, 2, false},
    {{.what = TALK_EXEC, .flags = TALK_DETACH | TALK_MARK | TALK_BACK, .n_args = 1}, 1, false},
    {{.what = TALK_EXEC, .flags = TALK_TAKE | TALK_DISCARD | TALK_STDIN, .n_args = 1}, 4, false},
    {{.what = TALK_SNAPSHOT}, 0, false},
    {{.what = TALK_SNAPSHOT, .name = "a.b_c-1"}, 0, false},
    {{.what = TALK_REVERT}, 0, false},
    {{.what = TALK_REVERT, .name = "a"}, 0, false},
    {{.what = TALK_FORGET, .name = "a"}, 0, false},
    {{.what = TALK_MARKS}, 0, false},
    {{.what = TALK_FORK, .name = "a"}, 0, false},
    {{.what = TALK_FILES}, 0, false},
    {{.what = TALK_EXEC, .n_args = 1, .n_secrets = 2, .n_secret_env = 1}, 6, false},
    {{.what = TALK_EXEC, .flags = TALK_DETACH, .n_args = 1, .n_secrets = 1}, 2, false},
    {{.what = TALK_TOOK, .n_args = 5}, 1, false},
    {{.what = TALK_NETWORK, .n_args = 1}, 1, false},
    {{.what = TALK_NETWORK, .n_args = 1, .n_env = 2, .n_secrets = 2}, 3, false},
};

static bool has_name(uint32_t what)
{
    return what == TALK_EXEC || what == TALK_SNAPSHOT || what == TALK_REVERT ||
           what == TALK_FORGET || what == TALK_FORK;
}

START_TEST(a_request_is_legal_with_its_own_fds_and_in_its_own_time_only)
{
    for (size_t i = 0; i < COUNT(legal); i++) {
        struct talk_request r = legal[i].r, got;

        r.version = TALK_VERSION;
        for (size_t n = 0; n <= 16; n++)
            for (int busy = 0; busy <= 1; busy++) {
                int want = n == legal[i].n_fds && busy == legal[i].busy ? 1 : -1;

                ck_assert_msg(through(&r, sizeof(r), n, busy, &got) == want,
                              "row %zu, %zu fds, busy %d", i, n, busy);
            }
    }
}
END_TEST

START_TEST(a_field_that_is_not_the_requests_own_makes_it_illegal)
{
    for (size_t i = 0; i < COUNT(legal); i++) {
        for (int field = 0; field < 12; field++) {
            struct talk_request r = legal[i].r, got;
            bool exec = r.what == TALK_EXEC, rules = exec || r.what == TALK_NETWORK;

            r.version = TALK_VERSION;
            switch (field) {
            case 0:
                r.version++;
                break;
            case 1:
                r.flags |= exec ? TALK_FLAGS + 1 : TALK_MARK;
                break;
            case 2:
                r.serial = r.what == TALK_KILL || r.what == TALK_WAIT ? 0 : 1;
                break;
            case 3:
                r.signo = r.signo ? 65 : 1;
                break;
            case 4:
                r.rows = exec || r.what == TALK_RESIZE ? r.rows : 1;
                r.what = exec || r.what == TALK_RESIZE ? TALK_WHAT_END : r.what;
                break;
            case 5:
                r.n_args = rules || r.what == TALK_TOOK ? TALK_STRINGS_MAX + 1 : 1;
                break;
            case 6:
                r.n_env = rules ? UINT32_MAX : 1;
                break;
            case 7:
                r.timeout_ms = exec ? 0 : 1;
                r.what = exec ? 0 : r.what;
                break;
            case 10:
                r.n_secrets = rules ? WIRE_SECRETS_MAX + 1 : 1;
                break;
            case 11:
                r.n_secret_env = exec ? UINT32_MAX : 1;
                break;
            case 8:
                snprintf(r.name, sizeof(r.name), "%s", has_name(r.what) ? "a/b" : "a");
                break;
            default:
                r.max_bytes = exec ? 0 : 1;
                r.what = exec ? UINT32_MAX : r.what;
            }
            ck_assert_msg(through(&r, sizeof(r), legal[i].n_fds, legal[i].busy, &got) == -1,
                          "row %zu, field %d", i, field);
        }
    }
}
END_TEST

START_TEST(what_becomes_of_a_sandbox_after_a_command_is_asked_for_without_contradiction)
{
    static const uint32_t refused[] = {TALK_BACK,
                                       TALK_BACK | TALK_DISCARD,
                                       TALK_MARK | TALK_BACK | TALK_DISCARD,
                                       TALK_DETACH | TALK_STDIN,
                                       TALK_TAKE,
                                       TALK_TAKE | TALK_MARK | TALK_BACK,
                                       TALK_TAKE | TALK_MARK | TALK_DISCARD,
                                       TALK_TAKE | TALK_DETACH | TALK_DISCARD,
                                       TALK_FLAGS,
                                       TALK_FLAGS + 1,
                                       UINT32_MAX};
    struct talk_request r = {.version = TALK_VERSION, .what = TALK_EXEC, .n_args = 1}, got;

    for (size_t i = 0; i < COUNT(refused); i++)
        for (size_t n = 0; n <= TALK_FDS_MAX; n++) {
            r.flags = refused[i];
            ck_assert_msg(through(&r, sizeof(r), n, false, &got) == -1, "row %zu, %zu fds", i, n);
        }
}
END_TEST

START_TEST(the_name_of_a_mark_is_one_or_none_and_ends_in_its_field)
{
    static const struct {
        const char *bytes;
        size_t len;
        bool fits;
    } rows[] = {
        {"", 0, true},      {"a", 1, true},    {"a\0", 2, true},  {"a\0b", 3, false},
        {"\0a", 2, false},  {".", 1, false},   {"..", 2, false},  {"../a", 4, false},
        {"a/b", 3, false},  {"a b", 3, false}, {"a\n", 2, false}, {"\xc3\xa4", 2, false},
        {"\xff", 1, false}, {"-a", 2, false},  {"%s", 2, false},  {"a\x1b[m", 5, false},
    };
    static const uint32_t whats[] = {TALK_SNAPSHOT, TALK_REVERT, TALK_FORGET, TALK_FORK};
    struct talk_request r = {.version = TALK_VERSION}, got;

    for (size_t w = 0; w < COUNT(whats); w++) {
        r.what = whats[w];
        for (size_t i = 0; i < COUNT(rows); i++) {
            memset(r.name, 0, sizeof(r.name));
            memcpy(r.name, rows[i].bytes, rows[i].len);
            ck_assert_msg(through(&r, sizeof(r), 0, false, &got) == (rows[i].fits ? 1 : -1),
                          "request %u, row %zu", r.what, i);
        }
        memset(r.name, 'a', sizeof(r.name));
        ck_assert_int_eq(through(&r, sizeof(r), 0, false, &got), -1);
        r.name[MARK_NAME_SIZE - 1] = '\0';
        ck_assert_int_eq(through(&r, sizeof(r), 0, false, &got), 1);
        ck_assert_uint_eq(strlen(got.name), MARK_NAME_SIZE - 1);
    }
}
END_TEST

START_TEST(a_record_of_another_size_is_illegal_and_its_fds_are_closed)
{
    static char raw[4096];
    size_t before = suite_count_fds();
    struct talk_request got;

    for (size_t len = 0; len < sizeof(raw); len = len * 2 + 1)
        for (size_t n = 0; n <= 16; n += 4)
            if (len != sizeof(got))
                ck_assert_int_eq(through(raw, len, n, false, &got), -1);
    ck_assert_uint_eq(suite_count_fds(), before);
}
END_TEST

START_TEST(a_client_that_is_gone_or_silent_is_told_apart)
{
    struct talk_request got;
    int pair[2], fds[TALK_FDS_MAX];
    size_t n;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    ck_assert_int_eq(talk_take_request(pair[1], false, &got, fds, &n), 0);
    close(pair[0]);
    ck_assert_int_eq(talk_take_request(pair[1], false, &got, fds, &n), -1);
    close(pair[1]);
}
END_TEST

START_TEST(a_client_that_takes_no_answer_never_blocks)
{
    static struct talk_answer a = {.version = TALK_VERSION, .said = TALK_DONE};
    int pair[2], sent = 0;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    while (talk_answer(pair[1], &a) == 0)
        ck_assert_int_lt(++sent, 10000);
    ck_assert_int_gt(sent, 1);
    close(pair[0]);
    ck_assert_int_eq(talk_answer(pair[1], &a), -1);
    close(pair[1]);
}
END_TEST

START_TEST(a_command_arrives_as_it_was_packed)
{
    char *words[] = {(char[]){"sh"}, (char[]){""}, (char[]){"a b\n"}, NULL};
    char *vars[] = {(char[]){"A=1"}, NULL};
    const struct strv argv = {.items = words, .n = 3}, env = {.items = vars, .n = 1};
    char *file_names[] = {(char[]){"KEY"}, NULL}, *var_names[] = {(char[]){"TOKEN"}, NULL};
    const struct strv file = {.items = file_names, .n = 1}, var = {.items = var_names, .n = 1};
    const struct talk_request r = {.n_args = 3, .n_env = 1, .n_secrets = 1, .n_secret_env = 1};
    own_command struct talk_command c = {0};
    own_close int fd = -1;
    struct err e;

    ck_assert_int_eq(talk_pack(&(struct talk_words){.argv = &argv,
                                                    .env = &env,
                                                    .secrets = &file,
                                                    .secret_env = &var,
                                                    .workdir = "/tmp"},
                               &fd, &e),
                     0);
    ck_assert_int_eq(talk_unpack(fd, &r, &c, &e), 0);
    ck_assert_str_eq(c.workdir, "/tmp");
    ck_assert_str_eq(c.user, "");
    ck_assert_uint_eq(c.argv.n, 3);
    ck_assert_uint_eq(c.env.n, 1);
    for (size_t i = 0; i < 3; i++)
        ck_assert_str_eq(c.argv.items[i], words[i]);
    ck_assert_str_eq(c.env.items[0], "A=1");
    ck_assert_uint_eq(c.secrets.n, 1);
    ck_assert_str_eq(c.secrets.items[0], "KEY");
    ck_assert_uint_eq(c.secret_env.n, 1);
    ck_assert_str_eq(c.secret_env.items[0], "TOKEN");
}
END_TEST

static int packed(const char *data, size_t len, int seals)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
    ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

START_TEST(a_command_that_could_block_change_or_is_not_what_was_said_is_refused)
{
    static char large[TALK_ARGS_MAX + 1];
    int pipefd[2];
    struct {
        int fd;
        uint32_t n_args, n_env;
    } rows[] = {
        {open("/dev/null", O_RDWR | O_CLOEXEC), 1, 0},
        {open("/proc/self/exe", O_RDONLY | O_CLOEXEC), 1, 0},
        {-1, 1, 0},
        {packed("\0\0x", 4, 0), 1, 0},
        {packed("\0\0x", 4, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 1, 0},
        {packed("\0\0x", 3, SEALS), 1, 0},
        {packed("\0", 1, SEALS), 0, 0},
        {packed("\0\0x", 4, SEALS), 0, 0},
        {packed("\0\0x", 4, SEALS), 2, 0},
        {packed("\0\0x", 4, SEALS), 1, 1},
        {packed("\0\0x", 4, SEALS), UINT32_MAX, 2},
        {packed(large, sizeof(large), SEALS), 1, 0},
    };

    ck_assert_int_eq(pipe2(pipefd, O_CLOEXEC), 0);
    rows[2].fd = pipefd[0];
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct talk_request r = {.n_args = rows[i].n_args, .n_env = rows[i].n_env};
        own_command struct talk_command c = {0};
        struct err e;

        ck_assert_msg(talk_unpack(rows[i].fd, &r, &c, &e) == -1, "row %zu", i);
        ck_assert_int_eq(e.class, ERR_USAGE);
        ck_assert_ptr_null(c.argv.items);
        close(rows[i].fd);
    }
    close(pipefd[1]);
}
END_TEST

START_TEST(a_socket_is_its_owners_and_found_by_its_folder_however_long_its_path)
{
    char dir[300] = "/tmp/lz-talk-XXXXXX";
    own_close int folder = -1, listener = -1, client = -1, peer = -1;
    struct stat st;
    struct err e;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < 3; i++) {
        char name[101];
        int next;

        memset(name, 'a', 100);
        name[100] = '\0';
        ck_assert_int_eq(mkdirat(folder, name, 0700), 0);
        next = openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        close(folder);
        folder = next;
    }
    ck_assert_int_eq(talk_listen(folder, &listener, &e), 0);
    ck_assert_int_eq(fstatat(folder, TALK_SOCKET, &st, AT_SYMLINK_NOFOLLOW), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    ck_assert_int_eq(talk_connect(folder, &client, &e), 0);
    peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    ck_assert_int_ge(peer, 0);
    ck_assert(talk_peer_is_us(peer));
    ck_assert_int_eq(file_remove_tree(AT_FDCWD, dir, &e), 0);
}
END_TEST

SUITE("talk", a_request_is_legal_with_its_own_fds_and_in_its_own_time_only,
      a_field_that_is_not_the_requests_own_makes_it_illegal,
      what_becomes_of_a_sandbox_after_a_command_is_asked_for_without_contradiction,
      the_name_of_a_mark_is_one_or_none_and_ends_in_its_field,
      a_record_of_another_size_is_illegal_and_its_fds_are_closed,
      a_client_that_is_gone_or_silent_is_told_apart, a_client_that_takes_no_answer_never_blocks,
      a_command_arrives_as_it_was_packed,
      a_command_that_could_block_change_or_is_not_what_was_said_is_refused,
      a_socket_is_its_owners_and_found_by_its_folder_however_long_its_path)
