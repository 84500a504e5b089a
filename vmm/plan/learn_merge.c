/* learn_merge: a manifest that allows what two of them do. See learn.h. */
#include "base/own.h"
#include "plan/learn_paths.h"
#include "plan/request_write.h"
#include "plan/resolve.h"
#include "plan/widen.h"

#include <stdlib.h>
#include <string.h>

/* What two come to, and the third one. The plans own their `network`. */
struct merging {
    const struct request *old, *fresh;
    struct request *r;
    struct plan was, needs, both;
    struct strv *notes;
};

static void merging_done(struct merging *m)
{
    net_rules_done(&m->was.network);
    net_rules_done(&m->needs.network);
    net_rules_done(&m->both.network);
}
#define own_merging __attribute__((cleanup(merging_done)))

static const struct strv *texts(const struct request *r, enum key k)
{
    return &r->of[k].texts;
}

static const char *text(const struct request *r, enum key k, const char *otherwise)
{
    const char *t = request_text(r, k);

    return t ? t : otherwise;
}

static void take(struct merging *m, const struct request *from, enum key k)
{
    m->r->of[k].set = from->of[k].set;
    strv_add_all(&m->r->of[k].texts, texts(from, k));
}

/* ---- what is no allowance -------------------------------------------------------------------- */

static bool same_texts(const struct strv *a, const struct strv *b)
{
    size_t i = 0;

    while (i < a->n && i < b->n && strcmp(a->items[i], b->items[i]) == 0)
        i++;
    return i == a->n && i == b->n;
}

/* How it is accelerated is its host's. */
static void stay(struct merging *m, enum key k)
{
    take(m, m->old, k);
    if (k != KEY_ACCEL && !same_texts(texts(m->old, k), texts(m->fresh, k)))
        strv_addf(m->notes, "%s: this run had it otherwise; it stays as it is there",
                  key_rows[k].name);
}

/* ---- numbers and flags ----------------------------------------------------------------------- */

static void merge_number(struct merging *m, enum key k)
{
    const uint64_t was = *plan_number(&m->was, k), needs = *plan_number(&m->needs, k);
    const bool none = key_rows[k].optional && (was == 0 || needs == 0);
    const uint64_t both = none ? 0 : was > needs ? was : needs;
    char said[48];

    *plan_number(&m->both, k) = both;
    if (m->old->of[k].set && both == was)
        take(m, m->old, k);
    else if (both != plan_number_default(&m->both, k))
        request_add(m->r, k, key_text(k, both, said, sizeof(said)));
}

/* What is not amnesic leaves more; of the others, true is more. */
static void merge_flag(struct merging *m, enum key k)
{
    const bool was = strcmp(text(m->old, k, ""), "true") == 0;
    const bool needs = strcmp(text(m->fresh, k, ""), "true") == 0;

    if (k == KEY_AMNESIC ? was && needs : was || needs)
        request_add(m->r, k, "true");
}

/* ---- the network ----------------------------------------------------------------------------- */

static uint64_t more(uint64_t a, uint64_t b)
{
    return a == 0 || b == 0 ? 0 : a > b ? a : b;
}

/* Of one name or one destination: what both let through. */
static int join_rules(struct net_rule *into, const struct net_rule *r, struct err *e)
{
    if (into->scheme != r->scheme || into->port != r->port || !str_same(into->host, r->host) ||
        !str_same(into->path_prefix, r->path_prefix) || !str_same(into->secret, r->secret) ||
        !str_same(into->header, r->header))
        return err_set(e, ERR_USAGE, "network: name %s leads elsewhere there", r->name);
    into->bytes_max = more(into->bytes_max, r->bytes_max);
    into->rate = more(into->rate, r->rate);
    into->streams_max = more(into->streams_max, r->streams_max);
    if (into->methods.n > 0 && r->methods.n > 0)
        strv_add_new(&into->methods, &r->methods);
    else
        strv_done(&into->methods);
    return 0;
}

static int add_rule(struct net_rules *all, const struct net_rule *r, struct err *e)
{
    const struct net_rules one = {.items = (struct net_rule *)(uintptr_t)r, .n = 1};

    for (size_t i = 0; i < all->n; i++)
        if (request_rule_covers(&all->items[i], r))
            return 0;
    for (size_t i = 0; i < all->n; i++)
        if (net_rule_same(&all->items[i], r))
            return join_rules(&all->items[i], r, e);
    net_rules_add_all(all, &one);
    return 0;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int merge_network(struct merging *m, struct err *e)
{
    struct strv *list = &m->r->of[KEY_NETWORK].texts;

    net_rules_add_all(&m->both.network, &m->was.network);
    for (size_t i = 0; i < m->needs.network.n; i++)
        if (add_rule(&m->both.network, &m->needs.network.items[i], e) < 0)
            return -1;
    if (net_rules_check(&m->both.network, e) < 0)
        return err_wrap(e, "network");
    m->r->of[KEY_NETWORK].set = m->old->of[KEY_NETWORK].set || m->fresh->of[KEY_NETWORK].set;
    for (size_t i = 0; i < m->both.network.n; i++) {
        own_free char *one = net_rule_text(&m->both.network.items[i]);

        strv_add(list, one);
    }
    if (list->n > 0)
        qsort(list->items, list->n, sizeof(list->items[0]), compare_texts);
    return 0;
}

/* ---- paths ----------------------------------------------------------------------------------- */

static bool is_declared(const struct request *r)
{
    return texts(r, KEY_READ)->n + texts(r, KEY_WRITE)->n + texts(r, KEY_EXEC)->n > 0;
}

static int check_paths(const struct request *r, enum key k, struct err *e)
{
    char what[REQUEST_PLACE];

    for (size_t i = 0; i < texts(r, k)->n; i++)
        if (texts(r, k)->items[i][0] != '/')
            return err_set(e, ERR_USAGE, "%s: '%s' is not an absolute path",
                           request_what(r, k, what), texts(r, k)->items[i]);
    return 0;
}

static int merge_paths(struct merging *m, enum key k, struct err *e)
{
    own_learn_lines struct learn_lines lines = {0};
    own_strv struct strv missing = {0};

    /* Where nothing is declared, everything may be touched. */
    if (!is_declared(m->old) || !is_declared(m->fresh))
        return 0;
    if (check_paths(m->old, k, e) < 0 || check_paths(m->fresh, k, e) < 0)
        return -1;
    for (size_t i = 0; i < texts(m->fresh, k)->n; i++)
        if (!request_path_is_within(texts(m->old, k), texts(m->fresh, k)->items[i]))
            strv_add(&missing, texts(m->fresh, k)->items[i]);
    if (missing.n == 0) {
        take(m, m->old, k);
        return 0;
    }
    learn_lines_add(&lines, texts(m->old, k));
    learn_lines_add(&lines, &missing);
    learn_lines_tidy(&lines);
    if (lines.n > PLAN_PATHS_MAX)
        return err_set(e, ERR_USAGE, "%s: more than %d paths", key_rows[k].name, PLAN_PATHS_MAX);
    for (size_t i = 0; i < lines.n; i++)
        request_add(m->r, k, lines.items[i].path);
    return 0;
}

/* ---- why ------------------------------------------------------------------------------------- */

static void explain(struct merging *m, enum key k, const char *line, bool known)
{
    if (known) {
        request_copy_why(m->r, m->old, k, line, false);
        return;
    }
    if (request_copy_why(m->r, m->fresh, k, line, true))
        return;
    request_why(m->r, k, line, "guest", "what is in it, of more than one run");
    request_widened(m->r);
}

static void explain_key(struct merging *m, enum key k)
{
    const struct strv *is = texts(m->r, k);
    const bool list =
        key_rows[k].kind == KEY_KIND_RULES || k == KEY_READ || k == KEY_WRITE || k == KEY_EXEC;

    for (size_t i = 0; list && i < is->n; i++)
        explain(m, k, is->items[i], strv_has(texts(m->old, k), is->items[i]));
    if (!list && is->n > 0)
        explain(m, k, NULL, same_texts(is, texts(m->old, k)));
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int merge_key(struct merging *m, enum key k, struct err *e)
{
    if (k == KEY_NETWORK)
        return merge_network(m, e);
    if (k == KEY_READ || k == KEY_WRITE || k == KEY_EXEC)
        return merge_paths(m, k, e);
    if (k == KEY_SECRETS || k == KEY_SECRET_ENV) {
        take(m, m->old, k);
        strv_add_new(&m->r->of[k].texts, texts(m->fresh, k));
        m->r->of[k].set = m->r->of[k].texts.n > 0;
    } else if (key_is_number(k)) {
        merge_number(m, k);
    } else if (key_rows[k].kind == KEY_KIND_FLAG) {
        merge_flag(m, k);
    } else {
        stay(m, k);
    }
    return 0;
}

int learn_merge(const struct request *old, const struct request *fresh, struct request *ret,
                struct strv *ret_notes, struct err *e)
{
    own_request struct request r = {.file = str_dup(old->file ? old->file : "merged")};
    own_merging struct merging m = {.old = old, .fresh = fresh, .r = &r, .notes = ret_notes};

    if (strcmp(text(old, KEY_IMAGE, "default"), text(fresh, KEY_IMAGE, "default")) != 0)
        return err_set(e, ERR_USAGE, "it is of the image '%s', not '%s'",
                       text(old, KEY_IMAGE, "default"), text(fresh, KEY_IMAGE, "default"));
    if (request_plain(old, &m.was, e) < 0 || request_plain(fresh, &m.needs, e) < 0)
        return -1;
    m.both.debug = m.was.debug || m.needs.debug;
    m.both.amnesic = m.was.amnesic && m.needs.amnesic;
    for (enum key k = 0; k < KEYS; k++)
        if (merge_key(&m, k, e) < 0)
            return -1;
    /* They go with what stays. */
    if (!r.of[KEY_OUTPUT].set)
        request_drop(&r, KEY_OUTPUT_MAX);
    if (!r.of[KEY_INPUTS].set)
        request_drop(&r, KEY_INPUT_MAX);
    for (enum key k = 0; k < KEYS; k++)
        explain_key(&m, k);
    *ret = r;
    r = (struct request){0};
    return 0;
}
