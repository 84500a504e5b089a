/* pool: guests that are ready before the run that takes one. See pool.h. */
#include "run/pool.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/own.h"
#include "base/spawn.h"
#include "gateway/gateway.h"
#include "run/recording.h"
#include "run/runs.h"
#include "run/talk.h"
#include "snapshots/warm.h"
#include "wrap/wrap.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define KEY_DIGITS 12u
#define START_MS   150000u /* for a guest to become ready; generous: slow emulation */
#define LOOK_MS    20

static int check(const struct plan *plan, const struct run_config *c, struct err *e)
{
    const char *what = plan->inputs.n > 0                          ? "--in"
                       : plan->out                                 ? "--out"
                       : plan->amnesic                             ? "--amnesic"
                       : plan->alerts.n > 0                        ? "alerts (of a policy)"
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

/* What the gateway of its guest would have of the caller's: where names and certificates come from,
 * and whose network it is. */
static int add_surroundings(struct digest *d, struct err *e)
{
    const char *const names[] = {GATEWAY_DNS_ENV, GATEWAY_CERTIFICATES_ENV};
    char net[64] = "";

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = getenv(names[i]);

        if (add(d, value ? value : "", e) < 0)
            return -1;
    }
    if (readlink("/proc/self/ns/net", net, sizeof(net) - 1) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot read '/proc/self/ns/net'");
    return add(d, net, e);
}

static int add_file(struct digest *d, const char *path, struct err *e)
{
    own_free char *identity = NULL;

    return warm_file_identity(path, &identity, e) < 0 ? -1 : add(d, identity, e);
}

int pool_begin(const struct plan *plan, const struct run_config *c, char ret_prefix[RUN_ID_SIZE],
               struct err *e)
{
    const struct plan p = without_job(plan);
    const struct recording_files *f = c->record_files;
    own_doc struct doc *doc = plan_to_doc(&p);
    own_free char *text = doc_format(doc, false);
    own_free char *versions =
        str_printf("%s, protocol %u, talk %u, idle %llu", LZ_VERSION, WIRE_VERSION, TALK_VERSION,
                   (unsigned long long)c->pool_idle_ms);
    const char *const programs[] = {WRAP_QEMU,       c->wrap_path,    c->relay_path,
                                    c->gateway_path, c->preload_path, "/proc/self/exe"};
    own_digest struct digest *d = NULL;
    char hex[DIGEST_HEX_SIZE];

    if (check(plan, c, e) < 0 || digest_new(&d, e) < 0 || add(d, text, e) < 0 ||
        add(d, versions, e) < 0 || add_surroundings(d, e) < 0)
        return -1;
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
        if (add_file(d, programs[i], e) < 0)
            return -1;
    for (size_t i = 0; f && i < f->n; i++)
        if (add(d, f->items[i].role, e) < 0 || add(d, f->items[i].text, e) < 0)
            return -1;
    if (digest_finish(d, hex, e) < 0)
        return -1;
    (void)snprintf(ret_prefix, RUN_ID_SIZE, POOL_PREFIX "%.*s.", (int)KEY_DIGITS, hex);
    return 0;
}

struct listing {
    const char *prefix;
    const char *const *states; /* NULL-terminated */
    struct strv *names;
};

static int list_one(void *arg, const struct runs_found *f)
{
    const struct listing *l = arg;

    for (const char *const *state = l->states; *state && str_starts_with(f->id, l->prefix); state++)
        if (strcmp(f->state, *state) == 0)
            strv_add(l->names, f->id);
    return 0;
}

static const char *const ready[] = {"paused", NULL};
static const char *const starting[] = {"starting", NULL};
static const char *const coming[] = {"paused", "starting", NULL};
static const char *const dead[] = {"dead", NULL};
static const char *const unused[] = {"paused", "dead", NULL};

/* Adds the names of guests in one of these states. */
static int list(const char *data_dir, const char *prefix, const char *const *states,
                struct strv *ret, struct err *e)
{
    struct listing l = {.prefix = prefix, .states = states, .names = ret};

    return runs_each(data_dir, FOLDER_SANDBOX, NULL, list_one, &l, e);
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

int pool_run(const struct plan *plan, const struct run_config *c, const char *prefix,
             const struct sandbox_exec *how, struct run_result *ret, struct err *e)
{
    own_strv struct strv names = {0};
    struct sandbox_exec x = *how;
    bool taken = false;

    if (list(c->data_dir, prefix, ready, &names, e) < 0)
        return -1;
    err_set(e, ERR_HOST, "there is none");
    x.argv = &plan->argv;
    x.env = &plan->env;
    x.timeout_ms = plan->timeout_ms;
    x.after = SANDBOX_DISCARD;
    x.take = true;
    x.ret_taken = &taken;
    for (size_t i = 0; i < names.n; i++) {
        if (sandbox_exec(c->data_dir, names.items[i], &x, ret, e) == 0) {
            ret->warm = ret->pooled = taken;
            merge_timing(&ret->timing, x.timing);
            ret->timing = *x.timing;
            return 0;
        }
        if (taken)
            return -1;
        drop_capture(x.capture); /* somebody else was faster, or it is none any more */
    }
    return 1;
}

/* ---- made ready ------------------------------------------------------------------------------ */

static bool is_full(const char *data_dir, const char *prefix, size_t n)
{
    own_strv struct strv names = {0};
    struct err ignored;

    return list(data_dir, prefix, coming, &names, &ignored) < 0 || names.n >= n;
}

/* One that died has nobody to look at why. */
static void remove_dead(const char *data_dir, const char *prefix)
{
    own_strv struct strv names = {0};
    struct err ignored;

    if (list(data_dir, prefix, dead, &names, &ignored) < 0)
        return;
    for (size_t i = 0; i < names.n; i++)
        (void)sandbox_down(data_dir, names.items[i], true, &ignored);
}

/* No name is used twice: what is on record of one guest is not another's. */
static int make_name(const char *prefix, char ret[RUN_ID_SIZE], struct err *e)
{
    uint32_t random;

    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        return err_sys(e, ERR_HOST, errno, "getrandom");
    (void)snprintf(ret, RUN_ID_SIZE, "%s%06x", prefix, random & 0xffffff);
    return 0;
}

/* Where one cannot be made the next could not either. Whoever else fills now is counted with. */
static void fill(const struct plan *plan, const struct run_config *c, const char *prefix,
                 unsigned n)
{
    char name[RUN_ID_SIZE];
    struct run_result r;
    struct err e;

    remove_dead(c->data_dir, prefix);
    for (unsigned i = 0; i < n && !is_full(c->data_dir, prefix, n); i++)
        if (make_name(prefix, name, &e) < 0 || sandbox_up(name, plan, c, &r, &e) < 0)
            return;
}

int pool_fill(const struct plan *plan, const struct run_config *c, const char *prefix, unsigned n,
              char *const *argv, struct err *e)
{
    const struct plan p = without_job(plan);
    pid_t pid = fork();

    if (pid < 0)
        return err_sys(e, ERR_HOST, errno, "fork");
    if (pid > 0)
        return 0;
    for (; *argv; argv++)
        explicit_bzero(*argv, strlen(*argv));
    if (spawn_leave_caller(NULL, 0, e) == 0)
        fill(&p, c, prefix, n);
    _exit(0);
}

/* One that has gone, or was taken, is none that could be taken down. */
static int drain_ready(const char *data_dir, uint64_t *removed, struct err *e)
{
    own_strv struct strv names = {0};

    if (list(data_dir, POOL_PREFIX, unused, &names, e) < 0)
        return -1;
    for (size_t i = 0; i < names.n; i++) {
        if (sandbox_drain(data_dir, names.items[i], e) == 0)
            ++*removed;
        else if (e->class != ERR_USAGE)
            return -1;
    }
    return 0;
}

int pool_drain(const char *data_dir, uint64_t *ret_removed, struct err *e)
{
    const uint64_t until_ms = clock_mono_ms() + START_MS;

    *ret_removed = 0;
    for (;;) {
        own_strv struct strv names = {0};

        if (list(data_dir, POOL_PREFIX, starting, &names, e) < 0 ||
            drain_ready(data_dir, ret_removed, e) < 0)
            return -1;
        if (names.n == 0)
            return 0;
        if (clock_mono_ms() >= until_ms)
            return err_set(e, ERR_HOST, "'%s' does not become ready", names.items[0]);
        poll(NULL, 0, LOOK_MS);
    }
}
