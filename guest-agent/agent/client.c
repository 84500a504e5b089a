/* client: one connection of a job's program to the proxy: its bytes, both ways, and its end. See
 * proxy.h. UNTRUSTED input. */
#include "agent/proxy_private.h"

#include "agent/boot.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void client_init(struct client *c, uint32_t stream)
{
    *c = (struct client){.stream = stream, .fd = -1};
}

void client_open(struct client *c, int fd, uint32_t exec, enum proxy_socket from)
{
    const int on = 1;

    *c = (struct client){.state = CLIENT_ASKING,
                         .stream = c->stream,
                         .fd = fd,
                         .exec = exec,
                         .from = from,
                         .deadline_ms = boot_now_ms() + CLIENT_ASK_MS};
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* One request and its answer, rather than bytes. */
static bool is_http(const struct client *c)
{
    return c->mode == CLIENT_FORWARD || c->mode == CLIENT_ORIGIN;
}

static bool is_under_way(const struct client *c)
{
    return c->state == CLIENT_WAITING || c->state == CLIENT_FLOWING;
}

/* Closing breaks the connection off then, rather than ends it. */
static void set_reset(const struct client *c)
{
    const struct linger at_once = {.l_onoff = 1};

    (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

/* Nobody; but the stream's affairs stay. */
static void let_go(struct client *c)
{
    free(c->head);
    free(c->text);
    free(c->ring);
    if (c->fd >= 0)
        close(c->fd);
    *c = (struct client){.stream = c->stream, .fd = -1, .last_word = c->last_word, .why = c->why};
    c->head = c->text = NULL; /* they are; clang's analyser loses sight of them */
    c->ring = NULL;
}

static void part(struct proxy *p, struct client *c, uint32_t why)
{
    enum net_state state = p->session.streams[c->stream].guest.state;

    if (state == NET_IN_NONE || state == NET_IN_CLOSED || c->last_word)
        return;
    c->last_word = true;
    c->why = why;
}

void client_drop(struct proxy *p, struct client *c, bool reset)
{
    if (reset && c->fd >= 0)
        set_reset(c);
    part(p, c, NET_WHY_PEER);
    let_go(c);
}

void client_lost(struct client *c)
{
    c->last_word = false;
    if (c->state == CLIENT_NONE || c->state == CLIENT_ASKING || c->state == CLIENT_CALLING ||
        c->state == CLIENT_LEAVING)
        return;
    if (c->state == CLIENT_WAITING && !c->answered) {
        talk_refuse(c, NET_WHY_PEER, 502, NULL, 0);
        return;
    }
    set_reset(c);
    let_go(c);
}

/* ---- from the host ----------------------------------------------------------------------------
 */

static void take_data(struct proxy *p, struct client *c, const uint8_t *b, size_t len)
{
    size_t end = (c->at + c->length) % NET_WINDOW, n;

    if (c->state != CLIENT_FLOWING) { /* it has left: what was under way for it goes nowhere */
        return;
    }
    if (!c->ring && !(c->ring = malloc(NET_WINDOW))) {
        client_drop(p, c, true);
        return;
    }
    /* The credit is noted: it fits. */
    n = len < NET_WINDOW - end ? len : NET_WINDOW - end;
    memcpy(c->ring + end, b, n);
    memcpy(c->ring, b + n, len - n);
    c->length += len;
}

/* The host's last word. */
static void take_close(struct proxy *p, struct client *c, uint32_t why)
{
    part(p, c, NET_WHY_DONE);
    c->closed = true;
    if (c->state == CLIENT_WAITING ||
        (c->state == CLIENT_FLOWING && c->mode == CLIENT_ORIGIN && !c->answered))
        talk_refuse(c, why == NET_WHY_DONE ? NET_WHY_PEER : why, 0, NULL, 0);
    else if (c->state == CLIENT_FLOWING && (why != NET_WHY_DONE || !c->over))
        client_drop(p, c, true);
}

void client_frame(struct proxy *p, struct client *c, const struct net_header *h, const uint8_t *b)
{
    struct net_refused refused;
    struct net_response response;
    uint32_t why;

    switch (h->type) {
    case NET_OPENED:
        if (c->state == CLIENT_WAITING)
            talk_opened(c);
        break;
    case NET_REFUSED:
        part(p, c, NET_WHY_DONE);
        if (c->state == CLIENT_WAITING && net_refused_parse(b, h->length, &refused) == 0)
            talk_refuse(c, refused.why, refused.status, refused.text, refused.text_len);
        break;
    case NET_RESPONSE:
        if (c->state != CLIENT_WAITING)
            break;
        if (net_response_parse(b, h->length, &response) == 0)
            talk_response(c, &response);
        else
            client_drop(p, c, true);
        break;
    case NET_DATA:
        take_data(p, c, b, h->length);
        break;
    case NET_EOF:
        c->over = true;
        break;
    case NET_CLOSE:
        if (net_close_parse(b, h->length, &why) == 0)
            take_close(p, c, why);
        break;
    default: /* CREDIT is noted */
        break;
    }
}

/* ---- to the client ----------------------------------------------------------------------------
 */

static bool is_drained(const struct client *c)
{
    return c->text_at == c->text_len && c->line_at == c->line_len && c->length == 0;
}

/* Writes; false: it takes no more now, or is gone (*ret_gone). */
static bool write_some(struct client *c, const void *from, size_t len, size_t *ret_n,
                       bool *ret_gone)
{
    ssize_t n = send(c->fd, from, len, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n < 0) {
        *ret_gone = errno != EAGAIN && errno != EINTR;
        return false;
    }
    *ret_n = (size_t)n;
    return true;
}

/* The front of the next chunk, the end of the last one, or the end of them all. */
static void next_line(struct client *c)
{
    int n = 0;

    if (!c->chunked || c->chunk_left > 0)
        return;
    if (c->length > 0) {
        c->chunk_left = c->length;
        n = snprintf(c->line, sizeof(c->line), "%zx\r\n", c->length);
    } else if (c->over) {
        c->chunked = false;
        n = snprintf(c->line, sizeof(c->line), "0\r\n\r\n");
    }
    c->line_at = 0;
    c->line_len = (size_t)n;
}

static void took_of_ring(struct client *c, size_t n)
{
    c->at = (c->at + n) % NET_WINDOW;
    c->length -= n;
    c->spent += (uint32_t)n;
    if (!c->chunked)
        return;
    c->chunk_left -= n;
    if (c->chunk_left > 0)
        return;
    memcpy(c->line, "\r\n", 2);
    c->line_at = 0;
    c->line_len = 2;
}

/* False: it is gone. */
static bool write_out(struct client *c)
{
    bool gone = false;
    size_t n;

    for (;;) {
        if (c->text_at < c->text_len) {
            if (!write_some(c, c->text + c->text_at, c->text_len - c->text_at, &n, &gone))
                return !gone;
            c->text_at += n;
        } else if (c->line_at < c->line_len) {
            if (!write_some(c, c->line + c->line_at, c->line_len - c->line_at, &n, &gone))
                return !gone;
            c->line_at += n;
        } else if (c->length > 0 && (!c->chunked || c->chunk_left > 0)) {
            size_t max = c->chunked ? c->chunk_left : c->length;
            size_t flat = NET_WINDOW - c->at;

            if (!write_some(c, c->ring + c->at, max < flat ? max : flat, &n, &gone))
                return !gone;
            took_of_ring(c, n);
        } else {
            next_line(c);
            if (c->line_at == c->line_len)
                break;
        }
    }
    free(c->text);
    c->text = NULL;
    c->text_at = c->text_len = 0;
    if (c->length == 0) {
        free(c->ring);
        c->ring = NULL;
    }
    return true;
}

/* ---- from the client --------------------------------------------------------------------------
 */

/* Bytes that may be read of it now, of which all can be said to the host at once. */
static size_t input_room(struct proxy *p, const struct client *c)
{
    const struct net_part *part = &p->session.streams[c->stream].guest;
    bool flows =
        c->state == CLIENT_FLOWING || (c->state == CLIENT_WAITING && c->mode == CLIENT_ORIGIN);
    size_t room;

    if (!flows || c->eof || c->head_due || part->state != NET_IN_FLOWING || !proxy_may_say(p, 1))
        return 0;
    room = outbox_room(&p->outbox);
    room = room < CLIENT_DATA_MAX ? room : CLIENT_DATA_MAX;
    return room < part->credit ? room : part->credit;
}

/* `n` bytes of it are at the outbox's payload: they are said, or what of them is. */
static void said(struct proxy *p, struct client *c, size_t n)
{
    uint8_t *at = outbox_payload(&p->outbox);
    struct net_header h = {.type = NET_DATA, .stream = c->stream};
    const bool forward = c->mode == CLIENT_FORWARD;
    ssize_t own = (ssize_t)n;
    size_t used = n;

    if (is_http(c))
        own = http_body_take(&c->body, at, n, forward ? NULL : at, &used);
    if (own < 0) {
        talk_refuse(c, NET_WHY_REQUEST, 400, NULL, 0);
        part(p, c, NET_WHY_PEER);
        return;
    }
    /* FORWARD: its framing goes along, only the end of it is of interest. */
    h.length = forward ? (uint32_t)used : (uint32_t)own;
    if (h.length > 0 && net_session_note(&p->session, NET_TO_HOST, &h, at) == 0)
        outbox_commit(&p->outbox, NET_DATA, c->stream, h.length);
    if (is_http(c) && http_body_is_over(&c->body))
        c->eof = true;
}

/* What it said behind its request or greeting. True: that is not all of it yet. */
static bool feed_rest(struct proxy *p, struct client *c)
{
    size_t room = input_room(p, c), n;

    if (!c->head)
        return false;
    if (c->head_used < c->head_len && room > 0) {
        n = c->head_len - c->head_used;
        n = n < room ? n : room;
        memcpy(outbox_payload(&p->outbox), c->head + c->head_used, n);
        c->head_used += n;
        said(p, c, n);
    }
    if (c->state == CLIENT_FLOWING && (c->head_used == c->head_len || c->eof)) {
        free(c->head);
        c->head = NULL;
    }
    return c->head && c->head_used < c->head_len;
}

/* False: it is gone. */
static bool read_in(struct proxy *p, struct client *c)
{
    size_t room;
    ssize_t n;

    if (feed_rest(p, c))
        return true;
    room = input_room(p, c);
    if (room == 0)
        return true;
    n = recv(c->fd, outbox_payload(&p->outbox), room, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n > 0)
        said(p, c, (size_t)n);
    else if (is_http(c))
        return false; /* in the middle of its request */
    else
        c->eof = true;
    return true;
}

/* ASKING: more of what it wants. */
static void read_head(struct proxy *p, struct client *c)
{
    ssize_t n;

    if (!c->head && !(c->head = malloc(HTTP_HEAD_MAX))) {
        client_drop(p, c, true);
        return;
    }
    n = c->head_len < HTTP_HEAD_MAX
            ? recv(c->fd, c->head + c->head_len, HTTP_HEAD_MAX - c->head_len, MSG_DONTWAIT)
            : 0;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        client_drop(p, c, false);
        return;
    }
    c->head_len += (size_t)n;
    talk_hear(p, c);
}

/* ---- its whole ---------------------------------------------------------------------------------
 */

/* LEAVING: behind its answer; what it still says is thrown away so that it can read the answer. */
static void leave(struct proxy *p, struct client *c)
{
    static char waste[16384];
    ssize_t n;

    if (!is_drained(c))
        return;
    if (!c->hung_up && shutdown(c->fd, SHUT_WR) < 0) {
        client_drop(p, c, false);
        return;
    }
    c->hung_up = true;
    n = recv(c->fd, waste, sizeof(waste), MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        client_drop(p, c, false);
}

/* What is to be told to the host about the stream: as much as can be. */
static void tell(struct proxy *p, struct client *c)
{
    const struct net_stream *s = &p->session.streams[c->stream];
    uint8_t raw[4];

    /* A server may take a half-closed connection for one that was given up. */
    if (c->eof && !c->eof_told && !c->last_word && c->mode != CLIENT_FORWARD &&
        s->guest.state == NET_IN_FLOWING)
        c->eof_told = proxy_say(p, NET_EOF, c->stream, NULL, 0);
    if (c->spent >= NET_WINDOW / 4 && !c->last_word &&
        (s->guest.state == NET_IN_FLOWING || s->guest.state == NET_IN_ENDED)) {
        net_u32_format(raw, c->spent);
        if (proxy_say(p, NET_CREDIT, c->stream, raw, 4))
            c->spent = 0;
    }
    if (!c->last_word)
        return;
    if (s->guest.state == NET_IN_NONE || s->guest.state == NET_IN_CLOSED) {
        c->last_word = false;
        return;
    }
    net_u32_format(raw, c->why);
    if (proxy_say(p, NET_CLOSE, c->stream, raw, 4))
        c->last_word = false;
}

/* FLOWING: nothing more comes from the host, and it has all that came. */
static void end_output(struct proxy *p, struct client *c)
{
    if (!c->over || c->chunked || !is_drained(c))
        return;
    if (is_http(c) || c->closed || (c->eof && (c->eof_told || c->last_word))) {
        part(p, c, NET_WHY_DONE);
        c->state = CLIENT_LEAVING;
        c->deadline_ms = boot_now_ms() + CLIENT_LINGER_MS;
    } else if (!c->hung_up) {
        c->hung_up = true;
        if (shutdown(c->fd, SHUT_WR) < 0)
            client_drop(p, c, false);
    }
}

static void check_deadline(struct proxy *p, struct client *c)
{
    if (c->deadline_ms == 0 || boot_now_ms() < c->deadline_ms)
        return;
    if (c->state == CLIENT_CALLING)
        talk_refuse(c, NET_WHY_LIMIT, 503, NULL, 0);
    else if (c->state == CLIENT_ASKING || c->state == CLIENT_LEAVING)
        client_drop(p, c, false);
}

void client_pump(struct proxy *p, struct client *c, short revents)
{
    if (c->state == CLIENT_NONE && !c->last_word)
        return;
    if (c->state == CLIENT_ASKING && revents)
        read_head(p, c);
    if (c->state == CLIENT_CALLING)
        talk_call(p, c);
    if (c->head_due)
        talk_forward(p, c);
    if (is_under_way(c) && ((revents & POLLERR) || (is_http(c) && c->eof && (revents & POLLRDHUP))))
        client_drop(p, c, false);
    if (is_under_way(c) && !read_in(p, c))
        client_drop(p, c, false);
    if (c->state != CLIENT_NONE && !write_out(c))
        client_drop(p, c, false);
    tell(p, c);
    if (c->state == CLIENT_FLOWING)
        end_output(p, c);
    if (c->state == CLIENT_LEAVING)
        leave(p, c);
    check_deadline(p, c);
    tell(p, c);
}

bool client_fill(struct proxy *p, const struct client *c, struct pollfd *ret)
{
    short events = 0;

    if (c->state == CLIENT_NONE)
        return false;
    if (c->state == CLIENT_ASKING || (c->state == CLIENT_LEAVING && is_drained(c)))
        events = POLLIN;
    else if (is_under_way(c) && input_room(p, c) > 0)
        events = POLLIN;
    else if (is_http(c) && c->eof && is_under_way(c))
        events = POLLRDHUP;
    if (!is_drained(c))
        events |= POLLOUT;
    *ret = (struct pollfd){.fd = c->fd, .events = events};
    return events != 0;
}
