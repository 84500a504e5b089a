/* derive: the plan of one command in a guest that is there, from the guest's plan. */
#include "base/own.h"
#include "plan/resolve.h"

#include <stdlib.h>
#include <string.h>

/* Everything that a command cannot change. */
static void copy_machine(const struct plan *base, struct plan *p)
{
    *p = *base;
    p->image = str_dup(base->image);
    p->image_digest = base->image_digest ? str_dup(base->image_digest) : NULL;
    p->name = p->out = p->in_identity = NULL;
    p->workdir = NULL;
    p->argv = p->env = p->inputs = p->env_from = p->trimmed = (struct strv){0};
    p->secrets = p->secret_env = p->out_recipients = p->gateway_secrets = (struct strv){0};
    p->network = (struct net_rules){0};
    p->network_policies = p->secret_policies = (struct policies){0};
    p->egress_proxy = (struct net_proxy){0};
    p->alerts = (struct alert_rules){0};
    p->declared = (struct plan_declared){0};
    plan_record_copy(&p->record, &base->record);
    memset(p->decided, 0, sizeof(p->decided));
    strv_add_all(&p->inputs, &base->inputs);
    strv_add_all(&p->declared.read, &base->declared.read);
    strv_add_all(&p->declared.write, &base->declared.write);
    strv_add_all(&p->declared.exec, &base->declared.exec);
    net_rules_add_all(&p->network, &base->network);
    policies_add_network(&p->network_policies, &base->network_policies);
    policies_add_secrets(&p->secret_policies, &base->secret_policies);
    net_proxy_copy(&p->egress_proxy, &base->egress_proxy);
    strv_add_all(&p->gateway_secrets, &base->gateway_secrets);
    alert_rules_add_all(&p->alerts, &base->alerts);
}

static int derive_timeout(struct plan *p, uint64_t timeout_ms, struct err *e)
{
    char is[48], most[48];

    if (timeout_ms > PLAN_TIMEOUT_MAX_MS)
        return err_set(e, ERR_USAGE, "--timeout: over 30 days");
    if (p->timeout_max_ms && timeout_ms > p->timeout_max_ms)
        return err_set(e, ERR_REFUSED, "--timeout: %s is above the policy of the sandbox (%s)",
                       key_format(KEY_TIMEOUT, timeout_ms, is, sizeof(is)),
                       key_format(KEY_TIMEOUT, p->timeout_max_ms, most, sizeof(most)));
    p->timeout_ms = timeout_ms ? timeout_ms : p->timeout_max_ms;
    return 0;
}

int plan_derive(const struct plan *base, const struct plan_exec *x, struct plan **ret,
                struct err *e)
{
    own_plan struct plan *p = calloc(1, sizeof(*p));
    uint64_t uid = base->uid, gid = base->gid;

    if (!p)
        return err_set(e, ERR_HOST, "out of memory");
    copy_machine(base, p);
    p->workdir = str_dup(x->workdir && x->workdir[0] ? x->workdir : base->workdir);
    p->interactive = x->interactive;
    p->tty = x->tty;
    strv_add_all(&p->argv, x->argv);
    if (p->argv.n == 0 || p->argv.items[0][0] == '\0')
        return err_set(e, ERR_USAGE, "no command (put it behind '--')");
    plan_put_env_defaults(p);
    if (derive_timeout(p, x->timeout_ms, e) < 0 ||
        (!base->build &&
         plan_take_user(x->user && x->user[0] ? x->user : NULL, "--user", &uid, &gid, e) < 0) ||
        plan_put_env(p, &base->env, "--env", "sandbox", e) < 0 ||
        plan_put_env(p, x->env, "--env", "command line", e) < 0 ||
        plan_check_process(p, "--workdir", e) < 0 ||
        plan_resolve_secrets(x->secrets, x->secret_env, p, e) < 0 ||
        policy_check_secrets(&p->secret_policies, x->secrets, "--secret", e) < 0 ||
        policy_check_secrets(&p->secret_policies, x->secret_env, "--secret-env", e) < 0)
        return -1;
    p->uid = (uid_t)uid;
    p->gid = (gid_t)gid;
    *ret = own_steal_ptr(p);
    return 0;
}

/* What the guest is stays as it is, if the policies would let it be so. */
static int check_base(const struct plan *base, const struct plan_wish *w, struct err *e)
{
    char name[REQUEST_PLACE];

    if (!base->egress && wish_who(w, KEY_NETWORK))
        return err_set(e, ERR_USAGE,
                       "%s: the sandbox came up without a network, and so do its forks",
                       wish_what(w, KEY_NETWORK, name));
    if (base->debug && policy_check_debug(&w->policies, "--fork-from: it has --debug", e) < 0)
        return -1;
    if (policy_check_layers(&w->policies, w->layers, e) < 0)
        return -1;
    return base->amnesic ? 0 : policy_check_amnesic(&w->policies, e);
}

/* The sandbox's rules, and more, within its policies too. */
static int resolve_network(const struct plan_wish *w, const struct plan *base, struct plan *p,
                           struct strv *ret_secrets, struct err *e)
{
    if (plan_resolve_network(w, base, p, e) < 0)
        return -1;
    p->egress = base->egress;
    return plan_resolve_gateway_secrets(w->secrets, w->secret_env, p, ret_secrets, e);
}

/* What was resolved in place of the sandbox's own. */
static void swap_network(struct plan *p, struct plan *first)
{
    struct plan old = *p;

    p->network = first->network;
    p->network_ranges = first->network_ranges;
    p->network_policies = first->network_policies;
    p->gateway_secrets = first->gateway_secrets;
    first->network = old.network;
    first->network_policies = old.network_policies;
    first->gateway_secrets = old.gateway_secrets;
}

int plan_derive_wish(const struct plan *base, const struct plan_wish *wish, struct plan **ret,
                     struct err *e)
{
    own_plan struct plan *first = calloc(1, sizeof(*first)), *p = NULL;
    struct plan_wish own = *wish, *w = &own;
    own_strv struct strv env = {0}, secrets = {0};
    const struct strv none = {0};
    const struct request *command = wish_who(w, KEY_COMMAND);
    uint64_t timeout_ms;

    if (!first)
        return err_set(e, ERR_HOST, "out of memory");
    w->use = KEY_OF_FORK;
    /* What it says of itself, within its policies; the rest is the sandbox's. */
    if (plan_check_uses(w, e) < 0 || plan_resolve_name(w, first, e) < 0 ||
        check_base(base, w, e) < 0 || resolve_network(w, base, first, &secrets, e) < 0 ||
        plan_resolve_output(w, first, e) < 0 || plan_resolve_number(w, first, KEY_TIMEOUT, e) < 0 ||
        plan_resolve_number(w, first, KEY_OUTPUT_MAX, e) < 0)
        return -1;
    /* One that nobody asked for gives way to the sandbox's. */
    timeout_ms = first->timeout_ms;
    if (!plan_wish_text(w, KEY_TIMEOUT) && base->timeout_max_ms &&
        timeout_ms > base->timeout_max_ms)
        timeout_ms = base->timeout_max_ms;
    if (plan_wish_text(w, KEY_OUTPUT_MAX) && !first->out)
        return err_set(e, ERR_USAGE, "--out-max needs --out");
    if (w->manifest)
        strv_add_all(&env, &w->manifest->of[KEY_ENV].texts);
    if (w->command_line)
        strv_add_all(&env, &w->command_line->of[KEY_ENV].texts);
    if (plan_derive(base,
                    &(struct plan_exec){.argv = command ? &command->of[KEY_COMMAND].texts : &none,
                                        .env = &env,
                                        .secrets = &secrets,
                                        .secret_env = w->secret_env,
                                        .workdir = plan_wish_text(w, KEY_WORKDIR),
                                        .user = plan_wish_text(w, KEY_USER),
                                        .timeout_ms = timeout_ms,
                                        .interactive = w->interactive,
                                        .tty = w->tty},
                    &p, e) < 0)
        return -1;
    swap_network(p, first);
    if (plan_sort_secrets(w, p, e) < 0)
        return -1;
    p->name = own_steal_ptr(first->name);
    p->out = own_steal_ptr(first->out);
    p->out_max_bytes = first->out_max_bytes;
    if (plan_resolve_record(w, p, e) < 0)
        return -1;
    strv_add_all(&p->trimmed, &first->trimmed);
    if (policies_add_alerts(&w->policies, &p->alerts, e) < 0)
        return -1;
    *ret = own_steal_ptr(p);
    return 0;
}
