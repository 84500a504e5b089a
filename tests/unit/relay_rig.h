/* relay_rig: a real lazaret-relay on a socketpair, with the test as its guest. */
#ifndef LZ_TESTS_RELAY_RIG_H
#define LZ_TESTS_RELAY_RIG_H

#include "base/err.h"
#include "base/own.h"
#include "channel/channel.h"
#include "channel/relay.h"
#include "tests/unit/suite.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define RIG_WAIT_MS 10000 /* for what must come */

struct rig {
    struct channel *ch;
    int guest;   /* the guest's end of the channel, blocking */
    int console; /* the guest's end of the console */
    int log;     /* what the relay writes to the console log, as a pipe's read end */
    uint8_t nonce[WIRE_NONCE_SIZE];
    struct wire_reader in; /* what the host sent */
};

static struct rig rig;                                         /* large: it has a reader */
static uint8_t junk[WIRE_PAYLOAD_MAX] __attribute__((unused)); /* for payloads */
static struct err rig_err;
#define ck_ok(call) ck_assert_msg((call) == 0, "%s: %s", #call, rig_err.text)

static inline void rig_open(struct rig *r, uint64_t console_max)
{
    int channel[2], console[2], log[2];
    struct channel_config c = {.relay_path = RELAY_PATH, .console_max_bytes = console_max};

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, console), 0);
    ck_assert_int_eq(pipe2(log, O_CLOEXEC), 0);
    c.channel_fd = channel[0];
    c.console_fd = console[0];
    c.console_log_fd = log[1];
    ck_ok(channel_open(&c, &r->ch, &rig_err));
    close(channel[0]);
    close(console[0]);
    close(log[1]);
    r->guest = channel[1];
    r->console = console[1];
    r->log = log[0];
    wire_reader_init(&r->in);
}

static inline void rig_close(struct rig *r)
{
    channel_close(r->ch);
    if (r->guest >= 0)
        close(r->guest);
    close(r->console);
    close(r->log);
}

static inline void wait_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    ck_assert_msg(poll(&p, 1, RIG_WAIT_MS) == 1, "nothing came on fd %d", fd);
}

/* Sends as the guest; a relay that stopped reading is no error here. */
static inline void guest_raw(struct rig *r, const void *data, size_t len)
{
    const uint8_t *p = data;

    while (len > 0) {
        ssize_t n = send(r->guest, p, len, MSG_NOSIGNAL);

        if (n <= 0)
            return;
        p += n;
        len -= (size_t)n;
    }
}

static inline void guest_send(struct rig *r, uint16_t type, uint32_t stream, const void *data,
                              size_t len)
{
    uint8_t raw[WIRE_HEADER_SIZE];
    struct wire_header h = {.type = type, .stream = stream, .length = (uint32_t)len};

    wire_header_format(raw, &h);
    guest_raw(r, raw, sizeof(raw));
    guest_raw(r, data, len);
}

/* The next frame from the host; the payload is valid until the next call. */
static inline struct wire_header guest_recv(struct rig *r, const uint8_t **ret)
{
    struct wire_header h;
    int got;

    while ((got = wire_reader_next(&r->in, &h, ret)) == 0) {
        uint8_t *at;
        size_t space = wire_reader_space(&r->in, &at);
        ssize_t n;

        wait_readable(r->guest);
        n = recv(r->guest, at, space, 0);
        ck_assert_int_gt(n, 0);
        wire_reader_commit(&r->in, (size_t)n);
    }
    ck_assert_int_eq(got, 1);
    return h;
}

static inline struct wire_header guest_expect(struct rig *r, uint16_t type, uint32_t stream,
                                              const uint8_t **ret)
{
    struct wire_header h = guest_recv(r, ret);

    ck_assert_msg(h.type == type && h.stream == stream, "got %s on stream %u, not %s on %u",
                  wire_type_name(h.type), h.stream, wire_type_name(type), stream);
    return h;
}

static inline struct channel_event expect_event(struct rig *r, enum channel_event_type type)
{
    struct channel_event ev;

    while (channel_next(r->ch, &ev) == 0)
        wait_readable(channel_fd(r->ch));
    ck_assert_msg(ev.type == type, "event %d (%s), not %d", ev.type, ev.text, type);
    return ev;
}

/* READY, or PARKED. */
static inline void send_kept(struct rig *r, enum wire_type type, uint32_t version,
                             const uint8_t *nonce, uint32_t kept)
{
    struct wire_ready ready = {.version = version, .boot_us = 42, .kept = kept};
    uint8_t raw[WIRE_READY_SIZE];

    memcpy(ready.nonce, nonce, sizeof(ready.nonce));
    wire_ready_format(raw, &ready);
    guest_send(r, (uint16_t)type, 0, raw, sizeof(raw));
}

static inline void send_answer(struct rig *r, enum wire_type type, uint32_t version,
                               const uint8_t *nonce)
{
    send_kept(r, type, version, nonce, 0);
}

static inline void send_ready(struct rig *r, uint32_t version, const uint8_t *nonce)
{
    send_answer(r, WIRE_READY, version, nonce);
}

static inline struct wire_hello greet_with(struct rig *r, const struct channel_hello *m)
{
    struct wire_hello hello;
    struct wire_header h;
    const uint8_t *p;

    ck_ok(channel_hello(r->ch, m, &rig_err));
    h = guest_expect(r, WIRE_HELLO, 0, &p);
    ck_assert_int_eq(wire_hello_parse(p, h.length, &hello), 0);
    memcpy(r->nonce, hello.nonce, sizeof(r->nonce));
    return hello;
}

static inline void greet(struct rig *r)
{
    greet_with(r, &(struct channel_hello){.uid = 1000, .gid = 1000});
}

static inline void meet(struct rig *r)
{
    greet(r);
    send_ready(r, WIRE_VERSION, r->nonce);
    ck_assert_uint_eq(expect_event(r, CHANNEL_READY).boot_us, 42);
}

static inline uint32_t out_of(uint32_t exec)
{
    return wire_stream(exec, WIRE_STDOUT);
}

#define CONFIG_TEXT  "{\"ociVersion\":\"1.0.2\"}"
#define PROFILE_TEXT "profile"

/* Asks for a job and takes it, as far as the whole config, which has canaries in front and a
 * profile behind it. */
static inline void ask(struct rig *r, struct channel_exec x)
{
    own_close int config = memfd_create("config", MFD_CLOEXEC);
    const char canary[WIRE_CANARY_SIZE] = "/canary";
    const size_t size = x.canaries * sizeof(canary) + strlen(CONFIG_TEXT);
    const size_t all = size + strlen(PROFILE_TEXT);
    struct wire_exec m;
    struct wire_header h;
    const uint8_t *p;

    for (uint32_t i = 0; i < x.canaries; i++)
        ck_assert_int_eq(write(config, canary, sizeof(canary)), sizeof(canary));
    ck_assert_int_eq(write(config, CONFIG_TEXT PROFILE_TEXT, strlen(CONFIG_TEXT PROFILE_TEXT)),
                     strlen(CONFIG_TEXT PROFILE_TEXT));
    x.config_fd = config;
    x.config_size = size;
    ck_ok(channel_exec(r->ch, &x, &rig_err));
    h = guest_expect(r, WIRE_EXEC, wire_stream(x.exec, WIRE_CONTROL), &p);
    ck_assert_int_eq(wire_exec_parse(p, h.length, &m), 0);
    ck_assert_uint_eq(m.config_size, size);
    ck_assert_uint_eq(m.profile_size, strlen(PROFILE_TEXT));
    h = guest_expect(r, WIRE_CONFIG, wire_stream(x.exec, WIRE_CONTROL), &p);
    ck_assert_uint_eq(h.length, all);
    ck_assert_mem_eq(p + size - strlen(CONFIG_TEXT), CONFIG_TEXT PROFILE_TEXT,
                     strlen(CONFIG_TEXT PROFILE_TEXT));
}

static inline void start(struct rig *r, struct channel_exec x)
{
    ask(r, x);
    guest_send(r, WIRE_STARTED, wire_stream(x.exec, WIRE_CONTROL), NULL, 0);
    ck_assert_uint_eq(expect_event(r, CHANNEL_STARTED).exec, x.exec);
}

/* All that a stream may send before it gets credit back. */
static inline void send_window(struct rig *r, uint32_t stream)
{
    for (uint32_t left = wire_window(wire_stream_kind(stream)); left > 0;) {
        uint32_t n = left < sizeof(junk) ? left : (uint32_t)sizeof(junk);

        guest_send(r, WIRE_DATA, stream, junk, n);
        left -= n;
    }
}

/* Waits until the stream may send `n` bytes: *credit is what it has. */
static inline void take_credit(struct rig *r, uint32_t stream, uint64_t *credit, uint64_t n)
{
    while (*credit < n) {
        const uint8_t *p;
        struct wire_header h = guest_expect(r, WIRE_CREDIT, stream, &p);
        uint32_t bytes;

        ck_assert_int_eq(wire_credit_parse(p, h.length, &bytes), 0);
        *credit += bytes;
    }
}

static inline void send_exit(struct rig *r, uint32_t exec, uint32_t code)
{
    struct wire_exit m = {.code = code, .cpu_us = 7, .peak_bytes = 9};
    uint8_t raw[WIRE_EXIT_SIZE];

    wire_exit_format(raw, &m);
    guest_send(r, WIRE_EXIT, wire_stream(exec, WIRE_CONTROL), raw, sizeof(raw));
}

static inline void collect(struct rig *r, int spool, uint64_t cap)
{
    const uint8_t *p;

    ck_ok(channel_collect(r->ch, spool, cap, &rig_err));
    ck_assert_uint_eq(guest_expect(r, WIRE_COLLECT, wire_stream(0, WIRE_TREE), &p).length, 8);
}

static inline void send_collected(struct rig *r, uint32_t how)
{
    uint8_t raw[4];

    wire_u32_format(raw, how);
    guest_send(r, WIRE_COLLECTED, wire_stream(0, WIRE_TREE), raw, sizeof(raw));
}

static inline void sync_guest(struct rig *r)
{
    const uint8_t *p;

    ck_ok(channel_sync(r->ch, &rig_err));
    guest_expect(r, WIRE_SYNC, 0, &p);
}

static inline void send_synced(struct rig *r, uint32_t how)
{
    uint8_t raw[4];

    wire_u32_format(raw, how);
    guest_send(r, WIRE_SYNCED, 0, raw, sizeof(raw));
}

/* Waits for the log to say something after which earlier events must have come. */
static inline void expect_nothing_before_log(struct rig *r)
{
    guest_send(r, WIRE_LOG, 0, "mark", 4);
    ck_assert_str_eq(expect_event(r, CHANNEL_LOG).text, "mark");
}

#endif
