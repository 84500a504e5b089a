/* test_random_policy: whatever numbers a manifest and its policies have, the plan is below them. */
#include "base/own.h"
#include "plan/plan.h"
#include "tests/unit/suite.h"

#include <string.h>

#define RANDOM_N 4000

static uint32_t seed = 1;

static uint32_t draw(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

/* Any number of the table, near its bounds or anywhere between, as text. */
static void add_number(struct str *s, enum key k, bool *first)
{
    const struct key_row *row = &key_rows[k];
    uint64_t value = row->min + 1;

    for (uint32_t i = draw(24); i > 0 && value < row->max / 4; i--)
        value = value * 2 + draw(2);
    if (row->kind == KEY_KIND_TIME)
        str_addf(s, "%s\"%s\": \"%llums\"", *first ? "" : ", ", row->name,
                 (unsigned long long)value);
    else
        str_addf(s, "%s\"%s\": %llu", *first ? "" : ", ", row->name, (unsigned long long)value);
    *first = false;
}

static char *random_numbers(const char *before)
{
    struct str s = {0};
    bool first = true;

    str_add(&s, before);
    for (enum key k = 0; k < KEYS; k++)
        if (key_is_number(k) && draw(3) == 0)
            add_number(&s, k, &first);
    return str_steal(&s);
}

static struct policy random_policy(void)
{
    own_free char *max = random_numbers(""), *text = NULL;
    struct policy p = {0};
    struct err e;

    text = str_printf("{\"format\": \"lazaret-policy\", \"version\": 1, \"max\": {%s}, "
                      "\"on_excess\": \"%s\"}",
                      max, draw(3) ? "trim" : "refuse");
    if (policy_parse(text, strlen(text), "p.json", &p, &e) < 0)
        ck_assert_msg(strstr(e.text, "below the least") || strstr(e.text, "out of range") ||
                          strstr(e.text, "max.tmp"),
                      "%s: %s", text, e.text);
    return p;
}

static bool is_within(struct plan *plan, const struct policy *p, enum key k)
{
    uint64_t value = *plan_number(plan, k);

    return !p->max[k].set || (value <= p->max[k].value && (value || !key_rows[k].optional));
}

START_TEST(no_manifest_yields_a_plan_above_its_policies)
{
    unsigned resolved = 0;

    for (unsigned i = 0; i < RANDOM_N; i++) {
        struct policy ps[2] = {random_policy(), random_policy()};
        own_free char *numbers =
            random_numbers("\"command\": [\"x\"], \"output\": \"/o\", \"inputs\": [\"/i\"], ");
        enum key_use use = draw(2) ? KEY_OF_RUN : KEY_OF_UP;
        own_request struct request r = {0};
        own_plan struct plan *plan = NULL;
        own_free char *text = NULL;
        struct err e = {0};
        size_t end = strlen(numbers);

        while (end && strchr(" ,", numbers[end - 1]))
            numbers[--end] = '\0';
        text = str_printf("{\"format\": \"lazaret-manifest\", \"version\": 1, %s}", numbers);
        ck_assert_msg(request_parse(text, strlen(text), "agent.json", &r, &e) == 0, "%s", e.text);
        for (enum key k = 0; k < KEYS; k++)
            r.of[k].set = r.of[k].set && (key_rows[k].uses & use);
        if (plan_resolve(&(struct plan_wish){.manifest = &r, .use = use, .policies = {ps, 2}},
                         &plan, &e) == 0) {
            resolved++;
            for (enum key k = 0; k < KEYS; k++)
                for (size_t n = 0; n < 2; n++)
                    ck_assert_msg(!key_is_number(k) || !(key_rows[k].uses & use) ||
                                      is_within(plan, &ps[n], k),
                                  "%s: %s", key_rows[k].name, text);
        }
        policy_done(&ps[0]);
        policy_done(&ps[1]);
    }
    ck_assert_msg(resolved > RANDOM_N / 10, "only %u resolved: the test tries nothing", resolved);
}
END_TEST

SUITE("random policies", no_manifest_yields_a_plan_above_its_policies)
