/* test_net_plan: promises of the network in a plan: who may ask for what, whose secrets they are.
 */
#include "base/file.h"
#include "base/own.h"
#include "tests/unit/plan_world.h"
#include "tests/unit/suite.h"

#include <fcntl.h>
#include <string.h>

#define RANDOM_N 4000
#define EXAMPLES GOLDEN_DIR "/../../vmm/plan/examples/"

START_TEST(a_wrong_rule_is_refused_with_file_line_and_key)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {M(",\n\"network\": true"), "agent.json:2: network: not a list"},
        {M(",\n\"network\": \"https://a.org\""), "agent.json:2: network: not a list"},
        {M(",\n\"network\": [\n1]"), "agent.json:3: network[0]: neither a text nor an object"},
        {M(",\n\"network\": [\n\"https://a.org\",\n\"a.org\"]"),
         "agent.json:4: network[1]: it begins with none"},
        {M(",\n\"network\": [\n{\"to\": \"https://a.org\",\n\"prot\": 1}]"),
         "agent.json:3: network[0]: unknown key 'prot'"},
        {M(",\n\"network\": [{\"to\": \"http://a.org\",\n\"name\": \"a\", \"secret\": \"K\"}]"),
         "agent.json:2: network[0]: secret: it goes over https:// only"},
        {M(",\n\"network\": [{\"to\": \"https://*.a.org\", \"name\": \"a\"}]"),
         "agent.json:2: network[0]: name: it needs one host"},
        {M(",\n\"network\": [{\"to\": \"https://a.org\", \"name\": \"a\", \"secret\": \"K\", "
           "\"header\": \"X: y\"}]"),
         "agent.json:2: network[0]: header: its value has not exactly one {}"},
        {M(",\n\"network\": [\n\"https://a.org,name=x\",\n\"https://b.org,name=x\"]"),
         "agent.json:4: network[1]: name x is there already (agent.json:3)"},
        {M(",\n\"network\": [\n\"https://a.org\",\n\"https://A.org:443\"]"),
         "agent.json:4: network[1]: https://a.org is there already (agent.json:3)"},
        {M(",\n\"network\": [{\"to\": \"https://a.org\",\n\"to\": \"https://b.org\"}]"),
         "agent.json:3: network[0].to: it is in line 2 already"},
        {M(",\n\"network\": [{\"to\": \"https://a.org\", \"from\": \"x\"}]"), "unknown key 'from'"},
        {M(",\n\"network\": [\n{\"to\": \"https://a.org\", \"name\": \"a\", \"secret\": \"K\"}]"),
         "agent.json:3: network: secret 'K' is not given (--secret K=FILE)"},
        {M(",\n\"network\": [[[[[[[[[]]]]]]]]]"), "nested too deeply"},
    };

    for (size_t i = 0; i < N(rows); i++) {
        own_world struct world w = {0};

        ck_assert_msg(resolve(&w, rows[i].text) < 0, "%s", rows[i].text);
        ck_assert_int_eq(w.e.class, ERR_USAGE);
        ck_assert_msg(strstr(w.e.text, rows[i].says), "%s: %s", rows[i].text, w.e.text);
    }
}
END_TEST

START_TEST(a_wrong_rule_of_a_policy_is_refused_with_file_line_and_key)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {P(",\n\"network\": 1"), "p.json:2: network: not a list"},
        {P(",\n\"network\": [\n{\"to\": \"https://a.org\", \"name\": \"x\"}]"),
         "p.json:3: network[0]: 'name' is not for policies"},
        {P(",\n\"network\": [\"https://a.org,secret=K\"]"), "'secret' is not for policies"},
        {P(",\n\"network_ranges\": \"10.0.0.0/8\""), "p.json:2: network_ranges: not a list"},
        {P(",\n\"network_ranges\": [\"10.0.0.1/8\"]"), "p.json:2: network_ranges: range 1: there"},
        {P(",\n\"on_excess\": {\"network\": \"trim\"}"), "on_excess.network: it has no maximum"},
        {P(",\n\"network\": [],\n\"on_excess\": {\"network\": \"cut\"}"),
         "p.json:3: on_excess.network: neither refuse nor trim"},
        {P(",\n\"max\": {\"network\": 1}"), "there is no such number"},
    };

    for (size_t i = 0; i < N(rows); i++) {
        own_policy struct policy p = {0};
        struct err e = {0};

        ck_assert_msg(policy_parse(rows[i].text, strlen(rows[i].text), "p.json", &p, &e) < 0, "%s",
                      rows[i].text);
        ck_assert_msg(strstr(e.text, rows[i].says), "%s: %s", rows[i].text, e.text);
    }
}
END_TEST

START_TEST(without_a_rule_there_is_no_gateway)
{
    static const char *const manifests[] = {M(""), M(", \"network\": []")};

    for (size_t i = 0; i < N(manifests); i++) {
        own_world struct world w = {0};
        own_free char *text = NULL;

        add_policy(&w, P(", \"network\": [\"https://*\"], \"network_ranges\": [\"10.0.0.0/8\"]"),
                   "p.json");
        must(resolve(&w, manifests[i]), &w);
        ck_assert(!w.plan->egress);
        ck_assert_uint_eq(w.plan->network.n, 0);
        text = plan_to_text(w.plan);
        ck_assert_ptr_nonnull(strstr(text, "network           none "));
        ck_assert_ptr_null(strstr(text, "10.0.0.0"));
    }
}
END_TEST

START_TEST(rules_add_up_and_the_command_line_goes_first)
{
    own_world struct world w = {0};
    own_free char *text = NULL;
    char is[512];

    request_add(&w.given, KEY_NETWORK, "https://b.org,bytes=1M");
    request_add(&w.given, KEY_NETWORK, "https://c.org");
    must(resolve(&w, M(",\n\"network\": [\"https://a.org\",\n\"https://b.org\"]")), &w);
    ck_assert(w.plan->egress);
    ck_assert_uint_eq(w.plan->network.n, 3);
    ck_assert_str_eq(text_of(w.plan, 0, is), "https://a.org");
    ck_assert_str_eq(text_of(w.plan, 1, is), "https://b.org,bytes=1048576");
    ck_assert_str_eq(text_of(w.plan, 2, is), "https://c.org");
    ck_assert_str_eq(w.plan->network.items[0].from, "agent.json:2");
    ck_assert_str_eq(w.plan->network.items[1].from, "command line");
    text = plan_to_text(w.plan);
    ck_assert_ptr_nonnull(strstr(text, "network           https://a.org "));
    ck_assert_ptr_nonnull(strstr(text, " agent.json:2\n"));
}
END_TEST

START_TEST(the_command_line_says_nothing_twice)
{
    own_world struct world w = {0};

    request_add(&w.given, KEY_COMMAND, "x");
    request_add(&w.given, KEY_NETWORK, "https://b.org");
    request_add(&w.given, KEY_NETWORK, "https://B.org");
    ck_assert_int_lt(resolve(&w, NULL), 0);
    ck_assert_str_eq(w.e.text, "--allow: https://b.org is there twice");
}
END_TEST

START_TEST(what_no_policy_allows_is_refused_with_both_places)
{
    static const struct {
        const char *policy, *rule, *says;
    } rows[] = {
        {"[]", "https://a.org", "a.json:1: network: https://a.org is not allowed by p.json:2"},
        {"[\"https://b.org\"]", "https://a.org", "is not allowed by p.json:2 (network)"},
        {"[\"https://a.org\"]", "https://*.a.org", "is not allowed by p.json:2"},
        {"[\"https://a.org\"]", "http://a.org:443", "is not allowed by p.json:2"},
        {"[\n\"https://a.org,bytes=1M\"]", "https://a.org,bytes=2M",
         "a.json:1: network: https://a.org: bytes: 2 MiB is above p.json:3 (1 MiB)"},
        {"[\"https://a.org,rate=1M\"]", "https://a.org,rate=2M", "rate: 2 MiB is above p.json:2"},
        {"[\"https://a.org,streams=1\"]", "https://a.org,streams=2", "streams: 2 is above p.json"},
        {"[\"https://a.org,methods=GET\"]", "https://a.org", "is not allowed by p.json:2"},
        {"[\"https://a.org,methods=GET\"]", "https://a.org,name=x,methods=PUT",
         "methods: PUT is not allowed by p.json:2 (network)"},
        {"[\"https://a.org/v1\"]", "https://a.org/v2,name=x", "is not allowed by p.json:2"},
    };

    for (size_t i = 0; i < N(rows); i++) {
        own_free char *policy = str_printf(P(",\n\"network\": %s"), rows[i].policy);
        own_free char *manifest = str_printf(M(", \"network\": [\"%s\"]"), rows[i].rule);
        own_world struct world w = {0};
        own_request struct request r = {0};

        add_policy(&w, policy, "p.json");
        ck_assert_int_eq(request_parse(manifest, strlen(manifest), "a.json", &r, &w.e), 0);
        w.wish.manifest = &r;
        ck_assert_msg(resolve(&w, NULL) < 0, "%s", rows[i].rule);
        ck_assert_int_eq(w.e.class, ERR_REFUSED);
        ck_assert_msg(strstr(w.e.text, rows[i].says), "%s: %s", rows[i].rule, w.e.text);
    }
}
END_TEST

START_TEST(what_is_above_a_policy_that_trims_is_less_or_left_out_and_said)
{
    own_world struct world w = {0};
    own_free char *text = NULL;
    char is[512];

    add_policy(&w,
               P(",\n\"network\": [\"https://a.org,bytes=1M\", \"https://b.org,methods=GET\"],"
                 "\"on_excess\": {\"network\": \"trim\"}"),
               "p.json");
    must(resolve(&w, M(", \"network\": [\"https://a.org,bytes=2M\", \"https://c.org\","
                       "\"https://b.org,name=b,methods=GET+PUT\","
                       "\"https://b.org,name=c,methods=PUT\"]")),
         &w);
    ck_assert_uint_eq(w.plan->network.n, 2);
    ck_assert_str_eq(text_of(w.plan, 0, is), "https://a.org,bytes=1048576");
    ck_assert_str_eq(text_of(w.plan, 1, is), "https://b.org,name=b,methods=GET");
    ck_assert_uint_eq(w.plan->trimmed.n, 4);
    text = plan_to_text(w.plan);
    ck_assert_ptr_nonnull(strstr(text, "bytes: 2 MiB is trimmed to 1 MiB by p.json:2"));
    ck_assert_ptr_nonnull(strstr(text, "https://c.org is left out by p.json:2"));
    ck_assert_ptr_nonnull(strstr(text, "methods: PUT is left out by p.json:2"));
}
END_TEST

START_TEST(a_number_that_nobody_asked_for_is_the_policys)
{
    own_world struct world w = {0};
    char is[512];

    add_policy(&w, P(", \"network\": [\"https://*,bytes=2M,streams=4\"]"), "p.json");
    add_policy(&w, P(", \"network\": [\"https://a.org,bytes=1M\", \"https://*\"]"), "q.json");
    must(resolve(&w, M(", \"network\": [\"https://a.org\", \"https://b.org\"]")), &w);
    ck_assert_str_eq(text_of(w.plan, 0, is), "https://a.org,bytes=2097152,streams=4");
    ck_assert_str_eq(text_of(w.plan, 1, is), "https://b.org,bytes=2097152,streams=4");
    ck_assert_uint_eq(w.plan->trimmed.n, 0);
}
END_TEST

START_TEST(ranges_are_those_that_every_policy_of_the_network_names)
{
    static const struct {
        const char *first, *second, *ranges; /* joined by blanks */
    } rows[] = {
        {P(""), P(""), ""},
        {P(", \"network_ranges\": [\"10.0.0.0/8\"]"), P(""), "10.0.0.0/8"},
        {P(", \"network_ranges\": [\"10.0.0.0/8\"]"), P(", \"network\": [\"https://*\"]"), ""},
        {P(", \"network_ranges\": [\"10.0.0.0/8\", \"127.0.0.0/8\"]"),
         P(", \"network_ranges\": [\"10.1.0.0/16\"]"), "10.1.0.0/16"},
        {P(", \"network_ranges\": []"), P(", \"network_ranges\": [\"10.1.0.0/16\"]"), ""},
    };

    for (size_t i = 0; i < N(rows); i++) {
        own_world struct world w = {0};
        own_strv struct strv ranges = {0};

        add_policy(&w, rows[i].first, "p.json");
        add_policy(&w, rows[i].second, "q.json");
        must(resolve(&w, M(", \"network\": [\"https://a.org\"]")), &w);
        net_ranges_format(&w.plan->network_ranges, &ranges);
        ck_assert_str_eq(ranges.n ? ranges.items[0] : "", rows[i].ranges);
        ck_assert_uint_le(ranges.n, 1);
    }
}
END_TEST

#define SECRET_RULE                                                                                \
    ", \"network\": [{\"to\": \"https://a.org\", \"name\": \"a\", \"secret\": \"K\"}]"

START_TEST(a_secret_that_a_rule_uses_is_the_gateways_and_never_the_jobs)
{
    own_world struct world w = {0}, env = {0}, up = {0};
    own_plan struct plan *job = NULL;
    const struct strv argv = {.items = (char *[]){(char[]){"x"}}, .n = 1}, none = {0};

    strv_add(&w.secrets, "K");
    strv_add(&w.secrets, "OTHER");
    must(resolve(&w, M(SECRET_RULE ", \"secrets\": [\"OTHER\"]")), &w);
    ck_assert_uint_eq(w.plan->secrets.n, 1);
    ck_assert_str_eq(w.plan->secrets.items[0], "OTHER");
    ck_assert_uint_eq(w.plan->gateway_secrets.n, 1);
    ck_assert_str_eq(w.plan->gateway_secrets.items[0], "K");

    strv_add(&env.secret_env, "K");
    ck_assert_int_lt(resolve(&env, M(SECRET_RULE)), 0);
    ck_assert_msg(strstr(env.e.text, "--secret-env: 'K' is the gateway's"), "%s", env.e.text);

    /* Nor of a command in a sandbox, whose own it may not become either. */
    up.wish.use = KEY_OF_UP;
    strv_add(&up.secrets, "K");
    request_add(&up.given, KEY_NETWORK, "https://a.org,name=a,secret=K");
    must(resolve(&up, NULL), &up);
    must(plan_derive(up.plan, &(struct plan_exec){.argv = &argv, .env = &none}, &job, &up.e), &up);
    ck_assert_uint_eq(job->secrets.n + job->secret_env.n, 0);
    ck_assert_int_lt(
        plan_derive(up.plan,
                    &(struct plan_exec){.argv = &argv, .env = &none, .secrets = &up.secrets}, &job,
                    &up.e),
        0);
    ck_assert_msg(strstr(up.e.text, "'K' is the gateway's"), "%s", up.e.text);
    ck_assert_int_lt(
        plan_derive(up.plan,
                    &(struct plan_exec){.argv = &argv, .env = &none, .secret_env = &up.secrets},
                    &job, &up.e),
        0);
}
END_TEST

START_TEST(up_takes_no_secret_but_the_gateways)
{
    own_world struct world w = {.wish.use = KEY_OF_UP};

    strv_add(&w.secrets, "K");
    ck_assert_int_lt(resolve(&w, NULL), 0);
    ck_assert_msg(strstr(w.e.text, "no network rule uses 'K'"), "%s", w.e.text);
}
END_TEST

static const char policied[] = P(", \"network\": [\"https://*.org\", \"https://a.org\"], "
                                 "\"network_ranges\": [\"10.0.0.0/8\"]");

START_TEST(a_fork_keeps_the_rules_and_the_bounds_of_its_sandbox)
{
    own_world struct world base = {.wish.use = KEY_OF_UP}, w = {0}, bad = {0};
    own_plan struct plan *fork = NULL;
    char is[512];

    add_policy(&base, policied, "p.json");
    strv_add(&base.secrets, "K");
    request_add(&base.given, KEY_NETWORK, "https://a.org,name=a,secret=K");
    request_add(&base.given, KEY_NETWORK, "https://b.org");
    must(resolve(&base, NULL), &base);

    /* The value is in the gateway of the sandbox only: it has to be given again. */
    request_add(&w.given, KEY_COMMAND, "x");
    request_add(&w.given, KEY_NETWORK, "https://c.org");
    w.wish.command_line = &w.given;
    w.wish.secrets = &w.secrets;
    ck_assert_int_lt(plan_derive_wish(base.plan, &w.wish, &fork, &w.e), 0);
    ck_assert_msg(strstr(w.e.text, "secret 'K' is not given"), "%s", w.e.text);
    strv_add(&w.secrets, "K");
    must(plan_derive_wish(base.plan, &w.wish, &fork, &w.e), &w);
    ck_assert(fork->egress);
    ck_assert_uint_eq(fork->network.n, 3);
    ck_assert_str_eq(text_of(fork, 2, is), "https://c.org");
    ck_assert_uint_eq(fork->network_ranges.n, 1);
    ck_assert_str_eq(fork->gateway_secrets.items[0], "K");
    ck_assert_uint_eq(fork->secrets.n, 0);

    request_add(&bad.given, KEY_COMMAND, "x");
    request_add(&bad.given, KEY_NETWORK, "https://c.com");
    bad.wish.command_line = &bad.given;
    ck_assert_int_lt(plan_derive_wish(base.plan, &bad.wish, &fork, &bad.e), 0);
    ck_assert_int_eq(bad.e.class, ERR_REFUSED);
    ck_assert_msg(strstr(bad.e.text, "--allow: https://c.com is not allowed by p.json:1"), "%s",
                  bad.e.text);
}
END_TEST

START_TEST(a_fork_of_a_sandbox_without_a_network_gets_none)
{
    own_world struct world base = {.wish.use = KEY_OF_UP}, w = {0};
    own_plan struct plan *fork = NULL;

    must(resolve(&base, NULL), &base);
    request_add(&w.given, KEY_COMMAND, "x");
    request_add(&w.given, KEY_NETWORK, "https://c.org");
    w.wish.command_line = &w.given;
    ck_assert_int_lt(plan_derive_wish(base.plan, &w.wish, &fork, &w.e), 0);
    ck_assert_msg(strstr(w.e.text, "--allow: the sandbox came up without a network"), "%s",
                  w.e.text);
}
END_TEST

START_TEST(a_plan_with_rules_is_read_back_the_same)
{
    own_world struct world w = {0};
    own_plan struct plan *again = NULL;
    own_doc struct doc *d = NULL, *e = NULL;
    own_free char *first = NULL, *second = NULL;

    add_policy(&w, policied, "p.json");
    strv_add(&w.secrets, "K");
    must(resolve(&w, M(SECRET_RULE)), &w);
    d = plan_network_to_doc(w.plan);
    first = doc_format(d, false);
    ck_assert_str_eq(first,
                     "{\"network\":[{\"to\":\"https://a.org\",\"name\":\"a\",\"secret\":\"K\","
                     "\"header\":\"Authorization: Bearer {}\",\"from\":\"agent.json:1\"}],"
                     "\"network_ranges\":[\"10.0.0.0/8\"]}");
    doc_free(d);
    d = plan_to_doc(w.plan);
    must(plan_from_doc(d, &again, &w.e), &w);
    ck_assert(again->egress);
    ck_assert_uint_eq(again->network_policies.n, 1);
    ck_assert_str_eq(again->network_policies.items[0].file, "p.json");
    ck_assert_uint_eq(again->network_policies.items[0].network.rules.n, 2);
    ck_assert_str_eq(again->gateway_secrets.items[0], "K");
    e = plan_network_to_doc(again);
    second = doc_format(e, false);
    ck_assert_str_eq(first, second);
}
END_TEST

START_TEST(a_plan_of_an_older_lazaret_has_no_network)
{
    own_world struct world w = {0};
    own_plan struct plan *again = NULL;
    own_doc struct doc *d = NULL, *old = NULL;
    own_free char *text = NULL, *cut = NULL;
    char *at;

    must(resolve(&w, M("")), &w);
    d = plan_to_doc(w.plan);
    text = doc_format(d, false);
    at = strstr(text, "\"egress\":false,\"network\":[]");
    ck_assert_ptr_nonnull(at);
    cut = str_printf("%.*s\"network\":false%s", (int)(at - text), text,
                     at + strlen("\"egress\":false,\"network\":[]"));
    must(doc_parse(cut, strlen(cut), "old", &old, &w.e), &w);
    must(plan_from_doc(old, &again, &w.e), &w);
    ck_assert(!again->egress && again->network.n == 0);
}
END_TEST

START_TEST(the_example_is_within_the_example_of_a_policy)
{
    own_world struct world w = {0};
    own_free char *manifest = NULL, *policy = NULL;
    char is[512];
    size_t len;

    must(file_read(AT_FDCWD, EXAMPLES "network.json", 4096, &manifest, &len, &w.e), &w);
    must(file_read(AT_FDCWD, EXAMPLES "policy.json", 4096, &policy, &len, &w.e), &w);
    add_policy(&w, policy, "policy.json");
    strv_add(&w.secrets, "MODEL_KEY");
    must(resolve(&w, manifest), &w);
    ck_assert_str_eq(text_of(w.plan, 2, is),
                     "https://api.example.org/v1,name=model,methods=POST,streams=8,"
                     "secret=MODEL_KEY,header=Authorization: Bearer {}");
}
END_TEST

/* ---- whatever is asked for ---- */

static unsigned draw(unsigned n)
{
    static uint64_t state = 42;

    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33) % n;
}

static void add_random_rule(struct str *s, bool policy, unsigned i)
{
    static const char *const schemes[] = {"https", "https", "http", "tcp"};
    static const char *const hosts[] = {"a.org", "b.a.org", "*.a.org", "c.org", "10.0.0.1"};
    static const char *const methods[] = {"GET", "PUT", "GET+PUT"};
    const char *scheme = schemes[draw(4)];
    const char *host = policy && draw(3) == 0 ? "*" : hosts[draw(5)];
    bool requests = strcmp(scheme, "tcp") != 0 && host[0] != '*' && draw(2);

    str_addf(s, "%s\"%s://%s%s", i ? ", " : "", scheme, host,
             strcmp(scheme, "tcp") == 0 || draw(3) == 0 ? ":443" : "");
    if (requests && draw(2))
        str_addf(s, "/v%u", draw(2));
    if (requests && !policy)
        str_addf(s, ",name=n%u", i);
    if (requests && draw(2))
        str_addf(s, ",methods=%s", methods[draw(3)]);
    if (draw(2))
        str_addf(s, ",bytes=%u", 1 + draw(3));
    if (draw(3) == 0)
        str_addf(s, ",rate=%uK", 1 + draw(3));
    if (draw(3) == 0)
        str_addf(s, ",streams=%u", 1 + draw(3));
    str_add(s, "\"");
}

static char *random_rules(bool policy)
{
    struct str s = {0};

    for (unsigned i = 0, n = draw(policy ? 6 : 3) + policy; i < n; i++)
        add_random_rule(&s, policy, i);
    return str_steal(&s);
}

static bool is_within(const struct plan *plan, const struct policy *p)
{
    for (size_t i = 0; p->network.set && i < plan->network.n; i++) {
        bool covered = false;

        for (size_t k = 0; k < p->network.rules.n; k++)
            covered = covered || net_covers(&p->network.rules.items[k], &plan->network.items[i]);
        if (!covered)
            return false;
    }
    return true;
}

/* A policy with rules, or none about the network; false: its text is wrong. */
static bool random_policy(struct policy *ret)
{
    own_free char *rules = random_rules(true);
    own_free char *text = draw(4) == 0 ? str_dup(P(""))
                                       : str_printf(P(", \"network\": [%s], \"on_excess\": \"%s\""),
                                                    rules, draw(3) ? "trim" : "refuse");
    struct err e;

    return policy_parse(text, strlen(text), "p.json", ret, &e) == 0;
}

START_TEST(no_manifest_yields_a_network_above_its_policies)
{
    unsigned resolved = 0, rules = 0;

    for (unsigned i = 0; i < RANDOM_N; i++) {
        own_world struct world w = {.wish.policies = {NULL, 2}};
        own_free char *more = random_rules(false);
        own_free char *text = str_printf(M(", \"network\": [%s]"), more);

        w.wish.policies.items = w.policies;
        if (!random_policy(&w.policies[0]) || !random_policy(&w.policies[1]) ||
            resolve(&w, text) < 0)
            continue;
        resolved++;
        rules += w.plan->network.n > 0;
        ck_assert_msg(is_within(w.plan, &w.policies[0]) && is_within(w.plan, &w.policies[1]), "%s",
                      text);
        ck_assert(w.plan->egress == (w.plan->network.n > 0));
    }
    ck_assert_msg(resolved > RANDOM_N / 10 && rules > RANDOM_N / 50,
                  "only %u resolved, %u with rules: the test tries nothing", resolved, rules);
}
END_TEST

SUITE("network in a plan", a_wrong_rule_is_refused_with_file_line_and_key,
      a_wrong_rule_of_a_policy_is_refused_with_file_line_and_key,
      without_a_rule_there_is_no_gateway, rules_add_up_and_the_command_line_goes_first,
      the_command_line_says_nothing_twice, what_no_policy_allows_is_refused_with_both_places,
      what_is_above_a_policy_that_trims_is_less_or_left_out_and_said,
      a_number_that_nobody_asked_for_is_the_policys,
      ranges_are_those_that_every_policy_of_the_network_names,
      a_secret_that_a_rule_uses_is_the_gateways_and_never_the_jobs,
      up_takes_no_secret_but_the_gateways, a_fork_keeps_the_rules_and_the_bounds_of_its_sandbox,
      a_fork_of_a_sandbox_without_a_network_gets_none, a_plan_with_rules_is_read_back_the_same,
      a_plan_of_an_older_lazaret_has_no_network, the_example_is_within_the_example_of_a_policy,
      no_manifest_yields_a_network_above_its_policies)
