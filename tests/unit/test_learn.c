/* test_learn: promises of runs that learn: what they may reach, and what is written down of them.
 */
#include "tests/unit/plan_world.h"
#include "tests/unit/suite.h"

START_TEST(a_run_that_learns_may_reach_what_all_policies_allow_and_nothing_else)
{
    static const struct {
        const char *asked, *first, *second, *rules; /* joined by blanks */
    } rows[] = {
        {M(""), P(""), P(""), ""},
        {M(", \"network\": [\"https://a.org\"]"), P(""), P(""), "https://a.org"},
        {M(""), P(", \"network\": []"), P(", \"network\": [\"https://*\"]"), ""},
        {M(""), P(", \"network\": [\"https://*\"]"), P(""), "https://*"},
        {M(""), P(", \"network\": [\"https://*.a.org\", \"tcp://b.org:22\"]"),
         P(", \"network\": [\"https://x.a.org\", \"https://c.org\", \"tcp://*:22\"]"),
         "tcp://b.org:22 https://x.a.org"},
        {M(""), P(", \"network\": [\"https://a.org,bytes=2M,streams=3\"]"),
         P(", \"network\": [\"https://*,bytes=1M\"]"), "https://a.org,bytes=1048576,streams=3"},
        {M(", \"network\": [\"https://x.a.org,rate=2K\", \"https://a.org,name=n\"]"),
         P(", \"network\": [\"https://*.a.org\", \"https://x.a.org\", \"https://a.org\"]"), P(""),
         "https://x.a.org,rate=2048 https://a.org,name=n https://*.a.org https://a.org"},
        {M(""), P(", \"network\": [\"https://a.org/v1\", \"https://b.org,methods=GET\"]"), P(""),
         ""},
    };

    for (size_t i = 0; i < N(rows); i++) {
        own_world struct world w = {.wish.learn = true};
        own_net_rules struct net_rules again = {0};
        own_doc struct doc *d = NULL;
        own_str struct str is = {0};
        char text[512];

        add_policy(&w, rows[i].first, "p.json");
        add_policy(&w, rows[i].second, "q.json");
        must(resolve(&w, rows[i].asked), &w);
        must(policy_check_network(&w.wish.policies, &w.plan->network, &w.e), &w);
        for (size_t k = 0; k < w.plan->network.n; k++)
            str_addf(&is, "%s%s", k ? " " : "", text_of(w.plan, k, text));
        ck_assert_msg(strcmp(is.data ? is.data : "", rows[i].rules) == 0, "row %zu: %s", i,
                      is.data);
        ck_assert(w.plan->egress == (w.plan->network.n > 0));
        /* The gateway takes them as they are. */
        d = net_rules_to_doc(&w.plan->network);
        must(net_rules_from_doc(d, &again, &w.e), &w);
        ck_assert_uint_eq(again.n, w.plan->network.n);
    }
}
END_TEST

START_TEST(what_may_not_be_written_down_is_not_learned)
{
    own_world struct world w = {.wish.learn = true}, sealed = {.wish.learn = true};

    ck_assert_int_lt(resolve(&w, M(",\n\"amnesic\": true")), 0);
    ck_assert_msg(strstr(w.e.text, "agent.json:2: amnesic excludes --learn"), "%s", w.e.text);
    ck_assert_int_lt(resolve(&sealed, M(", \"inputs\": [\"/i\"],\n\"input_identity\": \"/k\"")), 0);
    ck_assert_msg(strstr(sealed.e.text, "input_identity excludes --learn"), "%s", sealed.e.text);
}
END_TEST

SUITE("learn", a_run_that_learns_may_reach_what_all_policies_allow_and_nothing_else,
      what_may_not_be_written_down_is_not_learned)
