/*
 * test_net: what a guest may not send on the port of egress, each against a real lazaret-gateway
 * that has come to the point where it would hurt, through the keeper's own end of it.
 *
 * How it works: as test_frames.c. For each row of net_rows its neighbours are made; `headers` are
 * bytes that are no frame, `frames` are frames whose payload lies, `rows` take more than one frame.
 * Every row must end as tampering or as it says, in bounded memory, and leave nothing behind. No
 * name is looked up and nothing is reached but a socket of the test's own.
 */
#include "gateway/gateway.h"
#include "shared/net.h"
#include "tests/hostile/rows.h"

#include "base/clock.h"
#include "base/doc.h"
#include "base/own.h"
#include "base/spawn.h"
#include "base/str.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define WAIT_MS  20000

/* clang-format off */
#define U16(v) (uint8_t)((v) & 0xff), (uint8_t)((v) >> 8 & 0xff)
#define U32(v) U16((v) & 0xffffu), U16((uint32_t)(v) >> 16)
#define U64(v) U32((v) & 0xffffffffu), U32((uint64_t)(v) >> 32)
#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})
/* clang-format on */

/* How far guest and gateway are; from DIALING on it is about stream 1. */
enum stage { UNMET, MET, DIALING, ASKING, FLOWING, ENDED, CLOSED, HOLDING, HELD };

static struct gateway *gateway;
static pid_t pid;
static int port = -1;      /* the guest's end */
static int server = -1;    /* where tunnels lead: it accepts nothing */
static uint16_t at_port;   /* of it */
static int questions = -1; /* a name server that does not answer */
static struct net_reader in;
static struct net_hello hello;
static struct err e;

#define ck_ok(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.text)

/* ---- the guest ------------------------------------------------------------------------------- */

/* A gateway that takes nothing more is no error here. */
static void send_raw(const void *data, size_t len)
{
    const uint8_t *p = data;

    while (len > 0) {
        ssize_t n = send(port, p, len, MSG_NOSIGNAL);

        if (n <= 0)
            return;
        p += n;
        len -= (size_t)n;
    }
}

static void send_frame(uint16_t type, uint32_t stream, const void *data, size_t len)
{
    const struct net_header h = {.type = type, .stream = stream, .length = (uint32_t)len};
    uint8_t raw[NET_HEADER_SIZE];

    net_header_format(raw, &h);
    send_raw(raw, sizeof(raw));
    send_raw(data, len);
}

static void wait_for(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    ck_assert_msg(poll(&p, 1, WAIT_MS) == 1, "nothing came");
}

/* The next frame must be of this type. */
static const uint8_t *expect_frame(uint16_t type)
{
    struct net_header h;
    const uint8_t *p;
    int got;

    while ((got = net_reader_next(&in, &h, &p)) == 0) {
        uint8_t *room;
        size_t space = net_reader_space(&in, &room);
        ssize_t n;

        wait_for(port);
        n = recv(port, room, space, 0);
        ck_assert_int_gt(n, 0);
        net_reader_commit(&in, (size_t)n);
    }
    ck_assert_int_eq(got, 1);
    ck_assert_msg(h.type == type, "%s, not %s", net_type_name(h.type), net_type_name(type));
    return p;
}

static void open_stream(uint32_t stream, uint16_t kind, const char *name, uint16_t to)
{
    struct net_open m = {.kind = kind, .exec = 1, .port = to};
    uint8_t raw[NET_OPEN_HEAD + NET_NAME_MAX];

    (void)snprintf(m.name, sizeof(m.name), "%s", name);
    send_frame(NET_OPEN, stream, raw, net_open_format(raw, &m));
}

static void send_ready(uint32_t version, unsigned wrong_bit)
{
    struct net_hello m = hello;
    uint8_t raw[NET_HELLO_SIZE];

    m.version = version;
    m.nonce[0] ^= (uint8_t)wrong_bit;
    net_hello_format(raw, &m);
    send_frame(NET_READY, 0, raw, sizeof(raw));
}

/* ---- the keeper ------------------------------------------------------------------------------ */

static struct gateway_event next_event(void)
{
    struct gateway_event ev;

    while (gateway_next(gateway, &ev) == 0)
        wait_for(gateway_fd(gateway));
    return ev;
}

static void expect_event(enum gateway_event_type type)
{
    struct gateway_event ev = next_event();

    ck_assert_msg(ev.type == type, "event %u (%s), not %u", ev.type, ev.text, type);
}

/* Behind what the stage itself causes, and it is the last. */
static void expect_tampered(void)
{
    struct gateway_event ev = next_event();

    while (ev.type == GATEWAY_TRY || ev.type == GATEWAY_CLOSED)
        ev = next_event();
    ck_assert_msg(ev.type == GATEWAY_TAMPERED, "event %u: %s", ev.type, ev.text);
    ck_assert(ev.text[0]);
    ck_assert_int_eq(gateway_next(gateway, &ev), 0);
}

/* ---- a row ----------------------------------------------------------------------------------- */

static int listen_here(int type, uint16_t *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    ck_assert(type == SOCK_DGRAM || listen(fd, 1024) == 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *ret_port = ntohs(a.sin_port);
    return fd;
}

static void set_rules(void)
{
    own_free char *text = str_printf(
        "{\"network\":[{\"to\":\"https://silent.test\"},{\"to\":\"tcp://127.0.0.1:%u\"}],"
        "\"network_ranges\":[\"127.0.0.0/8\"]}",
        at_port);
    own_doc struct doc *d = NULL;

    ck_ok(doc_parse(text, strlen(text), "rules", &d, &e));
    ck_ok(gateway_rules(gateway, d, &e));
}

static void greet(void)
{
    int pair[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    port = pair[0];
    net_reader_init(&in);
    ck_ok(gateway_port(gateway, pair[1], &e));
    close(pair[1]);
    ck_assert_int_eq(net_hello_parse(expect_frame(NET_HELLO), NET_HELLO_SIZE, &hello), 0);
}

static void reach(enum stage stage)
{
    if (stage == UNMET)
        return;
    send_ready(NET_VERSION, 0);
    expect_event(GATEWAY_READY);
    if (stage == DIALING)
        open_stream(1, NET_TUNNEL, "silent.test", 443);
    if (stage == ASKING)
        open_stream(1, NET_ORIGIN, "silent", 0);
    if (stage == FLOWING || stage == ENDED || stage == CLOSED) {
        open_stream(1, NET_TUNNEL, "127.0.0.1", at_port);
        expect_frame(NET_OPENED);
    }
    if (stage == ENDED)
        send_frame(NET_EOF, 1, NULL, 0);
    if (stage == CLOSED) {
        send_frame(NET_CLOSE, 1, (const uint8_t[4]){0}, 4);
        expect_frame(NET_CLOSE);
    }
    if (stage == HOLDING || stage == HELD) {
        ck_ok(gateway_hold(gateway, &e));
        expect_frame(NET_HOLD);
    }
    if (stage == HELD) {
        send_frame(NET_HELD, 0, NULL, 0);
        expect_event(GATEWAY_HELD);
    }
}

/* What was there when a row began. */
struct before {
    size_t fds;
    long mine, its; /* KiB */
};

static struct before begin(enum stage stage)
{
    struct before b = {.fds = suite_count_fds()};
    uint16_t dns_port;
    char text[32];
    int control;

    server = listen_here(SOCK_STREAM, &at_port);
    questions = listen_here(SOCK_DGRAM, &dns_port);
    (void)snprintf(text, sizeof(text), "127.0.0.1:%u", dns_port);
    ck_assert_int_eq(setenv(GATEWAY_DNS_ENV, text, 1), 0);
    ck_ok(gateway_start(GATEWAY_PATH, NULL, &control, &pid, &e));
    gateway = gateway_new(control);
    set_rules();
    greet();
    b.mine = rows_watch(getpid());
    b.its = rows_status_kib(pid, "VmHWM");
    reach(stage);
    return b;
}

/* `more_kib`: that the gateway may have taken beside. */
static void end(const struct before *b, long more_kib)
{
    int status;

    rows_check_peak(getpid(), b->mine, "the keeper");
    gateway_free(gateway);
    ck_ok(spawn_wait(pid, "lazaret-gateway", clock_mono_ms() + WAIT_MS, &status, &e));
    ck_assert_int_eq(status, 0);
    close(port);
    close(server);
    close(questions);
    while (waitpid(-1, NULL, 0) > 0) /* whoever flooded */
        ;
    rows_check_children((b->mine > b->its ? b->mine : b->its) + more_kib);
    rows_check_clean(b->fds);
}

static void lie(enum stage stage, const struct net_header *h, const void *data)
{
    const struct before before = begin(stage);

    send_frame(h->type, h->stream, data, h->length);
    expect_tampered();
    end(&before, 0);
}

/* ---- the neighbours of each row of the table ------------------------------------------------- */

/* Where a frame of this type would be legal, or the host's own would be. */
static enum stage stage_of(const struct net_row *r)
{
    switch (r->type) {
    case NET_READY:
        return UNMET;
    case NET_HELLO:
    case NET_HOLD:
    case NET_RESUME:
    case NET_OPEN:
        return MET;
    case NET_HELD:
        return HOLDING;
    case NET_OPENED:
    case NET_REFUSED:
        return DIALING;
    case NET_REQUEST:
    case NET_RESPONSE:
        return ASKING;
    case NET_DATA:
    case NET_EOF:
    case NET_CREDIT:
    case NET_CLOSE:
        return FLOWING;
    default:
        ck_abort_msg("type %u has no stage: a new row of the table needs one here", r->type);
    }
}

enum change { SHORTER, LONGER, OTHER_LEVEL, NO_STREAM, IN_SILENCE, TOO_EARLY, TURNED_ROUND };
static const char *const changes[] = {
    "net_one_byte_short", "net_one_byte_over", "net_of_the_other_level", "net_of_no_stream",
    "net_in_silence",     "net_before_ready",  "net_turned_round"};

struct neighbour {
    const struct net_row *row;
    enum change change;
    char *name;
};
static struct neighbour neighbours[128];
static size_t n_neighbours;

/* The host sends it too, and the guest has a row of its own for it. */
static bool is_of_both(const struct net_row *r)
{
    for (size_t i = 0; i < net_n_rows; i++)
        if (net_rows[i].type == r->type && net_rows[i].dirs & NET_TO_HOST)
            return true;
    return false;
}

static bool can(const struct net_row *r, enum change c)
{
    if (!(r->dirs & NET_TO_HOST))
        return c == TURNED_ROUND && !is_of_both(r);
    switch (c) {
    case SHORTER:
        return r->min > 0;
    case TOO_EARLY:
    case IN_SILENCE:
        return r->type != NET_READY;
    case NO_STREAM:
        return r->streams && r->type != NET_OPEN;
    case LONGER:
    case OTHER_LEVEL:
        return true;
    case TURNED_ROUND:
        return false;
    }
    return false;
}

static void tell_neighbour(int row)
{
    static uint8_t payload[NET_PAYLOAD_MAX + 1];
    const struct neighbour *n = &neighbours[row];
    const struct net_row *r = n->row;
    struct net_header h = {.type = r->type, .stream = r->streams ? 1 : 0, .length = r->min};
    enum stage stage = stage_of(r);

    memset(payload, 'x', sizeof(payload));
    if (n->change == SHORTER)
        h.length = r->min - 1;
    if (n->change == LONGER)
        h.length = r->max + 1;
    if (n->change == OTHER_LEVEL)
        h.stream = r->streams ? 0 : 1;
    if (n->change == NO_STREAM)
        h.stream = 2;
    if (n->change == IN_SILENCE)
        stage = HELD;
    if (n->change == TOO_EARLY)
        stage = UNMET;
    lie(stage, &h, payload);
}

static void add_neighbours(TCase *tc)
{
    for (size_t i = 0; i < net_n_rows; i++)
        for (size_t c = 0; c < COUNT(changes); c++) {
            struct neighbour *n = &neighbours[n_neighbours];

            if (!can(&net_rows[i], (enum change)c))
                continue;
            if (n_neighbours == COUNT(neighbours))
                abort();
            *n = (struct neighbour){.row = &net_rows[i], .change = (enum change)c};
            n->name = str_printf("%s_%s", net_type_name(n->row->type), changes[c]);
            rows_add(tc, n->name, tell_neighbour, (int)n_neighbours++);
        }
}

/* ---- what is no frame ------------------------------------------------------------------------ */

#define MAGIC 0x4c, 0x5a, 0x4e, 0x31
/* clang-format off: a table */
static const struct {
    const char *name;
    const uint8_t *raw;
    size_t len;
} headers[] = {
    {"net_a_request_of_the_web", BYTES("GET / HTTP/1.1\r\nHost: x\r\n\r\n")},
    {"net_zeros", BYTES(U64(0), U64(0))},
    {"net_ones", BYTES(U64(~0ull), U64(~0ull))},
    {"net_magic_of_the_other_port",
     BYTES(0x4c, 0x41, 0x5a, 0x31, U16(NET_DATA), U16(0), U32(1), U32(1), 'x')},
    {"net_magic_of_another_version",
     BYTES(0x4c, 0x5a, 0x4e, 0x32, U16(NET_DATA), U16(0), U32(1), U32(1), 'x')},
    {"net_type_0", BYTES(MAGIC, U16(0), U16(0), U32(0), U32(0))},
    {"net_type_after_the_last", BYTES(MAGIC, U16(NET_TYPE_END), U16(0), U32(0), U32(0))},
    {"net_type_65535", BYTES(MAGIC, U16(0xffff), U16(0), U32(0), U32(0))},
    {"net_zero_field_is_1", BYTES(MAGIC, U16(NET_DATA), U16(1), U32(1), U32(1), 'x')},
    {"net_stream_257", BYTES(MAGIC, U16(NET_DATA), U16(0), U32(NET_STREAMS_MAX + 1), U32(1), 'x')},
    {"net_stream_of_all_ones", BYTES(MAGIC, U16(NET_DATA), U16(0), U32(~0u), U32(1), 'x')},
    {"net_length_over_the_maximum",
     BYTES(MAGIC, U16(NET_DATA), U16(0), U32(1), U32(NET_PAYLOAD_MAX + 1))},
    {"net_length_of_2_gib", BYTES(MAGIC, U16(NET_DATA), U16(0), U32(1), U32(0x80000000u))},
    {"net_length_that_wraps_with_its_header",
     BYTES(MAGIC, U16(NET_DATA), U16(0), U32(1), U32(0xfffffff0u))},
    {"net_length_of_all_ones", BYTES(MAGIC, U16(NET_DATA), U16(0), U32(1), U32(~0u))},
};
/* clang-format on */

static void tell_header(int row)
{
    const struct before before = begin(FLOWING);

    send_raw(headers[row].raw, headers[row].len);
    expect_tampered();
    end(&before, 0);
}

/* ---- frames whose payload lies --------------------------------------------------------------- */

/* Of OPEN and REQUEST: the head, behind which a name, or method, path and headers come. */
#define OPEN(kind, exec, to)             U16(kind), U16(exec), U16(to), U16(0)
#define REQUEST(method, path, n_headers) U64(0), U16(method), U16(path), U16(n_headers), U16(0)
/* clang-format off: a table */
static const struct {
    const char *name;
    enum stage stage;
    uint16_t type;
    uint32_t stream;
    const uint8_t *payload;
    size_t len;
    size_t more; /* as often comes its last byte again */
} frames[] = {
    {"net_ready_of_zeros", UNMET, NET_READY, 0, BYTES([NET_HELLO_SIZE - 1] = 0)},
    {"net_ready_twice", MET, NET_READY, 0, BYTES([NET_HELLO_SIZE - 1] = 0)},
    {"net_held_unasked", MET, NET_HELD, 0, NULL, 0},
    {"net_held_twice", HELD, NET_HELD, 0, NULL, 0},

    {"net_open_twice", DIALING, NET_OPEN, 1, BYTES(OPEN(NET_TUNNEL, 1, 443), 'a')},
    {"net_open_of_kind_0", MET, NET_OPEN, 1, BYTES(OPEN(0, 1, 443), 'a')},
    {"net_open_of_a_kind_that_is_none", MET, NET_OPEN, 1, BYTES(OPEN(NET_ORIGIN + 1, 1, 443), 'a')},
    {"net_open_of_no_job", MET, NET_OPEN, 1, BYTES(OPEN(NET_TUNNEL, 0, 443), 'a')},
    {"net_open_of_job_17", MET, NET_OPEN, 1, BYTES(OPEN(NET_TUNNEL, NET_EXEC_MAX + 1, 443), 'a')},
    {"net_open_of_job_65535", MET, NET_OPEN, 1, BYTES(OPEN(NET_TUNNEL, 0xffff, 443), 'a')},
    {"net_open_of_port_0", MET, NET_OPEN, 1, BYTES(OPEN(NET_TUNNEL, 1, 0), 'a')},
    {"net_open_of_an_origin_with_a_port", MET, NET_OPEN, 1, BYTES(OPEN(NET_ORIGIN, 1, 443), 'a')},
    {"net_open_with_something_in_its_gap", MET, NET_OPEN, 1,
     BYTES(U16(NET_TUNNEL), U16(1), U16(443), U16(1), 'a')},
    {"net_name_in_capitals", MET, NET_OPEN, 1, BYTES(OPEN(NET_TUNNEL, 1, 443), 'A')},
    {"net_name_with_nul", MET, NET_OPEN, 1, BYTES(OPEN(NET_TUNNEL, 1, 443), 'a', 0, 'b')},
    {"net_name_with_a_newline", MET, NET_OPEN, 1, BYTES(OPEN(NET_TUNNEL, 1, 443), 'a', '\n')},
    {"net_name_with_escapes", MET, NET_OPEN, 1,
     BYTES(OPEN(NET_TUNNEL, 1, 443), 'a', '\033', '[', '2', 'J')},
    {"net_name_not_ascii", MET, NET_OPEN, 1, BYTES(OPEN(NET_TUNNEL, 1, 443), 0xc3, 0xa4)},
    {"net_name_with_a_slash", MET, NET_OPEN, 1, BYTES(OPEN(NET_TUNNEL, 1, 443), 'a', '/', 'b')},
    {"net_name_with_a_user", MET, NET_OPEN, 1, BYTES(OPEN(NET_TUNNEL, 1, 443), 'a', '@', 'b')},
    {"net_name_with_an_empty_label", MET, NET_OPEN, 1,
     BYTES(OPEN(NET_TUNNEL, 1, 443), 'a', '.', '.', 'b')},
    {"net_name_with_a_dot_at_its_end", MET, NET_OPEN, 1, BYTES(OPEN(NET_TUNNEL, 1, 443), 'a', '.')},
    {"net_name_with_a_label_of_64", MET, NET_OPEN, 1, BYTES(OPEN(NET_TUNNEL, 1, 443), 'a'), 63},
    {"net_address_as_one_number", MET, NET_OPEN, 1,
     BYTES(OPEN(NET_TUNNEL, 1, 443), '2', '1', '3', '0', '7', '0', '6', '4', '3', '3')},
    {"net_address_of_two_numbers", MET, NET_OPEN, 1,
     BYTES(OPEN(NET_TUNNEL, 1, 443), '1', '2', '7', '.', '1')},
    {"net_address_in_hexadecimal", MET, NET_OPEN, 1,
     BYTES(OPEN(NET_TUNNEL, 1, 443), '0', 'x', '7', 'f', '.', '1')},
    {"net_address_in_brackets", MET, NET_OPEN, 1,
     BYTES(OPEN(NET_TUNNEL, 1, 443), '[', ':', ':', '1', ']')},
    {"net_address_with_a_zone", MET, NET_OPEN, 1,
     BYTES(OPEN(NET_TUNNEL, 1, 443), 'f', 'e', '8', '0', ':', ':', '1', '%', '1')},
    {"net_origin_over_its_bound", MET, NET_OPEN, 1, BYTES(OPEN(NET_ORIGIN, 1, 0), 'a'),
     NET_ORIGIN_MAX},
    {"net_origin_with_a_dot", MET, NET_OPEN, 1, BYTES(OPEN(NET_ORIGIN, 1, 0), 'a', '.', 'b')},

    {"net_data_before_opened", DIALING, NET_DATA, 1, BYTES('x')},
    {"net_data_before_request", ASKING, NET_DATA, 1, BYTES('x')},
    {"net_data_after_eof", ENDED, NET_DATA, 1, BYTES('x')},
    {"net_data_after_close", CLOSED, NET_DATA, 1, BYTES('x')},
    {"net_data_of_nothing", FLOWING, NET_DATA, 1, NULL, 0},
    {"net_eof_twice", ENDED, NET_EOF, 1, NULL, 0},
    {"net_close_twice", CLOSED, NET_CLOSE, 1, BYTES(U32(0))},
    {"net_close_for_a_reason_that_is_none", FLOWING, NET_CLOSE, 1, BYTES(U32(NET_WHY_END))},
    {"net_close_for_reason_of_all_ones", FLOWING, NET_CLOSE, 1, BYTES(U32(~0u))},
    {"net_credit_of_0", FLOWING, NET_CREDIT, 1, BYTES(U32(0))},
    {"net_credit_for_what_was_never_sent", FLOWING, NET_CREDIT, 1, BYTES(U32(1))},
    {"net_credit_of_a_window", FLOWING, NET_CREDIT, 1, BYTES(U32(NET_WINDOW))},
    {"net_credit_over_a_window", FLOWING, NET_CREDIT, 1, BYTES(U32(NET_WINDOW + 1))},
    {"net_credit_that_wraps", FLOWING, NET_CREDIT, 1, BYTES(U32(~0u))},

    {"net_request_of_a_tunnel", DIALING, NET_REQUEST, 1,
     BYTES(REQUEST(3, 1, 0), 'G', 'E', 'T', '/')},
    {"net_request_without_a_method", ASKING, NET_REQUEST, 1, BYTES(REQUEST(0, 2, 0), '/', 'a')},
    {"net_method_in_small_letters", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(3, 1, 0), 'g', 'e', 't', '/')},
    {"net_method_with_a_newline", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(4, 1, 0), 'G', 'E', 'T', '\n', '/')},
    {"net_method_over_its_bound", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(NET_METHOD_MAX + 1, 1, 0), 'A', 'A', 'A', 'A', 'A', 'A', 'A', 'A', 'A', 'A', 'A',
           'A', 'A', 'A', 'A', 'A', 'A', '/')},
    {"net_method_longer_than_the_frame", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(0xffff, 1, 0), 'A', '/')},
    {"net_request_without_a_path", ASKING, NET_REQUEST, 1, BYTES(REQUEST(2, 0, 0), 'A', 'A')},
    {"net_path_longer_than_the_frame", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(1, 0xffff, 0), 'A', '/')},
    {"net_path_over_its_bound", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(1, NET_PATH_MAX + 1, 0), 'A', '/'), NET_PATH_MAX},
    {"net_path_without_a_slash", ASKING, NET_REQUEST, 1, BYTES(REQUEST(1, 1, 0), 'A', 'a')},
    {"net_path_up", ASKING, NET_REQUEST, 1, BYTES(REQUEST(1, 4, 0), 'A', '/', '.', '.', '/')},
    {"net_path_up_in_escapes", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(1, 7, 0), 'A', '/', '%', '2', 'e', '%', '2', 'E')},
    {"net_path_with_a_newline", ASKING, NET_REQUEST, 1, BYTES(REQUEST(1, 2, 0), 'A', '/', '\n')},
    {"net_path_with_nul", ASKING, NET_REQUEST, 1, BYTES(REQUEST(1, 2, 0), 'A', '/', 0)},
    {"net_path_with_a_space", ASKING, NET_REQUEST, 1, BYTES(REQUEST(1, 2, 0), 'A', '/', ' ')},
    {"net_path_with_a_fragment", ASKING, NET_REQUEST, 1, BYTES(REQUEST(1, 2, 0), 'A', '/', '#')},
    {"net_path_with_a_backslash", ASKING, NET_REQUEST, 1, BYTES(REQUEST(1, 2, 0), 'A', '/', '\\')},
    {"net_body_over_its_bound", ASKING, NET_REQUEST, 1,
     BYTES(U64(NET_BODY_MAX + 1), U16(1), U16(1), U16(0), U16(0), 'A', '/')},
    {"net_request_with_something_in_its_gap", ASKING, NET_REQUEST, 1,
     BYTES(U64(0), U16(1), U16(1), U16(0), U16(1), 'A', '/')},
    {"net_headers_fewer_than_said", ASKING, NET_REQUEST, 1, BYTES(REQUEST(1, 1, 1), 'A', '/')},
    {"net_headers_with_something_behind", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(1, 1, 1), 'A', '/', U16(1), U16(0), 'a', 'b')},
    {"net_headers_101", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(1, 1, NET_HEADERS_MAX + 1), 'A', '/', U16(1), U16(0), 'a')},
    {"net_headers_65535", ASKING, NET_REQUEST, 1, BYTES(REQUEST(1, 1, 0xffff), 'A', '/')},
    {"net_headers_over_their_bound", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(1, 1, 1), 'A', '/', U16(1), U16(NET_HEADER_LIST_MAX - 4), 'a', 'a'),
     NET_HEADER_LIST_MAX - 5},
    {"net_header_longer_than_the_frame", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(1, 1, 1), 'A', '/', U16(1), U16(0xffff), 'a')},
    {"net_header_whose_name_is_longer_than_the_frame", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(1, 1, 1), 'A', '/', U16(0xffff), U16(1), 'a')},
    {"net_header_without_a_name", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(1, 1, 1), 'A', '/', U16(0), U16(1), 'a')},
    {"net_header_in_capitals", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(1, 1, 1), 'A', '/', U16(1), U16(0), 'A')},
    {"net_header_with_a_colon", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(1, 1, 1), 'A', '/', U16(2), U16(0), 'a', ':')},
    {"net_header_of_two_lines", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(1, 1, 1), 'A', '/', U16(1), U16(4), 'a', 'b', '\r', '\n', 'c')},
    {"net_header_with_nul", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(1, 1, 1), 'A', '/', U16(1), U16(1), 'a', 0)},
    {"net_header_of_the_host", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(1, 1, 1), 'A', '/', U16(4), U16(1), 'h', 'o', 's', 't', 'a')},
    {"net_header_that_smuggles_a_length", ASKING, NET_REQUEST, 1,
     BYTES(REQUEST(1, 1, 1), 'A', '/', U16(14), U16(1), 'c', 'o', 'n', 't', 'e', 'n', 't', '-', 'l',
           'e', 'n', 'g', 't', 'h', '9')},
};
/* clang-format on */

static void tell_frame(int row)
{
    static uint8_t payload[NET_PAYLOAD_MAX];
    const size_t len = frames[row].len;
    const struct net_header h = {.type = frames[row].type,
                                 .stream = frames[row].stream,
                                 .length = (uint32_t)(len + frames[row].more)};

    if (len > 0) {
        memcpy(payload, frames[row].payload, len);
        memset(payload + len, payload[len - 1], frames[row].more);
    }
    lie(frames[row].stage, &h, payload);
}

/* ---- more than one frame --------------------------------------------------------------------- */

static void net_ready_of_another_version(void)
{
    send_ready(NET_VERSION + 1, 0);
    expect_tampered();
}

static void net_ready_with_one_bit_of_the_nonce_wrong(void)
{
    send_ready(NET_VERSION, 1);
    expect_tampered();
}

static void net_ready_with_a_nonce_that_was_used(void)
{
    const struct net_hello old = hello;

    close(port);
    greet();
    hello = old;
    send_ready(NET_VERSION, 0);
    expect_tampered();
}

static void net_request_twice(void)
{
    const uint8_t request[] = {REQUEST(1, 1, 0), 'A', '/'};

    send_frame(NET_REQUEST, 1, request, sizeof(request));
    send_frame(NET_REQUEST, 1, request, sizeof(request));
    expect_tampered();
}

static uint8_t junk[NET_PAYLOAD_MAX];

/* As much as a stream may have under way: more than a socket that nobody reads takes is kept. */
static void fill(uint32_t stream)
{
    for (uint32_t left = NET_WINDOW; left > 0; left -= (uint32_t)sizeof(junk))
        send_frame(NET_DATA, stream, junk, sizeof(junk));
}

/* In a process of its own, so that a gateway that takes no more does not stop the test. */
static void flood(void (*send_all)(void))
{
    pid_t child = fork();

    if (child == 0) {
        close(gateway_fd(gateway)); /* the gateway ends with the keeper, and that is not us */
        send_all();
        _exit(0);
    }
    ck_assert_int_gt(child, 0);
}

/* What the server's socket takes is given back, so that it is more than once. */
static void fill_without_end(void)
{
    for (int i = 0; i < 1000; i++)
        fill(1);
}

static void net_data_over_its_credit(void)
{
    flood(fill_without_end);
    expect_tampered();
}

#define TRIES 3000

static void tries(void)
{
    for (int i = 0; i < TRIES; i++) {
        open_stream(1, NET_TUNNEL, "nowhere.test", 443);
        expect_frame(NET_REFUSED);
        send_frame(NET_CLOSE, 1, (const uint8_t[4]){0}, 4);
    }
}

/* Refused, told and forgotten, each of them. */
static void net_flood_of_tries(void)
{
    flood(tries);
    for (int i = 0; i < TRIES; i++) {
        struct gateway_event ev = next_event();

        ck_assert_uint_eq(ev.type, GATEWAY_TRY);
        ck_assert_uint_eq(ev.why, NET_WHY_RULE);
    }
}

/* Each waits for an answer that never comes, and the guest gives up. */
static void net_flood_of_questions(void)
{
    for (uint32_t i = 1; i <= NET_STREAMS_MAX; i++)
        open_stream(i, NET_TUNNEL, "silent.test", 443);
    for (uint32_t i = 1; i <= NET_STREAMS_MAX; i++)
        send_frame(NET_CLOSE, i, (const uint8_t[4]){0}, 4);
    for (uint32_t i = 1; i <= NET_STREAMS_MAX; i++)
        expect_frame(NET_CLOSE);
}

/* The most that the protocol lets a guest make the gateway hold. */
static void net_flood_of_every_window(void)
{
    for (uint32_t i = 1; i <= NET_STREAMS_MAX; i++)
        open_stream(i, NET_TUNNEL, "127.0.0.1", at_port);
    for (uint32_t i = 1; i <= NET_STREAMS_MAX; i++)
        expect_frame(NET_OPENED);
    for (uint32_t i = 1; i <= NET_STREAMS_MAX; i++)
        fill(i);
    send_frame(NET_EOF, 0, NULL, 0); /* behind all of it */
    expect_tampered();
}

/* One after another, and the guest reads none of the answers. */
static void net_flood_that_reads_nothing(void)
{
    struct gateway_event ev;

    for (uint32_t i = 1; i <= NET_STREAMS_MAX; i++)
        open_stream(i, NET_TUNNEL, "nowhere.test", 443);
    for (uint32_t i = 1; i <= NET_STREAMS_MAX; i++) {
        ev = next_event();
        ck_assert_uint_eq(ev.why, NET_WHY_RULE);
    }
}

#define ROW(name, stage, ...)                                                                      \
    {                                                                                              \
#name, name, stage, __VA_ARGS__                                                            \
    }
#define WINDOWS_KIB (NET_STREAMS_MAX * NET_WINDOW / 1024)

static const struct {
    const char *name;
    void (*go)(void);
    enum stage stage; /* where it begins */
    long more_kib;    /* that the gateway may take */
} rows[] = {
    ROW(net_ready_of_another_version, UNMET),
    ROW(net_ready_with_one_bit_of_the_nonce_wrong, UNMET),
    ROW(net_ready_with_a_nonce_that_was_used, UNMET),
    ROW(net_request_twice, ASKING),
    ROW(net_data_over_its_credit, FLOWING),
    ROW(net_flood_of_tries, MET),
    ROW(net_flood_of_questions, MET),
    ROW(net_flood_of_every_window, MET, WINDOWS_KIB),
    ROW(net_flood_that_reads_nothing, MET),
};

static void tell_row(int row)
{
    const struct before before = begin(rows[row].stage);

    rows[row].go();
    end(&before, rows[row].more_kib);
}

int main(void)
{
    TCase *tc = tcase_create("net");

    add_neighbours(tc);
    for (size_t i = 0; i < COUNT(headers); i++)
        rows_add(tc, headers[i].name, tell_header, (int)i);
    for (size_t i = 0; i < COUNT(frames); i++)
        rows_add(tc, frames[i].name, tell_frame, (int)i);
    for (size_t i = 0; i < COUNT(rows); i++)
        rows_add(tc, rows[i].name, tell_row, (int)i);
    return suite_run("net", tc);
}
