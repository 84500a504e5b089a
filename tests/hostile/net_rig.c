/* net_rig: a gateway to lie to. See net_rig.h. */
#include "tests/hostile/net_rig.h"

#include "base/clock.h"
#include "base/doc.h"
#include "base/own.h"
#include "base/spawn.h"
#include "base/str.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#define WAIT_MS 20000

struct gateway *rig_gateway;
int rig_port = -1;
uint16_t rig_at_port;
struct net_hello rig_hello;

static pid_t pid;
static int server = -1;    /* where tunnels lead */
static int questions = -1; /* a name server that does not answer */
static struct net_reader in;
static struct err e;

#define ck_ok(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.text)

/* ---- the guest ------------------------------------------------------------------------------- */

void rig_send_raw(const void *data, size_t len)
{
    const uint8_t *p = data;

    while (len > 0) {
        ssize_t n = send(rig_port, p, len, MSG_NOSIGNAL);

        if (n <= 0)
            return;
        p += n;
        len -= (size_t)n;
    }
}

void rig_send_frame(uint16_t type, uint32_t stream, const void *data, size_t len)
{
    const struct net_header h = {.type = type, .stream = stream, .length = (uint32_t)len};
    uint8_t raw[NET_HEADER_SIZE];

    net_header_format(raw, &h);
    rig_send_raw(raw, sizeof(raw));
    rig_send_raw(data, len);
}

static void wait_for(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    ck_assert_msg(poll(&p, 1, WAIT_MS) == 1, "nothing came");
}

const uint8_t *rig_expect_frame(uint16_t type)
{
    struct net_header h;
    const uint8_t *p;
    int got;

    while ((got = net_reader_next(&in, &h, &p)) == 0) {
        uint8_t *room;
        size_t space = net_reader_space(&in, &room);
        ssize_t n;

        wait_for(rig_port);
        n = recv(rig_port, room, space, 0);
        ck_assert_int_gt(n, 0);
        net_reader_commit(&in, (size_t)n);
    }
    ck_assert_int_eq(got, 1);
    ck_assert_msg(h.type == type, "%s, not %s", net_type_name(h.type), net_type_name(type));
    return p;
}

void rig_open_stream(uint32_t stream, uint16_t kind, const char *name, uint16_t to)
{
    struct net_open m = {.kind = kind, .exec = 1, .port = to};
    uint8_t raw[NET_OPEN_HEAD + NET_NAME_MAX];

    (void)snprintf(m.name, sizeof(m.name), "%s", name);
    rig_send_frame(NET_OPEN, stream, raw, net_open_format(raw, &m));
}

void rig_send_ready(uint32_t version, unsigned wrong_bit)
{
    struct net_hello m = rig_hello;
    uint8_t raw[NET_HELLO_SIZE];

    m.version = version;
    m.nonce[0] ^= (uint8_t)wrong_bit;
    net_hello_format(raw, &m);
    rig_send_frame(NET_READY, 0, raw, sizeof(raw));
}

/* ---- the keeper ------------------------------------------------------------------------------ */

struct gateway_event rig_next_event(void)
{
    struct gateway_event ev;

    while (gateway_next(rig_gateway, &ev) == 0)
        wait_for(gateway_fd(rig_gateway));
    return ev;
}

void rig_expect_event(enum gateway_event_type type)
{
    struct gateway_event ev = rig_next_event();

    ck_assert_msg(ev.type == type, "event %u (%s), not %u", ev.type, ev.text, type);
}

void rig_expect_tampered(void)
{
    struct gateway_event ev = rig_next_event();

    while (ev.type == GATEWAY_TRY || ev.type == GATEWAY_CLOSED)
        ev = rig_next_event();
    ck_assert_msg(ev.type == GATEWAY_TAMPERED, "event %u: %s", ev.type, ev.text);
    ck_assert(ev.text[0]);
    ck_assert_int_eq(gateway_next(rig_gateway, &ev), 0);
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
        rig_at_port);
    own_doc struct doc *d = NULL;

    ck_ok(doc_parse(text, strlen(text), "rules", &d, &e));
    ck_ok(gateway_rules(rig_gateway, d, &e));
}

void rig_greet(void)
{
    int pair[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    rig_port = pair[0];
    net_reader_init(&in);
    ck_ok(gateway_port(rig_gateway, pair[1], &e));
    close(pair[1]);
    ck_assert_int_eq(net_hello_parse(rig_expect_frame(NET_HELLO), NET_HELLO_SIZE, &rig_hello), 0);
}

static void reach(enum stage stage)
{
    if (stage == UNMET)
        return;
    rig_send_ready(NET_VERSION, 0);
    rig_expect_event(GATEWAY_READY);
    if (stage == DIALING)
        rig_open_stream(1, NET_TUNNEL, "silent.test", 443);
    if (stage == ASKING)
        rig_open_stream(1, NET_ORIGIN, "silent", 0);
    if (stage == FLOWING || stage == ENDED || stage == CLOSED) {
        rig_open_stream(1, NET_TUNNEL, "127.0.0.1", rig_at_port);
        rig_expect_frame(NET_OPENED);
    }
    if (stage == ENDED)
        rig_send_frame(NET_EOF, 1, NULL, 0);
    if (stage == CLOSED) {
        rig_send_frame(NET_CLOSE, 1, (const uint8_t[4]){0}, 4);
        rig_expect_frame(NET_CLOSE);
    }
    if (stage == HOLDING || stage == HELD) {
        ck_ok(gateway_hold(rig_gateway, &e));
        rig_expect_frame(NET_HOLD);
    }
    if (stage == HELD) {
        rig_send_frame(NET_HELD, 0, NULL, 0);
        rig_expect_event(GATEWAY_HELD);
    }
}

struct rig_before rig_begin(enum stage stage)
{
    struct rig_before b = {.fds = suite_count_fds()};
    uint16_t dns_port;
    char text[32];
    int control;

    server = listen_here(SOCK_STREAM, &rig_at_port);
    questions = listen_here(SOCK_DGRAM, &dns_port);
    (void)snprintf(text, sizeof(text), "127.0.0.1:%u", dns_port);
    ck_assert_int_eq(setenv(GATEWAY_DNS_ENV, text, 1), 0);
    ck_ok(gateway_start(GATEWAY_PATH, NULL, &control, &pid, &e));
    rig_gateway = gateway_new(control);
    set_rules();
    rig_greet();
    b.mine = rows_watch(getpid());
    b.its = rows_status_kib(pid, "VmHWM");
    reach(stage);
    return b;
}

void rig_end(const struct rig_before *b, long more_kib)
{
    int status;

    rows_check_peak(getpid(), b->mine, "the keeper");
    gateway_free(rig_gateway);
    ck_ok(spawn_wait(pid, "lazaret-gateway", clock_mono_ms() + WAIT_MS, &status, &e));
    ck_assert_int_eq(status, 0);
    close(rig_port);
    close(server);
    close(questions);
    while (waitpid(-1, NULL, 0) > 0) /* whoever flooded */
        ;
    rows_check_children((b->mine > b->its ? b->mine : b->its) + more_kib);
    rows_check_clean(b->fds);
}

void rig_lie(enum stage stage, const struct net_header *h, const void *data)
{
    const struct rig_before before = rig_begin(stage);

    rig_send_frame(h->type, h->stream, data, h->length);
    rig_expect_tampered();
    rig_end(&before, 0);
}
