/* rules: the network rules as the gateway goes by them. See rules.h. */
#include "gateway/rules.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "gateway/strip.h"
#include "plan/net.h"
#include "plan/net_proxy.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

/* A rate is kept over a tenth of a second; less would be a system call for each few bytes. */
#define BURST_MS  100u
#define BURST_MIN 2048u

#define SECRET_MS 5000u /* for all of a secret to be read */

struct rules_list {
    struct net_rules rules;
    struct net_ranges ranges;
    struct net_proxy proxy;
};

/* ---- secrets --------------------------------------------------------------------------------- */

static bool is_header_value(const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)p[i] < ' ' || p[i] == 0x7f)
            return false;
    return true;
}

/* The only thread may not wait for ever for somebody who writes nothing. -1: it did not end in
 * time. */
static ssize_t read_in_time(int fd, char *at, size_t size)
{
    uint64_t until = clock_mono_ms() + SECRET_MS;
    size_t len = 0;

    while (len < size) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = fd < 0 ? 0 : poll(&p, 1, clock_poll_timeout(until));
        ssize_t n;

        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return -1;
        n = read(fd, at + len, size - len);
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return -1;
        len += n > 0 ? (size_t)n : 0;
    }
    return (ssize_t)len;
}

static struct secret *make_secret(const char *value, size_t len)
{
    struct secret *s = calloc(1, sizeof(*s));

    if (!s || !(s->value = calloc(1, len + 1)) || !(s->back = calloc(len, sizeof(*s->back))))
        abort();
    s->refs = 1;
    s->len = len;
    memcpy(s->value, value, len);
    strip_prepare((const uint8_t *)s->value, len, s->back);
    return s;
}

void secret_unref(struct secret *s)
{
    if (!s || --s->refs > 0)
        return;
    explicit_bzero(s->value, s->len);
    free(s->value);
    free(s->back);
    free(s);
}

static struct rule_secret *find_secret(struct rules *r, const char *name)
{
    for (size_t i = 0; i < r->n_secrets; i++)
        if (strcmp(r->secrets[i].name, name) == 0)
            return &r->secrets[i];
    return NULL;
}

void rules_add_secret(struct rules *r, const char *name, int fd)
{
    struct rule_secret *s = find_secret(r, name);
    char value[GATEWAY_SECRET_MAX + 2];
    ssize_t n = read_in_time(fd, value, sizeof(value));

    if (n > 0 && value[n - 1] == '\n')
        n--;
    if (!s && r->n_secrets < GATEWAY_SECRETS_MAX) {
        s = &r->secrets[r->n_secrets++];
        snprintf(s->name, sizeof(s->name), "%s", name);
    }
    if (s) {
        secret_unref(own_steal_ptr(s->value));
        if (n >= 1 && (size_t)n <= GATEWAY_SECRET_MAX && is_header_value(value, (size_t)n))
            s->value = make_secret(value, (size_t)n);
    } else {
        r->left_out = true;
    }
    explicit_bzero(value, sizeof(value));
}

/* ---- the list -------------------------------------------------------------------------------- */

static void list_free(struct rules_list *l)
{
    if (!l)
        return;
    net_rules_done(&l->rules);
    net_proxy_done(&l->proxy);
    free(l);
}

static void list_free_p(struct rules_list **l)
{
    list_free(*l);
}

static int read_list(int fd, struct rules_list *l, struct err *e)
{
    own_free char *text = malloc(GATEWAY_RULES_MAX + 1);
    own_doc struct doc *d = NULL;
    own_strv struct strv ranges = {0};
    const struct doc *network, *proxy;
    ssize_t n;

    if (!text || lseek(fd, 0, SEEK_SET) < 0 ||
        (n = file_read_up_to(fd, text, GATEWAY_RULES_MAX + 1)) < 0)
        return err_sys(e, ERR_HOST, errno, "network rules");
    if (n > GATEWAY_RULES_MAX)
        return err_set(e, ERR_HOST, "network rules of more than %u bytes", GATEWAY_RULES_MAX);
    if (doc_parse(text, (size_t)n, "network rules", &d, e) < 0 ||
        doc_get_array(d, "network", &network, e) < 0 ||
        net_rules_from_doc(network, &l->rules, e) < 0)
        return -1;
    if (doc_has(d, "network_ranges") && doc_get_strv(d, "network_ranges", &ranges, e) < 0)
        return -1;
    if (doc_has(d, "egress_proxy") && (doc_get_object(d, "egress_proxy", &proxy, e) < 0 ||
                                       net_proxy_from_doc(proxy, &l->proxy, e) < 0))
        return -1;
    return net_ranges_parse(&ranges, &l->ranges, e);
}

void rule_unref(struct rule *r)
{
    if (!r || --r->refs > 0)
        return;
    free(r->text);
    free(r->url);
    free(r->host);
    free(r->header);
    free(r);
}

static struct rule *make_rule(struct rules *all, const struct net_rule *n, const char *text,
                              struct err *e)
{
    struct rule_secret *secret = n->secret ? find_secret(all, n->secret) : NULL;
    struct rule *r;

    if (n->secret && !secret && !all->left_out) {
        err_set(e, ERR_REFUSED, "rule '%.32s': there is no secret '%.64s'", n->name ? n->name : "?",
                n->secret);
        return NULL;
    }
    r = calloc(1, sizeof(*r));
    if (!r)
        abort();
    *r = (struct rule){.refs = 1,
                       .text = str_dup(text),
                       .url = net_rule_url(n),
                       .tls = n->scheme == NET_HTTPS,
                       .host = str_dup(n->host),
                       .port = n->port,
                       .bytes_max = n->bytes_max,
                       .rate = n->rate,
                       .streams_max = n->streams_max,
                       .header = n->secret && n->header ? str_dup(n->header) : NULL,
                       .secret = secret};
    return r;
}

static struct rule *find_same(const struct rules *r, const char *text)
{
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->items[i]->text, text) == 0)
            return r->items[i];
    return NULL;
}

static void drop_items(struct rule **items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        rule_unref(items[i]);
    free(items);
}

int rules_replace(struct rules *r, int fd, struct err *e)
{
    __attribute__((cleanup(list_free_p))) struct rules_list *l = calloc(1, sizeof(*l));
    struct rule **items;

    if (!l)
        return err_set(e, ERR_HOST, "out of memory");
    if (read_list(fd, l, e) < 0)
        return -1;
    items = calloc(l->rules.n + 1, sizeof(struct rule *));
    if (!items)
        abort();
    for (size_t i = 0; i < l->rules.n; i++) {
        own_free char *text = net_rule_text(&l->rules.items[i]);
        struct rule *same = find_same(r, text);

        items[i] = same ? same : make_rule(r, &l->rules.items[i], text, e);
        if (!items[i]) {
            drop_items(items, i);
            return -1;
        }
        if (same)
            same->refs++;
    }
    for (size_t i = 0; i < r->n; i++)
        r->items[i]->gone = true;
    for (size_t i = 0; i < l->rules.n; i++) {
        items[i]->gone = false;
        items[i]->index = (uint32_t)i + 1;
    }
    drop_items(r->items, r->n);
    list_free(r->list);
    r->items = items;
    r->n = l->rules.n;
    r->list = own_steal_ptr(l);
    return 0;
}

void rules_done(struct rules *r)
{
    drop_items(r->items, r->n);
    list_free(r->list);
    for (size_t i = 0; i < r->n_secrets; i++)
        secret_unref(r->secrets[i].value);
    *r = (struct rules){0};
}

/* ---- what they let through ------------------------------------------------------------------- */

static struct rule *rule_of(const struct rules *r, const struct net_rule *n)
{
    return n ? r->items[n - r->list->rules.items] : NULL;
}

struct rule *rules_match(const struct rules *r, const char *host, uint16_t port)
{
    return r->list ? rule_of(r, net_match_tunnel(&r->list->rules, host, port)) : NULL;
}

struct rule *rules_match_request(const struct rules *r, const char *name, const char *method,
                                 const char *path)
{
    enum net_miss miss;

    return r->list ? rule_of(r, net_match_request(&r->list->rules, name, method, path, &miss))
                   : NULL;
}

const struct net_proxy *rules_proxy_to(const struct rules *r, const char *host)
{
    return r->list && net_proxy_leads_to(&r->list->proxy, host) ? &r->list->proxy : NULL;
}

bool rules_address_ok(const struct rules *r, const struct sockaddr *a)
{
    return r->list && net_address_ok(a, &r->list->ranges);
}

bool rules_address_is_named(const struct sockaddr *a)
{
    return !net_address_ok(a, NULL);
}

/* ---- budgets --------------------------------------------------------------------------------- */

uint64_t rule_may_send(struct rule *r, uint64_t want, uint64_t now_ms, uint64_t *ret_ms)
{
    uint64_t burst = r->rate * BURST_MS / 1000;
    uint64_t least;

    if (rule_is_used_up(r))
        return 0;
    if (r->bytes_max && want > r->bytes_max - r->used_bytes)
        want = r->bytes_max - r->used_bytes;
    if (!r->rate)
        return want;
    burst = burst < BURST_MIN ? BURST_MIN : burst;
    if (r->tokens_ms == 0)
        r->tokens = burst;
    else if (now_ms - r->tokens_ms >= 1000u * burst / r->rate + 1)
        r->tokens = burst;
    else
        r->tokens += (now_ms - r->tokens_ms) * r->rate / 1000;
    r->tokens = r->tokens > burst ? burst : r->tokens;
    r->tokens_ms = now_ms;
    least = want < BURST_MIN ? want : BURST_MIN;
    if (r->tokens >= least)
        return want < r->tokens ? want : r->tokens;
    *ret_ms = now_ms + (least - r->tokens) * 1000 / r->rate + 1;
    return 0;
}

bool rule_count(struct rule *r, uint64_t bytes)
{
    r->used_bytes += bytes;
    r->tokens = r->tokens > bytes ? r->tokens - bytes : 0;
    return !rule_is_used_up(r);
}
