/* test_wire: promises of the boundary: frames, messages, the output tree's entries. */
#include "shared/tree.h"
#include "shared/wire.h"
#include "tests/unit/suite.h"

#include <errno.h>
#include <string.h>

static void feed(struct wire_reader *r, const void *data, size_t len)
{
    uint8_t *at;

    ck_assert_uint_ge(wire_reader_space(r, &at), len);
    memcpy(at, data, len);
    wire_reader_commit(r, len);
}

START_TEST(a_frame_comes_out_whole_however_it_arrives)
{
    static struct wire_reader r;
    uint8_t raw[WIRE_HEADER_SIZE + 5];
    struct wire_header in = {.type = WIRE_DATA, .stream = wire_stream(3, WIRE_STDOUT), .length = 5};
    struct wire_header out;
    const uint8_t *p;

    wire_header_format(raw, &in);
    memcpy(raw + WIRE_HEADER_SIZE, "hello", 5);
    wire_reader_init(&r);
    for (size_t i = 0; i < sizeof(raw); i++) {
        ck_assert_int_eq(wire_reader_next(&r, &out, &p), 0);
        feed(&r, raw + i, 1);
    }
    ck_assert_int_eq(wire_reader_next(&r, &out, &p), 1);
    ck_assert_uint_eq(out.type, WIRE_DATA);
    ck_assert_uint_eq(wire_stream_exec(out.stream), 3);
    ck_assert_int_eq(wire_stream_kind(out.stream), WIRE_STDOUT);
    ck_assert_mem_eq(p, "hello", 5);
    ck_assert_int_eq(wire_reader_next(&r, &out, &p), 0);
}
END_TEST

START_TEST(refuses_a_header_that_lies)
{
    static const struct {
        size_t at;
        uint8_t value;
    } lies[] = {{0, 0}, {4, 0},  {4, WIRE_TYPE_END}, {5, 1}, {6, 1}, {8, 7},
                {9, 1}, {14, 1}, {15, 0xff}};
    struct wire_header h = {.type = WIRE_LOG, .length = 1}, out;
    uint8_t raw[WIRE_HEADER_SIZE];

    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        wire_header_format(raw, &h);
        ck_assert_int_eq(wire_header_parse(raw, &out), 0);
        raw[lies[i].at] = lies[i].value;
        /* {14, 1} makes the length 65537 */
        ck_assert_msg(wire_header_parse(raw, &out) == -EBADMSG, "lie %zu", i);
    }
}
END_TEST

START_TEST(every_row_of_the_table_is_legal_in_its_own_cell_only)
{
    for (size_t i = 0; i < wire_n_rules; i++) {
        const struct wire_rule *r = &wire_rules[i];
        enum wire_dir other = r->dirs == WIRE_TO_HOST ? WIRE_TO_GUEST : WIRE_TO_HOST;

        for (unsigned kind = 0; kind < WIRE_KIND_END; kind++) {
            struct wire_header h = {
                .type = r->type, .length = r->min, .stream = wire_stream(r->session ? 0 : 1, kind)};

            if (!(r->kinds & 1u << kind))
                continue;
            for (unsigned state = 1; state < WIRE_STATE_END; state <<= 1)
                ck_assert_int_eq(wire_check(&h, (enum wire_dir)r->dirs, state),
                                 r->states & state ? 0 : -EPROTO);
            ck_assert_int_eq(wire_check(&h, other, WIRE_IN_READY), -EPROTO);
            h.length = r->max + 1;
            ck_assert_int_eq(wire_check(&h, (enum wire_dir)r->dirs, r->states), -EPROTO);
            h.length = r->min;
            h.stream = wire_stream(r->session ? 1 : 0, kind);
            ck_assert_int_eq(wire_check(&h, (enum wire_dir)r->dirs, r->states), -EPROTO);
        }
    }
}
END_TEST

START_TEST(messages_survive_the_way_there_and_back)
{
    uint8_t buf[128];
    struct wire_hello hello = {.version = 7,
                               .flags = WIRE_HELLO_INPUT,
                               .nonce = "nonce",
                               .time_ns = 1ull << 60,
                               .seed = "s",
                               .uid = 65535,
                               .gid = 1,
                               .keep = 0x8001},
                      hello2;
    struct wire_ready ready = {.version = 7, .nonce = "n", .boot_us = 1ull << 50, .kept = 0xffff},
                      ready2;
    struct wire_exit ex = {.signaled = 1,
                           .code = 9,
                           .oom = 2,
                           .cpu_us = 5,
                           .peak_bytes = 1ull << 40,
                           .peak_pids = 1u << 31},
                     ex2;
    struct wire_exec x = {.flags = WIRE_EXEC_TTY,
                          .rows = 24,
                          .cols = 80,
                          .config_size = 2 * WIRE_CANARY_SIZE + 2,
                          .secrets = 3,
                          .canaries = 2,
                          .profile_size = 5},
                     x2;

    wire_hello_format(buf, &hello);
    ck_assert_int_eq(wire_hello_parse(buf, WIRE_HELLO_SIZE, &hello2), 0);
    ck_assert_uint_eq(hello2.version, hello.version);
    ck_assert_mem_eq(hello2.nonce, hello.nonce, sizeof(hello.nonce));
    ck_assert_uint_eq(hello2.time_ns, hello.time_ns);
    ck_assert_mem_eq(hello2.seed, hello.seed, sizeof(hello.seed));
    ck_assert_uint_eq(hello2.flags, hello.flags);
    ck_assert_uint_eq(hello2.uid, hello.uid);
    ck_assert_uint_eq(hello2.gid, hello.gid);
    ck_assert_uint_eq(hello2.keep, hello.keep);
    wire_ready_format(buf, &ready);
    ck_assert_int_eq(wire_ready_parse(buf, WIRE_READY_SIZE, &ready2), 0);
    ck_assert_uint_eq(ready2.boot_us, ready.boot_us);
    ck_assert_uint_eq(ready2.kept, ready.kept);
    ready.kept = 1u << WIRE_EXEC_MAX;
    wire_ready_format(buf, &ready);
    ck_assert_int_eq(wire_ready_parse(buf, WIRE_READY_SIZE, &ready2), -EBADMSG);
    wire_exit_format(buf, &ex);
    ck_assert_int_eq(wire_exit_parse(buf, WIRE_EXIT_SIZE, &ex2), 0);
    ck_assert_uint_eq(ex2.peak_bytes, ex.peak_bytes);
    ck_assert_uint_eq(ex2.peak_pids, ex.peak_pids);
    ck_assert_uint_eq(ex2.code, 9);
    wire_exec_format(buf, &x);
    ck_assert_int_eq(wire_exec_parse(buf, WIRE_EXEC_SIZE, &x2), 0);
    ck_assert_uint_eq(x2.cols, 80);
    ck_assert_uint_eq(x2.secrets, 3);
    ck_assert_uint_eq(x2.canaries, 2);
    ck_assert_uint_eq(x2.profile_size, 5);
}
END_TEST

START_TEST(a_denial_is_one_row_of_a_known_kind)
{
    static const struct {
        struct wire_denied m;
        int want;
    } rows[] = {
        {{WIRE_DENIED_CALL, 165, 1}, 0},
        {{WIRE_DENIED_CALL, WIRE_CALL_MAX, UINT64_MAX}, 0},
        {{WIRE_DENIED_CALL, WIRE_CALL_MAX + 1, 1}, -EBADMSG},
        {{WIRE_DENIED_CALL, 165, 0}, -EBADMSG},
        {{WIRE_DENIED_PIDS, 0, 1}, 0},
        {{WIRE_DENIED_PIDS, 1, 1}, -EBADMSG},
        {{0, 0, 1}, -EBADMSG},
        {{WIRE_DENIED_KIND_END, 0, 1}, -EBADMSG},
        {{WIRE_DENIED_FILE, WIRE_FILE_READ | 1, 1, "/a"}, 0},
        {{WIRE_DENIED_FILE, WIRE_FILE_READ | WIRE_FILE_WRITE | WIRE_FILES_MAX, 1, "\xff\n"}, 0},
        {{WIRE_DENIED_FILE, WIRE_FILE_EXEC | (WIRE_FILES_MAX + 1), 1, "/a"}, -EBADMSG},
        {{WIRE_DENIED_FILE, WIRE_FILE_EXEC, 1, "/a"}, -EBADMSG},
        {{WIRE_DENIED_FILE, 1, 1, "/a"}, -EBADMSG},
        {{WIRE_DENIED_FILE, 2048 | WIRE_FILE_READ | 1, 1, "/a"}, -EBADMSG},
        {{WIRE_DENIED_FILE, WIRE_FILE_READ | 1, 1, ""}, -EBADMSG},
        {{WIRE_DENIED_FILES, 0, 1, ""}, 0},
        {{WIRE_DENIED_ARMOR, 0, 1, "/a"}, -EBADMSG},
    };
    uint8_t buf[WIRE_DENIED_SIZE + 1];
    struct wire_denied m;
    size_t n;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        n = wire_denied_format(buf, &rows[i].m);
        ck_assert_msg(wire_denied_parse(buf, n, &m) == rows[i].want, "row %zu", i);
        if (rows[i].want == 0)
            ck_assert(m.kind == rows[i].m.kind && m.detail == rows[i].m.detail &&
                      m.count == rows[i].m.count && strcmp(m.name, rows[i].m.name) == 0);
    }
    ck_assert_int_eq(wire_denied_parse(buf, WIRE_DENIED_HEAD - 1, &m), -EBADMSG);
    n = wire_denied_format(buf, &(struct wire_denied){WIRE_DENIED_FILE, 257, 1, "/a/b"});
    buf[n - 2] = '\0'; /* a name with two ends */
    ck_assert_int_eq(wire_denied_parse(buf, n, &m), -EBADMSG);
    memset(buf + WIRE_DENIED_HEAD, 'a', WIRE_NAME_MAX);
    ck_assert_int_eq(wire_denied_parse(buf, WIRE_DENIED_SIZE, &m), 0);
    ck_assert_uint_eq(strlen(m.name), WIRE_NAME_MAX);
    ck_assert_int_eq(wire_denied_parse(buf, WIRE_DENIED_SIZE + 1, &m), -EBADMSG);
}
END_TEST

START_TEST(what_was_seen_is_one_row_of_a_known_kind)
{
#define PATH(text) .path = (const uint8_t *)(text), .path_len = sizeof(text) - 1
    static const struct {
        struct wire_seen m;
        int want;
    } rows[] = {
        {{WIRE_SEEN_WRITTEN, .size = WIRE_BYTES_MAX, PATH("/a")}, 0},
        {{WIRE_SEEN_WRITTEN, .size = WIRE_BYTES_MAX + 1, PATH("/a")}, -EBADMSG},
        {{WIRE_SEEN_WRITTEN, PATH("a")}, -EBADMSG},
        {{WIRE_SEEN_WRITTEN, PATH("/a\0b")}, -EBADMSG},
        {{WIRE_SEEN_WRITTEN}, -EBADMSG},
        {{WIRE_SEEN_WRITTEN, .detail = 1, PATH("/a")}, -EBADMSG},
        {{WIRE_SEEN_OPENED, PATH("/a/")}, 0},
        {{WIRE_SEEN_OPENED, .size = 1, PATH("/a")}, -EBADMSG},
        {{WIRE_SEEN_EXECUTED, PATH("/a")}, 0},
        {{WIRE_SEEN_LOST, .size = 1}, 0},
        {{WIRE_SEEN_LOST, .size = 0}, -EBADMSG},
        {{WIRE_SEEN_LOST, .size = 1, PATH("/a")}, -EBADMSG},
        {{WIRE_SEEN_BLIND}, 0},
        {{WIRE_SEEN_BLIND, .size = 1}, -EBADMSG},
        {{WIRE_SEEN_CANARY, .detail = WIRE_CANARY_SOME}, 0},
        {{WIRE_SEEN_CANARY, .detail = WIRE_CANARY_SOME + 1}, -EBADMSG},
        {{WIRE_SEEN_NO_CANARY, PATH("/a")}, -EBADMSG},
        {{0, PATH("/a")}, -EBADMSG},
        {{WIRE_SEEN_KIND_END}, -EBADMSG},
    };
#undef PATH
    static uint8_t buf[WIRE_SEEN_HEAD + WIRE_PATH_MAX + 1];
    struct wire_seen m;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t n = wire_seen_format(buf, &rows[i].m);

        ck_assert_msg(wire_seen_parse(buf, n, &m) == rows[i].want, "row %zu", i);
        if (rows[i].want == 0)
            ck_assert(m.kind == rows[i].m.kind && m.detail == rows[i].m.detail &&
                      m.size == rows[i].m.size && m.path_len == rows[i].m.path_len);
    }
    memset(buf, '/', sizeof(buf));
    wire_seen_format(buf, &(struct wire_seen){WIRE_SEEN_OPENED});
    ck_assert_int_eq(wire_seen_parse(buf, sizeof(buf) - 1, &m), 0);
    ck_assert_int_eq(wire_seen_parse(buf, sizeof(buf), &m), -EBADMSG);
    ck_assert_int_eq(wire_seen_parse(buf, WIRE_SEEN_HEAD - 1, &m), -EBADMSG);
}
END_TEST

START_TEST(refuses_a_hello_out_of_range)
{
    static const struct wire_hello rows[] = {
        {.flags = 4},
        {.flags = WIRE_HELLO_PARK | WIRE_HELLO_INPUT},
        {.flags = UINT32_MAX},
        {.uid = 65536},
        {.gid = 65536},
        {.keep = 1u << WIRE_EXEC_MAX},
        {.flags = WIRE_HELLO_PARK, .keep = 1},
    };
    uint8_t buf[WIRE_HELLO_SIZE];
    struct wire_hello m;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        wire_hello_format(buf, &rows[i]);
        ck_assert_msg(wire_hello_parse(buf, sizeof(buf), &m) == -EBADMSG, "row %zu", i);
    }
    wire_hello_format(buf, &(struct wire_hello){0});
    ck_assert_int_eq(wire_hello_parse(buf, sizeof(buf), &m), 0);
    ck_assert_int_eq(wire_hello_parse(buf, sizeof(buf) - 1, &m), -EBADMSG);
}
END_TEST

START_TEST(refuses_messages_out_of_range)
{
    uint8_t buf[64];
    struct wire_exit ex = {.code = 256}, ex2;
    struct wire_exec x = {.config_size = WIRE_CONFIG_MAX + 1}, x2;
    uint32_t v;

    wire_exit_format(buf, &ex);
    ck_assert_int_eq(wire_exit_parse(buf, WIRE_EXIT_SIZE, &ex2), -EBADMSG);
    ex = (struct wire_exit){.signaled = 1, .code = 65};
    wire_exit_format(buf, &ex);
    ck_assert_int_eq(wire_exit_parse(buf, WIRE_EXIT_SIZE, &ex2), -EBADMSG);
    ex = (struct wire_exit){.signaled = 2};
    wire_exit_format(buf, &ex);
    ck_assert_int_eq(wire_exit_parse(buf, WIRE_EXIT_SIZE, &ex2), -EBADMSG);
    ck_assert_int_eq(wire_exit_parse(buf, WIRE_EXIT_SIZE - 1, &ex2), -EBADMSG);
    wire_exec_format(buf, &x);
    ck_assert_int_eq(wire_exec_parse(buf, WIRE_EXEC_SIZE, &x2), -EBADMSG);
    x = (struct wire_exec){.config_size = WIRE_CONFIG_MAX, .canaries = WIRE_CANARIES_MAX + 1};
    wire_exec_format(buf, &x);
    ck_assert_int_eq(wire_exec_parse(buf, WIRE_EXEC_SIZE, &x2), -EBADMSG);
    x = (struct wire_exec){.config_size = WIRE_CANARY_SIZE + 1, .canaries = 1};
    wire_exec_format(buf, &x);
    ck_assert_int_eq(wire_exec_parse(buf, WIRE_EXEC_SIZE, &x2), -EBADMSG);
    x = (struct wire_exec){.config_size = 2, .profile_size = WIRE_PROFILE_MAX + 1};
    wire_exec_format(buf, &x);
    ck_assert_int_eq(wire_exec_parse(buf, WIRE_EXEC_SIZE, &x2), -EBADMSG);
    wire_u32_format(buf, 0);
    ck_assert_int_eq(wire_credit_parse(buf, 4, &v), -EBADMSG);
    wire_u32_format(buf, WIRE_WINDOW + 1);
    ck_assert_int_eq(wire_credit_parse(buf, 4, &v), -EBADMSG);
    wire_u32_format(buf, 65);
    ck_assert_int_eq(wire_signal_parse(buf, 4, &v), -EBADMSG);
    wire_u32_format(buf, WIRE_SYNC_ERROR + 1);
    ck_assert_int_eq(wire_synced_parse(buf, 4, &v), -EBADMSG);
}
END_TEST

START_TEST(refuses_names_that_leave_the_folder_or_could_fool_a_terminal)
{
    static const struct {
        const char *name;
        enum tree_why why;
    } rows[] = {
        {"a", TREE_WHY_NONE},
        {"a/b/c.txt", TREE_WHY_NONE},
        {"r\xc3\xa9sum\xc3\xa9", TREE_WHY_NONE},
        {"..a", TREE_WHY_NONE},
        {"", TREE_WHY_NAME},
        {"/a", TREE_WHY_NAME},
        {"a/", TREE_WHY_NAME},
        {"a//b", TREE_WHY_NAME},
        {".", TREE_WHY_NAME},
        {"..", TREE_WHY_NAME},
        {"a/../b", TREE_WHY_NAME},
        {"a/..", TREE_WHY_NAME},
        {"a\nb", TREE_WHY_NAME},
        {"\033[2J", TREE_WHY_NAME},
        {"\xff", TREE_WHY_NAME},
        {"\xc0\xaf", TREE_WHY_NAME},
        {"\xed\xa0\x80", TREE_WHY_NAME},
        {"\xc2\x9b", TREE_WHY_NAME},
    };
    char deep[2 * (TREE_DEPTH_MAX + 1)], wide[TREE_PART_MAX + 2];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ck_assert_msg(tree_name_check(rows[i].name, strlen(rows[i].name)) == rows[i].why, "row %zu",
                      i);
    for (size_t i = 0; i < sizeof(deep); i += 2)
        memcpy(deep + i, "d/", 2);
    ck_assert_int_eq(tree_name_check(deep, sizeof(deep) - 1), TREE_WHY_DEPTH);
    ck_assert_int_eq(tree_name_check(deep, sizeof(deep) - 3), TREE_WHY_NONE);
    memset(wide, 'w', sizeof(wide));
    ck_assert_int_eq(tree_name_check(wide, TREE_PART_MAX + 1), TREE_WHY_DEPTH);
    ck_assert_int_eq(tree_name_check(wide, TREE_PART_MAX), TREE_WHY_NONE);
}
END_TEST

START_TEST(refuses_a_tree_entry_that_lies)
{
    uint8_t buf[TREE_HEADER_SIZE + TREE_NAME_MAX];
    struct tree_entry en = {.kind = TREE_FILE, .mode = 0644, .size = 9, .name_len = 1, .name = "a"},
                      out;

    ck_assert_uint_eq(tree_entry_format(buf, &en), TREE_HEADER_SIZE + 1);
    ck_assert_int_eq(tree_entry_parse(buf, TREE_HEADER_SIZE, &out), 0);
    ck_assert_int_eq(tree_entry_parse(buf, TREE_HEADER_SIZE + 1, &out), TREE_HEADER_SIZE + 1);
    ck_assert_str_eq(out.name, "a");
    buf[TREE_HEADER_SIZE] = 0;
    ck_assert_int_eq(tree_entry_parse(buf, TREE_HEADER_SIZE + 1, &out), -EBADMSG);
    en.mode = 04755;
    tree_entry_format(buf, &en);
    ck_assert_int_eq(tree_entry_parse(buf, TREE_HEADER_SIZE + 1, &out), -EBADMSG);
    en = (struct tree_entry){.kind = TREE_DIR, .size = 1, .name_len = 1, .name = "a"};
    tree_entry_format(buf, &en);
    ck_assert_int_eq(tree_entry_parse(buf, TREE_HEADER_SIZE + 1, &out), -EBADMSG);
    en = (struct tree_entry){.kind = TREE_SKIPPED, .name_len = 1, .name = "a"};
    tree_entry_format(buf, &en);
    ck_assert_int_eq(tree_entry_parse(buf, TREE_HEADER_SIZE + 1, &out), -EBADMSG);
    en = (struct tree_entry){.kind = TREE_END};
    tree_entry_format(buf, &en);
    ck_assert_int_eq(tree_entry_parse(buf, TREE_HEADER_SIZE, &out), TREE_HEADER_SIZE);
    buf[0] = 5;
    ck_assert_int_eq(tree_entry_parse(buf, TREE_HEADER_SIZE, &out), -EBADMSG);
}
END_TEST

START_TEST(a_secret_has_a_plain_name_and_a_bounded_value)
{
    static const char *const bad[] = {"", "1A", "a-b", "a/b", "..", "a b", "a=", "\xc3\xa4"};
    static uint8_t raw[WIRE_SECRET_HEAD + WIRE_SECRET_MAX + 1];
    struct wire_secret m = {.flags = WIRE_SECRET_ENV, .uid = 65535, .gid = 7}, got;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert(!wire_is_secret_name(bad[i], strlen(bad[i])));
    memset(m.name, 'A', WIRE_SECRET_NAME_MAX);
    wire_secret_format(raw, &m);
    ck_assert_int_eq(wire_secret_parse(raw, WIRE_SECRET_HEAD - 1, &got), -EBADMSG);
    ck_assert_int_eq(wire_secret_parse(raw, sizeof(raw), &got), -EBADMSG);
    ck_assert_int_eq(wire_secret_parse(raw, WIRE_SECRET_HEAD, &got), 0);
    ck_assert_uint_eq(got.value_len, 0);
    ck_assert_int_eq(wire_secret_parse(raw, sizeof(raw) - 1, &got), 0);
    ck_assert_uint_eq(got.value_len, WIRE_SECRET_MAX);
    ck_assert_ptr_eq(got.value, raw + WIRE_SECRET_HEAD);
    ck_assert_str_eq(got.name, m.name);
    ck_assert_uint_eq(got.uid, 65535);
    ck_assert_uint_eq(got.gid, 7);
    ck_assert_uint_eq(got.flags, WIRE_SECRET_ENV);
    for (size_t at = 0; at < WIRE_SECRET_HEAD; at++) { /* flags, ids, and a name with a hole */
        uint8_t was = raw[at];

        if (at == 4 || at == 5 || at == 8 || at == 9 || at == WIRE_SECRET_HEAD - 1)
            continue;
        raw[at] = at < 12 ? 2 : 0;
        ck_assert_msg(wire_secret_parse(raw, WIRE_SECRET_HEAD, &got) == -EBADMSG, "byte %zu", at);
        raw[at] = was;
    }
}
END_TEST

START_TEST(what_was_handed_out_is_wiped)
{
    static const char secret[] = "the secret";
    static struct wire_reader r;
    uint8_t raw[WIRE_HEADER_SIZE + sizeof(secret)], *at;
    struct wire_header h = {.type = WIRE_SECRET, .length = sizeof(secret)};
    const uint8_t *p;

    wire_header_format(raw, &h);
    memcpy(raw + WIRE_HEADER_SIZE, secret, sizeof(secret));
    wire_reader_init(&r);
    feed(&r, raw, sizeof(raw)); /* one, and half of another, which moves to the front */
    feed(&r, raw, sizeof(raw) - 3);
    ck_assert_int_eq(wire_reader_next(&r, &h, &p), 1);
    ck_assert_mem_eq(p, secret, sizeof(secret));
    wire_reader_space(&r, &at);
    feed(&r, raw + sizeof(raw) - 3, 3);
    ck_assert_int_eq(wire_reader_next(&r, &h, &p), 1);
    ck_assert_mem_eq(p, secret, sizeof(secret));
    ck_assert_uint_eq(wire_reader_space(&r, &at), sizeof(r.buf));
    ck_assert_ptr_null(memmem(r.buf, sizeof(r.buf), "secret", 6));
}
END_TEST

SUITE("wire", a_secret_has_a_plain_name_and_a_bounded_value, what_was_handed_out_is_wiped,
      a_frame_comes_out_whole_however_it_arrives, refuses_a_header_that_lies,
      every_row_of_the_table_is_legal_in_its_own_cell_only, messages_survive_the_way_there_and_back,
      refuses_a_hello_out_of_range, a_denial_is_one_row_of_a_known_kind,
      what_was_seen_is_one_row_of_a_known_kind, refuses_messages_out_of_range,
      refuses_names_that_leave_the_folder_or_could_fool_a_terminal, refuses_a_tree_entry_that_lies)
