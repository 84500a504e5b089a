/* net: headers, the reader, the table of legal traffic, and who may say what. See net.h. UNTRUSTED
 * input. */
#include "shared/net.h"

#include "shared/bytes.h"
#include "shared/wire.h"

#include <errno.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
enum {
    IN_ANY = NET_IN_BOOT | NET_IN_READY | NET_IN_HOLDING | NET_IN_HELD,
    /* The guest says what it has begun to say; the host is silent at once. */
    IN_SPEECH = NET_IN_READY | NET_IN_HOLDING,
    PART_LIVE = NET_IN_DIALING | NET_IN_ASKING | NET_IN_FLOWING | NET_IN_ENDED,
    PART_TOLD = NET_IN_FLOWING | NET_IN_ENDED,
    PART_ASKED = NET_IN_DIALING | NET_IN_ASKING,
};

/* clang-format off: a table */
const struct net_row net_rows[] = {
    /* type        direction     session         sender's part                min  max */
    {NET_HELLO, NET_TO_GUEST, IN_ANY, 0, NET_HELLO_SIZE, NET_HELLO_SIZE},
    {NET_READY, NET_TO_HOST, NET_IN_BOOT, 0, NET_HELLO_SIZE, NET_HELLO_SIZE},
    {NET_HOLD, NET_TO_GUEST, NET_IN_READY, 0, 0, 0},
    {NET_HELD, NET_TO_HOST, NET_IN_HOLDING, 0, 0, 0},
    {NET_RESUME, NET_TO_GUEST, NET_IN_HELD, 0, 0, 0},
    {NET_OPEN, NET_TO_HOST, IN_SPEECH, NET_IN_NONE, NET_OPEN_HEAD + 1,
     NET_OPEN_HEAD + NET_NAME_MAX},
    {NET_OPENED, NET_TO_GUEST, NET_IN_READY, NET_IN_DIALING, 0, 0},
    {NET_REFUSED, NET_TO_GUEST, NET_IN_READY, PART_ASKED, NET_REFUSED_HEAD + 1,
     NET_REFUSED_HEAD + NET_TEXT_MAX},
    {NET_REQUEST, NET_TO_HOST, IN_SPEECH, NET_IN_ASKING, NET_REQUEST_HEAD + 2, NET_REQUEST_MAX},
    {NET_RESPONSE, NET_TO_GUEST, NET_IN_READY, NET_IN_ASKING, NET_RESPONSE_HEAD, NET_RESPONSE_MAX},
    {NET_DATA, NET_TO_GUEST, NET_IN_READY, NET_IN_FLOWING, 1, NET_PAYLOAD_MAX},
    {NET_DATA, NET_TO_HOST, IN_SPEECH, NET_IN_FLOWING, 1, NET_PAYLOAD_MAX},
    {NET_EOF, NET_TO_GUEST, NET_IN_READY, NET_IN_FLOWING, 0, 0},
    {NET_EOF, NET_TO_HOST, IN_SPEECH, NET_IN_FLOWING, 0, 0},
    /* A request's body is consumed before its response begins. */
    {NET_CREDIT, NET_TO_GUEST, NET_IN_READY, PART_TOLD | NET_IN_ASKING, 4, 4},
    {NET_CREDIT, NET_TO_HOST, IN_SPEECH, PART_TOLD, 4, 4},
    {NET_CLOSE, NET_TO_GUEST, NET_IN_READY, PART_LIVE, 4, 4},
    {NET_CLOSE, NET_TO_HOST, IN_SPEECH, PART_LIVE, 4, 4},
};
/* clang-format on */
const size_t net_n_rows = COUNT(net_rows);

const char *net_type_name(uint16_t type)
{
    static const char *const names[NET_TYPE_END] = {
        [NET_HELLO] = "HELLO",       [NET_READY] = "READY",     [NET_OPEN] = "OPEN",
        [NET_OPENED] = "OPENED",     [NET_REFUSED] = "REFUSED", [NET_REQUEST] = "REQUEST",
        [NET_RESPONSE] = "RESPONSE", [NET_DATA] = "DATA",       [NET_EOF] = "EOF",
        [NET_CREDIT] = "CREDIT",     [NET_CLOSE] = "CLOSE",     [NET_HOLD] = "HOLD",
        [NET_HELD] = "HELD",         [NET_RESUME] = "RESUME",
    };

    return type < NET_TYPE_END && names[type] ? names[type] : "?";
}

int net_check(const struct net_header *h, enum net_dir dir, enum net_state session,
              enum net_state stream)
{
    for (size_t i = 0; i < net_n_rows; i++) {
        const struct net_row *r = &net_rows[i];

        if (r->type == h->type && (r->dirs & dir) && (r->sessions & session) &&
            (r->streams ? h->stream > 0 && (r->streams & stream) : h->stream == 0) &&
            h->length >= r->min && h->length <= r->max)
            return 0;
    }
    return -EPROTO;
}

int net_header_parse(const uint8_t raw[NET_HEADER_SIZE], struct net_header *ret)
{
    struct net_header h = {
        .type = bytes_get_u16(raw + 4),
        .stream = bytes_get_u32(raw + 8),
        .length = bytes_get_u32(raw + 12),
    };

    if (bytes_get_u32(raw) != NET_MAGIC || bytes_get_u16(raw + 6) != 0)
        return -EBADMSG;
    if (h.type == 0 || h.type >= NET_TYPE_END || h.length > NET_PAYLOAD_MAX ||
        h.stream > NET_STREAMS_MAX)
        return -EBADMSG;
    *ret = h;
    return 0;
}

void net_header_format(uint8_t raw[NET_HEADER_SIZE], const struct net_header *h)
{
    wire_header_put(raw, NET_MAGIC, h->type, h->stream, h->length);
}

void net_reader_init(struct net_reader *r)
{
    r->start = r->end = 0;
}

size_t net_reader_space(struct net_reader *r, uint8_t **ret_at)
{
    if (r->start > 0) {
        memmove(r->buf, r->buf + r->start, r->end - r->start);
        r->end -= r->start;
        r->start = 0;
    }
    *ret_at = r->buf + r->end;
    return sizeof(r->buf) - r->end;
}

void net_reader_commit(struct net_reader *r, size_t n)
{
    r->end += n;
}

int net_reader_next(struct net_reader *r, struct net_header *ret, const uint8_t **ret_payload)
{
    size_t have = r->end - r->start;
    struct net_header h;

    if (have < NET_HEADER_SIZE)
        return 0;
    if (net_header_parse(r->buf + r->start, &h) < 0)
        return -EBADMSG;
    if (have - NET_HEADER_SIZE < h.length)
        return 0;
    *ret = h;
    *ret_payload = r->buf + r->start + NET_HEADER_SIZE;
    r->start += NET_HEADER_SIZE + h.length;
    return 1;
}

void net_session_init(struct net_session *s)
{
    s->state = NET_IN_BOOT;
    for (size_t i = 0; i < COUNT(s->streams); i++)
        s->streams[i] =
            (struct net_stream){.guest = {.state = NET_IN_NONE}, .host = {.state = NET_IN_NONE}};
}

bool net_stream_is_live(const struct net_stream *s)
{
    return s->guest.state != NET_IN_NONE;
}

static int note_open(struct net_stream *s, const struct net_header *h, const uint8_t *payload)
{
    struct net_part part = {.credit = NET_WINDOW};
    struct net_open m;

    if (net_open_parse(payload, h->length, &m) < 0)
        return -EBADMSG;
    part.state = m.kind == NET_TUNNEL ? NET_IN_DIALING : NET_IN_ASKING;
    s->guest = s->host = part;
    return 0;
}

static int note_credit(struct net_part *other, const struct net_header *h, const uint8_t *payload)
{
    uint32_t n;

    if (net_credit_parse(payload, h->length, &n) < 0)
        return -EBADMSG;
    if (n > NET_WINDOW - other->credit) /* more than it has sent */
        return -EPROTO;
    other->credit += n;
    return 0;
}

static void note_last_word(struct net_stream *s, struct net_part *part)
{
    part->state = NET_IN_CLOSED;
    if (s->guest.state == NET_IN_CLOSED && s->host.state == NET_IN_CLOSED)
        s->guest.state = s->host.state = NET_IN_NONE;
}

static int note_stream(struct net_stream *s, enum net_dir dir, const struct net_header *h,
                       const uint8_t *payload)
{
    struct net_part *part = dir == NET_TO_HOST ? &s->guest : &s->host;
    struct net_part *other = dir == NET_TO_HOST ? &s->host : &s->guest;

    switch (h->type) {
    case NET_OPEN:
        return note_open(s, h, payload);
    case NET_CREDIT:
        return note_credit(other, h, payload);
    case NET_OPENED: /* the guest may have given up meanwhile */
        part->state = NET_IN_FLOWING;
        if (other->state == NET_IN_DIALING)
            other->state = NET_IN_FLOWING;
        return 0;
    case NET_REQUEST:
    case NET_RESPONSE:
        part->state = NET_IN_FLOWING;
        return 0;
    case NET_DATA:
        if (h->length > part->credit)
            return -EPROTO;
        part->credit -= h->length;
        return 0;
    case NET_EOF:
        part->state = NET_IN_ENDED;
        return 0;
    default: /* CLOSE, REFUSED */
        note_last_word(s, part);
        return 0;
    }
}

int net_session_note(struct net_session *s, enum net_dir dir, const struct net_header *h,
                     const uint8_t *payload)
{
    struct net_stream *stream = h->stream <= NET_STREAMS_MAX ? &s->streams[h->stream] : NULL;

    if (!stream || net_check(h, dir, s->state,
                             dir == NET_TO_HOST ? stream->guest.state : stream->host.state) < 0)
        return -EPROTO;
    if (h->stream > 0)
        return note_stream(stream, dir, h, payload);
    if (h->type == NET_HELLO)
        net_session_init(s);
    else
        s->state = h->type == NET_HOLD   ? NET_IN_HOLDING
                   : h->type == NET_HELD ? NET_IN_HELD
                                         : NET_IN_READY; /* READY, RESUME */
    return 0;
}
