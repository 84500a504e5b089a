/*
 * rules: the network rules as the gateway goes by them: what they have used of their budgets, and
 * their secrets. What a rule lets through is plan's to say (plan/net.h).
 */
#ifndef LZ_GATEWAY_RULES_H
#define LZ_GATEWAY_RULES_H

#include "gateway/gateway.h"

#include <stddef.h>

#define RULES_SECRETS_MAX                                                                          \
    (2u * GATEWAY_SECRETS_MAX) /* those of the rules that were, and that will be */
#define RULES_SECRET_MS 60000u /* for all of a secret to come */

struct net_proxy;
struct pollfd;
struct sockaddr;

/* Lives as long as it is the newest of its name or a request uses it. */
struct secret {
    unsigned refs;
    char value[GATEWAY_SECRET_MAX + 1]; /* NUL-terminated, without control characters */
    size_t len;
    uint16_t back[GATEWAY_SECRET_MAX]; /* strip_prepare() */
};

/* Lives as long as a rule of the list names it and it is the newest of its name. */
struct rule_secret {
    struct rule_secret *next;
    char name[GATEWAY_NAME_SIZE];
    struct secret *value;       /* NULL: it is coming, or cannot go into a header */
    struct rule_coming *coming; /* NULL: no more of it does */
};

/* Lives as long as the list or a stream names it. */
struct rule {
    unsigned refs;
    bool gone;      /* it was taken away */
    uint32_t index; /* 1 and up, as long as it is not gone */
    char *text;     /* the whole of it: equal texts are the same rule */
    char *url;
    bool tls; /* its scheme is https */
    char *host;
    uint16_t port;
    uint64_t bytes_max, rate, streams_max; /* 0: none */
    char *header;                          /* "Name: value" with one {}; NULL: none */
    const struct rule_secret *secret;      /* with header; NULL: the rule is gone */
    uint64_t open;                         /* streams */
    uint64_t used_bytes;
    uint64_t tokens, tokens_ms; /* bytes that may go, as of when */
};

struct rules {
    struct rules_list *list; /* NULL: none yet */
    struct rule **items;
    size_t n;
    struct rule_secret *secrets;
    size_t n_secrets;
};

/*
 * Takes `fd`, which rules_work() reads to its end: what is there, and the rest as it comes, for
 * RULES_SECRET_MS at most. One newline at the end is not a part of it. Takes the place of the last
 * one of that name, also before it has come. What cannot go into a header ends nothing: rules that
 * name it let nothing through (rule_lacks_secret()). It stays if the next list has a rule for it.
 */
void rules_add_secret(struct rules *r, const char *name, int fd);
/* Those that have not come: at most RULES_SECRETS_MAX; what the time and they ask for. */
size_t rules_poll(const struct rules *r, struct pollfd *p);
uint64_t rules_deadline_ms(const struct rules *r);
void rules_work(struct rules *r, uint64_t now_ms);
void secret_unref(struct secret *s); /* accepts NULL */
/* The new list in place of the old one. A rule with the same text stays the same. */
int rules_replace(struct rules *r, int fd, struct err *e);
void rules_done(struct rules *r);

/* A raw connection; NULL: none allows it. */
struct rule *rules_match(const struct rules *r, const char *host, uint16_t port);
/* A request to a clear-side origin; NULL: none allows it. */
struct rule *rules_match_request(const struct rules *r, const char *name, const char *method,
                                 const char *path);
/* The host's proxy, where the way to `host` is through it; NULL: it is not. */
const struct net_proxy *rules_proxy_to(const struct rules *r, const char *host);
bool rules_address_ok(const struct rules *r, const struct sockaddr *a);
/* It is not public: only a range that somebody named lets it be connected to. */
bool rules_address_is_named(const struct sockaddr *a);

void rule_unref(struct rule *r); /* accepts NULL */
static inline bool rule_lacks_secret(const struct rule *r)
{
    return r->header && (!r->secret || !r->secret->value);
}
/* It is still on its way. */
static inline bool rule_awaits_secret(const struct rule *r)
{
    return r->header && r->secret && r->secret->coming;
}
/* How many of `want` bytes may go now; 0: *ret_ms is when to ask again, or it is used up. */
uint64_t rule_may_send(struct rule *r, uint64_t want, uint64_t now_ms, uint64_t *ret_ms);
/* They went. False: its bytes are used up. */
bool rule_count(struct rule *r, uint64_t bytes);
static inline bool rule_is_used_up(const struct rule *r)
{
    return r->bytes_max && r->used_bytes >= r->bytes_max;
}

#endif
