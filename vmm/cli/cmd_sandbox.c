/* cmd_sandbox: `lazaret up`, `down`, `pause`, `resume`, `kill`, `ps` and `console`. */
#include "base/own.h"
#include "cli/options.h"
#include "cli/outcome.h"
#include "run/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The name may stand before or behind the options. Returns -1 to go on. */
static int parse_up(int argc, char **argv, struct options *o, const char **ret_name)
{
    bool first = argc > 1 && argv[1][0] != '-';
    int status;

    if (first) {
        *ret_name = argv[1];
        argv[1] = argv[0];
        argc--;
        argv++;
    }
    status = options_parse(argc, argv, help_up, o);
    if (status >= 0)
        return status;
    if (!first && optind < argc)
        *ret_name = argv[optind];
    if (!*ret_name)
        return cli_misuse(argv[0], "which name?");
    if (optind + !first < argc)
        return cli_misuse(argv[0], "unexpected argument '%s'", argv[optind + !first]);
    request_drop(&o->given, KEY_COMMAND); /* it was the name */
    return options_for_sandbox("up", o);
}

int cmd_up(int argc, char **argv)
{
    own_options struct options o = {0};
    own_paths struct cli_paths paths = {0};
    own_plan struct plan *plan = NULL;
    const char *name = NULL;
    struct run_config c;
    struct run_result r;
    struct err e;
    int status = parse_up(argc, argv, &o, &name);

    if (status >= 0)
        return status;
    /* What is wrong with the name is said before anything is measured. */
    if (secrets_open(&o.secrets, &e) < 0 || sandbox_check_name(name, &e) < 0 ||
        cli_paths_find(&paths, &e) < 0 || options_resolve(&o, &paths, &plan, &e) < 0)
        return cli_fail(&e);
    if (plan->debug)
        outcome_mark_debug();
    c = options_run_config(&paths);
    c.warm = !o.cold;
    c.record_files = &o.files;
    c.keep_logs = o.keep_logs;
    c.gateway_secrets = &o.gateway_secrets;
    c.proxy_login = o.way.login;
    c.mark_each_exec = plan->mark_each_exec;
    c.max_marks = (unsigned)plan->max_marks;
    if (sandbox_up(name, plan, &c, &r, &e) < 0)
        return cli_fail(&e);
    outcome_print_notes(r.notes);
    if (o.json)
        printf("{\"name\":\"%s\",\"state\":\"running\",\"boot_ms\":%" PRIu64 "}\n", name,
               r.boot_ms);
    return cli_flush();
}

/* Takes the options and exactly one name. Returns -1 to go on. */
static int parse_name(int argc, char **argv, const struct cli_option *options, const char *help,
                      const char **ret_name)
{
    int status = cli_parse_sandbox(&argc, argv, options, help, 0);

    if (status >= 0)
        return status;
    *ret_name = argv[1];
    return -1;
}

/* A command that is a name and one call. */
static int call(int argc, char **argv, const char *help,
                int (*fn)(const char *data_dir, const char *name, struct err *e))
{
    const struct cli_option none[] = {{0}};
    own_paths struct cli_paths paths = {0};
    const char *name = NULL;
    struct err e;
    int status = parse_name(argc, argv, none, help, &name);

    if (status >= 0)
        return status;
    if (cli_paths_find(&paths, &e) < 0 || fn(paths.data_dir, name, &e) < 0)
        return cli_fail(&e);
    return 0;
}

static int down(const char *data_dir, const char *name, struct err *e)
{
    return sandbox_down(data_dir, name, false, e);
}

int cmd_down(int argc, char **argv)
{
    return call(argc, argv, help_down, down);
}

int cmd_pause(int argc, char **argv)
{
    return call(argc, argv, help_pause, sandbox_pause);
}

int cmd_resume(int argc, char **argv)
{
    return call(argc, argv, help_resume, sandbox_resume);
}

/* "15", "TERM" or "SIGTERM". */
static int parse_signal(const char *text, unsigned *ret, struct err *e)
{
    const char *word = str_starts_with(text, "SIG") ? text + 3 : text;
    uint64_t number;

    for (unsigned i = 1; i <= 64; i++) {
        const char *name = sigabbrev_np((int)i);

        if (name && strcmp(name, word) == 0) {
            *ret = i;
            return 0;
        }
    }
    if (str_parse_u64(text, "signal", 1, 64, &number, e) < 0)
        return -1;
    *ret = (unsigned)number;
    return 0;
}

int cmd_kill(int argc, char **argv)
{
    const struct cli_option none[] = {{0}};
    own_paths struct cli_paths paths = {0};
    uint64_t exec = 0;
    unsigned signo = 9;
    struct err e;
    int status;

    status = cli_parse_sandbox(&argc, argv, none, help_kill, 2);
    if (status >= 0)
        return status;
    if ((argc > 2 && str_parse_u64(argv[2], "command number", 1, UINT32_MAX, &exec, &e) < 0) ||
        (argc > 3 && parse_signal(argv[3], &signo, &e) < 0) || cli_paths_find(&paths, &e) < 0)
        return cli_fail(&e);
    if ((argc == 2 ? sandbox_down(paths.data_dir, argv[1], true, &e)
                   : sandbox_signal(paths.data_dir, argv[1], (unsigned)exec, signo, &e)) < 0)
        return cli_fail(&e);
    return 0;
}

static void print_jobs(const struct doc *list)
{
    printf("%-5s %-9s %-25s %s\n", "EXEC", "STATE", "STARTED", "COMMAND");
    for (size_t i = 0; i < doc_len(list); i++) {
        const struct doc *row = doc_at(list, i);

        printf("%-5" PRIu64 " %-9s %-25s %s\n", cli_number(row, "exec"), cli_text(row, "state"),
               cli_text(row, "started"), cli_text(row, "command"));
    }
}

int cmd_ps(int argc, char **argv)
{
    bool json = false;
    const struct cli_option options[] = {{.name = "--json", .ret_flag = &json}, {0}};
    own_paths struct cli_paths paths = {0};
    own_doc struct doc *list = NULL;
    const char *name = NULL;
    struct err e;
    int status = parse_name(argc, argv, options, help_ps, &name);

    if (status >= 0)
        return status;
    if (cli_paths_find(&paths, &e) < 0 || sandbox_list(paths.data_dir, name, &list, &e) < 0)
        return cli_fail(&e);
    if (json)
        cli_print_doc(list);
    else
        print_jobs(list);
    return cli_flush();
}

int cmd_console(int argc, char **argv)
{
    bool follow = false;
    const struct cli_option options[] = {{.name = "--follow", .ret_flag = &follow}, {0}};
    own_paths struct cli_paths paths = {0};
    const char *name = NULL;
    struct err e;
    int status = parse_name(argc, argv, options, help_console, &name);

    if (status >= 0)
        return status;
    if (cli_paths_find(&paths, &e) < 0 || sandbox_console(paths.data_dir, name, follow, &e) < 0)
        return cli_fail(&e);
    return 0;
}
