/*
 * gateway: requests for clear-side origins, made with libcurl.
 *
 * How it works
 *   The request of the guest, checked by shared/net.h, becomes a request to the rule's host: its
 *   certificate is checked, the rule's header is added with the secret in it. libcurl connects to
 *   nothing by itself: it takes a connection that was used before, or else fails at once, and the
 *   request begins anew on one that tunnel.c made, to an address that was judged. What comes back
 *   is stripped of that secret, headers and body, and passed on as it comes; where there is a
 *   secret, compression and ranges are not asked for, as it could hide in them. libcurl is paused
 *   where the guest gives no credit.
 *
 * Must: end a transfer outside libcurl's callbacks only. Must not: follow a redirect, use a proxy
 * of the environment, cookies or a file.
 */
#include "base/clock.h"
#include "base/own.h"
#include "base/str.h"
#include "gateway/request_private.h"
#include "plan/net.h"

#include <openssl/ssl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* ---- libcurl's sockets ----------------------------------------------------------------------- */

static int watch(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct gate *g = arg;
    size_t i = 0;

    (void)easy;
    (void)socket_arg;
    while (i < g->n_curl_polls && g->curl_polls[i].fd != fd)
        i++;
    if (what == CURL_POLL_REMOVE) {
        if (i < g->n_curl_polls)
            g->curl_polls[i] = g->curl_polls[--g->n_curl_polls];
        return 0;
    }
    if (i == GATE_CURL_POLLS)
        return -1;
    g->curl_polls[i] = (struct pollfd){.fd = fd,
                                       .events = (short)((what & CURL_POLL_IN ? POLLIN : 0) |
                                                         (what & CURL_POLL_OUT ? POLLOUT : 0))};
    if (i == g->n_curl_polls)
        g->n_curl_polls++;
    return 0;
}

static int set_timer(CURLM *multi, long timeout_ms, void *arg)
{
    struct gate *g = arg;

    (void)multi;
    g->curl_ms = timeout_ms < 0 ? UINT64_MAX : clock_mono_ms() + (uint64_t)timeout_ms;
    return 0;
}

/* The connection that tunnel.c made; without one libcurl fails, and begin_transfer() is called
 * again with one. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct request *r = arg;

    (void)purpose;
    (void)a;
    r->wants_fd = r->fd < 0;
    return own_steal_fd(r->fd);
}

static int is_connected(void *arg, curl_socket_t fd, curlsocktype purpose)
{
    (void)arg;
    (void)fd;
    (void)purpose;
    return CURL_SOCKOPT_ALREADY_CONNECTED;
}

/* The connection may be one that was used before, by another rule. */
static int look_at_connection(void *arg, char *peer, char *own, int peer_port, int own_port)
{
    struct request *r = arg;
    struct gate_stream *s = r->stream;
    struct sockaddr_storage address;
    const struct sockaddr *a = (const struct sockaddr *)(const void *)&address;

    (void)own;
    (void)peer_port;
    (void)own_port;
    /* Through the host's proxy it is that one's, or the destination itself. */
    if (!rules_proxy_to(&s->gate->rules, s->rule->host) &&
        (!net_read_address(peer, &address) || !rules_address_ok(&s->gate->rules, a))) {
        r->why = NET_WHY_ADDRESS;
        return CURL_PREREQFUNC_ABORT;
    }
    snprintf(s->address, sizeof(s->address), "%s", peer);
    s->stage = GATE_FLOWING;
    s->until_ms = UINT64_MAX;
    stream_allowed(s);
    return CURL_PREREQFUNC_OK;
}

static CURLcode use_certificates(CURL *easy, void *ctx, void *arg)
{
    const struct request *r = arg;

    (void)easy;
    return SSL_CTX_set1_cert_store(ctx, r->stream->gate->store), CURLE_OK;
}

/* ---- the question ---------------------------------------------------------------------------- */

static size_t read_body(char *at, size_t size, size_t count, void *arg)
{
    struct request *r = arg;
    struct gate_stream *s = r->stream;
    size_t have = s->up_end - s->up_start, n = size * count;
    uint64_t may;

    if (r->body != NET_BODY_UNKNOWN && r->sent == r->body)
        return 0;
    if (have == 0 && s->up_eof && r->body == NET_BODY_UNKNOWN)
        return 0;
    if (have == 0 && s->up_eof) { /* less than it said */
        r->why = NET_WHY_REQUEST;
        return CURL_READFUNC_ABORT;
    }
    n = n < have ? n : have;
    if (n > 0 && rule_is_used_up(s->rule)) {
        r->why = NET_WHY_BUDGET;
        return CURL_READFUNC_ABORT;
    }
    may = n > 0 ? rule_may_send(s->rule, n, clock_mono_ms(), &s->rate_ms) : 0;
    if (may == 0) {
        r->up_paused = true;
        return CURL_READFUNC_PAUSE;
    }
    memcpy(at, s->up + s->up_start, (size_t)may);
    s->up_start += (size_t)may;
    s->credit += (uint32_t)may;
    s->bytes_up += may;
    s->moved_ms = clock_mono_ms();
    r->sent += may;
    if (rule_count(s->rule, may))
        return (size_t)may;
    r->why = NET_WHY_BUDGET;
    return CURL_READFUNC_ABORT;
}

void request_unpause(struct request *r)
{
    if (!r->easy)
        return;
    r->up_paused = r->down_paused = false;
    curl_easy_pause(r->easy, CURLPAUSE_CONT);
}

void request_fed(struct gate_stream *s)
{
    struct request *r = s->request;

    if (r && r->body != NET_BODY_UNKNOWN && s->up_end - s->up_start > r->body - r->sent)
        stream_refuse(s, NET_WHY_REQUEST);
    else if (r && r->up_paused)
        request_unpause(r);
}

/* What the guest may not say where the gateway adds a secret. */
static bool is_ours(const struct rule *rule, const struct net_field *f)
{
    static const char *const hiding[] = {"accept-encoding", "range", "if-range"};

    if (!rule->header)
        return false;
    for (size_t i = 0; i < sizeof(hiding) / sizeof(hiding[0]); i++)
        if (request_is_named(f, hiding[i]))
            return true;
    return f->name_len == strcspn(rule->header, ":") &&
           strncasecmp(rule->header, f->name, f->name_len) == 0;
}

static void add_header(struct request *r, const char *line)
{
    struct curl_slist *longer = curl_slist_append(r->headers, line);

    if (!longer)
        abort();
    r->headers = longer;
}

static void add_secret(struct request *r, const struct rule *rule)
{
    const struct secret *secret = r->secret;
    const char *at = strstr(rule->header, "{}");
    own_str struct str line = {0};

    if (!at)
        return;
    str_add_bytes(&line, rule->header, (size_t)(at - rule->header));
    str_add_bytes(&line, secret->value, secret->len);
    str_add(&line, at + 2);
    add_header(r, line.data);
    add_header(r, "Accept-Encoding: identity");
    explicit_bzero(line.data, line.len);
}

/* libcurl leaves out a header with nothing behind the colon; a semicolon sends it. */
static void add_headers(struct request *r, const struct rule *rule, struct net_headers list)
{
    bool accept = false;
    struct net_field f;

    while (net_headers_next(&list, &f)) {
        own_free char *line = NULL;
        size_t blank = 0;

        if (is_ours(rule, &f))
            continue;
        accept |= request_is_named(&f, "accept");
        while (blank < f.value_len && (f.value[blank] == ' ' || f.value[blank] == '\t'))
            blank++;
        if (blank == f.value_len)
            line = str_printf("%.*s;", (int)f.name_len, f.name);
        else
            line = str_printf("%.*s: %.*s", (int)f.name_len, f.name, (int)(f.value_len - blank),
                              f.value + blank);
        add_header(r, line);
    }
    if (!accept)
        add_header(r, "Accept:");
    add_header(r, "Expect:");
    if (r->has_body && r->body == NET_BODY_UNKNOWN)
        add_header(r, "Transfer-Encoding: chunked");
}

/* The one of now; the slot may get another one while the request goes on. */
static void take_secret(struct request *r, const struct rule *rule)
{
    if (!rule->header)
        return;
    r->secret = rule->secret->value;
    r->secret->refs++;
    r->strip = (struct strip){.secret = (const uint8_t *)r->secret->value,
                              .len = r->secret->len,
                              .back = r->secret->back};
    add_secret(r, rule);
}

/* ---- the transfer ---------------------------------------------------------------------------- */

/*
 * Returns new: "HOST:PORT:ADDRESS", what libcurl is to take for the host's address, so that it
 * looks nothing up; NULL: the host is an address, which libcurl reads by itself. Before there is a
 * connection it is one that no rule lets through.
 */
static char *resolved(const struct gate_stream *s)
{
    struct sockaddr_storage ignored;
    const char *address = s->address[0] ? s->address : "0.0.0.0";

    if (net_read_address(s->rule->host, &ignored))
        return NULL;
    return str_printf(strchr(address, ':') ? "%s:%u:[%s]" : "%s:%u:%s", s->rule->host,
                      s->rule->port, address);
}

static void set_question(struct request *r)
{
    CURL *c = r->easy;
    const struct rule *rule = r->stream->rule;
    own_free char *url = str_printf(strchr(rule->host, ':') ? "%s://[%s]:%u/" : "%s://%s:%u/",
                                    rule->tls ? "https" : "http", rule->host, rule->port);

    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_REQUEST_TARGET, r->path);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, r->headers);
    if (r->has_body) {
        curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(c, CURLOPT_READFUNCTION, read_body);
        curl_easy_setopt(c, CURLOPT_READDATA, r);
        curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE,
                         r->body == NET_BODY_UNKNOWN ? (curl_off_t)-1 : (curl_off_t)r->body);
    }
    if (strcmp(r->method, "HEAD") == 0)
        curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, r->method);
}

static void set_limits(struct request *r)
{
    CURL *c = r->easy;

    curl_easy_setopt(c, CURLOPT_PRIVATE, r);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https,http");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    /* By HTTP/2 this libcurl lets a server fill 32 MiB for each stream of a connection, read or
     * not: 64 of them are more than this process may have. */
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c, CURLOPT_HTTP_CONTENT_DECODING, 0L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)GATE_DIAL_MS);
    curl_easy_setopt(c, CURLOPT_RESOLVE, r->resolve);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, r);
    curl_easy_setopt(c, CURLOPT_SOCKOPTFUNCTION, is_connected);
    curl_easy_setopt(c, CURLOPT_PREREQFUNCTION, look_at_connection);
    curl_easy_setopt(c, CURLOPT_PREREQDATA, r);
    curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(c, CURLOPT_CAINFO, (char *)NULL);
    curl_easy_setopt(c, CURLOPT_CAPATH, (char *)NULL);
    curl_easy_setopt(c, CURLOPT_SSL_CTX_FUNCTION, use_certificates);
    curl_easy_setopt(c, CURLOPT_SSL_CTX_DATA, r);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, request_take_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, r);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, request_take_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, r);
}

/* Through a connection that libcurl has, or the one that it finds in r->fd. */
static void begin_transfer(struct gate_stream *s)
{
    struct request *r = s->request;
    own_free char *line = resolved(s);

    curl_slist_free_all(own_steal_ptr(r->resolve));
    r->easy = curl_easy_init();
    r->resolve = line ? curl_slist_append(NULL, line) : NULL;
    if (!r->easy || (line && !r->resolve)) {
        stream_refuse(s, NET_WHY_LIMIT);
        return;
    }
    set_question(r);
    set_limits(r);
    s->stage = GATE_GREETING;
    if (curl_multi_add_handle(s->gate->multi, r->easy) != CURLM_OK)
        stream_refuse(s, NET_WHY_LIMIT);
}

void request_begin(struct gate_stream *s, const struct net_request *m)
{
    struct gate *g = s->gate;
    struct request *r;

    if (g->n_requests == GATE_REQUESTS || !(r = calloc(1, sizeof(*r)))) {
        stream_refuse(s, NET_WHY_LIMIT);
        return;
    }
    g->n_requests++;
    s->request = r;
    r->stream = s;
    r->fd = -1;
    r->list.at = r->fields;
    r->length = NET_BODY_UNKNOWN;
    r->body = m->body;
    memcpy(r->method, m->method, m->method_len);
    r->path = str_printf("%.*s", (int)m->path_len, m->path);
    r->has_body = m->body > 0 || strcmp(r->method, "POST") == 0 || strcmp(r->method, "PUT") == 0 ||
                  strcmp(r->method, "PATCH") == 0;
    if (strcmp(r->method, "TRACE") == 0 || strcmp(r->method, "CONNECT") == 0) {
        stream_refuse(s, NET_WHY_REQUEST);
        return;
    }
    if (!stream_take_rule(s, rules_match_request(&g->rules, s->open.name, r->method, r->path)))
        return;
    if (!rule_count(s->rule, m->method_len + m->path_len + m->headers.len)) {
        stream_refuse(s, NET_WHY_BUDGET);
        return;
    }
    add_headers(r, s->rule, m->headers);
    s->stage = GATE_WAITING;
    request_go_on(s);
}

void request_go_on(struct gate_stream *s)
{
    if (rule_awaits_secret(s->rule))
        return;
    if (rule_lacks_secret(s->rule)) {
        stream_refuse(s, NET_WHY_REQUEST);
        return;
    }
    take_secret(s->request, s->rule);
    s->until_ms = clock_mono_ms() + GATE_DIAL_MS;
    begin_transfer(s);
}

void request_connected(struct gate_stream *s, int fd)
{
    s->request->fd = fd;
    begin_transfer(s);
}

static uint32_t why_of(const struct request *r, CURLcode code)
{
    if (r->why)
        return r->why;
    switch ((int)code) {
    case CURLE_COULDNT_CONNECT:
        return NET_WHY_CONNECT;
    case CURLE_OPERATION_TIMEDOUT:
        return NET_WHY_TIMEOUT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return NET_WHY_TLS;
    default:
        return NET_WHY_PEER;
    }
}

/* The connection goes back to those that can be used again. */
static void end_transfer(struct request *r)
{
    if (!r->easy)
        return;
    curl_multi_remove_handle(r->stream->gate->multi, r->easy);
    curl_easy_cleanup(r->easy);
    r->easy = NULL;
}

static void take_end(struct request *r, CURLcode code)
{
    if (code != CURLE_OK && r->wants_fd && !r->dialled && r->sent == 0) {
        end_transfer(r);
        r->wants_fd = false;
        r->dialled = true;
        r->stream->until_ms = clock_mono_ms() + GATE_DIAL_MS;
        tunnel_resolve(r->stream);
        return;
    }
    if (code != CURLE_OK || !r->told) {
        stream_refuse(r->stream, why_of(r, code));
        return;
    }
    end_transfer(r);
    r->end += strip_finish(&r->strip, r->down + r->end);
    r->complete = true;
}

void request_work(struct gate *g, const struct pollfd *p, size_t n)
{
    CURLMsg *m;
    int running, left;

    for (size_t i = 0; i < n; i++) {
        int what = (p[i].revents & POLLIN ? CURL_CSELECT_IN : 0) |
                   (p[i].revents & POLLOUT ? CURL_CSELECT_OUT : 0) |
                   (p[i].revents & (POLLERR | POLLHUP) ? CURL_CSELECT_ERR : 0);

        if (what)
            curl_multi_socket_action(g->multi, p[i].fd, what, &running);
    }
    if (clock_mono_ms() >= g->curl_ms) {
        g->curl_ms = UINT64_MAX;
        curl_multi_socket_action(g->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    while ((m = curl_multi_info_read(g->multi, &left))) {
        CURLcode code = m->data.result;
        struct request *r = NULL;

        if (m->msg == CURLMSG_DONE &&
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &r) == CURLE_OK && r)
            take_end(r, code);
    }
}

void request_close(struct gate_stream *s)
{
    struct request *r = own_steal_ptr(s->request);

    if (!r)
        return;
    end_transfer(r);
    if (r->fd >= 0)
        close(r->fd);
    curl_slist_free_all(r->headers);
    curl_slist_free_all(r->resolve);
    free(r->path);
    secret_unref(r->secret);
    explicit_bzero(r->down, sizeof(r->down));
    free(r);
    s->gate->n_requests--;
}

int request_open_all(struct gate *g, struct err *e)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(g->multi = curl_multi_init()))
        return err_set(e, ERR_HOST, "libcurl cannot be used");
    curl_multi_setopt(g->multi, CURLMOPT_SOCKETFUNCTION, watch);
    curl_multi_setopt(g->multi, CURLMOPT_SOCKETDATA, g);
    curl_multi_setopt(g->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(g->multi, CURLMOPT_TIMERDATA, g);
    curl_multi_setopt(g->multi, CURLMOPT_MAXCONNECTS, 16L);
    return 0;
}

void request_close_all(struct gate *g)
{
    curl_multi_cleanup(g->multi);
    g->multi = NULL;
}
