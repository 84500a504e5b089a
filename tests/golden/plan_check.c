/*
 * plan_check: says of a manifest or policy on stdin whether it is one: status 0 or 1. With "lines"
 * it says of each line of stdin, which is one: "yes", or "no " and why.
 */
#include "base/own.h"
#include "plan/plan.h"

#include <stdio.h>
#include <string.h>

static int check(bool is_policy, const char *text, size_t len, struct err *e)
{
    own_request struct request r = {0};
    own_policy struct policy p = {0};
    own_plan struct plan *plan = NULL;

    if (is_policy)
        return policy_parse(text, len, "policy", &p, e);
    if (request_parse(text, len, "manifest", &r, e) < 0)
        return -1;
    return plan_resolve(&(struct plan_wish){.manifest = &r,
                                            .secrets = &r.of[KEY_SECRETS].texts,
                                            .secret_env = &r.of[KEY_SECRET_ENV].texts},
                        &plan, e);
}

int main(int argc, char **argv)
{
    static char text[1 << 16];
    bool is_policy = argc > 1 && strcmp(argv[1], "policy") == 0;
    struct err e;
    int rc;

    while (argc > 2 && fgets(text, sizeof(text), stdin)) {
        rc = check(is_policy, text, strlen(text), &e);
        printf("%s %s\n", rc < 0 ? "no" : "yes", rc < 0 ? e.text : "");
    }
    if (argc > 2)
        return 0;
    rc = check(is_policy, text, fread(text, 1, sizeof(text) - 1, stdin), &e);
    if (rc < 0)
        printf("%s\n", e.text);
    return rc < 0 ? 1 : 0;
}
