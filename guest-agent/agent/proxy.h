/*
 * proxy: the guest's `net` process: what the jobs' programs reach on their loopback, and the
 * guest's end of egress's protocol (shared/net.h).
 *
 * How it works
 *   One loop, one thread. The agent hands over the listening sockets of each job, made inside that
 *   job's network namespace; this process is in none of them. A connection that was accepted is a
 *   client. What it asks for is understood here, strictly (http.h, talk.c): HTTP CONNECT, HTTP with
 *   an absolute address, SOCKS5, HTTP for a clear-side origin; then it becomes one stream of the
 *   protocol, of the client's own number. The host decides; its refusal is the answer.
 *   A client is read only while the host has given credit and the outbox has room; what comes from
 *   the host waits in the client's ring, which is as large as the window. So a slow client or a
 *   slow destination costs its own ring and nobody's time. Between HELD and RESUME nothing moves.
 *   HELLO ends all streams: the clients see a connection that broke off.
 *
 * Must not: trust a client (it is the job), need memory without a bound, or outlive the agent.
 */
#ifndef LZ_AGENT_PROXY_H
#define LZ_AGENT_PROXY_H

#include "shared/net.h"

/* Sockets of a job, bound in its network namespace. */
enum proxy_socket {
    PROXY_HTTP,    /* TCP GUEST_PROXY_PORT: HTTP proxy and SOCKS5 */
    PROXY_ORIGINS, /* TCP 80: clear-side origins */
    PROXY_DNS,     /* UDP 53 */
    PROXY_DNS_TCP, /* TCP 53 */
    PROXY_SOCKETS
};

/* The agent's words, records on a SOCK_SEQPACKET socket. */
enum proxy_word {
    PROXY_SERVE = 1, /* with PROXY_SOCKETS descriptors */
    PROXY_FORGET,    /* the job is over: its sockets and clients go */
};
struct proxy_record {
    uint32_t word; /* enum proxy_word */
    uint32_t exec; /* 1 to NET_EXEC_MAX */
};

/*
 * Serves the jobs and the host's gateway on `port_fd` (non-blocking), until the agent's end of
 * `control_fd` is closed (0), or -errno: -EPROTO, the host broke the protocol.
 */
int proxy_run(int port_fd, int control_fd);

#endif
