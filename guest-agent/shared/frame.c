/* frame: headers, the reader, and the table of legal traffic. See wire.h. UNTRUSTED input. */
#include "shared/wire.h"

#include "shared/bytes.h"

#include <errno.h>
#include <string.h>

#define K(kind) (1u << WIRE_##kind)
enum {
    IN_SPEECH = WIRE_IN_BOOT | WIRE_IN_READY | WIRE_IN_SYNCING,
    IN_TALK = WIRE_IN_READY | WIRE_IN_SYNCING,
    IN_SESSION = IN_SPEECH | WIRE_IN_HELD,
};

/* clang-format off: a table */
const struct wire_rule wire_rules[] = {
    /* type           direction                     stream             session  states min  max */
    {WIRE_HELLO, WIRE_TO_GUEST, K(CONTROL), true, IN_SESSION, WIRE_HELLO_SIZE, WIRE_HELLO_SIZE},
    {WIRE_READY, WIRE_TO_HOST, K(CONTROL), true, WIRE_IN_BOOT, WIRE_READY_SIZE, WIRE_READY_SIZE},
    {WIRE_PARKED, WIRE_TO_HOST, K(CONTROL), true, WIRE_IN_BOOT, WIRE_READY_SIZE, WIRE_READY_SIZE},
    {WIRE_FAILED, WIRE_TO_HOST, K(CONTROL), true, WIRE_IN_BOOT, 0, WIRE_TEXT_MAX},
    {WIRE_LOG, WIRE_TO_HOST, K(CONTROL), true, IN_SPEECH, 1, WIRE_TEXT_MAX},
    {WIRE_EXEC, WIRE_TO_GUEST, K(CONTROL), false, WIRE_IN_NONE, WIRE_EXEC_SIZE, WIRE_EXEC_SIZE},
    {WIRE_SECRET, WIRE_TO_GUEST, K(CONTROL), false, WIRE_IN_SECRETS, WIRE_SECRET_HEAD,
     WIRE_SECRET_HEAD + WIRE_SECRET_MAX},
    {WIRE_CONFIG, WIRE_TO_GUEST, K(CONTROL), false, WIRE_IN_CONFIG, 1, WIRE_PAYLOAD_MAX},
    {WIRE_STARTED, WIRE_TO_HOST, K(CONTROL), false, WIRE_IN_STARTING, 0, 0},
    {WIRE_UNSTARTED, WIRE_TO_HOST, K(CONTROL), false, WIRE_IN_STARTING, 4, 4 + WIRE_TEXT_MAX},
    {WIRE_DATA, WIRE_TO_GUEST, K(STDIN), false, WIRE_IN_RUNNING, 1, WIRE_PAYLOAD_MAX},
    {WIRE_DATA, WIRE_TO_HOST, K(STDOUT) | K(STDERR), false, WIRE_IN_RUNNING, 1, WIRE_PAYLOAD_MAX},
    {WIRE_DATA, WIRE_TO_HOST, K(TREE), true, WIRE_IN_COLLECTING, 1, WIRE_PAYLOAD_MAX},
    {WIRE_EOF, WIRE_TO_GUEST, K(STDIN), false, WIRE_IN_RUNNING, 0, 0},
    {WIRE_CREDIT, WIRE_TO_GUEST, K(STDOUT) | K(STDERR), false, WIRE_IN_RUNNING, 4, 4},
    {WIRE_CREDIT, WIRE_TO_GUEST, K(TREE), true, WIRE_IN_COLLECTING, 4, 4},
    {WIRE_CREDIT, WIRE_TO_HOST, K(STDIN), false, WIRE_IN_RUNNING, 4, 4},
    {WIRE_CLOSE, WIRE_TO_GUEST, K(STDOUT) | K(STDERR), false, WIRE_IN_RUNNING, 0, 0},
    {WIRE_SIGNAL, WIRE_TO_GUEST, K(CONTROL), false, WIRE_IN_RUNNING, 4, 4},
    {WIRE_RESIZE, WIRE_TO_GUEST, K(CONTROL), false, WIRE_IN_RUNNING, 4, 4},
    {WIRE_EXIT, WIRE_TO_HOST, K(CONTROL), false, WIRE_IN_RUNNING, WIRE_EXIT_SIZE, WIRE_EXIT_SIZE},
    {WIRE_DENIED, WIRE_TO_HOST, K(CONTROL), false, WIRE_IN_RUNNING, WIRE_DENIED_HEAD,
     WIRE_DENIED_SIZE},
    {WIRE_SEEN, WIRE_TO_HOST, K(CONTROL), false, WIRE_IN_RUNNING, WIRE_SEEN_HEAD,
     WIRE_SEEN_HEAD + WIRE_PATH_MAX},
    {WIRE_COLLECT, WIRE_TO_GUEST, K(TREE), true, WIRE_IN_NONE, 8, 8},
    {WIRE_COLLECTED, WIRE_TO_HOST, K(TREE), true, WIRE_IN_COLLECTING, 4, 4},
    {WIRE_SYNC, WIRE_TO_GUEST, K(CONTROL), true, WIRE_IN_READY, 0, 0},
    {WIRE_SYNCED, WIRE_TO_HOST, K(CONTROL), true, WIRE_IN_SYNCING, 4, 4},
    {WIRE_RESUME, WIRE_TO_GUEST, K(CONTROL), true, WIRE_IN_HELD, 0, 0},
    {WIRE_USAGE, WIRE_TO_GUEST, K(CONTROL), true, WIRE_IN_READY, 0, 0},
    {WIRE_USED, WIRE_TO_HOST, K(CONTROL), true, IN_TALK, WIRE_USED_SIZE, WIRE_USED_SIZE},
};
/* clang-format on */
const size_t wire_n_rules = sizeof(wire_rules) / sizeof(wire_rules[0]);

const char *wire_type_name(uint16_t type)
{
    static const char *const names[WIRE_TYPE_END] = {
        [WIRE_HELLO] = "HELLO",     [WIRE_READY] = "READY",         [WIRE_FAILED] = "FAILED",
        [WIRE_LOG] = "LOG",         [WIRE_EXEC] = "EXEC",           [WIRE_CONFIG] = "CONFIG",
        [WIRE_STARTED] = "STARTED", [WIRE_DATA] = "DATA",           [WIRE_UNSTARTED] = "UNSTARTED",
        [WIRE_EOF] = "EOF",         [WIRE_CREDIT] = "CREDIT",       [WIRE_CLOSE] = "CLOSE",
        [WIRE_SIGNAL] = "SIGNAL",   [WIRE_RESIZE] = "RESIZE",       [WIRE_EXIT] = "EXIT",
        [WIRE_COLLECT] = "COLLECT", [WIRE_COLLECTED] = "COLLECTED", [WIRE_PARKED] = "PARKED",
        [WIRE_SYNC] = "SYNC",       [WIRE_SYNCED] = "SYNCED",       [WIRE_RESUME] = "RESUME",
        [WIRE_DENIED] = "DENIED",   [WIRE_SECRET] = "SECRET",       [WIRE_USAGE] = "USAGE",
        [WIRE_USED] = "USED",       [WIRE_SEEN] = "SEEN",
    };

    return type < WIRE_TYPE_END && names[type] ? names[type] : "?";
}

int wire_check(const struct wire_header *h, enum wire_dir dir, enum wire_state state)
{
    uint32_t exec = wire_stream_exec(h->stream);

    for (size_t i = 0; i < wire_n_rules; i++) {
        const struct wire_rule *r = &wire_rules[i];

        if (r->type == h->type && (r->dirs & dir) && (r->states & state) &&
            (r->kinds & 1u << wire_stream_kind(h->stream)) && r->session == (exec == 0) &&
            h->length >= r->min && h->length <= r->max)
            return 0;
    }
    return -EPROTO;
}

int wire_header_parse(const uint8_t raw[WIRE_HEADER_SIZE], struct wire_header *ret)
{
    struct wire_header h = {
        .type = bytes_get_u16(raw + 4),
        .stream = bytes_get_u32(raw + 8),
        .length = bytes_get_u32(raw + 12),
    };

    if (bytes_get_u32(raw) != WIRE_MAGIC || bytes_get_u16(raw + 6) != 0)
        return -EBADMSG;
    if (h.type == 0 || h.type >= WIRE_TYPE_END || h.length > WIRE_PAYLOAD_MAX)
        return -EBADMSG;
    if (wire_stream_exec(h.stream) > WIRE_EXEC_MAX || wire_stream_kind(h.stream) >= WIRE_KIND_END)
        return -EBADMSG;
    *ret = h;
    return 0;
}

void wire_header_put(uint8_t raw[WIRE_HEADER_SIZE], uint32_t magic, uint16_t type, uint32_t stream,
                     uint32_t length)
{
    bytes_put_u32(raw, magic);
    bytes_put_u16(raw + 4, type);
    bytes_put_u16(raw + 6, 0);
    bytes_put_u32(raw + 8, stream);
    bytes_put_u32(raw + 12, length);
}

void wire_header_format(uint8_t raw[WIRE_HEADER_SIZE], const struct wire_header *h)
{
    wire_header_put(raw, WIRE_MAGIC, h->type, h->stream, h->length);
}

void wire_reader_init(struct wire_reader *r)
{
    r->start = r->end = 0;
}

size_t wire_reader_space(struct wire_reader *r, uint8_t **ret_at)
{
    if (r->start > 0) {
        size_t left = r->end - r->start;

        memmove(r->buf, r->buf + r->start, left);
        explicit_bzero(r->buf + left, r->end - left);
        r->end = left;
        r->start = 0;
    }
    *ret_at = r->buf + r->end;
    return sizeof(r->buf) - r->end;
}

void wire_reader_commit(struct wire_reader *r, size_t n)
{
    r->end += n;
}

int wire_reader_next(struct wire_reader *r, struct wire_header *ret, const uint8_t **ret_payload)
{
    size_t have = r->end - r->start;
    struct wire_header h;

    if (have < WIRE_HEADER_SIZE)
        return 0;
    if (wire_header_parse(r->buf + r->start, &h) < 0)
        return -EBADMSG;
    if (have - WIRE_HEADER_SIZE < h.length)
        return 0;
    *ret = h;
    *ret_payload = r->buf + r->start + WIRE_HEADER_SIZE;
    r->start += WIRE_HEADER_SIZE + h.length;
    return 1;
}
