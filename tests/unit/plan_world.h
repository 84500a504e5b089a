/* plan_world: all that a plan is made of, as texts, and the plan: for tests of the resolver. */
#ifndef LZ_TESTS_PLAN_WORLD_H
#define LZ_TESTS_PLAN_WORLD_H

#include "base/own.h"
#include "plan/plan.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#define M(keys)  "{\"format\": \"lazaret-manifest\", \"version\": 1, \"command\": [\"x\"]" keys "}"
#define P(keys)  "{\"format\": \"lazaret-policy\", \"version\": 1" keys "}"
#define N(array) (sizeof(array) / sizeof((array)[0]))

/* Of an image that says nothing but who runs, and whose kernel has no IP. */
static inline struct plan_image image_without_ip(const struct strv *none)
{
    return (struct plan_image){.digest = "x",
                               .entrypoint = none,
                               .command = none,
                               .env = none,
                               .workdir = "/",
                               .uid = 1000,
                               .gid = 1000,
                               .no_ip = true};
}

/* What goes in, and what comes out. */
struct world {
    struct request manifest, given;
    struct policy policies[2];
    struct strv secrets, secret_env;
    struct plan_wish wish;
    struct plan *plan;
    struct err e;
};

static inline void world_done(struct world *w)
{
    request_done(&w->manifest);
    request_done(&w->given);
    policy_done(&w->policies[0]);
    policy_done(&w->policies[1]);
    strv_done(&w->secrets);
    strv_done(&w->secret_env);
    plan_free(w->plan);
}
#define own_world __attribute__((cleanup(world_done)))

static inline void add_policy(struct world *w, const char *text, const char *file)
{
    size_t n = w->wish.policies.n++;

    ck_assert_msg(policy_parse(text, strlen(text), file, &w->policies[n], &w->e) == 0, "%s",
                  w->e.text);
    w->wish.policies.items = w->policies;
}

static inline int resolve(struct world *w, const char *manifest)
{
    w->wish.secrets = &w->secrets;
    w->wish.secret_env = &w->secret_env;
    w->wish.command_line = &w->given;
    if (manifest) {
        if (request_parse(manifest, strlen(manifest), "agent.json", &w->manifest, &w->e) < 0)
            return -1;
        w->wish.manifest = &w->manifest;
    }
    return plan_resolve(&w->wish, &w->plan, &w->e);
}

static inline void must(int rc, const struct world *w)
{
    ck_assert_msg(rc == 0, "%s", w->e.text);
}

static inline const char *text_of(const struct plan *p, size_t i, char out[512])
{
    own_free char *text = net_rule_text(&p->network.items[i]);

    snprintf(out, 512, "%s", text);
    return out;
}

#endif
