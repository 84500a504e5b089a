/*
 * fuzz_net_rule: a rule of the network as a text, or a list of them in JSON, of a wish and of a
 * policy: what is read is written as what is read again, lets through what it names, and covers
 * itself; what is wrong is said.
 */
#include "base/own.h"
#include "plan/net.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void check_wish(const struct net_rules *one, const struct net_rule *r, enum net_use use)
{
    enum net_miss miss = 0;

    if (r->name)
        MUST(net_match_request(one, r->name, r->methods.n ? r->methods.items[0] : "GET",
                               r->path_prefix ? r->path_prefix : "/", &miss) == r);
    else if (r->host[0] != '*')
        MUST(net_match_tunnel(one, r->host, r->port) == r);
    MUST(strcmp(r->host, "*") != 0 || (use == NET_OF_PLAN && !r->name));
    MUST(r->name || !net_match_request(one, "x", "GET", "/", &miss));
    MUST(!r->secret == !r->header && (!r->secret || (r->name && r->scheme == NET_HTTPS)));
    MUST(!r->header || str_is_printable(r->header, NET_RULE_HEADER_MAX + 1));
}

static void check(const struct net_rule *r, enum net_use use)
{
    own_free char *text = net_rule_text(r), *second = NULL, *third = NULL;
    own_net_rules struct net_rules one = {0}, again = {0};
    struct net_rule rule = {0};
    own_doc struct doc *d = NULL;
    struct err e = {0};

    MUST(str_is_printable(text, strlen(text) + 1) && r->port != 0);
    MUST(net_rule_parse(text, use, "here", &rule, &e) == 0);
    MUST(net_rule_same(r, &rule));
    /* A policy's that is for requests only covers such, which have a name. */
    if (use != NET_OF_POLICY || (!r->path_prefix && r->methods.n == 0))
        MUST(net_covers(r, &rule) && net_covers(&rule, r));
    second = net_rule_text(&rule);
    MUST(strcmp(text, second) == 0);
    net_rules_take(&one, &rule);
    d = net_rules_to_doc(&one);
    if (use != NET_OF_POLICY) {
        check_wish(&one, &one.items[0], use);
        MUST(net_rules_from_doc(d, &again, &e) == 0);
    } else {
        MUST(net_bounds_from_doc(d, &again, &e) == 0);
    }
    third = net_rule_text(&again.items[0]);
    MUST(strcmp(text, third) == 0);
}

static void read_one(const char *text, enum net_use use)
{
    own_net_rule struct net_rule r = {0};
    struct net_range range;
    struct err e = {0};

    if (net_rule_parse(text, use, "here", &r, &e) == 0)
        check(&r, use);
    else
        MUST(e.class == ERR_USAGE && e.text[0] && !r.host);
    if (net_range_parse(text, &range, &e) == 0) {
        own_free char *again = net_range_format(&range);

        MUST(net_range_parse(again, &range, &e) == 0);
    }
}

static void read_list(const struct doc *list, enum net_use use)
{
    own_net_rules struct net_rules rules = {0};
    struct err e = {0};

    if ((use == NET_OF_PLAN ? net_rules_from_doc(list, &rules, &e)
                            : net_bounds_from_doc(list, &rules, &e)) < 0) {
        MUST(e.class == ERR_USAGE && e.text[0] && rules.n == 0);
        return;
    }
    MUST(net_rules_check(&rules, &e) == 0);
    for (size_t i = 0; i < rules.n; i++)
        check(&rules.items[i], use);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    own_free char *text = malloc(len + 1);
    own_doc struct doc *list = NULL;
    struct err e = {0};

    MUST(text);
    memcpy(text, data, len);
    text[len] = '\0';
    for (int use = NET_OF_WISH; use <= NET_OF_PLAN; use++)
        read_one(text, (enum net_use)use);
    if (doc_parse(text, len, "x", &list, &e) == 0)
        for (int use = NET_OF_POLICY; use <= NET_OF_PLAN; use++)
            read_list(list, (enum net_use)use);
    return 0;
}
