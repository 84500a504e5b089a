/* test_plan: promises of the resolver. */
#include "base/own.h"
#include "plan/plan.h"
#include "tests/unit/suite.h"

#include <string.h>

static const char *const command[] = {"true", NULL};

static char *relative_path[] = {(char[]){"in"}, NULL};
static const struct strv relative = {.items = relative_path, .n = 1};
static char *odd_path[] = {(char[]){"/\xff"}, NULL};
static const struct strv odd_paths = {.items = odd_path, .n = 1};
static char *same_names[] = {(char[]){"/a/x"}, (char[]){"/b/x"}, NULL};
static const struct strv twice = {.items = same_names, .n = 2};
static char *keys[] = {(char[]){"age1aee3gyy2tntz4tku6wmduev9dnh9kmyjqppg32udh98pqqnz4evqrznfg3"},
                       NULL};
static const struct strv key = {.items = keys, .n = 1};
static const char *const not_utf8[] = {"echo", "\xff", NULL};

static bool has_env(const struct plan *p, const char *pair)
{
    for (size_t i = 0; i < p->env.n; i++)
        if (strcmp(p->env.items[i], pair) == 0)
            return true;
    return false;
}

START_TEST(an_empty_wish_gives_the_documented_defaults)
{
    struct plan_wish w = {.argv = command};
    own_plan struct plan *p = NULL;
    struct err e;

    ck_assert_int_eq(plan_resolve(&w, &p, &e), 0);
    ck_assert_str_eq(p->image, "default");
    ck_assert_int_eq(p->machine, PLAN_MICROVM);
    ck_assert_uint_eq(p->memory_bytes, 512 * PLAN_MIB);
    ck_assert_uint_eq(p->guest_bytes, 512 * PLAN_MIB + PLAN_GUEST_OVERHEAD);
    ck_assert_uint_eq(p->cpus, 1);
    ck_assert_uint_eq(p->uid, 1000);
    ck_assert_uint_eq(p->timeout_ms, 0);
    ck_assert_str_eq(p->workdir, "/work");
    ck_assert(has_env(p, "HOME=/work"));
}
END_TEST

START_TEST(what_is_declared_is_kept_by_the_plan_and_holds_for_each_command)
{
    own_strv struct strv in = {0}, out = {0}, argv = {0}, none = {0};
    struct plan_wish w = {.argv = command, .read = &in, .exec = &out};
    own_plan struct plan *p = NULL, *read = NULL, *derived = NULL;
    own_doc struct doc *d = NULL;
    struct err e;

    strv_add(&in, "/in");
    strv_add(&in, "/usr");
    strv_add(&out, "/usr/bin/git");
    strv_add(&argv, "id");
    ck_assert_int_eq(plan_resolve(&w, &p, &e), 0);
    d = plan_to_doc(p);
    ck_assert_msg(plan_from_doc(d, &read, &e) == 0, "%s", e.text);
    ck_assert_int_eq(
        plan_derive(read, &(struct plan_exec){.argv = &argv, .env = &none}, &derived, &e), 0);
    ck_assert(plan_is_declared(derived));
    ck_assert_uint_eq(derived->declared.read.n, 2);
    ck_assert_str_eq(derived->declared.read.items[1], "/usr");
    ck_assert_uint_eq(derived->declared.write.n, 0);
    ck_assert_str_eq(derived->declared.exec.items[0], "/usr/bin/git");
}
END_TEST

START_TEST(a_bad_wish_is_refused_and_named)
{
    static const struct {
        struct plan_wish w;
        enum err_class class;
        const char *names;
    } rows[] = {
        {{.argv = NULL}, ERR_USAGE, "no command"},
        {{.argv = command, .image = "../x"}, ERR_USAGE, "--image"},
        {{.argv = command, .image = ""}, ERR_USAGE, "--image"},
        {{.argv = command, .read = &relative}, ERR_USAGE, "--read"},
        {{.argv = command, .write = &relative}, ERR_USAGE, "--write"},
        {{.argv = command, .exec = &relative}, ERR_USAGE, "--exec"},
        {{.argv = command, .exec = &odd_paths}, ERR_USAGE, "--exec"},
        {{.argv = command, .machine = "pc"}, ERR_USAGE, "--machine"},
        {{.argv = command, .memory = "1M"}, ERR_USAGE, "--memory"},
        {{.argv = command, .memory = "lots"}, ERR_USAGE, "--memory"},
        {{.argv = command, .memory = "9999999T"}, ERR_USAGE, "--memory"},
        {{.argv = command, .cpus = "0"}, ERR_USAGE, "--cpus"},
        {{.argv = command, .cpus = "1.5"}, ERR_USAGE, "--cpus"},
        {{.argv = command, .disk = "1K"}, ERR_USAGE, "--disk"},
        {{.argv = command, .timeout = "never"}, ERR_USAGE, "--timeout"},
        {{.argv = command, .timeout = "0"}, ERR_USAGE, "--timeout"},
        {{.argv = command, .pids = "1"}, ERR_USAGE, "--pids"},
        {{.argv = command, .workdir = "work"}, ERR_USAGE, "--workdir"},
        {{.argv = command, .user = "root"}, ERR_USAGE, "--user"},
        {{.argv = command, .user = "0"}, ERR_REFUSED, "--user"},
        {{.argv = command, .user = "1:0"}, ERR_REFUSED, "--user"},
        {{.argv = command, .user = "70000"}, ERR_USAGE, "--user"},
        {{.argv = not_utf8}, ERR_USAGE, "argument 1"},
        {{.argv = command, .workdir = "/\xff"}, ERR_USAGE, "--workdir"},
        {{.argv = command, .out = "/\xff"}, ERR_USAGE, "--out"},
        {{.argv = command, .inputs = &twice}, ERR_USAGE, "same name"},
        {{.argv = command, .out_max = "1M"}, ERR_USAGE, "--out-max"},
        {{.argv = command, .in_max = "1M"}, ERR_USAGE, "--in-max needs --in"},
        {{.argv = command, .in_identity = "/key"}, ERR_USAGE, "exactly one --in"},
        {{.argv = command, .out_recipients = &key}, ERR_USAGE, "--out-recipient needs --out"},
        {{.argv = command, .out = "/o", .out_recipients = &twice}, ERR_USAGE, "number 1: is not a"},
        {{.argv = command, .debug = true, .no_debug = true}, ERR_REFUSED, "--debug"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct plan *p = NULL;
        struct err e = {0};

        ck_assert_msg(plan_resolve(&rows[i].w, &p, &e) == -1, "row %zu", i);
        ck_assert_msg(e.class == rows[i].class, "row %zu: %s", i, e.text);
        ck_assert_msg(strstr(e.text, rows[i].names) != NULL, "row %zu: %s", i, e.text);
        ck_assert_ptr_null(p);
    }
}
END_TEST

START_TEST(what_is_sealed_has_its_disks_in_memory)
{
    struct plan_wish w = {.argv = command, .out = "/o"};
    own_plan struct plan *plain = NULL, *sealed = NULL;
    struct err e;

    ck_assert_int_eq(plan_resolve(&w, &plain, &e), 0);
    ck_assert(!plain->amnesic);
    w.out_recipients = &key;
    ck_assert_msg(plan_resolve(&w, &sealed, &e) == 0, "%s", e.text);
    ck_assert(sealed->amnesic);
    ck_assert_str_eq(sealed->out_recipients.items[0], keys[0]);
}
END_TEST

START_TEST(a_debug_plan_stays_one_and_has_more_processes)
{
    struct plan_wish w = {.argv = command, .debug = true};
    const struct strv none = {0}, words = {.items = keys, .n = 1};
    own_plan struct plan *p = NULL, *read = NULL, *derived = NULL;
    own_doc struct doc *d = NULL;
    struct err e;

    ck_assert_int_eq(plan_resolve(&w, &p, &e), 0);
    ck_assert(p->debug);
    ck_assert_uint_eq(p->pids, PLAN_PIDS_MAX);
    d = plan_to_doc(p);
    ck_assert_msg(plan_from_doc(d, &read, &e) == 0, "%s", e.text);
    ck_assert(read->debug);
    ck_assert_int_eq(
        plan_derive(read, &(struct plan_exec){.argv = &words, .env = &none}, &derived, &e), 0);
    ck_assert(derived->debug);
}
END_TEST

START_TEST(the_last_value_of_a_variable_wins)
{
    own_strv struct strv env = {0};
    struct plan_wish w = {.argv = command, .env = &env};
    own_plan struct plan *p = NULL;
    struct err e;

    strv_add(&env, "A=1");
    strv_add(&env, "HOME=/tmp");
    strv_add(&env, "A=2");
    strv_add(&env, "EMPTY=");
    ck_assert_int_eq(plan_resolve(&w, &p, &e), 0);
    ck_assert(has_env(p, "A=2") && !has_env(p, "A=1"));
    ck_assert(has_env(p, "HOME=/tmp") && !has_env(p, "HOME=/work"));
    ck_assert(has_env(p, "EMPTY="));
}
END_TEST

static char *server[] = {(char[]){"/srv/app"}, (char[]){"--serve"}, NULL};
static char *greet[] = {(char[]){"hello"}, NULL};
static char *variables[] = {(char[]){"PATH=/srv/bin"}, (char[]){"MODE=image"}, NULL};
static const struct strv entrypoint = {.items = server, .n = 2};
static const struct strv image_command = {.items = greet, .n = 1};
static const struct strv image_env = {.items = variables, .n = 2};
static const struct plan_image app = {.digest = "d1",
                                      .entrypoint = &entrypoint,
                                      .command = &image_command,
                                      .env = &image_env,
                                      .workdir = "/srv",
                                      .uid = 33,
                                      .gid = 34};

/* The command of a plan, with blanks between its words. */
static char *command_of(const struct plan_wish *w)
{
    own_plan struct plan *p = NULL;
    own_str struct str s = {0};
    struct err e;

    ck_assert_msg(plan_resolve(w, &p, &e) == 0, "%s", e.text);
    for (size_t i = 0; i < p->argv.n; i++)
        str_addf(&s, "%s%s", i ? " " : "", p->argv.items[i]);
    return str_steal(&s);
}

START_TEST(an_image_says_what_runs_as_docker_has_it)
{
    static const char *const other[] = {"bye", NULL};
    static const struct {
        struct plan_wish w;
        const char *command;
    } rows[] = {
        {{.from = &app}, "/srv/app --serve hello"},
        {{.from = &app, .argv = other}, "/srv/app --serve bye"},
        {{.from = &app, .entrypoint = "/bin/sh"}, "/bin/sh"},
        {{.from = &app, .entrypoint = "/bin/sh", .argv = other}, "/bin/sh bye"},
        {{.from = &app, .entrypoint = "", .argv = other}, "bye"},
        {{.entrypoint = "/bin/sh"}, "/bin/sh"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own_free char *got = command_of(&rows[i].w);

        ck_assert_str_eq(got, rows[i].command);
    }
}
END_TEST

START_TEST(an_image_says_as_whom_and_where_and_the_command_line_wins)
{
    own_strv struct strv env = {0};
    struct plan_wish w = {.from = &app};
    own_plan struct plan *p = NULL, *q = NULL;
    struct err e;

    ck_assert_int_eq(plan_resolve(&w, &p, &e), 0);
    ck_assert_str_eq(p->image_digest, "d1");
    ck_assert_uint_eq(p->uid, 33);
    ck_assert_uint_eq(p->gid, 34);
    ck_assert_str_eq(p->workdir, "/srv");
    ck_assert(has_env(p, "PATH=/srv/bin") && has_env(p, "MODE=image") && has_env(p, "HOME=/work"));
    strv_add(&env, "MODE=mine");
    w.env = &env;
    w.user = "7";
    w.workdir = "/tmp";
    ck_assert_int_eq(plan_resolve(&w, &q, &e), 0);
    ck_assert_uint_eq(q->uid, 7);
    ck_assert_uint_eq(q->gid, 7);
    ck_assert_str_eq(q->workdir, "/tmp");
    ck_assert(has_env(q, "MODE=mine") && !has_env(q, "MODE=image"));
}
END_TEST

START_TEST(no_image_makes_a_job_root)
{
    struct plan_image root = app;
    struct plan_wish w = {.from = &root};
    struct plan *p = NULL;
    struct err e;

    root.uid = 0;
    ck_assert_int_eq(plan_resolve(&w, &p, &e), -1);
    ck_assert_int_eq(e.class, ERR_REFUSED);
}
END_TEST

START_TEST(a_command_too_large_to_deliver_is_refused)
{
    own_free char *big = malloc(PLAN_ARGS_MAX + 2);
    const char *argv[] = {"echo", big, NULL};
    struct plan_wish w = {.argv = argv};
    struct plan *p = NULL;
    struct err e;

    memset(big, 'a', PLAN_ARGS_MAX + 1);
    big[PLAN_ARGS_MAX + 1] = '\0';
    ck_assert_int_eq(plan_resolve(&w, &p, &e), -1);
    ck_assert_int_eq(e.class, ERR_USAGE);
}
END_TEST

START_TEST(the_calibration_hint_is_for_microvm_under_software_emulation_only)
{
    struct plan_wish w = {.argv = command, .accel = PLAN_TCG, .tsc_khz = 2000000};
    struct err e;

    for (int i = 0; i < 3; i++) {
        own_plan struct plan *p = NULL;

        w.machine = i == 1 ? "q35" : "microvm";
        w.accel = i == 2 ? PLAN_KVM : PLAN_TCG;
        ck_assert_int_eq(plan_resolve(&w, &p, &e), 0);
        ck_assert_uint_eq(p->tsc_khz, i == 0 ? 2000000 : 0);
    }
}
END_TEST

static struct plan *base_plan(void)
{
    char *env[] = {(char[]){"PATH=/bin"}, (char[]){"A=1"}, NULL};
    const struct strv given = {.items = env, .n = 2};
    struct plan_wish w = {
        .no_command = true, .env = &given, .user = "7:8", .workdir = "/srv", .memory = "64M"};
    struct plan *p = NULL;
    struct err e;

    ck_assert_int_eq(plan_resolve(&w, &p, &e), 0);
    ck_assert_uint_eq(p->argv.n, 0);
    return p;
}

START_TEST(a_command_in_a_sandbox_starts_from_its_plan)
{
    char *argv[] = {(char[]){"ls"}, (char[]){"-l"}, NULL};
    char *env[] = {(char[]){"A=2"}, NULL};
    const struct strv words = {.items = argv, .n = 2}, more = {.items = env, .n = 1}, none = {0};
    own_plan struct plan *base = base_plan(), *same = NULL, *other = NULL;
    struct err e;

    ck_assert_int_eq(
        plan_derive(base, &(struct plan_exec){.argv = &words, .env = &none}, &same, &e), 0);
    ck_assert_str_eq(same->argv.items[1], "-l");
    ck_assert_str_eq(same->workdir, "/srv");
    ck_assert_uint_eq(same->uid, 7);
    ck_assert_uint_eq(same->gid, 8);
    ck_assert_uint_eq(same->memory_bytes, 64 * PLAN_MIB);
    ck_assert(has_env(same, "PATH=/bin") && has_env(same, "A=1") && has_env(same, "HOME=/work"));
    ck_assert_int_eq(plan_derive(base,
                                 &(struct plan_exec){.argv = &words,
                                                     .env = &more,
                                                     .user = "9",
                                                     .workdir = "/tmp",
                                                     .timeout_ms = 5,
                                                     .tty = true},
                                 &other, &e),
                     0);
    ck_assert_str_eq(other->workdir, "/tmp");
    ck_assert_uint_eq(other->uid, 9);
    ck_assert_uint_eq(other->gid, 9);
    ck_assert_uint_eq(other->timeout_ms, 5);
    ck_assert(has_env(other, "A=2") && !has_env(other, "A=1") && has_env(other, "PATH=/bin"));
    ck_assert(has_env(other, "TERM=xterm-256color"));
}
END_TEST

START_TEST(a_command_in_a_sandbox_is_checked_like_a_run)
{
    char *argv[] = {(char[]){"true"}, NULL}, *bad[] = {(char[]){"\xff"}, NULL};
    char *env[] = {(char[]){"=x"}, NULL};
    const struct strv words = {.items = argv, .n = 1}, odd = {.items = bad, .n = 1};
    const struct strv no_name = {.items = env, .n = 1}, none = {0};
    const struct {
        struct plan_exec x;
        enum err_class class;
        const char *names;
    } rows[] = {
        {{.argv = &none, .env = &none}, ERR_USAGE, "no command"},
        {{.argv = &odd, .env = &none}, ERR_USAGE, "UTF-8"},
        {{.argv = &words, .env = &no_name}, ERR_USAGE, "--env"},
        {{.argv = &words, .env = &odd}, ERR_USAGE, "--env"},
        {{.argv = &words, .env = &none, .user = "0"}, ERR_REFUSED, "root"},
        {{.argv = &words, .env = &none, .user = "x"}, ERR_USAGE, "--user"},
        {{.argv = &words, .env = &none, .workdir = "tmp"}, ERR_USAGE, "--workdir"},
        {{.argv = &words, .env = &none, .timeout_ms = UINT64_MAX}, ERR_USAGE, "--timeout"},
    };
    own_plan struct plan *base = base_plan(), *p = NULL;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct err e;

        ck_assert_int_eq(plan_derive(base, &rows[i].x, &p, &e), -1);
        ck_assert_int_eq(e.class, rows[i].class);
        ck_assert_msg(strstr(e.text, rows[i].names), "row %zu: %s", i, e.text);
        ck_assert_ptr_null(p);
    }
}
END_TEST

SUITE("plan", a_command_in_a_sandbox_starts_from_its_plan,
      a_command_in_a_sandbox_is_checked_like_a_run, an_empty_wish_gives_the_documented_defaults,
      a_bad_wish_is_refused_and_named,
      what_is_declared_is_kept_by_the_plan_and_holds_for_each_command,
      what_is_sealed_has_its_disks_in_memory, a_debug_plan_stays_one_and_has_more_processes,
      the_last_value_of_a_variable_wins, an_image_says_what_runs_as_docker_has_it,
      an_image_says_as_whom_and_where_and_the_command_line_wins, no_image_makes_a_job_root,
      a_command_too_large_to_deliver_is_refused,
      the_calibration_hint_is_for_microvm_under_software_emulation_only)
