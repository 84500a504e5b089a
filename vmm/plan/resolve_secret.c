/*
 * resolve_secret: the part of the resolver that concerns secrets by name: where there is a
 * manifest, a job gets those that it lists, all of them, as it says, and no other. Values are not
 * seen here.
 */
#include "plan/resolve.h"
#include "shared/wire.h"

#include <string.h>

/* The names that a manifest lists under `k`. */
static const struct strv *listed(const struct plan_wish *w, enum key k)
{
    static const struct strv none = {0};

    return w->manifest && w->manifest->of[k].set ? &w->manifest->of[k].texts : &none;
}

static size_t place_of(const struct strv *v, const char *name)
{
    size_t i = 0;

    while (i < v->n && strcmp(v->items[i], name) != 0)
        i++;
    return i;
}

static int check_names(const struct plan_wish *w, enum key k, struct err *e)
{
    const struct strv *v = listed(w, k), *env = listed(w, KEY_SECRET_ENV);
    char what[REQUEST_PLACE];

    for (size_t i = 0; i < v->n; i++) {
        const char *name = v->items[i];

        if (!wire_is_secret_name(name, strlen(name)))
            return err_set(e, ERR_USAGE,
                           "%s: number %zu is no name: up to %u letters, digits and '_'",
                           request_what(w->manifest, k, what), i + 1, WIRE_SECRET_NAME_MAX);
        if (place_of(v, name) < i || (k == KEY_SECRETS && strv_has(env, name)))
            return err_set(e, ERR_USAGE, "%s: '%s' is there twice",
                           request_what(w->manifest, k, what), name);
    }
    return 0;
}

/* What was given is what the manifest lists; where it goes, the manifest says. */
static int sort_given(const struct plan_wish *w, struct plan *p, struct err *e)
{
    const struct strv *files = listed(w, KEY_SECRETS), *env = listed(w, KEY_SECRET_ENV);
    char what[REQUEST_PLACE];

    for (size_t i = 0; i < p->secret_env.n; i++)
        if (strv_has(files, p->secret_env.items[i]))
            return err_set(e, ERR_USAGE, "--secret-env: '%s' is to be a file (%s)",
                           p->secret_env.items[i], request_place(w->manifest, KEY_SECRETS, what));
    for (size_t i = 0; i < p->secrets.n;) {
        if (strv_has(env, p->secrets.items[i])) {
            strv_add(&p->secret_env, p->secrets.items[i]);
            strv_drop(&p->secrets, i);
        } else {
            i++;
        }
    }
    for (int of_env = 0; of_env < 2; of_env++) {
        const struct strv *given = of_env ? &p->secret_env : &p->secrets;

        for (size_t i = 0; i < given->n; i++)
            if (!strv_has(of_env ? env : files, given->items[i]))
                return err_set(e, ERR_REFUSED, "--secret: '%s' is not what %s asks for",
                               given->items[i], w->manifest->file);
    }
    return 0;
}

static int check_all_given(const struct plan_wish *w, const struct plan *p, struct err *e)
{
    static const enum key keys[] = {KEY_SECRETS, KEY_SECRET_ENV};
    char what[REQUEST_PLACE];

    for (size_t k = 0; k < 2; k++) {
        const struct strv *v = listed(w, keys[k]);

        for (size_t i = 0; i < v->n; i++)
            if (!strv_has(&p->secrets, v->items[i]) && !strv_has(&p->secret_env, v->items[i]))
                return err_set(e, ERR_USAGE, "%s: '%s' is not given (--secret %s=FILE)",
                               request_what(w->manifest, keys[k], what), v->items[i], v->items[i]);
    }
    return 0;
}

static int check_allowed(const struct plan_wish *w, const struct plan *p, const struct strv *names,
                         enum key k, struct err *e)
{
    char what[REQUEST_PLACE];

    for (size_t i = 0; i < names->n; i++)
        if (policy_check_secret(&p->secret_policies, names->items[i],
                                strv_has(listed(w, k), names->items[i])
                                    ? request_what(w->manifest, k, what)
                                    : "--secret",
                                e) < 0)
            return -1;
    return 0;
}

int plan_sort_secrets(const struct plan_wish *w, struct plan *p, struct err *e)
{
    if (w->build)
        return 0;
    if (w->manifest &&
        (check_names(w, KEY_SECRETS, e) < 0 || check_names(w, KEY_SECRET_ENV, e) < 0 ||
         sort_given(w, p, e) < 0 || check_all_given(w, p, e) < 0))
        return -1;
    if (p->secrets.n)
        plan_decide_by(w, p, KEY_SECRETS, "command line");
    if (p->secret_env.n)
        plan_decide_by(w, p, KEY_SECRET_ENV, "command line");
    /* Beside those that a sandbox came up with. */
    policies_add_secrets(&p->secret_policies, &w->policies);
    if (check_allowed(w, p, &p->secrets, KEY_SECRETS, e) < 0 ||
        check_allowed(w, p, &p->gateway_secrets, KEY_SECRETS, e) < 0)
        return -1;
    return check_allowed(w, p, &p->secret_env, KEY_SECRET_ENV, e);
}
