/*
 * gateway: connections: addresses, dialling, and the bytes of raw ones both ways.
 *
 * How it works
 *   The addresses of a name are asked for once, and those out of bounds are left out; only what is
 *   left is dialled, one after another with a short pause, and the first that answers is taken.
 *   Through the host's proxy all that is of the proxy, which is then asked to connect (parent.h):
 *   it finds the address of a name, and nobody here judges that. A request's connection goes to
 *   libcurl. Nothing that the guest sends by a rule for https leaves before a whole ClientHello has
 *   named the host that it asked for.
 */
#include "base/clock.h"
#include "base/own.h"
#include "gateway/gate.h"
#include "gateway/sni.h"
#include "plan/net.h"
#include "plan/net_proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- addresses ------------------------------------------------------------------------------- */

static socklen_t size_of(const struct sockaddr_storage *a)
{
    return a->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static void set_port(struct sockaddr_storage *a, uint16_t port)
{
    void *any = a;

    if (a->ss_family == AF_INET)
        ((struct sockaddr_in *)any)->sin_port = htons(port);
    else
        ((struct sockaddr_in6 *)any)->sin6_port = htons(port);
}

void tunnel_format_address(const struct sockaddr_storage *a, char out[GATEWAY_ADDRESS_SIZE])
{
    const void *any = a;
    const void *bytes = a->ss_family == AF_INET
                            ? (const void *)&((const struct sockaddr_in *)any)->sin_addr
                            : (const void *)&((const struct sockaddr_in6 *)any)->sin6_addr;

    if (!inet_ntop(a->ss_family, bytes, out, GATEWAY_ADDRESS_SIZE))
        out[0] = '\0';
}

static const char *host_of(const struct gate_stream *s)
{
    return s->open.kind == NET_ORIGIN ? s->rule->host : s->open.name;
}

static uint16_t port_of(const struct gate_stream *s)
{
    return s->open.kind == NET_ORIGIN ? s->rule->port : s->open.port;
}

/* It is the proxy that is not there, or does not answer. */
static void proxy_failed(struct gate_stream *s, unsigned status)
{
    s->proxy_said = status ? status : GATEWAY_PROXY_SILENT;
    stream_refuse(s, NET_WHY_CONNECT);
}

/* The only place where an address gets into `found`: one that is in bounds, or the proxy's, which
 * the user named. */
static void take_answer(void *arg, const struct names_answer *answer)
{
    struct gate_stream *s = arg;
    const struct net_proxy *proxy =
        s->by_proxy ? rules_proxy_to(&s->gate->rules, host_of(s)) : NULL;
    uint16_t port = proxy ? proxy->port : port_of(s);

    s->query = NULL;
    s->found.n = 0;
    for (size_t i = 0; i < answer->n; i++) {
        struct sockaddr_storage a = answer->addresses[i];

        if (!proxy && !rules_address_ok(&s->gate->rules, (const struct sockaddr *)(const void *)&a))
            continue;
        set_port(&a, port);
        s->found.addresses[s->found.n++] = a;
    }
    if (answer->n == 0 && proxy) {
        proxy_failed(s, 0);
    } else if (answer->n == 0) {
        stream_refuse(s, answer->in_time ? NET_WHY_NAME : NET_WHY_TIMEOUT);
    } else if (s->found.n == 0) {
        stream_refuse(s, NET_WHY_ADDRESS);
    } else {
        s->stage = GATE_DIALING;
        s->next = 0;
        s->no_socket = false;
        s->next_ms = clock_mono_ms();
        tunnel_work(s);
    }
}

/* Where a name leads is the proxy's to say; what says so itself is judged here. */
static bool may_be_asked_for(const struct gate_stream *s, const char *host)
{
    static const char local[] = ".localhost";
    size_t len = strlen(host), tail = sizeof(local) - 1;
    struct sockaddr_storage a;

    if (strcmp(host, &local[1]) == 0 || (len > tail && strcmp(host + len - tail, local) == 0))
        host = "127.0.0.1";
    return !net_read_address(host, &a) ||
           rules_address_ok(&s->gate->rules, (const struct sockaddr *)(const void *)&a);
}

void tunnel_resolve(struct gate_stream *s)
{
    const char *host = host_of(s);
    const struct net_proxy *proxy = rules_proxy_to(&s->gate->rules, host);
    struct names_answer literal = {.n = 1};
    struct names_query *q;

    s->stage = GATE_RESOLVING;
    s->by_proxy = proxy != NULL;
    if (proxy && !may_be_asked_for(s, host)) {
        stream_refuse(s, NET_WHY_ADDRESS);
        return;
    }
    host = proxy ? proxy->host : host;
    if (net_read_address(host, &literal.addresses[0])) {
        take_answer(s, &literal);
        return;
    }
    if (names_is_full(s->gate->names)) {
        stream_refuse(s, NET_WHY_LIMIT);
        return;
    }
    q = names_ask(s->gate->names, host, take_answer, s);
    if (q)
        s->query = q;
}

/* ---- dialling -------------------------------------------------------------------------------- */

static bool is_dialling(const struct gate_stream *s)
{
    for (size_t i = 0; i < GATE_DIALS; i++)
        if (s->dials[i] >= 0)
            return true;
    return false;
}

static bool all_dialling(const struct gate_stream *s)
{
    for (size_t i = 0; i < GATE_DIALS; i++)
        if (s->dials[i] < 0)
            return false;
    return true;
}

static void hang_up(struct gate_stream *s)
{
    for (size_t i = 0; i < GATE_DIALS; i++) {
        if (s->dials[i] >= 0)
            close(s->dials[i]);
        s->dials[i] = -1;
    }
}

/* An address of this host, in whatever range it is: then both ends are the same one. */
static bool is_ourselves(int fd, const struct sockaddr_storage *peer)
{
    struct sockaddr_storage own = {0};
    socklen_t size = sizeof(own);
    char a[GATEWAY_ADDRESS_SIZE], b[GATEWAY_ADDRESS_SIZE];

    if (getsockname(fd, (struct sockaddr *)(void *)&own, &size) < 0)
        return true;
    tunnel_format_address(&own, a);
    tunnel_format_address(peer, b);
    return strcmp(a, b) == 0;
}

/* Connected to where it leads. */
static void established(struct gate_stream *s, int fd)
{
    if (s->open.kind == NET_ORIGIN) {
        request_connected(s, fd);
        return;
    }
    s->fd = fd;
    s->stage = GATE_FLOWING;
    s->readable = false;
    s->writable = true;
    s->hello_seen = !s->rule->tls;
    s->until_ms = s->hello_seen ? UINT64_MAX : clock_mono_ms() + GATE_HELLO_MS;
    s->opened = true;
    stream_allowed(s);
}

/* A socket that is new takes the whole of it. */
static void call_proxy(struct gate_stream *s, int fd)
{
    own_free char *question = parent_question(host_of(s), port_of(s), s->gate->login);
    size_t len = strlen(question);

    s->fd = fd;
    s->stage = GATE_CALLING;
    s->answer = (struct parent_answer){0};
    if (send(fd, question, len, MSG_NOSIGNAL) != (ssize_t)len)
        proxy_failed(s, 0);
    explicit_bzero(question, len);
}

/* What comes behind the head of its answer stays in the socket. */
static void hear_proxy(struct gate_stream *s)
{
    uint8_t bytes[1024];
    ssize_t n = recv(s->fd, bytes, sizeof(bytes), MSG_PEEK);
    size_t used = 0;
    int whole;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    whole = n > 0 ? parent_feed(&s->answer, bytes, (size_t)n, &used) : -1;
    if (whole >= 0 && recv(s->fd, bytes, used, 0) != (ssize_t)used)
        whole = -1;
    if (whole == 1 && s->answer.status / 100 == 2)
        established(s, own_steal_fd(s->fd));
    else if (whole != 0)
        proxy_failed(s, whole == 1 ? s->answer.status : 0);
}

static void connected(struct gate_stream *s, size_t i)
{
    const struct sockaddr_storage *peer = &s->found.addresses[s->dialled[i]];
    const int on = 1;
    int fd = s->dials[i];

    s->dials[i] = -1;
    hang_up(s);
    if (!s->by_proxy && is_ourselves(fd, peer) &&
        !rules_address_is_named((const struct sockaddr *)(const void *)peer)) {
        close(fd);
        stream_refuse(s, NET_WHY_ADDRESS);
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    tunnel_format_address(peer, s->address);
    if (s->by_proxy)
        call_proxy(s, fd);
    else
        established(s, fd);
}

/* Dials the next address. False: it failed at once. */
static bool dial(struct gate_stream *s, size_t i)
{
    const struct sockaddr_storage *a = &s->found.addresses[s->next];
    int fd = socket(a->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    s->dialled[i] = s->next++;
    if (fd < 0) {
        s->no_socket |= errno != EAFNOSUPPORT;
        return false;
    }
    if (connect(fd, (const struct sockaddr *)(const void *)a, size_of(a)) < 0 &&
        errno != EINPROGRESS) {
        close(fd);
        return false;
    }
    s->dials[i] = fd;
    return true;
}

static void work_dials(struct gate_stream *s)
{
    uint64_t now = clock_mono_ms();

    for (size_t i = 0; i < GATE_DIALS && s->next < s->found.n; i++) {
        if (s->dials[i] >= 0)
            continue;
        if (is_dialling(s) && now < s->next_ms)
            break;
        if (dial(s, i))
            s->next_ms = now + GATE_STAGGER_MS;
        else
            i--; /* the next address in the same place */
    }
    if (s->next == s->found.n || all_dialling(s)) /* take_dial() says when */
        s->next_ms = UINT64_MAX;
    if (is_dialling(s) || s->next < s->found.n)
        return;
    if (s->no_socket)
        stream_refuse(s, NET_WHY_LIMIT);
    else if (s->by_proxy)
        proxy_failed(s, 0);
    else
        stream_refuse(s, NET_WHY_CONNECT);
}

static void take_dial(struct gate_stream *s, int fd)
{
    struct sockaddr_storage peer;
    socklen_t size = sizeof(int), peer_size = sizeof(peer);
    int failed = 0;

    for (size_t i = 0; i < GATE_DIALS; i++) {
        if (s->dials[i] != fd)
            continue;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &size) == 0 && failed == 0) {
            if (getpeername(fd, (struct sockaddr *)(void *)&peer, &peer_size) == 0)
                connected(s, i);
            return;
        }
        close(fd);
        s->dials[i] = -1;
        s->next_ms = 0; /* the next one, without a pause */
    }
}

/* ---- bytes ----------------------------------------------------------------------------------- */

/* True: what the guest sent may go. */
static bool look_at_hello(struct gate_stream *s)
{
    struct sockaddr_storage ignored;
    char name[SNI_NAME_SIZE];
    enum sni found;

    if (s->hello_seen)
        return true;
    if (s->up_end == s->hello_end && !s->up_eof) /* nothing new */
        return false;
    s->hello_end = s->up_end;
    found = sni_read(s->up + s->up_start, s->up_end - s->up_start, name);
    if (found == SNI_MORE && !s->up_eof)
        return false;
    /* An address has no name that could be said: RFC 6066. */
    if ((found == SNI_NAME && strcmp(name, s->open.name) == 0) ||
        (found == SNI_NONE && net_read_address(s->open.name, &ignored))) {
        s->hello_seen = true;
        s->until_ms = UINT64_MAX;
        return true;
    }
    if (found != SNI_MORE || s->up_end > s->up_start)
        stream_refuse(s, NET_WHY_TLS);
    else
        stream_done(s);
    return false;
}

static void work_bytes(struct gate_stream *s)
{
    if (s->up_start == s->up_end && !s->up_eof)
        return;
    if (!look_at_hello(s))
        return;
    while (s->stage == GATE_FLOWING && s->up_start < s->up_end && s->writable) {
        size_t have = s->up_end - s->up_start;
        uint64_t may;
        ssize_t n;

        if (rule_is_used_up(s->rule)) { /* by another stream */
            stream_refuse(s, NET_WHY_BUDGET);
            return;
        }
        may = rule_may_send(s->rule, have, clock_mono_ms(), &s->rate_ms);
        if (may == 0)
            return;
        n = send(s->fd, s->up + s->up_start, may, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            s->writable = false;
            return;
        }
        if (n < 0) {
            stream_refuse(s, NET_WHY_PEER);
            return;
        }
        s->up_start += (size_t)n;
        s->credit += (uint32_t)n;
        stream_count(s, (uint64_t)n, 0);
    }
    if (s->stage == GATE_FLOWING && s->up_start == s->up_end && s->up_eof && !s->shut) {
        s->shut = true;
        (void)shutdown(s->fd, SHUT_WR);
    }
}

void tunnel_work(struct gate_stream *s)
{
    if (s->stage == GATE_DIALING)
        work_dials(s);
    if (s->stage == GATE_FLOWING && s->open.kind == NET_TUNNEL)
        work_bytes(s);
}

size_t tunnel_read(struct gate_stream *s, uint8_t *at, size_t n)
{
    ssize_t got;

    if (!s->readable)
        return 0;
    got = recv(s->fd, at, n, 0);
    if (got > 0)
        return (size_t)got;
    if (got == 0)
        s->down_eof = true;
    else if (errno == EAGAIN || errno == EINTR)
        s->readable = false;
    else
        stream_refuse(s, NET_WHY_PEER);
    return 0;
}

size_t tunnel_poll(struct gate_stream *s, struct pollfd *p)
{
    size_t n = 0;
    short events = 0;

    if (s->stage == GATE_DIALING)
        for (size_t i = 0; i < GATE_DIALS; i++)
            if (s->dials[i] >= 0)
                p[n++] = (struct pollfd){.fd = s->dials[i], .events = POLLOUT};
    if (s->stage == GATE_CALLING)
        p[n++] = (struct pollfd){.fd = s->fd, .events = POLLIN};
    if (s->stage != GATE_FLOWING || s->fd < 0)
        return n;
    if (!s->readable && !s->down_eof)
        events |= POLLIN;
    if (!s->writable && s->up_start < s->up_end && s->hello_seen)
        events |= POLLOUT;
    if (events)
        p[n++] = (struct pollfd){.fd = s->fd, .events = events};
    return n;
}

void tunnel_take(struct gate_stream *s, const struct pollfd *p)
{
    if (s->stage == GATE_DIALING) {
        take_dial(s, p->fd);
    } else if (s->stage == GATE_CALLING && s->fd == p->fd) {
        hear_proxy(s);
    } else if (s->stage == GATE_FLOWING && s->fd == p->fd) {
        s->readable |= (p->revents & (POLLIN | POLLHUP | POLLERR)) != 0;
        s->writable |= (p->revents & (POLLOUT | POLLERR)) != 0;
    }
}

void tunnel_close(struct gate_stream *s)
{
    hang_up(s);
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}
