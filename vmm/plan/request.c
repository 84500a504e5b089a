/* request: what was asked for, key by key, as texts with the place that said so. */
#include "plan/request.h"

#include "base/own.h"
#include "plan/net.h"
#include "plan/text.h"

#include <stdio.h>
#include <string.h>

const char *const request_why_by[] = {"host", "guest", "wish", NULL};

void request_done(struct request *r)
{
    for (enum key k = 0; k < KEYS; k++)
        request_drop(r, k);
    doc_free(r->why);
    free(r->file);
    *r = (struct request){0};
}

void request_add(struct request *r, enum key k, const char *text)
{
    struct request_value *v = &r->of[k];

    if (key_rows[k].kind != KEY_KIND_LIST && key_rows[k].kind != KEY_KIND_RULES)
        strv_done(&v->texts);
    strv_add(&v->texts, text);
    v->set = true;
}

void request_drop(struct request *r, enum key k)
{
    strv_done(&r->of[k].texts);
    strv_done(&r->of[k].places);
    r->of[k].set = false;
}

const char *request_text(const struct request *r, enum key k)
{
    const struct request_value *v = &r->of[k];

    return v->set && v->texts.n ? v->texts.items[v->texts.n - 1] : NULL;
}

const char *request_place(const struct request *r, enum key k, char out[REQUEST_PLACE])
{
    if (r->file)
        text_place(r->file, r->of[k].line, out);
    else
        (void)snprintf(out, REQUEST_PLACE, "command line");
    return out;
}

const char *request_what(const struct request *r, enum key k, char out[REQUEST_PLACE])
{
    const struct key_row *row = &key_rows[k];

    if (r->file) {
        char place[REQUEST_PLACE];

        (void)snprintf(out, REQUEST_PLACE, "%.*s: %s", REQUEST_PLACE - 32,
                       request_place(r, k, place), row->name);
    } else {
        (void)snprintf(out, REQUEST_PLACE, row->option ? "--%s" : "the command", row->option);
    }
    return out;
}

static int take_value(const struct doc *d, enum key k, struct request_value *v, struct err *e)
{
    const struct key_row *row = &key_rows[k];
    own_free char *number = NULL;
    const char *text;
    bool flag;

    v->set = true;
    if (row->kind == KEY_KIND_LIST)
        return doc_get_strv(d, row->name, &v->texts, e);
    if (row->kind == KEY_KIND_FLAG) {
        if (doc_get_bool(d, row->name, &flag, e) < 0)
            return -1;
        text = flag ? "true" : "false";
    } else if (key_is_number(k)) {
        if (text_number(d, row->name, &number, e) < 0)
            return -1;
        text = number;
    } else if (doc_get_str(d, row->name, &text, e) < 0) {
        return -1;
    }
    strv_add(&v->texts, text);
    return 0;
}

static int take_rules(const struct text *t, enum key k, struct request_value *v, struct err *e)
{
    own_net_rules struct net_rules rules = {0};

    if (text_rules(t, key_rows[k].name, NET_OF_WISH, &rules, e) < 0)
        return -1;
    v->set = true;
    for (size_t i = 0; i < rules.n; i++) {
        own_free char *text = net_rule_text(&rules.items[i]);

        strv_add(&v->texts, text);
        strv_add(&v->places, rules.items[i].from);
    }
    return 0;
}

static bool is_one_of(const char *word, const char *const *words)
{
    while (*words && strcmp(*words, word) != 0)
        words++;
    return *words;
}

/* One of the reasons, as request.h says. */
static int check_reason(const struct doc *d, struct err *e)
{
    static const char *const keys[] = {"key", "line", "by", "text", "widened", NULL};
    const char *key, *by, *text;
    bool widened;

    if (!d || !doc_is_object(d))
        return err_set(e, ERR_USAGE, "not an object");
    if (doc_only_keys(d, keys, e) < 0 || doc_get_str(d, "key", &key, e) < 0 ||
        doc_get_str(d, "by", &by, e) < 0 || doc_get_str(d, "text", &text, e) < 0 ||
        (doc_has(d, "line") && doc_get_str(d, "line", &text, e) < 0) ||
        (doc_has(d, "widened") && doc_get_bool(d, "widened", &widened, e) < 0))
        return -1;
    if (key_find(key) == KEYS)
        return err_set(e, ERR_USAGE, "key: there is no such one");
    if (!is_one_of(by, request_why_by))
        return err_set(e, ERR_USAGE, "by: not host, guest or wish");
    return 0;
}

static int take_why(const struct text *t, struct request *r, struct err *e)
{
    const struct doc *list;

    if (doc_get_array(t->d, REQUEST_WHY, &list, e) < 0)
        return text_wrong(t, REQUEST_WHY, "not a list", e);
    for (size_t i = 0; i < doc_len(list); i++) {
        own_free char *path = str_printf(REQUEST_WHY "[%zu]", i);

        if (check_reason(doc_at(list, i), e) < 0)
            return text_wrap(t, path, e);
    }
    r->why = doc_copy(list);
    return 0;
}

/* Of two values for one variable, which would count is not said. */
static int check_env(const struct text *t, const struct strv *env, struct err *e)
{
    for (size_t i = 0; i < env->n; i++) {
        const size_t len = strcspn(env->items[i], "=");

        for (size_t k = 0; k < i; k++)
            if (strncmp(env->items[k], env->items[i], len + 1) == 0) {
                own_free char *path = str_printf("%s[%zu]", key_rows[KEY_ENV].name, i);
                own_free char *why = str_printf("'%.*s' is there twice", (int)len, env->items[i]);

                return text_wrong(t, path, why, e);
            }
    }
    return 0;
}

static int take_keys(const struct text *t, struct request *r, struct err *e)
{
    const char *name;

    for (size_t i = 0; (name = doc_key_at(t->d, i)); i++) {
        enum key k = key_find(name);
        char what[REQUEST_PLACE];

        if (text_is_head(name))
            continue;
        if (strcmp(name, REQUEST_WHY) == 0) {
            if (take_why(t, r, e) < 0)
                return -1;
            continue;
        }
        if (k == KEYS)
            return text_wrong(t, name, "unknown key", e);
        r->of[k].line = lines_find(&t->lines, name);
        if (key_rows[k].kind == KEY_KIND_RULES) {
            if (take_rules(t, k, &r->of[k], e) < 0)
                return -1;
            continue;
        }
        if (take_value(t->d, k, &r->of[k], e) < 0) {
            e->class = ERR_USAGE;
            return err_wrap(e, "%s", request_what(r, k, what));
        }
    }
    return check_env(t, &r->of[KEY_ENV].texts, e);
}

int request_parse(const char *text, size_t len, const char *file, struct request *ret,
                  struct err *e)
{
    own_text struct text t = {0};
    own_request struct request r = {.file = str_dup(file)};

    if (text_open(&t, text, len, file, REQUEST_FORMAT, REQUEST_VERSION, e) < 0 ||
        take_keys(&t, &r, e) < 0)
        return -1;
    *ret = r;
    r = (struct request){0};
    return 0;
}
