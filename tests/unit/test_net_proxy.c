/* test_net_proxy: promises of the host's proxy as the way out: how it is named, what it is for, who
 * may ask for it, and how its answer is read. */
#include "base/own.h"
#include "gateway/parent.h"
#include "plan/plan.h"
#include "tests/unit/suite.h"

#include <string.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define P(keys)  "{\"format\": \"lazaret-policy\", \"version\": 1" keys "}"

START_TEST(a_proxy_is_read_with_its_login_apart)
{
    static const struct {
        const char *url, *text, *login;
    } rows[] = {
        {"http://proxy.example.org:3128", "proxy.example.org:3128", NULL},
        {"HTTP://Proxy.Example.ORG:3128/", "proxy.example.org:3128", NULL},
        {"proxy:8080", "proxy:8080", NULL},
        {"http://10.0.0.1:3128", "10.0.0.1:3128", NULL},
        {"http://[FD00::1]:3128", "[fd00::1]:3128", NULL},
        {"http://u:p@proxy:1", "proxy:1", "u:p"},
        {"u%40b:p%3a%25@proxy:1", "proxy:1", "u@b:p:%"},
        {"http://u:p@q@proxy:1", "proxy:1", "u:p@q"},
        {"http://only@proxy:1", "proxy:1", "only:"},
        {"http://u:p://x@proxy:1", "proxy:1", "u:p://x"},
    };

    for (size_t i = 0; i < N(rows); i++) {
        own_net_proxy struct net_proxy p = {0};
        own_free char *login = NULL, *text = NULL;
        own_strv struct strv notes = {0};
        struct err e;

        ck_assert_msg(net_proxy_parse("https_proxy", rows[i].url, NULL, &p, &login, &notes, &e) ==
                          0,
                      "%s: %s", rows[i].url, e.text);
        text = net_proxy_text(&p);
        ck_assert_str_eq(text, rows[i].text);
        ck_assert_pstr_eq(login, rows[i].login);
        ck_assert(net_proxy_is_text(text));
        ck_assert(net_proxy_leads_to(&p, "a.org"));
    }
}
END_TEST

START_TEST(what_names_no_proxy_is_refused_without_saying_it)
{
    static const char *const bad[] = {
        "",
        "http://",
        "proxy",
        "http://proxy",
        "http://proxy:0",
        "http://proxy:70000",
        "http://proxy:1/path",
        "http://proxy:1?q",
        "http://*.example.org:1",
        "http://proxy:1,bytes=1",
        "http://a b:1",
        "http://127.1:1",
        "http://x.lazaret:1",
        "https://hidden:sesame@proxy:1",
        "socks5h://hidden:sesame@proxy:1",
        "http://hidden:sesame%@proxy:1",
        "http://hidden:sesame%0a@proxy:1",
        "http://hidden:sesame%00@proxy:1",
        "http://hidden:ses\name@proxy:1",
        "http://hidden:sesame@",
    };

    for (size_t i = 0; i < N(bad); i++) {
        own_net_proxy struct net_proxy p = {0};
        own_free char *login = NULL;
        own_strv struct strv notes = {0};
        struct err e;

        ck_assert_msg(net_proxy_parse("https_proxy", bad[i], NULL, &p, &login, &notes, &e) < 0,
                      "%s", bad[i]);
        ck_assert_int_eq(e.class, ERR_USAGE);
        ck_assert_msg(strncmp(e.text, "https_proxy: ", 13) == 0, "%s", e.text);
        ck_assert_msg(!strstr(e.text, "hidden") && !strstr(e.text, "ses"), "%s", e.text);
        ck_assert_ptr_null(p.host);
        ck_assert_ptr_null(login);
    }
}
END_TEST

START_TEST(no_proxy_says_what_is_reached_directly)
{
    static const struct {
        const char *no_proxy, *host;
        bool direct;
    } rows[] = {
        {"a.org", "a.org", true},
        {"a.org", "x.a.org", true},
        {"a.org", "ba.org", false},
        {".A.org", "x.a.org", true},
        {"*.a.org", "a.org", true},
        {"b.org, a.org", "a.org", true},
        {"b.org a.org", "a.org", true},
        {"*", "any.org", true},
        {"10.0.0.0/8", "10.1.2.3", true},
        {"10.0.0.0/8", "11.1.2.3", false},
        {"10.0.0.1", "10.0.0.1", true},
        {"::1", "::1", true},
        {"[fd00::1]", "fd00::1", true},
        {"fd00::/8", "fd12::1", true},
        {"fd00::/8", "10.0.0.1", false},
        {"localhost", "localhost", true},
        {"", "a.org", false},
        {",,", "a.org", false},
    };

    for (size_t i = 0; i < N(rows); i++) {
        own_net_proxy struct net_proxy p = {0};
        own_free char *login = NULL;
        own_strv struct strv notes = {0};
        struct err e;

        ck_assert_int_eq(net_proxy_parse("x", "proxy:1", rows[i].no_proxy, &p, &login, &notes, &e),
                         0);
        ck_assert_msg(net_proxy_leads_to(&p, rows[i].host) == !rows[i].direct, "%s: %s",
                      rows[i].no_proxy, rows[i].host);
        ck_assert_uint_eq(notes.n, 0);
    }
}
END_TEST

START_TEST(what_of_no_proxy_is_not_understood_is_said)
{
    own_net_proxy struct net_proxy p = {0};
    own_free char *login = NULL;
    own_strv struct strv notes = {0};
    struct err e;

    ck_assert_int_eq(net_proxy_parse("x", "proxy:1", "169.254/16,a.org,10.0.0.1/8,b.org:80,\x01",
                                     &p, &login, &notes, &e),
                     0);
    ck_assert_uint_eq(p.direct.n, 1);
    ck_assert_uint_eq(notes.n, 4);
    ck_assert_msg(strstr(notes.items[0], "no_proxy: '169.254/16' is not understood"), "%s",
                  notes.items[0]);
    for (size_t i = 0; i < notes.n; i++)
        ck_assert(str_is_printable(notes.items[i], 256));
}
END_TEST

/* ---- in a plan ---- */

static struct plan *resolve(const struct policies *ps, const char *rule, struct err *e)
{
    own_request struct request given = {0};
    own_net_proxy struct net_proxy p = {0};
    own_free char *login = NULL;
    own_strv struct strv notes = {0};
    struct plan_wish w = {.command_line = &given, .egress_proxy = &p};
    struct plan *plan = NULL;

    ck_assert_int_eq(net_proxy_parse("https_proxy", "http://user:word@proxy.corp:3128", "near.org",
                                     &p, &login, &notes, e),
                     0);
    request_add(&given, KEY_COMMAND, "x");
    if (rule)
        request_add(&given, KEY_NETWORK, rule);
    if (ps)
        w.policies = *ps;
    return plan_resolve(&w, &plan, e) < 0 ? NULL : plan;
}

START_TEST(the_proxy_is_in_the_plan_and_its_login_is_not)
{
    struct err e;
    own_plan struct plan *plan = resolve(NULL, "https://a.org", &e), *again = NULL, *job = NULL;
    own_plan struct plan *none = resolve(NULL, NULL, &e);
    own_doc struct doc *d = plan_to_doc(plan), *told = NULL;
    own_free char *json = doc_format(d, false), *text = plan_to_text(plan), *way = NULL;
    struct strv argv = {0};

    ck_assert_ptr_nonnull(strstr(json, "\"egress_proxy\":{\"at\":\"proxy.corp:3128\",\"direct\":["
                                       "\"near.org\"],\"from\":\"https_proxy\"}"));
    ck_assert_ptr_nonnull(strstr(text, "egress_proxy      proxy.corp:3128"));
    ck_assert_ptr_nonnull(strstr(text, "egress_direct     near.org"));
    ck_assert(!strstr(json, "word") && !strstr(text, "word"));
    ck_assert_int_eq(plan_from_doc(d, &again, &e), 0);
    told = plan_network_to_doc(again);
    way = doc_format(told, false);
    ck_assert_ptr_nonnull(strstr(way, "proxy.corp:3128"));
    ck_assert_ptr_null(none->egress_proxy.host); /* without rules there is no way out at all */
    strv_add(&argv, "y");
    ck_assert_int_eq(
        plan_derive(again, &(struct plan_exec){.argv = &argv, .env = &(struct strv){0}}, &job, &e),
        0);
    ck_assert_str_eq(job->egress_proxy.host, "proxy.corp");
    strv_done(&argv);
}
END_TEST

START_TEST(a_policy_that_bounds_the_network_has_to_name_the_proxy)
{
    static const struct {
        const char *policy, *why; /* NULL: it is taken */
    } rows[] = {
        {P(""), NULL},
        {P(", \"network_ranges\": []"), NULL},
        {P(", \"network\": [\"https://*\"]"),
         "--egress-proxy: proxy.corp:3128 is not allowed by p.json:1"},
        {P(", \"network\": [\"https://*\"], \"egress_proxies\": [\"proxy.corp:80\"]"),
         "is not allowed"},
        {P(", \"network\": [\"https://*\"], \"egress_proxies\": [\"proxy.corp:3128\"]"), NULL},
        {P(", \"egress_proxies\": []"), "is not allowed by p.json:1 (egress_proxies)"},
    };

    for (size_t i = 0; i < N(rows); i++) {
        own_policy struct policy p = {0};
        struct err e;
        own_plan struct plan *plan = NULL;

        ck_assert_int_eq(policy_parse(rows[i].policy, strlen(rows[i].policy), "p.json", &p, &e), 0);
        plan = resolve(&(struct policies){.items = &p, .n = 1}, "https://a.org", &e);
        ck_assert_msg((plan != NULL) == !rows[i].why, "%s", rows[i].policy);
        if (plan)
            continue;
        ck_assert_int_eq(e.class, ERR_REFUSED);
        ck_assert_msg(strstr(e.text, rows[i].why), "%s", e.text);
    }
}
END_TEST

START_TEST(a_policy_names_proxies_in_one_spelling)
{
    static const char *const bad[] = {"proxy", "Proxy:1", "http://proxy:1", "[FD00::1]:1", "*:1"};

    for (size_t i = 0; i < N(bad); i++) {
        own_free char *text = str_printf(P(", \"egress_proxies\": [\"%s\"]"), bad[i]);
        own_policy struct policy p = {0};
        struct err e;

        ck_assert_msg(policy_parse(text, strlen(text), "p.json", &p, &e) < 0, "%s", bad[i]);
        ck_assert_msg(strstr(e.text, "p.json:1: egress_proxies: not HOST:PORT"), "%s", e.text);
    }
}
END_TEST

/* ---- its answer ---- */

START_TEST(an_answer_is_the_same_however_it_is_cut)
{
    static const char head[] = "HTTP/1.1 407 no\r\nA: b\r\n\r\n", rest[] = "\r\nmore";
    own_free char *all = str_printf("%s%s", head, rest);
    const size_t len = strlen(all);

    for (size_t cut = 0; cut <= len; cut++) {
        struct parent_answer a = {0};
        size_t used = 0, first;
        int rc = parent_feed(&a, (const uint8_t *)all, cut, &used);

        first = used;
        if (rc == 0)
            rc = parent_feed(&a, (const uint8_t *)all + cut, len - cut, &used);
        ck_assert_int_eq(rc, 1);
        ck_assert_uint_eq(a.status, 407);
        ck_assert_uint_eq(first < strlen(head) ? first + used : first, strlen(head));
    }
}
END_TEST

START_TEST(a_login_is_said_as_the_standard_says)
{
    own_free char *line = parent_login("Aladdin:open sesame"); /* RFC 7617 */
    own_free char *question = parent_question("fd00::1", 443, line);

    ck_assert_str_eq(line, "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n");
    ck_assert_str_eq(question, "CONNECT [fd00::1]:443 HTTP/1.1\r\nHost: [fd00::1]:443\r\n"
                               "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n");
}
END_TEST

SUITE("net_proxy", a_proxy_is_read_with_its_login_apart,
      what_names_no_proxy_is_refused_without_saying_it, no_proxy_says_what_is_reached_directly,
      what_of_no_proxy_is_not_understood_is_said, the_proxy_is_in_the_plan_and_its_login_is_not,
      a_policy_that_bounds_the_network_has_to_name_the_proxy,
      a_policy_names_proxies_in_one_spelling, an_answer_is_the_same_however_it_is_cut,
      a_login_is_said_as_the_standard_says)
