/* test_net_rules: promises of the network's rules: what one says, lets through, and covers. */
#include "base/own.h"
#include "plan/net.h"
#include "tests/unit/suite.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static void take(struct net_rules *rules, const char *text, enum net_use use)
{
    struct net_rule r = {0};
    struct err e;

    if (net_rule_parse(text, use, "here", &r, &e) < 0)
        ck_abort_msg("%s: %s", text, e.text);
    net_rules_take(rules, &r);
}

START_TEST(a_rule_is_written_as_it_is_read)
{
    /* NULL: the same. */
    static const char *const rows[][2] = {
        {"https://api.example.org", NULL},
        {"https://API.Example.ORG:443/", "https://api.example.org"},
        {"https://*.example.org:8443", NULL},
        {"http://mirror.example.org:80", "http://mirror.example.org"},
        {"http://a_b.example.org:8080", NULL},
        {"tcp://git.example.org:22", NULL},
        {"tcp://10.0.0.1:443", NULL},
        {"https://[2001:DB8:0::1]", "https://[2001:db8::1]"},
        {"tcp://[::1]:22", NULL},
        {"https://localhost", NULL},
        {"https://a.example,bytes=1M,rate=2K,streams=3",
         "https://a.example,bytes=1048576,rate=2048,streams=3"},
        {"https://a.example/v1/,name=api,methods=GET+POST", NULL},
        {"https://a.example,name=api,secret=KEY",
         "https://a.example,name=api,secret=KEY,header=Authorization: Bearer {}"},
        {"https://a.example,secret=KEY,name=a-1,header=X-Key: a, b={}, c",
         "https://a.example,name=a-1,secret=KEY,header=X-Key: a, b={}, c"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own_net_rules struct net_rules rules = {0}, again = {0};
        own_free char *text = NULL, *second = NULL;
        own_doc struct doc *d = NULL;
        struct err e;

        take(&rules, rows[i][0], NET_OF_WISH);
        text = net_rule_text(&rules.items[0]);
        ck_assert_str_eq(text, rows[i][1] ? rows[i][1] : rows[i][0]);
        d = net_rules_to_doc(&rules);
        if (net_rules_from_doc(d, &again, &e) < 0)
            ck_abort_msg("%s", e.text);
        second = net_rule_text(&again.items[0]);
        ck_assert_str_eq(second, text);
        ck_assert_str_eq(again.items[0].from, "here");
    }
}
END_TEST

START_TEST(what_contradicts_itself_is_refused_in_words)
{
    static const struct {
        const char *text, *why;
        enum net_use use;
    } rows[] = {
        {"", "begins with none"},
        {"example.org", "begins with none"},
        {"ftp://example.org", "begins with none"},
        {"HTTPS://example.org", "begins with none"},
        {"https://", "names no host"},
        {"https://*", "for policies only"},
        {"https://a.*.example", "names no host"},
        {"https://*example.org", "names no host"},
        {"https://*.", "names no host"},
        {"https://*.10.0.0.1", "names no host"},
        {"https://user@example.org", "names no host"},
        {"https://example.org.", "names no host"},
        {"https://exa mple.org", "names no host"},
        {"https://-a.org", "names no host"},
        {"https://a-.org", "names no host"},
        {"https://b\xc3\xbc.org", "names no host"},
        {"https://127.1", "names no host"},
        {"https://2130706433", "names no host"},
        {"https://0x7f.0x1", "names no host"},
        {"https://1.2.3.256", "names no host"},
        {"https://[1.2.3.4]", "no IPv6 address"},
        {"https://[::1", "names no host"},
        {"https://::1", "names no host"},
        {"https://api.lazaret", "clear side's own"},
        {"https://lazaret", "clear side's own"},
        {"https://*.lazaret", "clear side's own"},
        {"https://a.org:0", "out of range"},
        {"https://a.org:65536", "out of range"},
        {"https://a.org:", "not a whole number"},
        {"https://a.org:+1", "not a whole number"},
        {"tcp://a.org", "needs a port"},
        {"https://a.org?x", "names no host"},
        {"https://a.org/x?y,name=a", "not plain"},
        {"https://a.org/../x,name=a", "not plain"},
        {"https://a.org//x,name=a", "not plain"},
        {"https://a.org/%2e,name=a", "not plain"},
        {"https://a.org,x=y", "unknown key 'x'"},
        {"https://a.org,to=y", "unknown key 'to'"},
        {"https://a.org,from=y", "unknown key 'from'"},
        {"https://a.org,", "not ',key=value'"},
        {"https://a.org,name", "not ',key=value'"},
        {"https://a.org,name=", "name:"},
        {"https://a.org,name=A", "name:"},
        {"https://a.org,name=-a", "name:"},
        {"https://a.org,name=a.b", "name:"},
        {"https://a.org,name=a,name=b", "there twice"},
        {"https://a.org,name=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "name:"},
        {"https://a.org,name=a,methods=get", "methods:"},
        {"https://a.org,name=a,methods=GET+", "methods:"},
        {"https://a.org,name=a,methods=GET+GET", "there twice"},
        {"https://a.org,bytes=0", "out of range"},
        {"https://a.org,rate=1", "out of range"},
        {"https://a.org,streams=257", "out of range"},
        {"https://a.org/v1", "with a name only"},
        {"https://a.org,methods=GET", "with a name only"},
        {"https://a.org,secret=K", "with a name only"},
        {"tcp://a.org:1,name=a", "no names"},
        {"https://*.a.org,name=a", "needs one host"},
        {"http://a.org,name=a,secret=K", "https:// only"},
        {"https://a.org,name=a,header=X: {}", "no secret"},
        {"https://a.org,name=a,secret=K,header=X: y", "exactly one {}"},
        {"https://a.org,name=a,secret=K,header=X: {}{}", "exactly one {}"},
        {"https://a.org,name=a,secret=K,header=X{}: y", "not 'Name: value'"},
        {"https://a.org,name=a,secret=K,header=X:{}", "not 'Name: value'"},
        {"https://a.org,name=a,secret=K,header=: {}", "not 'Name: value'"},
        {"https://a.org,name=a,secret=K,header=X: {}\r\nY: z", "not 'Name: value'"},
        {"https://a.org,name=a,secret=K,header=Host: {}", "not for secrets"},
        {"https://a.org,name=a,secret=K,header=content-length: {}", "not for secrets"},
        {"https://a.org,name=a,secret=K,header=Proxy-Authorization: {}", "not for secrets"},
        {"https://a.org,name=a,secret=../x", "no name"},
        {"https://a.org,name=a", "not for policies", NET_OF_POLICY},
        {"https://a.org,secret=K", "not for policies", NET_OF_POLICY},
        {"https://a.org,header=X: {}", "not for policies", NET_OF_POLICY},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct net_rule r = {0};
        struct err e = {0};

        ck_assert_msg(net_rule_parse(rows[i].text, rows[i].use, NULL, &r, &e) < 0, "%s",
                      rows[i].text);
        ck_assert_int_eq(e.class, ERR_USAGE);
        ck_assert_msg(strstr(e.text, rows[i].why), "%s: %s", rows[i].text, e.text);
        ck_assert_ptr_null(r.host);
    }
}
END_TEST

START_TEST(an_object_says_what_a_text_says)
{
    static const char json[] =
        "[{\"to\":\"https://a.org/v1\",\"name\":\"api\",\"methods\":[\"GET\",\"POST\"],\"bytes\":"
        "\"1M\",\"rate\":2048,\"streams\":4,\"secret\":\"KEY\",\"header\":\"X-Key: {}\"},"
        "\"https://b.org\"]";
    own_net_rules struct net_rules rules = {0};
    own_doc struct doc *d = NULL;
    own_free char *text = NULL;
    struct err e;

    ck_assert_int_eq(doc_parse(json, strlen(json), "x", &d, &e), 0);
    if (net_rules_from_doc(d, &rules, &e) < 0)
        ck_abort_msg("%s", e.text);
    ck_assert_uint_eq(rules.n, 2);
    text = net_rule_text(&rules.items[0]);
    ck_assert_str_eq(text, "https://a.org/v1,name=api,methods=GET+POST,bytes=1048576,rate=2048,"
                           "streams=4,secret=KEY,header=X-Key: {}");
    ck_assert_str_eq(rules.items[1].host, "b.org");
}
END_TEST

START_TEST(a_wrong_object_is_refused_in_words)
{
    static const char *const rows[][2] = {
        {"[1]", "neither a text nor an object"},
        {"[[]]", "neither a text nor an object"},
        {"[null]", "neither a text nor an object"},
        {"[{}]", "to"},
        {"[{\"to\":1}]", "to"},
        {"[{\"to\":\"https://a.org,name=a\"}]", "names no host"},
        {"[{\"to\":\"https://a.org\",\"name\":null}]", "name"},
        {"[{\"to\":\"https://a.org\",\"name\":\"a,secret=K\"}]", "name:"},
        {"[{\"to\":\"https://a.org\",\"methods\":\"GET\"}]", "methods"},
        {"[{\"to\":\"https://a.org\",\"bytes\":-1}]", "bytes"},
        {"[{\"to\":\"https://a.org\",\"port\":1}]", "unknown key 'port'"},
        {"[\"https://a.org\",{\"to\":\"https://A.org:443\"}]", "https://a.org is there twice"},
        {"[{\"to\":\"https://a.org\",\"name\":\"x\"},{\"to\":\"https://b.org\",\"name\":\"x\"}]",
         "name x is there twice"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own_net_rules struct net_rules rules = {0};
        own_doc struct doc *d = NULL;
        struct err e = {0};

        ck_assert_int_eq(doc_parse(rows[i][0], strlen(rows[i][0]), "x", &d, &e), 0);
        ck_assert_msg(net_rules_from_doc(d, &rules, &e) < 0, "%s", rows[i][0]);
        ck_assert_int_eq(e.class, ERR_USAGE);
        ck_assert_msg(strstr(e.text, rows[i][1]), "%s: %s", rows[i][0], e.text);
        ck_assert_uint_eq(rules.n, 0);
    }
}
END_TEST

START_TEST(a_raw_connection_needs_a_rule_of_its_host_and_port)
{
    static const struct {
        const char *host;
        uint16_t port;
        int rule; /* -1: none */
    } rows[] = {
        {"api.example.org", 443, 1},    {"x.example.org", 443, 0},
        {"a.b.example.org", 443, 0},    {"example.org", 443, -1},
        {"xexample.org", 443, -1},      {".example.org", 443, -1},
        {"api.example.org", 80, -1},    {"api.example.org.", 443, -1},
        {"API.example.org", 443, 0},    {"git.example.org", 22, 2},
        {"2001:db8::1", 443, 3},        {"2001:db8:0:0::1", 443, 3},
        {"named.example.net", 443, -1}, {"named", 443, -1},
        {"*.example.org", 443, 0},      {"", 443, -1},
    };
    own_net_rules struct net_rules r = {0};

    take(&r, "https://*.example.org", NET_OF_WISH);
    take(&r, "https://api.example.org", NET_OF_WISH);
    take(&r, "tcp://git.example.org:22", NET_OF_WISH);
    take(&r, "https://[2001:db8::1]", NET_OF_WISH);
    take(&r, "https://named.example.net,name=named", NET_OF_WISH);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct net_rule *is = net_match_tunnel(&r, rows[i].host, rows[i].port);

        ck_assert_msg(is == (rows[i].rule < 0 ? NULL : &r.items[rows[i].rule]), "%s:%u",
                      rows[i].host, rows[i].port);
    }
}
END_TEST

START_TEST(a_request_needs_its_origin_method_and_path)
{
    static const struct {
        const char *origin, *method, *path;
        int rule;
        enum net_miss miss;
    } rows[] = {
        {"api", "GET", "/v1", 0, 0},
        {"api.lazaret", "POST", "/v1/x?y=/../z", 0, 0},
        {"api", "GET", "/v1?x", 0, 0},
        {"api", "DELETE", "/v1", -1, NET_MISS_METHOD},
        {"api", "get", "/v1", -1, NET_MISS_METHOD},
        {"api", "GET", "/v10", -1, NET_MISS_PATH},
        {"api", "GET", "/", -1, NET_MISS_PATH},
        {"api", "GET", "/v1/../admin", -1, NET_MISS_PATH},
        {"api", "GET", "/v1/..", -1, NET_MISS_PATH},
        {"api", "GET", "/v1/..;/admin", -1, NET_MISS_PATH},
        {"api", "GET", "/v1/./x", -1, NET_MISS_PATH},
        {"api", "GET", "/v1/%2E%2e/admin", -1, NET_MISS_PATH},
        {"api", "GET", "/v1/%252e%252e/admin", -1, NET_MISS_PATH},
        {"api", "GET", "/v1/..%2fadmin", -1, NET_MISS_PATH},
        {"api", "GET", "/v1/..\\admin", -1, NET_MISS_PATH},
        {"api", "GET", "/v1/%5cadmin", -1, NET_MISS_PATH},
        {"api", "GET", "/v1/.well-known", 0, 0},
        {"any", "DELETE", "/%2e%2e/x", 1, 0},
        {"raw.example.org", "GET", "/", -1, NET_MISS_ORIGIN},
        {"api.lazaret.org", "GET", "/v1", -1, NET_MISS_ORIGIN},
        {"apis", "GET", "/v1", -1, NET_MISS_ORIGIN},
        {"", "GET", "/v1", -1, NET_MISS_ORIGIN},
    };
    own_net_rules struct net_rules r = {0};

    take(&r, "https://a.example.org/v1,name=api,methods=GET+POST", NET_OF_WISH);
    take(&r, "https://b.example.org,name=any", NET_OF_WISH);
    take(&r, "https://raw.example.org", NET_OF_WISH);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        enum net_miss miss = 0;
        const struct net_rule *is =
            net_match_request(&r, rows[i].origin, rows[i].method, rows[i].path, &miss);

        ck_assert_msg(is == (rows[i].rule < 0 ? NULL : &r.items[rows[i].rule]), "%s %s",
                      rows[i].method, rows[i].path);
        ck_assert_int_eq(miss, rows[i].miss);
    }
}
END_TEST

START_TEST(a_policy_covers_what_is_below_it)
{
    static const struct {
        const char *policy, *rule;
        bool whole, destination;
    } rows[] = {
        {"https://*", "https://a.org", true, true},
        {"https://*", "https://*.a.org", true, true},
        {"https://*", "https://10.0.0.1", true, true},
        {"https://*", "https://a.org:444", false, false},
        {"https://*", "http://a.org:443", false, false},
        {"https://*", "tcp://a.org:443", false, false},
        {"tcp://*:443", "https://a.org", true, true},
        {"https://a.org", "https://a.org", true, true},
        {"https://a.org", "https://*.a.org", false, false},
        {"https://*.a.org", "https://a.org", false, false},
        {"https://*.a.org", "https://b.a.org", true, true},
        {"https://*.a.org", "https://*.b.a.org", true, true},
        {"https://*.b.a.org", "https://*.a.org", false, false},
        {"https://*.a.org", "https://*.a.org", true, true},
        {"https://a.org", "https://a.org,name=x,secret=K", true, true},
        {"https://a.org,bytes=1M", "https://a.org,bytes=1M", true, true},
        {"https://a.org,bytes=1M", "https://a.org,bytes=2M", false, true},
        {"https://a.org,bytes=1M", "https://a.org", false, true},
        {"https://a.org,rate=1M", "https://a.org,rate=2M", false, true},
        {"https://a.org,streams=1", "https://a.org", false, true},
        {"https://a.org/v1", "https://a.org", false, false},
        {"https://a.org/v1", "https://a.org,name=x", false, false},
        {"https://a.org/v1", "https://a.org/v1/y,name=x", true, true},
        {"https://a.org/v1", "https://a.org/v10,name=x", false, false},
        {"https://a.org/v1/", "https://a.org/v1,name=x", false, false},
        {"https://a.org,methods=GET", "https://a.org", false, false},
        {"https://a.org,methods=GET", "https://a.org,name=x", false, true},
        {"https://a.org,methods=GET", "https://a.org,name=x,methods=GET", true, true},
        {"https://a.org,methods=GET", "https://a.org,name=x,methods=GET+PUT", false, true},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own_net_rules struct net_rules r = {0};

        take(&r, rows[i].policy, NET_OF_POLICY);
        take(&r, rows[i].rule, NET_OF_WISH);
        ck_assert_msg(net_covers(&r.items[0], &r.items[1]) == rows[i].whole, "%s %s",
                      rows[i].policy, rows[i].rule);
        ck_assert_msg(net_covers_destination(&r.items[0], &r.items[1]) == rows[i].destination,
                      "%s %s", rows[i].policy, rows[i].rule);
    }
}
END_TEST

/* A text as an address; IPv6 is what has a colon. */
static bool ok(const char *text, const struct net_ranges *ranges)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    struct sockaddr_in four = {.sin_family = AF_INET};
    const void *any = strchr(text, ':') ? (const void *)&six : &four;

    if (strchr(text, ':'))
        ck_assert_int_eq(inet_pton(AF_INET6, text, &six.sin6_addr), 1);
    else
        ck_assert_int_eq(inet_pton(AF_INET, text, &four.sin_addr), 1);
    return net_address_ok(any, ranges);
}

START_TEST(only_public_addresses_are_connected_to)
{
    static const char *const public[] = {
        "1.1.1.1",       "9.255.255.255", "11.0.0.0",    "100.63.255.255", "100.128.0.0",
        "126.0.0.1",     "128.0.0.1",     "169.253.0.1", "172.15.0.1",     "172.32.0.1",
        "192.167.0.1",   "192.169.0.1",   "198.17.0.1",  "198.20.0.1",     "223.255.255.255",
        "168.63.129.17", "2606:4700::1",  "2a00::1",     "::ffff:1.1.1.1", "64:ff9b::1.1.1.1",
        "2001:200::1",   "2001:4860::1",  "2001:db9::1",
    };
    static const char *const not [] = {
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.0",
        "100.100.100.200",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::1.1.1.1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::1.1.1.1",
        "100::1",
        "2001::1",
        "2001:0:1:2:3:4:5:6",
        "2001:10::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:101:101::",
        "3fff::1",
        "4000::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
    };
    const struct sockaddr other = {.sa_family = AF_UNIX};

    for (size_t i = 0; i < sizeof(public) / sizeof(public[0]); i++)
        ck_assert_msg(ok(public[i], NULL), "%s", public[i]);
    for (size_t i = 0; i < sizeof(not ) / sizeof(not [0]); i++)
        ck_assert_msg(!ok(not [i], NULL), "%s", not [i]);
    ck_assert(!net_address_ok(&other, NULL));
}
END_TEST

static void ranges(struct net_ranges *ret, const char *a, const char *b)
{
    own_strv struct strv texts = {0};
    struct err e;

    strv_add(&texts, a);
    if (b)
        strv_add(&texts, b);
    if (net_ranges_parse(&texts, ret, &e) < 0)
        ck_abort_msg("%s", e.text);
}

START_TEST(a_range_that_is_named_may_be_connected_to)
{
    struct net_ranges r = {0};

    ranges(&r, "10.1.0.0/16", "fd00::/8");
    ck_assert(ok("10.1.2.3", &r) && ok("::ffff:10.1.2.3", &r) && ok("64:ff9b::10.1.2.3", &r));
    ck_assert(ok("fd12::1", &r) && ok("1.1.1.1", &r));
    ck_assert(!ok("10.2.0.1", &r) && !ok("fc00::1", &r) && !ok("127.0.0.1", &r));
    ranges(&r, "127.0.0.1/32", NULL);
    ck_assert(ok("127.0.0.1", &r) && !ok("127.0.0.2", &r) && !ok("::1", &r));
}
END_TEST

START_TEST(a_wrong_range_is_refused)
{
    static const char *const rows[] = {"",           "10.0.0.0",    "10.0.0.0/",   "10.0.0.0/33",
                                       "10.0.0.1/8", "10.0.0/8",    "fd00::/129",  "fd00::1/8",
                                       "x/8",        "10.0.0.0/-1", "10.0.0.0/8 ", "10.0.0.0/8/8"};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct net_range r;
        struct err e = {0};

        ck_assert_msg(net_range_parse(rows[i], &r, &e) < 0, "%s", rows[i]);
        ck_assert_int_eq(e.class, ERR_USAGE);
    }
}
END_TEST

START_TEST(two_lists_of_ranges_meet_in_what_is_in_both)
{
    struct net_ranges a = {0}, b = {0}, both;
    own_free char *first = NULL, *second = NULL;

    ranges(&a, "10.0.0.0/8", "192.168.1.0/24");
    ranges(&b, "192.168.0.0/16", "10.1.0.0/16");
    net_ranges_meet(&a, &b, &both);
    ck_assert_uint_eq(both.n, 2);
    first = net_range_format(&both.items[0]);
    second = net_range_format(&both.items[1]);
    ck_assert_str_eq(first, "10.1.0.0/16");
    ck_assert_str_eq(second, "192.168.1.0/24");
    ranges(&b, "fd00::/8", "11.0.0.0/8");
    net_ranges_meet(&a, &b, &both);
    ck_assert_uint_eq(both.n, 0);
}
END_TEST

START_TEST(a_refused_destination_has_a_rule_that_would_allow_it)
{
    static const struct {
        const char *host;
        uint16_t port;
        const char *rule;
    } rows[] = {{"a.org", 443, "https://a.org"},
                {"a.org", 80, "http://a.org"},
                {"a.org", 22, "tcp://a.org:22"},
                {"2001:db8::1", 443, "https://[2001:db8::1]"}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own_net_rules struct net_rules r = {0};
        own_free char *text = net_wish_for(rows[i].host, rows[i].port);

        ck_assert_str_eq(text, rows[i].rule);
        take(&r, text, NET_OF_WISH);
        ck_assert_ptr_nonnull(net_match_tunnel(&r, rows[i].host, rows[i].port));
    }
}
END_TEST

SUITE("net_rules", a_rule_is_written_as_it_is_read, what_contradicts_itself_is_refused_in_words,
      an_object_says_what_a_text_says, a_wrong_object_is_refused_in_words,
      a_raw_connection_needs_a_rule_of_its_host_and_port,
      a_request_needs_its_origin_method_and_path, a_policy_covers_what_is_below_it,
      only_public_addresses_are_connected_to, a_range_that_is_named_may_be_connected_to,
      a_wrong_range_is_refused, two_lists_of_ranges_meet_in_what_is_in_both,
      a_refused_destination_has_a_rule_that_would_allow_it)
