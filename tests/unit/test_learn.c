/* test_learn: promises of runs that learn: what they may reach, and what is written down of them.
 */
#include "plan/widen.h"
#include "tests/unit/learn_make.h"
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

START_TEST(without_ip_a_run_that_learns_may_reach_what_it_asks_for_only)
{
    const struct strv none = {0};
    const struct plan_image from = image_without_ip(&none);
    own_world struct world w = {.wish = {.learn = true, .from = &from}};
    own_world struct world asks = {.wish = {.learn = true, .from = &from}};

    add_policy(&w, P(", \"network\": [\"https://*\"]"), "p.json");
    must(resolve(&w, M("")), &w);
    ck_assert(!w.plan->egress && w.plan->network.n == 0);
    ck_assert_int_lt(resolve(&asks, M(", \"network\": [\"https://a.org\"]")), 0);
    ck_assert_int_eq(asks.e.class, ERR_IMAGE);
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

START_TEST(paths_are_those_that_a_next_run_finds)
{
    static const struct {
        enum learn_kind kind;
        bool writable;
        const char *seen, *lines;
    } rows[] = {
        {LEARN_READ, false, "/etc/passwd|/etc/passwd|/etc/group", "/etc/group|/etc/passwd"},
        /* What starting needs is no line. */
        {LEARN_READ, false,
         "/usr/lib/x86_64-linux-gnu/libc.so.6|/etc/ld.so.cache|/dev/null|/lib/a|/.lazaret/init|/"
         "srv/a",
         "/srv/a"},
        {LEARN_WRITTEN, false, "/dev/null|/usr/lib/a", "/usr/lib/a"},
        {LEARN_EXECUTED, false,
         "/usr/bin/sh|/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2|/usr/lib/git/git",
         "/usr/bin/sh|/usr/lib/git/git"},
        /* What is not there yet, or is another one. */
        {LEARN_READ, false,
         "/in/a/b|/in/c|/work/x|/out/y|/tmp/z|/dev/shm/s|/run/secrets/K|/proc/12/stat",
         "/dev/shm|/in|/out|/proc|/run/secrets|/tmp|/work"},
        {LEARN_EXECUTED, false, "/in/run.sh|/work/a.out", "/in/run.sh|/work"},
        {LEARN_READ, false, "/input/a|/workshop/b", "/input/a|/workshop/b"},
        {LEARN_WRITTEN, true, "/opt/new/file|/etc/x|/work/x", "/etc|/opt|/work"},
        /* Folders that were opened, and what is below another one. */
        {LEARN_READ, false, "/etc/a/|/etc/a/b|/etc/a-b|/etc/a/c/d", "/etc/a|/etc/a-b"},
        {LEARN_READ, false, "/srv/a|/", "/"},
        {LEARN_EXECUTED, false, "/|/srv/a", "/srv/a"},
        /* More than eight in one folder are that folder; nothing becomes "/". */
        {LEARN_READ, false, "/s/1|/s/2|/s/3|/s/4|/s/5|/s/6|/s/7|/s/8",
         "/s/1|/s/2|/s/3|/s/4|/s/5|/s/6|/s/7|/s/8"},
        {LEARN_READ, false, "/s/1|/s/2|/s/3|/s/4|/s/5|/s/6|/s/7|/s/8|/s/9|/t/1", "/s|/t/1"},
        {LEARN_READ, false, "/1|/2|/3|/4|/5|/6|/7|/8|/9", "/1|/2|/3|/4|/5|/6|/7|/8|/9"},
        /* Hostile ones: the folder above the part that is none. */
        {LEARN_READ, false,
         "/srv/a\nb|/opt/x/\x1b[2J/y|/etc/\xff\xfe|/var/../etc/shadow|/usr/share/./x",
         "/etc|/opt/x|/srv|/usr/share|/var"},
        {LEARN_READ, false, "/\n|/..|/./x|//x|etc/passwd||/srv/a", "/srv/a"},
        {LEARN_READ, false, "/srv/\xc3\xa9", "/srv/\xc3\xa9"},
        {LEARN_READ, false, "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16",
         "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16"},
        {LEARN_READ, false, "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18",
         "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16"},
        /* Of one length, and of folders that are not. */
        {LEARN_READ, false,
         "/s/1|/s/2|/s/3|/s/4|/s/5|/t/1|/t/2|/t/3|/t/4|/t/5|/s/a/1|/s/a/2|/s/a/3|/s/a/4",
         "/s/1|/s/2|/s/3|/s/4|/s/5|/s/a/1|/s/a/2|/s/a/3|/s/a/4|/t/1|/t/2|/t/3|/t/4|/t/5"},
    };
    static const enum key keys[LEARN_KINDS] = {KEY_READ, KEY_WRITE, KEY_EXEC};

    for (size_t i = 0; i < N(rows); i++) {
        own_world struct world w = {0};
        own_observed struct observed o = {0};
        own_request struct request again = {0};
        own_free char *lines = NULL;

        must(resolve(&w, rows[i].writable ? M(", \"writable\": true") : M("")), &w);
        saw(&o, rows[i].kind, rows[i].seen);
        learn(&w, &o);
        lines = joined(&o.r, keys[rows[i].kind]);
        ck_assert_msg(strcmp(lines, rows[i].lines) == 0, "row %zu: %s", i, lines);
        read_back(&o.r, &again);
    }
}
END_TEST

START_TEST(paths_are_never_above_those_that_the_run_was_declared)
{
    static const struct {
        const char *declared, *seen, *lines;
        size_t left_out;
    } rows[] = {
        {"\"/in/data\"", "/in/data/x", "/in/data", 0},
        {"\"/in/data\", \"/in/b\", \"/srv\"", "/in/data/x", "/in/b|/in/data", 0},
        {"\"/in/\"", "/in/data/x", "/in", 0},
        {"\"/in/data\"", "/", "/in/data", 0},
        {"\"/\"", "/|/srv/a", "/", 0},
        {"\"/srv\"", "/srv/a/b|/srv/c", "/srv/a/b|/srv/c", 0},
        {"\"/etc/1\", \"/etc/2\", \"/etc/x\"",
         "/etc/1|/etc/2|/etc/3|/etc/4|/etc/5|/etc/6|/etc/7|/etc/8|/etc/9", "/etc/1|/etc/2|/etc/x",
         0},
        {"\"/srv/a\"", "/srv/a|/srv/ab|/srv/b|/opt", "/srv/a", 3},
    };

    for (size_t i = 0; i < N(rows); i++) {
        own_free char *asked = str_printf(M(", \"read\": [%s]"), rows[i].declared);
        own_world struct world w = {0};
        own_observed struct observed o = {0};
        own_free char *lines = NULL;

        must(resolve(&w, asked), &w);
        saw(&o, LEARN_READ, rows[i].seen);
        saw(&o, LEARN_WRITTEN, "/work/x");
        learn(&w, &o);
        lines = joined(&o.r, KEY_READ);
        ck_assert_msg(strcmp(lines, rows[i].lines) == 0, "row %zu: %s", i, lines);
        ck_assert_uint_eq(o.r.of[KEY_WRITE].texts.n, 0);
        ck_assert_uint_eq(o.notes.n, rows[i].left_out ? 2 : 1);
        if (rows[i].left_out)
            ck_assert(strstr(o.notes.items[0], "read: 3 paths are left out") == o.notes.items[0]);
        ck_assert(strstr(o.notes.items[o.notes.n - 1],
                         "write: 1 paths are left out: they cannot be declared, or this run did "
                         "not declare them") == o.notes.items[o.notes.n - 1]);
    }
}
END_TEST

START_TEST(of_many_declared_paths_a_manifest_that_may_be_read_is_learned)
{
    own_world struct world w = {0};
    own_observed struct observed o = {0};
    own_request struct request again = {0};

    request_add(&w.given, KEY_READ, "/srv");
    for (int i = 1; i < PLAN_PATHS_MAX; i++) {
        own_free char *path = str_printf("/opt/%d", i);

        request_add(&w.given, KEY_READ, path);
    }
    must(resolve(&w, M("")), &w);
    saw(&o, LEARN_READ, "/opt");
    for (int i = 0; i < 60; i++)
        strv_addf(&o.l.paths[LEARN_READ], "/srv/%d/x", i);
    learn(&w, &o);
    read_back(&o.r, &again);
    ck_assert_uint_eq(o.r.of[KEY_READ].texts.n, PLAN_PATHS_MAX);
    ck_assert_uint_eq(o.notes.n, 0);
}
END_TEST

START_TEST(a_flood_of_paths_is_a_few_lines_and_the_rest_is_counted)
{
    own_world struct world w = {0};
    own_observed struct observed o = {0};

    must(resolve(&w, M("")), &w);
    for (int i = 0; i < 2048; i++) {
        strv_addf(&o.l.paths[LEARN_READ], "/srv/%d/%d/%d", i % 16, i % 64, i);
        strv_addf(&o.l.paths[LEARN_EXECUTED], "/top-%d", i);
    }
    o.l.lost = 7;
    learn(&w, &o);
    ck_assert_uint_le(o.r.of[KEY_READ].texts.n, 64);
    ck_assert_uint_ge(o.r.of[KEY_READ].texts.n, 1);
    ck_assert_str_ne(o.r.of[KEY_READ].texts.items[0], "/");
    ck_assert_uint_eq(o.r.of[KEY_EXEC].texts.n, 64);
    ck_assert_uint_eq(o.notes.n, 2);
    ck_assert_str_eq(o.notes.items[0], "exec: 1984 paths are left out: they cannot be declared");
    ck_assert(strstr(o.notes.items[1], "could not tell of 7 more") != NULL);
}
END_TEST

START_TEST(a_guest_that_tells_of_nothing_leaves_nothing_unbounded)
{
    own_world struct world w = {0};
    own_observed struct observed o = {0};

    must(resolve(&w, M("")), &w);
    saw(&o, LEARN_READ, "/dev/null|//");
    ck_assert_int_lt(learn_manifest(w.plan, &w.wish, &o.l, &o.r, &o.notes, &w.e), 0);
    ck_assert_int_eq(w.e.class, ERR_GUEST);
}
END_TEST

START_TEST(numbers_have_headroom_and_are_never_above_the_runs_own)
{
    static const struct {
        const char *asked;
        uint64_t seen;
        enum key k;
        const char *is;
    } rows[] = {
        {M(""), 3 * PLAN_MIB, KEY_MEMORY, "64M"},
        {M(""), 90 * PLAN_MIB + 1, KEY_MEMORY, "192M"},
        {M(", \"memory\": \"100M\""), 90 * PLAN_MIB, KEY_MEMORY, "100M"},
        {M(""), UINT64_MAX, KEY_MEMORY, "512M"},
        {M(""), 0, KEY_MEMORY, ""},
        {M(", \"memory\": \"1G\""), 0, KEY_MEMORY, "1024M"},
        {M(""), 1, KEY_TIMEOUT, "60s"},
        {M(""), 20000, KEY_TIMEOUT, "80s"},
        {M(", \"timeout\": \"21s\""), 20000, KEY_TIMEOUT, "21s"},
        {M(""), 100000, KEY_JOB_CPU_TIME, "400s"},
        {M(""), 5, KEY_PIDS, "16"},
        {M(""), 9, KEY_PIDS, "32"},
        {M(", \"disk\": \"64M\""), 60 * PLAN_MIB, KEY_DISK, "64M"},
        {M(", \"output\": \"/o\""), 0, KEY_OUTPUT_MAX, "1M"},
        {M(", \"output\": \"/o\""), 3 * PLAN_MIB, KEY_OUTPUT_MAX, "6M"},
        {M(""), 3 * PLAN_MIB, KEY_OUTPUT_MAX, ""},
        {M(", \"memory\": \"1G\", \"tmp\": \"512M\""), PLAN_MIB, KEY_TMP, "64M"},
        {M(", \"cpu_time\": \"5m\""), PLAN_MIB, KEY_CPU_TIME, "300s"},
    };

    for (size_t i = 0; i < N(rows); i++) {
        own_world struct world w = {0};
        own_observed struct observed o = {0};
        const char *is;

        must(resolve(&w, rows[i].asked), &w);
        saw(&o, LEARN_EXECUTED, "/bin/x");
        o.l.peak_bytes = o.l.job_ms = o.l.job_cpu_ms = o.l.pids = o.l.out_bytes = rows[i].seen;
        o.l.guest_disk_bytes = rows[i].seen;
        learn(&w, &o);
        is = request_text(&o.r, rows[i].k);
        ck_assert_msg(strcmp(is ? is : "", rows[i].is) == 0, "row %zu: %s", i, is);
    }
}
END_TEST

START_TEST(destinations_are_named_one_by_one_within_what_let_them_through)
{
    static const struct learn_destination seen[] = {
        {.rule = 0, .host = "b.a.org", .port = 443, .count = 2, .bytes = 3000},
        {.rule = 0, .host = "a.a.org", .port = 443, .count = 1},
        {.rule = 1, .host = "api.org", .port = 443, .count = 1},
        {.rule = 2, .host = "::1", .port = 22, .count = 1},
        {.rule = 0, .host = "b.a.org", .port = 443, .count = 1, .bytes = 1096},
        {.rule = 0, .host = "elsewhere.org", .port = 443, .count = 1},
        {.rule = 0, .host = "x,name=y.a.org", .port = 443, .count = 1},
        {.rule = 9, .host = "b.a.org", .port = 443, .count = 1},
    };
    own_world struct world w = {.wish.learn = true};
    own_observed struct observed o = {0};
    own_free char *lines = NULL, *text = NULL;

    add_policy(
        &w, P(", \"network\": [\"https://*.a.org,bytes=1M\", \"https://api.org\", \"tcp://*:22\"]"),
        "p.json");
    strv_add(&w.secrets, "K");
    must(resolve(&w,
                 M(", \"network\": [\"https://*.a.org\", \"https://api.org/v1,name=api,secret=K\","
                   "\"tcp://[::1]:22\", \"https://unused.a.org\"]")),
         &w);
    saw(&o, LEARN_EXECUTED, "/bin/x");
    o.l.destinations = seen;
    o.l.n_destinations = N(seen);
    learn(&w, &o);
    lines = joined(&o.r, KEY_NETWORK);
    ck_assert_str_eq(
        lines, "https://a.a.org,bytes=1048576|https://api.org/v1,name=api,secret=K,"
               "header=Authorization: Bearer {}|https://b.a.org,bytes=1048576|tcp://[::1]:22");
    ck_assert_str_eq(o.notes.items[0], "network: 3 destinations are left out");
    text = request_format(&o.r);
    ck_assert(strstr(text, "\"3 connections, 4 KiB\"") != NULL);
}
END_TEST

START_TEST(each_line_says_why_and_who_saw_it)
{
    static const struct learn_destination seen[] = {
        {.rule = 0, .host = "a.org", .port = 443, .count = 1}};
    own_world struct world w = {0};
    own_observed struct observed o = {0};
    own_free char *text = NULL;
    static const char *const whys[] = {
        "\"key\": \"command\", \"by\": \"wish\", \"text\": \"asked for: agent.json:1\"",
        "\"key\": \"network\", \"line\": \"https://a.org\", \"by\": \"host\"",
        "\"key\": \"read\", \"line\": \"/in\", \"by\": \"guest\", \"text\": \"2 paths were "
        "opened\"",
        "\"key\": \"write\", \"line\": \"/out\", \"by\": \"host\", \"text\": \"3 of its files and "
        "folders "
        "came out\"",
        "\"key\": \"exec\", \"line\": \"/bin/x\", \"by\": \"guest\"",
        "\"key\": \"memory\", \"by\": \"guest\", \"text\": \"its peak was 3 MiB\"",
        "\"key\": \"timeout\", \"by\": \"host\", \"text\": \"what it took was 2.000 s\"",
        "\"key\": \"disk\", \"by\": \"guest\", \"text\": \"what was taken of it was 2 MiB\"",
    };

    request_add(&w.given, KEY_ENV, "TOKEN=hush");
    must(resolve(&w, M(", \"name\": \"nightly\", \"network\": [\"https://a.org\"], \"env\": "
                       "[\"A=1\"], \"output\": \"/o\"")),
         &w);
    saw(&o, LEARN_READ, "/in/a|/in/b|/bin/x");
    saw(&o, LEARN_EXECUTED, "/bin/x");
    o.l.destinations = seen;
    o.l.n_destinations = 1;
    o.l.out_entries = 3;
    o.l.peak_bytes = 3 * PLAN_MIB;
    o.l.job_ms = 2000;
    o.l.disk_bytes = PLAN_MIB;
    o.l.guest_disk_bytes = 2 * PLAN_MIB;
    learn(&w, &o);
    text = doc_format(o.r.why, true);
    /* On one line each, to compare. */
    for (char *at = text; *at; at++)
        if (*at == '\n')
            *at = ' ';
    for (size_t i = 0; i < N(whys); i++) {
        own_str struct str flat = {0};
        char *rest = text;

        for (; *rest; rest++)
            if (rest[0] != ' ' || rest[1] != ' ')
                str_add_bytes(&flat, rest, 1);
        ck_assert_msg(flat.data && strstr(flat.data, whys[i]), "%s is not in %s", whys[i],
                      flat.data);
    }
    /* A value that the command line gave is written nowhere; one of the manifest is in it already.
     */
    ck_assert_str_eq(o.r.of[KEY_ENV].texts.items[0], "A=1");
    ck_assert_str_eq(request_text(&o.r, KEY_NAME), "nightly");
    ck_assert_uint_eq(o.r.of[KEY_ENV].texts.n, 1);
    ck_assert_str_eq(o.notes.items[0],
                     "env: values that the command line gave are not written down");
}
END_TEST

static bool all_within(const struct strv *these, const struct strv *paths)
{
    size_t i = 0;

    while (i < paths->n && request_path_is_within(these, paths->items[i]))
        i++;
    return i == paths->n;
}

START_TEST(no_learned_manifest_yields_a_plan_above_its_policy)
{
    uint32_t seed = 7;

    for (int round = 0; round < ROUNDS; round++) {
        own_world struct world w = {0};
        own_observed struct observed o = {0};
        own_request struct request r = {0};
        own_plan struct plan *p = NULL;
        struct learn_destination d[8];

        set_up(&w, round);
        observe_anything(&seed, &o, d, N(d));
        learn(&w, &o);
        read_back(&o.r, &r);
        must(plan_resolve(&(struct plan_wish){.manifest = &r, .policies = w.wish.policies}, &p,
                          &w.e),
             &w);
        must(policy_check_network(&w.wish.policies, &p->network, &w.e), &w);
        ck_assert_uint_eq(p->trimmed.n, 0);
        ck_assert(plan_is_declared(p));
        if (plan_is_declared(w.plan)) {
            ck_assert(all_within(&w.plan->declared.read, &p->declared.read));
            ck_assert(all_within(&w.plan->declared.write, &p->declared.write));
            ck_assert(all_within(&w.plan->declared.exec, &p->declared.exec));
        }
        for (enum key k = 0; k < KEYS; k++) {
            uint64_t is = key_is_number(k) ? *plan_number(p, k) : 0;
            uint64_t most = key_is_number(k) ? *plan_number(w.plan, k) : 0;

            /* /tmp goes by the memory, and is never above it. */
            if (k != KEY_TMP && key_is_number(k))
                ck_assert_msg(most == 0 || (is != 0 && is <= most), "%s", key_rows[k].name);
        }
    }
}
END_TEST

SUITE("learn", a_run_that_learns_may_reach_what_all_policies_allow_and_nothing_else,
      without_ip_a_run_that_learns_may_reach_what_it_asks_for_only,
      what_may_not_be_written_down_is_not_learned, paths_are_those_that_a_next_run_finds,
      paths_are_never_above_those_that_the_run_was_declared,
      of_many_declared_paths_a_manifest_that_may_be_read_is_learned,
      a_flood_of_paths_is_a_few_lines_and_the_rest_is_counted,
      a_guest_that_tells_of_nothing_leaves_nothing_unbounded,
      numbers_have_headroom_and_are_never_above_the_runs_own,
      destinations_are_named_one_by_one_within_what_let_them_through,
      each_line_says_why_and_who_saw_it, no_learned_manifest_yields_a_plan_above_its_policy)
