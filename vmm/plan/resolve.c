/*
 * resolve: manifest, command line, image and policies -> one plan.
 *
 * How it works: of each key the command line's word goes before the manifest's, that before the
 * image's, that before the default; variables are merged name by name. Then every policy bounds
 * what came out: a wish above one is refused, or trimmed where the policy says so; a default that
 * nobody asked for gives way. Each key keeps the place that decided it.
 *
 * Must: yield no plan that is above a policy, whatever was asked for.
 */
#include "plan/resolve.h"
#include "base/digest.h"
#include "base/own.h"

#include <stdlib.h>
#include <string.h>

#define ID_MAX 65535u

/* Who said it, NULL: nobody. */
const struct request *wish_who(const struct plan_wish *w, enum key k)
{
    if (w->command_line && w->command_line->of[k].set)
        return w->command_line;
    return w->manifest && w->manifest->of[k].set ? w->manifest : NULL;
}

const char *plan_wish_text(const struct plan_wish *w, enum key k)
{
    const struct request *r = wish_who(w, k);

    return r ? request_text(r, k) : NULL;
}

/* The beginning of a message about a key. */
const char *wish_what(const struct plan_wish *w, enum key k, char out[REQUEST_PLACE])
{
    static const struct request nobody = {0};
    const struct request *r = wish_who(w, k);

    return request_what(r ? r : &nobody, k, out);
}

void plan_decide(struct plan *p, enum key k, const char *place)
{
    free(p->decided[k]);
    p->decided[k] = str_dup(place);
}

/* Its own place, or else `otherwise`. */
void plan_decide_by(const struct plan_wish *w, struct plan *p, enum key k, const char *otherwise)
{
    const struct request *r = wish_who(w, k);
    char place[REQUEST_PLACE];

    plan_decide(p, k, r ? request_place(r, k, place) : otherwise);
}

/* ---- numbers ---- */

uint64_t plan_number_default(const struct plan *p, enum key k)
{
    const struct {
        enum key k;
        uint64_t value;
    } rows[] = {
        {KEY_INPUT_MAX, PLAN_IN_MAX_DEFAULT},
        {KEY_OUTPUT_MAX, PLAN_OUT_MAX_DEFAULT},
        {KEY_MEMORY, PLAN_MEMORY_DEFAULT},
        {KEY_CPUS, 1},
        {KEY_DISK, PLAN_DISK_DEFAULT},
        {KEY_TMP, p->memory_bytes / 2},
        {KEY_PIDS, p->debug ? PLAN_PIDS_MAX : PLAN_PIDS_DEFAULT},
        {KEY_OPEN_FILES, PLAN_FILES_MAX},
        {KEY_MAX_MARKS, p->amnesic ? PLAN_AMNESIC_MARKS : PLAN_MARKS_DEFAULT},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].k == k)
            return rows[i].value;
    return 0;
}

int plan_resolve_number(const struct plan_wish *w, struct plan *p, enum key k, struct err *e)
{
    const char *text = plan_wish_text(w, k);
    uint64_t value = plan_number_default(p, k);
    char name[REQUEST_PLACE];

    if (text && key_parse(k, text, wish_what(w, k, name), &value, e) < 0)
        return -1;
    plan_decide_by(w, p, k, "default");
    if (!w->build && policy_bound(&w->policies, k, wish_what(w, k, name), text != NULL, &value,
                                  &p->decided[k], &p->trimmed, e) < 0)
        return -1;
    *plan_number(p, k) = value;
    return 0;
}

/* /tmp is memory: it gives way where nobody asked for both as they are. */
static int fit_tmp(const struct plan_wish *w, struct plan *p, struct err *e)
{
    char name[REQUEST_PLACE], tmp[48], memory[48];
    uint64_t asked = 0;

    if (p->tmp_bytes <= p->memory_bytes)
        return 0;
    if (plan_wish_text(w, KEY_MEMORY) &&
        key_parse(KEY_MEMORY, plan_wish_text(w, KEY_MEMORY), "memory", &asked, e) < 0)
        return -1;
    if (asked >= p->tmp_bytes) {
        p->tmp_bytes = p->memory_bytes;
        plan_decide(p, KEY_TMP, p->decided[KEY_MEMORY]);
        return 0;
    }
    return err_set(e, ERR_USAGE, "%s: %s is above the memory, %s (%s)", wish_what(w, KEY_TMP, name),
                   key_format(KEY_TMP, p->tmp_bytes, tmp, sizeof(tmp)),
                   key_format(KEY_MEMORY, p->memory_bytes, memory, sizeof(memory)),
                   p->decided[KEY_MEMORY]);
}

static int resolve_numbers(const struct plan_wish *w, struct plan *p, struct err *e)
{
    char name[REQUEST_PLACE];

    if (plan_wish_text(w, KEY_OUTPUT_MAX) && !plan_wish_text(w, KEY_OUTPUT))
        return err_set(e, ERR_USAGE, "%s needs --out, or 'output' in a manifest",
                       wish_what(w, KEY_OUTPUT_MAX, name));
    for (enum key k = 0; k < KEYS; k++)
        if (key_is_number(k) && (key_rows[k].uses & w->use) && plan_resolve_number(w, p, k, e) < 0)
            return -1;
    if (fit_tmp(w, p, e) < 0)
        return -1;
    if (!w->build) {
        own_free char *place = NULL;

        policy_bound(&w->policies, KEY_TIMEOUT, "", false, &p->timeout_max_ms, &place, NULL, e);
    }
    p->guest_bytes = (p->memory_bytes + PLAN_MIB - 1) / PLAN_MIB * PLAN_MIB + PLAN_GUEST_OVERHEAD;
    return 0;
}

/* ---- words and flags ---- */

static int resolve_word(const struct plan_wish *w, struct plan *p, enum key k, size_t *ret,
                        struct err *e)
{
    const char *text = plan_wish_text(w, k), *const *words = key_rows[k].words;
    char name[REQUEST_PLACE], shown[64];
    size_t i = 0;

    while (text && words[i] && strcmp(words[i], text) != 0)
        i++;
    if (text && !words[i]) {
        str_escape(shown, sizeof(shown), text, strlen(text));
        return err_set(e, ERR_USAGE, "%s: '%s' is not %s%s%s or %s", wish_what(w, k, name), shown,
                       words[0], words[2] ? ", " : "", words[2] ? words[1] : "",
                       words[2] ? words[2] : words[1]);
    }
    plan_decide_by(w, p, k, "default");
    *ret = i;
    return 0;
}

bool plan_resolve_flag(const struct plan_wish *w, struct plan *p, enum key k)
{
    const char *text = plan_wish_text(w, k);

    plan_decide_by(w, p, k, "default");
    return text && strcmp(text, "true") == 0;
}

static int resolve_words(const struct plan_wish *w, struct plan *p, struct err *e)
{
    size_t machine = 0, accel = 0, after = 0;
    char name[REQUEST_PLACE];

    if (resolve_word(w, p, KEY_MACHINE, &machine, e) < 0 ||
        resolve_word(w, p, KEY_ACCEL, &accel, e) < 0 ||
        (plan_wish_text(w, KEY_AFTER) && resolve_word(w, p, KEY_AFTER, &after, e) < 0))
        return -1;
    if (plan_wish_text(w, KEY_AFTER) && !w->keep)
        return err_set(e, ERR_USAGE, "%s is of use with --keep only",
                       wish_what(w, KEY_AFTER, name));
    p->machine = (enum plan_machine)machine;
    p->accel = w->accel;
    if (plan_wish_text(w, KEY_AFTER))
        p->after = key_rows[KEY_AFTER].words[after];
    p->writable_root = plan_resolve_flag(w, p, KEY_WRITABLE);
    if (p->writable_root &&
        policy_check_writable(&w->policies, wish_what(w, KEY_WRITABLE, name), e) < 0)
        return -1;
    p->writable_root = p->writable_root || w->build;
    if (plan_resolve_guards(w, p, e) < 0)
        return -1;
    if (w->use == KEY_OF_UP)
        p->mark_each_exec = plan_resolve_flag(w, p, KEY_MARK_EACH_EXEC);
    return 0;
}

/* ---- who, where, with what ---- */

/* UID or UID:GID, numbers of the container's own user namespace. NULL: as it is. */
int plan_take_user(const char *text, const char *name, uint64_t *uid, uint64_t *gid, struct err *e)
{
    own_free char *copy = text ? str_dup(text) : NULL;
    char *colon = copy ? strchr(copy, ':') : NULL;

    if (colon)
        *colon++ = '\0';
    if (copy) {
        if (str_parse_u64(copy, name, 0, ID_MAX, uid, e) < 0)
            return err_wrap(e, "the form is UID or UID:GID");
        *gid = *uid;
        if (colon && str_parse_u64(colon, name, 0, ID_MAX, gid, e) < 0)
            return err_wrap(e, "the form is UID or UID:GID");
    }
    if (*uid == 0 || *gid == 0)
        return err_set(e, ERR_REFUSED, "%s: a job never runs as root, not even in its container",
                       name);
    return 0;
}

static int resolve_user(const struct plan_wish *w, struct plan *p, struct err *e)
{
    uint64_t uid = w->from ? w->from->uid : PLAN_UID_DEFAULT;
    uint64_t gid = w->from ? w->from->gid : PLAN_UID_DEFAULT;
    char name[REQUEST_PLACE];

    if (w->build)
        return 0;
    plan_decide_by(w, p, KEY_USER, w->from ? "image" : "default");
    if (plan_take_user(plan_wish_text(w, KEY_USER), wish_what(w, KEY_USER, name), &uid, &gid, e) <
        0)
        return -1;
    p->uid = (uid_t)uid;
    p->gid = (gid_t)gid;
    return 0;
}

/* Sets or replaces one "K=V". */
static void env_put(struct plan *p, const char *pair, const char *from)
{
    size_t key = (size_t)(strchr(pair, '=') - pair) + 1;

    for (size_t i = 0; i < p->env.n; i++) {
        if (strncmp(p->env.items[i], pair, key) == 0) {
            free(p->env.items[i]);
            free(p->env_from.items[i]);
            p->env.items[i] = str_dup(pair);
            p->env_from.items[i] = str_dup(from);
            return;
        }
    }
    strv_add(&p->env, pair);
    strv_add(&p->env_from, from);
}

int plan_put_env(struct plan *p, const struct strv *env, const char *name, const char *from,
                 struct err *e)
{
    for (size_t i = 0; i < env->n; i++) {
        const char *pair = env->items[i];

        if (pair[0] == '=' || !strchr(pair, '='))
            return err_set(e, ERR_USAGE, "%s: '%s' is not NAME=VALUE", name, pair);
        env_put(p, pair, from);
    }
    return 0;
}

static int env_put_request(struct plan *p, const struct request *r, struct err *e)
{
    char name[REQUEST_PLACE], place[REQUEST_PLACE];

    if (!r)
        return 0;
    return plan_put_env(p, &r->of[KEY_ENV].texts, request_what(r, KEY_ENV, name),
                        request_place(r, KEY_ENV, place), e);
}

void plan_put_env_defaults(struct plan *p)
{
    env_put(p, "PATH=/usr/local/bin:/usr/bin:/bin", "default");
    env_put(p, "HOME=/work", "default");
    env_put(p, "LANG=C.UTF-8", "default");
    if (p->tty)
        env_put(p, "TERM=xterm-256color", "default");
}

static int resolve_env(const struct plan_wish *w, struct plan *p, struct err *e)
{
    plan_put_env_defaults(p);
    if (w->from && plan_put_env(p, w->from->env, "the image's env", "image", e) < 0)
        return -1;
    if (env_put_request(p, w->manifest, e) < 0)
        return -1;
    return env_put_request(p, w->command_line, e);
}

/* As docker does it: arguments replace the image's command and go to its entrypoint; another
 * entrypoint drops both of the image's. */
static int resolve_command(const struct plan_wish *w, struct plan *p, struct err *e)
{
    const struct request *r = wish_who(w, KEY_COMMAND);
    const struct strv *given = r && r->of[KEY_COMMAND].texts.n ? &r->of[KEY_COMMAND].texts : NULL;
    const char *entrypoint = plan_wish_text(w, KEY_ENTRYPOINT);

    if (w->use == KEY_OF_UP)
        return 0;
    if (entrypoint && entrypoint[0])
        strv_add(&p->argv, entrypoint);
    else if (w->from && !entrypoint)
        strv_add_all(&p->argv, w->from->entrypoint);
    if (!given && w->from && !entrypoint)
        strv_add_all(&p->argv, w->from->command);
    if (given)
        strv_add_all(&p->argv, given);
    if (p->argv.n == 0)
        return err_set(e, ERR_USAGE,
                       "no command, and image '%s' has none of its own (put it behind '--': "
                       "lazaret run -- CMD ARG...)",
                       p->image);
    if (p->argv.items[0][0] == '\0')
        return err_set(e, ERR_USAGE, "the command is empty");
    plan_decide_by(w, p, given || !entrypoint ? KEY_COMMAND : KEY_ENTRYPOINT, "image");
    if (!p->decided[KEY_COMMAND])
        plan_decide(p, KEY_COMMAND, p->decided[KEY_ENTRYPOINT]);
    return 0;
}

/* The container's configuration is JSON, which carries nothing else. */
int plan_check_utf8(const struct strv *v, const char *name, struct err *e)
{
    for (size_t i = 0; i < v->n; i++)
        if (!str_is_utf8(v->items[i]))
            return err_set(e, ERR_USAGE, "%s %zu is not valid UTF-8", name, i);
    return 0;
}

/* A name, or "sha256:" and the first 12 or more digits of a digest. */
static bool is_reference(const char *text)
{
    static const char sha256[] = "sha256:";

    return str_is_name(text) ||
           (str_starts_with(text, sha256) && digest_is_prefix(text + strlen(sha256)));
}

int plan_resolve_name(const struct plan_wish *w, struct plan *p, struct err *e)
{
    const char *name = plan_wish_text(w, KEY_NAME);
    char what[REQUEST_PLACE];

    if (!name)
        return 0;
    if (!str_is_name(name))
        return err_set(e, ERR_USAGE,
                       "%s: '%s' is no name: up to 64 letters, digits, '.', '_' and '-'",
                       wish_what(w, KEY_NAME, what), name);
    p->name = str_dup(name);
    plan_decide_by(w, p, KEY_NAME, "default");
    return 0;
}

static int resolve_image(const struct plan_wish *w, struct plan *p, struct err *e)
{
    const char *image = plan_wish_text(w, KEY_IMAGE);
    char name[REQUEST_PLACE];

    wish_what(w, KEY_IMAGE, name);
    plan_decide_by(w, p, KEY_IMAGE, "default");
    p->image = str_dup(image ? image : "default");
    if (!is_reference(p->image))
        return err_set(e, ERR_USAGE, "%s: '%s' is neither the name nor the digest of an image",
                       name, p->image);
    p->image_digest = w->from ? str_dup(w->from->digest) : NULL;
    if (w->build)
        return 0;
    return policy_check_image(&w->policies, p->image_digest, w->from ? w->from->signers : NULL,
                              name, e);
}

static size_t strv_bytes(const struct strv *v)
{
    size_t sum = 0;

    for (size_t i = 0; i < v->n; i++)
        sum += strlen(v->items[i]) + 1;
    return sum;
}

/* What goes into the container's configuration as the user gave it. */
int plan_check_process(const struct plan *p, const char *workdir, struct err *e)
{
    if (p->workdir[0] != '/')
        return err_set(e, ERR_USAGE, "%s: '%s' is not an absolute path", workdir, p->workdir);
    if (!str_is_utf8(p->workdir))
        return err_set(e, ERR_USAGE, "%s is not valid UTF-8", workdir);
    if (plan_check_utf8(&p->argv, "argument", e) < 0 || plan_check_utf8(&p->env, "variable", e) < 0)
        return -1;
    if (strv_bytes(&p->argv) + strv_bytes(&p->env) > PLAN_ARGS_MAX)
        return err_set(e, ERR_USAGE, "arguments and environment are over %d KiB",
                       PLAN_ARGS_MAX / 1024);
    return 0;
}

int plan_check_uses(const struct plan_wish *w, struct err *e)
{
    char name[REQUEST_PLACE];

    for (enum key k = 0; k < KEYS; k++) {
        const struct request *r = wish_who(w, k);

        if (!r || (key_rows[k].uses & w->use))
            continue;
        if (k == KEY_COMMAND && r == w->command_line)
            return err_set(e, ERR_USAGE, "unexpected argument '%s'", r->of[k].texts.items[0]);
        request_what(r, k, name);
        if (w->use == KEY_OF_FORK)
            return err_set(e, ERR_USAGE, "%s: --fork-from says what the guest is: it is left out",
                           name);
        return err_set(e, ERR_USAGE, "%s is for 'lazaret %s'", name,
                       w->use == KEY_OF_UP ? k == KEY_TIMEOUT ? "exec' and 'lazaret run" : "run"
                                           : "up");
    }
    return 0;
}

int plan_resolve(const struct plan_wish *wish, struct plan **ret, struct err *e)
{
    own_plan struct plan *p = calloc(1, sizeof(*p));
    struct plan_wish own = *wish, *w = &own;
    const char *workdir;
    char name[REQUEST_PLACE];

    if (!p)
        return err_set(e, ERR_HOST, "out of memory");
    w->use = w->use ? w->use : KEY_OF_RUN;
    p->interactive = w->interactive;
    p->tty = w->tty;
    p->build = w->build;
    p->learn = w->learn;
    if (plan_check_uses(w, e) < 0 || plan_resolve_name(w, p, e) < 0 || resolve_image(w, p, e) < 0 ||
        resolve_words(w, p, e) < 0 || resolve_numbers(w, p, e) < 0 || resolve_user(w, p, e) < 0 ||
        resolve_env(w, p, e) < 0 || resolve_command(w, p, e) < 0)
        return -1;
    workdir = plan_wish_text(w, KEY_WORKDIR);
    p->workdir = str_dup(workdir ? workdir : w->from ? w->from->workdir : "/work");
    plan_decide_by(w, p, KEY_WORKDIR, w->from ? "image" : "default");
    if (plan_check_process(p, wish_what(w, KEY_WORKDIR, name), e) < 0 ||
        plan_resolve_inputs(w, p, e) < 0 || plan_resolve_output(w, p, e) < 0 ||
        plan_resolve_declared(w, p, e) < 0 || plan_resolve_network(w, NULL, p, e) < 0 ||
        plan_resolve_secrets(w->secrets, w->secret_env, p, e) < 0 ||
        plan_sort_secrets(w, p, e) < 0 || plan_resolve_record(w, p, e) < 0)
        return -1;
    if (w->use == KEY_OF_UP && p->secrets.n + p->secret_env.n > 0)
        return err_set(e, ERR_USAGE,
                       "--secret: no network rule uses '%s' (those of commands are given to "
                       "'lazaret exec')",
                       p->secrets.n ? p->secrets.items[0] : p->secret_env.items[0]);
    if (!w->build && policies_add_alerts(&w->policies, &p->alerts, e) < 0)
        return -1;
    plan_resolve_amnesic(w, p);
    p->tsc_khz = w->accel == PLAN_TCG && p->machine == PLAN_MICROVM ? w->tsc_khz : 0;
    *ret = own_steal_ptr(p);
    return 0;
}
