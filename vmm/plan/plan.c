/* plan: the one frozen description of a run. Pure: no I/O, no clock, no host look-ups. */
#include "plan/plan.h"

#include "base/digest.h"
#include "base/own.h"
#include "seal/key.h"
#include "shared/wire.h"

#include <stdlib.h>
#include <string.h>

#define ID_MAX 65535u

const char *plan_machine_name(enum plan_machine m)
{
    return m == PLAN_Q35 ? "q35" : "microvm";
}

const char *plan_accel_name(enum plan_accel a)
{
    return a == PLAN_KVM ? "kvm" : "tcg";
}

void plan_free(struct plan *p)
{
    if (!p)
        return;
    free(p->image);
    free(p->image_digest);
    free(p->workdir);
    free(p->in_identity);
    free(p->out);
    strv_done(&p->argv);
    strv_done(&p->env);
    strv_done(&p->inputs);
    strv_done(&p->declared.read);
    strv_done(&p->declared.write);
    strv_done(&p->declared.exec);
    strv_done(&p->secrets);
    strv_done(&p->secret_env);
    strv_done(&p->out_recipients);
    free(p);
}

bool plan_is_declared(const struct plan *p)
{
    return p->declared.read.n + p->declared.write.n + p->declared.exec.n > 0;
}

static int resolve_machine(const char *text, enum plan_machine *ret, struct err *e)
{
    if (!text || strcmp(text, "microvm") == 0)
        *ret = PLAN_MICROVM;
    else if (strcmp(text, "q35") == 0)
        *ret = PLAN_Q35;
    else
        return err_set(e, ERR_USAGE, "--machine: '%s' is not a machine type (microvm, q35)", text);
    return 0;
}

static int resolve_size(const char *text, const char *what, uint64_t min, uint64_t max,
                        uint64_t normal, uint64_t *ret, struct err *e)
{
    *ret = normal;
    return text ? str_parse_size(text, what, min, max, ret, e) : 0;
}

/* UID or UID:GID, numbers of the container's own user namespace. */
static int resolve_user(const struct plan_wish *w, uid_t *ret_uid, gid_t *ret_gid, struct err *e)
{
    own_free char *copy = w->user ? str_dup(w->user) : NULL;
    uint64_t uid = w->from ? w->from->uid : PLAN_UID_DEFAULT;
    uint64_t gid = w->from ? w->from->gid : PLAN_UID_DEFAULT;
    char *colon;

    if (w->build) {
        *ret_uid = 0;
        *ret_gid = 0;
        return 0;
    }
    if (copy) {
        colon = strchr(copy, ':');
        if (colon)
            *colon++ = '\0';
        if (str_parse_u64(copy, "--user", 0, ID_MAX, &uid, e) < 0)
            return err_wrap(e, "the form is UID or UID:GID");
        gid = uid;
        if (colon && str_parse_u64(colon, "--user", 0, ID_MAX, &gid, e) < 0)
            return err_wrap(e, "the form is UID or UID:GID");
    }
    if (uid == 0 || gid == 0)
        return err_set(e, ERR_REFUSED,
                       "--user: a job never runs as root, not even in its container");
    *ret_uid = (uid_t)uid;
    *ret_gid = (gid_t)gid;
    return 0;
}

/* Sets or replaces one "K=V". */
static void env_put(struct strv *env, const char *pair)
{
    size_t key = (size_t)(strchr(pair, '=') - pair) + 1;

    for (size_t i = 0; i < env->n; i++) {
        if (strncmp(env->items[i], pair, key) == 0) {
            free(env->items[i]);
            env->items[i] = str_dup(pair);
            return;
        }
    }
    strv_add(env, pair);
}

static int resolve_env(const struct plan_wish *w, struct strv *env, struct err *e)
{
    env_put(env, "PATH=/usr/local/bin:/usr/bin:/bin");
    env_put(env, "HOME=/work");
    env_put(env, "LANG=C.UTF-8");
    if (w->tty)
        env_put(env, "TERM=xterm-256color");
    for (size_t i = 0; w->from && i < w->from->env->n; i++)
        env_put(env, w->from->env->items[i]);
    for (size_t i = 0; w->env && i < w->env->n; i++) {
        const char *pair = w->env->items[i];

        if (pair[0] == '=' || !strchr(pair, '='))
            return err_set(e, ERR_USAGE, "--env: '%s' is not NAME=VALUE", pair);
        env_put(env, pair);
    }
    return 0;
}

static void add_all(struct strv *to, const struct strv *from)
{
    for (size_t i = 0; i < from->n; i++)
        strv_add(to, from->items[i]);
}

/* As docker does it: arguments replace the image's command and go to its entrypoint; another
 * entrypoint drops both of the image's. */
static int resolve_command(const struct plan_wish *w, struct strv *argv, struct err *e)
{
    bool given = w->argv && *w->argv;

    if (w->no_command)
        return given ? err_set(e, ERR_USAGE, "unexpected argument '%s'", w->argv[0]) : 0;
    if (w->entrypoint && w->entrypoint[0])
        strv_add(argv, w->entrypoint);
    else if (w->from && !w->entrypoint)
        add_all(argv, w->from->entrypoint);
    if (!given && w->from && !w->entrypoint)
        add_all(argv, w->from->command);
    for (const char *const *a = w->argv; a && *a; a++)
        strv_add(argv, *a);
    if (argv->n == 0)
        return err_set(e, ERR_USAGE,
                       "no command, and image '%s' has none of its own (put it behind '--': "
                       "lazaret run -- CMD ARG...)",
                       w->image ? w->image : "default");
    if (argv->items[0][0] == '\0')
        return err_set(e, ERR_USAGE, "the command is empty");
    return 0;
}

/* The container's configuration is JSON, which carries nothing else. */
static int check_utf8(const struct strv *v, const char *what, struct err *e)
{
    for (size_t i = 0; i < v->n; i++)
        if (!str_is_utf8(v->items[i]))
            return err_set(e, ERR_USAGE, "%s %zu is not valid UTF-8", what, i);
    return 0;
}

/* Several inputs get their own names below /in: no two may have the same. */
static int resolve_folders(const struct plan_wish *w, struct plan *p, struct err *e)
{
    for (size_t i = 0; w->inputs && i < w->inputs->n; i++) {
        const char *path = w->inputs->items[i];

        for (size_t k = 0; k < i; k++)
            if (strcmp(strrchr(path, '/'), strrchr(p->inputs.items[k], '/')) == 0)
                return err_set(e, ERR_USAGE, "--in: '%s' and '%s' have the same name",
                               p->inputs.items[k], path);
        strv_add(&p->inputs, path);
    }
    if (w->in_max && p->inputs.n == 0)
        return err_set(e, ERR_USAGE, "--in-max needs --in");
    if (w->in_identity && p->inputs.n != 1)
        return err_set(e, ERR_USAGE, "--in-identity needs exactly one --in, the sealed archive");
    if (w->in_identity && !str_is_utf8(w->in_identity))
        return err_set(e, ERR_USAGE, "--in-identity is not valid UTF-8");
    p->in_identity = w->in_identity ? str_dup(w->in_identity) : NULL;
    return check_utf8(&p->inputs, "--in: folder", e);
}

static int resolve_declared(const struct strv *wish, const char *option, struct strv *to,
                            struct err *e)
{
    if (wish && wish->n > PLAN_PATHS_MAX)
        return err_set(e, ERR_USAGE, "%s: more than %d paths", option, PLAN_PATHS_MAX);
    for (size_t i = 0; wish && i < wish->n; i++) {
        const char *path = wish->items[i];

        if (path[0] != '/')
            return err_set(e, ERR_USAGE, "%s: '%s' is not an absolute path inside the container",
                           option, path);
        if (!str_is_utf8(path) || strlen(path) > PLAN_PATH_MAX)
            return err_set(e, ERR_USAGE, "%s: path %zu is not valid UTF-8, or too long", option,
                           i + 1);
        strv_add(to, path);
    }
    return 0;
}

static int resolve_names(const struct strv *names, const struct strv *other, struct strv *to,
                         struct err *e)
{
    for (size_t i = 0; names && i < names->n; i++) {
        const char *name = names->items[i];

        if (!wire_is_secret_name(name, strlen(name)))
            return err_set(e, ERR_USAGE, "secret %zu has no legal name", i);
        for (size_t k = 0; k < to->n; k++)
            if (strcmp(to->items[k], name) == 0)
                return err_set(e, ERR_USAGE, "there are two secrets '%s'", name);
        for (size_t k = 0; k < other->n; k++)
            if (strcmp(other->items[k], name) == 0)
                return err_set(e, ERR_USAGE, "there are two secrets '%s'", name);
        strv_add(to, name);
    }
    return 0;
}

static int resolve_secrets(const struct strv *files, const struct strv *env, struct plan *p,
                           struct err *e)
{
    if (resolve_names(files, &p->secret_env, &p->secrets, e) < 0 ||
        resolve_names(env, &p->secrets, &p->secret_env, e) < 0)
        return -1;
    if (p->secrets.n + p->secret_env.n > WIRE_SECRETS_MAX)
        return err_set(e, ERR_USAGE, "more than %u secrets", WIRE_SECRETS_MAX);
    return 0;
}

static size_t strv_bytes(const struct strv *v)
{
    size_t sum = 0;

    for (size_t i = 0; i < v->n; i++)
        sum += strlen(v->items[i]) + 1;
    return sum;
}

static int resolve_out_max(const struct plan_wish *w, struct plan *p, struct err *e)
{
    if (w->out_max && !w->out)
        return err_set(e, ERR_USAGE, "--out-max needs --out");
    return resolve_size(w->out_max, "--out-max", 0, PLAN_DISK_MAX, PLAN_OUT_MAX_DEFAULT,
                        &p->out_max_bytes, e);
}

static int resolve_recipients(const struct plan_wish *w, struct plan *p, struct err *e)
{
    struct seal_public key;

    if (w->out_recipients->n > 0 && !w->out)
        return err_set(e, ERR_USAGE, "--out-recipient needs --out");
    if (w->out_recipients->n > SEAL_RECIPIENTS_MAX)
        return err_set(e, ERR_USAGE, "--out-recipient: more than %d keys", SEAL_RECIPIENTS_MAX);
    for (size_t i = 0; i < w->out_recipients->n; i++)
        if (seal_public_parse(w->out_recipients->items[i], &key, e) < 0)
            return err_wrap(e, "--out-recipient: number %zu", i + 1);
    add_all(&p->out_recipients, w->out_recipients);
    return 0;
}

static int resolve_out(const struct plan_wish *w, struct plan *p, struct err *e)
{
    if (w->out && !str_is_utf8(w->out))
        return err_set(e, ERR_USAGE, "--out is not valid UTF-8");
    p->out = w->out ? str_dup(w->out) : NULL;
    return w->out_recipients ? resolve_recipients(w, p, e) : 0;
}

static int resolve_limits(const struct plan_wish *w, struct plan *p, struct err *e)
{
    uint64_t cpus = 1, pids = w->debug ? PLAN_PIDS_MAX : PLAN_PIDS_DEFAULT;

    if (resolve_size(w->memory, "--memory", PLAN_MEMORY_MIN, PLAN_MEMORY_MAX, PLAN_MEMORY_DEFAULT,
                     &p->memory_bytes, e) < 0 ||
        resolve_size(w->disk, "--disk", PLAN_DISK_MIN, PLAN_DISK_MAX, PLAN_DISK_DEFAULT,
                     &p->disk_bytes, e) < 0 ||
        resolve_size(w->in_max, "--in-max", 0, PLAN_DISK_MAX, PLAN_IN_MAX_DEFAULT, &p->in_max_bytes,
                     e) < 0 ||
        resolve_out_max(w, p, e) < 0)
        return -1;
    if ((w->cpus && str_parse_u64(w->cpus, "--cpus", 1, PLAN_CPUS_MAX, &cpus, e) < 0) ||
        (w->pids && str_parse_u64(w->pids, "--pids", 2, PLAN_PIDS_MAX, &pids, e) < 0) ||
        (w->timeout &&
         str_parse_duration(w->timeout, "--timeout", PLAN_TIMEOUT_MAX_MS, &p->timeout_ms, e) < 0))
        return -1;
    p->cpus = (unsigned)cpus;
    p->pids = (unsigned)pids;
    p->guest_bytes = (p->memory_bytes + PLAN_MIB - 1) / PLAN_MIB * PLAN_MIB + PLAN_GUEST_OVERHEAD;
    p->disk_bytes = (p->disk_bytes + PLAN_MIB - 1) / PLAN_MIB * PLAN_MIB;
    p->tmp_bytes = p->memory_bytes / 2;
    return 0;
}

/* At most: disks that each mark keeps whole, the guest's memory once in each mark, and spools. */
static void resolve_amnesic(const struct plan_wish *w, struct plan *p)
{
    uint64_t marks = w->marks ? w->marks + PLAN_AMNESIC_SPARE : 0;

    /* What nobody may read here is on no disk of this host in the clear either. */
    p->amnesic = w->amnesic || p->in_identity || p->out_recipients.n > 0;
    if (!p->amnesic)
        return;
    p->marks = w->marks;
    p->amnesic_bytes = (marks + 1) * (p->disk_bytes + p->disk_bytes / 512 + PLAN_AMNESIC_LOGS) +
                       marks * (p->guest_bytes + p->guest_bytes / 256) +
                       (w->marks ? PLAN_AMNESIC_OUTPUTS : 0) +
                       (w->out ? p->out_max_bytes + p->out_max_bytes / 8 : 0);
}

/* A name, or "sha256:" and the first 12 or more digits of a digest. */
static bool is_reference(const char *text)
{
    static const char sha256[] = "sha256:";

    return str_is_name(text) ||
           (str_starts_with(text, sha256) && digest_is_prefix(text + strlen(sha256)));
}

/* What goes into the container's configuration as the user gave it. */
static int check_process(const struct plan *p, struct err *e)
{
    if (p->workdir[0] != '/')
        return err_set(e, ERR_USAGE, "--workdir: '%s' is not an absolute path", p->workdir);
    if (!str_is_utf8(p->workdir))
        return err_set(e, ERR_USAGE, "--workdir is not valid UTF-8");
    if (check_utf8(&p->argv, "argument", e) < 0 || check_utf8(&p->env, "variable", e) < 0)
        return -1;
    if (strv_bytes(&p->argv) + strv_bytes(&p->env) > PLAN_ARGS_MAX)
        return err_set(e, ERR_USAGE, "arguments and environment are over %d KiB",
                       PLAN_ARGS_MAX / 1024);
    return 0;
}

int plan_resolve(const struct plan_wish *w, struct plan **ret, struct err *e)
{
    own_plan struct plan *p = calloc(1, sizeof(*p));

    if (!p)
        return err_set(e, ERR_HOST, "out of memory");
    p->image = str_dup(w->image ? w->image : "default");
    if (!is_reference(p->image))
        return err_set(e, ERR_USAGE, "--image: '%s' is neither the name nor the digest of an image",
                       p->image);
    p->image_digest = w->from ? str_dup(w->from->digest) : NULL;
    p->workdir = str_dup(w->workdir ? w->workdir : w->from ? w->from->workdir : "/work");
    if (w->debug && w->no_debug)
        return err_set(e, ERR_REFUSED, "--debug: the policy of this host does not allow it");
    p->debug = w->debug;
    if (resolve_machine(w->machine, &p->machine, e) < 0 || resolve_limits(w, p, e) < 0 ||
        resolve_user(w, &p->uid, &p->gid, e) < 0 || resolve_env(w, &p->env, e) < 0 ||
        resolve_command(w, &p->argv, e) < 0 || check_process(p, e) < 0 ||
        resolve_folders(w, p, e) < 0 || resolve_out(w, p, e) < 0 ||
        resolve_declared(w->read, "--read", &p->declared.read, e) < 0 ||
        resolve_declared(w->write, "--write", &p->declared.write, e) < 0 ||
        resolve_declared(w->exec, "--exec", &p->declared.exec, e) < 0 ||
        resolve_secrets(w->secrets, w->secret_env, p, e) < 0)
        return -1;
    p->accel = w->accel;
    p->tsc_khz = w->accel == PLAN_TCG && p->machine == PLAN_MICROVM ? w->tsc_khz : 0;
    resolve_amnesic(w, p);
    p->interactive = w->interactive;
    p->tty = w->tty;
    p->build = w->build;
    p->writable_root = w->writable_root || w->build;
    *ret = own_steal_ptr(p);
    return 0;
}

/* Everything that a command cannot change. */
static void copy_machine(const struct plan *base, struct plan *p)
{
    *p = *base;
    p->image = str_dup(base->image);
    p->image_digest = base->image_digest ? str_dup(base->image_digest) : NULL;
    p->out = p->in_identity = NULL;
    p->workdir = NULL;
    p->argv = p->env = p->inputs = p->secrets = p->secret_env = (struct strv){0};
    p->out_recipients = (struct strv){0};
    p->declared = (struct plan_declared){0};
    add_all(&p->inputs, &base->inputs);
    add_all(&p->declared.read, &base->declared.read);
    add_all(&p->declared.write, &base->declared.write);
    add_all(&p->declared.exec, &base->declared.exec);
}

int plan_derive(const struct plan *base, const struct plan_exec *x, struct plan **ret,
                struct err *e)
{
    own_plan struct plan *p = calloc(1, sizeof(*p));
    const struct plan_image as_base = {
        .workdir = base->workdir, .uid = base->uid, .gid = base->gid, .env = &base->env};
    const struct plan_wish w = {
        .user = x->user && x->user[0] ? x->user : NULL,
        .env = x->env,
        .from = &as_base,
        .build = base->build,
        .tty = x->tty,
        .out = x->out,
        .out_max = x->out_max,
    };

    if (!p)
        return err_set(e, ERR_HOST, "out of memory");
    copy_machine(base, p);
    p->workdir = str_dup(x->workdir && x->workdir[0] ? x->workdir : base->workdir);
    p->timeout_ms = x->timeout_ms;
    p->interactive = x->interactive;
    p->tty = x->tty;
    add_all(&p->argv, x->argv);
    if (p->argv.n == 0 || p->argv.items[0][0] == '\0')
        return err_set(e, ERR_USAGE, "no command (put it behind '--')");
    if (p->timeout_ms > PLAN_TIMEOUT_MAX_MS)
        return err_set(e, ERR_USAGE, "--timeout: over 30 days");
    if (resolve_user(&w, &p->uid, &p->gid, e) < 0 || resolve_env(&w, &p->env, e) < 0 ||
        check_process(p, e) < 0 || resolve_out(&w, p, e) < 0 || resolve_out_max(&w, p, e) < 0 ||
        resolve_secrets(x->secrets, x->secret_env, p, e) < 0)
        return -1;
    *ret = own_steal_ptr(p);
    return 0;
}

struct doc *plan_to_doc(const struct plan *p)
{
    struct doc *d = doc_new_object();

    doc_set_str(d, "format", "lazaret-plan");
    doc_set_u64(d, "version", 1);
    doc_set_str(d, "image", p->image);
    if (p->image_digest)
        doc_set_str(d, "image_digest", p->image_digest);
    doc_set_strv(d, "command", (const char *const *)p->argv.items);
    doc_set_strv(d, "env", (const char *const *)p->env.items);
    doc_set_str(d, "workdir", p->workdir);
    doc_set_u64(d, "uid", p->uid);
    doc_set_u64(d, "gid", p->gid);
    doc_set_strv(d, "inputs", (const char *const *)p->inputs.items);
    doc_set_strv(d, "secrets", (const char *const *)p->secrets.items);
    doc_set_strv(d, "secret_env", (const char *const *)p->secret_env.items);
    if (p->inputs.n > 0)
        doc_set_u64(d, "in_max_bytes", p->in_max_bytes);
    if (p->in_identity)
        doc_set_str(d, "in_identity", p->in_identity);
    if (p->out) {
        doc_set_str(d, "out", p->out);
        doc_set_u64(d, "out_max_bytes", p->out_max_bytes);
    }
    if (p->out_recipients.n > 0)
        doc_set_strv(d, "out_recipients", (const char *const *)p->out_recipients.items);
    doc_set_u64(d, "memory_bytes", p->memory_bytes);
    doc_set_u64(d, "guest_bytes", p->guest_bytes);
    doc_set_u64(d, "cpus", p->cpus);
    doc_set_u64(d, "disk_bytes", p->disk_bytes);
    doc_set_u64(d, "tmp_bytes", p->tmp_bytes);
    doc_set_u64(d, "pids", p->pids);
    doc_set_u64(d, "timeout_ms", p->timeout_ms);
    doc_set_bool(d, "network", false);
    doc_set_bool(d, "writable_root", p->writable_root);
    if (plan_is_declared(p)) {
        doc_set_strv(d, "read", (const char *const *)p->declared.read.items);
        doc_set_strv(d, "write", (const char *const *)p->declared.write.items);
        doc_set_strv(d, "exec", (const char *const *)p->declared.exec.items);
    }
    if (p->build)
        doc_set_bool(d, "build", true);
    doc_set_bool(d, "amnesic", p->amnesic);
    if (p->amnesic) {
        doc_set_u64(d, "amnesic_bytes", p->amnesic_bytes);
        doc_set_u64(d, "marks", p->marks);
    }
    if (p->debug)
        doc_set_bool(d, "debug", true);
    doc_set_str(d, "machine", plan_machine_name(p->machine));
    doc_set_str(d, "accel", plan_accel_name(p->accel));
    doc_set_u64(d, "tsc_khz", p->tsc_khz);
    doc_set_bool(d, "interactive", p->interactive);
    doc_set_bool(d, "tty", p->tty);
    return d;
}
