/*
 * fuzz_plan: a manifest, a NUL, a policy: whatever they say, the plan is within the policy, and
 * what is wrong is said with a file.
 */
#include "base/own.h"
#include "plan/plan.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void resolve(const struct request *r, const struct policy *p)
{
    own_plan struct plan *plan = NULL;
    own_free char *text = NULL;
    struct err e = {0};

    if (plan_resolve(&(struct plan_wish){.manifest = r, .policies = {p, 1}}, &plan, &e) < 0) {
        MUST((e.class == ERR_USAGE || e.class == ERR_REFUSED) && e.text[0]);
        return;
    }
    MUST(!p->images.set && plan->uid > 0 && plan->gid > 0);
    MUST(!(p->no_writable && plan->writable_root));
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
    MUST(plan->egress == (plan->network.n > 0) && plan->gateway_secrets.n == 0);
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
