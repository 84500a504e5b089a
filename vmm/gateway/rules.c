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

/* A secret on its way. */
struct rule_coming {
    int fd;
    uint64_t until_ms;
    char read[GATEWAY_SECRET_MAX + 2]; /* so far */
    size_t len;
};

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

/* `len`: 1 to GATEWAY_SECRET_MAX. */
static struct secret *make_secret(const char *value, size_t len)
{
    struct secret *s = calloc(1, sizeof(*s));

    if (!s)
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
    explicit_bzero(s, sizeof(*s));
    free(s);
}

static struct rule_secret *find_secret(const struct rules *r, const char *name)
{
    struct rule_secret *s = r->secrets;

    while (s && strcmp(s->name, name) != 0)
        s = s->next;
    return s;
}

static struct rule_coming *start_reading(int fd)
{
    struct rule_coming *c = calloc(1, sizeof(*c));

    if (!c)
        abort();
    c->fd = fd;
    c->until_ms = clock_mono_ms() + RULES_SECRET_MS;
    return c;
}

/* No more is read, and what was is not a part of anything. */
static void stop_reading(struct rule_secret *s)
{
    if (!s->coming)
        return;
    close(s->coming->fd);
    explicit_bzero(s->coming, sizeof(*s->coming));
    free(own_steal_ptr(s->coming));
}

/* Returns new, or NULL. */
static struct secret *value_of(const struct rule_coming *c)
{
    size_t n = c->len;

    if (n > 0 && c->read[n - 1] == '\n')
        n--;
    return n >= 1 && n <= GATEWAY_SECRET_MAX && is_header_value(c->read, n)
               ? make_secret(c->read, n)
               : NULL;
}

/* As much as there is: the only thread never waits for somebody who writes nothing. True: there
 * may be more later. */
static bool read_more(struct rule_coming *c, bool *ret_whole)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};

    while (poll(&p, 1, 0) == 1) {
        ssize_t n = read(c->fd, c->read + c->len, sizeof(c->read) - c->len);

        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            break;
        c->len += n > 0 ? (size_t)n : 0;
        if (n > 0 && c->len < sizeof(c->read))
            continue;
        *ret_whole = n >= 0;
        return false;
    }
    return true;
}

static void read_on(struct rule_secret *s, uint64_t now_ms)
{
    struct secret *value = NULL;
    bool whole = false;

    if (read_more(s->coming, &whole) && now_ms < s->coming->until_ms)
        return;
    if (whole)
        value = value_of(s->coming);
    stop_reading(s);
    s->value = value;
}

static struct rule_secret *new_secret(struct rules *r, const char *name, int fd)
{
    struct rule_secret *s = calloc(1, sizeof(*s));

    if (!s)
        abort();
    snprintf(s->name, sizeof(s->name), "%s", name);
    s->coming = fd >= 0 ? start_reading(fd) : NULL;
    s->next = r->secrets;
    r->secrets = s;
    r->n_secrets++;
    return s;
}

static void drop_secret(struct rules *r, struct rule_secret *s)
{
    struct rule_secret **at = &r->secrets;

    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    r->n_secrets--;
    stop_reading(s);
    secret_unref(s->value);
    free(s);
}

void rules_add_secret(struct rules *r, const char *name, int fd)
{
    struct rule_secret *old = find_secret(r, name), *new;

    if (!old && r->n_secrets == RULES_SECRETS_MAX) {
        own_close_p(&fd); /* a rule that names it will not be found good */
        return;
    }
    new = new_secret(r, name, fd);
    if (!old)
        return;
    for (size_t i = 0; i < r->n; i++)
        if (r->items[i]->secret == old)
            r->items[i]->secret = new;
    drop_secret(r, old);
}

static bool is_used(const struct rules *r, const struct rule_secret *s)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->items[i]->secret == s)
            return true;
    return false;
}

/* Those that no rule names have no further use: their names may come again. */
static void forget_unused(struct rules *r)
{
    for (struct rule_secret *s = r->secrets, *next; s; s = next) {
        next = s->next;
        if (!is_used(r, s))
            drop_secret(r, s);
    }
}

size_t rules_poll(const struct rules *r, struct pollfd *p)
{
    size_t n = 0;

    for (const struct rule_secret *s = r->secrets; s; s = s->next)
        if (s->coming)
            p[n++] = (struct pollfd){.fd = s->coming->fd, .events = POLLIN};
    return n;
}

uint64_t rules_deadline_ms(const struct rules *r)
{
    uint64_t first = UINT64_MAX;

    for (const struct rule_secret *s = r->secrets; s; s = s->next)
        if (s->coming && s->coming->until_ms < first)
            first = s->coming->until_ms;
    return first;
}

void rules_work(struct rules *r, uint64_t now_ms)
{
    for (struct rule_secret *s = r->secrets; s; s = s->next)
        if (s->coming)
            read_on(s, now_ms);
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

    if (n->secret && !secret) {
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
    for (size_t i = 0; i < r->n; i++)
        if (r->items[i]->gone)
            r->items[i]->secret = NULL; /* streams may hold the rule */
    drop_items(r->items, r->n);
    list_free(r->list);
    r->items = items;
    r->n = l->rules.n;
    r->list = own_steal_ptr(l);
    forget_unused(r);
    return 0;
}

void rules_done(struct rules *r)
{
    drop_items(r->items, r->n);
    list_free(r->list);
    r->items = NULL;
    r->list = NULL;
    r->n = 0;
    forget_unused(r);
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
