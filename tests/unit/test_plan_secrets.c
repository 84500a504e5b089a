/* test_plan_secrets: which secrets a job gets: those that its manifest lists, and no other. */
#include "base/own.h"
#include "plan/plan.h"
#include "tests/unit/suite.h"

#include <string.h>

#define M(keys)                                                                                    \
    "{\"format\": \"lazaret-manifest\", \"version\": 1, \"command\": [\"x\"],\n" keys "}"
#define P(keys) "{\"format\": \"lazaret-policy\", \"version\": 1,\n" keys "}"

static struct err err;

/* Names with blanks between them. */
static struct strv words(const char *text)
{
    struct strv v = {0};

    for (; text && *text; text += strcspn(text, " "), text += *text == ' ')
        strv_addf(&v, "%.*s", (int)strcspn(text, " "), text);
    return v;
}

static int resolve(const char *manifest, const char *policy, const char *files, const char *env,
                   struct plan **ret)
{
    own_strv struct strv f = words(files), v = words(env);
    own_request struct request r = {0}, said = {0};
    own_policy struct policy p = {0};
    struct plan_wish w = {.secrets = &f, .secret_env = &v, .command_line = &said};

    request_add(&said, KEY_COMMAND, "x");
    if (manifest) {
        ck_assert_msg(request_parse(manifest, strlen(manifest), "agent.json", &r, &err) == 0, "%s",
                      err.text);
        w.manifest = &r;
    }
    if (policy) {
        ck_assert_msg(policy_parse(policy, strlen(policy), "p.json", &p, &err) == 0, "%s",
                      err.text);
        w.policies = (struct policies){&p, 1};
    }
    return plan_resolve(&w, ret, &err);
}

static void check(const struct strv *got, const char *want)
{
    own_strv struct strv v = words(want);

    ck_assert_uint_eq(got->n, v.n);
    for (size_t i = 0; i < v.n; i++)
        ck_assert_str_eq(got->items[i], v.items[i]);
}

START_TEST(a_job_gets_the_secrets_of_its_manifest_as_it_says)
{
    static const struct {
        const char *manifest, *files, *env, *want_files, *want_env;
    } rows[] = {
        {NULL, "A B", "C", "A B", "C"},
        {M("\"secrets\": [\"B\", \"A\"]"), "A B", "", "A B", ""},
        {M("\"secrets\": [\"A\"],\n\"secret_env\": [\"B\", \"C\"]"), "C A", "B", "A", "B C"},
        {M("\"secret_env\": [\"A\", \"B\"]"), "A B", "", "", "A B"},
        {M("\"secrets\": []"), "", "", "", ""},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own_plan struct plan *p = NULL;

        ck_assert_msg(resolve(rows[i].manifest, NULL, rows[i].files, rows[i].env, &p) == 0,
                      "row %zu: %s", i, err.text);
        check(&p->secrets, rows[i].want_files);
        check(&p->secret_env, rows[i].want_env);
    }
}
END_TEST

START_TEST(what_is_missing_or_not_asked_for_is_refused_with_its_place)
{
    static const struct {
        const char *manifest, *policy, *files, *env;
        enum err_class class;
        const char *says;
    } rows[] = {
        {M("\"secrets\": [\"A\"]"), NULL, "", "", ERR_USAGE,
         "agent.json:2: secrets: 'A' is not given (--secret A=FILE)"},
        {M("\"secrets\": [\"A\"],\n\"secret_env\": [\"B\"]"), NULL, "A", "", ERR_USAGE,
         "agent.json:3: secret_env: 'B' is not given"},
        {M("\"pids\": 9"), NULL, "A", "", ERR_REFUSED, "--secret: 'A' is not what agent.json"},
        {M("\"secrets\": [\"A\"]"), NULL, "A B", "", ERR_REFUSED, "'B' is not what agent.json"},
        {M("\"secrets\": [\"A\"]"), NULL, "A", "B", ERR_REFUSED, "'B' is not what agent.json"},
        {M("\"secrets\": [\"A\"]"), NULL, "", "A", ERR_USAGE,
         "--secret-env: 'A' is to be a file (agent.json:2)"},
        {M("\"secrets\": [\"A\", \"A\"]"), NULL, "A", "", ERR_USAGE, "agent.json:2: secrets: 'A'"},
        {M("\"secret_env\": [\"A\"],\n\"secrets\": [\"A\"]"), NULL, "A", "", ERR_USAGE,
         "agent.json:3: secrets: 'A' is there twice"},
        {M("\"secrets\": [\"a-b\"]"), NULL, "", "", ERR_USAGE,
         "agent.json:2: secrets: number 1 is no name"},
        {NULL, P("\"secrets\": [\"A\"]"), "A B", "", ERR_REFUSED,
         "--secret: 'B' is not allowed by p.json:2 (secrets)"},
        {M("\"secret_env\": [\"A\"]"), P("\"secrets\": []"), "A", "", ERR_REFUSED,
         "agent.json:2: secret_env: 'A' is not allowed by p.json:2 (secrets)"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own_plan struct plan *p = NULL;

        ck_assert_msg(resolve(rows[i].manifest, rows[i].policy, rows[i].files, rows[i].env, &p) ==
                          -1,
                      "row %zu", i);
        ck_assert_msg(err.class == rows[i].class && strstr(err.text, rows[i].says), "row %zu: %s",
                      i, err.text);
    }
}
END_TEST

START_TEST(a_command_in_a_fork_gets_those_of_its_manifest)
{
    const char *text = M("\"secret_env\": [\"A\"]");
    own_strv struct strv given = words("A"), none = {0};
    own_request struct request r = {0};
    own_plan struct plan *base = NULL, *p = NULL, *not = NULL;
    struct plan_wish w = {.manifest = &r, .secrets = &given, .secret_env = &none};

    ck_assert_int_eq(request_parse(text, strlen(text), "agent.json", &r, &err), 0);
    ck_assert_int_eq(resolve(NULL, NULL, "", "", &base), 0);
    ck_assert_msg(plan_derive_wish(base, &w, &p, &err) == 0, "%s", err.text);
    check(&p->secrets, "");
    check(&p->secret_env, "A");
    w.secrets = &none;
    ck_assert_int_eq(plan_derive_wish(base, &w, &not, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "agent.json:2: secret_env: 'A' is not given"));
}
END_TEST

/* As its keeper has it: read back. */
static struct plan *sandbox(const char *policy)
{
    own_plan struct plan *p = NULL;
    own_doc struct doc *d = NULL;
    struct plan *ret = NULL;

    ck_assert_msg(resolve(NULL, policy, "", "", &p) == 0, "%s", err.text);
    d = plan_to_doc(p);
    ck_assert_int_eq(doc_has(d, "secret_policies"), policy != NULL);
    ck_assert_msg(plan_from_doc(d, &ret, &err) == 0, "%s", err.text);
    return ret;
}

static int derive(const struct plan *base, const char *files, const char *env, struct plan **ret)
{
    own_strv struct strv f = words(files), v = words(env), argv = words("x");
    const struct strv none = {0};
    const struct plan_exec x = {.argv = &argv, .env = &none, .secrets = &f, .secret_env = &v};

    return plan_derive(base, &x, ret, &err);
}

START_TEST(commands_in_a_sandbox_get_what_its_policies_allow)
{
    static const struct {
        const char *policy, *files, *env, *says; /* NULL: allowed */
    } rows[] = {
        {NULL, "A", "B", NULL},
        {P("\"secrets\": [\"A\", \"B\"]"), "A", "B", NULL},
        {P("\"secrets\": []"), "", "", NULL},
        {P("\"secrets\": []"), "A", "", "--secret: 'A' is not allowed by p.json:2 (secrets)"},
        {P("\"secrets\": [\"A\"]"), "A", "B",
         "--secret-env: 'B' is not allowed by p.json:2 (secrets)"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own_plan struct plan *base = sandbox(rows[i].policy), *p = NULL, *of_fork = NULL;
        own_plan struct plan *fork = NULL;
        int want = rows[i].says ? -1 : 0;

        ck_assert_int_eq(derive(base, rows[i].files, rows[i].env, &p), want);
        if (rows[i].says)
            ck_assert_msg(err.class == ERR_REFUSED && strstr(err.text, rows[i].says), "row %zu: %s",
                          i, err.text);
        /* What comes of it has them too. */
        ck_assert_int_eq(derive(base, "", "", &fork), 0);
        ck_assert_int_eq(derive(fork, rows[i].files, rows[i].env, &of_fork), want);
    }
}
END_TEST

START_TEST(a_run_in_a_fork_is_within_the_policies_of_both)
{
    const char *now = P("\"secrets\": [\"B\", \"C\"]");
    own_plan struct plan *base = sandbox(P("\"secrets\": [\"A\", \"B\"]")), *p = NULL;
    own_strv struct strv none = {0};
    own_request struct request said = {0};
    own_policy struct policy policy = {0};
    struct plan_wish w = {.command_line = &said, .secret_env = &none};

    ck_assert_int_eq(policy_parse(now, strlen(now), "now.json", &policy, &err), 0);
    w.policies = (struct policies){&policy, 1};
    request_add(&said, KEY_COMMAND, "x");
    for (const char *name = "ABC"; *name; name++) {
        own_strv struct strv given = {0};

        strv_addf(&given, "%c", *name);
        w.secrets = &given;
        if (*name == 'B') {
            ck_assert_msg(plan_derive_wish(base, &w, &p, &err) == 0, "%s", err.text);
            continue;
        }
        ck_assert_int_eq(plan_derive_wish(base, &w, &p, &err), -1);
        ck_assert_int_eq(err.class, ERR_REFUSED);
        ck_assert_msg(strstr(err.text, *name == 'A' ? "now.json:2" : " p.json:2"), "%s", err.text);
    }
    ck_assert_uint_eq(p->secret_policies.n, 2);
}
END_TEST

START_TEST(a_rule_that_comes_later_gets_no_other_secret)
{
    own_plan struct plan *base = sandbox(P("\"secrets\": [\"A\"]"));
    own_strv struct strv rule = words("https://a.org,name=a,secret=B"), given = words("B");
    own_strv struct strv notes = {0};
    own_net_rules struct net_rules rules = {0};
    const struct policies none = {0};

    ck_assert_int_eq(plan_allow(base, &rule, &none, &given, &rules, &notes, &err), -1);
    ck_assert_msg(strstr(err.text, "--secret: 'B' is not allowed by p.json:2"), "%s", err.text);
}
END_TEST

SUITE("plan secrets", a_job_gets_the_secrets_of_its_manifest_as_it_says,
      what_is_missing_or_not_asked_for_is_refused_with_its_place,
      a_command_in_a_fork_gets_those_of_its_manifest,
      commands_in_a_sandbox_get_what_its_policies_allow,
      a_run_in_a_fork_is_within_the_policies_of_both, a_rule_that_comes_later_gets_no_other_secret)
