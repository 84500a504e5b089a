/*
 * fuzz_plan: a manifest, a NUL, a policy: whatever they say, the plan is within the policy, and
 * what is wrong is said with a file.
 */
#include "base/own.h"
#include "plan/plan.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static bool is_within(const char *path, const struct policy_list *roots)
{
    for (size_t i = 0; i < roots->texts.n; i++) {
        size_t len = strlen(roots->texts.items[i]);

        if (strncmp(path, roots->texts.items[i], len) == 0 &&
            (len == 1 || path[len] == '/' || path[len] == '\0'))
            return true;
    }
    return !roots->set;
}

/* What is no number: folders, secrets and flags. */
static void check_lists(const struct plan *plan, const struct policy *p)
{
    const struct strv *const given[] = {&plan->secrets, &plan->secret_env, &plan->gateway_secrets};

    MUST(!(p->no_writable && plan->writable_root) && !(p->no_debug && plan->debug));
    MUST((plan->amnesic || !p->amnesic) && p->layers.texts.n == 0);
    for (size_t i = 0; i < plan->inputs.n; i++)
        MUST(is_within(plan->inputs.items[i], &p->input_roots));
    MUST(!plan->out || is_within(plan->out, &p->output_roots));
    for (size_t k = 0; k < sizeof(given) / sizeof(given[0]); k++)
        for (size_t i = 0; i < given[k]->n; i++)
            MUST(!p->secrets.set || strv_has(&p->secrets.texts, given[k]->items[i]));
}

static void resolve(const struct request *r, const struct policy *p)
{
    own_plan struct plan *plan = NULL;
    own_free char *text = NULL;
    struct err e = {0};
    /* Each secret that it lists is given. */
    const struct plan_wish w = {.manifest = r,
                                .secrets = &r->of[KEY_SECRETS].texts,
                                .secret_env = &r->of[KEY_SECRET_ENV].texts,
                                .policies = {p, 1}};

    if (plan_resolve(&w, &plan, &e) < 0) {
        MUST((e.class == ERR_USAGE || e.class == ERR_REFUSED) && e.text[0]);
        return;
    }
    MUST(!p->images.set && plan->uid > 0 && plan->gid > 0);
    check_lists(plan, p);
    for (enum key k = 0; k < KEYS; k++) {
        uint64_t value = key_is_number(k) ? *plan_number(plan, k) : 0;

        MUST(!p->max[k].set || !(key_rows[k].uses & KEY_OF_RUN) ||
             (value <= p->max[k].value && (value || !key_rows[k].optional)));
    }
    for (size_t i = 0; p->network.set && i < plan->network.n; i++) {
        bool covered = false;

        for (size_t k = 0; k < p->network.rules.n; k++)
            covered |= net_covers(&p->network.rules.items[k], &plan->network.items[i]);
        MUST(covered);
    }
    MUST(plan->egress == (plan->network.n > 0));
    text = plan_to_text(plan);
    doc_free(plan_to_doc(plan));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    own_free char *text = malloc(len + 1);
    own_request struct request r = {0};
    own_policy struct policy p = {0};
    struct err e = {0};
    size_t first;

    MUST(text);
    memcpy(text, data, len);
    text[len] = '\0';
    first = strlen(text);
    if (request_parse(text, first, "m", &r, &e) < 0)
        MUST(e.class == ERR_USAGE && e.text[0] == 'm');
    if (first < len && policy_parse(text + first + 1, len - first - 1, "p", &p, &e) < 0)
        MUST(e.class == ERR_USAGE && e.text[0] == 'p');
    resolve(&r, &p);
    return 0;
}
