/* What of the gateway needs no process: the name in a ClientHello, the covered secret, budgets, and
 * what only a clock would bring about. */
#include "base/clock.h"
#include "base/own.h"
#include "base/str.h"
#include "gateway/gate.h"
#include "gateway/sni.h"
#include "gateway/strip.h"
#include "tests/unit/suite.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- sni ------------------------------------------------------------------------------------- */

struct bytes {
    uint8_t at[2048];
    size_t n;
};

static void put(struct bytes *b, const void *data, size_t n)
{
    ck_assert_uint_le(n, sizeof(b->at) - b->n);
    memcpy(b->at + b->n, data, n);
    b->n += n;
}

static void put_u16(struct bytes *b, size_t v)
{
    const uint8_t raw[] = {(uint8_t)(v >> 8), (uint8_t)v};

    put(b, raw, 2);
}

static void put_name(struct bytes *b, const char *name)
{
    size_t n = strlen(name);

    put_u16(b, 0);
    put_u16(b, n + 5);
    put_u16(b, n + 3);
    put(b, "", 1);
    put_u16(b, n);
    put(b, name, n);
}

/* A ClientHello with these extensions, in records of `cut` bytes. */
static struct bytes hello_with(const struct bytes *extensions, size_t cut)
{
    struct bytes body = {0}, shake = {0}, out = {0};
    static const uint8_t zeros[64];

    put_u16(&body, 0x0303);
    put(&body, zeros, 32);
    put(&body, "\x02xy", 3);
    put(&body, "\x00\x02\x13\x01", 4);
    put(&body, "\x01\x00", 2);
    if (extensions) {
        put_u16(&body, extensions->n);
        put(&body, extensions->at, extensions->n);
    }
    put(&shake, "\x01\x00", 2);
    put_u16(&shake, body.n);
    put(&shake, body.at, body.n);
    for (size_t at = 0; at < shake.n; at += cut) {
        size_t n = shake.n - at < cut ? shake.n - at : cut;

        put(&out, "\x16\x03\x01", 3);
        put_u16(&out, n);
        put(&out, shake.at + at, n);
    }
    return out;
}

static struct bytes hello(const char *first, const char *second)
{
    struct bytes ext = {0};

    put(&ext, "\x00\x17\x00\x00", 4); /* another one */
    if (first)
        put_name(&ext, first);
    put(&ext, "\x00\x2b\x00\x03\x02\x03\x04", 7);
    if (second)
        put_name(&ext, second);
    return hello_with(&ext, 1024);
}

static enum sni read_all(const struct bytes *b, char *ret)
{
    return sni_read(b->at, b->n, ret);
}

START_TEST(a_name_is_read_in_lower_case)
{
    const struct bytes b = hello("API.Example.org", NULL);
    char name[SNI_NAME_SIZE];

    ck_assert_int_eq(read_all(&b, name), SNI_NAME);
    ck_assert_str_eq(name, "api.example.org");
}
END_TEST

START_TEST(a_hello_is_waited_for_however_it_is_cut)
{
    struct bytes ext = {0};
    char name[SNI_NAME_SIZE];

    put_name(&ext, "a.example.org");
    for (size_t cut = 1; cut < 120; cut++) {
        const struct bytes b = hello_with(&ext, cut);

        for (size_t n = 0; n < b.n; n++)
            ck_assert_int_eq(sni_read(b.at, n, name), SNI_MORE);
        ck_assert_int_eq(read_all(&b, name), SNI_NAME);
        ck_assert_str_eq(name, "a.example.org");
    }
}
END_TEST

START_TEST(a_hello_without_a_name_is_said)
{
    const struct bytes none = hello(NULL, NULL), old = hello_with(NULL, 1024);
    char name[SNI_NAME_SIZE];

    ck_assert_int_eq(read_all(&none, name), SNI_NONE);
    ck_assert_int_eq(read_all(&old, name), SNI_NONE);
}
END_TEST

START_TEST(what_servers_could_read_in_two_ways_is_refused)
{
    const struct bytes bad[] = {hello("a.org", "a.org"), hello("a.org", "b.org"),
                                hello("", NULL),         hello("a b", NULL),
                                hello("a/b", NULL),      hello("\xc3\xa4", NULL)};
    char name[SNI_NAME_SIZE];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_int_eq(read_all(&bad[i], name), SNI_BAD);
}
END_TEST

START_TEST(lengths_that_lie_are_refused)
{
    const struct bytes good = hello("a.example.org", NULL);
    char name[SNI_NAME_SIZE];

    ck_assert_int_eq(sni_read((const uint8_t *)"GET", 3, name), SNI_BAD);
    ck_assert_int_eq(sni_read((const uint8_t *)"\x16\x02", 2, name), SNI_BAD);
    /* No byte that is another makes it a name that is not there; none makes it read too far. */
    for (size_t i = 0; i < good.n; i++) {
        struct bytes b = good;

        b.at[i] ^= 0x81;
        if (read_all(&b, name) == SNI_NAME)
            ck_assert_uint_le(strlen(name), 13);
    }
}
END_TEST

/* Each byte is where it should be, and there is no end. */
START_TEST(a_hello_that_does_not_end_is_refused)
{
    static uint8_t raw[SNI_HELLO_MAX];
    const uint8_t begin[] = {1, 0, 0xff, 0xff, 3, 3, [38] = 0, 0xff, 0xfe};
    char name[SNI_NAME_SIZE];

    for (size_t at = 0; at + 5 < sizeof(raw); at += 5 + 0x4000)
        memcpy(raw + at, "\x16\x03\x01\x40\x00", 5);
    memcpy(raw + 5, begin, sizeof(begin));
    ck_assert_int_eq(sni_read(raw, sizeof(raw) - 1, name), SNI_MORE);
    ck_assert_int_eq(sni_read(raw, sizeof(raw), name), SNI_BAD);
}
END_TEST

/* ---- strip ----------------------------------------------------------------------------------- */

static void strip_by(const char *secret, const char *in, size_t step, char *out)
{
    uint16_t back[64];
    struct strip s = {.secret = (const uint8_t *)secret, .len = strlen(secret), .back = back};
    size_t n = 0, len = strlen(in);

    strip_prepare(s.secret, s.len, back);
    for (size_t at = 0; at < len; at += step)
        n += strip_feed(&s, (const uint8_t *)in + at, len - at < step ? len - at : step,
                        (uint8_t *)out + n);
    n += strip_finish(&s, (uint8_t *)out + n);
    out[n] = '\0';
}

START_TEST(a_secret_is_covered_however_it_is_cut)
{
    static const struct {
        const char *secret, *in, *out;
    } rows[] = {
        {"key", "a key, a ke and kkeyey", "a ***, a ke and k***ey"},
        {"aab", "aaab aabaab", "a*** ******"},
        {"abab", "ababab", "****ab"},
        {"x", "xaxx", "*a**"},
        {"key", "ends with ke", "ends with ke"},
        {"key", "", ""},
    };
    char out[64];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (size_t step = 1; step < 12; step++) {
            strip_by(rows[i].secret, rows[i].in, step, out);
            ck_assert_str_eq(out, rows[i].out);
        }
}
END_TEST

START_TEST(what_is_no_secret_is_not_held_back)
{
    uint16_t back[3];
    struct strip s = {.secret = (const uint8_t *)"key", .len = 3, .back = back};
    uint8_t out[16];

    strip_prepare(s.secret, s.len, back);
    ck_assert_uint_eq(strip_feed(&s, (const uint8_t *)"data: 1\n\n", 9, out), 9);
    ck_assert_uint_eq(s.held, 0);
}
END_TEST

/* ---- rules ----------------------------------------------------------------------------------- */

static int rules_fd(const char *text)
{
    int fd = memfd_create("rules", MFD_CLOEXEC);

    ck_assert_int_eq(write(fd, text, strlen(text)), strlen(text));
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static void replace(struct rules *r, const char *text)
{
    struct err e;
    int fd = rules_fd(text);

    ck_assert_msg(rules_replace(r, fd, &e) == 0, "%s", e.text);
    close(fd);
}

START_TEST(a_rule_that_stays_keeps_what_it_has_used)
{
    struct rules r = {0};
    struct rule *a, *held;

    replace(&r, "{\"network\":[{\"to\":\"tcp://a.org:1\",\"bytes\":100},"
                "{\"to\":\"tcp://b.org:2\"}]}");
    a = rules_match(&r, "a.org", 1);
    ck_assert_ptr_nonnull(a);
    ck_assert(rule_count(a, 99));
    held = rules_match(&r, "b.org", 2);
    held->refs++; /* as a stream does */
    replace(&r,
            "{\"network\":[{\"to\":\"tcp://c.org:3\"},{\"to\":\"tcp://a.org:1\",\"bytes\":100}]}");
    ck_assert_ptr_eq(rules_match(&r, "a.org", 1), a);
    ck_assert_uint_eq(a->index, 2);
    ck_assert(!rule_count(a, 1) && rule_is_used_up(a));
    ck_assert(held->gone && !a->gone);
    ck_assert_ptr_null(rules_match(&r, "b.org", 2));
    rule_unref(held);
    rules_done(&r);
}
END_TEST

START_TEST(a_list_that_is_wrong_leaves_the_old_one)
{
    struct rules r = {0};
    struct err e;
    int fd = rules_fd("{\"network\":[{\"to\":\"https://a.org\",\"name\":\"a\",\"secret\":\"NONE\","
                      "\"header\":\"X: {}\"}]}");

    replace(&r, "{\"network\":[{\"to\":\"tcp://a.org:1\"}]}");
    ck_assert_int_eq(rules_replace(&r, fd, &e), -1);
    ck_assert_ptr_nonnull(strstr(e.text, "NONE"));
    ck_assert_ptr_nonnull(rules_match(&r, "a.org", 1));
    close(fd);
    rules_done(&r);
}
END_TEST

#define KEYED "{\"network\":[{\"to\":\"https://a.org\",\"name\":\"a\",\"secret\":\"K\"}]}"

static struct rule *keyed(struct rules *r)
{
    return rules_match_request(r, "a", "GET", "/");
}

static size_t count_waiting(const struct rules *r)
{
    struct pollfd p[RULES_SECRETS_MAX];

    return rules_poll(r, p);
}

START_TEST(a_secret_is_whole_when_its_pipe_has_ended)
{
    static const char *const parts[] = {"se", "cr", "et", "\n"};
    struct rules r = {0};
    int ends[2];

    ck_assert_int_eq(pipe(ends), 0);
    rules_add_secret(&r, "K", ends[0]);
    replace(&r, KEYED);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        ck_assert_int_eq(write(ends[1], parts[i], strlen(parts[i])), (int)strlen(parts[i]));
        rules_work(&r, 0);
        ck_assert(rule_lacks_secret(keyed(&r)));
        ck_assert_uint_eq(count_waiting(&r), 1);
        ck_assert_uint_lt(rules_deadline_ms(&r), UINT64_MAX);
    }
    close(ends[1]);
    rules_work(&r, 0);
    ck_assert_uint_eq(count_waiting(&r), 0);
    ck_assert_uint_eq(rules_deadline_ms(&r), UINT64_MAX);
    ck_assert(!rule_lacks_secret(keyed(&r)));
    ck_assert_str_eq(keyed(&r)->secret->value->value, "secret");
    rules_done(&r);
}
END_TEST

START_TEST(a_secret_that_comes_too_late_is_none)
{
    struct rules r = {0};
    int ends[2];

    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(write(ends[1], "half", 4), 4);
    rules_add_secret(&r, "K", ends[0]);
    replace(&r, KEYED);
    rules_work(&r, rules_deadline_ms(&r) - 1);
    ck_assert_uint_eq(count_waiting(&r), 1);
    rules_work(&r, rules_deadline_ms(&r));
    ck_assert_uint_eq(count_waiting(&r), 0);
    ck_assert(rule_lacks_secret(keyed(&r)));
    ck_assert_int_eq(fcntl(ends[0], F_GETFD), -1);
    close(ends[1]);
    rules_done(&r);
}
END_TEST

START_TEST(a_secret_is_forgotten_once_no_rule_names_it)
{
    struct rules r = {0};
    struct rule *held;
    int ends[2];

    ck_assert_int_eq(pipe(ends), 0);
    rules_add_secret(&r, "K", rules_fd("one"));
    rules_add_secret(&r, "OTHER", ends[0]);
    replace(&r, KEYED);
    ck_assert_uint_eq(r.n_secrets, 1);
    ck_assert_int_eq(fcntl(ends[0], F_GETFD), -1);
    close(ends[1]);
    rules_add_secret(&r, "K", rules_fd("two"));
    rules_work(&r, 0);
    replace(&r, KEYED);
    ck_assert_str_eq(keyed(&r)->secret->value->value, "two");
    held = keyed(&r);
    held->refs++; /* as a stream does */
    replace(&r, "{\"network\":[]}");
    ck_assert_uint_eq(r.n_secrets, 0);
    ck_assert(rule_lacks_secret(held));
    rule_unref(held);
    rules_done(&r);
}
END_TEST

/* ---- a request that waits for its secret ------------------------------------------------------
 */

static struct gate gate;

static void tell_gate(uint32_t type, const char *name, int fd)
{
    struct gateway_command c = {.type = type};
    int port;

    snprintf(c.name, sizeof(c.name), "%s", name);
    gate_command(&gate, &c, fd, &port);
    if (port >= 0)
        close(port);
}

static void guest_says(uint16_t type, uint32_t stream, const uint8_t *p, size_t n)
{
    const struct net_header h = {.type = type, .stream = stream, .length = (uint32_t)n};
    uint8_t *at;

    ck_assert_uint_ge(gate_input_space(&gate, &at), NET_HEADER_SIZE + n);
    net_header_format(at, &h);
    memcpy(at + NET_HEADER_SIZE, p, n);
    gate_input(&gate, NET_HEADER_SIZE + n);
}

/* On stream 1 the guest asks by a rule whose secret, from this pipe, is not there. */
static void ask_and_wait(const int ends[2])
{
    const struct net_hello hello = {.version = NET_VERSION}; /* the nonce of tell_gate() */
    const struct net_open open = {.kind = NET_ORIGIN, .exec = 1, .name = "a"};
    const struct net_request request = {
        .method = "GET", .method_len = 3, .path = "/", .path_len = 1};
    uint8_t raw[NET_REQUEST_MAX];
    struct err e;

    ck_assert_msg(gate_open(&gate, "127.0.0.1:1", "/dev/null", NULL, &e) == 0, "%s", e.text);
    tell_gate(GATEWAY_SECRET, "K", ends[0]);
    tell_gate(GATEWAY_RULES, "", rules_fd(KEYED));
    tell_gate(GATEWAY_PORT, "", dup(ends[1]));
    net_hello_format(raw, &hello);
    guest_says(NET_READY, 0, raw, NET_HELLO_SIZE);
    gate_event_taken(&gate);
    guest_says(NET_OPEN, 1, raw, net_open_format(raw, &open));
    guest_says(NET_REQUEST, 1, raw, net_request_format(raw, &request));
    gate_turn(&gate);
    ck_assert_int_eq(gate.streams[0].stage, GATE_WAITING);
}

START_TEST(a_request_waits_for_its_secret_for_so_long)
{
    struct gate_stream *s = &gate.streams[0];
    own_free char *refusal = NULL;
    uint64_t began = clock_mono_ms();
    int ends[2];

    ck_assert_int_eq(pipe(ends), 0);
    ask_and_wait(ends);
    ck_assert_uint_ge(s->until_ms, began + GATE_REQUEST_MS);
    ck_assert_uint_le(s->until_ms, clock_mono_ms() + GATE_REQUEST_MS);
    ck_assert_ptr_null(gate_event(&gate));
    s->until_ms = 0; /* it has been so long */
    gate_turn(&gate);
    ck_assert_int_eq(s->stage, GATE_OVER);
    ck_assert_uint_eq(gate_event(&gate)->why, NET_WHY_TIMEOUT);
    ck_assert_uint_eq(gate_event(&gate)->secret, GATEWAY_SECRET_LATE);
    ck_assert_uint_eq(s->status, 504); /* which clients try again */
    refusal = gateway_event_text(NET_WHY_TIMEOUT, 0, GATEWAY_SECRET_LATE);
    ck_assert_ptr_nonnull(memmem(gate.out, gate.out_end, refusal, strlen(refusal)));
    gate_close(&gate);
    close(ends[1]);
}
END_TEST

START_TEST(a_stream_ends_when_nothing_moves_or_it_is_too_old)
{
    struct gate_stream *s = &gate.streams[0];
    const struct {
        uint64_t *since, most;
    } limits[] = {{&s->moved_ms, GATE_IDLE_MS}, {&s->began_ms, GATE_TOTAL_MS}};

    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        uint64_t now;
        int ends[2];

        ck_assert_int_eq(pipe(ends), 0);
        ask_and_wait(ends);
        s->until_ms = UINT64_MAX; /* no other limit */
        now = clock_mono_ms();
        *limits[i].since = now - limits[i].most + 30000;
        ck_assert_uint_eq(gate_deadline_ms(&gate), now + 30000);
        gate_turn(&gate);
        ck_assert_int_eq(s->stage, GATE_WAITING);
        *limits[i].since = now - limits[i].most;
        gate_turn(&gate);
        ck_assert_int_eq(s->stage, GATE_OVER);
        ck_assert_uint_eq(gate_event(&gate)->why, NET_WHY_TIMEOUT);
        gate_close(&gate);
        close(ends[1]);
    }
}
END_TEST

/* A tunnel to a server that accepts, with nothing behind OPEN. */
static void open_tunnel(uint16_t port)
{
    const struct net_hello hello = {.version = NET_VERSION};
    const struct net_open open = {.kind = NET_TUNNEL, .exec = 1, .port = port, .name = "127.0.0.1"};
    own_free char *rules = str_printf("{\"network\":[{\"to\":\"https://127.0.0.1:%u\"}],"
                                      "\"network_ranges\":[\"127.0.0.0/8\"]}",
                                      port);
    uint8_t raw[NET_OPEN_HEAD + NET_NAME_MAX];
    int ends[2];
    struct err e;

    ck_assert_msg(gate_open(&gate, "127.0.0.1:1", "/dev/null", NULL, &e) == 0, "%s", e.text);
    ck_assert_int_eq(pipe(ends), 0);
    tell_gate(GATEWAY_RULES, "", rules_fd(rules));
    tell_gate(GATEWAY_PORT, "", ends[0]);
    close(ends[1]);
    net_hello_format(raw, &hello);
    guest_says(NET_READY, 0, raw, NET_HELLO_SIZE);
    gate_event_taken(&gate);
    guest_says(NET_OPEN, 1, raw, net_open_format(raw, &open));
}

static bool is_at_most_from_now(uint64_t until_ms, uint64_t began_ms, uint64_t most_ms)
{
    return until_ms >= began_ms + most_ms && until_ms <= clock_mono_ms() + most_ms;
}

START_TEST(a_server_and_a_hello_are_waited_for_for_so_long)
{
    struct gate_stream *s = &gate.streams[0];
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    own_close int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    static struct pollfd polls[GATE_POLLS_MAX];
    socklen_t len = sizeof(at);
    uint64_t began = clock_mono_ms();

    ck_assert_int_eq(bind(server, (struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(listen(server, 1), 0);
    ck_assert_int_eq(getsockname(server, (struct sockaddr *)&at, &len), 0);
    open_tunnel(ntohs(at.sin_port));
    ck_assert(is_at_most_from_now(s->until_ms, began, GATE_DIAL_MS));
    while (s->stage != GATE_FLOWING) {
        size_t n;

        gate_turn(&gate);
        n = gate_poll(&gate, polls);
        ck_assert_uint_lt(clock_mono_ms(), began + GATE_DIAL_MS);
        (void)poll(polls, n, 100);
        gate_take(&gate, polls, n);
    }
    ck_assert(is_at_most_from_now(s->until_ms, began, GATE_HELLO_MS));
    gate_event_taken(&gate);
    s->until_ms = 0; /* it has been so long */
    gate_turn(&gate);
    ck_assert_int_eq(s->stage, GATE_OVER);
    ck_assert_uint_eq(gate_event(&gate)->why, NET_WHY_TIMEOUT);
    gate_close(&gate);
}
END_TEST

/* ---- budgets --------------------------------------------------------------------------------- */

START_TEST(a_rate_lets_through_what_it_says)
{
    struct rule r = {.rate = 10000};
    uint64_t sent = 0, now = 1000, again = 0;

    while (now < 11000) { /* ten seconds of a clock of our own */
        uint64_t n = rule_may_send(&r, 5000, now, &again);

        sent += n;
        if (n > 0) {
            ck_assert(rule_count(&r, n));
            continue;
        }
        ck_assert_uint_gt(again, now);
        ck_assert_uint_le(again, now + 1000);
        now = again;
    }
    ck_assert_uint_ge(sent, 90000);
    ck_assert_uint_le(sent, 103000);
}
END_TEST

START_TEST(a_budget_is_not_passed_by_a_byte)
{
    struct rule r = {.bytes_max = 10};
    uint64_t again;

    ck_assert_uint_eq(rule_may_send(&r, 7, 0, &again), 7);
    ck_assert(rule_count(&r, 7));
    ck_assert_uint_eq(rule_may_send(&r, 7, 0, &again), 3);
    ck_assert(!rule_count(&r, 3));
    ck_assert_uint_eq(rule_may_send(&r, 7, 0, &again), 0);
}
END_TEST

SUITE("gateway", a_name_is_read_in_lower_case, a_hello_is_waited_for_however_it_is_cut,
      a_hello_without_a_name_is_said, what_servers_could_read_in_two_ways_is_refused,
      lengths_that_lie_are_refused, a_secret_is_covered_however_it_is_cut,
      what_is_no_secret_is_not_held_back, a_rule_that_stays_keeps_what_it_has_used,
      a_list_that_is_wrong_leaves_the_old_one, a_secret_is_whole_when_its_pipe_has_ended,
      a_secret_that_comes_too_late_is_none, a_secret_is_forgotten_once_no_rule_names_it,
      a_request_waits_for_its_secret_for_so_long, a_stream_ends_when_nothing_moves_or_it_is_too_old,
      a_rate_lets_through_what_it_says, a_budget_is_not_passed_by_a_byte,
      a_hello_that_does_not_end_is_refused, a_server_and_a_hello_are_waited_for_for_so_long)
