/* cmd_run: `lazaret run` and `lazaret check`: from the command line to a run, or to its preview. */
#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "cli/cmd_fork.h"
#include "cli/learning.h"
#include "cli/options.h"
#include "cli/outcome.h"
#include "cli/terminal.h"
#include "oci/oci.h"
#include "run/pool.h"
#include "run/run.h"
#include "run/sandbox.h"
#include "wrap/wrap.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void print_timing(const struct timing *t)
{
    own_free char *text = timing_to_text(t);

    fputs(text, stderr);
}

static int run(struct options *o, const struct cli_paths *paths, const struct plan *plan,
               struct run_from *from)
{
    /* Raw only if it is the job's stdin: else Ctrl-C would be lost. */
    bool raw = plan->tty && plan->interactive && isatty(STDIN_FILENO);
    struct run_capture captured = {-1, -1};
    struct run_config c = options_run_config(paths);
    own_learning struct learning learning = LEARNING_INIT;
    struct run_result r;
    struct err e, unlearned;
    int status, rc;

    if (learning_begin(o, &learning, &e) < 0)
        return cli_fail(&e);
    if (plan->debug)
        outcome_mark_debug();
    c.learn_fd = learning.fd;
    c.warm = !o->cold;
    c.from = from;
    c.uri = o->uri;
    c.secrets = &o->secrets;
    c.gateway_secrets = &o->gateway_secrets;
    c.proxy_login = o->way.login;
    c.record_files = &o->files;
    c.keep_logs = o->keep_logs;
    c.began_us = o->began_us;
    c.capture = o->json ? &captured : NULL;
    c.on_started = terminal_on_started;
    c.on_resize = terminal_on_resize;
    c.on_alert = outcome_print_alert;
    c.on_denied = plan->tty ? NULL : outcome_print_denied;
    c.on_ended = terminal_on_ended;
    c.arg = &raw;
    terminal_size(STDIN_FILENO, &c.rows, &c.cols);
    if (run_job(plan, &c, &r, &e) < 0)
        return cli_fail(&e);
    rc = learning_end(&learning, o, plan, &r, &unlearned);
    status =
        outcome_print(paths, &r, plan->name, learning.written ? learning.path : NULL, c.capture);
    if (rc < 0)
        status = cli_fail(&unlearned);
    if (o->timing)
        print_timing(&r.timing);
    if (o->keep_logs)
        log_msg(LOG_NOTE, "logs are kept in '%s/runs/%s'", paths->data_dir, r.id);
    return status;
}

/* A fork of an amnesic sandbox is amnesic. */
static int check_logs(const struct options *o, const struct plan *plan, struct err *e)
{
    return plan->amnesic && o->keep_logs
               ? err_set(e, ERR_USAGE, "sandbox '%s' is amnesic: --keep-logs is left out", o->from)
               : 0;
}

/* In a guest that begins where a sandbox is. */
static int run_forked(struct options *o, const struct cli_paths *paths)
{
    own_plan struct plan *plan = NULL;
    struct fork f = {0};
    struct err e;
    int status;

    o->wish.use = KEY_OF_FORK;
    if (options_read(o, &e) < 0 || plan_check_uses(&o->wish, &e) < 0 ||
        fork_begin(paths->data_dir, o->from, &f, &e) < 0 || way_follow(f.plan, &o->way, &e) < 0 ||
        plan_derive_wish(f.plan, &o->wish, &plan, &e) < 0 || check_logs(o, plan, &e) < 0) {
        status = cli_fail(&e);
    } else {
        options_sort_secrets(o, plan);
        status = run(o, paths, plan, &f.from);
    }
    fork_end(paths->data_dir, &f);
    return status;
}

/* In a sandbox of its own, which stays, or goes when the job has ended. */
static int run_kept(struct options *o, const struct cli_paths *paths, const struct plan *plan,
                    enum sandbox_after after)
{
    bool raw;
    struct run_capture captured = {-1, -1};
    struct run_config c = options_run_config(paths);
    struct strv no_env = {0};
    struct sandbox_exec x = {
        .argv = &plan->argv,
        .env = &no_env,
        .secrets = &o->secrets,
        .timeout_ms = plan->timeout_ms,
        .interactive = plan->interactive,
        .tty = plan->tty,
        .mark = true,
        .after = after,
        .capture = o->json ? &captured : NULL,
    };
    struct run_result up, r;
    struct err e;

    if (plan->debug)
        outcome_mark_debug();
    c.warm = !o->cold;
    c.record_files = &o->files;
    c.keep_logs = o->keep_logs;
    c.gateway_secrets = &o->gateway_secrets;
    c.proxy_login = o->way.login;
    outcome_attend(&x, &raw);
    if (sandbox_up(o->keep, plan, &c, &up, &e) < 0)
        return cli_fail(&e);
    outcome_print_notes(up.notes);
    if (sandbox_exec(paths->data_dir, o->keep, &x, &r, &e) < 0)
        return cli_fail(&e);
    return outcome_print(paths, &r, plan->name, NULL, x.capture);
}

struct pool_wish {
    unsigned n;
    uint64_t idle_ms;
};

/* In a guest that is ready, where there is one; then more are made ready. */
static int run_pooled(struct options *o, const struct cli_paths *paths, const struct plan *plan,
                      const struct pool_wish *pool, char *const *argv)
{
    bool raw;
    struct run_capture captured = {-1, -1};
    struct run_config c = options_run_config(paths);
    char prefix[RUN_ID_SIZE];
    struct timing timing;
    struct sandbox_exec x = {
        .secrets = &o->secrets,
        .interactive = plan->interactive,
        .tty = plan->tty,
        .capture = o->json ? &captured : NULL,
        .timing = &timing,
    };
    struct run_result r;
    struct err e;
    int status, rc;

    if (plan->debug)
        outcome_mark_debug();
    c.warm = true;
    c.record_files = &o->files;
    c.proxy_login = o->way.login;
    c.pool_idle_ms = pool->idle_ms;
    outcome_attend(&x, &raw);
    timing_begin(&timing, o->began_us);
    timing_note(&timing, TIMING_PARSE);
    rc = pool_begin(plan, &c, prefix, &e) < 0 ? -1 : pool_run(plan, &c, prefix, &x, &r, &e);
    if (rc < 0)
        return cli_fail(&e);
    if (rc == 1) {
        log_msg(LOG_NOTE, "no guest was ready for this run: %s", e.text);
        status = run(o, paths, plan, NULL);
    } else {
        status = outcome_print(paths, &r, plan->name, NULL, x.capture);
        if (o->timing)
            print_timing(&r.timing);
    }
    /* Not after what the user has ended, nor where guests do not start. */
    if (pool->n > 0 && status != err_class_status(ERR_INTERRUPTED) &&
        status != err_class_status(ERR_HOST) && pool_fill(plan, &c, prefix, pool->n, argv, &e) < 0)
        log_msg(LOG_WARN, "no guest is made ready: %s", e.text);
    return status;
}

/* What goes with --keep only, or not at all. Returns -1 to go on. */
static int check_keep(const char *command, const struct options *o)
{
    if (o->keep && o->uri)
        return cli_misuse(command, "--keep excludes --connect");
    if (o->keep && o->timing)
        return cli_misuse(command, "--keep excludes --timing: a sandbox has no end yet");
    if (o->learn && (o->keep || o->from))
        return cli_misuse(command, "--learn excludes --keep and --fork-from");
    if (o->pool && (o->keep || o->from || o->learn || o->uri || o->cold || o->keep_logs))
        return cli_misuse(command, "--pool excludes --keep, --fork-from, --learn, --connect, "
                                   "--cold and --keep-logs");
    if (o->pool_idle && !o->pool)
        return cli_misuse(command, "--pool-idle needs --pool");
    if (o->from && (o->keep || o->uri || o->cold || o->egress_proxy))
        return cli_misuse(command,
                          "--fork-from says what the guest is: options that do are left out");
    return -1;
}

static int read_pool(const struct options *o, struct pool_wish *ret, struct err *e)
{
    uint64_t n = 0;

    ret->idle_ms = POOL_IDLE_MS;
    if ((o->pool && str_parse_u64(o->pool, "--pool", 0, POOL_MAX, &n, e) < 0) ||
        (o->pool_idle &&
         str_parse_duration(o->pool_idle, "--pool-idle", POOL_IDLE_MAX_MS, &ret->idle_ms, e) < 0))
        return -1;
    ret->n = (unsigned)n;
    return 0;
}

int cmd_run(int argc, char **argv)
{
    own_options struct options o = {0};
    own_paths struct cli_paths paths = {0};
    own_plan struct plan *plan = NULL;
    enum sandbox_after after = SANDBOX_REVERT;
    struct pool_wish pool;
    const uint64_t began_us = clock_mono_us();
    struct err e;
    int status = options_parse(argc, argv, help_run, &o);

    o.began_us = began_us;
    if (status < 0)
        status = check_keep("run", &o);
    if (status >= 0)
        return status;
    /* First: an fd that is named is the caller's, not one of ours. */
    if (secrets_open(&o.secrets, &e) < 0 || (o.keep && sandbox_check_name(o.keep, &e) < 0) ||
        read_pool(&o, &pool, &e) < 0 || cli_paths_find(&paths, &e) < 0)
        return cli_fail(&e);
    if (o.from)
        return run_forked(&o, &paths);
    o.wish.keep = o.keep != NULL;
    if (options_resolve(&o, &paths, &plan, &e) < 0 || options_after(plan->after, &after, &e) < 0)
        return cli_fail(&e);
    if (o.keep)
        return run_kept(&o, &paths, plan, after);
    return o.pool ? run_pooled(&o, &paths, plan, &pool, argv + 1) : run(&o, &paths, plan, NULL);
}

/* Returns new: what will be around QEMU and the job. */
static struct doc *layers_to_doc(const char *uri)
{
    struct wrap_layer layers[WRAP_LAYERS];
    struct doc *list = doc_new_array();

    wrap_look(uri, layers);
    for (size_t i = 0; i < WRAP_LAYERS; i++) {
        struct doc *row = doc_new_object();

        doc_set_str(row, "layer", layers[i].name);
        doc_set_bool(row, "holds", layers[i].holds);
        doc_set_str(row, "text", layers[i].text);
        doc_add(list, row);
    }
    return list;
}

static void print_check(const struct plan *plan, const char *xml, const struct doc *oci,
                        const struct doc *layers, bool json)
{
    if (json) {
        own_doc struct doc *d = plan_to_doc(plan);
        own_free char *p = doc_format(d, false), *c = doc_format(oci, false),
                      *l = doc_format(layers, false);
        own_doc struct doc *text = doc_new_array();
        own_free char *quoted = NULL;

        doc_add_str(text, xml);
        quoted = doc_format(text, false); /* ["..."]: the brackets are left out below */
        printf("{\"plan\":%s,\"domain_xml\":%.*s,\"oci_config\":%s,\"layers\":%s}\n", p,
               (int)(strlen(quoted) - 2), quoted + 1, c, l);
        return;
    }
    own_free char *p = plan_to_text(plan), *c = doc_format(oci, true),
                  *l = doc_format(layers, true);

    printf("# plan\n%s\n# domain XML\n%s\n# OCI configuration of the container\n%s\n"
           "# layers\n%s",
           p, xml, c, l);
}

int cmd_check(int argc, char **argv)
{
    own_options struct options o = {0};
    own_paths struct cli_paths paths = {0};
    own_plan struct plan *plan = NULL;
    own_doc struct doc *oci = NULL, *layers = NULL;
    own_free char *xml = NULL;
    struct err e;
    int status = options_parse(argc, argv, help_check, &o);

    if (status < 0 && (o.keep || o.from || o.timing || o.pool))
        status =
            cli_misuse("check", "--keep, --fork-from, --pool and --timing are for 'lazaret run'");
    if (status < 0)
        status = check_keep("check", &o);
    if (status >= 0)
        return status;
    if (cli_paths_find(&paths, &e) < 0 || options_resolve(&o, &paths, &plan, &e) < 0 ||
        run_preview(plan, paths.data_dir, &xml, &e) < 0)
        return cli_fail(&e);
    oci = oci_config(plan, 1);
    layers = layers_to_doc(o.uri);
    print_check(plan, xml, oci, layers, o.json);
    return cli_flush();
}
