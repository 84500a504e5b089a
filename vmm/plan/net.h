/*
 * net: the rules of what a sandbox may connect to: what one says, and what it lets through.
 *
 * One form for manifests, policies, the command line, the plan and the gateway. A rule is a text: a
 * URL of a host, and keys behind it,
 *
 *     SCHEME:  https  port 443, TLS: its name is checked, nothing is read
 *              http   port 80, in the clear
 *              tcp    any bytes; its port must be said
 *     HOST:    "api.example.org", "*.example.org" (any name below it, of any depth, not itself), an
 *              IPv4 address, an IPv6 address in brackets; of a policy also "*"
 *     KEYS:    name=api,methods=GET+POST,bytes=1G,rate=1M,streams=4,secret=KEY,header=X-Key: {}
 *
 * or an object in JSON with the same keys and "to". A rule with a name is a clear-side origin: the
 * job asks the URL's path of NAME.lazaret by plain HTTP, the gateway makes the request, within
 * methods and path, and adds the secret, which the guest never has. It lets nothing else through:
 * no raw connection.
 *
 * Pure: nothing is looked up here. Which address a name came to is judged by net_address_ok().
 */
#ifndef LZ_PLAN_NET_H
#define LZ_PLAN_NET_H

#include "base/doc.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define NET_RULES_MAX        256 /* in one list */
#define NET_RANGES_MAX       64
#define NET_RULE_NAME_MAX    32
#define NET_RULE_HOST_MAX    253
#define NET_RULE_PATH_MAX    1024
#define NET_RULE_HEADER_MAX  256
#define NET_RULE_METHODS_MAX 16
#define NET_RULE_RATE_MIN    1024u        /* bytes per second */
#define NET_RULE_BYTES_MAX   (1ull << 50) /* also of a rate */
#define NET_RULE_STREAMS_MAX 256u
#define NET_RULE_HEADER      "Authorization: Bearer {}" /* of a secret that names none */
#define NET_RULE_DOMAIN      ".lazaret"      /* ends the host of every clear-side origin */
#define NET_FROM_LIVE        "lazaret allow" /* who said a rule that a sandbox got later */

enum net_scheme {
    NET_HTTPS, /* a raw connection whose TLS names this host; clear-side: made by the gateway */
    NET_HTTP,
    NET_TCP,
};

struct net_rule {
    char *name; /* [a-z0-9-]: a clear-side origin; NULL: raw connections */
    enum net_scheme scheme;
    char *host;           /* lower case, or an address without brackets; "*.example.org"; "*" */
    uint16_t port;        /* never 0 */
    char *path_prefix;    /* of requests: "/v1"; NULL: any */
    struct strv methods;  /* of requests; empty: any */
    uint64_t bytes_max;   /* both directions, all connections together; 0: none */
    uint64_t rate;        /* bytes per second, the same; 0: none */
    uint64_t streams_max; /* at once; 0: none */
    char *secret;         /* the name of one; NULL: none is added */
    char *header; /* "Name: value" with exactly one {}, where it goes; NULL without secret */
    char *from;   /* who said it: "agent.json:7", "command line" */
};

struct net_rules {
    struct net_rule *items;
    size_t n;
};

void net_rule_done(struct net_rule *r);
void net_rules_done(struct net_rules *r);
#define own_net_rule  __attribute__((cleanup(net_rule_done)))
#define own_net_rules __attribute__((cleanup(net_rules_done)))
void net_rules_take(struct net_rules *r, struct net_rule *rule); /* leaves `rule` empty */
void net_rules_add_all(struct net_rules *to, const struct net_rules *from);

/* Whose rule it is: a policy's bounds, so it has no name, secret or header, and may say "*". One of
 * a plan is a wish, or of a run that learns (plan.h) a policy's. */
enum net_use { NET_OF_WISH, NET_OF_POLICY, NET_OF_PLAN };

/* Reads and checks one rule; `from` is kept. ERR_USAGE says what is wrong, not where. */
int net_rule_parse(const char *text, enum net_use use, const char *from, struct net_rule *ret,
                   struct err *e);
/* The same of one value of a list in JSON: text or object. An object's own "from" goes first. */
int net_rule_read(const struct doc *list, size_t i, enum net_use use, const char *from,
                  struct net_rule *ret, struct err *e);
/* Nothing is there twice: not a name, not a destination without a name. ERR_USAGE. */
int net_rules_check(const struct net_rules *r, struct err *e);
/* Two that may not be in one list. */
bool net_rule_same(const struct net_rule *a, const struct net_rule *b);

/* Returns new: the URL; and the whole rule as a text, which net_rule_parse() reads. */
char *net_rule_url(const struct net_rule *r);
char *net_rule_text(const struct net_rule *r);
/* Returns new: a list of objects; what plan and gateway keep. */
struct doc *net_rules_to_doc(const struct net_rules *r);
/* Adds the rules of a list that was made so, of a plan, or bounds of a policy. ERR_USAGE. */
int net_rules_from_doc(const struct doc *list, struct net_rules *ret, struct err *e);
int net_bounds_from_doc(const struct doc *list, struct net_rules *ret, struct err *e);

/* ---- what a rule lets through ---- */

/* `pattern`: the host of a rule, or a canary. `host`: one name or address, or (of a rule that is
 * bounded) "*." and a name. */
bool net_host_fits(const char *pattern, const char *host);

/*
 * A raw connection to `host` (UNTRUSTED: a name in lower case, or an address): the rule, NULL:
 * none. One that names the host itself goes before one with "*.".
 */
const struct net_rule *net_match_tunnel(const struct net_rules *r, const char *host, uint16_t port);

enum net_miss { NET_MISS_ORIGIN = 1, NET_MISS_METHOD, NET_MISS_PATH };
/*
 * A request to an origin, "api" or "api.lazaret" (all UNTRUSTED; the path with its query): the
 * rule, NULL: *ret_miss says why. Where a rule has a path, one that a server could read as another
 * (dot segments, backslashes, encoded ones) misses.
 */
const struct net_rule *net_match_request(const struct net_rules *r, const char *origin,
                                         const char *method, const char *path,
                                         enum net_miss *ret_miss);
/* A path (without its query) that every server reads as the same one. */
bool net_path_is_plain(const char *path, size_t len);
/* Returns new: a rule's text that would allow a raw connection there; for the one who reads a
 * refusal. */
char *net_wish_for(const char *host, uint16_t port);

/* Everything that `rule` lets through, `policy` allows; numbers too, 0 being no limit. */
bool net_covers(const struct net_rule *policy, const struct net_rule *rule);
/* The same without the numbers. */
bool net_covers_destination(const struct net_rule *policy, const struct net_rule *rule);

/* ---- addresses ---- */

/* An address and its text, without a port; false: it is none, but a name. */
bool net_read_address(const char *text, struct sockaddr_storage *ret);

struct net_range {
    int family; /* AF_INET, AF_INET6 */
    uint8_t bytes[16];
    unsigned bits;
};

struct net_ranges {
    struct net_range items[NET_RANGES_MAX];
    size_t n;
};

/* "10.0.0.0/8", "fd00::/8": no bit set behind the prefix. ERR_USAGE. */
int net_range_parse(const char *text, struct net_range *ret, struct err *e);
/* Returns new. */
char *net_range_format(const struct net_range *r);
/* `address`: a text; of anything else false. */
bool net_range_has(const struct net_range *r, const char *address);
/* Adds each as a text. */
void net_ranges_format(const struct net_ranges *r, struct strv *ret);
int net_ranges_parse(const struct strv *texts, struct net_ranges *ret, struct err *e);
/* One of them has all of it. */
bool net_ranges_cover(const struct net_ranges *r, const struct net_range *one);
/* What is in both. */
void net_ranges_meet(const struct net_ranges *a, const struct net_ranges *b,
                     struct net_ranges *ret);

/*
 * May it be connected to? A public unicast address, or one in `ranges`. Not so: private, shared
 * (CGNAT), loopback, link-local and with it a cloud's metadata, multicast, reserved, unspecified,
 * documentation; and what would reach one of these through translation (IPv4-mapped, NAT64, 6to4,
 * Teredo). The IPv4 address inside a mapped or NAT64 one is what is judged.
 */
bool net_address_ok(const struct sockaddr *address, const struct net_ranges *ranges);

#endif
