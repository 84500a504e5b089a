/* test_net: promises of egress's boundary: frames, who may say what when, names, messages. */
#include "shared/net.h"
#include "tests/unit/suite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int note(struct net_session *s, enum net_dir dir, uint16_t type, uint32_t stream,
                const void *payload, size_t len)
{
    struct net_header h = {.type = type, .stream = stream, .length = (uint32_t)len};

    return net_session_note(s, dir, &h, payload);
}

static int note_u32(struct net_session *s, enum net_dir dir, uint16_t type, uint32_t stream,
                    uint32_t value)
{
    uint8_t raw[4];

    net_u32_format(raw, value);
    return note(s, dir, type, stream, raw, 4);
}

static int note_open(struct net_session *s, uint32_t stream, enum net_kind kind)
{
    struct net_open m = {.kind = (uint16_t)kind, .exec = 1, .name = "a"};
    uint8_t raw[NET_OPEN_HEAD + NET_NAME_MAX];

    m.port = kind == NET_TUNNEL ? 443 : 0;
    return note(s, NET_TO_HOST, NET_OPEN, stream, raw, net_open_format(raw, &m));
}

static void meet(struct net_session *s)
{
    uint8_t raw[NET_HELLO_SIZE] = {0};

    net_session_init(s);
    ck_assert_int_eq(note(s, NET_TO_GUEST, NET_HELLO, 0, raw, sizeof(raw)), 0);
    ck_assert_int_eq(note(s, NET_TO_HOST, NET_READY, 0, raw, sizeof(raw)), 0);
}

START_TEST(a_frame_comes_out_whole_however_it_arrives)
{
    static struct net_reader r;
    uint8_t raw[NET_HEADER_SIZE + 5], *at;
    struct net_header in = {.type = NET_DATA, .stream = NET_STREAMS_MAX, .length = 5}, out;
    const uint8_t *p;

    net_header_format(raw, &in);
    memcpy(raw + NET_HEADER_SIZE, "hello", 5);
    net_reader_init(&r);
    for (size_t i = 0; i < sizeof(raw); i++) {
        ck_assert_int_eq(net_reader_next(&r, &out, &p), 0);
        ck_assert_uint_ge(net_reader_space(&r, &at), 1);
        *at = raw[i];
        net_reader_commit(&r, 1);
    }
    ck_assert_int_eq(net_reader_next(&r, &out, &p), 1);
    ck_assert_uint_eq(out.type, NET_DATA);
    ck_assert_uint_eq(out.stream, NET_STREAMS_MAX);
    ck_assert_mem_eq(p, "hello", 5);
    ck_assert_int_eq(net_reader_next(&r, &out, &p), 0);
}
END_TEST

START_TEST(refuses_a_header_that_lies)
{
    static const struct {
        size_t at;
        uint8_t value;
    } lies[] = {{0, 0}, {3, '2'}, {4, 0}, {4, NET_TYPE_END}, {5, 1}, {6, 1}, {10, 1}, {14, 1}};
    struct net_header h = {.type = NET_DATA, .stream = 257, .length = 1}, out;
    uint8_t raw[NET_HEADER_SIZE];

    net_header_format(raw, &h);
    ck_assert_int_eq(net_header_parse(raw, &out), -EBADMSG);
    h.stream = 256;
    for (size_t i = 0; i < COUNT(lies); i++) {
        net_header_format(raw, &h);
        ck_assert_int_eq(net_header_parse(raw, &out), 0);
        raw[lies[i].at] = lies[i].value;
        ck_assert_msg(net_header_parse(raw, &out) == -EBADMSG, "lie %zu", i);
    }
}
END_TEST

START_TEST(every_row_of_the_table_is_legal_in_its_own_cell_only)
{
    for (size_t i = 0; i < net_n_rows; i++) {
        const struct net_row *r = &net_rows[i];
        enum net_dir dir = (enum net_dir)r->dirs, other = 3 - dir;
        struct net_header h = {
            .type = r->type, .length = r->min, .stream = r->streams ? NET_STREAMS_MAX : 0};

        ck_assert_msg(dir == NET_TO_GUEST || dir == NET_TO_HOST, "row %zu", i);
        for (unsigned session = NET_IN_BOOT; session <= NET_IN_HELD; session <<= 1)
            for (unsigned part = NET_IN_NONE; part < NET_STATE_END; part <<= 1) {
                bool legal = (r->sessions & session) && (!r->streams || r->streams & part);

                ck_assert_int_eq(net_check(&h, dir, session, part), legal ? 0 : -EPROTO);
            }
        h.length = r->max + 1;
        ck_assert_int_eq(net_check(&h, dir, r->sessions, r->streams), -EPROTO);
        h.length = r->min - 1; /* 0 - 1 is above the cap */
        ck_assert_int_eq(net_check(&h, dir, r->sessions, r->streams), -EPROTO);
        h.length = r->min;
        h.stream = r->streams ? 0 : 1;
        ck_assert_int_eq(net_check(&h, dir, r->sessions, NET_STATE_END - 1), -EPROTO);
        h.stream = r->streams ? 1 : 0;
        if (r->type != NET_DATA && r->type != NET_EOF && r->type != NET_CREDIT &&
            r->type != NET_CLOSE)
            ck_assert_int_eq(net_check(&h, other, NET_STATE_END - 1, NET_STATE_END - 1), -EPROTO);
    }
}
END_TEST

START_TEST(a_stream_goes_through_its_life_and_its_number_is_free_again)
{
    static struct net_session s;
    uint8_t data[9] = {0};

    meet(&s);
    for (int round = 0; round < 2; round++) {
        ck_assert_int_eq(note(&s, NET_TO_HOST, NET_DATA, 7, data, 9), -EPROTO);
        ck_assert_int_eq(note_open(&s, 7, NET_TUNNEL), 0);
        ck_assert_int_eq(note_open(&s, 7, NET_TUNNEL), -EPROTO);
        ck_assert_int_eq(note(&s, NET_TO_HOST, NET_DATA, 7, data, 9), -EPROTO);
        ck_assert_int_eq(note(&s, NET_TO_GUEST, NET_OPENED, 7, NULL, 0), 0);
        ck_assert_int_eq(note(&s, NET_TO_GUEST, NET_OPENED, 7, NULL, 0), -EPROTO);
        ck_assert_int_eq(note(&s, NET_TO_HOST, NET_DATA, 7, data, 9), 0);
        ck_assert_int_eq(note(&s, NET_TO_HOST, NET_EOF, 7, NULL, 0), 0);
        ck_assert_int_eq(note(&s, NET_TO_HOST, NET_DATA, 7, data, 9), -EPROTO);
        ck_assert_int_eq(note(&s, NET_TO_GUEST, NET_DATA, 7, data, 9), 0);
        ck_assert_int_eq(note(&s, NET_TO_GUEST, NET_EOF, 7, NULL, 0), 0);
        ck_assert_int_eq(note_u32(&s, NET_TO_GUEST, NET_CLOSE, 7, NET_WHY_DONE), 0);
        ck_assert_int_eq(note_u32(&s, NET_TO_GUEST, NET_CLOSE, 7, NET_WHY_DONE), -EPROTO);
        ck_assert_int_eq(note_open(&s, 7, NET_TUNNEL), -EPROTO);
        ck_assert(net_stream_is_live(&s.streams[7]));
        ck_assert_int_eq(note_u32(&s, NET_TO_HOST, NET_CLOSE, 7, NET_WHY_DONE), 0);
        ck_assert(!net_stream_is_live(&s.streams[7]));
    }
}
END_TEST

START_TEST(last_words_that_cross_are_legal_in_both_orders)
{
    static struct net_session guest, host;
    const uint8_t text[NET_REFUSED_HEAD + 1] = {NET_WHY_RULE, 0, 0x93, 1, '{'};
    struct net_session *const ends[] = {&guest, &host};

    for (size_t i = 0; i < 2; i++) {
        meet(ends[i]);
        ck_assert_int_eq(note_open(ends[i], 1, NET_TUNNEL), 0);
        ck_assert_int_eq(note_open(ends[i], 2, NET_ORIGIN), 0);
    }
    /* 1: the guest gives up while OPENED and DATA are on their way. */
    ck_assert_int_eq(note_u32(&guest, NET_TO_HOST, NET_CLOSE, 1, NET_WHY_PEER), 0);
    for (size_t i = 0; i < 2; i++) {
        ck_assert_int_eq(note(ends[i], NET_TO_GUEST, NET_OPENED, 1, NULL, 0), 0);
        ck_assert_int_eq(note(ends[i], NET_TO_GUEST, NET_DATA, 1, text, 1), 0);
    }
    ck_assert_int_eq(note(&guest, NET_TO_HOST, NET_DATA, 1, text, 1), -EPROTO);
    ck_assert_int_eq(note_u32(&host, NET_TO_HOST, NET_CLOSE, 1, NET_WHY_PEER), 0);
    ck_assert_int_eq(note_u32(&host, NET_TO_GUEST, NET_CLOSE, 1, NET_WHY_PEER), 0);
    ck_assert_int_eq(note_u32(&guest, NET_TO_GUEST, NET_CLOSE, 1, NET_WHY_PEER), 0);
    /* 2: refused while the guest gives up. */
    ck_assert_int_eq(note(&host, NET_TO_GUEST, NET_REFUSED, 2, text, sizeof(text)), 0);
    ck_assert_int_eq(note_u32(&guest, NET_TO_HOST, NET_CLOSE, 2, NET_WHY_PEER), 0);
    ck_assert_int_eq(note_u32(&host, NET_TO_HOST, NET_CLOSE, 2, NET_WHY_PEER), 0);
    ck_assert_int_eq(note(&guest, NET_TO_GUEST, NET_REFUSED, 2, text, sizeof(text)), 0);
    for (size_t i = 0; i < 2; i++)
        for (uint32_t stream = 1; stream <= 2; stream++)
            ck_assert_int_eq(note_open(ends[i], stream, NET_TUNNEL), 0);
}
END_TEST

START_TEST(nobody_sends_beyond_its_credit_or_gives_more_than_was_taken)
{
    static struct net_session s;
    static const uint8_t data[NET_PAYLOAD_MAX];

    meet(&s);
    ck_assert_int_eq(note_open(&s, 1, NET_TUNNEL), 0);
    ck_assert_int_eq(note(&s, NET_TO_GUEST, NET_OPENED, 1, NULL, 0), 0);
    for (size_t sent = 0; sent < NET_WINDOW; sent += sizeof(data)) {
        ck_assert_int_eq(note(&s, NET_TO_HOST, NET_DATA, 1, data, sizeof(data)), 0);
        ck_assert_int_eq(note(&s, NET_TO_GUEST, NET_DATA, 1, data, sizeof(data)), 0);
    }
    ck_assert_int_eq(note(&s, NET_TO_HOST, NET_DATA, 1, data, 1), -EPROTO);
    ck_assert_int_eq(note(&s, NET_TO_GUEST, NET_DATA, 1, data, 1), -EPROTO);
    ck_assert_int_eq(note_u32(&s, NET_TO_GUEST, NET_CREDIT, 1, 5), 0);
    ck_assert_int_eq(note(&s, NET_TO_HOST, NET_DATA, 1, data, 6), -EPROTO);
    ck_assert_int_eq(note(&s, NET_TO_HOST, NET_DATA, 1, data, 5), 0);
    ck_assert_int_eq(note_u32(&s, NET_TO_GUEST, NET_CREDIT, 1, NET_WINDOW), 0);
    ck_assert_int_eq(note_u32(&s, NET_TO_GUEST, NET_CREDIT, 1, 1), -EPROTO);
    ck_assert_int_eq(note_u32(&s, NET_TO_GUEST, NET_CREDIT, 1, 0), -EBADMSG);
    ck_assert_int_eq(note_u32(&s, NET_TO_HOST, NET_CREDIT, 1, NET_WINDOW + 1), -EBADMSG);
}
END_TEST

START_TEST(between_hold_and_resume_nothing_is_under_way)
{
    static struct net_session s;
    uint8_t raw[NET_HELLO_SIZE] = {0};

    meet(&s);
    ck_assert_int_eq(note_open(&s, 1, NET_TUNNEL), 0);
    ck_assert_int_eq(note(&s, NET_TO_GUEST, NET_OPENED, 1, NULL, 0), 0);
    ck_assert_int_eq(note(&s, NET_TO_HOST, NET_HELD, 0, NULL, 0), -EPROTO);
    ck_assert_int_eq(note(&s, NET_TO_GUEST, NET_HOLD, 0, NULL, 0), 0);
    ck_assert_int_eq(note(&s, NET_TO_GUEST, NET_DATA, 1, raw, 1), -EPROTO);
    ck_assert_int_eq(note(&s, NET_TO_GUEST, NET_RESUME, 0, NULL, 0), -EPROTO);
    ck_assert_int_eq(note(&s, NET_TO_HOST, NET_DATA, 1, raw, 1), 0);
    ck_assert_int_eq(note(&s, NET_TO_HOST, NET_HELD, 0, NULL, 0), 0);
    ck_assert_int_eq(note(&s, NET_TO_HOST, NET_DATA, 1, raw, 1), -EPROTO);
    ck_assert_int_eq(note_open(&s, 2, NET_TUNNEL), -EPROTO);
    ck_assert_int_eq(note(&s, NET_TO_GUEST, NET_RESUME, 0, NULL, 0), 0);
    ck_assert_int_eq(note(&s, NET_TO_HOST, NET_DATA, 1, raw, 1), 0);
    ck_assert_int_eq(note(&s, NET_TO_GUEST, NET_HELLO, 0, raw, sizeof(raw)), 0);
    ck_assert(!net_stream_is_live(&s.streams[1]));
    ck_assert_int_eq(note_open(&s, 1, NET_TUNNEL), -EPROTO);
}
END_TEST

START_TEST(a_name_is_a_name_or_an_address_in_its_one_spelling)
{
    static const struct {
        const char *name;
        bool ok;
    } rows[] = {
        {"example.org", true},
        {"a", true},
        {"_dmarc.x-y.example", true},
        {"xn--bcher-kva.example", true},
        {"127.0.0.1", true},
        {"::1", true},
        {"::ffff:10.0.0.1", true},
        {"2001:db8::a", true},
        {"1.example", true},
        {"", false},
        {".", false},
        {"example.org.", false},
        {".example.org", false},
        {"a..b", false},
        {"Example.org", false},
        {"-a.example", false},
        {"a-.example", false},
        {"a b", false},
        {"a/b", false},
        {"a:80", false},
        {"a%00b", false},
        {"*.example.org", false},
        {"b\xc3\xbc"
         "cher",
         false},
        {"127.1", false},
        {"2130706433", false},
        {"0x7f.1", false},
        {"0x7f000001", false},
        {"127.0.0.01", false},
        {"127.0.0.256", false},
        {"127.0.0.0x1", false},
        {"1.2.3.4.5", false},
        {"[::1]", false},
        {"::1%lo", false},
        {"2001:DB8::A", false},
        {"fe80::1::2", false},
    };
    char longest[NET_NAME_MAX + 2];

    for (size_t i = 0; i < COUNT(rows); i++)
        ck_assert_msg(net_is_name(rows[i].name, strlen(rows[i].name)) == rows[i].ok, "'%s'",
                      rows[i].name);
    ck_assert(!net_is_name("a\0b", 3));
    for (size_t i = 0; i < sizeof(longest); i++)
        longest[i] = i % 64 == 63 ? '.' : 'a';
    ck_assert(net_is_name(longest, NET_NAME_MAX));
    ck_assert(!net_is_name(longest, NET_NAME_MAX + 1));
    longest[63] = 'a';
    ck_assert(!net_is_name(longest, 64));
    ck_assert(net_is_origin("api-2", 5) && !net_is_origin("a.b", 3) && !net_is_origin("", 0) &&
              !net_is_origin("A", 1) && net_is_origin(longest, NET_ORIGIN_MAX) &&
              !net_is_origin(longest, NET_ORIGIN_MAX + 1));
}
END_TEST

START_TEST(a_path_means_what_it_says)
{
    static const struct {
        const char *path;
        bool ok;
    } rows[] = {
        {"/", true},
        {"/v1/chat?x=../..", true},
        {"/a/.b/..c/...", true},
        {"/@scope%2fname", true},
        {"", false},
        {"v1", false},
        {"*", false},
        {"http://a/", false},
        {"/a b", false},
        {"/a#b", false},
        {"/a\\b", false},
        {"/a\r\n", false},
        {"/a\xc3\xa4", false},
        {"/.", false},
        {"/..", false},
        {"/v1/../admin", false},
        {"/v1/./a", false},
        {"/v1/..?x", false},
        {"/v1/%2e%2E/admin", false},
        {"/v1/.%2e", false},
        {"/v1/%2e", false},
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        ck_assert_msg(net_is_path(rows[i].path, strlen(rows[i].path)) == rows[i].ok, "'%s'",
                      rows[i].path);
}
END_TEST

static struct net_field field(const char *name, const char *value)
{
    return (struct net_field){
        .name = name, .name_len = strlen(name), .value = value, .value_len = strlen(value)};
}

START_TEST(a_header_has_one_meaning_and_no_framing)
{
    static const struct {
        const char *name, *value;
        int want;
    } rows[] = {
        {"accept", "*/*", 0},
        {"x-a_b~1", "", 0},
        {"x", "tab\tand \xc3\xa4", 0},
        {"", "x", -EINVAL},
        {"Accept", "x", -EINVAL},
        {"a:b", "x", -EINVAL},
        {"a b", "x", -EINVAL},
        {"a", "x\r\nb: c", -EINVAL},
        {"a", "x\n", -EINVAL},
        {"a", "\x7f", -EINVAL},
        {"host", "a", -EINVAL},
        {"content-length", "1", -EINVAL},
        {"transfer-encoding", "chunked", -EINVAL},
        {"connection", "close", -EINVAL},
        {"proxy-authorization", "x", -EINVAL},
        {"upgrade", "h2c", -EINVAL},
        {"expect", "100-continue", -EINVAL},
    };
    static uint8_t room[NET_HEADER_LIST_MAX];
    static char big[NET_HEADER_LIST_MAX];
    struct net_list l = {.at = room};
    struct net_field f;

    for (size_t i = 0; i < COUNT(rows); i++) {
        f = field(rows[i].name, rows[i].value);
        ck_assert_msg(net_list_add(&l, &f) == rows[i].want, "row %zu", i);
    }
    f = (struct net_field){.name = "a", .name_len = 1, .value = "a\0b", .value_len = 3};
    ck_assert_int_eq(net_list_add(&l, &f), -EINVAL);
    memset(big, 'x', sizeof(big));
    f = (struct net_field){
        .name = "a", .name_len = 1, .value = big, .value_len = sizeof(big) - 5 - l.len + 1};
    ck_assert_int_eq(net_list_add(&l, &f), -E2BIG);
    f.value_len--;
    ck_assert_int_eq(net_list_add(&l, &f), 0);
    ck_assert_uint_eq(l.len, sizeof(room));
    l = (struct net_list){.at = room, .count = NET_HEADERS_MAX};
    f = field("a", "b");
    ck_assert_int_eq(net_list_add(&l, &f), -E2BIG);
}
END_TEST

START_TEST(messages_survive_the_way_there_and_back)
{
    static uint8_t raw[NET_REQUEST_MAX], room[NET_HEADER_LIST_MAX];
    struct net_list l = {.at = room};
    struct net_field f = field("accept", "text/plain"), g = field("x", "");
    struct net_request q = {.body = NET_BODY_UNKNOWN,
                            .method = "POST",
                            .method_len = 4,
                            .path = "/v1?a=b",
                            .path_len = 7},
                       q2;
    struct net_response a = {.body = 12, .status = 599}, a2;
    struct net_refused r = {
        .why = NET_WHY_GONE, .status = 403, .text = (const uint8_t *)"{}\n", .text_len = 3};
    struct net_refused r2;
    size_t len;

    ck_assert_int_eq(net_list_add(&l, &f), 0);
    ck_assert_int_eq(net_list_add(&l, &g), 0);
    q.headers = a.headers = (struct net_headers){.at = l.at, .len = l.len, .count = l.count};
    len = net_request_format(raw, &q);
    ck_assert_int_eq(net_request_parse(raw, len, &q2), 0);
    ck_assert(q2.body == q.body && q2.method_len == 4 && q2.path_len == 7);
    ck_assert_mem_eq(q2.method, "POST/v1?a=b", 11);
    ck_assert(net_headers_next(&q2.headers, &f) && f.name_len == 6 && f.value_len == 10);
    ck_assert_mem_eq(f.value, "text/plain", 10);
    ck_assert(net_headers_next(&q2.headers, &f) && f.name_len == 1 && f.value_len == 0);
    ck_assert(!net_headers_next(&q2.headers, &f));
    for (size_t cut = 0; cut < len; cut++)
        ck_assert_int_eq(net_request_parse(raw, cut, &q2), -EBADMSG);
    ck_assert_int_eq(net_request_parse(raw, len + 1, &q2), -EBADMSG);
    len = net_response_format(raw, &a);
    ck_assert_int_eq(net_response_parse(raw, len, &a2), 0);
    ck_assert(a2.body == 12 && a2.status == 599 && a2.headers.count == 2);
    for (size_t cut = 0; cut < len; cut++)
        ck_assert_int_eq(net_response_parse(raw, cut, &a2), -EBADMSG);
    len = net_refused_format(raw, &r);
    ck_assert_int_eq(net_refused_parse(raw, len, &r2), 0);
    ck_assert(r2.why == NET_WHY_GONE && r2.status == 403 && r2.text_len == 3);
    ck_assert_mem_eq(r2.text, "{}\n", 3);
}
END_TEST

START_TEST(refuses_messages_out_of_range)
{
    static const struct net_open opens[] = {
        {.kind = 0, .exec = 1, .port = 1, .name = "a"},
        {.kind = 3, .exec = 1, .port = 1, .name = "a"},
        {.kind = NET_TUNNEL, .exec = 0, .port = 1, .name = "a"},
        {.kind = NET_TUNNEL, .exec = 17, .port = 1, .name = "a"},
        {.kind = NET_TUNNEL, .exec = 1, .port = 0, .name = "a"},
        {.kind = NET_TUNNEL, .exec = 1, .port = 1, .name = "A"},
        {.kind = NET_TUNNEL, .exec = 1, .port = 1, .name = ""},
        {.kind = NET_ORIGIN, .exec = 1, .port = 80, .name = "a"},
        {.kind = NET_ORIGIN, .exec = 1, .port = 0, .name = "a.b"},
    };
    static const struct net_refused refusals[] = {
        {.why = NET_WHY_DONE, .status = 403, .text = (const uint8_t *)"{}", .text_len = 2},
        {.why = NET_WHY_END, .status = 403, .text = (const uint8_t *)"{}", .text_len = 2},
        {.why = NET_WHY_RULE, .status = 399, .text = (const uint8_t *)"{}", .text_len = 2},
        {.why = NET_WHY_RULE, .status = 600, .text = (const uint8_t *)"{}", .text_len = 2},
        {.why = NET_WHY_RULE, .status = 403, .text = (const uint8_t *)"\033", .text_len = 1},
        {.why = NET_WHY_RULE, .status = 403, .text = (const uint8_t *)"", .text_len = 0},
    };
    uint8_t raw[NET_REFUSED_HEAD + NET_TEXT_MAX];
    struct net_refused refused;
    struct net_open open;
    uint32_t v;

    for (size_t i = 0; i < COUNT(opens); i++)
        ck_assert_msg(net_open_parse(raw, net_open_format(raw, &opens[i]), &open) == -EBADMSG,
                      "open %zu", i);
    for (size_t i = 0; i < COUNT(refusals); i++)
        ck_assert_msg(net_refused_parse(raw, net_refused_format(raw, &refusals[i]), &refused) ==
                          -EBADMSG,
                      "refused %zu", i);
    net_u32_format(raw, NET_WHY_END);
    ck_assert_int_eq(net_close_parse(raw, 4, &v), -EBADMSG);
    ck_assert_int_eq(net_close_parse(raw, 3, &v), -EBADMSG);
    for (uint32_t why = 0; why < NET_WHY_END; why++)
        ck_assert_str_ne(net_why_name(why), "?");
    ck_assert_str_eq(net_why_name(NET_WHY_END), "?");
}
END_TEST

SUITE("net", a_frame_comes_out_whole_however_it_arrives, refuses_a_header_that_lies,
      every_row_of_the_table_is_legal_in_its_own_cell_only,
      a_stream_goes_through_its_life_and_its_number_is_free_again,
      last_words_that_cross_are_legal_in_both_orders,
      nobody_sends_beyond_its_credit_or_gives_more_than_was_taken,
      between_hold_and_resume_nothing_is_under_way,
      a_name_is_a_name_or_an_address_in_its_one_spelling, a_path_means_what_it_says,
      a_header_has_one_meaning_and_no_framing, messages_survive_the_way_there_and_back,
      refuses_messages_out_of_range)
