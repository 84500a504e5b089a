/*
 * gateway: what is said to the guest: frames, made where there is room for them.
 *
 * Must: say nothing while the guest is held, nor before READY; more than nothing to each stream in
 * its turn.
 */
#include "gateway/gate.h"

#include "base/clock.h"

#include <string.h>

#define CREDIT_MIN (NET_WINDOW / 8) /* is given back at once */

/* Room for the payload of one more frame; 0: not even for an empty one. */
static size_t room(struct gate *g)
{
    size_t left;

    if (g->out_start > 0 && GATE_OUT_SIZE - g->out_end < NET_HEADER_SIZE + NET_PAYLOAD_MAX) {
        memmove(g->out, g->out + g->out_start, g->out_end - g->out_start);
        g->out_end -= g->out_start;
        g->out_start = 0;
    }
    left = GATE_OUT_SIZE - g->out_end;
    return left > NET_HEADER_SIZE ? left - NET_HEADER_SIZE : 0;
}

static uint8_t *payload(struct gate *g)
{
    return g->out + g->out_end + NET_HEADER_SIZE;
}

/* Its payload is in place already. */
static bool put(struct gate *g, uint16_t type, uint32_t stream, size_t len)
{
    const struct net_header h = {.type = type, .stream = stream, .length = (uint32_t)len};

    if (net_session_note(&g->session, NET_TO_GUEST, &h, payload(g)) < 0) {
        gate_end(g, GATEWAY_LOST, "the gateway was about to say %s where it may not",
                 net_type_name(type));
        return false;
    }
    net_header_format(g->out + g->out_end, &h);
    g->out_end += NET_HEADER_SIZE + len;
    return true;
}

static bool put_u32(struct gate *g, uint16_t type, uint32_t stream, uint32_t value)
{
    net_u32_format(payload(g), value);
    return put(g, type, stream, 4);
}

static void say_last_word(struct gate_stream *s)
{
    struct gate *g = s->gate;
    enum net_state said = g->session.streams[s->id].host.state;

    s->ending = false;
    if (s->refusal && (said == NET_IN_DIALING || said == NET_IN_ASKING)) {
        const struct net_refused m = {.why = (uint16_t)s->why,
                                      .status = s->status,
                                      .text = (const uint8_t *)s->refusal,
                                      .text_len = strlen(s->refusal)};

        put(g, NET_REFUSED, s->id, net_refused_format(payload(g), &m));
    } else {
        put_u32(g, NET_CLOSE, s->id, s->why);
    }
    if (!net_stream_is_live(&g->session.streams[s->id]))
        s->stage = GATE_FREE;
}

/* At most one frame of data. */
static bool say_data(struct gate_stream *s)
{
    struct gate *g = s->gate;
    const struct net_part *ours = &g->session.streams[s->id].host;
    size_t max = room(g), n;
    uint64_t may;

    if (ours->state != NET_IN_FLOWING)
        return false;
    if (max > NET_PAYLOAD_MAX)
        max = NET_PAYLOAD_MAX;
    if (max > ours->credit)
        max = ours->credit;
    if (!s->down_eof && rule_is_used_up(s->rule)) { /* by another stream */
        stream_refuse(s, NET_WHY_BUDGET);
        return true;
    }
    if (max > 0 && !s->down_eof) {
        may = rule_may_send(s->rule, max, clock_mono_ms(), &s->rate_ms);
        n = may > 0 ? s->open.kind == NET_TUNNEL ? tunnel_read(s, payload(g), (size_t)may)
                                                 : request_read(s, payload(g), (size_t)may)
                    : 0;
        if (s->stage != GATE_FLOWING)
            return true; /* its last word is next */
        if (n > 0)
            return put(g, NET_DATA, s->id, n) && (stream_count(s, 0, n), true);
    }
    return s->down_eof && put(g, NET_EOF, s->id, 0);
}

static void end_if_done(struct gate_stream *s)
{
    const struct net_stream *n = &s->gate->session.streams[s->id];

    if (n->host.state != NET_IN_ENDED)
        return;
    /* An answer is whole, whatever the guest still has to say of its question. */
    if (s->open.kind == NET_ORIGIN || (s->up_eof && s->up_start == s->up_end))
        stream_done(s);
}

/* True: something was said. There is room for any one frame. */
static bool speak(struct gate_stream *s)
{
    struct gate *g = s->gate;
    enum net_state ours = g->session.streams[s->id].host.state;
    size_t n;

    if (s->ending) {
        say_last_word(s);
        return true;
    }
    if (s->stage == GATE_FREE || s->stage == GATE_OVER)
        return false;
    if (s->opened) {
        s->opened = false;
        return put(g, NET_OPENED, s->id, 0);
    }
    if (s->credit >= CREDIT_MIN || (s->credit > 0 && s->up_start == s->up_end)) {
        n = s->credit;
        s->credit = 0;
        return put_u32(g, NET_CREDIT, s->id, (uint32_t)n);
    }
    if (s->stage == GATE_FLOWING && ours == NET_IN_ASKING) {
        n = request_response(s, payload(g));
        if (n > 0 && !rule_count(s->rule, n)) {
            stream_refuse(s, NET_WHY_BUDGET);
            return true;
        }
        return n > 0 && put(g, NET_RESPONSE, s->id, n);
    }
    if (s->stage == GATE_FLOWING && say_data(s)) {
        end_if_done(s);
        return true;
    }
    end_if_done(s);
    return s->ending;
}

void gate_speak(struct gate *g)
{
    bool more = true;

    if (g->over || !g->met)
        return;
    if (g->resume && g->session.state == NET_IN_HELD && room(g) > 0)
        g->resume = !put(g, NET_RESUME, 0, 0);
    while (more && !g->over && g->session.state == NET_IN_READY && !g->hold) {
        more = false;
        for (size_t i = 0; i < NET_STREAMS_MAX && !g->over; i++) {
            if (room(g) < NET_PAYLOAD_MAX)
                break;
            more |= speak(&g->streams[(g->turn + i) % NET_STREAMS_MAX]);
        }
        g->turn = (g->turn + 1) % NET_STREAMS_MAX;
        if (room(g) < NET_PAYLOAD_MAX)
            break;
    }
    if (g->hold && g->session.state == NET_IN_READY && room(g) > 0)
        g->hold = !put(g, NET_HOLD, 0, 0);
}
