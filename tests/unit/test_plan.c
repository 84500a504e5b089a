/* test_plan: promises of the resolver. */
#include "base/own.h"
#include "plan/plan.h"
#include "tests/unit/suite.h"

#include <string.h>

/* What a command line says, as "--option", "value" pairs of the table's names; a command at its
 * end. */
struct said {
    enum key k;
    const char *text;
};
#define SAID(...) ((const struct said[]){__VA_ARGS__, {KEYS, NULL}})
#define PUBLIC    "age1aee3gyy2tntz4tku6wmduev9dnh9kmyjqppg32udh98pqqnz4evqrznfg3"
#define COMMAND                                                                                    \
    {                                                                                              \
        KEY_COMMAND, "true"                                                                        \
    }

static struct request request_of(const struct said *said)
{
    struct request r = {0};

    for (; said && said->k != KEYS; said++)
        request_add(&r, said->k, said->text);
    return r;
}

/* Resolves what is said on top of `w`. */
static int resolve(const struct said *said, struct plan_wish w, struct plan **ret, struct err *e)
{
    own_request struct request r = request_of(said);

    w.command_line = &r;
    return plan_resolve(&w, ret, e);
}

static bool has_env(const struct plan *p, const char *pair)
{
    for (size_t i = 0; i < p->env.n; i++)
        if (strcmp(p->env.items[i], pair) == 0)
            return true;
    return false;
}

START_TEST(an_empty_wish_gives_the_documented_defaults)
{
    own_plan struct plan *p = NULL;
    struct err e;

    ck_assert_int_eq(resolve(SAID(COMMAND), (struct plan_wish){0}, &p, &e), 0);
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
    own_strv struct strv argv = {0}, none = {0};
    own_plan struct plan *p = NULL, *read = NULL, *derived = NULL;
    own_doc struct doc *d = NULL;
    struct err e;

    strv_add(&argv, "id");
    ck_assert_int_eq(
        resolve(SAID(COMMAND, {KEY_READ, "/in"}, {KEY_READ, "/usr"}, {KEY_EXEC, "/usr/bin/git"}),
                (struct plan_wish){0}, &p, &e),
        0);
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
        struct said said[3];
        enum err_class class;
        const char *names;
    } rows[] = {
        {{{KEYS}}, ERR_USAGE, "no command"},
        {{{KEY_IMAGE, "../x"}}, ERR_USAGE, "--image"},
        {{{KEY_IMAGE, ""}}, ERR_USAGE, "--image"},
        {{{KEY_MACHINE, "pc"}}, ERR_USAGE, "--machine"},
        {{{KEY_ACCEL, "hvf"}}, ERR_USAGE, "--accel"},
        {{{KEY_MEMORY, "1M"}}, ERR_USAGE, "--memory"},
        {{{KEY_MEMORY, "lots"}}, ERR_USAGE, "--memory"},
        {{{KEY_MEMORY, "9999999T"}}, ERR_USAGE, "--memory"},
        {{{KEY_CPUS, "0"}}, ERR_USAGE, "--cpus"},
        {{{KEY_CPUS, "1.5"}}, ERR_USAGE, "--cpus"},
        {{{KEY_DISK, "1K"}}, ERR_USAGE, "--disk"},
        {{{KEY_DISK_RATE, "1K"}}, ERR_USAGE, "--disk-rate"},
        {{{KEY_DISK_IOPS, "1"}}, ERR_USAGE, "--disk-iops"},
        {{{KEY_TIMEOUT, "never"}}, ERR_USAGE, "--timeout"},
        {{{KEY_TIMEOUT, "0"}}, ERR_USAGE, "--timeout"},
        {{{KEY_CPU_TIME, "0"}}, ERR_USAGE, "--cpu-time"},
        {{{KEY_IDLE_TIME, "0"}}, ERR_USAGE, "--idle-time"},
        {{{KEY_JOB_CPU_TIME, "forever"}}, ERR_USAGE, "--job-cpu-time"},
        {{{KEY_ADDRESS_SPACE, "1M"}}, ERR_USAGE, "--address-space"},
        {{{KEY_FILE_SIZE, "0"}}, ERR_USAGE, "--file-size"},
        {{{KEY_OPEN_FILES, "3"}}, ERR_USAGE, "--open-files"},
        {{{KEY_OPEN_FILES, "5000"}}, ERR_USAGE, "--open-files"},
        {{{KEY_TMP, "1T"}}, ERR_USAGE, "--tmp: 1 TiB is above the memory, 512 MiB (default)"},
        {{{KEY_PIDS, "1"}}, ERR_USAGE, "--pids"},
        {{{KEY_WORKDIR, "work"}, COMMAND}, ERR_USAGE, "--workdir"},
        {{{KEY_USER, "root"}}, ERR_USAGE, "--user"},
        {{{KEY_USER, "0"}}, ERR_REFUSED, "--user"},
        {{{KEY_USER, "1:0"}}, ERR_REFUSED, "--user"},
        {{{KEY_USER, "70000"}}, ERR_USAGE, "--user"},
        {{COMMAND, {KEY_COMMAND, "\xff"}}, ERR_USAGE, "argument 1"},
        {{COMMAND, {KEY_WORKDIR, "/\xff"}}, ERR_USAGE, "--workdir"},
        {{COMMAND, {KEY_OUTPUT, "/\xff"}}, ERR_USAGE, "--out"},
        {{COMMAND, {KEY_INPUTS, "/a/x"}, {KEY_INPUTS, "/b/x"}}, ERR_USAGE, "same name"},
        {{COMMAND, {KEY_OUTPUT_MAX, "1M"}}, ERR_USAGE, "--out-max"},
        {{COMMAND, {KEY_INPUT_MAX, "1M"}}, ERR_USAGE, "--in-max needs --in"},
        {{COMMAND, {KEY_INPUT_IDENTITY, "/key"}}, ERR_USAGE, "exactly one --in"},
        {{COMMAND, {KEY_OUTPUT_RECIPIENTS, PUBLIC}}, ERR_USAGE, "--out-recipient needs --out"},
        {{COMMAND, {KEY_OUTPUT, "/o"}, {KEY_OUTPUT_RECIPIENTS, "/a/x"}},
         ERR_USAGE,
         "number 1: is not a"},
        {{COMMAND, {KEY_READ, "in"}}, ERR_USAGE, "--read"},
        {{COMMAND, {KEY_WRITE, "in"}}, ERR_USAGE, "--write"},
        {{COMMAND, {KEY_EXEC, "in"}}, ERR_USAGE, "--exec"},
        {{COMMAND, {KEY_EXEC, "/\xff"}}, ERR_USAGE, "--exec"},
        {{COMMAND, {KEY_AFTER, "keep"}}, ERR_USAGE, "--keep only"},
        {{COMMAND, {KEY_MAX_MARKS, "3"}}, ERR_USAGE, "--max-marks is for 'lazaret up'"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own_request struct request r = {0};
        struct plan *p = NULL;
        struct err e = {0};

        for (size_t n = 0; n < 3 && rows[i].said[n].text; n++)
            request_add(&r, rows[i].said[n].k, rows[i].said[n].text);
        ck_assert_msg(plan_resolve(&(struct plan_wish){.command_line = &r}, &p, &e) == -1,
                      "row %zu", i);
        ck_assert_msg(e.class == rows[i].class, "row %zu: %s", i, e.text);
        ck_assert_msg(strstr(e.text, rows[i].names) != NULL, "row %zu: %s", i, e.text);
        ck_assert_ptr_null(p);
    }
}
END_TEST

START_TEST(what_is_sealed_has_its_disks_in_memory)
{
    own_plan struct plan *plain = NULL, *sealed = NULL, *kept = NULL;
    struct err e;

    ck_assert_int_eq(resolve(SAID(COMMAND, {KEY_OUTPUT, "/o"}), (struct plan_wish){0}, &plain, &e),
                     0);
    ck_assert(!plain->amnesic);
    ck_assert_msg(resolve(SAID(COMMAND, {KEY_OUTPUT, "/o"}, {KEY_OUTPUT_RECIPIENTS, PUBLIC}),
                          (struct plan_wish){0}, &sealed, &e) == 0,
                  "%s", e.text);
    ck_assert(sealed->amnesic);
    ck_assert_str_eq(sealed->out_recipients.items[0], PUBLIC);
    ck_assert_int_eq(resolve(SAID(COMMAND, {KEY_OUTPUT, "/o"}, {KEY_OUTPUT_RECIPIENTS, PUBLIC}),
                             (struct plan_wish){.keep_logs = true}, &kept, &e),
                     -1);
    ck_assert(e.class == ERR_USAGE && strstr(e.text, "--out-recipient excludes"));
}
END_TEST

START_TEST(an_amnesic_guest_excludes_what_stays_of_one)
{
    const struct plan_wish rows[] = {{.keep_logs = true}, {.connect = true}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own_plan struct plan *p = NULL;
        struct err e;

        ck_assert_int_eq(resolve(SAID(COMMAND, {KEY_AMNESIC, "true"}), rows[i], &p, &e), -1);
        ck_assert(e.class == ERR_USAGE && strstr(e.text, "--amnesic excludes"));
    }
}
END_TEST

START_TEST(a_debug_plan_stays_one_and_has_more_processes)
{
    own_strv struct strv words = {0}, none = {0};
    own_plan struct plan *p = NULL, *read = NULL, *derived = NULL;
    own_doc struct doc *d = NULL;
    struct err e;

    strv_add(&words, "id");
    ck_assert_int_eq(resolve(SAID(COMMAND, {KEY_DEBUG, "true"}), (struct plan_wish){0}, &p, &e), 0);
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
    own_plan struct plan *p = NULL;
    struct err e;

    ck_assert_int_eq(resolve(SAID(COMMAND, {KEY_ENV, "A=1"}, {KEY_ENV, "HOME=/tmp"},
                                  {KEY_ENV, "A=2"}, {KEY_ENV, "EMPTY="}),
                             (struct plan_wish){0}, &p, &e),
                     0);
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
static char *command_of(const struct said *said, const struct plan_image *from)
{
    own_plan struct plan *p = NULL;
    own_str struct str s = {0};
    struct err e;

    ck_assert_msg(resolve(said, (struct plan_wish){.from = from}, &p, &e) == 0, "%s", e.text);
    for (size_t i = 0; i < p->argv.n; i++)
        str_addf(&s, "%s%s", i ? " " : "", p->argv.items[i]);
    return str_steal(&s);
}

START_TEST(an_image_says_what_runs_as_docker_has_it)
{
    const struct {
        const struct said *said;
        const struct plan_image *from;
        const char *command;
    } rows[] = {
        {NULL, &app, "/srv/app --serve hello"},
        {SAID({KEY_COMMAND, "bye"}), &app, "/srv/app --serve bye"},
        {SAID({KEY_ENTRYPOINT, "/bin/sh"}), &app, "/bin/sh"},
        {SAID({KEY_ENTRYPOINT, "/bin/sh"}, {KEY_COMMAND, "bye"}), &app, "/bin/sh bye"},
        {SAID({KEY_ENTRYPOINT, ""}, {KEY_COMMAND, "bye"}), &app, "bye"},
        {SAID({KEY_ENTRYPOINT, "/bin/sh"}), NULL, "/bin/sh"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own_free char *got = command_of(rows[i].said, rows[i].from);

        ck_assert_str_eq(got, rows[i].command);
    }
}
END_TEST

START_TEST(an_image_says_as_whom_and_where_and_the_command_line_wins)
{
    struct plan_wish w = {.from = &app};
    own_plan struct plan *p = NULL, *q = NULL;
    struct err e;

    ck_assert_int_eq(plan_resolve(&w, &p, &e), 0);
    ck_assert_str_eq(p->image_digest, "d1");
    ck_assert_uint_eq(p->uid, 33);
    ck_assert_uint_eq(p->gid, 34);
    ck_assert_str_eq(p->workdir, "/srv");
    ck_assert(has_env(p, "PATH=/srv/bin") && has_env(p, "MODE=image") && has_env(p, "HOME=/work"));
    ck_assert_int_eq(
        resolve(SAID({KEY_ENV, "MODE=mine"}, {KEY_USER, "7"}, {KEY_WORKDIR, "/tmp"}), w, &q, &e),
        0);
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
    struct plan *p = NULL;
    struct err e;

    memset(big, 'a', PLAN_ARGS_MAX + 1);
    big[PLAN_ARGS_MAX + 1] = '\0';
    ck_assert_int_eq(resolve(SAID({KEY_COMMAND, big}), (struct plan_wish){0}, &p, &e), -1);
    ck_assert_int_eq(e.class, ERR_USAGE);
}
END_TEST

START_TEST(the_calibration_hint_is_for_microvm_under_software_emulation_only)
{
    struct plan_wish w = {.accel = PLAN_TCG, .tsc_khz = 2000000};
    struct err e;

    for (int i = 0; i < 3; i++) {
        own_plan struct plan *p = NULL;

        w.accel = i == 2 ? PLAN_KVM : PLAN_TCG;
        ck_assert_int_eq(
            resolve(SAID(COMMAND, {KEY_MACHINE, i == 1 ? "q35" : "microvm"}), w, &p, &e), 0);
        ck_assert_uint_eq(p->tsc_khz, i == 0 ? 2000000 : 0);
    }
}
END_TEST

static struct plan *base_plan(void)
{
    struct plan *p = NULL;
    struct err e;

    ck_assert_int_eq(resolve(SAID({KEY_ENV, "PATH=/bin"}, {KEY_ENV, "A=1"}, {KEY_USER, "7:8"},
                                  {KEY_WORKDIR, "/srv"}, {KEY_MEMORY, "64M"}),
                             (struct plan_wish){.use = KEY_OF_UP}, &p, &e),
                     0);
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
      what_is_sealed_has_its_disks_in_memory, an_amnesic_guest_excludes_what_stays_of_one,
      a_debug_plan_stays_one_and_has_more_processes, the_last_value_of_a_variable_wins,
      an_image_says_what_runs_as_docker_has_it,
      an_image_says_as_whom_and_where_and_the_command_line_wins, no_image_makes_a_job_root,
      a_command_too_large_to_deliver_is_refused,
      the_calibration_hint_is_for_microvm_under_software_emulation_only)
