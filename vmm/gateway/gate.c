/* gateway: the guest's frames, one after another, and what becomes of each stream. See gate.h. */
#include "gateway/gate.h"

#include "base/clock.h"
#include "base/own.h"
#include "base/str.h"
#include "gateway/refuse.h"

#include <openssl/err.h>
#include <stdarg.h>
#include <string.h>

/* What one buffer of frames and one look at the clock can cause at most. */
#define EVENTS_SPARE (4u * NET_STREAMS_MAX + 16u)

/* ---- events ---------------------------------------------------------------------------------- */

static struct gateway_event *add_event(struct gate *g, enum gateway_event_type type)
{
    struct gateway_event *ev = &g->events[(g->first_event + g->n_events) % GATE_EVENTS];

    if (g->n_events < GATE_EVENTS) /* else the last one is written over: see EVENTS_SPARE */
        g->n_events++;
    *ev = (struct gateway_event){.type = type};
    return ev;
}

const struct gateway_event *gate_event(const struct gate *g)
{
    return g->n_events > 0 ? &g->events[g->first_event] : NULL;
}

void gate_event_taken(struct gate *g)
{
    g->first_event = (g->first_event + 1) % GATE_EVENTS;
    g->n_events--;
}

void gate_end(struct gate *g, enum gateway_event_type type, const char *fmt, ...)
{
    struct gateway_event *ev;
    char text[GATEWAY_TEXT_SIZE];
    va_list ap;

    if (g->over)
        return;
    g->over = true;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    ev = add_event(g, type);
    str_escape(ev->text, sizeof(ev->text), text, strlen(text));
}

static void say_stream(struct gate_stream *s, enum gateway_event_type type, bool allowed)
{
    struct gateway_event *ev = add_event(s->gate, type);

    ev->exec = s->open.exec;
    ev->allowed = allowed;
    ev->why = allowed && type == GATEWAY_TRY ? 0 : s->why;
    ev->proxy = ev->why == NET_WHY_CONNECT ? s->proxy_said : 0;
    ev->secret = refuse_secret(s);
    ev->rule = s->rule && !s->rule->gone ? s->rule->index : 0;
    if (s->open.kind == NET_ORIGIN && s->rule) {
        snprintf(ev->host, sizeof(ev->host), "%s", s->rule->host);
        ev->port = s->rule->port;
    } else {
        snprintf(ev->host, sizeof(ev->host), "%s", s->open.name);
        ev->port = s->open.port;
    }
    if (type != GATEWAY_CLOSED)
        return;
    memcpy(ev->address, s->address, sizeof(ev->address));
    ev->bytes_up = s->bytes_up;
    ev->bytes_down = s->bytes_down;
    ev->duration_ms = clock_mono_ms() - s->began_ms;
}

/* ---- streams --------------------------------------------------------------------------------- */

static struct net_stream *state_of(struct gate_stream *s)
{
    return &s->gate->session.streams[s->id];
}

/* What it holds of the world outside. */
static void let_go(struct gate_stream *s)
{
    tunnel_close(s);
    request_close(s);
    names_forget(own_steal_ptr(s->query));
    free(own_steal_ptr(s->up));
    s->up_start = s->up_end = 0;
    s->credit = 0;
    s->opened = s->down_eof = false;
    s->until_ms = s->rate_ms = UINT64_MAX;
    if (s->rule)
        s->rule->open--;
    rule_unref(own_steal_ptr(s->rule));
    s->stage = GATE_OVER;
}

static void forget_stream(struct gate_stream *s)
{
    struct gate *g = s->gate;
    uint32_t id = s->id;

    if (s->stage != GATE_FREE && s->stage != GATE_OVER)
        let_go(s);
    free(s->refusal);
    *s = (struct gate_stream){.gate = g, .id = id, .fd = -1};
    for (size_t i = 0; i < GATE_DIALS; i++)
        s->dials[i] = -1;
}

void stream_allowed(struct gate_stream *s)
{
    if (!s->tried)
        say_stream(s, GATEWAY_TRY, true);
    s->tried = true;
}

void stream_refuse(struct gate_stream *s, uint32_t why)
{
    enum net_state said = state_of(s)->host.state;

    if (s->stage == GATE_FREE || s->stage == GATE_OVER)
        return;
    s->why = why;
    if (said == NET_IN_DIALING || said == NET_IN_ASKING) {
        s->refusal = refuse_text(s);
        s->status = refuse_status(why);
    }
    say_stream(s, s->tried ? GATEWAY_CLOSED : GATEWAY_TRY, false);
    s->tried = true;
    let_go(s);
    s->ending = said != NET_IN_CLOSED;
}

void stream_done(struct gate_stream *s)
{
    enum net_state said = state_of(s)->host.state;

    if (s->stage == GATE_FREE || s->stage == GATE_OVER)
        return;
    s->why = NET_WHY_DONE;
    /* A guest that gave up before it had an answer: nothing was refused. */
    if (s->rule) {
        stream_allowed(s);
        say_stream(s, GATEWAY_CLOSED, false);
    }
    let_go(s);
    s->ending = said != NET_IN_CLOSED;
}

bool stream_take_rule(struct gate_stream *s, struct rule *r)
{
    uint32_t why = 0;

    if (!r)
        why = NET_WHY_RULE;
    else if (rule_is_used_up(r))
        why = NET_WHY_BUDGET;
    else if (r->streams_max && r->open >= r->streams_max)
        why = NET_WHY_LIMIT;
    if (r) {
        s->rule = r;
        r->refs++;
        r->open++;
    }
    if (why)
        stream_refuse(s, why);
    return !why;
}

bool stream_count(struct gate_stream *s, uint64_t up, uint64_t down)
{
    s->bytes_up += up;
    s->bytes_down += down;
    s->moved_ms = clock_mono_ms();
    if (rule_count(s->rule, up + down))
        return true;
    stream_refuse(s, NET_WHY_BUDGET);
    return false;
}

static void begin(struct gate_stream *s, const struct net_open *m)
{
    uint64_t now = clock_mono_ms();

    forget_stream(s);
    s->open = *m;
    s->began_ms = s->moved_ms = now;
    s->rate_ms = UINT64_MAX;
    s->stage = GATE_ASKING;
    s->until_ms = now + GATE_REQUEST_MS;
    s->up = malloc(NET_WINDOW);
    if (!s->up) {
        stream_refuse(s, NET_WHY_LIMIT);
        return;
    }
    if (m->kind == NET_ORIGIN ||
        !stream_take_rule(s, rules_match(&s->gate->rules, m->name, m->port)))
        return;
    s->until_ms = now + GATE_DIAL_MS;
    tunnel_resolve(s);
}

/* The credit that the guest had says that there is room. */
static void keep(struct gate_stream *s, const uint8_t *data, size_t n)
{
    if (!s->up)
        return; /* it is over, and what is on its way is dropped */
    if (n > NET_WINDOW - s->up_end) {
        memmove(s->up, s->up + s->up_start, s->up_end - s->up_start);
        s->up_end -= s->up_start;
        s->up_start = 0;
    }
    if (n > NET_WINDOW - s->up_end) {
        gate_end(s->gate, GATEWAY_LOST, "the gateway's count of credit is wrong");
        return;
    }
    memcpy(s->up + s->up_end, data, n);
    s->up_end += n;
}

/* ---- frames ---------------------------------------------------------------------------------- */

static void take_ready(struct gate *g, const struct net_header *h, const uint8_t *p)
{
    struct net_hello m;

    if (net_hello_parse(p, h->length, &m) < 0 || m.version != NET_VERSION ||
        memcmp(m.nonce, g->hello.nonce, sizeof(m.nonce)) != 0)
        gate_end(g, GATEWAY_TAMPERED, "READY on the port of egress does not answer its HELLO");
    else
        add_event(g, GATEWAY_READY)->guest = g->guest;
}

static void take_stream(struct gate_stream *s, const struct net_header *h, const uint8_t *p)
{
    struct gate *g = s->gate;
    struct net_request request;
    struct net_open open;
    uint32_t why;

    if (h->type == NET_OPEN && net_open_parse(p, h->length, &open) == 0) {
        begin(s, &open);
    } else if (h->type == NET_REQUEST && net_request_parse(p, h->length, &request) == 0) {
        if (s->stage == GATE_ASKING)
            request_begin(s, &request);
    } else if (h->type == NET_DATA) {
        keep(s, p, h->length);
        request_fed(s);
    } else if (h->type == NET_EOF) {
        s->up_eof = true;
        request_fed(s);
    } else if (h->type == NET_CLOSE && net_close_parse(p, h->length, &why) == 0) {
        stream_done(s);
        if (!net_stream_is_live(state_of(s)))
            forget_stream(s);
    } else if (h->type != NET_CREDIT) {
        gate_end(g, GATEWAY_TAMPERED, "%s on the port of egress is not well formed",
                 net_type_name(h->type));
    }
}

static void take_frame(struct gate *g, const struct net_header *h, const uint8_t *p)
{
    if (net_session_note(&g->session, NET_TO_HOST, h, p) < 0)
        gate_end(g, GATEWAY_TAMPERED, "%s on the port of egress, stream %u, length %u",
                 net_type_name(h->type), h->stream, h->length);
    else if (h->stream > 0)
        take_stream(&g->streams[h->stream - 1], h, p);
    else if (h->type == NET_READY)
        take_ready(g, h, p);
    else
        add_event(g, GATEWAY_HELD)->guest = g->guest;
}

bool gate_takes_input(const struct gate *g)
{
    return g->met && !g->over && g->n_events + EVENTS_SPARE <= GATE_EVENTS;
}

size_t gate_input_space(struct gate *g, uint8_t **ret_at)
{
    return net_reader_space(&g->in, ret_at);
}

void gate_input(struct gate *g, size_t n)
{
    struct net_header h;
    const uint8_t *p;
    int got = 0;

    net_reader_commit(&g->in, n);
    while (!g->over && (got = net_reader_next(&g->in, &h, &p)) == 1)
        take_frame(g, &h, p);
    if (got < 0)
        gate_end(g, GATEWAY_TAMPERED, "what came on the port of egress is no frame");
}

size_t gate_output(struct gate *g, const uint8_t **ret_at)
{
    *ret_at = g->out + g->out_start;
    return g->out_end - g->out_start;
}

void gate_sent(struct gate *g, size_t n)
{
    g->out_start += n;
    if (g->out_start == g->out_end)
        g->out_start = g->out_end = 0;
}

/* ---- commands -------------------------------------------------------------------------------- */

/* Every stream ends without a word: what the guest has of them it forgets by HELLO. */
void gate_lose_port(struct gate *g)
{
    for (size_t i = 0; i < NET_STREAMS_MAX; i++) {
        stream_done(&g->streams[i]);
        forget_stream(&g->streams[i]);
    }
    g->met = g->hold = g->resume = false;
    g->out_start = g->out_end = 0;
}

static void greet(struct gate *g, const uint8_t *nonce)
{
    const struct net_header h = {.type = NET_HELLO, .length = NET_HELLO_SIZE};

    gate_lose_port(g);
    g->met = true;
    g->hello.version = NET_VERSION;
    memcpy(g->hello.nonce, nonce, NET_NONCE_SIZE);
    net_session_init(&g->session);
    net_reader_init(&g->in);
    net_header_format(g->out, &h);
    net_hello_format(g->out + NET_HEADER_SIZE, &g->hello);
    g->out_end = NET_HEADER_SIZE + NET_HELLO_SIZE;
}

static void take_rules(struct gate *g, int fd)
{
    struct err e;

    if (rules_replace(&g->rules, fd, &e) < 0) {
        gate_end(g, GATEWAY_LOST, "%s", e.text);
        return;
    }
    for (size_t i = 0; i < NET_STREAMS_MAX; i++)
        if (g->streams[i].rule && g->streams[i].rule->gone)
            stream_refuse(&g->streams[i], NET_WHY_GONE);
}

void gate_command(struct gate *g, const struct gateway_command *c, int fd, int *ret_port)
{
    own_close int own = fd;

    *ret_port = -1;
    if (c->type == GATEWAY_SECRET) {
        rules_add_secret(&g->rules, c->name, own_steal_fd(own));
        rules_work(&g->rules, clock_mono_ms());
    }
    if (c->type == GATEWAY_RULES)
        take_rules(g, fd);
    if (c->type == GATEWAY_HOLD || c->type == GATEWAY_RESUME) {
        g->hold = c->type == GATEWAY_HOLD;
        g->resume = !g->hold;
    }
    if (c->type != GATEWAY_PORT)
        return;
    g->guest = c->guest;
    greet(g, c->nonce);
    *ret_port = own_steal_fd(own);
}

/* ---- the loop's part ------------------------------------------------------------------------- */

size_t gate_poll(struct gate *g, struct pollfd *p)
{
    size_t n = g->n_name_polls = names_poll(g->names, p);

    memcpy(p + n, g->curl_polls, g->n_curl_polls * sizeof(p[0]));
    n = g->n_library_polls = n + g->n_curl_polls;
    n = g->n_polled = n + rules_poll(&g->rules, p + n);
    for (size_t i = 0; i < NET_STREAMS_MAX; i++) {
        size_t more = tunnel_poll(&g->streams[i], p + n);

        while (more-- > 0)
            g->polled[n++] = &g->streams[i];
    }
    return n;
}

static uint64_t first_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t limit_of(const struct gate_stream *s)
{
    return first_of(s->until_ms, first_of(s->moved_ms + GATE_IDLE_MS, s->began_ms + GATE_TOTAL_MS));
}

uint64_t gate_deadline_ms(struct gate *g)
{
    int names_ms = names_timeout_ms(g->names);
    uint64_t first = first_of(g->curl_ms, rules_deadline_ms(&g->rules));

    if (names_ms >= 0)
        first = first_of(first, clock_mono_ms() + (uint64_t)names_ms);
    for (size_t i = 0; i < NET_STREAMS_MAX; i++) {
        const struct gate_stream *s = &g->streams[i];

        if (s->stage == GATE_FREE || s->stage == GATE_OVER)
            continue;
        first = first_of(first, first_of(limit_of(s), s->rate_ms));
        if (s->stage == GATE_DIALING)
            first = first_of(first, s->next_ms);
    }
    return first;
}

static void look_after(struct gate_stream *s, uint64_t now)
{
    if (s->stage == GATE_FREE || s->stage == GATE_OVER)
        return;
    if (now >= s->rate_ms) {
        s->rate_ms = UINT64_MAX;
        request_fed(s);
    }
    if (s->stage == GATE_WAITING)
        request_go_on(s);
    if (now >= limit_of(s))
        stream_refuse(s, s->stage == GATE_ASKING ? NET_WHY_REQUEST : NET_WHY_TIMEOUT);
    else
        tunnel_work(s);
}

void gate_take(struct gate *g, const struct pollfd *p, size_t n)
{
    size_t curl_at = g->n_name_polls;

    for (size_t i = g->n_polled; i < n; i++)
        if (p[i].revents)
            tunnel_take(g->polled[i], &p[i]);
    request_work(g, p + curl_at, g->n_library_polls - curl_at);
    names_work(g->names, p, g->n_name_polls);
}

void gate_turn(struct gate *g)
{
    uint64_t now = clock_mono_ms();

    rules_work(&g->rules, now);
    request_work(g, NULL, 0);
    for (size_t i = 0; i < NET_STREAMS_MAX; i++)
        look_after(&g->streams[i], now);
    gate_speak(g);
}

/* ---- life ------------------------------------------------------------------------------------ */

int gate_open(struct gate *g, const char *servers, const char *certificates, const char *login,
              struct err *e)
{
    memset(g, 0, sizeof(*g));
    g->curl_ms = UINT64_MAX;
    g->login = login ? parent_login(login) : NULL;
    for (size_t i = 0; i < NET_STREAMS_MAX; i++) {
        g->streams[i].gate = g;
        g->streams[i].id = (uint32_t)i + 1;
        forget_stream(&g->streams[i]);
    }
    net_session_init(&g->session);
    net_reader_init(&g->in);
    if (names_open(servers, &g->names, e) < 0)
        return -1;
    if (request_open_all(g, e) < 0)
        return -1;
    g->store = X509_STORE_new();
    /* Without any, requests are refused and tunnels go on: the guest checks those itself. */
    if (g->store)
        (void)X509_STORE_load_file(g->store, certificates ? certificates : GATE_CERTIFICATES);
    ERR_clear_error();
    return g->store ? 0 : err_set(e, ERR_HOST, "out of memory");
}

void gate_close(struct gate *g)
{
    for (size_t i = 0; i < NET_STREAMS_MAX; i++)
        forget_stream(&g->streams[i]);
    request_close_all(g);
    names_close(g->names);
    X509_STORE_free(g->store);
    rules_done(&g->rules);
    free(g->login);
}
