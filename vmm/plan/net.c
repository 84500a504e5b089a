/* net: what a rule of the network says: its text, its object, and back. */
#include "plan/net.h"

#include "base/own.h"
#include "shared/net.h"
#include "shared/wire.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    uint16_t port; /* 0: it has none of its own */
} schemes[] = {[NET_HTTPS] = {"https", 443}, [NET_HTTP] = {"http", 80}, [NET_TCP] = {"tcp", 0}};

#define SCHEMES (sizeof(schemes) / sizeof(schemes[0]))
#define LOWER   "abcdefghijklmnopqrstuvwxyz"
#define UPPER   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS  "0123456789"

void net_rule_done(struct net_rule *r)
{
    free(r->name);
    free(r->host);
    free(r->path_prefix);
    strv_done(&r->methods);
    free(r->secret);
    free(r->header);
    free(r->from);
    *r = (struct net_rule){0};
}

void net_rules_done(struct net_rules *r)
{
    for (size_t i = 0; i < r->n; i++)
        net_rule_done(&r->items[i]);
    free(r->items);
    *r = (struct net_rules){0};
}

void net_rules_take(struct net_rules *r, struct net_rule *rule)
{
    struct net_rule *grown = reallocarray(r->items, r->n + 1, sizeof(*grown));

    if (!grown)
        abort();
    r->items = grown;
    r->items[r->n++] = *rule;
    *rule = (struct net_rule){0};
}

static char *dup_or_null(const char *text)
{
    return text ? str_dup(text) : NULL;
}

void net_rules_add_all(struct net_rules *to, const struct net_rules *from)
{
    for (size_t i = 0; i < from->n; i++) {
        const struct net_rule *r = &from->items[i];
        struct net_rule copy = *r;

        copy.name = dup_or_null(r->name);
        copy.host = dup_or_null(r->host);
        copy.path_prefix = dup_or_null(r->path_prefix);
        copy.methods = (struct strv){0};
        strv_add_all(&copy.methods, &r->methods);
        copy.secret = dup_or_null(r->secret);
        copy.header = dup_or_null(r->header);
        copy.from = dup_or_null(r->from);
        net_rules_take(to, &copy);
    }
}

/* ---- where to ---- */

/* What a resolver might take for an IPv4 address in another spelling: "127.1", "0x7f000001". */
static bool is_numeric(const char *label)
{
    if (label[0] == '0' && (label[1] == 'x' || label[1] == 'X'))
        return label[2 + strspn(label + 2, DIGITS "abcdefABCDEF")] == '\0';
    return label[strspn(label, DIGITS)] == '\0';
}

static bool is_host_name(const char *host)
{
    const char *label = host;

    if (strlen(host) > NET_RULE_HOST_MAX)
        return false;
    for (;;) {
        size_t len = strspn(label, LOWER DIGITS "-_");

        if (len == 0 || len > 63 || label[0] == '-' || label[len - 1] == '-')
            return false;
        if (label[len] == '\0')
            return !is_numeric(label);
        if (label[len] != '.')
            return false;
        label += len + 1;
    }
}

/* An address in its one spelling. */
static bool take_address(const char *host, bool bracketed, char **ret)
{
    char text[INET6_ADDRSTRLEN];
    uint8_t bytes[16];
    int family = bracketed ? AF_INET6 : AF_INET;

    if (inet_pton(family, host, bytes) != 1 || !inet_ntop(family, bytes, text, sizeof(text)))
        return false;
    *ret = str_dup(text);
    return true;
}

static bool is_origin(const char *host)
{
    size_t len = strlen(host), end = strlen(NET_RULE_DOMAIN);

    return strcmp(host, &NET_RULE_DOMAIN[1]) == 0 ||
           (len > end && strcmp(host + len - end, NET_RULE_DOMAIN) == 0);
}

static void lower(char *text)
{
    for (char *c = text; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
}

/* Takes the host apart: `text` is it alone, without a port. */
static int take_host(struct net_rule *r, char *text, enum net_use use, struct err *e)
{
    size_t len = strlen(text);

    if (text[0] == '[' && text[len - 1] == ']') {
        text[len - 1] = '\0';
        return take_address(text + 1, true, &r->host)
                   ? 0
                   : err_set(e, ERR_USAGE, "there is no IPv6 address in the brackets");
    }
    lower(text);
    if (take_address(text, false, &r->host))
        return 0;
    if (strcmp(text, "*") == 0 && use == NET_OF_WISH)
        return err_set(e, ERR_USAGE, "the host '*' is for policies only");
    if (strcmp(text, "*") != 0 && !is_host_name(str_starts_with(text, "*.") ? text + 2 : text))
        return err_set(e, ERR_USAGE,
                       "it names no host (a name, '*.' and a name, an IPv4 address, or an IPv6 "
                       "address in brackets)");
    if (is_origin(text))
        return err_set(e, ERR_USAGE,
                       "names that end in '" NET_RULE_DOMAIN "' are the clear side's own");
    r->host = str_dup(text);
    return 0;
}

static int take_path(struct net_rule *r, const char *path, struct err *e)
{
    if (strcmp(path, "/") == 0)
        return 0;
    if (path[strspn(path, LOWER UPPER DIGITS "/._~-")] || strstr(path, "//") ||
        !net_path_is_plain(path, strlen(path)) || strlen(path) > NET_RULE_PATH_MAX)
        return err_set(e, ERR_USAGE, "its path is not plain (letters, digits and /._~-)");
    r->path_prefix = str_dup(path);
    return 0;
}

static int take_url(struct net_rule *r, const char *url, enum net_use use, struct err *e)
{
    const char *rest = strstr(url, "://"), *path, *colon;
    own_free char *host = NULL;
    uint64_t port;
    size_t s = 0;

    while (rest && s < SCHEMES &&
           (strlen(schemes[s].name) != (size_t)(rest - url) ||
            strncmp(url, schemes[s].name, (size_t)(rest - url)) != 0))
        s++;
    if (!rest || s == SCHEMES)
        return err_set(e, ERR_USAGE, "it begins with none of https://, http://, tcp://");
    rest += 3;
    r->scheme = (enum net_scheme)s;
    path = rest + strcspn(rest, "/");
    host = str_printf("%.*s", (int)(path - rest), rest);
    port = schemes[s].port;
    colon = strrchr(host, ':');
    if (colon && (host[0] != '[' || colon[-1] == ']')) {
        if (str_parse_u64(colon + 1, "its port", 1, 65535, &port, e) < 0)
            return -1;
        host[colon - host] = '\0';
    }
    if (port == 0)
        return err_set(e, ERR_USAGE, "tcp:// needs a port");
    r->port = (uint16_t)port;
    if (take_host(r, host, use, e) < 0)
        return -1;
    return *path ? take_path(r, path, e) : 0;
}

/* ---- the keys ---- */

static bool is_token(const char *text, size_t len)
{
    return len > 0 && strspn(text, LOWER UPPER DIGITS "!#$%&'*+-.^_`|~") >= len;
}

static int take_name(struct net_rule *r, const char *text, struct err *e)
{
    size_t len = strspn(text, LOWER DIGITS "-");

    if (len == 0 || len > NET_RULE_NAME_MAX || text[len] || text[0] == '-' || text[len - 1] == '-')
        return err_set(e, ERR_USAGE, "name: not 1 to %d of a-z, 0-9 and '-'", NET_RULE_NAME_MAX);
    r->name = str_dup(text);
    return 0;
}

static int take_methods(struct net_rule *r, const char *text, struct err *e)
{
    for (const char *at = text;;) {
        size_t len = strspn(at, UPPER "-");
        own_free char *one = str_printf("%.*s", (int)len, at);

        if (len == 0 || len > 16 || (at[len] && at[len] != '+') ||
            r->methods.n == NET_RULE_METHODS_MAX)
            return err_set(e, ERR_USAGE, "methods: not up to %d words like GET",
                           NET_RULE_METHODS_MAX);
        for (size_t i = 0; i < r->methods.n; i++)
            if (strcmp(r->methods.items[i], one) == 0)
                return err_set(e, ERR_USAGE, "methods: %s is there twice", one);
        strv_add(&r->methods, one);
        if (!at[len])
            return 0;
        at += len + 1;
    }
}

static int take_header(struct net_rule *r, const char *text, struct err *e)
{
    const char *colon = strchr(text, ':'), *at = strstr(text, "{}");
    own_str struct str name = {0};
    size_t len = strlen(text);

    if (!colon || !is_token(text, (size_t)(colon - text)) || colon[1] != ' ' || colon[2] == ' ' ||
        text[len - 1] == ' ' || len > NET_RULE_HEADER_MAX || !str_is_printable(text, len + 1))
        return err_set(e, ERR_USAGE, "header: not 'Name: value' in printable ASCII");
    if (!at || at < colon || strstr(at + 2, "{}"))
        return err_set(e, ERR_USAGE, "header: its value has not exactly one {}");
    str_add_bytes(&name, text, (size_t)(colon - text));
    lower(name.data);
    if (net_is_own_header(name.data, name.len))
        return err_set(e, ERR_USAGE, "header: '%s' is not for secrets", name.data);
    r->header = str_dup(text);
    return 0;
}

static int take_secret(struct net_rule *r, const char *text, struct err *e)
{
    if (!wire_is_secret_name(text, strlen(text)))
        return err_set(e, ERR_USAGE, "secret: it is no name of one");
    r->secret = str_dup(text);
    return 0;
}

static int take_bytes(struct net_rule *r, const char *text, struct err *e)
{
    return str_parse_size(text, "bytes", 1, NET_RULE_BYTES_MAX, &r->bytes_max, e);
}

static int take_rate(struct net_rule *r, const char *text, struct err *e)
{
    return str_parse_size(text, "rate", NET_RULE_RATE_MIN, NET_RULE_BYTES_MAX, &r->rate, e);
}

static int take_streams(struct net_rule *r, const char *text, struct err *e)
{
    return str_parse_u64(text, "streams", 1, NET_RULE_STREAMS_MAX, &r->streams_max, e);
}

static const struct net_key {
    const char *name;
    int (*take)(struct net_rule *r, const char *text, struct err *e);
    bool wish; /* not of a policy's rules */
} net_keys[] = {
    {"name", take_name, true},     {"methods", take_methods, false}, {"bytes", take_bytes, false},
    {"rate", take_rate, false},    {"streams", take_streams, false}, {"secret", take_secret, true},
    {"header", take_header, true},
};

#define NET_KEYS (sizeof(net_keys) / sizeof(net_keys[0]))

/* `seen`: a bit for each key. */
static int take_key(struct net_rule *r, const char *key, size_t len, const char *text,
                    enum net_use use, unsigned *seen, struct err *e)
{
    size_t i = 0;
    char shown[64];

    while (i < NET_KEYS &&
           (strlen(net_keys[i].name) != len || strncmp(net_keys[i].name, key, len) != 0))
        i++;
    if (i == NET_KEYS || (net_keys[i].wish && use == NET_OF_POLICY)) {
        str_escape(shown, sizeof(shown), key, len);
        return err_set(e, ERR_USAGE,
                       i == NET_KEYS ? "unknown key '%s'" : "'%s' is not for policies", shown);
    }
    if (*seen & 1u << i)
        return err_set(e, ERR_USAGE, "%s: it is there twice", net_keys[i].name);
    *seen |= 1u << i;
    return net_keys[i].take(r, text, e);
}

/* What contradicts itself. */
static int check_rule(struct net_rule *r, enum net_use use, struct err *e)
{
    if (r->scheme == NET_TCP && (r->name || r->path_prefix || r->methods.n > 0))
        return err_set(e, ERR_USAGE, "tcp:// has no names, paths or methods");
    if (use != NET_OF_POLICY && !r->name && (r->path_prefix || r->methods.n > 0 || r->secret))
        return err_set(e, ERR_USAGE,
                       "a path, methods and a secret are of use with a name only (name=api: the "
                       "job asks http://api" NET_RULE_DOMAIN "/)");
    if (r->name && r->host[0] == '*')
        return err_set(e, ERR_USAGE, "name: it needs one host, not '%s'", r->host);
    if (r->secret && r->scheme != NET_HTTPS)
        return err_set(e, ERR_USAGE, "secret: it goes over https:// only");
    if (r->header && !r->secret)
        return err_set(e, ERR_USAGE, "header: there is no secret that would go there");
    if (r->secret && !r->header)
        r->header = str_dup(NET_RULE_HEADER);
    return 0;
}

int net_rule_parse(const char *text, enum net_use use, const char *from, struct net_rule *ret,
                   struct err *e)
{
    own_net_rule struct net_rule r = {.from = dup_or_null(from)};
    own_free char *copy = str_dup(text);
    char *rest = copy, *url = strsep(&rest, ",");
    unsigned seen = 0;

    while (rest) {
        char *key = rest, *value;

        /* A header is the last one: commas are its own. */
        if (str_starts_with(key, "header="))
            rest = NULL;
        else
            strsep(&rest, ",");
        value = strchr(key, '=');
        if (!value)
            return err_set(e, ERR_USAGE, "behind the URL is something that is not ',key=value'");
        if (take_key(&r, key, (size_t)(value - key), value + 1, use, &seen, e) < 0)
            return -1;
    }
    if (take_url(&r, url, use, e) < 0 || check_rule(&r, use, e) < 0)
        return -1;
    *ret = r;
    r = (struct net_rule){0};
    return 0;
}

/* Returns new. */
static char *join_methods(const struct strv *methods)
{
    own_str struct str s = {0};

    for (size_t i = 0; i < methods->n; i++)
        str_addf(&s, "%s%s", i ? "+" : "", methods->items[i]);
    return str_steal(&s);
}

/* Returns new: a member's text; of "methods" a list, of numbers either form. */
static int member_text(const struct doc *d, const char *key, char **ret, struct err *e)
{
    const char *text;
    uint64_t n;

    if (strcmp(key, "methods") == 0) {
        own_strv struct strv methods = {0};

        if (doc_get_strv(d, key, &methods, e) < 0)
            return -1;
        *ret = join_methods(&methods);
        return 0;
    }
    if (doc_get_u64(d, key, &n, &(struct err){0}) == 0) {
        *ret = str_printf("%" PRIu64, n);
        return 0;
    }
    if (doc_get_str(d, key, &text, e) < 0)
        return -1;
    *ret = str_dup(text);
    return 0;
}

static int read_object(const struct doc *d, enum net_use use, struct net_rule *r, struct err *e)
{
    const char *key, *text;
    unsigned seen = 0;

    for (size_t i = 0; (key = doc_key_at(d, i)); i++) {
        own_free char *value = NULL;

        if (strcmp(key, "to") == 0 || strcmp(key, "from") == 0)
            continue;
        if (member_text(d, key, &value, e) < 0 ||
            take_key(r, key, strlen(key), value, use, &seen, e) < 0)
            return -1;
    }
    if (doc_get_str(d, "to", &text, e) < 0 || take_url(r, text, use, e) < 0)
        return -1;
    return check_rule(r, use, e);
}

int net_rule_read(const struct doc *list, size_t i, enum net_use use, const char *from,
                  struct net_rule *ret, struct err *e)
{
    const char *text = doc_str_at(list, i);
    const struct doc *d = doc_at(list, i);
    own_net_rule struct net_rule r = {.from = dup_or_null(from)};

    if (text)
        return net_rule_parse(text, use, from, ret, e);
    if (!d || !doc_is_object(d))
        return err_set(e, ERR_USAGE, "neither a text nor an object");
    if (from && doc_has(d, "from"))
        return err_set(e, ERR_USAGE, "unknown key 'from'");
    if ((doc_has(d, "from") && doc_get_str(d, "from", &text, e) < 0) ||
        read_object(d, use, &r, e) < 0) {
        e->class = ERR_USAGE;
        return -1;
    }
    if (!from && text)
        r.from = str_dup(text);
    *ret = r;
    r = (struct net_rule){0};
    return 0;
}

bool net_rule_same(const struct net_rule *a, const struct net_rule *b)
{
    if (a->name || b->name)
        return a->name && b->name && strcmp(a->name, b->name) == 0;
    return a->scheme == b->scheme && a->port == b->port && strcmp(a->host, b->host) == 0;
}

int net_rules_check(const struct net_rules *r, struct err *e)
{
    if (r->n > NET_RULES_MAX)
        return err_set(e, ERR_USAGE, "more than %d rules", NET_RULES_MAX);
    for (size_t i = 0; i < r->n; i++)
        for (size_t k = 0; k < i; k++)
            if (net_rule_same(&r->items[i], &r->items[k])) {
                own_free char *url = net_rule_url(&r->items[i]);

                return err_set(e, ERR_USAGE, "%s%s is there twice", r->items[i].name ? "name " : "",
                               r->items[i].name ? r->items[i].name : url);
            }
    return 0;
}

char *net_rule_url(const struct net_rule *r)
{
    bool six = strchr(r->host, ':');
    own_str struct str s = {0};

    str_addf(&s, "%s://%s%s%s", schemes[r->scheme].name, six ? "[" : "", r->host, six ? "]" : "");
    if (r->port != schemes[r->scheme].port)
        str_addf(&s, ":%u", r->port);
    str_add(&s, r->path_prefix ? r->path_prefix : "");
    return str_steal(&s);
}

char *net_rule_text(const struct net_rule *r)
{
    own_free char *url = net_rule_url(r), *methods = join_methods(&r->methods);
    own_str struct str s = {0};

    str_add(&s, url);
    if (r->name)
        str_addf(&s, ",name=%s", r->name);
    if (r->methods.n > 0)
        str_addf(&s, ",methods=%s", methods);
    if (r->bytes_max)
        str_addf(&s, ",bytes=%" PRIu64, r->bytes_max);
    if (r->rate)
        str_addf(&s, ",rate=%" PRIu64, r->rate);
    if (r->streams_max)
        str_addf(&s, ",streams=%" PRIu64, r->streams_max);
    if (r->secret)
        str_addf(&s, ",secret=%s,header=%s", r->secret, r->header);
    return str_steal(&s);
}

static struct doc *rule_to_doc(const struct net_rule *r)
{
    struct doc *d = doc_new_object();
    own_free char *url = net_rule_url(r);

    doc_set_str(d, "to", url);
    if (r->name)
        doc_set_str(d, "name", r->name);
    if (r->methods.n > 0)
        doc_set_strv(d, "methods", (const char *const *)r->methods.items);
    if (r->bytes_max)
        doc_set_u64(d, "bytes", r->bytes_max);
    if (r->rate)
        doc_set_u64(d, "rate", r->rate);
    if (r->streams_max)
        doc_set_u64(d, "streams", r->streams_max);
    if (r->secret) {
        doc_set_str(d, "secret", r->secret);
        doc_set_str(d, "header", r->header);
    }
    if (r->from)
        doc_set_str(d, "from", r->from);
    return d;
}

struct doc *net_rules_to_doc(const struct net_rules *r)
{
    struct doc *list = doc_new_array();

    for (size_t i = 0; i < r->n; i++)
        doc_add(list, rule_to_doc(&r->items[i]));
    return list;
}

static int read_rules(const struct doc *list, enum net_use use, struct net_rules *ret,
                      struct err *e)
{
    own_net_rules struct net_rules rules = {0};

    if (doc_len(list) > NET_RULES_MAX)
        return err_set(e, ERR_USAGE, "network: more than %d rules", NET_RULES_MAX);
    for (size_t i = 0; i < doc_len(list); i++) {
        struct net_rule r = {0};

        if (net_rule_read(list, i, use, NULL, &r, e) < 0)
            return err_wrap(e, "network[%zu]", i);
        net_rules_take(&rules, &r);
    }
    if (net_rules_check(&rules, e) < 0)
        return err_wrap(e, "network");
    net_rules_add_all(ret, &rules);
    return 0;
}

int net_rules_from_doc(const struct doc *list, struct net_rules *ret, struct err *e)
{
    return read_rules(list, NET_OF_PLAN, ret, e);
}

int net_bounds_from_doc(const struct doc *list, struct net_rules *ret, struct err *e)
{
    return read_rules(list, NET_OF_POLICY, ret, e);
}
