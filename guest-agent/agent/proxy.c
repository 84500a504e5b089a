/* proxy: the loop of the guest's `net` process: the port, the agent's words, the jobs' clients. See
 * proxy.h. */
#include "agent/proxy_private.h"

#include "agent/boot.h"
#include "agent/dns.h"
#include "agent/say.h"
#include "shared/fds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PROXY_QUERIES 16 /* datagrams of one job that are answered in one turn */

enum {
    FD_PORT,
    FD_CONTROL,
    FD_SOCKETS,
    FD_CLIENTS = FD_SOCKETS + NET_EXEC_MAX * PROXY_SOCKETS,
    FD_COUNT = FD_CLIENTS + NET_STREAMS_MAX
};

static bool has_room(struct proxy *p, size_t len)
{
    size_t room = outbox_room(&p->outbox);

    if (room > 0 && room >= len)
        return true;
    p->again = true;
    return false;
}

bool proxy_may_say(struct proxy *p, size_t len)
{
    return p->session.state == NET_IN_READY && has_room(p, len);
}

bool proxy_say(struct proxy *p, enum net_type type, uint32_t stream, const void *payload,
               size_t len)
{
    const struct net_header h = {.type = (uint16_t)type, .stream = stream, .length = (uint32_t)len};

    if (!has_room(p, len) || net_session_note(&p->session, NET_TO_HOST, &h, payload) < 0)
        return false;
    return outbox_put(&p->outbox, (uint16_t)type, stream, payload, len);
}

/* ---- the host ---------------------------------------------------------------------------------
 */

/* The guest may have stood still: who waits gets the whole time again. */
static void rearm(struct proxy *p)
{
    for (uint32_t i = 1; i <= NET_STREAMS_MAX; i++)
        if (p->clients[i].deadline_ms > 0)
            p->clients[i].deadline_ms = boot_now_ms() + CLIENT_MEET_MS;
}

/* Whatever there was with the last host end is over. */
static void forget_host(struct proxy *p)
{
    outbox_drop(&p->outbox);
    net_session_init(&p->session);
    p->ready_due = p->held_due = false;
    for (uint32_t i = 1; i <= NET_STREAMS_MAX; i++)
        client_lost(&p->clients[i]);
    rearm(p);
}

static int on_session(struct proxy *p, const struct net_header *h, const uint8_t *b)
{
    struct net_hello m;

    if (h->type == NET_HOLD)
        p->held_due = true;
    else if (h->type == NET_RESUME) {
        rearm(p);
        p->again = true;
    } else if (net_hello_parse(b, h->length, &m) < 0)
        return -EPROTO;
    else {
        forget_host(p);
        p->hello = m;
        p->hello.version = NET_VERSION;
        p->ready_due = true;
    }
    return 0;
}

static int on_frame(struct proxy *p, const struct net_header *h, const uint8_t *b)
{
    if (net_session_note(&p->session, NET_TO_GUEST, h, b) < 0) {
        say("illegal frame of the gateway: %s, stream %u, %u bytes", net_type_name(h->type),
            h->stream, h->length);
        return -EPROTO;
    }
    if (h->stream == 0)
        return on_session(p, h, b);
    client_frame(p, &p->clients[h->stream], h, b);
    return 0;
}

/* Reads all that the port has. */
static int read_port(struct proxy *p)
{
    for (;;) {
        struct net_header h;
        const uint8_t *payload;
        uint8_t *at;
        size_t space;
        ssize_t n;
        int rc;

        while ((rc = net_reader_next(&p->reader, &h, &payload)) == 1)
            if (on_frame(p, &h, payload) < 0)
                return -EPROTO;
        if (rc < 0)
            return -EPROTO;
        space = net_reader_space(&p->reader, &at);
        n = read(p->port, at, space);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 0 : -errno;
        if (n == 0) {
            /* Nobody is there. Between HELD and RESUME that is nothing new. */
            net_reader_init(&p->reader);
            if (p->session.state == NET_IN_READY)
                forget_host(p);
            return 0;
        }
        net_reader_commit(&p->reader, (size_t)n);
    }
}

/* What the host has asked for, where there is room for the answer. */
static void answer(struct proxy *p)
{
    uint8_t raw[NET_HELLO_SIZE];

    if (p->ready_due) {
        net_hello_format(raw, &p->hello);
        p->ready_due = !proxy_say(p, NET_READY, 0, raw, sizeof(raw));
        p->again = true; /* who has waited for it */
    }
    if (p->held_due)
        p->held_due = !proxy_say(p, NET_HELD, 0, NULL, 0);
}

/* ---- the agent --------------------------------------------------------------------------------
 */

static void close_sockets(int sockets[PROXY_SOCKETS])
{
    for (size_t i = 0; i < PROXY_SOCKETS; i++) {
        if (sockets[i] >= 0)
            close(sockets[i]);
        sockets[i] = -1;
    }
}

static void forget_job(struct proxy *p, uint32_t exec)
{
    close_sockets(p->sockets[exec - 1]);
    for (uint32_t i = 1; i <= NET_STREAMS_MAX; i++)
        if (p->clients[i].state != CLIENT_NONE && p->clients[i].exec == exec)
            client_drop(p, &p->clients[i], true);
}

/* 1: it is gone. */
static int hear_agent(struct proxy *p)
{
    struct proxy_record r = {0};
    struct fds with;
    ssize_t n = fds_receive(p->control, &r, sizeof(r), &with, MSG_DONTWAIT);
    const int *sockets = fds_just(&with, PROXY_SOCKETS);

    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n != sizeof(r) || r.exec < 1 || r.exec > NET_EXEC_MAX) {
        fds_close(&with);
        return n == 0 ? 1 : -EPROTO;
    }
    forget_job(p, r.exec);
    if (r.word == PROXY_SERVE && sockets)
        memcpy(p->sockets[r.exec - 1], sockets, PROXY_SOCKETS * sizeof(int));
    else
        fds_close(&with);
    return 0;
}

/* ---- the jobs ---------------------------------------------------------------------------------
 */

/* One that is nobody's, and whose stream is over; NULL: there is none now. */
static struct client *free_client(struct proxy *p)
{
    for (uint32_t i = 1; i <= NET_STREAMS_MAX; i++) {
        struct client *c = &p->clients[i];

        if (c->state == CLIENT_NONE && !c->last_word && !net_stream_is_live(&p->session.streams[i]))
            return c;
    }
    return NULL;
}

/* While there is no place for one more, it waits in the kernel's queue. */
static void accept_some(struct proxy *p, uint32_t exec, enum proxy_socket which)
{
    struct client *c;

    while ((c = free_client(p)) != NULL) {
        int fd = accept4(p->sockets[exec - 1][which], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0)
            return;
        client_open(c, fd, exec, which);
    }
}

static void answer_queries(int fd)
{
    for (unsigned i = 0; i < PROXY_QUERIES; i++) {
        uint8_t query[DNS_ANSWER_MAX], reply[DNS_ANSWER_MAX];
        struct sockaddr_storage from;
        socklen_t len = sizeof(from);
        ssize_t n =
            recvfrom(fd, query, sizeof(query), MSG_DONTWAIT, (struct sockaddr *)&from, &len);
        size_t out;

        if (n < 0)
            return;
        out = dns_answer(query, (size_t)n, reply);
        if (out > 0)
            (void)sendto(fd, reply, out, MSG_DONTWAIT, (struct sockaddr *)&from, len);
    }
}

/* ---- the loop ---------------------------------------------------------------------------------
 */

/* Milliseconds for poll(). While the port takes no more, it will tell. */
static int next_timeout(struct proxy *p)
{
    uint64_t now = boot_now_ms(), first = 0;
    bool again = p->again;

    p->again = false;
    if (p->session.state == NET_IN_HELD)
        return -1;
    if (again && p->outbox.start == p->outbox.end)
        return 0;
    for (uint32_t i = 1; i <= NET_STREAMS_MAX; i++) {
        uint64_t d = p->clients[i].deadline_ms;

        if (d && (!first || d < first))
            first = d;
    }
    if (!first)
        return -1;
    return first <= now ? 0 : (int)(first - now);
}

static nfds_t fill(struct proxy *p, struct pollfd fds[FD_COUNT], uint32_t who[FD_COUNT])
{
    bool free_place = free_client(p) != NULL;
    nfds_t n = FD_CLIENTS;

    fds[FD_PORT] = (struct pollfd){.fd = p->port_events, .events = POLLIN};
    fds[FD_CONTROL] = (struct pollfd){.fd = p->control, .events = POLLIN};
    for (size_t i = 0; i < NET_EXEC_MAX; i++)
        for (size_t k = 0; k < PROXY_SOCKETS; k++)
            fds[FD_SOCKETS + i * PROXY_SOCKETS + k] = (struct pollfd){
                .fd = free_place || k == PROXY_DNS ? p->sockets[i][k] : -1, .events = POLLIN};
    for (uint32_t i = 1; i <= NET_STREAMS_MAX; i++)
        if (client_fill(p, &p->clients[i], &fds[n]))
            who[n++] = i;
    return n;
}

static void serve_sockets(struct proxy *p, const struct pollfd *fds)
{
    for (uint32_t exec = 1; exec <= NET_EXEC_MAX; exec++)
        for (size_t k = 0; k < PROXY_SOCKETS; k++) {
            const struct pollfd *at = &fds[(exec - 1) * PROXY_SOCKETS + k];

            /* The agent may have taken it away in this very turn. */
            if (at->fd < 0 || !at->revents || p->sockets[exec - 1][k] != at->fd)
                continue;
            if (k == PROXY_DNS)
                answer_queries(at->fd);
            else
                accept_some(p, exec, (enum proxy_socket)k);
        }
}

/* Each in turn, and the first of them is another one each time: the outbox may be full behind a
 * few.
 */
static void pump(struct proxy *p, const struct pollfd *fds, const uint32_t *who, nfds_t n)
{
    short revents[NET_STREAMS_MAX + 1] = {0};

    for (nfds_t i = FD_CLIENTS; i < n; i++)
        if (p->clients[who[i]].fd == fds[i].fd)
            revents[who[i]] = fds[i].revents;
    for (uint32_t i = 0; i < NET_STREAMS_MAX; i++) {
        uint32_t stream = (p->first + i) % NET_STREAMS_MAX + 1;

        client_pump(p, &p->clients[stream], revents[stream]);
    }
    p->first = (p->first + 1) % NET_STREAMS_MAX;
}

/* 1: the agent is gone. */
static int turn(struct proxy *p)
{
    bool held = p->session.state == NET_IN_HELD;
    struct pollfd fds[FD_COUNT];
    struct epoll_event event;
    uint32_t who[FD_COUNT];
    int timeout = next_timeout(p), rc;
    nfds_t n = fill(p, fds, who);

    if (poll(fds, held ? FD_SOCKETS : n, timeout) < 0)
        return errno == EINTR ? 0 : -errno;
    if (fds[FD_CONTROL].revents && (rc = hear_agent(p)) != 0)
        return rc;
    if (fds[FD_PORT].revents && epoll_wait(p->port_events, &event, 1, 0) == 1) {
        rc = read_port(p);
        if (rc < 0)
            return rc;
    }
    if (!held) {
        serve_sockets(p, fds + FD_SOCKETS);
        pump(p, fds, who, n);
    }
    answer(p);
    return outbox_flush(&p->outbox, p->port);
}

int proxy_run(int port_fd, int control_fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET};
    struct proxy *p = calloc(1, sizeof(*p));
    int rc;

    if (!p)
        return -ENOMEM;
    p->port = port_fd;
    p->control = control_fd;
    net_session_init(&p->session);
    net_reader_init(&p->reader);
    outbox_init(&p->outbox, NET_MAGIC);
    for (size_t i = 0; i < NET_EXEC_MAX; i++)
        for (size_t k = 0; k < PROXY_SOCKETS; k++)
            p->sockets[i][k] = -1;
    for (uint32_t i = 1; i <= NET_STREAMS_MAX; i++)
        client_init(&p->clients[i], i);
    p->port_events = epoll_create1(EPOLL_CLOEXEC);
    rc = p->port_events < 0 || epoll_ctl(p->port_events, EPOLL_CTL_ADD, port_fd, &event) < 0
             ? -errno
             : 0;
    while (rc == 0)
        rc = turn(p);
    for (uint32_t exec = 1; exec <= NET_EXEC_MAX; exec++)
        forget_job(p, exec);
    if (p->port_events >= 0)
        close(p->port_events);
    free(p);
    return rc == 1 ? 0 : rc;
}
