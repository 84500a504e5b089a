/* options: the options that `run` and `check` share, from the command line to a plan. */
#include "cli/options.h"

#include "base/log.h"
#include "base/own.h"
#include "hv/accel.h"
#include "images/image.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    OPT_IMAGE = 256,
    OPT_MACHINE,
    OPT_MEMORY,
    OPT_CPUS,
    OPT_DISK,
    OPT_PIDS,
    OPT_TIMEOUT,
    OPT_ENV,
    OPT_SECRET,
    OPT_SECRET_ENV,
    OPT_WORKDIR,
    OPT_USER,
    OPT_ENTRYPOINT,
    OPT_WRITABLE,
    OPT_READ,
    OPT_WRITE,
    OPT_EXEC,
    OPT_IN,
    OPT_IN_MAX,
    OPT_IN_IDENTITY,
    OPT_OUT,
    OPT_OUT_MAX,
    OPT_OUT_RECIPIENT,
    OPT_JSON,
    OPT_KEEP_LOGS,
    OPT_COLD,
    OPT_KEEP,
    OPT_FORK_FROM,
    OPT_AFTER,
    OPT_MARK_EACH_EXEC,
    OPT_MAX_MARKS,
    OPT_AMNESIC,
    OPT_DEBUG,
    OPT_ACCEL,
    OPT_CONNECT,
    OPT_HELP,
};

static const struct option longs[] = {
    {"image", required_argument, NULL, OPT_IMAGE},
    {"machine", required_argument, NULL, OPT_MACHINE},
    {"memory", required_argument, NULL, OPT_MEMORY},
    {"cpus", required_argument, NULL, OPT_CPUS},
    {"disk", required_argument, NULL, OPT_DISK},
    {"pids", required_argument, NULL, OPT_PIDS},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"env", required_argument, NULL, OPT_ENV},
    {"secret", required_argument, NULL, OPT_SECRET},
    {"secret-env", required_argument, NULL, OPT_SECRET_ENV},
    {"workdir", required_argument, NULL, OPT_WORKDIR},
    {"user", required_argument, NULL, OPT_USER},
    {"entrypoint", required_argument, NULL, OPT_ENTRYPOINT},
    {"writable", no_argument, NULL, OPT_WRITABLE},
    {"read", required_argument, NULL, OPT_READ},
    {"write", required_argument, NULL, OPT_WRITE},
    {"exec", required_argument, NULL, OPT_EXEC},
    {"in", required_argument, NULL, OPT_IN},
    {"in-max", required_argument, NULL, OPT_IN_MAX},
    {"in-identity", required_argument, NULL, OPT_IN_IDENTITY},
    {"out", required_argument, NULL, OPT_OUT},
    {"out-max", required_argument, NULL, OPT_OUT_MAX},
    {"out-recipient", required_argument, NULL, OPT_OUT_RECIPIENT},
    {"interactive", no_argument, NULL, 'i'},
    {"tty", no_argument, NULL, 't'},
    {"json", no_argument, NULL, OPT_JSON},
    {"keep-logs", no_argument, NULL, OPT_KEEP_LOGS},
    {"cold", no_argument, NULL, OPT_COLD},
    {"keep", required_argument, NULL, OPT_KEEP},
    {"fork-from", required_argument, NULL, OPT_FORK_FROM},
    {"after", required_argument, NULL, OPT_AFTER},
    {"mark-each-exec", no_argument, NULL, OPT_MARK_EACH_EXEC},
    {"max-marks", required_argument, NULL, OPT_MAX_MARKS},
    {"amnesic", no_argument, NULL, OPT_AMNESIC},
    {"debug", no_argument, NULL, OPT_DEBUG},
    {"accel", required_argument, NULL, OPT_ACCEL},
    {"connect", required_argument, NULL, OPT_CONNECT},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

struct run_config options_run_config(const struct cli_paths *paths)
{
    return (struct run_config){
        .data_dir = paths->data_dir,
        .relay_path = paths->relay,
        .unpack_path = paths->unpack,
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

static int add_input(struct strv *inputs, const char *path)
{
    own_free char *real = realpath(path, NULL);

    if (!real)
        return cli_misuse("run", "--in: folder '%s': %s", path, strerror(errno));
    strv_add(inputs, real);
    return -1;
}

static int set_identity(char **ret, const char *path)
{
    free(*ret);
    *ret = realpath(path, NULL);
    return *ret ? -1 : cli_misuse("run", "--in-identity: '%s': %s", path, strerror(errno));
}

/* The folder may not exist yet: its parent must. */
static int set_out(char **ret, const char *path)
{
    own_free char *copy = str_dup(path);
    own_free char *parent = NULL;
    size_t len = strlen(copy);
    char *slash;

    if (len == 0)
        return cli_misuse("run", "--out: the folder's name is empty");
    free(*ret);
    *ret = realpath(path, NULL);
    if (*ret)
        return -1;
    while (len > 1 && copy[len - 1] == '/')
        copy[--len] = '\0';
    slash = strrchr(copy, '/');
    if (slash)
        *slash = '\0';
    parent = realpath(slash ? (slash == copy ? "/" : copy) : ".", NULL);
    if (!parent || (slash && !slash[1]))
        return cli_misuse("run", "--out: folder '%s': %s", path, strerror(errno));
    *ret = str_printf("%s/%s", strcmp(parent, "/") == 0 ? "" : parent, slash ? slash + 1 : copy);
    return -1;
}

/* One option; returns -1 to go on. */
static int take(struct options *o, int opt, const char *help)
{
    struct plan_wish *w = &o->wish;

    switch (opt) {
    case OPT_IMAGE:
        w->image = optarg;
        return -1;
    case OPT_MACHINE:
        w->machine = optarg;
        return -1;
    case OPT_MEMORY:
        w->memory = optarg;
        return -1;
    case OPT_CPUS:
        w->cpus = optarg;
        return -1;
    case OPT_DISK:
        w->disk = optarg;
        return -1;
    case OPT_PIDS:
        w->pids = optarg;
        return -1;
    case OPT_TIMEOUT:
        w->timeout = optarg;
        return -1;
    case OPT_WORKDIR:
        w->workdir = optarg;
        return -1;
    case OPT_USER:
        w->user = optarg;
        return -1;
    case OPT_ENTRYPOINT:
        w->entrypoint = optarg;
        return -1;
    case OPT_WRITABLE:
        w->writable_root = true;
        return -1;
    case OPT_READ:
        strv_add(&o->read, optarg);
        return -1;
    case OPT_WRITE:
        strv_add(&o->write, optarg);
        return -1;
    case OPT_EXEC:
        strv_add(&o->exec, optarg);
        return -1;
    case OPT_OUT_MAX:
        w->out_max = optarg;
        return -1;
    case OPT_ACCEL:
        o->accel = optarg;
        return -1;
    case OPT_CONNECT:
        o->uri = optarg;
        return -1;
    case OPT_DEBUG:
        w->debug = true;
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
    case OPT_KEEP:
        o->keep = optarg;
        return -1;
    case OPT_FORK_FROM:
        o->from = optarg;
        return -1;
    case OPT_AFTER:
        o->after = optarg;
        return -1;
    case OPT_MARK_EACH_EXEC:
        o->mark_each_exec = true;
        return -1;
    case OPT_MAX_MARKS:
        o->max_marks = optarg;
        return -1;
    case OPT_AMNESIC:
        w->amnesic = true;
        return -1;
    case OPT_ENV:
        options_add_env(&o->env, optarg);
        return -1;
    case OPT_SECRET:
        strv_add(&o->asked_secrets, optarg);
        return -1;
    case OPT_SECRET_ENV:
        strv_add(&o->secret_env, optarg);
        return -1;
    case OPT_IN_MAX:
        w->in_max = optarg;
        return -1;
    case OPT_IN_IDENTITY:
        return set_identity(&o->in_identity, optarg);
    case OPT_OUT_RECIPIENT:
        strv_add(&o->out_recipients, optarg);
        return -1;
    case OPT_IN:
        return add_input(&o->inputs, optarg);
    case OPT_OUT:
        return set_out(&o->out, optarg);
    case 'i':
        w->interactive = true;
        return -1;
    case 't':
        w->tty = true;
        return -1;
    default:
        fputs(help, stdout);
        return cli_flush();
    }
}

int options_parse(int argc, char **argv, const char *help, struct options *ret)
{
    int opt;

    *ret = (struct options){.accel = "auto"};
    opterr = 0;
    optind = 1;
    while ((opt = getopt_long(argc, argv, "+:it", longs, NULL)) != -1) {
        int status;

        if (opt == '?')
            return optopt && optopt < 256
                       ? cli_misuse(argv[0], "unknown option '-%c'", optopt)
                       : cli_misuse(argv[0], "unknown option '%s'", argv[optind - 1]);
        if (opt == ':')
            return cli_misuse(argv[0], "option '%s' needs a value", argv[optind - 1]);
        status = take(ret, opt, help);
        if (status >= 0)
            return status;
    }
    ret->wish.argv = (const char *const *)(argv + optind);
    ret->wish.env = &ret->env;
    ret->wish.inputs = &ret->inputs;
    ret->wish.read = &ret->read;
    ret->wish.write = &ret->write;
    ret->wish.exec = &ret->exec;
    ret->wish.secrets = &ret->secrets.files;
    ret->wish.secret_env = &ret->secrets.env;
    ret->wish.in_identity = ret->in_identity;
    ret->wish.out_recipients = &ret->out_recipients;
    ret->wish.out = ret->out;
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

int options_for_sandbox(const char *command, const struct options *o)
{
    const struct plan_wish *w = &o->wish;

    if (w->interactive || w->tty || w->timeout)
        return cli_misuse(command, "-i, -t and --timeout are for 'lazaret exec'");
    if (w->out || w->out_max || w->out_recipients->n > 0)
        return cli_misuse(command, "--out is for 'lazaret run'");
    if (w->in_identity)
        return cli_misuse(command, "--in-identity is for 'lazaret run'");
    if (w->entrypoint)
        return cli_misuse(command, "--entrypoint is for 'lazaret run'");
    if (o->keep || o->after || o->from)
        return cli_misuse(command, "--keep, --after and --fork-from are for 'lazaret run'");
    if (w->amnesic && o->keep_logs)
        return cli_misuse(command, "--amnesic excludes --keep-logs");
    if (o->asked_secrets.n || o->secret_env.n)
        return cli_misuse(command, "--secret is for 'lazaret run' and 'lazaret exec'");
    if (o->uri)
        return cli_misuse(command, "--connect is for 'lazaret run'");
    return -1;
}

void options_done(struct options *o)
{
    strv_done(&o->env);
    strv_done(&o->inputs);
    strv_done(&o->read);
    strv_done(&o->write);
    strv_done(&o->exec);
    strv_done(&o->asked_secrets);
    strv_done(&o->secret_env);
    secrets_done(&o->secrets);
    strv_done(&o->out_recipients);
    free(o->in_identity);
    free(o->out);
}

int options_accel(const char *accel, const struct cli_paths *paths, struct plan_wish *w,
                  struct err *e)
{
    own_free char *cache = str_printf("%s/cache", paths->data_dir);
    struct accel_result r;

    w->tsc_khz = accel_tsc_khz();
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

/* What the image would have run; borrowed from it. */
static void take_image(const struct image *im, struct plan_image *ret)
{
    const struct image_config *c = &im->m.config;

    *ret = (struct plan_image){.digest = im->digest,
                               .entrypoint = &c->entrypoint,
                               .command = &c->command,
                               .env = &c->env,
                               .workdir = c->workdir,
                               .uid = c->uid,
                               .gid = c->gid};
}

int options_resolve(struct options *o, const struct cli_paths *paths, struct plan **ret,
                    struct err *e)
{
    own_free char *store = str_printf("%s/images", paths->data_dir);
    own_plan struct plan *first = NULL;
    own_image struct image *im = NULL;
    struct plan_image from;
    int rc;

    if (image_open(store, o->wish.image ? o->wish.image : "default", &im, e) < 0)
        return e->class == ERR_USAGE ? err_wrap(e, "--image") : -1;
    take_image(im, &from);
    o->wish.from = &from;
    /* What is wrong with the wish itself is said before anything is measured. */
    rc = plan_resolve(&o->wish, &first, e);
    if (rc == 0)
        rc = options_accel(o->accel, paths, &o->wish, e);
    if (rc == 0)
        rc = plan_resolve(&o->wish, ret, e);
    o->wish.from = NULL;
    return rc;
}
