/* cmd_prove: `lazaret prove`: does what is promised about a sandbox hold, here and now? */
#include "base/log.h"
#include "base/own.h"
#include "cli/options.h"
#include "cli/outcome.h"
#include "run/prove.h"
#include "run/sandbox.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BROKEN_STATUS 1

static unsigned count(const struct doc *rows, const char *verdict)
{
    unsigned n = 0;

    for (size_t i = 0; i < doc_len(rows); i++)
        n += strcmp(cli_text(doc_at(rows, i), "verdict"), verdict) == 0;
    return n;
}

static void print_json(struct doc *rows, const char *name)
{
    own_doc struct doc *d = doc_new_object();

    doc_set_str(d, "format", "lazaret-proof");
    doc_set_u64(d, "version", 1);
    doc_set_str(d, "sandbox", name);
    doc_set_u64(d, "holds", count(rows, "holds"));
    doc_set_u64(d, "broken", count(rows, "broken"));
    doc_set_u64(d, "absent", count(rows, "absent"));
    doc_set(d, "rows", rows);
    cli_print_doc(d);
}

static void print_text(const struct doc *rows)
{
    for (size_t i = 0; i < doc_len(rows); i++) {
        const struct doc *r = doc_at(rows, i);

        printf("%-6s  %lu  %-18s %s\n", cli_text(r, "verdict"),
               (unsigned long)cli_number(r, "layer"), cli_text(r, "name"), cli_text(r, "seen"));
    }
    printf("%u hold, %u broken, %u absent on this host\n", count(rows, "holds"),
           count(rows, "broken"), count(rows, "absent"));
}

/* Takes `rows`. */
static int print(struct doc *rows, const char *name, bool json)
{
    bool broken = count(rows, "broken") > 0;
    int status;

    if (json) {
        print_json(rows, name);
    } else {
        print_text(rows);
        doc_free(rows);
    }
    status = cli_flush();
    return status ? status : broken ? BROKEN_STATUS : 0;
}

static int prove(const char *data_dir, const char *name, bool json)
{
    struct doc *rows = NULL;
    struct err e;

    return prove_sandbox(data_dir, name, &rows, &e) < 0 ? cli_fail(&e) : print(rows, name, json);
}

/* In a sandbox that is there for nothing else. */
static int prove_plan(struct options *o, const struct cli_paths *paths)
{
    own_free char *name = str_printf("prove-%d", (int)getpid());
    own_plan struct plan *plan = NULL;
    struct run_config c;
    struct run_result r;
    struct err e;
    int status;

    o->wish.no_marks = true;
    o->wish.prove = true;
    if (options_resolve(o, paths, &plan, &e) < 0)
        return cli_fail(&e);
    if (plan->debug)
        return cli_misuse("prove", "with --debug nothing is promised");
    if (plan_wish_text(&o->wish, KEY_MAX_MARKS) || plan_wish_text(&o->wish, KEY_MARK_EACH_EXEC))
        return cli_misuse("prove", "it keeps nothing: marks are for 'lazaret up'");
    c = options_run_config(paths);
    c.warm = !o->cold;
    c.gateway_secrets = &o->gateway_secrets;
    c.proxy_login = o->way.login;
    if (sandbox_up(name, plan, &c, &r, &e) < 0)
        return cli_fail(&e);
    outcome_print_notes(r.notes);
    status = prove(paths->data_dir, name, o->json);
    if (sandbox_down(paths->data_dir, name, false, &e) < 0)
        return cli_fail(&e);
    return status;
}

int cmd_prove(int argc, char **argv)
{
    own_options struct options o = {0};
    own_paths struct cli_paths paths = {0};
    const char *name = NULL;
    struct err e;
    int status = options_parse(argc, argv, help_prove, &o);

    if (status < 0 && optind < argc) {
        name = argv[optind];
        /* Nothing but --json goes with a name. */
        if (argc != 2 + o.json || optind + 1 < argc)
            status = cli_misuse("prove", "with a sandbox's name only --json goes, before it");
    } else if (status < 0) {
        status = options_for_sandbox("prove", &o);
    }
    if (status < 0 &&
        (o.keep_logs || o.given.of[KEY_MAX_MARKS].set || o.given.of[KEY_MARK_EACH_EXEC].set))
        status =
            cli_misuse("prove", "it keeps nothing: --keep-logs and marks are for 'lazaret up'");
    if (status < 0 && o.given.of[KEY_DEBUG].set)
        status = cli_misuse("prove", "with --debug nothing is promised");
    if (status >= 0)
        return status;
    if (secrets_open(&o.secrets, &e) < 0 || (name && sandbox_check_name(name, &e) < 0) ||
        cli_paths_find(&paths, &e) < 0)
        return cli_fail(&e);
    return name ? prove(paths.data_dir, name, o.json) : prove_plan(&o, &paths);
}
