/* options: the options that `run` and `check` share, from the command line to a plan. */
#include "cli/options.h"

#include "base/log.h"
#include "base/own.h"
#include "hv/accel.h"
#include "images/image.h"
#include "images/kernel_config.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OPT_FIRST 256 /* an option of the table is OPT_FIRST and its key */

enum {
    OPT_JSON = OPT_FIRST + KEYS,
    OPT_KEEP_LOGS,
    OPT_COLD,
    OPT_TIMING,
    OPT_KEEP,
    OPT_FORK_FROM,
    OPT_LEARN,
    OPT_POOL,
    OPT_POOL_IDLE,
    OPT_MANIFEST,
    OPT_POLICY,
    OPT_CONNECT,
    OPT_SECRET,
    OPT_SECRET_ENV,
    OPT_NO_RECORD,
    OPT_NO_CONTENT,
    OPT_RECORD_TO,
    OPT_RECORD_CHANGES,
    OPT_EGRESS_PROXY,
    OPT_HELP,
};

static const struct option switches[] = {
    {"interactive", no_argument, NULL, 'i'},
    {"tty", no_argument, NULL, 't'},
    {"json", no_argument, NULL, OPT_JSON},
    {"keep-logs", no_argument, NULL, OPT_KEEP_LOGS},
    {"cold", no_argument, NULL, OPT_COLD},
    {"timing", no_argument, NULL, OPT_TIMING},
    {"keep", required_argument, NULL, OPT_KEEP},
    {"fork-from", required_argument, NULL, OPT_FORK_FROM},
    {"learn", required_argument, NULL, OPT_LEARN},
    {"pool", required_argument, NULL, OPT_POOL},
    {"pool-idle", required_argument, NULL, OPT_POOL_IDLE},
    {"manifest", required_argument, NULL, OPT_MANIFEST},
    {"policy", required_argument, NULL, OPT_POLICY},
    {"connect", required_argument, NULL, OPT_CONNECT},
    {"secret", required_argument, NULL, OPT_SECRET},
    {"secret-env", required_argument, NULL, OPT_SECRET_ENV},
    {"no-record", no_argument, NULL, OPT_NO_RECORD},
    {"no-output-content", no_argument, NULL, OPT_NO_CONTENT},
    {"record-changes", no_argument, NULL, OPT_RECORD_CHANGES},
    {"record-recipient", required_argument, NULL, OPT_RECORD_TO},
    {"egress-proxy", no_argument, NULL, OPT_EGRESS_PROXY},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};
#define SWITCHES (sizeof(switches) / sizeof(switches[0]))

/* The switches, and one option for each key that has one. */
static void fill_longs(struct option longs[KEYS + SWITCHES])
{
    size_t n = 0;

    for (enum key k = 0; k < KEYS; k++)
        if (key_rows[k].option)
            longs[n++] =
                (struct option){key_rows[k].option,
                                key_rows[k].kind == KEY_KIND_FLAG ? no_argument : required_argument,
                                NULL, OPT_FIRST + (int)k};
    memcpy(longs + n, switches, sizeof(switches));
}

struct run_config options_run_config(const struct cli_paths *paths)
{
    return (struct run_config){
        .data_dir = paths->data_dir,
        .relay_path = paths->relay,
        .unpack_path = paths->unpack,
        .look_path = paths->look,
        .gateway_path = paths->gateway,
        .preload_path = paths->preload,
        .wrap_path = paths->wrap,
    };
}

int options_after(const char *text, enum sandbox_after *ret, struct err *e)
{
    static const char *const words[] = {
        [SANDBOX_KEEP] = "keep", [SANDBOX_REVERT] = "revert", [SANDBOX_DISCARD] = "discard"};

    for (size_t i = 0; text && i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(text, words[i]) != 0)
            continue;
        *ret = (enum sandbox_after)i;
        return 0;
    }
    return text ? err_set(e, ERR_USAGE, "--after: '%.32s' is not revert, keep or discard",
                          str_is_printable(text, 4096) ? text : "?")
                : 0;
}

void options_add_env(struct strv *env, const char *text)
{
    const char *value = strchr(text, '=') ? NULL : getenv(text);

    if (strchr(text, '='))
        strv_add(env, text);
    else if (value)
        strv_addf(env, "%s=%s", text, value);
}

int options_secrets(const char *command, const struct strv *asked, const struct strv *env,
                    bool interactive, struct secrets *ret)
{
    struct err e;

    if (secrets_parse(asked, env, ret, &e) < 0)
        return cli_misuse(command, "%s", e.text);
    if (interactive && secrets_use_stdin(ret))
        return cli_misuse(command, "--secret NAME=- and -i exclude each other: both read stdin");
    return -1;
}

/* One option; returns -1 to go on. */
static int take(struct options *o, int opt, const char *help)
{
    switch (opt) {
    case OPT_FIRST + (int)KEY_ENV:
        options_add_env(&o->given.of[KEY_ENV].texts, optarg);
        o->given.of[KEY_ENV].set = true;
        return -1;
    case OPT_MANIFEST:
        o->manifest_file = optarg;
        return -1;
    case OPT_POLICY:
        strv_add(&o->policy_files, optarg);
        return -1;
    case OPT_SECRET:
        strv_add(&o->asked_secrets, optarg);
        return -1;
    case OPT_SECRET_ENV:
        strv_add(&o->secret_env, optarg);
        return -1;
    case OPT_NO_RECORD:
        o->wish.record.off = true;
        return -1;
    case OPT_NO_CONTENT:
        o->wish.record.no_content = true;
        return -1;
    case OPT_RECORD_CHANGES:
        o->wish.record.changes = true;
        return -1;
    case OPT_RECORD_TO:
        strv_add(&o->record_to, optarg);
        return -1;
    case OPT_EGRESS_PROXY:
        o->egress_proxy = true;
        return -1;
    case OPT_CONNECT:
        o->uri = optarg;
        return -1;
    case OPT_JSON:
        o->json = true;
        return -1;
    case OPT_KEEP_LOGS:
        o->keep_logs = true;
        return -1;
    case OPT_COLD:
        o->cold = true;
        return -1;
    case OPT_TIMING:
        o->timing = true;
        return -1;
    case OPT_KEEP:
        o->keep = optarg;
        return -1;
    case OPT_FORK_FROM:
        o->from = optarg;
        return -1;
    case OPT_POOL:
        o->pool = optarg;
        return -1;
    case OPT_POOL_IDLE:
        o->pool_idle = optarg;
        return -1;
    case OPT_LEARN:
        o->learn = optarg;
        o->wish.learn = true;
        return -1;
    case 'i':
        o->wish.interactive = true;
        return -1;
    case 't':
        o->wish.tty = true;
        return -1;
    case OPT_HELP:
        fputs(help, stdout);
        return cli_flush();
    default:
        request_add(&o->given, (enum key)(opt - OPT_FIRST), optarg ? optarg : "true");
        return -1;
    }
}

int options_parse(int argc, char **argv, const char *help, struct options *ret)
{
    struct option longs[KEYS + SWITCHES] = {{0}};
    int opt;

    *ret = (struct options){0};
    fill_longs(longs);
    opterr = 0;
    optind = 1;
    while ((opt = getopt_long(argc, argv, "+:it", longs, NULL)) != -1) {
        int status;

        if (opt == '?')
            return optopt && optopt < OPT_FIRST
                       ? cli_misuse(argv[0], "unknown option '-%c'", optopt)
                       : cli_misuse(argv[0], "unknown option '%s'", argv[optind - 1]);
        if (opt == ':')
            return cli_misuse(argv[0], "option '%s' needs a value", argv[optind - 1]);
        status = take(ret, opt, help);
        if (status >= 0)
            return status;
    }
    for (char **a = argv + optind; *a; a++)
        request_add(&ret->given, KEY_COMMAND, *a);
    ret->wish.command_line = &ret->given;
    ret->wish.record.recipients = &ret->record_to;
    ret->wish.secrets = &ret->secrets.files;
    ret->wish.secret_env = &ret->secrets.env;
    ret->wish.keep_logs = ret->keep_logs;
    ret->wish.connect = ret->uri != NULL;
    if (ret->json && ret->wish.tty)
        return cli_misuse(argv[0], "--json and --tty exclude each other");
    if (ret->uri && strcmp(ret->uri, "qemu:///session") != 0)
        return cli_misuse(argv[0], "--connect: '%s' is not qemu:///session", ret->uri);
    /* Root's is the system daemon: it would give the image's files to QEMU's user. */
    if (ret->uri && geteuid() == 0)
        return cli_misuse(argv[0],
                          "--connect is for ordinary users, root's daemon is the system's");
    return options_secrets(argv[0], &ret->asked_secrets, &ret->secret_env, ret->wish.interactive,
                           &ret->secrets);
}

int options_for_sandbox(const char *command, struct options *o)
{
    o->wish.use = KEY_OF_UP; /* what the table says of it is the resolver's */
    if (o->timing)
        return cli_misuse(command, "--timing is for 'lazaret run'");
    if (o->wish.interactive || o->wish.tty)
        return cli_misuse(command, "-i and -t are for 'lazaret exec'");
    if (o->keep || o->from || o->learn || o->pool || o->pool_idle)
        return cli_misuse(command, "--keep, --fork-from, --learn and --pool are for 'lazaret run'");
    if (o->secret_env.n)
        return cli_misuse(command, "--secret-env is for 'lazaret run' and 'lazaret exec'");
    if (o->uri)
        return cli_misuse(command, "--connect is for 'lazaret run'");
    return -1;
}

void options_done(struct options *o)
{
    request_done(&o->given);
    request_done(&o->manifest);
    strv_done(&o->policy_files);
    strv_done(&o->layers);
    strv_done(&o->record_to);
    recording_files_done(&o->files);
    strv_done(&o->asked_secrets);
    strv_done(&o->secret_env);
    way_done(&o->way);
    secrets_done(&o->secrets);
    secrets_done(&o->gateway_secrets);
    for (size_t i = 0; i < o->wish.policies.n; i++)
        policy_done(&o->policies[i]);
    free(o->policies);
}

int options_accel(const char *accel, const struct cli_paths *paths, struct plan_wish *w,
                  struct err *e)
{
    own_free char *cache = str_printf("%s/cache", paths->data_dir);
    struct accel_result r;

    if (accel_tsc_khz(&w->tsc_khz, e) < 0)
        return -1;
    w->accel = PLAN_TCG;
    if (strcmp(accel, "tcg") == 0)
        return 0;
    if (strcmp(accel, "kvm") != 0 && strcmp(accel, "auto") != 0)
        return err_set(e, ERR_USAGE, "--accel: '%s' is not auto, kvm or tcg", accel);
    accel_test_cached(cache, &r);
    if (r.verdict == ACCEL_GOOD) {
        w->accel = PLAN_KVM;
        return 0;
    }
    if (strcmp(accel, "kvm") == 0) {
        if (r.verdict != ACCEL_SLOW)
            return err_set(e, ERR_HOST, "--accel kvm: %s", r.text);
        log_msg(LOG_WARN, "%s", r.text);
        w->accel = PLAN_KVM;
        return 0;
    }
    log_msg(LOG_WARN,
            "%s; falling back to software emulation, which is many times slower "
            "(say --accel tcg to choose it without this warning)",
            r.text);
    return 0;
}

/* What the image would have run, and who signed it; borrowed from it. */
static int take_image(const struct image *im, struct strv *signers, struct plan_image *ret,
                      struct err *e)
{
    const struct image_config *c = &im->m.config;
    own_trust_keys struct trust_keys keys = {0};
    bool required;

    if (trust_policy(&im->store, &required, &keys, e) < 0)
        return -1;
    for (size_t i = 0; i < keys.n; i++) {
        const struct trust_keys one = {.items = &keys.items[i], .n = 1};

        if (trust_check(&im->store, im->digest, &one, NULL, &(struct err){0}) == 0)
            strv_add(signers, keys.items[i].id);
    }
    *ret = (struct plan_image){.digest = im->digest,
                               .signers = signers,
                               .entrypoint = &c->entrypoint,
                               .command = &c->command,
                               .env = &c->env,
                               .workdir = c->workdir,
                               .uid = c->uid,
                               .gid = c->gid,
                               .no_ip = strcmp(im->m.kernel_flavour, KERNEL_AIRGAP) == 0};
    return 0;
}

static int resolve(struct options *o, const struct cli_paths *paths, const char *accel,
                   struct plan **ret, struct err *e)
{
    own_plan struct plan *first = NULL;

    /* What is wrong with the wish itself is said before anything is measured. */
    if (plan_resolve(&o->wish, &first, e) < 0 ||
        options_accel(accel ? accel : "auto", paths, &o->wish, e) < 0 ||
        plan_resolve(&o->wish, ret, e) < 0)
        return -1;
    for (size_t i = 0; i < (*ret)->trimmed.n; i++)
        log_msg(LOG_WARN, "%s", (*ret)->trimmed.items[i]);
    return 0;
}

void options_sort_secrets(struct options *o, const struct plan *plan)
{
    secrets_split(&o->secrets, &plan->gateway_secrets, &o->gateway_secrets);
    secrets_follow(&o->secrets, &plan->secret_env);
}

int options_resolve(struct options *o, const struct cli_paths *paths, struct plan **ret,
                    struct err *e)
{
    own_free char *store = str_printf("%s/images", paths->data_dir);
    own_image struct image *im = NULL;
    own_strv struct strv signers = {0};
    struct plan_image from;
    const char *ref;
    int rc;

    if (options_read(o, e) < 0)
        return -1;
    ref = plan_wish_text(&o->wish, KEY_IMAGE);
    if (image_open(store, ref ? ref : "default", &im, e) < 0)
        return e->class == ERR_USAGE ? err_wrap(e, "--image") : -1;
    if (take_image(im, &signers, &from, e) < 0)
        return -1;
    o->wish.from = &from;
    rc = resolve(o, paths, plan_wish_text(&o->wish, KEY_ACCEL), ret, e);
    o->wish.from = NULL;
    if (rc == 0)
        options_sort_secrets(o, *ret);
    return rc;
}
