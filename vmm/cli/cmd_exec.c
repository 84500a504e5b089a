/* cmd_exec: `lazaret exec`, `attach` and `logs`: commands in a sandbox that is up. */
#include "base/own.h"
#include "cli/options.h"
#include "cli/outcome.h"
#include "run/sandbox.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct asked {
    const char *name, *timeout, *workdir, *user, *after;
    struct strv env, argv, asked_secrets, secret_env;
    struct secrets secrets;
    bool interactive, tty, detach, mark, json, shell, help;
};

static void asked_done(struct asked *a)
{
    strv_done(&a->env);
    strv_done(&a->argv);
    strv_done(&a->asked_secrets);
    strv_done(&a->secret_env);
    secrets_done(&a->secrets);
}
#define own_asked __attribute__((cleanup(asked_done)))

enum {
    OPT_TIMEOUT = 256,
    OPT_ENV,
    OPT_SECRET,
    OPT_SECRET_ENV,
    OPT_WORKDIR,
    OPT_USER,
    OPT_MARK,
    OPT_AFTER,
    OPT_REVERT_AFTER,
    OPT_SHELL,
    OPT_JSON,
    OPT_HELP
};

static const struct option longs[] = {
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"env", required_argument, NULL, OPT_ENV},
    {"secret", required_argument, NULL, OPT_SECRET},
    {"secret-env", required_argument, NULL, OPT_SECRET_ENV},
    {"workdir", required_argument, NULL, OPT_WORKDIR},
    {"user", required_argument, NULL, OPT_USER},
    {"interactive", no_argument, NULL, 'i'},
    {"tty", no_argument, NULL, 't'},
    {"detach", no_argument, NULL, 'd'},
    {"mark", no_argument, NULL, OPT_MARK},
    {"after", required_argument, NULL, OPT_AFTER},
    {"revert-after", no_argument, NULL, OPT_REVERT_AFTER},
    {"shell", no_argument, NULL, OPT_SHELL},
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static void take(struct asked *a, int opt)
{
    switch (opt) {
    case OPT_TIMEOUT:
        a->timeout = optarg;
        break;
    case OPT_ENV:
        options_add_env(&a->env, optarg);
        break;
    case OPT_SECRET:
        strv_add(&a->asked_secrets, optarg);
        break;
    case OPT_SECRET_ENV:
        strv_add(&a->secret_env, optarg);
        break;
    case OPT_WORKDIR:
        a->workdir = optarg;
        break;
    case OPT_USER:
        a->user = optarg;
        break;
    case OPT_MARK:
        a->mark = true;
        break;
    case OPT_AFTER:
        a->after = optarg;
        break;
    case OPT_REVERT_AFTER:
        a->after = "revert";
        break;
    case OPT_SHELL:
        a->shell = true;
        break;
    case OPT_JSON:
        a->json = true;
        break;
    case OPT_HELP:
        a->help = true;
        break;
    default:
        a->interactive |= opt == 'i';
        a->tty |= opt == 't';
        a->detach |= opt == 'd';
    }
}

/* The best that the image has, with what we have of a terminal. */
static void take_shell(struct asked *a)
{
    strv_add(&a->argv, "sh");
    strv_add(&a->argv, "-c");
    strv_add(&a->argv, "command -v bash >/dev/null && exec bash; exec sh");
    a->interactive = true;
    a->tty |= isatty(STDIN_FILENO) == 1;
}

/* Options may stand before and behind the name, up to the command. Returns -1 to go on. */
static int parse(int argc, char **argv, struct asked *a)
{
    int opt;

    opterr = 0;
    optind = 1;
    for (;;) {
        while ((opt = getopt_long(argc, argv, "+:itd", longs, NULL)) != -1) {
            if (opt == '?')
                return optopt && optopt < 256
                           ? cli_misuse(argv[0], "unknown option '-%c'", optopt)
                           : cli_misuse(argv[0], "unknown option '%s'", argv[optind - 1]);
            if (opt == ':')
                return cli_misuse(argv[0], "option '%s' needs a value", argv[optind - 1]);
            take(a, opt);
        }
        if (a->name || optind >= argc)
            break;
        a->name = argv[optind++];
    }
    for (; optind < argc; optind++)
        strv_add(&a->argv, argv[optind]);
    if (a->help)
        return -1;
    if (!a->name)
        return cli_misuse(argv[0], "which sandbox?");
    if (a->shell && (a->argv.n > 0 || a->detach || a->json))
        return cli_misuse(argv[0], "--shell is a command of its own, and excludes -d and --json");
    if (a->shell)
        take_shell(a);
    if (a->detach && (a->interactive || a->tty))
        return cli_misuse(argv[0], "--detach excludes --interactive and --tty");
    if (a->json && a->tty)
        return cli_misuse(argv[0], "--json and --tty exclude each other");
    return options_secrets(argv[0], &a->asked_secrets, &a->secret_env, a->interactive, &a->secrets);
}

static int run(const struct cli_paths *paths, struct asked *a, uint64_t timeout_ms,
               enum sandbox_after after)
{
    bool raw;
    struct run_capture captured = {-1, -1};
    unsigned serial = 0;
    struct sandbox_exec x = {
        .argv = &a->argv,
        .env = &a->env,
        .secrets = &a->secrets,
        .workdir = a->workdir,
        .user = a->user,
        .timeout_ms = timeout_ms,
        .interactive = a->interactive,
        .tty = a->tty,
        .detach = a->detach,
        .ret_serial = &serial,
        .mark = a->mark,
        .after = after,
        .capture = a->json && !a->detach ? &captured : NULL,
    };
    struct run_result r;
    struct err e;

    outcome_attend(&x, &raw);
    if (sandbox_exec(paths->data_dir, a->name, &x, &r, &e) < 0)
        return cli_fail(&e);
    if (!serial)
        return outcome_print(paths, &r, NULL, NULL, x.capture);
    printf(a->json ? "{\"exec\":%u}\n" : "%u\n", serial);
    return cli_flush();
}

int cmd_exec(int argc, char **argv)
{
    own_asked struct asked a = {0};
    own_paths struct cli_paths paths = {0};
    enum sandbox_after after = SANDBOX_KEEP;
    uint64_t timeout_ms = 0;
    struct err e;
    int status = parse(argc, argv, &a);

    if (status >= 0)
        return status;
    if (a.help) {
        fputs(help_exec, stdout);
        return cli_flush();
    }
    /* First: an fd that is named is the caller's, not one of ours. */
    if (secrets_open(&a.secrets, &e) < 0 ||
        (a.timeout &&
         str_parse_duration(a.timeout, "--timeout", PLAN_TIMEOUT_MAX_MS, &timeout_ms, &e) < 0) ||
        options_after(a.after, &after, &e) < 0 || cli_paths_find(&paths, &e) < 0)
        return cli_fail(&e);
    return run(&paths, &a, timeout_ms, after);
}

/* A sandbox's name and a command's number. Returns -1 to go on. */
static int parse_command(int argc, char **argv, const struct cli_option *options, const char *help,
                         const char **ret_name, unsigned *ret_serial)
{
    uint64_t serial = 0;
    struct err e;
    int status;

    status = cli_parse(&argc, argv, options, help);
    if (status >= 0)
        return status;
    if (argc != 3)
        return cli_misuse(argv[0], "a sandbox and the number of a command are needed");
    if (str_parse_u64(argv[2], "command number", 1, UINT32_MAX, &serial, &e) < 0)
        return cli_fail(&e);
    *ret_name = argv[1];
    *ret_serial = (unsigned)serial;
    return -1;
}

int cmd_attach(int argc, char **argv)
{
    const struct cli_option none[] = {{0}};
    own_paths struct cli_paths paths = {0};
    const char *name = NULL;
    struct run_result r = {0};
    unsigned serial = 0;
    struct err e;
    int status = parse_command(argc, argv, none, help_attach, &name, &serial);

    if (status >= 0)
        return status;
    if (cli_paths_find(&paths, &e) < 0 ||
        sandbox_output(paths.data_dir, name, serial, true, &r, &e) < 0)
        return cli_fail(&e);
    return outcome_print(&paths, &r, NULL, NULL, NULL);
}

int cmd_logs(int argc, char **argv)
{
    bool following = false;
    const struct cli_option options[] = {{.name = "--follow", .ret_flag = &following}, {0}};
    own_paths struct cli_paths paths = {0};
    const char *name = NULL;
    struct run_result r = {0};
    unsigned serial = 0;
    struct err e;
    int status = parse_command(argc, argv, options, help_logs, &name, &serial);

    if (status >= 0)
        return status;
    if (cli_paths_find(&paths, &e) < 0 ||
        sandbox_output(paths.data_dir, name, serial, following, &r, &e) < 0)
        return cli_fail(&e);
    return r.err.class == ERR_INTERRUPTED ? outcome_print(&paths, &r, NULL, NULL, NULL) : 0;
}
