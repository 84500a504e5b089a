/* test_manifest_policy: promises of manifests and policies: what is refused, what decides. */
#include "base/file.h"
#include "base/own.h"
#include "plan/plan.h"
#include "tests/unit/suite.h"
#include "wrap/wrap.h"

#include <fcntl.h>
#include <string.h>

#define M(keys)  "{\"format\": \"lazaret-manifest\", \"version\": 1" keys "}"
#define P(keys)  "{\"format\": \"lazaret-policy\", \"version\": 1" keys "}"
#define DIGEST   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define N(array) (sizeof(array) / sizeof((array)[0]))

static struct request manifest(const char *text)
{
    struct request r = {0};
    struct err e;

    ck_assert_msg(request_parse(text, strlen(text), "agent.json", &r, &e) == 0, "%s", e.text);
    return r;
}

static struct policy policy(const char *text, const char *file)
{
    struct policy p = {0};
    struct err e;

    ck_assert_msg(policy_parse(text, strlen(text), file, &p, &e) == 0, "%s", e.text);
    return p;
}

START_TEST(a_wrong_manifest_is_refused_with_file_line_and_key)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"", "it ends too early"},
        {"[]", "it is not an object"},
        {"{}", "format"},
        {"{\"format\": \"lazaret-policy\", \"version\": 1}", "it is no lazaret-manifest"},
        {"{\"format\": \"lazaret-manifest\", \"version\": 2}", "'version' is not 1"},
        {M(",\n\"memroy\": \"1G\""), "agent.json:2: memroy: unknown key"},
        {M(",\n\n\"memory\": true"), "agent.json:3: memory: neither a whole number"},
        {M(",\n\"memory\": 1.5"), "agent.json:2: memory: neither a whole number"},
        {M(",\n\"memory\": \"lots\""), "agent.json:2: memory: 'lots' is not a size"},
        {M(",\n\"memory\": -1"), "agent.json:2: memory: neither"},
        {M(",\n\"memory\": \"99999T\""), "agent.json:2: memory: 99999T is out of range"},
        {M(",\n\"cpus\": 1000"), "agent.json:2: cpus: 1000 is out of range"},
        {M(",\n\"command\": \"true\""), "agent.json:2: command: key 'command' is not a array"},
        {M(",\n\"command\": [1]"), "agent.json:2: command: 'command' has an element"},
        {M(",\n\"writable\": 1"), "agent.json:2: writable: key 'writable' is not a boolean"},
        {M(",\n\"pids\": 4,\n\"pids\": 4000"), "agent.json:3: pids: it is in line 2 already"},
        {M(",\n\"p\\u0069ds\": 4"), "agent.json:2: unknown key 'p..."},
        {M(",\n\"PIDS\": 4"), "agent.json:2: unknown key"},
        {M(",\n\"env\": [{}]"), "agent.json:2: env: 'env' has an element"},
        {M(",\n\"env\": [\"A\"]"), "agent.json:2: env: 'A' is not NAME=VALUE"},
        {M(",\n\"env\": [\"A=1\", \"AB=1\",\n\"A=2\"]"),
         "agent.json:3: env[2]: 'A' is there twice"},
        {M(",\n\"name\": \"a b\""), "agent.json:2: name: 'a b' is no name"},
        {M(",\n\"machine\": \"pc\""), "agent.json:2: machine: 'pc' is not microvm or q35"},
        {M(",\n\"user\": \"0\""), "agent.json:2: user: a job never runs as root"},
        {M(",\n\"output_max\": 1"), "agent.json:2: output_max needs"},
        {M(",\n\"memory\": \"64M\",\n\"tmp\": \"65M\""),
         "agent.json:3: tmp: 65 MiB is above the memory, 64 MiB (agent.json:2)"},
        {M(",\"command\": [\"x\"],\n\"input_max\": 1"), "agent.json:2: input_max needs"},
        {M(",\"command\": [\"x\"],\n\"input_identity\": \"/k\""),
         "agent.json:2: input_identity needs exactly one"},
        {M(",\"command\": [\"x\"],\n\"output_recipients\": [\"age1\"]"),
         "agent.json:2: output_recipients needs"},
        {M(",\"command\": [\"x\"],\n\"read\": [\"in\"]"),
         "agent.json:2: read: 'in' is not an absolute path"},
        {M(",\n\"debug\": 1"), "agent.json:2: debug"},
        {M(",\n\"max_marks\": 3"), "agent.json:2: max_marks is for 'lazaret up'"},
        {M(",\n\"why\": {}"), "agent.json:2: why: not a list"},
        {M(",\n\"why\": [1]"), "agent.json:2: why[0]: not an object"},
        {M(",\n\"why\": [\n{\"key\": \"x\", \"by\": \"host\", \"text\": \"\"}]"),
         "agent.json:3: why[0]: key: there is no such one"},
        {M(",\n\"why\": [{\"key\": \"read\", \"by\": \"me\", \"text\": \"\"}]"),
         "why[0]: by: not host, guest or wish"},
        {M(",\n\"why\": [{\"key\": \"read\", \"by\": \"host\", \"text\": 1}]"),
         "why[0]: key 'text'"},
        {M(",\n\"memory\" \"1G\""), "agent.json:2: no ':'"},
        {M(",\n"), "agent.json:2: no key where one should be"},
        {M("") "x", "agent.json:1: more text behind its end"},
        {M(",\n\"image\": \"a\x01\""), "agent.json:2: a control character"},
        {M(",\n\"image\": tru"), "agent.json: text: not valid JSON"},
    };

    for (size_t i = 0; i < N(rows); i++) {
        own_request struct request r = {0};
        struct plan *p = NULL;
        struct err e = {0};
        int rc = request_parse(rows[i].text, strlen(rows[i].text), "agent.json", &r, &e);

        if (rc == 0)
            rc = plan_resolve(&(struct plan_wish){.manifest = &r}, &p, &e);
        ck_assert_msg(rc == -1, "row %zu", i);
        ck_assert_msg(e.class == ERR_USAGE || e.class == ERR_REFUSED, "row %zu", i);
        ck_assert_msg(strstr(e.text, rows[i].says), "row %zu: %s", i, e.text);
    }
}
END_TEST

START_TEST(a_wrong_policy_is_refused_with_file_line_and_key)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {M(""), "it is no lazaret-policy"},
        {P(",\n\"maxx\": {}"), "p.json:2: maxx: unknown key"},
        {P(",\n\"memory\": \"1G\""), "p.json:2: memory: unknown key"},
        {P(",\n\"max\": 4"), "p.json:2: max: not an object"},
        {P(",\n\"max\": {\n\"image\": 4}"), "p.json:3: max.image: there is no such number"},
        {P(",\n\"max\": {\n\"memory\": \"1K\"}"), "p.json:3: max.memory: 1K is out of range"},
        {P(",\n\"max\": {\n\"memory\": []}"), "p.json:3: max.memory: neither"},
        {P(",\n\"max\": {\"cpus\": 1,\n\"cpus\": 8}"), "p.json:3: max.cpus: it is in line 2"},
        {P(",\n\"max\": {\"tmp\": 4095}"), "max.tmp"},
        {P(",\n\"on_excess\": \"ask\""), "p.json:2: on_excess: neither refuse nor trim"},
        {P(",\n\"on_excess\": {\n\"cpus\": \"trim\"}"), "p.json:3: on_excess.cpus: it has no max"},
        {P(",\n\"images\": [\"default\"]"), "p.json:2: images: not sha256:HEX"},
        {P(",\n\"input_roots\": [\"data\"]"), "p.json:2: input_roots: not a real path"},
        {P(",\n\"output_roots\": [\"/a/../b\"]"), "p.json:2: output_roots: not a real path"},
        {P(",\n\"writable\": \"no\""), "p.json:2: writable: neither true nor false"},
        {P(",\n\"secrets\": [\"a b\"]"), "p.json:2: secrets: not a name"},
        {P(",\n\"allow_debug\": 0"), "p.json:2: allow_debug: neither true nor false"},
        {P(",\n\"require_amnesic\": []"), "p.json:2: require_amnesic: neither true nor false"},
        {P(",\n\"redact\": [\"*\"]"), "redact: not a text of 2 to 256 bytes"},
        {P(",\n\"require_record\": 1"), "require_record: neither true nor false"},
        {P(",\n\"record_max_age\": \"1y\""), "p.json:2: record_max_age: "},
        {P(",\n\"record_max_age\": \"0d\""), "p.json:2: record_max_age: it is 0"},
        {P(",\n\"records_max_size\": true"), "p.json:2: records_max_size: "},
        {P(",\n\"records_max_size\": 0"), "p.json:2: records_max_size: "},
    };

    for (size_t i = 0; i < N(rows); i++) {
        own_policy struct policy p = {0};
        struct err e = {0};

        ck_assert_msg(policy_parse(rows[i].text, strlen(rows[i].text), "p.json", &p, &e) == -1,
                      "row %zu", i);
        ck_assert_int_eq(e.class, ERR_USAGE);
        ck_assert_msg(strstr(e.text, rows[i].says), "row %zu: %s", i, e.text);
    }
}
END_TEST

static const char *const host = P(",\n\"max\": {\n\"memory\": \"2G\",\n\"timeout\": \"1h\",\n"
                                  "\"cpu_time\": \"1500ms\"},\n\"writable\": false,\n"
                                  "\"images\": [\"sha256:" DIGEST "\", \"key:" DIGEST "\"],\n"
                                  "\"input_roots\": [\"/srv/in\"],\n\"output_roots\": []");

START_TEST(what_is_above_a_policy_is_refused_with_both_places)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {M(",\n\"memory\": \"8G\""), "agent.json:2: memory: 8 GiB is above host.json:3 (2 GiB)"},
        {M(",\n\"timeout\": \"2h\""), "timeout: 7200.000 s is above host.json:4 (3600.000 s)"},
        {M(",\n\"cpu_time\": \"1100ms\""), "cpu_time: 2.000 s is above host.json:5 (1.000 s)"},
        {M(",\n\"writable\": true"), "agent.json:2: writable: not allowed by host.json:6"},
        {M(",\n\"inputs\": [\"/srv/in/a\", \"/srv/inside\"]"), "'/srv/inside' is below no folder"},
        {M(",\n\"inputs\": [\"/srv/in/../x\"]"), "is below no folder of host.json:8 (input_roots)"},
        {M(",\n\"output\": \"/tmp/x\""), "is below no folder of host.json:9 (output_roots)"},
    };
    own_policy struct policy p = policy(host, "host.json");
    const struct plan_image from = {.digest = DIGEST,
                                    .entrypoint = &(struct strv){0},
                                    .command = &(struct strv){0},
                                    .env = &(struct strv){0},
                                    .workdir = "/work",
                                    .uid = 1,
                                    .gid = 1};

    for (size_t i = 0; i < N(rows); i++) {
        own_request struct request r = manifest(rows[i].text);
        struct plan *plan = NULL;
        struct err e = {0};

        request_add(&r, KEY_COMMAND, "true");
        ck_assert_int_eq(
            plan_resolve(&(struct plan_wish){.manifest = &r, .from = &from, .policies = {&p, 1}},
                         &plan, &e),
            -1);
        ck_assert_int_eq(e.class, ERR_REFUSED);
        ck_assert_msg(strstr(e.text, rows[i].says), "row %zu: %s", i, e.text);
    }
}
END_TEST

static int resolve_texts(const char *asked, const char *allowed, struct plan **ret, struct err *e)
{
    own_request struct request r = manifest(asked);
    own_policy struct policy p = policy(allowed, "host.json");

    request_add(&r, KEY_COMMAND, "true");
    return plan_resolve(&(struct plan_wish){.manifest = &r, .policies = {&p, 1}}, ret, e);
}

START_TEST(a_policy_allows_debug_where_it_does_not_say_otherwise)
{
    const char *const asks = M(",\n\"debug\": true");
    own_plan struct plan *silent = NULL, *allowed = NULL, *refused = NULL, *plain = NULL;
    struct err e;

    ck_assert_int_eq(resolve_texts(asks, P(""), &silent, &e), 0);
    ck_assert_int_eq(resolve_texts(asks, P(",\n\"allow_debug\": true"), &allowed, &e), 0);
    ck_assert(silent->debug && allowed->debug);
    ck_assert_int_eq(resolve_texts(asks, P(",\n\"allow_debug\": false"), &refused, &e), -1);
    ck_assert_int_eq(e.class, ERR_REFUSED);
    ck_assert_str_eq(e.text, "agent.json:2: debug: not allowed by host.json:2 (allow_debug)");
    ck_assert_int_eq(resolve_texts(M(""), P(",\n\"allow_debug\": false"), &plain, &e), 0);
}
END_TEST

START_TEST(a_policy_may_require_layers_and_none_is_taken_for_granted)
{
    own_request struct request r = {0};
    own_policy struct policy p =
        policy(P(",\n\"required_layers\": [\"calls\", \"landlock\"]"), "host.json");
    struct plan_wish w = {.command_line = &r, .policies = {&p, 1}};
    own_strv struct strv some = {0}, all = {0};
    own_plan struct plan *plan = NULL;
    struct wrap_layer layers[WRAP_LAYERS];
    struct err e;

    request_add(&r, KEY_COMMAND, "true");
    strv_add(&some, "calls");
    strv_add(&all, "landlock");
    strv_add(&all, "calls");
    ck_assert_int_eq(plan_resolve(&w, &plan, &e), -1); /* nobody says what there is */
    ck_assert_int_eq(e.class, ERR_REFUSED);
    w.layers = &some;
    ck_assert_int_eq(plan_resolve(&w, &plan, &e), -1);
    ck_assert_msg(strstr(e.text, "'landlock'") && strstr(e.text, "host.json:2 (required_layers)"),
                  "%s", e.text);
    w.layers = &all;
    ck_assert_msg(plan_resolve(&w, &plan, &e) == 0, "%s", e.text);
    /* Those that can be required are those that are told of. */
    wrap_look(NULL, layers);
    for (size_t i = 0; i < WRAP_LAYERS; i++)
        ck_assert_str_eq(layers[i].name, policy_layers[i]);
    ck_assert_ptr_null(policy_layers[WRAP_LAYERS]);
}
END_TEST

START_TEST(of_what_policies_let_records_have_the_least_counts)
{
    own_policy struct policy first =
        policy(P(",\n\"record_max_age\": \"30d\", \"records_max_size\": \"1M\""), "host.json");
    own_policy struct policy second = policy(P(",\n\"record_max_age\": \"12h\""), "own.json");
    own_policy struct policy third = policy(P(""), "none.json");
    const struct policy all[] = {first, second, third};
    uint64_t age_ms = UINT64_MAX, bytes = UINT64_MAX;

    policies_bound_retention(&(struct policies){all + 2, 1}, &age_ms, &bytes);
    ck_assert(age_ms == UINT64_MAX && bytes == UINT64_MAX);
    policies_bound_retention(&(struct policies){all, 1}, &age_ms, &bytes);
    ck_assert_uint_eq(age_ms, 30ull * 24 * 3600 * 1000);
    policies_bound_retention(&(struct policies){all, 3}, &age_ms, &bytes);
    ck_assert_uint_eq(age_ms, 12ull * 3600 * 1000);
    ck_assert_uint_eq(bytes, 1u << 20);
    age_ms = bytes = 0; /* what was asked for is less */
    policies_bound_retention(&(struct policies){all, 3}, &age_ms, &bytes);
    ck_assert(age_ms == 0 && bytes == 0);
}
END_TEST

START_TEST(a_policy_may_require_records_and_say_what_is_on_them)
{
    own_policy struct policy first =
        policy(P(",\n\"redact\": [\"sk-*\", \"a name\"]"), "host.json");
    own_policy struct policy second =
        policy(P(",\n\"require_record\": true, \"record_content\": false, "
                 "\"record_changes\": true, \"redact\": [\"sk-*\"]"),
               "own.json");
    const struct policy both[] = {first, second};
    own_plan struct plan *plan = NULL, *read = NULL, *none = NULL, *derived = NULL, *off = NULL;
    own_request struct request r = {0};
    own_doc struct doc *d = NULL;
    struct plan_wish w = {.command_line = &r, .policies = {both, 2}};
    struct err e;

    request_add(&r, KEY_COMMAND, "true");
    ck_assert_msg(plan_resolve(&w, &plan, &e) == 0, "%s", e.text);
    ck_assert(!plan->record.off && plan->record.no_content && plan->record.changes);
    ck_assert_uint_eq(plan->record.redact.n, 2);
    /* A fork finds it where its sandbox was written down. */
    d = plan_to_doc(plan);
    ck_assert_msg(plan_from_doc(d, &read, &e) == 0, "%s", e.text);
    ck_assert(!read->record.off && read->record.no_content && read->record.changes);
    ck_assert_uint_eq(read->record.redact.n, 2);
    w.record.off = true;
    ck_assert_int_eq(plan_resolve(&w, &none, &e), -1);
    ck_assert_int_eq(e.class, ERR_REFUSED);
    ck_assert_str_eq(e.text, "--no-record: not allowed by own.json:2 (require_record)");
    ck_assert_int_eq(plan_derive_wish(read, &w, &none, &e), -1);
    ck_assert_int_eq(e.class, ERR_REFUSED);
    w.policies.n = 1;
    ck_assert_msg(plan_resolve(&w, &off, &e) == 0, "%s", e.text);
    ck_assert(off->record.off && !off->record.changes);
    w.record.changes = true;
    ck_assert_int_eq(plan_resolve(&w, &none, &e), -1);
    ck_assert_int_eq(e.class, ERR_USAGE);
    w.record.changes = false;
    /* What a sandbox was not to have on record its fork has not either. */
    w.record.off = false;
    ck_assert_msg(plan_derive_wish(read, &w, &derived, &e) == 0, "%s", e.text);
    ck_assert(derived->record.no_content && derived->record.redact.n == 2);
}
END_TEST

START_TEST(a_policy_may_let_amnesic_guests_only)
{
    const char *const host_says = P(",\n\"require_amnesic\": true");
    own_plan struct plan *amnesic = NULL, *derived = NULL, *plain = NULL, *refused = NULL;
    own_request struct request r = {0};
    own_policy struct policy p = policy(host_says, "host.json");
    const struct plan_wish w = {.command_line = &r, .policies = {&p, 1}};
    struct err e;

    ck_assert_int_eq(resolve_texts(M(""), host_says, &refused, &e), -1);
    ck_assert_int_eq(e.class, ERR_REFUSED);
    ck_assert(strstr(e.text, "host.json:2 (require_amnesic)") != NULL);
    ck_assert_int_eq(resolve_texts(M(",\n\"amnesic\": true"), host_says, &amnesic, &e), 0);
    ck_assert(amnesic->amnesic);
    ck_assert_str_eq(amnesic->decided[KEY_AMNESIC], "agent.json:2");
    /* A fork is what its sandbox is. */
    request_add(&r, KEY_COMMAND, "true");
    ck_assert_int_eq(plan_derive_wish(amnesic, &w, &derived, &e), 0);
    ck_assert_int_eq(resolve_texts(M(""), P(""), &plain, &e), 0);
    ck_assert_int_eq(plan_derive_wish(plain, &w, &refused, &e), -1);
    ck_assert_int_eq(e.class, ERR_REFUSED);
}
END_TEST

START_TEST(an_image_is_allowed_by_its_digest_or_a_signer)
{
    static char other[] = "ff23456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    char *ids[] = {(char[]){DIGEST}, NULL};
    const struct strv signers = {.items = ids, .n = 1};
    own_policy struct policy p = policy(host, "host.json");
    const struct policies ps = {&p, 1};
    struct err e;

    ck_assert_int_eq(policy_check_image(&ps, DIGEST, NULL, "--image", &e), 0);
    ck_assert_int_eq(policy_check_image(&ps, other, &signers, "--image", &e), 0);
    ck_assert_int_eq(policy_check_image(&ps, other, NULL, "--image", &e), -1);
    ck_assert_int_eq(e.class, ERR_REFUSED);
    ck_assert(strstr(e.text, "host.json:7") != NULL);
    ck_assert_int_eq(policy_check_image(&ps, NULL, NULL, "--image", &e), -1);
}
END_TEST

START_TEST(each_key_says_who_decided_it)
{
    own_request struct request m = manifest(M(",\n\"memory\": \"1G\",\n\"cpus\": 2,\n"
                                              "\"env\": [\"A=1\", \"B=1\"]"));
    own_request struct request c = {0};
    own_policy struct policy p = policy(P(",\n\"max\": {\"timeout\": 60}"), "p.json");
    own_plan struct plan *plan = NULL;
    own_free char *text = NULL;
    struct err e;

    request_add(&c, KEY_CPUS, "3");
    request_add(&c, KEY_ENV, "B=2");
    request_add(&c, KEY_COMMAND, "true");
    ck_assert_int_eq(
        plan_resolve(&(struct plan_wish){.manifest = &m, .command_line = &c, .policies = {&p, 1}},
                     &plan, &e),
        0);
    ck_assert_str_eq(plan->decided[KEY_MEMORY], "agent.json:2");
    ck_assert_str_eq(plan->decided[KEY_CPUS], "command line");
    ck_assert_uint_eq(plan->cpus, 3);
    ck_assert_str_eq(plan->decided[KEY_DISK], "default");
    ck_assert_str_eq(plan->decided[KEY_TIMEOUT], "p.json:2");
    ck_assert_uint_eq(plan->timeout_ms, 60000);
    ck_assert_uint_eq(plan->trimmed.n, 0);
    text = plan_to_text(plan);
    for (size_t i = 0; i < plan->env.n; i++) {
        if (strcmp(plan->env.items[i], "A=1") == 0)
            ck_assert_str_eq(plan->env_from.items[i], "agent.json:4");
        if (strcmp(plan->env.items[i], "B=2") == 0)
            ck_assert_str_eq(plan->env_from.items[i], "command line");
        ck_assert_str_ne(plan->env.items[i], "B=1");
    }
    ck_assert(strstr(text, "agent.json:2\n") && strstr(text, "p.json:2\n"));
}
END_TEST

START_TEST(secrets_are_shown_by_name_and_a_list_with_who_gave_it)
{
    own_request struct request m = manifest(M(",\n\"read\": [\"/in\", \"/usr\"],\n"
                                              "\"amnesic\": true,\n\"secrets\": [\"token\"]"));
    char *names[] = {(char[]){"token"}, NULL};
    const struct strv secrets = {.items = names, .n = 1};
    own_plan struct plan *plan = NULL;
    own_free char *text = NULL;
    struct err e;

    request_add(&m, KEY_COMMAND, "true");
    ck_assert_int_eq(
        plan_resolve(&(struct plan_wish){.manifest = &m, .secrets = &secrets}, &plan, &e), 0);
    text = plan_to_text(plan);
    ck_assert_ptr_nonnull(strstr(text, "\nread              /in /usr    "));
    ck_assert_ptr_nonnull(strstr(text, " agent.json:2\n"));
    ck_assert_ptr_nonnull(strstr(text, "\nsecrets           token    "));
    ck_assert_ptr_nonnull(strstr(text, " agent.json:4\n"));
    ck_assert_ptr_nonnull(strstr(text, "\namnesic_bytes "));
}
END_TEST

START_TEST(the_name_of_a_manifest_is_in_the_plan_of_what_it_asks_for)
{
    own_request struct request m = manifest(M(",\n\"name\": \"nightly\""));
    const struct plan_wish wish = {.manifest = &m};
    own_plan struct plan *plan = NULL, *again = NULL, *job = NULL, *forked = NULL;
    own_doc struct doc *d = NULL;
    own_free char *text = NULL;
    struct err e;

    request_add(&m, KEY_COMMAND, "true");
    ck_assert_int_eq(plan_resolve(&wish, &plan, &e), 0);
    text = plan_to_text(plan);
    ck_assert_ptr_nonnull(strstr(text, "name              nightly "));
    ck_assert_ptr_nonnull(strstr(text, " agent.json:2\n"));
    d = plan_to_doc(plan);
    ck_assert_int_eq(plan_from_doc(d, &again, &e), 0);
    ck_assert_str_eq(again->name, "nightly");
    /* Another command in its guest is not what the manifest asked for; a run in a fork has its own.
     */
    ck_assert_int_eq(plan_derive(again,
                                 &(struct plan_exec){.argv = &plan->argv, .env = &(struct strv){0}},
                                 &job, &e),
                     0);
    ck_assert_ptr_null(job->name);
    ck_assert_int_eq(plan_derive_wish(job, &wish, &forked, &e), 0);
    ck_assert_str_eq(forked->name, "nightly");
}
END_TEST

START_TEST(where_the_policy_says_trim_a_wish_is_trimmed_and_said)
{
    own_request struct request m = manifest(M(",\n\"memory\": \"8G\",\n\"tmp\": \"4G\""));
    struct policy both[] = {
        policy(P(",\n\"max\": {\"memory\": \"2G\"}, \"on_excess\": \"trim\""), "host.json"),
        policy(P(",\n\"max\": {\"memory\": \"1G\"}, \"on_excess\": {\"memory\": \"trim\"}"),
               "user.json")};
    own_plan struct plan *plan = NULL;
    struct plan *none = NULL;
    struct err e;

    request_add(&m, KEY_COMMAND, "true");
    ck_assert_int_eq(
        plan_resolve(&(struct plan_wish){.manifest = &m, .policies = {both, 2}}, &plan, &e), 0);
    ck_assert_uint_eq(plan->memory_bytes, 1024 * PLAN_MIB);
    ck_assert_uint_eq(plan->tmp_bytes, 1024 * PLAN_MIB);
    ck_assert_str_eq(plan->decided[KEY_MEMORY], "user.json:2");
    ck_assert_str_eq(plan->trimmed.items[0],
                     "agent.json:2: memory: 8 GiB is trimmed to 1 GiB by user.json:2");
    /* One that refuses is not softened by another that trims. */
    both[0].max[KEY_MEMORY].trim = false;
    ck_assert_int_eq(
        plan_resolve(&(struct plan_wish){.manifest = &m, .policies = {both, 2}}, &none, &e), -1);
    ck_assert_int_eq(e.class, ERR_REFUSED);
    policy_done(&both[0]);
    policy_done(&both[1]);
}
END_TEST

START_TEST(a_command_in_a_sandbox_stays_below_the_deadline_of_its_policy)
{
    own_policy struct policy p = policy(P(",\n\"max\": {\"timeout\": 60}"), "p.json");
    char *words[] = {(char[]){"true"}, NULL};
    const struct strv argv = {.items = words, .n = 1}, none = {0};
    own_plan struct plan *base = NULL, *job = NULL;
    struct plan_exec x = {.argv = &argv, .env = &none};
    struct err e;

    ck_assert_int_eq(
        plan_resolve(&(struct plan_wish){.use = KEY_OF_UP, .policies = {&p, 1}}, &base, &e), 0);
    ck_assert_int_eq(plan_derive(base, &x, &job, &e), 0);
    ck_assert_uint_eq(job->timeout_ms, 60000);
    x.timeout_ms = 60001;
    ck_assert_int_eq(plan_derive(base, &x, &job, &e), -1);
    ck_assert_int_eq(e.class, ERR_REFUSED);
}
END_TEST

START_TEST(the_examples_are_what_they_say)
{
    own_request struct request r = {0};
    own_policy struct policy p = {0};
    own_plan struct plan *plan = NULL;
    own_free char *m = NULL, *q = NULL;
    size_t m_len, q_len;
    struct err e;

    ck_assert_int_eq(
        file_read(AT_FDCWD, GOLDEN_DIR "/../../vmm/plan/examples/agent.json", 4096, &m, &m_len, &e),
        0);
    ck_assert_int_eq(file_read(AT_FDCWD, GOLDEN_DIR "/../../vmm/plan/examples/policy.json", 4096,
                               &q, &q_len, &e),
                     0);
    ck_assert_msg(request_parse(m, m_len, "agent.json", &r, &e) == 0, "%s", e.text);
    ck_assert_msg(policy_parse(q, q_len, "policy.json", &p, &e) == 0, "%s", e.text);
    ck_assert_msg(
        plan_resolve(&(struct plan_wish){.manifest = &r, .policies = {&p, 1}}, &plan, &e) == 0,
        "%s", e.text);
    ck_assert_uint_eq(plan->open_files, 256);
}
END_TEST

SUITE("manifest and policy", a_wrong_manifest_is_refused_with_file_line_and_key,
      a_wrong_policy_is_refused_with_file_line_and_key,
      what_is_above_a_policy_is_refused_with_both_places,
      a_policy_allows_debug_where_it_does_not_say_otherwise,
      a_policy_may_require_layers_and_none_is_taken_for_granted,
      a_policy_may_require_records_and_say_what_is_on_them,
      of_what_policies_let_records_have_the_least_counts, a_policy_may_let_amnesic_guests_only,
      an_image_is_allowed_by_its_digest_or_a_signer, each_key_says_who_decided_it,
      secrets_are_shown_by_name_and_a_list_with_who_gave_it,
      the_name_of_a_manifest_is_in_the_plan_of_what_it_asks_for,
      where_the_policy_says_trim_a_wish_is_trimmed_and_said,
      a_command_in_a_sandbox_stays_below_the_deadline_of_its_policy, the_examples_are_what_they_say)
