/*
 * liar: floods of events: as many of each kind as the protocol takes, as fast as the port does, and
 * then an end as it should be.
 */
#include "shared/net.h"
#include "shared/wire.h"
#include "tests/hostile/liar.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BATCH (1u << 15) /* a write to the port takes no more */

static struct batch {
    int fd;
    size_t n;
    uint8_t bytes[BATCH];
} batch;

static void flush(void)
{
    size_t done = 0;

    while (done < batch.n) {
        ssize_t n = write(batch.fd, batch.bytes + done, batch.n - done);

        if (n <= 0)
            _exit(1);
        done += (size_t)n;
    }
    batch.n = 0;
}

static void add(const void *data, size_t len)
{
    if (len > 0)
        memcpy(batch.bytes + batch.n, data, len);
    batch.n += len;
}

/* Of either protocol: their headers are laid out alike. */
static void put_frame(uint32_t magic, uint16_t type, uint32_t stream, const void *payload,
                      size_t length)
{
    uint8_t raw[WIRE_HEADER_SIZE];

    if (batch.n + sizeof(raw) + length > sizeof(batch.bytes))
        flush();
    wire_header_put(raw, magic, type, stream, (uint32_t)length);
    add(raw, sizeof(raw));
    add(payload, length);
}

static void put(uint16_t type, uint32_t stream, const void *payload, size_t length)
{
    put_frame(WIRE_MAGIC, type, stream, payload, length);
}

/* The whole of a window, a byte a frame. */
static void output(enum wire_kind kind)
{
    for (uint32_t i = 0; i < wire_window(kind); i++)
        put(WIRE_DATA, wire_stream(1, kind), "x", 1);
}

/* As the smallest and the largest they can be; each row as often as it may come. */
static void denials(void)
{
    const uint32_t control = wire_stream(1, WIRE_CONTROL);
    uint8_t raw[WIRE_DENIED_SIZE];

    for (uint64_t count = 1; count > 0; count *= 2) {
        for (uint32_t i = 0; i < WIRE_DENIED_MAX; i++) {
            struct wire_denied m = {.kind = WIRE_DENIED_CALL, .detail = i, .count = count};

            if (i > 0 && i <= WIRE_FILES_MAX) {
                m.kind = WIRE_DENIED_FILE;
                m.detail = i | WIRE_FILE_WRITE;
                memset(m.name, '\033', WIRE_NAME_MAX);
            }
            put(WIRE_DENIED, control, raw, wire_denied_format(raw, &m));
        }
    }
}

static void see(uint32_t kind, uint64_t size, const char *path, size_t len)
{
    const struct wire_seen m = {
        .kind = kind, .size = size, .path = (const uint8_t *)path, .path_len = len};
    uint8_t raw[WIRE_SEEN_HEAD + WIRE_PATH_MAX];

    put(WIRE_SEEN, wire_stream(1, WIRE_CONTROL), raw, wire_seen_format(raw, &m));
}

static void files(void)
{
    char path[WIRE_PATH_MAX];

    memset(path, '\033', sizeof(path));
    path[0] = '/';
    for (uint32_t i = 0; i < WIRE_SEEN_MAX; i++)
        see(WIRE_SEEN_WRITTEN, WIRE_BYTES_MAX, path, sizeof(path));
    see(WIRE_SEEN_LOST, WIRE_BYTES_MAX, NULL, 0);
    see(WIRE_SEEN_BLIND, 0, NULL, 0);
}

static void leave(void)
{
    const struct wire_exit ex = {.code = 7};
    uint8_t raw[WIRE_EXIT_SIZE];

    wire_exit_format(raw, &ex);
    put(WIRE_EXIT, wire_stream(1, WIRE_CONTROL), raw, sizeof(raw));
    flush();
}

void liar_flood_of_events(void)
{
    batch.fd = liar_start();
    for (uint32_t i = 0; i < WIRE_LOG_TOTAL; i++)
        put(WIRE_LOG, 0, "\033", 1);
    denials();
    files();
    output(WIRE_STDOUT);
    output(WIRE_STDERR);
    leave();
}

/* ---- egress ---------------------------------------------------------------------------------- */

#define ROUNDS 80u

static void put_net(uint16_t type, uint32_t stream, const void *payload, size_t length)
{
    put_frame(NET_MAGIC, type, stream, payload, length);
}

/* A frame of the host's, which is one that we expect. */
static struct net_header hear(void)
{
    static uint8_t payload[NET_PAYLOAD_MAX];
    uint8_t raw[NET_HEADER_SIZE];
    struct net_header h = {0};

    liar_get(batch.fd, raw, sizeof(raw));
    if (net_header_parse(raw, &h) < 0)
        _exit(1);
    liar_get(batch.fd, payload, h.length);
    if (h.type == NET_HELLO)
        put_net(NET_READY, 0, payload, h.length);
    return h;
}

/* Each of a host of its own, on every stream at once, until all of them are refused. */
static void round_of_tries(uint32_t turn)
{
    uint8_t raw[NET_OPEN_HEAD + NET_NAME_MAX], done[4];
    struct net_open m = {.kind = NET_TUNNEL, .exec = 1, .port = 443};

    for (uint32_t s = 1; s <= NET_STREAMS_MAX; s++) {
        (void)snprintf(m.name, sizeof(m.name), "h%u.example", turn * NET_STREAMS_MAX + s);
        put_net(NET_OPEN, s, raw, net_open_format(raw, &m));
    }
    flush();
    net_u32_format(done, NET_WHY_DONE);
    for (uint32_t s = 1; s <= NET_STREAMS_MAX; s++)
        put_net(NET_CLOSE, hear().stream, done, sizeof(done));
}

void liar_flood_of_tries(void)
{
    int net = liar_open(NET_PORT_NAME), port;

    batch.fd = net;
    while (hear().type != NET_HELLO)
        ;
    flush();
    port = liar_start();
    for (uint32_t turn = 0; turn < ROUNDS; turn++)
        round_of_tries(turn);
    flush();
    batch.fd = port;
    leave();
}
