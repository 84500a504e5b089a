/* policy_net: how policies bound the rules of the network. See policy.h. */
#include "base/own.h"
#include "plan/policy_private.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The numbers of a rule, as the table of a policy's line says them. */
static const struct {
    const char *name;
    size_t at;
    bool size;
} numbers[] = {
    {"bytes", offsetof(struct net_rule, bytes_max), true},
    {"rate", offsetof(struct net_rule, rate), true},
    {"streams", offsetof(struct net_rule, streams_max), false},
};

#define NUMBERS (sizeof(numbers) / sizeof(numbers[0]))

static uint64_t *number(const struct net_rule *r, size_t i)
{
    return (uint64_t *)(uintptr_t)((const char *)r + numbers[i].at);
}

static const char *format(size_t i, uint64_t n, char *out, size_t out_size)
{
    if (numbers[i].size)
        return str_format_size(out, out_size, n);
    (void)snprintf(out, out_size, "%" PRIu64, n);
    return out;
}

/* "agent.json:7: network: https://a.org", "--allow: https://a.org". Returns new. */
static char *what(const struct net_rule *r)
{
    own_free char *url = net_rule_url(r);

    if (r->from && strchr(r->from, ':'))
        return str_printf("%s: network: %s", r->from, url);
    return str_printf(
        "%s: %s", r->from && strcmp(r->from, NET_FROM_LIVE) == 0 ? NET_FROM_LIVE : "--allow", url);
}

/* The rule that it is judged by: one that covers it as it is, or else the first that may. */
static const struct net_rule *find(const struct net_rules *bounds, const struct net_rule *r)
{
    const struct net_rule *first = NULL;

    for (size_t i = 0; i < bounds->n; i++) {
        const struct net_rule *b = &bounds->items[i];

        if (net_covers(b, r))
            return b;
        if (!first && net_covers_destination(b, r))
            first = b;
    }
    return first;
}

/* One rule on its way through the policies. */
struct bounding {
    struct net_rule *r;
    uint64_t wished[NUMBERS]; /* 0: nobody did */
    bool wished_methods;
    bool out; /* nothing is left of it */
    char *what;
    struct strv *notes;
};

static int bound_number(struct bounding *b, const struct net_rule *by, bool trim, size_t i,
                        struct err *e)
{
    uint64_t most = *number(by, i), *n = number(b->r, i), wished = b->wished[i];
    char is[48], may[48];

    if (most == 0 || (*n != 0 && *n <= most))
        return 0;
    format(i, wished, is, sizeof(is));
    format(i, most, may, sizeof(may));
    if (wished > most && !trim)
        return err_set(e, ERR_REFUSED, "%s: %s: %s is above %s (%s)", b->what, numbers[i].name, is,
                       by->from, may);
    *n = most;
    if (wished > most)
        strv_addf(b->notes, "%s: %s: %s is trimmed to %s by %s", b->what, numbers[i].name, is, may,
                  by->from);
    return 0;
}

/* Those that nobody asked for are the policy's. */
static int bound_methods(struct bounding *b, const struct net_rule *by, bool trim, struct err *e)
{
    const struct strv *is = b->r->methods.n > 0 ? &b->r->methods : &by->methods;
    own_strv struct strv left = {0};

    if (by->methods.n == 0)
        return 0;
    for (size_t i = 0; i < is->n; i++) {
        if (strv_has(&by->methods, is->items[i]))
            strv_add(&left, is->items[i]);
        else if (b->wished_methods && !trim)
            return err_set(e, ERR_REFUSED, "%s: methods: %s is not allowed by %s (network)",
                           b->what, is->items[i], by->from);
        else if (b->wished_methods)
            strv_addf(b->notes, "%s: methods: %s is left out by %s", b->what, is->items[i],
                      by->from);
    }
    b->out = left.n == 0;
    if (b->out && !trim)
        return err_set(e, ERR_REFUSED, "%s: no method is allowed by %s (network) too", b->what,
                       by->from);
    strv_done(&b->r->methods);
    b->r->methods = left;
    left = (struct strv){0};
    return 0;
}

static int bound_rule(struct bounding *b, const struct policy *p, struct err *e)
{
    const struct net_rule *by = find(&p->network.rules, b->r);
    bool trim = p->max[KEY_NETWORK].trim;
    char place[REQUEST_PLACE];

    text_place(p->file, p->network.line, place);
    if (!by && !trim)
        return err_set(e, ERR_REFUSED, "%s is not allowed by %s (network)", b->what, place);
    if (!by) {
        strv_addf(b->notes, "%s is left out by %s", b->what, place);
        b->out = true;
        return 0;
    }
    for (size_t i = 0; i < NUMBERS; i++)
        if (bound_number(b, by, trim, i, e) < 0)
            return -1;
    return bound_methods(b, by, trim, e);
}

static int bound_by_all(const struct policies *ps, struct net_rule *r, bool *ret_out,
                        struct strv *notes, struct err *e)
{
    own_free char *name = what(r);
    struct bounding b = {.r = r, .wished_methods = r->methods.n > 0, .what = name, .notes = notes};

    for (size_t i = 0; i < NUMBERS; i++)
        b.wished[i] = *number(r, i);
    for (size_t i = 0; i < ps->n && !b.out; i++)
        if (ps->items[i].network.set && bound_rule(&b, &ps->items[i], e) < 0)
            return -1;
    *ret_out = b.out;
    return 0;
}

int policy_bound_network(const struct policies *ps, struct net_rules *rules, struct strv *notes,
                         struct err *e)
{
    own_net_rules struct net_rules left = {0};

    for (size_t i = 0; i < rules->n; i++) {
        bool out = false;

        if (bound_by_all(ps, &rules->items[i], &out, notes, e) < 0)
            return -1;
        if (!out)
            net_rules_take(&left, &rules->items[i]);
    }
    net_rules_done(rules);
    *rules = left;
    left = (struct net_rules){0};
    return 0;
}

int policy_check_network(const struct policies *ps, const struct net_rules *rules, struct err *e)
{
    for (size_t i = 0; i < ps->n; i++)
        for (size_t k = 0; ps->items[i].network.set && k < rules->n; k++) {
            const struct policy *p = &ps->items[i];
            const struct net_rule *by = find(&p->network.rules, &rules->items[k]);
            own_free char *name = what(&rules->items[k]);
            char place[REQUEST_PLACE];

            if (!by || !net_covers(by, &rules->items[k]))
                return err_set(e, ERR_REFUSED, "%s is not allowed by %s (network)", name,
                               text_place(p->file, p->network.line, place));
        }
    return 0;
}

int policy_check_proxy(const struct policies *ps, const struct net_proxy *proxy, struct err *e)
{
    own_free char *at = net_proxy_text(proxy);
    char place[REQUEST_PLACE];

    for (size_t i = 0; i < ps->n; i++) {
        const struct policy *p = &ps->items[i];

        if ((p->network.set || p->proxies.set) && !strv_has(&p->proxies.texts, at))
            return err_set(
                e, ERR_REFUSED, "--egress-proxy: %s is not allowed by %s (egress_proxies)", at,
                text_place(p->file, p->proxies.set ? p->proxies.line : p->network.line, place));
    }
    return 0;
}

/* Without the numbers: those are bounded like a wish's. */
static bool all_cover(const struct policies *ps, const struct net_rule *r)
{
    for (size_t i = 0; i < ps->n; i++) {
        const struct policy *p = &ps->items[i];

        if (p->network.set && !find(&p->network.rules, r))
            return false;
    }
    return true;
}

static bool is_there(const struct net_rules *rules, const struct net_rule *r)
{
    for (size_t i = 0; i < rules->n; i++)
        if (net_rule_same(&rules->items[i], r))
            return true;
    return false;
}

void policies_add_reach(const struct policies *ps, struct net_rules *ret)
{
    for (size_t i = 0; i < ps->n; i++)
        for (size_t k = 0; k < ps->items[i].network.rules.n; k++) {
            const struct net_rule *by = &ps->items[i].network.rules.items[k];
            struct net_rule r = {
                .scheme = by->scheme, .host = by->host, .port = by->port, .from = by->from};
            const struct net_rules one = {.items = &r, .n = 1};

            /* A raw connection could ask for any path, by any method. */
            if (!by->path_prefix && by->methods.n == 0 && all_cover(ps, &r) && !is_there(ret, &r))
                net_rules_add_all(ret, &one);
        }
}

bool policy_ranges(const struct policies *ps, struct net_ranges *ret)
{
    struct net_ranges r = {0};
    bool named = false;

    /* One that bounds the network and names none lets none. */
    for (size_t i = 0; i < ps->n; i++) {
        const struct policy *p = &ps->items[i];

        if (!p->network.set && !p->ranges.set)
            continue;
        if (named)
            net_ranges_meet(&r, &p->ranges.ranges, &r);
        else
            r = p->ranges.ranges;
        named = true;
    }
    *ret = r;
    return named;
}

/* ---- what a sandbox keeps of them ---- */

void policies_free(struct policies *ps)
{
    struct policy *items = (struct policy *)(uintptr_t)ps->items;

    for (size_t i = 0; i < ps->n; i++)
        policy_done(&items[i]);
    free(items);
    *ps = (struct policies){0};
}

struct policy *policies_grow(struct policies *ps)
{
    struct policy *items =
        reallocarray((void *)(uintptr_t)ps->items, ps->n + 1, sizeof(struct policy));

    if (!items)
        abort();
    ps->items = items;
    items[ps->n] = (struct policy){0};
    return &items[ps->n++];
}

void policies_add_network(struct policies *ret, const struct policies *from)
{
    for (size_t i = 0; i < from->n; i++) {
        const struct policy *p = &from->items[i];
        struct policy *mine;

        if (!p->network.set)
            continue;
        mine = policies_grow(ret);
        mine->file = str_dup(p->file);
        mine->network.set = true;
        mine->network.line = p->network.line;
        mine->max[KEY_NETWORK].trim = p->max[KEY_NETWORK].trim;
        net_rules_add_all(&mine->network.rules, &p->network.rules);
    }
}

struct doc *policies_network_to_doc(const struct policies *ps)
{
    struct doc *list = doc_new_array();

    for (size_t i = 0; i < ps->n; i++) {
        const struct policy *p = &ps->items[i];
        struct doc *d = doc_new_object();

        doc_set_str(d, "file", p->file);
        doc_set_u64(d, "line", p->network.line);
        doc_set_bool(d, "trim", p->max[KEY_NETWORK].trim);
        doc_set(d, "network", net_rules_to_doc(&p->network.rules));
        doc_add(list, d);
    }
    return list;
}

int policies_network_from_doc(const struct doc *list, struct policies *ret, struct err *e)
{
    for (size_t i = 0; i < doc_len(list); i++) {
        const struct doc *d = doc_at(list, i), *rules;
        struct policy *p = policies_grow(ret);
        const char *file;
        uint64_t line;

        if (doc_get_str(d, "file", &file, e) < 0 || doc_get_u64(d, "line", &line, e) < 0 ||
            doc_get_bool(d, "trim", &p->max[KEY_NETWORK].trim, e) < 0 ||
            doc_get_array(d, "network", &rules, e) < 0 ||
            net_bounds_from_doc(rules, &p->network.rules, e) < 0)
            return err_wrap(e, "network_policies[%zu]", i);
        p->file = str_dup(file);
        p->network.set = true;
        p->network.line = (unsigned)line;
    }
    return 0;
}
