/*
 * serve: the rules of a sandbox's network, which clients change while it is up.
 *
 * How it works
 *   The client has asked the policies of now; what bounded the sandbox when it came up bounds it
 *   here once more. The folder gets the new rules, or nothing has changed; then the gateway, which
 *   ends the connections of those that are gone. A secret goes from the client's fd to the gateway,
 *   which alone reads it.
 */
#include "run/serve_private.h"

#include "base/own.h"
#include "run/egress.h"
#include "run/recording.h"

#include <string.h>

void serve_net_prepare(struct keeper *k)
{
    struct serve *s = k->serve;

    net_rules_add_all(&s->network, &k->plan->network);
    strv_add_new(&s->gateway_secrets, &k->plan->gateway_secrets);
}

void serve_net_done(struct serve *s)
{
    net_rules_done(&s->network);
    strv_done(&s->gateway_secrets);
}

int serve_check_secrets(const struct serve *s, const struct talk_command *c, struct err *e)
{
    const struct strv *const lists[] = {&c->secrets, &c->secret_env};

    for (size_t l = 0; l < sizeof(lists) / sizeof(lists[0]); l++)
        for (size_t i = 0; i < lists[l]->n; i++)
            if (strv_has(&s->gateway_secrets, lists[l]->items[i]))
                return err_set(e, ERR_USAGE,
                               "--secret: '%s' is the gateway's, and never a command's",
                               lists[l]->items[i]);
    return 0;
}

/* What the rules will be. */
static int change(const struct serve *s, const struct talk_command *c, struct net_rules *ret,
                  struct err *e)
{
    net_rules_add_all(ret, &s->network);
    for (size_t i = 0; i < c->env.n; i++)
        if (plan_deny(ret, c->env.items[i], e) < 0)
            return -1;
    for (size_t i = 0; i < c->argv.n; i++) {
        struct net_rule r = {0};

        if (net_rule_parse(c->argv.items[i], NET_OF_WISH, NET_FROM_LIVE, &r, e) < 0)
            return err_wrap(e, "'%s'", c->argv.items[i]);
        plan_put_rule(ret, &r);
    }
    return net_rules_check(ret, e);
}

/* Each secret of a rule's is the gateway's already, or comes now; those that no rule names any more
 * it forgets. Adds to `ret` which it has then. */
static int check_secrets(const struct serve *s, const struct net_rules *rules,
                         const struct strv *come, struct strv *ret, struct err *e)
{
    plan_used_secrets(&(struct plan){.network = *rules}, ret);
    for (size_t i = 0; i < ret->n; i++)
        if (!strv_has(&s->gateway_secrets, ret->items[i]) && !strv_has(come, ret->items[i]))
            return err_set(e, ERR_USAGE, "secret '%s' is not given", ret->items[i]);
    if (ret->n > GATEWAY_SECRETS_MAX)
        return err_set(e, ERR_USAGE, "the rules would name more than %u secrets",
                       GATEWAY_SECRETS_MAX);
    for (size_t i = 0; i < come->n; i++)
        if (!wire_is_secret_name(come->items[i], strlen(come->items[i])))
            return err_set(e, ERR_USAGE, "secret %zu has no legal name", i + 1);
    return 0;
}

static int write_rules(const struct keeper *k, const struct net_rules *rules,
                       const struct strv *secrets, struct err *e)
{
    own_doc struct doc *d = doc_new_object();

    doc_set(d, "network", net_rules_to_doc(rules));
    doc_set_strv(d, "gateway_secrets", (const char *const *)secrets->items);
    return folder_write_doc(k->folder->fd, FOLDER_NETWORK, d, e);
}

static int tell_gateway(struct keeper *k, const struct net_rules *rules, struct err *e)
{
    struct plan p = {.network = *rules,
                     .network_ranges = k->plan->network_ranges,
                     .egress_proxy = k->plan->egress_proxy};
    own_doc struct doc *d = plan_network_to_doc(&p);

    return egress_rules(k, d, e);
}

int serve_change_network(struct keeper *k, const struct talk_request *r, const int *fds,
                         struct err *e)
{
    own_command struct talk_command c = {0};
    own_net_rules struct net_rules rules = {0};
    own_strv struct strv secrets = {0};
    struct serve *s = k->serve;

    if (talk_unpack(fds[TALK_FD_ARGS], r, &c, e) < 0)
        return -1;
    if (!k->plan->egress)
        return err_set(e, ERR_USAGE, "sandbox '%s' came up without a network", k->folder->id);
    if (change(s, &c, &rules, e) < 0 || check_secrets(s, &rules, &c.secrets, &secrets, e) < 0 ||
        policy_check_network(&k->plan->network_policies, &rules, e) < 0 ||
        policy_check_secrets(&k->plan->secret_policies, &c.secrets, "--secret", e) < 0)
        return -1;
    if (write_rules(k, &rules, &secrets, e) < 0)
        return -1;
    for (size_t i = 0; i < c.secrets.n; i++)
        if (egress_secret(k, c.secrets.items[i], fds[TALK_FD_GATEWAY + i], e) < 0)
            return -1;
    recording_rules(k, &rules);
    if (tell_gateway(k, &rules, e) < 0)
        return -1;
    serve_net_done(s);
    s->network = rules;
    s->gateway_secrets = secrets;
    rules = (struct net_rules){0};
    secrets = (struct strv){0};
    return 0;
}
