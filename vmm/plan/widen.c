/* widen: what one manifest allows more than another, key by key. See widen.h. */
#include "plan/widen.h"

#include "base/own.h"
#include "plan/net.h"
#include "plan/resolve.h"

#include <string.h>

/* One of the two, as far as its defaults follow from it. */
struct side {
    const struct request *r;
    struct plan plan; /* numbers, debug, amnesic; owns nothing else but `network` */
};

struct widening {
    struct side from, to;
    struct doc *rows;
};

static void side_done(struct side *s)
{
    net_rules_done(&s->plan.network);
}

static const struct strv *texts(const struct side *s, enum key k)
{
    return &s->r->of[k].texts;
}

/* What is not said is "". */
static const char *text(const struct side *s, enum key k)
{
    const char *t = request_text(s->r, k);

    return t ? t : "";
}

static bool is_true(const struct side *s, enum key k)
{
    return strcmp(text(s, k), "true") == 0;
}

static void more(struct widening *w, enum key k, const char *place, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static void more(struct widening *w, enum key k, const char *place, const char *fmt, ...)
{
    const struct request *r = w->to.r;
    struct doc *row = doc_new_object();
    own_free char *said = NULL;
    char at[REQUEST_PLACE];
    va_list ap;

    va_start(ap, fmt);
    said = str_vprintf(fmt, ap);
    va_end(ap);
    doc_set_str(row, "key", key_rows[k].name);
    doc_set_str(row, "place", place ? place : r->of[k].set ? request_place(r, k, at) : r->file);
    doc_set_str(row, "text", said);
    doc_add(w->rows, row);
}

/* ---- what is not simply more or less ---- */

static void compare_text(struct widening *w, enum key k, const char *otherwise)
{
    const char *from = text(&w->from, k), *to = text(&w->to, k);

    from = *from ? from : otherwise;
    to = *to ? to : otherwise;
    if (strcmp(from, to) != 0)
        more(w, k, NULL, "'%s' instead of '%s'", to, from);
}

/* Another command, whichever words of it are others. */
static void compare_words(struct widening *w, enum key k)
{
    const struct strv *from = texts(&w->from, k), *to = texts(&w->to, k);
    size_t i = 0;

    while (i < from->n && i < to->n && strcmp(from->items[i], to->items[i]) == 0)
        i++;
    if (i < from->n || i < to->n)
        more(w, k, NULL, "its word %zu is %s%s%s", i + 1, i < to->n ? "'" : "",
             i < to->n ? to->items[i] : "missing", i < to->n ? "'" : "");
}

/* ---- lists, of which more is more ---- */

bool request_path_is_within(const struct strv *v, const char *path)
{
    for (size_t i = 0; i < v->n; i++) {
        size_t len = strlen(v->items[i]);

        while (len > 0 && v->items[i][len - 1] == '/')
            len--;
        if (strncmp(path, v->items[i], len) == 0 && (path[len] == '/' || path[len] == '\0') &&
            !strstr(path, ".."))
            return true;
    }
    return strv_has(v, path);
}

static void compare_list(struct widening *w, enum key k,
                         bool (*within)(const struct strv *v, const char *one))
{
    for (size_t i = 0; i < texts(&w->to, k)->n; i++) {
        const char *one = texts(&w->to, k)->items[i];

        if (!within(texts(&w->from, k), one))
            more(w, k, NULL, "'%s'", one);
    }
}

static bool is_declared(const struct side *s)
{
    return texts(s, KEY_READ)->n + texts(s, KEY_WRITE)->n + texts(s, KEY_EXEC)->n > 0;
}

/* Where nothing is declared, everything may be touched. */
static void compare_declared(struct widening *w, enum key k)
{
    if (!is_declared(&w->from))
        return;
    if (is_declared(&w->to))
        compare_list(w, k, request_path_is_within);
    else
        more(w, k, NULL, "everything: nothing is declared");
}

/* Sealed to fewer is not more, to nobody is. */
static void compare_recipients(struct widening *w, enum key k)
{
    if (texts(&w->from, k)->n == 0)
        return;
    compare_list(w, k, strv_has);
    if (texts(&w->to, k)->n == 0)
        more(w, k, NULL, "the output is not sealed");
}

/* ---- the network ---- */

/* As a policy's rule would it, but the secret and its header are the same, or there is none. */
bool request_rule_covers(const struct net_rule *from, const struct net_rule *to)
{
    struct net_rule bound = *from;

    /* Of a clear-side origin only another one can be within it. */
    if (from->name && !to->name)
        return false;
    if (to->secret && !(str_same(from->secret, to->secret) && str_same(from->header, to->header)))
        return false;
    bound.name = NULL;
    return net_covers(&bound, to);
}

static void compare_network(struct widening *w, enum key k)
{
    for (size_t i = 0; i < w->to.plan.network.n; i++) {
        const struct net_rule *r = &w->to.plan.network.items[i];
        own_free char *said = net_rule_text(r);
        bool covered = false;

        for (size_t n = 0; n < w->from.plan.network.n; n++)
            covered = covered || request_rule_covers(&w->from.plan.network.items[n], r);
        if (!covered)
            more(w, k, r->from, "%s", said);
    }
}

/* ---- the rest ---- */

static void compare_number(struct widening *w, enum key k)
{
    uint64_t from = *plan_number(&w->from.plan, k), to = *plan_number(&w->to.plan, k);
    bool above = key_rows[k].optional ? from != 0 && (to == 0 || to > from) : to > from;
    char is[48], was[48];

    if (above)
        more(w, k, NULL, "%s instead of %s", key_format(k, to, is, sizeof(is)),
             key_format(k, from, was, sizeof(was)));
}

static void compare_flag(struct widening *w, enum key k)
{
    /* What is not amnesic leaves more. */
    bool from = k == KEY_AMNESIC ? !w->from.plan.amnesic : is_true(&w->from, k);
    bool to = k == KEY_AMNESIC ? !w->to.plan.amnesic : is_true(&w->to, k);

    if (to && !from)
        more(w, k, NULL, "%s", k == KEY_AMNESIC ? "it is not" : "true");
}

static void compare(struct widening *w, enum key k)
{
    switch (key_rows[k].kind) {
    case KEY_KIND_TEXT:
        if (k == KEY_NAME) /* decides nothing */
            break;
        compare_text(w, k, k == KEY_IMAGE ? "default" : "");
        break;
    case KEY_KIND_WORD:
        compare_text(w, k, key_rows[k].words[0]);
        break;
    case KEY_KIND_FLAG:
        compare_flag(w, k);
        break;
    case KEY_KIND_RULES:
        compare_network(w, k);
        break;
    case KEY_KIND_LIST:
        if (k == KEY_COMMAND)
            compare_words(w, k);
        else if (k == KEY_READ || k == KEY_WRITE || k == KEY_EXEC)
            compare_declared(w, k);
        else if (k == KEY_OUTPUT_RECIPIENTS)
            compare_recipients(w, k);
        else
            compare_list(w, k, k == KEY_INPUTS ? request_path_is_within : strv_has);
        break;
    case KEY_KIND_SIZE:
    case KEY_KIND_TIME:
    case KEY_KIND_NUMBER:
        compare_number(w, k);
    }
}

int request_plain(const struct request *r, struct plan *ret, struct err *e)
{
    const struct side s = {.r = r};
    char name[REQUEST_PLACE];

    ret->debug = is_true(&s, KEY_DEBUG);
    ret->amnesic = is_true(&s, KEY_AMNESIC) || texts(&s, KEY_OUTPUT_RECIPIENTS)->n > 0 ||
                   text(&s, KEY_INPUT_IDENTITY)[0];
    for (enum key k = 0; k < KEYS; k++) {
        const char *t = request_text(r, k);
        uint64_t n;

        if (!key_is_number(k))
            continue;
        n = plan_number_default(ret, k);
        if (t && key_parse(k, t, request_what(r, k, name), &n, e) < 0)
            return -1;
        *plan_number(ret, k) = n;
    }
    return plan_put_rules(r, &ret->network, e);
}

int request_widens(const struct request *from, const struct request *to, struct doc **ret,
                   struct err *e)
{
    struct widening w = {.from.r = from, .to.r = to};
    int rc =
        request_plain(from, &w.from.plan, e) < 0 || request_plain(to, &w.to.plan, e) < 0 ? -1 : 0;

    if (rc == 0) {
        w.rows = doc_new_array();
        for (enum key k = 0; k < KEYS; k++)
            compare(&w, k);
        *ret = w.rows;
    }
    side_done(&w.from);
    side_done(&w.to);
    return rc;
}
