/* test_learn_merge: promises of a manifest that is to allow what two runs did. */
#include "plan/widen.h"
#include "tests/unit/learn_make.h"
#include "tests/unit/suite.h"

static size_t widened(const struct request *from, const struct request *to, char *ret, size_t size)
{
    own_doc struct doc *rows = NULL;
    own_free char *text = NULL;
    struct err e;

    ck_assert_msg(request_widens(from, to, &rows, &e) == 0, "%s", e.text);
    text = doc_format(rows, false);
    snprintf(ret, size, "%s", text);
    return doc_len(rows);
}

static void parse(const char *text, struct request *ret)
{
    struct err e;

    ck_assert_msg(request_parse(text, strlen(text), "f.json", ret, &e) == 0, "%s", e.text);
}

START_TEST(two_manifests_become_one_that_allows_both)
{
    static const struct {
        const char *old, *fresh;
        enum key k;
        const char *is;
    } rows[] = {
        {M(", \"read\": [\"/a\"]"), M(", \"read\": [\"/b\"]"), KEY_READ, "/a|/b"},
        {M(", \"read\": [\"/a\"]"), M(", \"read\": [\"/a/b\"]"), KEY_READ, "/a"},
        {M(", \"read\": [\"/a/b\"]"), M(", \"read\": [\"/a\"]"), KEY_READ, "/a"},
        {M(", \"read\": [\"/b\", \"/a\"]"), M(", \"read\": [\"/a\"]"), KEY_READ, "/b|/a"},
        {M(""), M(", \"read\": [\"/a\"]"), KEY_READ, ""},
        {M(", \"exec\": [\"/a\"]"), M(", \"read\": [\"/a\"]"), KEY_EXEC, "/a"},
        {M(", \"memory\": \"64M\""), M(", \"memory\": \"128M\""), KEY_MEMORY, "128M"},
        {M(", \"memory\": \"256M\""), M(", \"memory\": \"128M\""), KEY_MEMORY, "256M"},
        {M(""), M(", \"memory\": \"128M\""), KEY_MEMORY, ""},
        {M(", \"timeout\": \"1m\""), M(", \"timeout\": \"90s\""), KEY_TIMEOUT, "90s"},
        {M(", \"timeout\": \"1m\""), M(""), KEY_TIMEOUT, ""},
        {M(", \"memory\": \"64M\""), M(", \"memory\": \"256M\""), KEY_TMP, ""},
        {M(", \"memory\": \"1G\", \"tmp\": \"16M\""), M(", \"memory\": \"256M\""), KEY_TMP, "128M"},
        {M(", \"network\": [\"https://b.org\"]"), M(", \"network\": [\"https://a.org\"]"),
         KEY_NETWORK, "https://a.org|https://b.org"},
        {M(", \"network\": [\"https://*.b.org\"]"), M(", \"network\": [\"https://a.b.org\"]"),
         KEY_NETWORK, "https://*.b.org"},
        {M(", \"network\": [\"https://a.org,bytes=1K,rate=2K\"]"),
         M(", \"network\": [\"https://a.org,bytes=2K\"]"), KEY_NETWORK, "https://a.org,bytes=2048"},
        {M(", \"network\": [\"https://a.org,name=x,methods=GET\"]"),
         M(", \"network\": [\"https://a.org,name=x,methods=PUT\"]"), KEY_NETWORK,
         "https://a.org,name=x,methods=GET+PUT"},
        {M(", \"writable\": false"), M(", \"writable\": true"), KEY_WRITABLE, "true"},
        {M(", \"amnesic\": true"), M(""), KEY_AMNESIC, ""},
        {M(", \"secrets\": [\"A\"]"), M(", \"secrets\": [\"B\"]"), KEY_SECRETS, "A|B"},
        {M(", \"output\": \"/o\", \"output_max\": 5"), M(""), KEY_OUTPUT, "/o"},
        {M(""), M(", \"output\": \"/o\", \"output_max\": \"1G\""), KEY_OUTPUT_MAX, ""},
        {M(", \"image\": \"default\""), M(""), KEY_IMAGE, "default"},
    };

    for (size_t i = 0; i < N(rows); i++) {
        own_request struct request old = {0}, fresh = {0}, both = {0}, again = {0}, read = {0};
        own_strv struct strv notes = {0};
        own_free char *is = NULL, *once = NULL, *twice = NULL;
        struct err e = {0};

        parse(rows[i].old, &old);
        parse(rows[i].fresh, &fresh);
        ck_assert_msg(learn_merge(&old, &fresh, &both, &notes, &e) == 0, "row %zu: %s", i, e.text);
        is = joined(&both, rows[i].k);
        ck_assert_msg(strcmp(is, rows[i].is) == 0, "row %zu: %s", i, is);
        read_back(&both, &read);
        ck_assert_int_eq(learn_merge(&both, &fresh, &again, &notes, &e), 0);
        once = request_format(&both);
        twice = request_format(&again);
        ck_assert_str_eq(once, twice);
    }
}
END_TEST

START_TEST(what_is_no_allowance_stays_and_what_cannot_be_joined_is_refused)
{
    static const struct {
        const char *old, *fresh, *says;
    } rows[] = {
        {M(", \"image\": \"big\""), M(""), "it is of the image 'big', not 'default'"},
        {M(", \"network\": [\"https://a.org,name=x\"]"),
         M(", \"network\": [\"https://b.org,name=x\"]"), "name x leads elsewhere"},
        {M(", \"read\": [\"a\"]"), M(", \"read\": [\"/a\"]"),
         "f.json:1: read: 'a' is not an absolute path"},
        {M(", \"cpus\": 1000"), M(""), "f.json:1: cpus: 1000 is out of range"},
    };
    own_request struct request old = {0}, fresh = {0}, both = {0};
    own_strv struct strv notes = {0};
    struct err e = {0};

    for (size_t i = 0; i < N(rows); i++) {
        own_request struct request a = {0}, b = {0}, c = {0};

        parse(rows[i].old, &a);
        parse(rows[i].fresh, &b);
        ck_assert_msg(learn_merge(&a, &b, &c, &notes, &e) < 0, "row %zu", i);
        ck_assert_int_eq(e.class, ERR_USAGE);
        ck_assert_msg(strstr(e.text, rows[i].says), "row %zu: %s", i, e.text);
    }
    parse("{\"format\": \"lazaret-manifest\", \"version\": 1, \"command\": [\"y\"]}", &old);
    parse(M(""), &fresh);
    ck_assert_int_eq(learn_merge(&old, &fresh, &both, &notes, &e), 0);
    ck_assert_str_eq(both.of[KEY_COMMAND].texts.items[0], "y");
    ck_assert_str_eq(notes.items[notes.n - 1],
                     "command: this run had it otherwise; it stays as it is there");
}
END_TEST

START_TEST(what_a_later_run_needed_is_marked_and_the_rest_keeps_its_reasons)
{
    own_request struct request old = {0}, fresh = {0}, both = {0};
    own_strv struct strv notes = {0};
    own_free char *text = NULL;
    struct err e;

    parse(
        M(", \"read\": [\"/a\"], \"why\": [{\"key\": \"read\", \"line\": \"/a\", \"by\": \"guest\","
          "\"text\": \"first\"}]"),
        &old);
    parse(
        M(", \"read\": [\"/b\"], \"why\": [{\"key\": \"read\", \"line\": \"/b\", \"by\": \"guest\","
          "\"text\": \"second\"}]"),
        &fresh);
    ck_assert_int_eq(learn_merge(&old, &fresh, &both, &notes, &e), 0);
    text = doc_format(both.why, false);
    ck_assert_str_eq(text,
                     "[{\"key\":\"read\",\"line\":\"/a\",\"by\":\"guest\",\"text\":\"first\"},"
                     "{\"key\":\"read\",\"line\":\"/b\",\"by\":\"guest\",\"text\":\"second\","
                     "\"widened\":true}]");
}
END_TEST

START_TEST(a_rule_that_stays_keeps_its_reason_however_it_was_spelled)
{
    static const char *const rows[][2] = {
        /* as it was spelled, and as it is written */
        {"\"https://api.org/v1,name=api,secret=K\"",
         "https://api.org/v1,name=api,secret=K,header=Authorization: Bearer {}"},
        {"\"https://a.org:443\"", "https://a.org"},
        {"\"https://a.org,bytes=1K\"", "https://a.org,bytes=1024"},
    };

    for (size_t i = 0; i < N(rows); i++) {
        own_free char *explained =
            str_printf(M(", \"network\": [%s], \"why\": [{\"key\": \"network\", \"line\": %s,"
                         "\"by\": \"wish\", \"text\": \"mine\"}]"),
                       rows[i][0], rows[i][0]);
        own_free char *bare = str_printf(M(", \"network\": [%s]"), rows[i][0]);
        own_free char *is = NULL, *text = NULL, *expected = NULL;
        own_request struct request old = {0}, fresh = {0}, both = {0};
        own_strv struct strv notes = {0};
        struct err e;

        parse(explained, &old);
        parse(bare, &fresh);
        ck_assert_int_eq(learn_merge(&old, &fresh, &both, &notes, &e), 0);
        is = joined(&both, KEY_NETWORK);
        ck_assert_str_eq(is, rows[i][1]);
        text = doc_format(both.why, false);
        expected = str_printf("[{\"key\":\"network\",\"line\":\"%s\",\"by\":\"wish\",\"text\":"
                              "\"mine\"}]",
                              rows[i][1]);
        ck_assert_str_eq(text, expected);
    }
}
END_TEST

START_TEST(merging_is_idempotent_and_never_allows_less)
{
    uint32_t seed = 11;

    for (int round = 0; round < ROUNDS; round++) {
        own_world struct world w = {0};
        own_observed struct observed first = {0}, second = {0};
        own_request struct request both = {0}, again = {0}, self = {0};
        own_free char *once = NULL, *twice = NULL, *one = NULL, *same = NULL;
        struct learn_destination d[2][6];
        char rows[512];

        set_up(&w, round);
        observe_anything(&seed, &first, d[0], 6);
        observe_anything(&seed, &second, d[1], 6);
        learn(&w, &first);
        learn(&w, &second);
        must(learn_merge(&first.r, &second.r, &both, &first.notes, &w.e), &w);
        ck_assert_msg(widened(&both, &first.r, rows, sizeof(rows)) == 0, "%s", rows);
        ck_assert_msg(widened(&both, &second.r, rows, sizeof(rows)) == 0, "%s", rows);
        must(learn_merge(&both, &second.r, &again, &first.notes, &w.e), &w);
        once = request_format(&both);
        twice = request_format(&again);
        ck_assert_str_eq(once, twice);
        must(learn_merge(&first.r, &first.r, &self, &first.notes, &w.e), &w);
        one = request_format(&first.r);
        same = request_format(&self);
        ck_assert_str_eq(one, same);
    }
}
END_TEST

SUITE("learn by two runs", two_manifests_become_one_that_allows_both,
      what_is_no_allowance_stays_and_what_cannot_be_joined_is_refused,
      what_a_later_run_needed_is_marked_and_the_rest_keeps_its_reasons,
      a_rule_that_stays_keeps_its_reason_however_it_was_spelled,
      merging_is_idempotent_and_never_allows_less)
