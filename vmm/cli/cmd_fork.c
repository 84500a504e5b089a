/* cmd_fork: `lazaret fork`, and what `run --fork-from` has in common with it. */
#include "cli/cmd_fork.h"

#include "base/log.h"
#include "base/own.h"
#include "cli/options.h"
#include "cli/outcome.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CHILDREN_MAX 1000

int fork_begin(const char *data_dir, const char *text, struct fork *ret, struct err *e)
{
    const char *colon = strchr(text, ':');

    ret->name = colon ? str_printf("%.*s", (int)(colon - text), text) : str_dup(text);
    ret->made = !colon;
    if (colon && !colon[1])
        return err_set(e, ERR_USAGE, "'%s': which mark?", text);
    if (sandbox_plan(data_dir, ret->name, &ret->plan, e) < 0)
        return -1;
    return sandbox_fork(data_dir, ret->name, colon ? colon + 1 : NULL, &ret->from, e);
}

void fork_end(const char *data_dir, struct fork *f)
{
    struct err why;

    fork_let_go(&f->from);
    if (f->made && f->from.mark.id &&
        sandbox_forget(data_dir, f->name, f->from.mark.name, &why) < 0)
        log_msg(LOG_WARN, "the mark '%s' stays: %s", f->from.mark.name, why.text);
    plan_free(f->plan);
    free(f->name);
    *f = (struct fork){0};
}

struct asked {
    const char *source, *name, *count;
    bool json;
    struct strv given;               /* --secret */
    struct secrets secrets, gateway; /* what that says; what the rules of the sandbox use of it */
    struct way way;                  /* the sandbox's way out */
};

static void asked_done(struct asked *a)
{
    strv_done(&a->given);
    secrets_done(&a->secrets);
    secrets_done(&a->gateway);
    way_done(&a->way);
}
#define own_asked __attribute__((cleanup(asked_done)))

static int parse(int argc, char **argv, struct asked *ret)
{
    const struct cli_option options[] = {{.name = "-n", .ret_value = &ret->count},
                                         {.name = "--json", .ret_flag = &ret->json},
                                         {.name = "--secret", .ret_values = &ret->given},
                                         {0}};
    const struct strv none = {0};
    int status;

    status = cli_parse(&argc, argv, options, help_fork);
    if (status >= 0)
        return status;
    if (argc != 3)
        return cli_misuse(argv[0], "a sandbox and the name of a new one are needed");
    ret->source = argv[1];
    ret->name = argv[2];
    return options_secrets(argv[0], &ret->given, &none, false, &ret->secrets);
}

static char *child_name(const struct asked *a, uint64_t i)
{
    return a->count ? str_printf("%s-%" PRIu64, a->name, i + 1) : str_dup(a->name);
}

/* The gateway of the fork is another one: it gets every secret that a rule uses, and no other. */
static int take_secrets(struct asked *a, struct plan *plan, struct err *e)
{
    own_strv struct strv used = {0};

    plan_used_secrets(plan, &used);
    secrets_split(&a->secrets, &used, &a->gateway);
    if (a->secrets.files.n > 0)
        return err_set(e, ERR_USAGE, "--secret: no network rule of sandbox '%s' uses '%s'",
                       a->source, a->secrets.files.items[0]);
    if (a->count && used.n > 0)
        return err_set(e, ERR_USAGE,
                       "-n: a network rule uses secret '%s': make forks of this sandbox one by one",
                       used.items[0]);
    for (size_t i = 0; i < used.n; i++)
        if (i == a->gateway.files.n || strcmp(a->gateway.files.items[i], used.items[i]) != 0)
            return err_set(e, ERR_USAGE,
                           "a network rule uses secret '%s', which is in the gateway of '%s' only: "
                           "give it again (--secret %s=FILE)",
                           used.items[i], a->source, used.items[i]);
    strv_done(&plan->gateway_secrets);
    plan->gateway_secrets = used;
    used = (struct strv){0};
    return 0;
}

static int make(const struct cli_paths *paths, struct asked *a, const struct fork *f, uint64_t i,
                struct doc *ret_rows, struct err *e)
{
    own_free char *name = child_name(a, i);
    struct doc *row;
    struct run_result r;
    struct run_config c = options_run_config(paths);
    struct run_from from;
    int rc;

    /* Each is handed what it begins with. */
    if (sandbox_fork(paths->data_dir, f->name, f->from.mark.name, &from, e) < 0)
        return -1;
    c.from = &from;
    c.gateway_secrets = &a->gateway;
    c.proxy_login = a->way.login;
    rc = sandbox_up(name, f->plan, &c, &r, e);
    fork_let_go(&from);
    if (rc < 0)
        return err_wrap(e, "%s", name);
    outcome_print_notes(r.notes);
    row = doc_new_object();
    doc_set_str(row, "name", name);
    doc_set_u64(row, "boot_ms", r.boot_ms);
    doc_add(ret_rows, row);
    return 0;
}

/* All of them, or none. */
static int make_all(const struct cli_paths *paths, struct asked *a, const struct fork *f,
                    uint64_t n, struct doc *ret_rows, struct err *e)
{
    for (uint64_t i = 0; i < n; i++) {
        if (make(paths, a, f, i, ret_rows, e) == 0)
            continue;
        while (i-- > 0) {
            own_free char *name = child_name(a, i);

            sandbox_down(paths->data_dir, name, false, &(struct err){0});
        }
        return -1;
    }
    return 0;
}

int cmd_fork(int argc, char **argv)
{
    own_paths struct cli_paths paths = {0};
    own_doc struct doc *rows = doc_new_array();
    own_asked struct asked a = {.source = "", .name = ""};
    struct fork f = {0};
    uint64_t n = 1;
    struct err e;
    int status = parse(argc, argv, &a), rc;

    if (status >= 0)
        return status;
    if ((a.count && str_parse_u64(a.count, "-n", 1, CHILDREN_MAX, &n, &e) < 0) ||
        secrets_open(&a.secrets, &e) < 0 || sandbox_check_name(a.name, &e) < 0 ||
        cli_paths_find(&paths, &e) < 0)
        return cli_fail(&e);
    rc = fork_begin(paths.data_dir, a.source, &f, &e);
    fork_let_go(&f.from); /* or each child would inherit it, and hold it for life */
    if (rc == 0)
        rc = take_secrets(&a, f.plan, &e);
    if (rc == 0)
        rc = way_follow(f.plan, &a.way, &e);
    if (rc == 0)
        rc = make_all(&paths, &a, &f, n, rows, &e);
    fork_end(paths.data_dir, &f);
    if (rc < 0)
        return cli_fail(&e);
    if (a.json)
        cli_print_doc(rows);
    return cli_flush();
}
