/* plan_check: reads a manifest or policy from stdin and says whether it is one: status 0 or 1. */
#include "base/own.h"
#include "plan/plan.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    static char text[1 << 16];
    size_t len = fread(text, 1, sizeof(text) - 1, stdin);
    own_request struct request r = {0};
    own_policy struct policy p = {0};
    own_plan struct plan *plan = NULL;
    bool is_policy = argc > 1 && strcmp(argv[1], "policy") == 0;
    struct err e;
    int rc;

    if (is_policy) {
        rc = policy_parse(text, len, "policy", &p, &e);
    } else {
        rc = request_parse(text, len, "manifest", &r, &e);
        if (rc == 0)
            rc = plan_resolve(&(struct plan_wish){.manifest = &r,
                                                  .secrets = &r.of[KEY_SECRETS].texts,
                                                  .secret_env = &r.of[KEY_SECRET_ENV].texts},
                              &plan, &e);
    }
    if (rc < 0)
        printf("%s\n", e.text);
    return rc < 0 ? 1 : 0;
}
