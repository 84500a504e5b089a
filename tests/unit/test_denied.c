/* test_denied: what a guest may say of refusals, and what becomes of it. */
#include "run/denied.h"
#include "tests/unit/relay_rig.h"

#include <string.h>

static void send_row(struct rig *r, uint32_t exec, const struct wire_denied *row)
{
    uint8_t raw[WIRE_DENIED_SIZE];

    guest_send(r, WIRE_DENIED, wire_stream(exec, WIRE_CONTROL), raw, wire_denied_format(raw, row));
}

static void send_denied(struct rig *r, uint32_t exec, uint32_t kind, uint32_t detail,
                        uint64_t count)
{
    send_row(r, exec, &(struct wire_denied){kind, detail, count});
}

static void begin(void)
{
    own_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    rig_open(&rig, 0);
    meet(&rig);
    start(&rig,
          (struct channel_exec){.exec = 1, .stdin_fd = -1, .stdout_fd = null, .stderr_fd = null});
}

static void take_event(struct run_denied *d)
{
    struct channel_event ev = expect_event(&rig, CHANNEL_DENIED);

    denied_add(d, &ev.denied);
}

START_TEST(a_row_is_told_while_the_job_runs_and_once_more_when_it_has_grown)
{
    struct run_denied d = {0};

    begin();
    send_denied(&rig, 1, WIRE_DENIED_CALL, 165, 1);
    take_event(&d);
    send_denied(&rig, 1, WIRE_DENIED_CALL, 101, 2);
    send_denied(&rig, 1, WIRE_DENIED_CALL, 165, 9);
    take_event(&d);
    take_event(&d);
    send_exit(&rig, 1, 0);
    expect_event(&rig, CHANNEL_EXIT);
    ck_assert_uint_eq(d.n, 2);
    ck_assert(d.rows[0].detail == 165 && d.rows[0].count == 9);
    ck_assert(d.rows[1].detail == 101 && d.rows[1].count == 2);
    rig_close(&rig);
}
END_TEST

START_TEST(the_keeper_gets_each_row_before_the_end)
{
    struct channel_event ev;

    begin();
    send_denied(&rig, 1, WIRE_DENIED_CALL, 101, 1);
    send_denied(&rig, 1, WIRE_DENIED_CALL, 165, 1ull << 40);
    send_denied(&rig, 1, WIRE_DENIED_PIDS, 0, 3);
    send_exit(&rig, 1, 0);
    ck_assert_uint_eq(expect_event(&rig, CHANNEL_DENIED).denied.detail, 101);
    ev = expect_event(&rig, CHANNEL_DENIED);
    ck_assert(ev.exec == 1 && ev.denied.kind == WIRE_DENIED_CALL && ev.denied.count == 1ull << 40);
    ck_assert_uint_eq(expect_event(&rig, CHANNEL_DENIED).denied.kind, WIRE_DENIED_PIDS);
    expect_event(&rig, CHANNEL_EXIT);
    rig_close(&rig);
}
END_TEST

/* Each sends its lie to a running job 1; what comes first is legal. */
static const struct {
    uint32_t exec;
    struct wire_denied rows[3];
    bool after_exit;
} lies[] = {
    {1, {{WIRE_DENIED_CALL, 165, 1}, {WIRE_DENIED_CALL, 165, 1}}}, /* twice the same */
    {1, {{WIRE_DENIED_CALL, 165, 2}, {WIRE_DENIED_CALL, 165, 1}}}, /* less than before */
    {1, {{WIRE_DENIED_PIDS, 0, 2}, {WIRE_DENIED_PIDS, 0, 3}, {WIRE_DENIED_PIDS, 0, 4}}}, /* again */
    {1, {{0, 0, 1}}},                                /* no kind */
    {1, {{WIRE_DENIED_KIND_END, 0, 1}}},             /* an unknown one */
    {1, {{WIRE_DENIED_MEMORY, 1, 1}}},               /* detail of none */
    {1, {{WIRE_DENIED_CALL, WIRE_CALL_MAX + 1, 1}}}, /* no call */
    {2, {{WIRE_DENIED_CALL, 1, 1}}},                 /* no job */
    {1, {{WIRE_DENIED_CALL, 1, 1}}, true},           /* too late */
};

START_TEST(a_lie_about_denials_is_tampering)
{
    struct channel_event ev;

    begin();
    if (lies[_i].after_exit)
        send_exit(&rig, 1, 0);
    for (size_t k = 0; k < 3 && (k == 0 || lies[_i].rows[k].count); k++)
        send_denied(&rig, lies[_i].exec, lies[_i].rows[k].kind, lies[_i].rows[k].detail,
                    lies[_i].rows[k].count);
    do { /* after what is legal */
        while (channel_next(rig.ch, &ev) == 0)
            wait_readable(channel_fd(rig.ch));
    } while (ev.type == CHANNEL_DENIED || ev.type == CHANNEL_EXIT);
    ck_assert_int_eq(ev.type, CHANNEL_TAMPERED);
    ck_assert_ptr_nonnull(strstr(ev.text, "DENIED"));
    rig_close(&rig);
}
END_TEST

START_TEST(one_row_more_than_there_may_be_is_tampering)
{
    begin();
    for (uint32_t i = 0; i <= WIRE_DENIED_MAX; i++)
        send_denied(&rig, 1, WIRE_DENIED_CALL, i, 1);
    for (uint32_t i = 0; i < WIRE_DENIED_MAX; i++)
        ck_assert_uint_eq(expect_event(&rig, CHANNEL_DENIED).denied.detail, i);
    expect_event(&rig, CHANNEL_TAMPERED);
    rig_close(&rig);
}
END_TEST

START_TEST(the_first_of_a_kind_has_a_line_unless_ordinary_programs_try_it)
{
    static const struct {
        struct wire_denied row;
        const char *line;
    } rows[] = {
        {{WIRE_DENIED_CALL, 165, 1}, "the job is refused mount (as the guest says)"},
        {{WIRE_DENIED_CALL, 65000, 1}, "the job is refused system call 65000 (as the guest says)"},
        {{WIRE_DENIED_CALL, 330, 1}, NULL}, /* pkey_alloc */
        {{WIRE_DENIED_FOREIGN, 0, 1},
         "the job is refused system calls of another architecture (as the guest says)"},
        {{WIRE_DENIED_MORE, 0, 1}, NULL},
        {{WIRE_DENIED_MEMORY, 0, 1}, NULL}, /* the result has words for it */
    };
    char line[256];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ck_assert_int_eq(denied_first_line(&rows[i].row, line, sizeof(line)), rows[i].line != NULL);
        if (rows[i].line)
            ck_assert_str_eq(line, rows[i].line);
    }
}
END_TEST

START_TEST(the_name_of_a_file_is_shown_escaped_and_cut)
{
    struct wire_denied row = {WIRE_DENIED_FILE, WIRE_FILE_READ | 1, 1, "/a\x1b[2J\xff'"};
    struct run_denied d = {0};
    own_doc struct doc *doc = NULL;
    own_free char *text = NULL;
    char line[WIRE_NAME_MAX + 128];

    begin();
    send_row(&rig, 1, &row);
    take_event(&d);
    row.detail = WIRE_FILE_WRITE | WIRE_FILE_READ | 2;
    memset(row.name, '\n', WIRE_NAME_MAX);
    send_row(&rig, 1, &row);
    take_event(&d);
    ck_assert_uint_le(strlen(d.rows[1].name), WIRE_NAME_MAX);
    ck_assert_int_eq(strncmp(d.rows[1].name, "\\x0a\\x0a", 8), 0);
    ck_assert(denied_first_line(&d.rows[0], line, sizeof(line)));
    ck_assert_str_eq(line, "the job is refused to read '/a\\x1b[2J\\xff'' (as the guest says)");
    d.n = 1;
    doc = denied_to_doc(&d);
    text = doc_format(doc, false);
    ck_assert_str_eq(text, "[{\"kind\":\"file\",\"access\":\"read\","
                           "\"path\":\"/a\\\\x1b[2J\\\\xff'\",\"count\":1}]");
    rig_close(&rig);
}
END_TEST

START_TEST(calls_have_names_and_the_count_is_bounded)
{
    struct run_denied d = {0};
    own_doc struct doc *doc = NULL;
    own_free char *text = NULL;

    denied_add(&d, &(struct wire_denied){WIRE_DENIED_CALL, 165, 3});
    denied_add(&d, &(struct wire_denied){WIRE_DENIED_CALL, 65000, 1});
    denied_add(&d, &(struct wire_denied){WIRE_DENIED_FOREIGN, 0, 2});
    denied_add(&d, &(struct wire_denied){WIRE_DENIED_MEMORY, 0, 4});
    doc = denied_to_doc(&d);
    text = doc_format(doc, false);
    ck_assert_str_eq(text, "[{\"kind\":\"seccomp\",\"call\":\"mount\",\"count\":3},"
                           "{\"kind\":\"seccomp\",\"number\":65000,\"count\":1},"
                           "{\"kind\":\"seccomp-foreign\",\"count\":2},"
                           "{\"kind\":\"memory\",\"count\":4}]");
    for (uint32_t i = 0; i < 2 * WIRE_DENIED_MAX; i++)
        denied_add(&d, &(struct wire_denied){WIRE_DENIED_CALL, i, 1});
    denied_add(&d, &(struct wire_denied){WIRE_DENIED_KIND_END, 0, 1});
    ck_assert_uint_eq(d.n, WIRE_DENIED_MAX);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("denied");

    tcase_add_test(tc, a_row_is_told_while_the_job_runs_and_once_more_when_it_has_grown);
    tcase_add_test(tc, the_keeper_gets_each_row_before_the_end);
    tcase_add_loop_test(tc, a_lie_about_denials_is_tampering, 0, sizeof(lies) / sizeof(lies[0]));
    tcase_add_test(tc, one_row_more_than_there_may_be_is_tampering);
    tcase_add_test(tc, the_first_of_a_kind_has_a_line_unless_ordinary_programs_try_it);
    tcase_add_test(tc, the_name_of_a_file_is_shown_escaped_and_cut);
    tcase_add_test(tc, calls_have_names_and_the_count_is_bounded);
    return suite_run("denied", tc);
}
