/* net_match: what a rule of the network lets through, and which addresses may be connected to. */
#include "plan/net.h"

#include "base/own.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

bool net_host_fits(const char *pattern, const char *host)
{
    size_t len = strlen(host), tail;

    if (strcmp(pattern, "*") == 0 || strcmp(pattern, host) == 0)
        return true;
    if (pattern[0] != '*')
        return false;
    tail = strlen(pattern + 1);
    return len > tail && strcmp(host + len - tail, pattern + 1) == 0;
}

/* The one spelling that rules have. */
static const char *canonical(const char *host, char out[INET6_ADDRSTRLEN])
{
    uint8_t bytes[16];

    if (strchr(host, ':') && inet_pton(AF_INET6, host, bytes) == 1 &&
        inet_ntop(AF_INET6, bytes, out, INET6_ADDRSTRLEN))
        return out;
    return host;
}

const struct net_rule *net_match_tunnel(const struct net_rules *r, const char *host, uint16_t port)
{
    const struct net_rule *wide = NULL;
    char text[INET6_ADDRSTRLEN];

    host = canonical(host, text);
    for (size_t i = 0; i < r->n; i++) {
        const struct net_rule *rule = &r->items[i];

        if (rule->name || rule->port != port || !net_host_fits(rule->host, host))
            continue;
        if (strcmp(rule->host, host) == 0)
            return rule;
        wide = wide ? wide : rule;
    }
    return wide;
}

static bool method_fits(const struct net_rule *r, const char *method)
{
    for (size_t i = 0; i < r->methods.n; i++)
        if (strcmp(r->methods.items[i], method) == 0)
            return true;
    return r->methods.n == 0;
}

/* Below it: "/v1" has "/v1", "/v1/x" and "/v1?q", not "/v10". */
static bool is_below(const char *prefix, const char *path)
{
    size_t len = strlen(prefix);

    if (strncmp(path, prefix, len) != 0)
        return false;
    return prefix[len - 1] == '/' || path[len] == '\0' || path[len] == '/' || path[len] == '?';
}

bool net_path_is_plain(const char *path, size_t len)
{
    static const char *const hidden[] = {"%2e", "%2f", "%5c", "%25"};

    for (size_t i = 0; i < len; i++) {
        if (path[i] == '\\')
            return false;
        for (size_t k = 0; len - i >= 3 && k < sizeof(hidden) / sizeof(hidden[0]); k++)
            if (strncasecmp(path + i, hidden[k], 3) == 0)
                return false;
        /* "." and "..", also with what some servers cut off behind them. */
        if (path[i] == '/' && i + 1 < len && path[i + 1] == '.' &&
            (i + 2 == len || strchr("./;", path[i + 2])))
            return false;
    }
    return true;
}

static bool path_fits(const struct net_rule *r, const char *path)
{
    return !r->path_prefix ||
           (is_below(r->path_prefix, path) && net_path_is_plain(path, strcspn(path, "?#")));
}

static bool is_origin(const char *name, const char *origin)
{
    size_t len = strlen(name);

    return strncmp(origin, name, len) == 0 &&
           (origin[len] == '\0' || strcmp(origin + len, NET_RULE_DOMAIN) == 0);
}

const struct net_rule *net_match_request(const struct net_rules *r, const char *origin,
                                         const char *method, const char *path,
                                         enum net_miss *ret_miss)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct net_rule *rule = &r->items[i];

        if (!rule->name || !is_origin(rule->name, origin))
            continue;
        if (method_fits(rule, method) && path_fits(rule, path))
            return rule;
        *ret_miss = method_fits(rule, method) ? NET_MISS_PATH : NET_MISS_METHOD;
        return NULL;
    }
    *ret_miss = NET_MISS_ORIGIN;
    return NULL;
}

char *net_wish_for(const char *host, uint16_t port)
{
    struct net_rule r = {.scheme = port == 443  ? NET_HTTPS
                                   : port == 80 ? NET_HTTP
                                                : NET_TCP,
                         .host = (char *)(uintptr_t)host,
                         .port = port};

    return net_rule_url(&r);
}

/* ---- rule against rule ---- */

bool net_covers_destination(const struct net_rule *policy, const struct net_rule *rule)
{
    bool requests = policy->path_prefix || policy->methods.n > 0;

    if (policy->scheme != rule->scheme && (policy->scheme != NET_TCP || rule->name))
        return false;
    if (policy->port != rule->port || !net_host_fits(policy->host, rule->host) ||
        (requests && !rule->name))
        return false;
    return !policy->path_prefix ||
           (rule->path_prefix && is_below(policy->path_prefix, rule->path_prefix));
}

static bool number_fits(uint64_t most, uint64_t n)
{
    return most == 0 || (n != 0 && n <= most);
}

bool net_covers(const struct net_rule *policy, const struct net_rule *rule)
{
    if (!net_covers_destination(policy, rule) || !number_fits(policy->bytes_max, rule->bytes_max) ||
        !number_fits(policy->rate, rule->rate) ||
        !number_fits(policy->streams_max, rule->streams_max))
        return false;
    for (size_t i = 0; i < rule->methods.n; i++)
        if (!method_fits(policy, rule->methods.items[i]))
            return false;
    return policy->methods.n == 0 || rule->methods.n > 0;
}

/* ---- addresses ---- */

static bool bits_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;

    return memcmp(a, b, whole) == 0 &&
           (rest == 0 || ((a[whole] ^ b[whole]) & (0xff00u >> rest) & 0xffu) == 0);
}

static bool in_range(const struct net_range *r, int family, const uint8_t *bytes)
{
    return r->family == family && bits_equal(r->bytes, bytes, r->bits);
}

int net_range_parse(const char *text, struct net_range *ret, struct err *e)
{
    own_free char *copy = str_dup(text);
    char *slash = strchr(copy, '/');
    struct net_range r = {.family = strchr(text, ':') ? AF_INET6 : AF_INET};
    uint64_t bits;

    if (slash)
        *slash++ = '\0';
    if (!slash || inet_pton(r.family, copy, r.bytes) != 1)
        return err_set(e, ERR_USAGE, "not a range of addresses, like 10.0.0.0/8");
    if (str_parse_u64(slash, "the prefix", 0, r.family == AF_INET ? 32 : 128, &bits, e) < 0)
        return -1;
    r.bits = (unsigned)bits;
    for (unsigned i = r.bits; i < 128; i++)
        if (r.bytes[i / 8] & (0x80u >> i % 8))
            return err_set(e, ERR_USAGE, "there are bits set behind its prefix");
    *ret = r;
    return 0;
}

char *net_range_format(const struct net_range *r)
{
    char text[INET6_ADDRSTRLEN] = "";

    (void)inet_ntop(r->family, r->bytes, text, sizeof(text));
    return str_printf("%s/%u", text, r->bits);
}

bool net_read_address(const char *text, struct sockaddr_storage *ret)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    memset(ret, 0, sizeof(*ret));
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        memcpy(ret, &v4, sizeof(v4));
    else if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
        memcpy(ret, &v6, sizeof(v6));
    else
        return false;
    return true;
}

bool net_range_has(const struct net_range *r, const char *address)
{
    uint8_t bytes[16];

    return inet_pton(r->family, address, bytes) == 1 && in_range(r, r->family, bytes);
}

void net_ranges_format(const struct net_ranges *r, struct strv *ret)
{
    for (size_t i = 0; i < r->n; i++) {
        own_free char *text = net_range_format(&r->items[i]);

        strv_add(ret, text);
    }
}

int net_ranges_parse(const struct strv *texts, struct net_ranges *ret, struct err *e)
{
    struct net_ranges r = {0};

    if (texts->n > NET_RANGES_MAX)
        return err_set(e, ERR_USAGE, "more than %d ranges", NET_RANGES_MAX);
    for (; r.n < texts->n; r.n++)
        if (net_range_parse(texts->items[r.n], &r.items[r.n], e) < 0)
            return err_wrap(e, "range %zu", r.n + 1);
    *ret = r;
    return 0;
}

bool net_ranges_cover(const struct net_ranges *r, const struct net_range *one)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->items[i].bits <= one->bits && in_range(&r->items[i], one->family, one->bytes))
            return true;
    return false;
}

void net_ranges_meet(const struct net_ranges *a, const struct net_ranges *b, struct net_ranges *ret)
{
    struct net_ranges r = {0};

    for (size_t i = 0; i < a->n; i++)
        for (size_t k = 0; k < b->n; k++) {
            const struct net_range *x = &a->items[i], *y = &b->items[k];
            const struct net_range *narrow = x->bits >= y->bits ? x : y;

            if (in_range(narrow == x ? y : x, narrow->family, narrow->bytes) &&
                r.n < NET_RANGES_MAX)
                r.items[r.n++] = *narrow;
        }
    *ret = r;
}

/* RFC 6890 and IANA's registry of special-purpose addresses; no public host has one of these. */
static const struct net_range special4[] = {
    {AF_INET, {0}, 8},                 /* this host */
    {AF_INET, {10}, 8},                /* private */
    {AF_INET, {100, 64}, 10},          /* shared, behind a provider's NAT; a cloud's metadata */
    {AF_INET, {127}, 8},               /* loopback */
    {AF_INET, {168, 63, 129, 16}, 32}, /* a cloud's host agent, public by number only */
    {AF_INET, {169, 254}, 16},         /* link-local; metadata of most clouds */
    {AF_INET, {172, 16}, 12},          /* private */
    {AF_INET, {192, 0, 0}, 24},        /* protocol assignments */
    {AF_INET, {192, 0, 2}, 24},        /* documentation */
    {AF_INET, {192, 88, 99}, 24},      /* relays of 6to4 */
    {AF_INET, {192, 168}, 16},         /* private */
    {AF_INET, {198, 18}, 15},          /* measurements */
    {AF_INET, {198, 51, 100}, 24},     /* documentation */
    {AF_INET, {203, 0, 113}, 24},      /* documentation */
    {AF_INET, {224}, 3},               /* multicast, reserved, broadcast */
};

/* Outside 2000::/3 there is nothing public at all: unspecified, loopback, private, link-local,
 * site-local, multicast. */
static const struct net_range public6 = {AF_INET6, {0x20}, 3};
static const struct net_range special6[] = {
    {AF_INET6, {0x20, 0x01}, 23},             /* protocol assignments, Teredo, ORCHID */
    {AF_INET6, {0x20, 0x01, 0x0d, 0xb8}, 32}, /* documentation */
    {AF_INET6, {0x20, 0x02}, 16},             /* 6to4 */
    {AF_INET6, {0x3f, 0xff}, 20},             /* documentation */
};

static const struct net_range mapped = {AF_INET6, {[10] = 0xff, [11] = 0xff}, 96};
static const struct net_range nat64 = {AF_INET6, {0, 0x64, 0xff, 0x9b}, 96};

static bool is_public(int family, const uint8_t *bytes)
{
    const struct net_range *special = family == AF_INET ? special4 : special6;
    size_t n = family == AF_INET ? sizeof(special4) / sizeof(special4[0])
                                 : sizeof(special6) / sizeof(special6[0]);

    if (family == AF_INET6 && !in_range(&public6, family, bytes))
        return false;
    for (size_t i = 0; i < n; i++)
        if (in_range(&special[i], family, bytes))
            return false;
    return true;
}

bool net_address_ok(const struct sockaddr *address, const struct net_ranges *ranges)
{
    const void *any = address;
    uint8_t bytes[16] = {0};
    int family = address->sa_family;

    if (family == AF_INET) {
        memcpy(bytes, &((const struct sockaddr_in *)any)->sin_addr, 4);
    } else if (family == AF_INET6) {
        memcpy(bytes, &((const struct sockaddr_in6 *)any)->sin6_addr, 16);
        if (in_range(&mapped, family, bytes) || in_range(&nat64, family, bytes)) {
            memmove(bytes, bytes + 12, 4);
            family = AF_INET;
        }
    } else {
        return false;
    }
    for (size_t i = 0; ranges && i < ranges->n; i++)
        if (in_range(&ranges->items[i], family, bytes))
            return true;
    return is_public(family, bytes);
}
