/*
 * resolve_data: the part of the resolver that concerns data: what goes in and comes out and for
 * whom, what the job may touch, and what is kept of it all.
 */
#include "base/own.h"
#include "plan/resolve.h"
#include "seal/key.h"
#include "shared/wire.h"

#include <stdlib.h>
#include <string.h>

/* The texts of a list, NULL: none. */
static const struct strv *list(const struct plan_wish *w, enum key k)
{
    const struct request *r = wish_who(w, k);

    return r && r->of[k].texts.n > 0 ? &r->of[k].texts : NULL;
}

/* ---- what is kept, and what may be watched ---- */

static int check_kept(const struct plan_wish *w, const struct plan *p, enum key sealed,
                      struct err *e)
{
    char name[REQUEST_PLACE];

    if (sealed != KEYS && (w->keep || w->keep_logs || w->connect))
        return err_set(e, ERR_USAGE, "%s excludes --keep, --fork-from, --keep-logs and --connect",
                       wish_what(w, sealed, name));
    if (p->amnesic && w->learn)
        return err_set(e, ERR_USAGE, "%s excludes --learn, which writes down what the job did",
                       wish_what(w, sealed != KEYS ? sealed : KEY_AMNESIC, name));
    if (p->amnesic && (w->keep_logs || w->connect))
        return err_set(e, ERR_USAGE, "%s excludes --keep-logs and --connect",
                       wish_what(w, KEY_AMNESIC, name));
    return 0;
}

/* What is told on the console has to be kept, or there is a sandbox to ask for it. */
static int resolve_trace(const struct plan_wish *w, struct plan *p, struct err *e)
{
    char name[REQUEST_PLACE];

    p->trace = plan_resolve_flag(w, p, KEY_TRACE);
    wish_what(w, KEY_TRACE, name);
    if (p->trace && !p->debug)
        return err_set(e, ERR_USAGE, "%s needs --debug, or 'debug' in a manifest", name);
    if (p->trace && w->use == KEY_OF_RUN && !w->keep_logs && !w->keep)
        return err_set(e, ERR_USAGE, "%s tells the console: it needs --keep-logs or --keep", name);
    return 0;
}

int plan_resolve_guards(const struct plan_wish *w, struct plan *p, struct err *e)
{
    enum key sealed = list(w, KEY_OUTPUT_RECIPIENTS)          ? KEY_OUTPUT_RECIPIENTS
                      : plan_wish_text(w, KEY_INPUT_IDENTITY) ? KEY_INPUT_IDENTITY
                                                              : KEYS;
    char name[REQUEST_PLACE];

    p->debug = plan_resolve_flag(w, p, KEY_DEBUG);
    if (resolve_trace(w, p, e) < 0)
        return -1;
    p->amnesic = plan_resolve_flag(w, p, KEY_AMNESIC);
    /* What nobody may read here is on no disk of this host in the clear either. */
    if (sealed != KEYS && !p->amnesic) {
        const struct request *r = wish_who(w, sealed);

        p->amnesic = true;
        plan_decide(p, KEY_AMNESIC, request_place(r, sealed, name));
    }
    if (!w->build && p->debug &&
        policy_check_debug(&w->policies, wish_what(w, KEY_DEBUG, name), e) < 0)
        return -1;
    p->apparmor = !w->build && strv_has(w->layers, "apparmor");
    if (!w->build && policy_check_layers(&w->policies, w->layers, e) < 0)
        return -1;
    if (!w->build && !p->amnesic && policy_check_amnesic(&w->policies, e) < 0)
        return -1;
    return check_kept(w, p, sealed, e);
}

/* At most: disks that each mark keeps whole, the guest's memory once in each mark, and spools. */
void plan_resolve_amnesic(const struct plan_wish *w, struct plan *p)
{
    uint64_t marks;

    if (!p->amnesic)
        return;
    if (w->use == KEY_OF_UP)
        p->marks = w->no_marks ? 0 : (unsigned)p->max_marks;
    else
        p->marks = w->keep ? PLAN_AMNESIC_MARKS : 0;
    marks = p->marks ? p->marks + PLAN_AMNESIC_SPARE : 0;
    p->amnesic_bytes = (marks + 1) * (p->disk_bytes + p->disk_bytes / 512 + PLAN_AMNESIC_LOGS) +
                       marks * (p->guest_bytes + p->guest_bytes / 256) +
                       (p->marks ? PLAN_AMNESIC_OUTPUTS : 0) +
                       (p->out ? p->out_max_bytes + p->out_max_bytes / 8 : 0);
}

/* ---- what goes in and comes out ---- */

static int resolve_input_details(const struct plan_wish *w, struct plan *p, struct err *e)
{
    const char *identity = plan_wish_text(w, KEY_INPUT_IDENTITY);
    char name[REQUEST_PLACE];

    if (plan_wish_text(w, KEY_INPUT_MAX) && p->inputs.n == 0)
        return err_set(e, ERR_USAGE, "%s needs --in, or 'inputs' in a manifest",
                       wish_what(w, KEY_INPUT_MAX, name));
    if (!identity)
        return 0;
    wish_what(w, KEY_INPUT_IDENTITY, name);
    if (p->inputs.n != 1)
        return err_set(e, ERR_USAGE, "%s needs exactly one --in, the sealed archive", name);
    if (identity[0] != '/')
        return err_set(e, ERR_USAGE, "%s: '%s' is not absolute", name, identity);
    if (!str_is_utf8(identity))
        return err_set(e, ERR_USAGE, "%s is not valid UTF-8", name);
    /* Which of the user's keys opens something is the user's to say, where a policy bounds files.
     */
    if (wish_who(w, KEY_INPUT_IDENTITY) == w->manifest &&
        policy_check_folder(&w->policies, KEY_INPUTS, identity, name, e) < 0)
        return -1;
    plan_decide_by(w, p, KEY_INPUT_IDENTITY, "default");
    p->in_identity = str_dup(identity);
    return 0;
}

static int resolve_recipients(const struct plan_wish *w, struct plan *p, struct err *e)
{
    const struct strv *keys = list(w, KEY_OUTPUT_RECIPIENTS);
    struct seal_public key;
    char name[REQUEST_PLACE];

    if (!keys)
        return 0;
    wish_what(w, KEY_OUTPUT_RECIPIENTS, name);
    if (!p->out)
        return err_set(e, ERR_USAGE, "%s needs --out, or 'output' in a manifest", name);
    if (keys->n > SEAL_RECIPIENTS_MAX)
        return err_set(e, ERR_USAGE, "%s: more than %d keys", name, SEAL_RECIPIENTS_MAX);
    for (size_t i = 0; i < keys->n; i++)
        if (seal_public_parse(keys->items[i], &key, e) < 0)
            return err_wrap(e, "%s: number %zu", name, i + 1);
    plan_decide_by(w, p, KEY_OUTPUT_RECIPIENTS, "default");
    strv_add_all(&p->out_recipients, keys);
    return 0;
}

/* Several inputs get their own names below /in: no two may have the same. */
int plan_resolve_inputs(const struct plan_wish *w, struct plan *p, struct err *e)
{
    const struct request *r = wish_who(w, KEY_INPUTS);
    char name[REQUEST_PLACE];

    wish_what(w, KEY_INPUTS, name);
    plan_decide_by(w, p, KEY_INPUTS, "default");
    for (size_t i = 0; r && i < r->of[KEY_INPUTS].texts.n; i++) {
        const char *path = r->of[KEY_INPUTS].texts.items[i];

        if (path[0] != '/')
            return err_set(e, ERR_USAGE, "%s: '%s' is not absolute", name, path);
        for (size_t k = 0; k < i; k++)
            if (strcmp(strrchr(path, '/'), strrchr(p->inputs.items[k], '/')) == 0)
                return err_set(e, ERR_USAGE, "%s: '%s' and '%s' have the same name", name,
                               p->inputs.items[k], path);
        if (policy_check_folder(&w->policies, KEY_INPUTS, path, name, e) < 0)
            return -1;
        strv_add(&p->inputs, path);
    }
    if (plan_check_utf8(&p->inputs, "--in: folder", e) < 0)
        return -1;
    return resolve_input_details(w, p, e);
}

int plan_resolve_output(const struct plan_wish *w, struct plan *p, struct err *e)
{
    const char *out = plan_wish_text(w, KEY_OUTPUT);
    char name[REQUEST_PLACE];

    plan_decide_by(w, p, KEY_OUTPUT, "default");
    if (!out)
        return resolve_recipients(w, p, e);
    wish_what(w, KEY_OUTPUT, name);
    if (w->keep)
        return err_set(e, ERR_USAGE, "%s: --keep excludes it: nothing comes out by itself", name);
    if (!str_is_utf8(out))
        return err_set(e, ERR_USAGE, "%s is not valid UTF-8", name);
    if (out[0] != '/')
        return err_set(e, ERR_USAGE, "%s: '%s' is not absolute", name, out);
    if (!w->build && policy_check_folder(&w->policies, KEY_OUTPUT, out, name, e) < 0)
        return -1;
    p->out = str_dup(out);
    return resolve_recipients(w, p, e);
}

/* ---- what the job may touch ---- */

static int resolve_paths(const struct plan_wish *w, struct plan *p, enum key k, struct strv *to,
                         struct err *e)
{
    const struct strv *wish = list(w, k);
    char name[REQUEST_PLACE];

    if (!wish)
        return 0;
    wish_what(w, k, name);
    if (wish->n > PLAN_PATHS_MAX)
        return err_set(e, ERR_USAGE, "%s: more than %d paths", name, PLAN_PATHS_MAX);
    for (size_t i = 0; i < wish->n; i++) {
        const char *path = wish->items[i];

        if (path[0] != '/')
            return err_set(e, ERR_USAGE, "%s: '%s' is not an absolute path inside the container",
                           name, path);
        if (!str_is_utf8(path) || strlen(path) > PLAN_PATH_MAX)
            return err_set(e, ERR_USAGE, "%s: path %zu is not valid UTF-8, or too long", name,
                           i + 1);
        strv_add(to, path);
    }
    plan_decide_by(w, p, k, "default");
    return 0;
}

int plan_resolve_declared(const struct plan_wish *w, struct plan *p, struct err *e)
{
    if (resolve_paths(w, p, KEY_READ, &p->declared.read, e) < 0 ||
        resolve_paths(w, p, KEY_WRITE, &p->declared.write, e) < 0)
        return -1;
    return resolve_paths(w, p, KEY_EXEC, &p->declared.exec, e);
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

int plan_resolve_secrets(const struct strv *files, const struct strv *env, struct plan *p,
                         struct err *e)
{
    own_strv struct strv rest = {0};

    if (plan_resolve_gateway_secrets(files, env, p, &rest, e) < 0 ||
        resolve_names(&rest, &p->secret_env, &p->secrets, e) < 0 ||
        resolve_names(env, &p->secrets, &p->secret_env, e) < 0)
        return -1;
    if (p->secrets.n + p->secret_env.n > WIRE_SECRETS_MAX)
        return err_set(e, ERR_USAGE, "more than %u secrets", WIRE_SECRETS_MAX);
    return 0;
}
