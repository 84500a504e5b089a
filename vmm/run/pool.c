/* pool: guests that are ready before the run that takes one. See pool.h. */
#include "run/pool.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/own.h"
#include "base/spawn.h"
#include "run/folder.h"
#include "run/recording.h"
#include "run/talk.h"
#include "snapshots/warm.h"
#include "wrap/wrap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define KEY_DIGITS 16u
#define NUMBERS    64u /* guests of one key, those that were taken among them */

int pool_check(const struct plan *plan, const struct run_config *c, struct err *e)
{
    const char *what = plan->inputs.n > 0                          ? "--in"
                       : plan->out                                 ? "--out"
                       : plan->amnesic                             ? "--amnesic"
                       : plan->gateway_secrets.n > 0               ? "a secret of a network rule"
                       : plan->egress_proxy.host && c->proxy_login ? "a proxy with a login"
                                                                   : NULL;

    return what
               ? err_set(e, ERR_USAGE,
                         "--pool: no guest can be ready for a run with %s (leave --pool out)", what)
               : 0;
}

/* What the guest is made by, whoever takes it. Borrows. */
static struct plan without_job(const struct plan *plan)
{
    static const enum key keys[] = {KEY_COMMAND, KEY_ENTRYPOINT, KEY_ENV,
                                    KEY_SECRETS, KEY_SECRET_ENV, KEY_TIMEOUT};
    struct plan p = *plan;

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        p.decided[keys[i]] = NULL;
    p.argv = p.env = p.env_from = p.secrets = p.secret_env = (struct strv){0};
    p.interactive = p.tty = false;
    p.timeout_ms = 0;
    return p;
}

static int add(struct digest *d, const char *text, struct err *e)
{
    return digest_add(d, text, strlen(text) + 1, e);
}

static int add_file(struct digest *d, const char *path, struct err *e)
{
    own_free char *identity = NULL;

    return warm_file_identity(path, &identity, e) < 0 ? -1 : add(d, identity, e);
}

/* The beginning of the names of its guests. */
static int make_prefix(const struct plan *plan, const struct run_config *c, char ret[RUN_ID_SIZE],
                       struct err *e)
{
    const struct plan p = without_job(plan);
    const struct recording_files *f = c->record_files;
    own_doc struct doc *doc = plan_to_doc(&p);
    own_free char *text = doc_format(doc, false);
    own_free char *versions =
        str_printf("%s, protocol %u, talk %u, idle %llu", LZ_VERSION, WIRE_VERSION, TALK_VERSION,
                   (unsigned long long)c->pool_idle_ms);
    own_digest struct digest *d = NULL;
    char hex[DIGEST_HEX_SIZE];

    if (digest_new(&d, e) < 0 || add(d, text, e) < 0 || add(d, versions, e) < 0 ||
        add_file(d, WRAP_QEMU, e) < 0 || add_file(d, c->wrap_path, e) < 0 ||
        add_file(d, c->relay_path, e) < 0 || add_file(d, "/proc/self/exe", e) < 0)
        return -1;
    for (size_t i = 0; f && i < f->n; i++)
        if (add(d, f->items[i].role, e) < 0 || add(d, f->items[i].text, e) < 0)
            return -1;
    if (digest_finish(d, hex, e) < 0)
        return -1;
    (void)snprintf(ret, RUN_ID_SIZE, POOL_PREFIX "%.*s.", (int)KEY_DIGITS, hex);
    return 0;
}

/* Returns new: the names of its guests in this state. */
static int list(const char *data_dir, const char *prefix, const char *state, struct strv *ret,
                struct err *e)
{
    own_free char *place = str_printf("%s/%s", data_dir, folder_place(FOLDER_SANDBOX));
    own_closedir DIR *d = opendir(place);
    struct dirent *entry;

    if (!d)
        return errno == ENOENT ? 0 : err_sys(e, ERR_HOST, errno, "cannot list '%s'", place);
    while ((entry = readdir(d))) {
        own_close int fd = -1;
        const char *is = "";
        struct err gone; /* meanwhile */

        if (str_starts_with(entry->d_name, prefix) &&
            sandbox_open(data_dir, entry->d_name, &fd, &is, &gone) == 0 && strcmp(is, state) == 0)
            strv_add(ret, entry->d_name);
    }
    return 0;
}

/* ---- taken ----------------------------------------------------------------------------------- */

static void drop_capture(struct run_capture *c)
{
    if (!c)
        return;
    own_close_p(&c->stdout_fd);
    own_close_p(&c->stderr_fd);
    *c = (struct run_capture){-1, -1};
}

/* The client's steps, with the keeper's in the one that it waited for. */
static void merge_timing(const struct timing *keepers, struct timing *t)
{
    uint64_t us = keepers->us[TIMING_HELLO];

    if (us > t->us[TIMING_CONTAINER])
        us = t->us[TIMING_CONTAINER];
    t->us[TIMING_HELLO] += us;
    t->us[TIMING_CONTAINER] -= us;
}

int pool_run(const struct plan *plan, const struct run_config *c, struct sandbox_exec *x,
             struct run_result *ret, struct err *e)
{
    char prefix[RUN_ID_SIZE];
    own_strv struct strv names = {0};

    if (make_prefix(plan, c, prefix, e) < 0 || list(c->data_dir, prefix, "paused", &names, e) < 0)
        return -1;
    x->env = &plan->env;
    x->timeout_ms = plan->timeout_ms;
    x->after = SANDBOX_DISCARD;
    for (size_t i = 0; i < names.n; i++) {
        bool refused = false;

        x->take = true;
        x->ret_refused = &refused;
        if (sandbox_exec(c->data_dir, names.items[i], x, ret, e) == 0) {
            ret->warm = ret->pooled = true;
            merge_timing(&ret->timing, x->timing);
            ret->timing = *x->timing;
            return 0;
        }
        if (!refused)
            return -1;
        drop_capture(x->capture); /* somebody else was faster */
    }
    return 1;
}

/* ---- made ready ------------------------------------------------------------------------------ */

/* Those that are ready, or will be. */
static int list_coming(const char *data_dir, const char *prefix, struct strv *ret, struct err *e)
{
    return list(data_dir, prefix, "paused", ret, e) < 0
               ? -1
               : list(data_dir, prefix, "starting", ret, e);
}

static bool is_full(const char *data_dir, const char *prefix, size_t n)
{
    own_strv struct strv names = {0};
    struct err ignored;

    return list_coming(data_dir, prefix, &names, &ignored) < 0 || names.n >= n;
}

/* One that died has nobody to look at why. */
static void remove_dead(const char *data_dir, const char *prefix)
{
    own_strv struct strv names = {0};
    struct err ignored;

    if (list(data_dir, prefix, "dead", &names, &ignored) < 0)
        return;
    for (size_t i = 0; i < names.n; i++)
        (void)sandbox_down(data_dir, names.items[i], true, &ignored);
}

/* A name that somebody else took meanwhile is no failure: theirs counts. */
static void fill(const struct plan *plan, const struct run_config *c, const char *prefix, size_t n)
{
    struct err e;

    remove_dead(c->data_dir, prefix);
    for (unsigned i = 0; i < NUMBERS && !is_full(c->data_dir, prefix, n); i++) {
        own_free char *name = str_printf("%s%u", prefix, i);
        own_close int fd = -1;
        struct run_result r;
        const char *state;

        if (sandbox_open(c->data_dir, name, &fd, &state, &e) == 0)
            continue;
        if (sandbox_up(name, plan, c, &r, &e) < 0 && e.class == ERR_INTERRUPTED)
            return;
    }
}

int pool_fill(const struct plan *plan, const struct run_config *c, unsigned n, struct err *e)
{
    const struct plan p = without_job(plan);
    char prefix[RUN_ID_SIZE];
    pid_t pid;

    if (make_prefix(plan, c, prefix, e) < 0)
        return -1;
    pid = fork();
    if (pid < 0)
        return err_sys(e, ERR_HOST, errno, "fork");
    if (pid > 0)
        return 0;
    if (spawn_leave_caller(NULL, 0, e) == 0)
        fill(&p, c, prefix, n);
    _exit(0);
}

int pool_drain(const char *data_dir, uint64_t *ret_removed, struct err *e)
{
    own_strv struct strv names = {0};

    *ret_removed = 0;
    if (list_coming(data_dir, POOL_PREFIX, &names, e) < 0)
        return -1;
    for (size_t i = 0; i < names.n; i++)
        if (sandbox_down(data_dir, names.items[i], false, e) < 0)
            return -1;
    *ret_removed = names.n;
    return 0;
}
