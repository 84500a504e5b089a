/*
 * gateway: the launcher's and the keeper's end of lazaret-gateway, the only process with a network.
 *
 * How it works
 *   The launcher starts it before the cage, where the host's network is; it ends when its control
 *   socket hangs up, which the keeper holds from then on. The keeper gives it the secrets, the
 *   rules, and the guest's port (an fd), and takes fixed-size events. The keeper never reads the
 *   port, and the gateway has no file: names of hosts are all that it says of the guest.
 *
 *     gateway_start -> gateway_new -> gateway_secret ... -> gateway_rules -> gateway_port -> READY
 *
 *   gateway_rules again: a live change. gateway_port again: another guest, or a restored one.
 *
 *     gateway_hold -> HELD -> gateway_resume
 *
 *   Nothing is under way meanwhile, so the guest can be saved.
 */
#ifndef LZ_GATEWAY_GATEWAY_H
#define LZ_GATEWAY_GATEWAY_H

#include "base/doc.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define GATEWAY_HOST_SIZE    256 /* a name or an address, with the NUL */
#define GATEWAY_ADDRESS_SIZE 48  /* of an IPv6 address, with the NUL */
#define GATEWAY_TEXT_SIZE    160
#define GATEWAY_NAME_SIZE    65    /* of a secret, with the NUL */
#define GATEWAY_SECRET_MAX   4096u /* bytes of a secret that goes into a header */
#define GATEWAY_SECRETS_MAX  32u   /* that rules name at once */
/* Of the caller's environment: name servers ("ADDRESS[:PORT],...") and certificates (a file) in
 * place of the host's. */
#define GATEWAY_DNS_ENV          "LAZARET_DNS"
#define GATEWAY_CERTIFICATES_ENV "SSL_CERT_FILE"
/* Of gateway_start()'s only: what the host's proxy wants. */
#define GATEWAY_LOGIN_ENV "LAZARET_PROXY_LOGIN"
#define GATEWAY_RULES_MAX 1048576u /* bytes of the rules' JSON */

enum gateway_event_type {
    GATEWAY_READY = 1, /* the guest's proxy answered on the port */
    GATEWAY_HELD,
    GATEWAY_TRY,      /* the guest asked for a connection: see allowed */
    GATEWAY_CLOSED,   /* one that was allowed is over */
    GATEWAY_TAMPERED, /* the guest broke the protocol: `text`; nothing comes after it */
    GATEWAY_LOST,     /* the gateway or the port is gone: `text`; nothing comes after it */
};

/* What is not named for a type is zero. Plain data: it crosses from the gateway as it is. */
struct gateway_event {
    uint32_t type;
    uint32_t exec;    /* TRY, CLOSED: 1 to 16, the guest's word */
    uint32_t allowed; /* TRY: 1, or 0: refused */
    uint32_t why;     /* TRY: enum net_why when refused; CLOSED: how it ended */
    uint32_t rule;    /* TRY, CLOSED: 1 + index in the rules, 0: none */
    uint32_t port;    /* TRY, CLOSED; 0: an origin that no rule has */
    uint32_t guest;   /* READY, HELD: which port it was on */
    /* TRY, CLOSED, why CONNECT, through the host's proxy: the status that it answered, or
     * GATEWAY_PROXY_SILENT; else 0 */
    uint32_t proxy;
    uint32_t secret; /* TRY, CLOSED: GATEWAY_SECRET_*, when its rule's secret is why; else 0 */
    char host[GATEWAY_HOST_SIZE];       /* TRY, CLOSED: [a-z0-9._:-] only */
    char address[GATEWAY_ADDRESS_SIZE]; /* CLOSED: what it was connected to, or "" */
    uint64_t bytes_up, bytes_down;      /* CLOSED: from and to the guest */
    uint64_t duration_ms;               /* CLOSED */
    char text[GATEWAY_TEXT_SIZE];       /* TAMPERED, LOST: printable */
};

struct gateway;

#define GATEWAY_PROXY_SILENT 1u
#define GATEWAY_SECRET_LATE  1u /* why TIMEOUT */
#define GATEWAY_SECRET_BAD   2u /* why REQUEST: it cannot go into a header, or never came */

/* Why something was refused (enum net_why), for people: "no rule allows it". */
const char *gateway_why_text(uint32_t why);
/* Returns new: the same of an event, with what the host's proxy or a secret had to do with it. */
char *gateway_event_text(uint32_t why, uint32_t proxy, uint32_t secret);
/* Returns new: where a try leads, "host:port" or, with port 0, an origin's http://NAME.lazaret. */
char *gateway_destination(const char *host, unsigned port);

/*
 * Launcher: starts the program at `path` in this network namespace. It ends when the other end of
 * *ret_control is closed everywhere, and with this process. What it reads of the host (servers of
 * /etc/resolv.conf, certificates) it reads before it confines itself; an error there is told by the
 * first event. `login`: "USER:PASSWORD" for the host's proxy, or NULL.
 */
int gateway_start(const char *path, const char *login, int *ret_control_fd, pid_t *ret_pid,
                  struct err *e);

/* Keeper: takes the control socket. Returns new. */
struct gateway *gateway_new(int control_fd);
/* Nothing more is asked of it: CLOSED of all that is open comes, then GATEWAY_LOST. */
#define GATEWAY_FINISH_MS 1000u
void gateway_finish(struct gateway *g);
void gateway_free(struct gateway *g); /* ends the process; accepts NULL */

/* A file or pipe with one secret, which the rules that come then may name; borrowed. It takes the
 * place of the last one of that name; what comes from a pipe late holds up the requests that
 * need it, and nothing else. What cannot go into a header is refused when it is used. Forgotten
 * once no rule names it. */
int gateway_secret(struct gateway *g, const char *name, int fd, struct err *e);
/*
 * {"network": [...], "network_ranges": [...]}, as in a plan, and "egress_proxy" if there is one,
 * the same each time. Connections by a rule that is not
 * there any more are ended; what a rule has used of its budget stays used.
 */
int gateway_rules(struct gateway *g, const struct doc *rules, struct err *e);
/* Borrows a connected socket of the guest's port: greets the guest; connections that are open end.
 */
int gateway_port(struct gateway *g, int port_fd, struct err *e);
int gateway_hold(struct gateway *g, struct err *e);
int gateway_resume(struct gateway *g, struct err *e);

/* Readable when gateway_next() has something. */
int gateway_fd(const struct gateway *g);
/* 1: an event, checked; 0: nothing now, or nothing any more. */
#define GATEWAY_TURN 256 /* take no more at once: one that was taken over has always one more */
int gateway_next(struct gateway *g, struct gateway_event *ret);

#endif
