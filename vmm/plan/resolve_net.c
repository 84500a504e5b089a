/*
 * resolve_net: the part of the resolver that concerns the network: which rules there are, within
 * the policies, and which secrets are the gateway's.
 *
 * Must: give no secret that a rule names to the job.
 */
#include "base/own.h"
#include "plan/resolve.h"

#include <string.h>

void plan_put_rule(struct net_rules *rules, struct net_rule *r)
{
    for (size_t i = 0; i < rules->n; i++)
        if (net_rule_same(&rules->items[i], r)) {
            net_rule_done(&rules->items[i]);
            rules->items[i] = *r;
            *r = (struct net_rule){0};
            return;
        }
    net_rules_take(rules, r);
}

int plan_put_rules(const struct request *r, struct net_rules *rules, struct err *e)
{
    const struct request_value *v = r ? &r->of[KEY_NETWORK] : NULL;
    own_net_rules struct net_rules mine = {0};
    char name[REQUEST_PLACE];

    for (size_t i = 0; v && i < v->texts.n; i++) {
        const char *from = i < v->places.n ? v->places.items[i] : "command line";
        struct net_rule rule = {0};

        if (net_rule_parse(v->texts.items[i], NET_OF_WISH, from, &rule, e) < 0)
            return err_wrap(e, "%s: '%s'", request_what(r, KEY_NETWORK, name), v->texts.items[i]);
        net_rules_take(&mine, &rule);
    }
    if (net_rules_check(&mine, e) < 0)
        return err_wrap(e, "%s", request_what(r, KEY_NETWORK, name));
    for (size_t i = 0; i < mine.n; i++)
        plan_put_rule(rules, &mine.items[i]);
    return 0;
}

/* That of the guest's plan stays; what the policies of now say of it counts. */
static int resolve_proxy(const struct plan_wish *w, const struct plan *base, struct plan *p,
                         struct err *e)
{
    const struct net_proxy *proxy = base ? &base->egress_proxy : w->egress_proxy;

    if (!p->egress || !proxy || !proxy->host)
        return 0;
    if (policy_check_proxy(&w->policies, proxy, e) < 0)
        return -1;
    if (!base)
        net_proxy_copy(&p->egress_proxy, proxy);
    return 0;
}

int plan_resolve_network(const struct plan_wish *w, const struct plan *base, struct plan *p,
                         struct err *e)
{
    char name[REQUEST_PLACE];

    if (base)
        net_rules_add_all(&p->network, &base->network);
    if (plan_put_rules(w->manifest, &p->network, e) < 0 ||
        plan_put_rules(w->command_line, &p->network, e) < 0)
        return -1;
    if (w->learn && !(w->from && w->from->no_ip))
        policies_add_reach(&w->policies, &p->network);
    if (p->network.n > NET_RULES_MAX)
        return err_set(e, ERR_USAGE, "%s: more than %d rules",
                       w->learn ? "--learn" : wish_what(w, KEY_NETWORK, name), NET_RULES_MAX);
    plan_decide_by(w, p, KEY_NETWORK, "default");
    if (w->build)
        return 0;
    policies_add_network(&p->network_policies, &w->policies);
    if (base)
        policies_add_network(&p->network_policies, &base->network_policies);
    if (policy_bound_network(&p->network_policies, &p->network, &p->trimmed, e) < 0)
        return -1;
    if (!policy_ranges(&w->policies, &p->network_ranges) && base)
        p->network_ranges = base->network_ranges;
    else if (base)
        net_ranges_meet(&p->network_ranges, &base->network_ranges, &p->network_ranges);
    p->egress = p->network.n > 0;
    if (p->egress && w->from && w->from->no_ip)
        return err_set(
            e, ERR_IMAGE,
            "%s: the kernel of image '%s' has no IP, which a network needs (build the image "
            "with --kernel debian, or net)",
            wish_what(w, KEY_NETWORK, name), p->image);
    return resolve_proxy(w, base, p, e);
}

int plan_resolve_gateway_secrets(const struct strv *files, const struct strv *env, struct plan *p,
                                 struct strv *rest, struct err *e)
{
    for (size_t i = 0; files && i < files->n; i++)
        if (strv_has(&p->gateway_secrets, files->items[i]))
            return err_set(e, ERR_USAGE,
                           "--secret: '%s' is the gateway's already, and never a job's",
                           files->items[i]);
    for (size_t i = 0; i < p->network.n; i++) {
        const struct net_rule *r = &p->network.items[i];

        if (!r->secret)
            continue;
        if (strv_has(env, r->secret))
            return err_set(e, ERR_USAGE,
                           "--secret-env: '%s' is the gateway's, which a rule uses (%s), and never "
                           "the job's",
                           r->secret, r->from);
        if (strv_has(&p->gateway_secrets, r->secret))
            continue;
        if (!strv_has(files, r->secret))
            return err_set(e, ERR_USAGE, "%s: network: secret '%s' is not given (--secret %s=FILE)",
                           r->from, r->secret, r->secret);
        strv_add(&p->gateway_secrets, r->secret);
    }
    for (size_t i = 0; files && i < files->n; i++)
        if (!strv_has(&p->gateway_secrets, files->items[i]))
            strv_add(rest, files->items[i]);
    return 0;
}

/* ---- of a sandbox that is up ---- */

static int check_secrets(const struct plan *base, const struct net_rules *rules,
                         const struct strv *secrets, struct err *e)
{
    own_strv struct strv used = {0};

    for (size_t i = 0; i < rules->n; i++) {
        const char *secret = rules->items[i].secret;

        if (!secret)
            continue;
        if (!strv_has(&base->gateway_secrets, secret) && !strv_has(secrets, secret))
            return err_set(e, ERR_USAGE, "secret '%s' is not given (--secret %s=FILE)", secret,
                           secret);
        strv_add(&used, secret);
    }
    for (size_t i = 0; i < secrets->n; i++)
        if (!strv_has(&used, secrets->items[i]))
            return err_set(e, ERR_USAGE, "--secret: none of these rules uses '%s'",
                           secrets->items[i]);
    return 0;
}

/* The first range of a sandbox's that those of now do not have; NULL: they have all. */
static const struct net_range *find_wider(const struct net_ranges *is, const struct net_ranges *now)
{
    for (size_t i = 0; i < is->n; i++)
        if (!net_ranges_cover(now, &is->items[i]))
            return &is->items[i];
    return NULL;
}

/*
 * The ranges of a sandbox stay what they were. Where the policies of now name less, a new rule may
 * not lead to the rest: an address says by itself whether it does, a name could lead anywhere.
 */
static int check_ranges(const struct plan *base, const struct policies *now,
                        const struct net_rules *rules, struct err *e)
{
    const struct net_range *wider;
    struct net_ranges today;

    if (!policy_ranges(now, &today) || !(wider = find_wider(&base->network_ranges, &today)))
        return 0;
    for (size_t i = 0; i < rules->n; i++) {
        own_free char *url = net_rule_url(&rules->items[i]), *range = net_range_format(wider);
        struct sockaddr_storage address;
        const struct sockaddr *a = (const struct sockaddr *)(const void *)&address;

        if (net_read_address(rules->items[i].host, &address) &&
            (net_address_ok(a, &today) || !net_address_ok(a, &base->network_ranges)))
            continue;
        return err_set(e, ERR_REFUSED,
                       NET_FROM_LIVE
                       ": %s could lead where the sandbox came up with and a policy of "
                       "now does not name: network_ranges has no %s (take it down, and "
                       "bring it up again)",
                       url, range);
    }
    return 0;
}

int plan_allow(const struct plan *base, const struct strv *texts, const struct policies *now,
               const struct strv *secrets, struct net_rules *ret, struct strv *ret_notes,
               struct err *e)
{
    own_net_rules struct net_rules rules = {0};

    for (size_t i = 0; i < texts->n; i++) {
        struct net_rule r = {0};

        if (net_rule_parse(texts->items[i], NET_OF_WISH, NET_FROM_LIVE, &r, e) < 0)
            return err_wrap(e, "'%s'", texts->items[i]);
        net_rules_take(&rules, &r);
    }
    if (net_rules_check(&rules, e) < 0 ||
        policy_bound_network(&base->network_policies, &rules, ret_notes, e) < 0 ||
        policy_bound_network(now, &rules, ret_notes, e) < 0 ||
        (base->egress_proxy.host && policy_check_proxy(now, &base->egress_proxy, e) < 0) ||
        check_ranges(base, now, &rules, e) < 0 || check_secrets(base, &rules, secrets, e) < 0)
        return -1;
    if (policy_check_secrets(&base->secret_policies, secrets, "--secret", e) < 0 ||
        policy_check_secrets(now, secrets, "--secret", e) < 0)
        return -1;
    net_rules_add_all(ret, &rules);
    return 0;
}

void plan_used_secrets(const struct plan *p, struct strv *ret)
{
    for (size_t i = 0; i < p->network.n; i++) {
        const char *secret = p->network.items[i].secret;

        if (secret && !strv_has(ret, secret))
            strv_add(ret, secret);
    }
}

int plan_deny(struct net_rules *rules, const char *text, struct err *e)
{
    own_net_rule struct net_rule wanted = {0};
    size_t i = 0;

    /* A name is never a URL. */
    if (strstr(text, "://") && net_rule_parse(text, NET_OF_WISH, NULL, &wanted, e) < 0)
        return err_wrap(e, "'%s'", text);
    while (i < rules->n) {
        const struct net_rule *r = &rules->items[i];

        if (wanted.host ? net_rule_same(r, &wanted) : r->name && strcmp(r->name, text) == 0)
            break;
        i++;
    }
    if (i == rules->n)
        return err_set(e, ERR_USAGE, "there is no rule '%s'", text);
    net_rule_done(&rules->items[i]);
    memmove(&rules->items[i], &rules->items[i + 1], (--rules->n - i) * sizeof(rules->items[0]));
    return 0;
}
