/*
 * names: asks the host's name servers, through c-ares, within one poll loop.
 *
 * Must: be opened before the process is confined: the servers are read from /etc/resolv.conf, or
 * given. Must not: read /etc/hosts, search in domains, or be asked for a name that no rule allows
 * but the host's proxy's.
 */
#ifndef LZ_GATEWAY_NAMES_H
#define LZ_GATEWAY_NAMES_H

#include "base/err.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#define NAMES_ADDRESSES_MAX 8   /* of one name that are looked at */
#define NAMES_POLLS_MAX     32  /* sockets to name servers */
#define NAMES_PENDING_MAX   512 /* questions, also those that were forgotten: c-ares keeps them */

struct names;
struct names_query;

struct names_answer {
    size_t n; /* 0: there is none, or nobody answered */
    bool in_time;
    struct sockaddr_storage
        addresses[NAMES_ADDRESSES_MAX]; /* without a port; IPv6, IPv4, IPv6... */
};

typedef void (*names_done)(void *arg, const struct names_answer *answer);

/* `servers`: "ADDRESS[:PORT],..."; NULL: the host's. Returns new. */
int names_open(const char *servers, struct names **ret, struct err *e);
void names_close(struct names *n); /* nobody is told; accepts NULL */

/* No more may be asked now. */
bool names_is_full(const struct names *n);
/* Calls `done` once, maybe before it returns. NULL: it did. */
struct names_query *names_ask(struct names *n, const char *host, names_done done, void *arg);
/* `done` is not called any more. */
void names_forget(struct names_query *q);

size_t names_poll(const struct names *n, struct pollfd p[NAMES_POLLS_MAX]);
int names_timeout_ms(const struct names *n); /* -1: none */
/* Also what is too late. */
void names_work(struct names *n, const struct pollfd *p, size_t n_polls);

#endif
