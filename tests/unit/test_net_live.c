/* test_net_live: promises of rules that a sandbox gets while it is up, and of an image that takes
 * none. */
#include "base/own.h"
#include "plan/plan.h"
#include "tests/unit/plan_world.h"
#include "tests/unit/suite.h"

#include <string.h>

static struct policy parse(const char *text)
{
    struct policy p = {0};
    struct err e;

    ck_assert_msg(policy_parse(text, strlen(text), "p.json", &p, &e) == 0, "%s", e.text);
    return p;
}

/* A sandbox that came up under this policy. */
static struct plan *come_up(const struct policy *p, const struct net_proxy *proxy)
{
    own_request struct request given = {0};
    struct plan_wish w = {.use = KEY_OF_UP,
                          .command_line = &given,
                          .egress_proxy = proxy,
                          .policies = {.items = p, .n = 1}};
    struct plan *plan = NULL;
    struct err e;

    request_add(&given, KEY_NETWORK, "https://a.org");
    ck_assert_msg(plan_resolve(&w, &plan, &e) == 0, "%s", e.text);
    return plan;
}

/* This rule is taken under the policy of today, or refused with these words. */
static void allow(const struct plan *plan, const char *rule, const struct policy *now,
                  const char *refusal, size_t row)
{
    own_strv struct strv texts = {0}, notes = {0};
    own_net_rules struct net_rules rules = {0};
    struct err e;
    int rc;

    strv_add(&texts, rule);
    rc = plan_allow(plan, &texts, &(struct policies){.items = now, .n = 1}, &(struct strv){0},
                    &rules, &notes, &e);
    ck_assert_msg((rc == 0) == !refusal, "row %zu", row);
    if (!refusal)
        return;
    ck_assert_int_eq(e.class, ERR_REFUSED);
    ck_assert_msg(strstr(e.text, refusal), "%s", e.text);
    ck_assert_uint_eq(rules.n, 0);
}

START_TEST(a_rule_that_comes_later_leads_to_no_range_that_todays_policies_leave_out)
{
    static const struct {
        const char *then, *now, *rule;
        bool taken;
    } rows[] = {
        {P(""), P(", \"network_ranges\": []"), "https://b.org", true},
        {P(", \"network_ranges\": [\"10.0.0.0/8\"]"), P(""), "https://b.org", true},
        {P(", \"network_ranges\": [\"10.0.0.0/8\"]"), P(", \"network_ranges\": [\"10.0.0.0/8\"]"),
         "https://b.org", true},
        {P(", \"network_ranges\": [\"10.1.0.0/16\"]"),
         P(", \"network_ranges\": [\"fd00::/8\", \"10.0.0.0/8\"]"), "https://b.org", true},
        {P(", \"network_ranges\": [\"10.0.0.0/8\"]"), P(", \"network_ranges\": []"),
         "https://b.org", false},
        {P(", \"network_ranges\": [\"10.0.0.0/8\"]"), P(", \"network\": [\"https://*\"]"),
         "https://b.org", false},
        {P(", \"network_ranges\": [\"10.0.0.0/8\"]"), P(", \"network_ranges\": [\"10.1.0.0/16\"]"),
         "https://b.org", false},
        {P(", \"network_ranges\": [\"10.0.0.0/8\"]"), P(", \"network_ranges\": [\"fd00::/8\"]"),
         "https://b.org", false},
        /* An address leads to itself. */
        {P(", \"network_ranges\": [\"10.0.0.0/8\"]"), P(", \"network_ranges\": [\"10.1.0.0/16\"]"),
         "https://10.1.2.3", true},
        {P(", \"network_ranges\": [\"10.0.0.0/8\"]"), P(", \"network_ranges\": [\"10.1.0.0/16\"]"),
         "https://10.2.2.3", false},
        {P(", \"network_ranges\": [\"10.0.0.0/8\"]"), P(", \"network_ranges\": [\"10.1.0.0/16\"]"),
         "https://[::ffff:10.2.2.3]", false},
        {P(", \"network_ranges\": [\"10.0.0.0/8\"]"), P(", \"network_ranges\": [\"10.1.0.0/16\"]"),
         "https://8.8.8.8", true},
    };

    for (size_t i = 0; i < N(rows); i++) {
        own_policy struct policy then = parse(rows[i].then), now = parse(rows[i].now);
        own_plan struct plan *plan = come_up(&then, NULL);

        allow(plan, rows[i].rule, &now, rows[i].taken ? NULL : "network_ranges has no 10.0.0.0/8",
              i);
    }
}
END_TEST

START_TEST(a_rule_that_comes_later_goes_through_no_proxy_that_todays_policies_leave_out)
{
    static const struct {
        const char *now;
        bool proxy, taken;
    } rows[] = {
        {P(""), true, true},
        {P(", \"network\": [\"https://*\"]"), true, false},
        {P(", \"network\": [\"https://*\"]"), false, true},
        {P(", \"network\": [\"https://*\"], \"egress_proxies\": [\"other:3128\"]"), true, false},
        {P(", \"network\": [\"https://*\"], \"egress_proxies\": [\"proxy:3128\"]"), true, true},
        {P(", \"egress_proxies\": []"), true, false},
        {P(", \"egress_proxies\": []"), false, true},
    };

    for (size_t i = 0; i < N(rows); i++) {
        own_net_proxy struct net_proxy proxy = {0};
        own_policy struct policy then = parse(P("")), now = parse(rows[i].now);
        own_strv struct strv notes = {0};
        own_free char *login = NULL;
        own_plan struct plan *plan = NULL;
        struct err e;

        ck_assert_int_eq(
            net_proxy_parse("https_proxy", "proxy:3128", NULL, &proxy, &login, &notes, &e), 0);
        plan = come_up(&then, rows[i].proxy ? &proxy : NULL);
        allow(plan, "https://b.org", &now,
              rows[i].taken ? NULL : "proxy:3128 is not allowed by p.json", i);
    }
}
END_TEST

START_TEST(rules_for_an_image_whose_kernel_has_no_ip_are_refused_with_a_way_out)
{
    const struct strv none = {0};
    const struct plan_image from = image_without_ip(&none);
    own_request struct request given = {0};
    struct plan_wish w = {.use = KEY_OF_UP, .command_line = &given, .from = &from};
    own_plan struct plan *plan = NULL;
    struct err e;

    request_add(&given, KEY_IMAGE, "agent");
    ck_assert_msg(plan_resolve(&w, &plan, &e) == 0, "%s", e.text);
    plan_free(own_steal_ptr(plan));
    request_add(&given, KEY_NETWORK, "https://a.org");
    ck_assert_int_lt(plan_resolve(&w, &plan, &e), 0);
    ck_assert_int_eq(e.class, ERR_IMAGE);
    ck_assert_msg(strstr(e.text, "--allow: the kernel of image 'agent' has no IP"), "%s", e.text);
    ck_assert_msg(strstr(e.text, "--kernel debian, or net"), "%s", e.text);
}
END_TEST

SUITE("net_live", a_rule_that_comes_later_leads_to_no_range_that_todays_policies_leave_out,
      a_rule_that_comes_later_goes_through_no_proxy_that_todays_policies_leave_out,
      rules_for_an_image_whose_kernel_has_no_ip_are_refused_with_a_way_out)
