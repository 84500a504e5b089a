/* talk: what a client of the proxy wants, and what it is told in its own language: HTTP/1, SOCKS5
 * (RFC 1928), DNS over TCP. See proxy.h. UNTRUSTED input. */
#include "agent/proxy_private.h"

#include "agent/boot.h"
#include "agent/dns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TALK_ANSWER_MAX 1024 /* bytes of a head of ours, without the host's text */
#define ORIGIN_PORT     80u

enum { /* RFC 1928 */
       SOCKS_VERSION = 5,
       SOCKS_CONNECT = 1,
       SOCKS_IPV4 = 1,
       SOCKS_NAME = 3,
       SOCKS_IPV6 = 4,
       SOCKS_NO_METHOD = 0xff,
       SOCKS_DONE = 0,
       SOCKS_FAILED = 1,
       SOCKS_REFUSED = 2,
       SOCKS_NO_HOST = 4,
       SOCKS_NO_CONNECT = 5,
       SOCKS_TIMEOUT = 6,
       SOCKS_NO_COMMAND = 7,
       SOCKS_NO_TYPE = 8,
};

void talk_put(struct client *c, const char *text, size_t len)
{
    char *all = realloc(c->text, c->text_len + len);

    if (!all) {
        c->eof = c->over = true;
        return;
    }
    memcpy(all + c->text_len, text, len);
    c->text = all;
    c->text_len += len;
}

static void __attribute__((format(printf, 2, 3)))
put_text(struct client *c, const char *format, ...)
{
    char text[TALK_ANSWER_MAX];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    talk_put(c, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

/* Behind what it is told it goes. */
static void leave(struct client *c)
{
    c->eof = true;
    c->head_due = false;
    c->state = CLIENT_LEAVING;
    c->deadline_ms = boot_now_ms() + CLIENT_LINGER_MS;
}

/* ---- refusals ---------------------------------------------------------------------------------
 */

static const struct {
    unsigned status;
    uint8_t socks;
    bool denied; /* by a rule or a limit, rather than failed */
    const char *words;
} refusals[NET_WHY_END] = {
    [NET_WHY_DONE] = {502, SOCKS_FAILED, false, "it ended early"},
    [NET_WHY_RULE] = {403, SOCKS_REFUSED, true, "no rule allows it"},
    [NET_WHY_ADDRESS] = {403, SOCKS_REFUSED, true, "its address is out of bounds"},
    [NET_WHY_NAME] = {502, SOCKS_NO_HOST, false, "its name cannot be resolved"},
    [NET_WHY_CONNECT] = {502, SOCKS_NO_CONNECT, false, "it cannot be reached"},
    [NET_WHY_TIMEOUT] = {504, SOCKS_TIMEOUT, false, "it took too long"},
    [NET_WHY_TLS] = {502, SOCKS_REFUSED, true, "it is not the TLS that the rule wants"},
    [NET_WHY_BUDGET] = {403, SOCKS_REFUSED, true, "the budget of its rule is used up"},
    [NET_WHY_LIMIT] = {503, SOCKS_FAILED, false, "too many connections, or no gateway"},
    [NET_WHY_REQUEST] = {400, SOCKS_FAILED, false, "not a proper request"},
    [NET_WHY_PEER] = {502, SOCKS_FAILED, false, "the other end broke off"},
    [NET_WHY_GONE] = {403, SOCKS_REFUSED, true, "its rule was taken away"},
};

/* name:port of what was wanted, as far as that was understood. */
static void destination(const struct client *c, char ret[NET_NAME_MAX + 32])
{
    const struct net_open *m = &c->place;

    if (m->kind == NET_ORIGIN)
        (void)snprintf(ret, NET_NAME_MAX + 32, "%s." NET_ORIGIN_DOMAIN ":%u", m->name, ORIGIN_PORT);
    else
        (void)snprintf(ret, NET_NAME_MAX + 32, strchr(m->name, ':') ? "[%s]:%u" : "%s:%u",
                       m->name[0] ? m->name : "?", m->port);
}

/* The reply to its request; the address in it is left zero. */
static void put_socks(struct client *c, uint8_t code)
{
    const char reply[10] = {SOCKS_VERSION, (char)code, 0, SOCKS_IPV4};

    talk_put(c, reply, sizeof(reply));
}

static void refuse_socks(struct client *c, uint8_t code)
{
    put_socks(c, code);
    leave(c);
}

/* `words`: in place of what goes with `why`, printable and without quotes. */
static void refuse_http(struct client *c, uint32_t why, unsigned status, const char *words,
                        const uint8_t *json, size_t json_len)
{
    char to[NET_NAME_MAX + 32], own[TALK_ANSWER_MAX];

    destination(c, to);
    if (!json) {
        json_len = (size_t)snprintf(own, sizeof(own),
                                    "{\"denied\": %s, \"destination\": \"%s\", \"rule\": null, "
                                    "\"reason\": \"%s\", \"how_to_allow\": null}\n",
                                    refusals[why].denied ? "true" : "false", to, words);
        json = (const uint8_t *)own;
    }
    put_text(c,
             "HTTP/1.1 %u %s (lazaret: %s: %s)\r\nContent-Type: application/json\r\n"
             "Content-Length: %zu\r\nConnection: close\r\n\r\n",
             status, status == 403 ? "Forbidden" : "Refused", to, words, json_len);
    if (!c->head_only)
        talk_put(c, (const char *)json, json_len);
    leave(c);
}

void talk_refuse(struct client *c, uint32_t why, unsigned status, const uint8_t *json, size_t len)
{
    if (why >= NET_WHY_END)
        why = NET_WHY_PEER;
    if (c->answered)
        leave(c);
    else if (c->mode == CLIENT_SOCKS)
        refuse_socks(c, refusals[why].socks);
    else
        refuse_http(c, why, status ? status : refusals[why].status, refusals[why].words, json, len);
}

static void not_understood(struct client *c, unsigned status, const char *words)
{
    refuse_http(c, NET_WHY_REQUEST, status, words, NULL, 0);
}

/* ---- what it wants ----------------------------------------------------------------------------
 */

static void call(struct client *c, enum client_mode mode, size_t used)
{
    c->mode = mode;
    c->head_used = used;
    c->place.exec = (uint16_t)c->exec;
    c->state = CLIENT_CALLING;
    c->deadline_ms = boot_now_ms() + CLIENT_MEET_MS;
}

static void consume(struct client *c, size_t used)
{
    memmove(c->head, c->head + used, c->head_len - used);
    c->head_len -= used;
}

/* A tunnel to an origin ends here: what comes through it is HTTP. */
static void grant_inner(struct proxy *p, struct client *c, size_t used)
{
    static const char granted[] = "HTTP/1.1 200 Granted\r\n\r\n";

    c->inner = true;
    if (c->mode == CLIENT_SOCKS)
        put_socks(c, SOCKS_DONE);
    else
        talk_put(c, granted, sizeof(granted) - 1);
    consume(c, used);
    if (c->head_len > 0)
        talk_hear(p, c);
}

/* Where a request's target leads: the authority in it, or the Host header's; and the path. */
struct target {
    const char *authority, *path;
    size_t authority_len, path_len;
    bool absolute;
};

static bool split_target(const struct http_head *h, struct target *ret)
{
    const size_t scheme = strlen("http://");
    const char *p = h->target;
    size_t n = 0;

    *ret = (struct target){.authority = h->host,
                           .authority_len = strlen(h->host),
                           .path = p,
                           .path_len = h->target_len};
    if (p[0] == '/')
        return true;
    if (h->target_len < scheme || strncasecmp(p, "http://", scheme) != 0)
        return false;
    while (scheme + n < h->target_len && !strchr("/?#", p[scheme + n]))
        n++;
    *ret = (struct target){.authority = p + scheme,
                           .authority_len = n,
                           .path = p + scheme + n,
                           .path_len = h->target_len - scheme - n,
                           .absolute = true};
    if (ret->path_len == 0) {
        ret->path = "/";
        ret->path_len = 1;
    }
    return true;
}

static void hear_connect(struct proxy *p, struct client *c, const struct http_head *h, size_t used)
{
    int rc = http_place_of_authority(h->target, h->target_len, 0, &c->place);

    if (c->inner || c->from != PROXY_HTTP)
        not_understood(c, 400, "no CONNECT here");
    else if (rc == -EPERM)
        not_understood(c, 403, "speak plain HTTP to it, on port 80");
    else if (rc < 0)
        not_understood(c, 400, "CONNECT wants a name and a port");
    else if (c->place.kind == NET_ORIGIN)
        grant_inner(p, c, used);
    else
        call(c, CLIENT_CONNECT, used);
}

static void hear_request(struct client *c, const struct http_head *h, size_t used)
{
    struct target t;
    int rc;

    if (!split_target(h, &t)) {
        not_understood(c, 400, "the target is neither a path nor http://");
        return;
    }
    rc = http_place_of_authority(t.authority, t.authority_len, ORIGIN_PORT, &c->place);
    if (rc == -EPERM)
        not_understood(c, 403, "speak plain HTTP to it, on port 80");
    else if (rc < 0)
        not_understood(c, 400, "no host that could be reached is named");
    else if (c->place.kind == NET_ORIGIN && !net_is_path(t.path, t.path_len))
        not_understood(c, 400, "the path is not in its plain form");
    else if (c->place.kind == NET_ORIGIN)
        call(c, CLIENT_ORIGIN, used);
    else if (t.absolute && !c->inner && c->from == PROXY_HTTP)
        call(c, CLIENT_FORWARD, used);
    else
        not_understood(c, 403, "here is http://NAME." NET_ORIGIN_DOMAIN "/ only");
}

static void hear_http(struct proxy *p, struct client *c)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct http_head h;
    ssize_t n = http_head_parse(c->head, c->head_len, p->list, &h);

    c->mode = CLIENT_CONNECT;
    if (n == 0)
        return;
    if (n < 0) {
        not_understood(c, n == -E2BIG ? 431 : 400, "this is no HTTP request");
        return;
    }
    c->old = h.old;
    c->head_only = h.method_len == 4 && memcmp(h.method, "HEAD", 4) == 0;
    if (h.method_len == 7 && memcmp(h.method, "CONNECT", 7) == 0) {
        hear_connect(p, c, &h, (size_t)n);
        return;
    }
    hear_request(c, &h, (size_t)n);
    if (c->state != CLIENT_CALLING)
        return;
    http_body_init(&c->body, h.body);
    c->eof = http_body_is_over(&c->body);
    if (h.expects && !c->eof && !c->old)
        talk_put(c, go_on, sizeof(go_on) - 1);
}

/* The methods of SOCKS5. True: the request is next. */
static bool hear_greeting(struct client *c)
{
    static const char none[] = {SOCKS_VERSION, (char)SOCKS_NO_METHOD};
    static const char open[] = {SOCKS_VERSION, 0};
    size_t n;

    if (c->head_len < 2 || c->head_len - 2 < (n = (uint8_t)c->head[1]))
        return false;
    if (!memchr(c->head + 2, 0, n)) {
        talk_put(c, none, sizeof(none));
        leave(c);
        return false;
    }
    talk_put(c, open, sizeof(open));
    consume(c, 2 + n);
    return c->greeted = true;
}

/* The length of a SOCKS5 request up to its port, and the name in it; 0: it is not whole. */
static size_t socks_name(const uint8_t *p, size_t len, char name[NET_NAME_MAX + 3])
{
    size_t n;

    name[0] = '\0';
    if (len < 5)
        return 0;
    n = p[3] == SOCKS_IPV4 ? 8 : p[3] == SOCKS_IPV6 ? 20 : 5u + p[4];
    if (len < n)
        return 0;
    if (p[3] == SOCKS_IPV4)
        (void)inet_ntop(AF_INET, p + 4, name, NET_NAME_MAX);
    else if (p[3] == SOCKS_IPV6)
        (void)inet_ntop(AF_INET6, p + 4, name, NET_NAME_MAX);
    else if (p[4] <= NET_NAME_MAX + 1 && !memchr(p + 5, '\0', p[4]))
        (void)snprintf(name, NET_NAME_MAX + 3, "%.*s", p[4], (const char *)p + 5);
    return n;
}

static void hear_socks(struct proxy *p, struct client *c)
{
    const uint8_t *at = (const uint8_t *)c->head;
    char name[NET_NAME_MAX + 3];
    size_t n;
    int rc;

    c->mode = CLIENT_SOCKS;
    if (!c->greeted && !hear_greeting(c))
        return;
    n = socks_name(at, c->head_len, name);
    if (n == 0 || c->head_len < n + 2)
        return;
    rc = http_place(name, strlen(name), (uint16_t)(at[n] << 8 | at[n + 1]), &c->place);
    if (at[0] != SOCKS_VERSION || at[2] != 0)
        refuse_socks(c, SOCKS_FAILED);
    else if (at[1] != SOCKS_CONNECT)
        refuse_socks(c, SOCKS_NO_COMMAND);
    else if (at[3] != SOCKS_IPV4 && at[3] != SOCKS_IPV6 && at[3] != SOCKS_NAME)
        refuse_socks(c, SOCKS_NO_TYPE);
    else if (rc < 0)
        refuse_socks(c, rc == -EPERM ? SOCKS_REFUSED : SOCKS_NO_HOST);
    else if (c->place.kind == NET_ORIGIN)
        grant_inner(p, c, n + 2);
    else
        call(c, CLIENT_SOCKS, n + 2);
}

/* One query, behind its length. */
static void hear_dns(struct client *c)
{
    const uint8_t *at = (const uint8_t *)c->head;
    uint8_t answer[2 + DNS_ANSWER_MAX];
    size_t len, n;

    if (c->head_len < 2 || c->head_len - 2 < (len = (size_t)(at[0] << 8 | at[1])))
        return;
    n = dns_answer(at + 2, len, answer + 2);
    answer[0] = (uint8_t)(n >> 8);
    answer[1] = (uint8_t)n;
    if (n > 0)
        talk_put(c, (const char *)answer, n + 2);
    leave(c);
}

void talk_hear(struct proxy *p, struct client *c)
{
    if (c->from == PROXY_DNS_TCP)
        hear_dns(c);
    else if (c->from == PROXY_HTTP && !c->inner && (c->greeted || c->head[0] == SOCKS_VERSION))
        hear_socks(p, c);
    else
        hear_http(p, c);
}

/* ---- to the host, and its answer --------------------------------------------------------------
 */

static void say_request(struct proxy *p, struct client *c)
{
    static uint8_t raw[NET_REQUEST_MAX];
    struct http_head h;
    struct target t;

    /* It was understood before. */
    if (http_head_parse(c->head, c->head_used, p->list, &h) <= 0 || !split_target(&h, &t))
        return;
    const struct net_request m = {.body = h.body,
                                  .method = h.method,
                                  .method_len = h.method_len,
                                  .path = t.path,
                                  .path_len = t.path_len,
                                  .headers = h.headers};
    (void)proxy_say(p, NET_REQUEST, c->stream, raw, net_request_format(raw, &m));
}

void talk_call(struct proxy *p, struct client *c)
{
    uint8_t raw[NET_OPEN_HEAD + NET_NAME_MAX];

    /* OPEN and the REQUEST behind it, or none. */
    if (!proxy_may_say(p, sizeof(raw) + NET_HEADER_SIZE + NET_REQUEST_MAX))
        return;
    if (!proxy_say(p, NET_OPEN, c->stream, raw, net_open_format(raw, &c->place)))
        return;
    c->state = CLIENT_WAITING;
    c->deadline_ms = 0;
    if (c->mode == CLIENT_ORIGIN)
        say_request(p, c);
}

void talk_opened(struct client *c)
{
    static const char established[] = "HTTP/1.1 200 Connection established\r\n\r\n";

    c->state = CLIENT_FLOWING;
    c->answered = true;
    if (c->mode == CLIENT_CONNECT)
        talk_put(c, established, sizeof(established) - 1);
    else if (c->mode == CLIENT_SOCKS)
        put_socks(c, SOCKS_DONE);
    else
        c->head_due = true;
}

void talk_forward(struct proxy *p, struct client *c)
{
    static char raw[NET_PAYLOAD_MAX];
    char authority[HTTP_AUTHORITY_MAX + 1];
    struct http_head h;
    struct target t;

    if (!proxy_may_say(p, HTTP_HEAD_MAX + 1024))
        return;
    if (http_head_parse(c->head, c->head_used, p->list, &h) <= 0 || !split_target(&h, &t))
        return;
    (void)snprintf(authority, sizeof(authority), "%.*s", (int)t.authority_len, t.authority);
    if (proxy_say(p, NET_DATA, c->stream, raw,
                  http_forward_format(raw, &h, authority, t.path, t.path_len)))
        c->head_due = false;
}

void talk_response(struct client *c, const struct net_response *m)
{
    struct net_headers list = m->headers;
    bool empty = c->head_only || m->status == 204 || m->status == 304;
    struct net_field f;

    put_text(c, "HTTP/1.1 %u -\r\n", m->status);
    while (net_headers_next(&list, &f)) {
        talk_put(c, f.name, f.name_len);
        talk_put(c, ": ", 2);
        talk_put(c, f.value, f.value_len);
        talk_put(c, "\r\n", 2);
    }
    c->chunked = !empty && m->body == NET_BODY_UNKNOWN && !c->old;
    if (c->chunked)
        put_text(c, "transfer-encoding: chunked\r\n");
    else if (m->body != NET_BODY_UNKNOWN && m->status != 204)
        put_text(c, "content-length: %llu\r\n", (unsigned long long)m->body);
    put_text(c, "connection: close\r\n\r\n");
    c->answered = true;
    c->state = CLIENT_FLOWING;
}
