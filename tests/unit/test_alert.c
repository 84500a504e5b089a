/* test_alert: promises of alerts: what a policy may say, and when a rule is met. */
#include "base/own.h"
#include "run/alert.h"
#include "shared/wire.h"
#include "tests/unit/suite.h"

#include <string.h>

#define SECOND 1000u

static struct err err;

static struct alert_rule rule_of(const char *json)
{
    own_doc struct doc *d = NULL;
    struct alert_rule r = {0};

    ck_assert_msg(doc_parse(json, strlen(json), "it", &d, &err) == 0, "%s", err.text);
    ck_assert_msg(alert_rule_read(d, "policy.json:7", &r, &err) == 0, "%s", err.text);
    return r;
}

struct told {
    unsigned times, again;
    size_t rule;
    char text[ALERT_TEXT_MAX];
};

static void note(size_t rule, const char *text, bool again, void *arg)
{
    struct told *t = arg;

    t->again += again;
    t->times++;
    t->rule = rule;
    (void)snprintf(t->text, sizeof(t->text), "%s", text);
}

/* One rule, looked at each second; `at` is called with the second and gives the sample. */
static struct told watch(const char *json, unsigned seconds,
                         void (*at)(unsigned second, struct alert_sample *s))
{
    struct alert_rules rules = {0};
    struct alert_rule r = rule_of(json);
    struct alert_state s;
    struct told told = {0};

    alert_rules_take(&rules, &r);
    alert_begin(&s, &rules);
    for (unsigned i = 0; i <= seconds; i++) {
        struct alert_sample now = {0};

        at(i, &now);
        now.now_ms = 5000 + i * SECOND;
        alert_look(&s, &rules, &now, note, &told);
    }
    alert_done(&s);
    alert_rules_done(&rules);
    return told;
}

static void busy(unsigned second, struct alert_sample *s)
{
    s->cpu_ns = second * 950000000ull;
}

static void half_busy(unsigned second, struct alert_sample *s)
{
    s->cpu_ns = second * 500000000ull;
}

/* Work for two seconds, then none. */
static void one_burst(unsigned second, struct alert_sample *s)
{
    s->cpu_ns = (second < 2 ? second : 2) * 1000000000ull;
    s->denials = second < 2 ? 0 : 101;
    s->disk_bytes = second < 2 ? 0 : 2u << 20;
}

static void steady(unsigned second, struct alert_sample *s)
{
    s->denials = second * 5ull;
    s->disk_bytes = second * 100000ull;
    s->processes = 50;
    s->resident_bytes = 300u << 20;
    s->cpu_ns = second * 1000000ull;
}

/* Of another QEMU from second 5 on, whose count begins at nothing. */
static void begun_anew(unsigned second, struct alert_sample *s)
{
    s->cpu_ns = second < 5 ? 1000000000000ull : second * 10000000ull;
    s->denials = second < 5 ? 500 : 3;
}

START_TEST(a_share_of_cpu_is_of_the_whole_span)
{
    const char *rule = "{\"when\":\"cpu\",\"above\":90,\"for\":\"10s\",\"action\":\"log\"}";
    struct told t = watch(rule, 12, busy);

    ck_assert_uint_eq(t.times, 1);
    ck_assert_str_eq(t.text, "cpu: 95 is above 90");
    ck_assert_uint_eq(watch(rule, 60, half_busy).times, 0);
    ck_assert_uint_eq(watch(rule, 60, one_burst).times, 0);
}
END_TEST

START_TEST(growth_is_counted_within_its_span_only)
{
    const char *denials =
        "{\"when\":\"denials\",\"above\":100,\"for\":\"10s\",\"action\":\"pause\"}";
    const char *disk = "{\"when\":\"disk\",\"above\":\"1M\",\"for\":\"5s\",\"action\":\"kill\"}";

    ck_assert_uint_eq(watch(denials, 30, one_burst).times, 1);
    ck_assert_uint_eq(watch(denials, 300, steady).times, 0); /* 1500 in all */
    ck_assert_uint_eq(watch(disk, 30, one_burst).times, 1);
    ck_assert_uint_eq(watch(disk, 300, steady).times, 0);
}
END_TEST

START_TEST(a_number_that_began_anew_is_no_growth)
{
    ck_assert_uint_eq(
        watch("{\"when\":\"cpu\",\"above\":90,\"for\":\"3s\",\"action\":\"log\"}", 20, begun_anew)
            .times,
        0);
    ck_assert_uint_eq(watch("{\"when\":\"denials\",\"above\":10,\"for\":\"3s\",\"action\":\"log\"}",
                            20, begun_anew)
                          .times,
                      0);
}
END_TEST

/* 100 KB a second. */
static void leaking(unsigned second, struct alert_sample *s)
{
    s->output_bytes = second * 100000ull;
}

START_TEST(output_is_judged_in_all_or_within_a_span)
{
    const char *all = "{\"when\":\"output\",\"above\":\"1M\",\"action\":\"kill\"}";
    const char *span = "{\"when\":\"output\",\"above\":\"1M\",\"for\":\"5s\",\"action\":\"kill\"}";

    ck_assert_uint_eq(watch(all, 10, leaking).times, 0);
    ck_assert_str_eq(watch(all, 11, leaking).text, "output: 1100000 is above 1048576");
    ck_assert_uint_eq(watch(span, 300, leaking).times, 0);
}
END_TEST

START_TEST(what_is_as_it_is_is_judged_at_once)
{
    ck_assert_uint_eq(
        watch("{\"when\":\"processes\",\"above\":49,\"action\":\"log\"}", 0, steady).times, 1);
    ck_assert_uint_eq(
        watch("{\"when\":\"processes\",\"above\":50,\"action\":\"log\"}", 9, steady).times, 0);
    ck_assert_uint_eq(
        watch("{\"when\":\"memory\",\"above\":\"299M\",\"action\":\"log\"}", 0, steady).times, 1);
}
END_TEST

START_TEST(one_that_stays_met_is_told_now_and_then)
{
    ck_assert_uint_eq(
        watch("{\"when\":\"memory\",\"above\":\"1M\",\"action\":\"log\"}", 35, steady).times, 4);
}
END_TEST

START_TEST(silence_is_neither_bytes_nor_work)
{
    const char *rule = "{\"when\":\"silence\",\"for\":\"8s\",\"action\":\"notify\","
                       "\"command\":[\"/bin/true\"]}";

    ck_assert_uint_eq(watch(rule, 7, steady).times, 0);
    ck_assert_uint_eq(watch(rule, 12, steady).times, 1);
    ck_assert_uint_eq(watch(rule, 60, half_busy).times, 0);
}
END_TEST

START_TEST(a_canary_is_met_each_time_and_nothing_else_is)
{
    struct alert_rules rules = {0};
    struct alert_rule r = rule_of("{\"when\":\"canary\",\"action\":\"freeze\",\"destinations\":"
                                  "[\"canary.example.org\",\"*.trap.example\"]}");
    struct alert_state s;
    struct told t = {0};

    alert_rules_take(&rules, &r);
    alert_begin(&s, &rules);
    alert_destination(&s, &rules, 5000, "example.org", "example.org", note, &t);
    alert_destination(&s, &rules, 5000, "trap.example", "trap.example", note, &t);
    ck_assert_uint_eq(t.times, 0);
    alert_destination(&s, &rules, 5000, "canary.example.org", "a destination", note, &t);
    ck_assert_str_eq(t.text, "canary: a destination was tried");
    ck_assert_uint_eq(t.again, 0);
    alert_destination(&s, &rules, 5001, "a.b.trap.example", "a.b.trap.example", note, &t);
    ck_assert_str_eq(t.text, "canary: a.b.trap.example was tried");
    ck_assert_uint_eq(t.times, 2);
    /* A flood is done something about each time, and told now and then. */
    ck_assert_uint_eq(t.again, 1);
    alert_destination(&s, &rules, 5000 + ALERT_AGAIN_MS, "canary.example.org", "x", note, &t);
    ck_assert_uint_eq(t.again, 1);
    alert_done(&s);
    alert_rules_done(&rules);
}
END_TEST

START_TEST(a_canary_file_is_met_by_its_name_or_by_none)
{
    struct alert_rules rules = {0};
    struct alert_rule rows[] = {
        rule_of("{\"when\":\"canary\",\"action\":\"kill\",\"files\":[\"/in/a\",\"/in/b\"]}"),
        rule_of("{\"when\":\"canary\",\"action\":\"freeze\",\"files\":[\"/in/b\",\"/in/c\"],"
                "\"destinations\":[\"a.org\"]}"),
        rule_of("{\"when\":\"canary\",\"action\":\"log\",\"destinations\":[\"b.org\"]}"),
    };
    own_strv struct strv files = {0};
    struct alert_state s;
    struct told t = {0};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        alert_rules_take(&rules, &rows[i]);
    alert_rules_files(&rules, &files);
    ck_assert_uint_eq(files.n, 3);
    ck_assert_str_eq(files.items[2], "/in/c");
    alert_begin(&s, &rules);
    alert_file(&s, &rules, 5000, "/in/d", "/in/d", note, &t);
    ck_assert_uint_eq(t.times, 0);
    alert_file(&s, &rules, 5000, "/in/c", "/in/c", note, &t);
    ck_assert_uint_eq(t.times, 1);
    ck_assert_str_eq(t.text, "canary: /in/c was opened");
    alert_file(&s, &rules, 5000, "/in/b", "/in/b", note, &t);
    ck_assert_uint_eq(t.times, 3);
    alert_file(&s, &rules, 5000, NULL, "a file", note, &t); /* not of the last rule */
    ck_assert_uint_eq(t.times, 5);
    alert_done(&s);
    alert_rules_done(&rules);
}
END_TEST

START_TEST(more_canary_files_than_a_guest_watches_are_refused)
{
    for (unsigned n = WIRE_CANARIES_MAX; n <= WIRE_CANARIES_MAX + 1; n++) {
        own_str struct str text = {0};
        struct alert_rules rules = {0};
        struct alert_rule r;
        struct err e;

        str_add(&text, "{\"when\":\"canary\",\"action\":\"log\",\"files\":[");
        for (unsigned i = 0; i < n; i++)
            str_addf(&text, "%s\"/f%u\"", i ? "," : "", i);
        str_add(&text, "]}");
        r = rule_of(text.data);
        alert_rules_take(&rules, &r);
        ck_assert_int_eq(alert_rules_check(&rules, &e), n > WIRE_CANARIES_MAX ? -1 : 0);
        alert_rules_done(&rules);
    }
}
END_TEST

START_TEST(what_was_paused_was_not_silent)
{
    struct alert_rules rules = {0};
    struct alert_rule r = rule_of("{\"when\":\"silence\",\"for\":\"60s\",\"action\":\"kill\"}");
    struct alert_state s;
    struct told t = {0};

    alert_rules_take(&rules, &r);
    alert_begin(&s, &rules);
    for (uint64_t second = 1; second < 50; second++)
        alert_look(&s, &rules, &(struct alert_sample){.now_ms = second * SECOND}, note, &t);
    alert_skip(&s, 700 * SECOND);
    for (uint64_t second = 701; second < 750; second++)
        alert_look(&s, &rules, &(struct alert_sample){.now_ms = second * SECOND}, note, &t);
    ck_assert_uint_eq(t.times, 0);
    for (uint64_t second = 750; second < 770; second++)
        alert_look(&s, &rules, &(struct alert_sample){.now_ms = second * SECOND}, note, &t);
    ck_assert_uint_eq(t.times, 1);
    alert_done(&s);
    alert_rules_done(&rules);
}
END_TEST

START_TEST(a_rule_that_says_too_much_or_too_little_is_refused)
{
    static const char *const wrong[] = {
        "[]",
        "{\"action\":\"log\"}",
        "{\"when\":\"cpu\",\"above\":90,\"for\":\"10s\"}",
        "{\"when\":\"cpu\",\"above\":90,\"action\":\"log\"}",
        "{\"when\":\"cpu\",\"for\":\"10s\",\"action\":\"log\"}",
        "{\"when\":\"cpu\",\"above\":0,\"for\":\"10s\",\"action\":\"log\"}",
        "{\"when\":\"cpu\",\"above\":90,\"for\":\"10ms\",\"action\":\"log\"}",
        "{\"when\":\"cpu\",\"above\":90,\"for\":\"10s\",\"action\":\"shout\"}",
        "{\"when\":\"moon\",\"above\":90,\"for\":\"10s\",\"action\":\"log\"}",
        "{\"when\":\"cpu\",\"above\":90,\"for\":\"10s\",\"action\":\"log\",\"x\":1}",
        "{\"when\":\"memory\",\"above\":\"1M\",\"for\":\"1s\",\"action\":\"log\"}",
        "{\"when\":\"silence\",\"above\":1,\"for\":\"1s\",\"action\":\"log\"}",
        "{\"when\":\"canary\",\"action\":\"freeze\"}",
        "{\"when\":\"canary\",\"destinations\":[],\"action\":\"freeze\"}",
        "{\"when\":\"canary\",\"destinations\":[\"A.org\"],\"action\":\"freeze\"}",
        "{\"when\":\"canary\",\"destinations\":[\"*\"],\"action\":\"freeze\"}",
        "{\"when\":\"canary\",\"files\":[],\"action\":\"freeze\"}",
        "{\"when\":\"canary\",\"files\":\"/a\",\"action\":\"freeze\"}",
        "{\"when\":\"canary\",\"files\":[\"a\"],\"action\":\"freeze\"}",
        "{\"when\":\"canary\",\"files\":[\"/\"],\"action\":\"freeze\"}",
        "{\"when\":\"canary\",\"files\":[\"/a/\"],\"action\":\"freeze\"}",
        "{\"when\":\"canary\",\"files\":[\"/a/../b\"],\"action\":\"freeze\"}",
        "{\"when\":\"canary\",\"files\":[\"/a/..\"],\"action\":\"freeze\"}",
        "{\"when\":\"canary\",\"files\":[\"/a//b\"],\"action\":\"freeze\"}",
        "{\"when\":\"memory\",\"above\":\"1M\",\"files\":[\"/a\"],\"action\":\"log\"}",
        "{\"when\":\"memory\",\"above\":\"1M\",\"action\":\"notify\"}",
        "{\"when\":\"memory\",\"above\":\"1M\",\"action\":\"notify\",\"command\":[\"page\"]}",
        "{\"when\":\"memory\",\"above\":\"1M\",\"action\":\"log\",\"command\":[\"/bin/true\"]}",
        "{\"when\":\"memory\",\"above\":\"1M\",\"action\":\"notify\",\"socket\":\"s\"}",
        "{\"when\":\"memory\",\"above\":\"1M\",\"action\":\"notify\",\"socket\":[\"/s\"]}",
        "{\"when\":\"memory\",\"above\":\"1M\",\"action\":\"kill\",\"socket\":\"/s\"}",
        "{\"when\":\"memory\",\"above\":\"1M\",\"action\":\"log\",\"from\":\"other:1\"}",
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        own_doc struct doc *d = NULL;
        struct alert_rule r = {0};

        ck_assert_int_eq(doc_parse(wrong[i], strlen(wrong[i]), "it", &d, &err), 0);
        ck_assert_msg(alert_rule_read(d, "p:1", &r, &err) == -1, "%s", wrong[i]);
    }
}
END_TEST

START_TEST(rules_are_read_back_as_they_were)
{
    struct alert_rules rules = {0}, copy = {0}, back = {0};
    struct alert_rule r = rule_of("{\"when\":\"disk\",\"above\":\"1G\",\"for\":\"90s\",\"action\":"
                                  "\"notify\",\"command\":[\"/bin/page\",\"me\"],"
                                  "\"socket\":\"/run/pager\"}");
    own_doc struct doc *list = NULL;
    own_free char *text = NULL;

    alert_rules_take(&rules, &r);
    alert_rules_add_all(&copy, &rules);
    alert_rules_add_all(&copy, &rules); /* once */
    ck_assert_uint_eq(copy.n, 1);
    alert_rules_done(&rules);
    list = alert_rules_to_doc(&copy);
    ck_assert_msg(alert_rules_from_doc(list, &back, &err) == 0, "%s", err.text);
    text = alert_rule_text(&back.items[0]);
    ck_assert_str_eq(text, "disk above 1 GiB in 90.000 s: notify");
    ck_assert_str_eq(back.items[0].command.items[1], "me");
    ck_assert_str_eq(back.items[0].socket, "/run/pager");
    ck_assert_str_eq(back.items[0].from, "policy.json:7");
    alert_rules_done(&copy);
    alert_rules_done(&back);
}
END_TEST

SUITE("alert", a_share_of_cpu_is_of_the_whole_span, growth_is_counted_within_its_span_only,
      output_is_judged_in_all_or_within_a_span, a_number_that_began_anew_is_no_growth,
      what_is_as_it_is_is_judged_at_once, one_that_stays_met_is_told_now_and_then,
      silence_is_neither_bytes_nor_work, a_canary_is_met_each_time_and_nothing_else_is,
      a_canary_file_is_met_by_its_name_or_by_none,
      more_canary_files_than_a_guest_watches_are_refused, what_was_paused_was_not_silent,
      a_rule_that_says_too_much_or_too_little_is_refused, rules_are_read_back_as_they_were)
