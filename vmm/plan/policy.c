/* policy: what this host allows: maxima, images, folders. */
#include "plan/policy.h"

#include "base/digest.h"
#include "base/own.h"
#include "plan/policy_private.h"
#include "plan/text.h"
#include "record/redact.h"
#include "shared/wire.h"

#include <stdio.h>
#include <string.h>

void policy_done(struct policy *p)
{
    free(p->file);
    strv_done(&p->images.texts);
    strv_done(&p->input_roots.texts);
    strv_done(&p->output_roots.texts);
    strv_done(&p->secrets.texts);
    strv_done(&p->layers.texts);
    net_rules_done(&p->network.rules);
    alert_rules_done(&p->alerts);
    strv_done(&p->redact.texts);
    strv_done(&p->proxies.texts);
    *p = (struct policy){0};
}

static bool is_image(const char *text)
{
    size_t skip = str_starts_with(text, "sha256:") ? 7 : str_starts_with(text, "key:") ? 4 : 0;

    return skip && digest_is_hex(text + skip);
}

static bool is_root(const char *text)
{
    size_t len = strlen(text);

    return text[0] == '/' && (len == 1 || text[len - 1] != '/') && !strstr(text, "//") &&
           !strstr(text, "/./") && !strstr(text, "/../");
}

static bool is_secret(const char *text)
{
    return wire_is_secret_name(text, strlen(text));
}

const char *const policy_layers[] = {"user",   "namespaces", "landlock", "calls", "rlimits",
                                     "cgroup", "label",      "apparmor", NULL};

static bool is_layer(const char *text)
{
    const char *const *l = policy_layers;

    while (*l && strcmp(*l, text) != 0)
        l++;
    return *l;
}

static bool is_pattern(const char *text)
{
    return redact_check(text, &(struct err){0}) == 0;
}

static int take_list(const struct text *t, const char *key, bool (*fits)(const char *),
                     const char *form, struct policy_list *ret, struct err *e)
{
    if (!doc_has(t->d, key))
        return 0;
    ret->set = true;
    ret->line = lines_find(&t->lines, key);
    if (doc_get_strv(t->d, key, &ret->texts, e) < 0)
        return text_wrong(t, key, "not a list of texts", e);
    for (size_t i = 0; i < ret->texts.n; i++)
        if (!fits(ret->texts.items[i]))
            return text_wrong(t, key, form, e);
    return 0;
}

static int take_max(const struct text *t, struct policy *p, struct err *e)
{
    const struct doc *max;
    const char *name;

    if (!doc_has(t->d, "max"))
        return 0;
    if (doc_get_object(t->d, "max", &max, e) < 0)
        return text_wrong(t, "max", "not an object", e);
    for (size_t i = 0; (name = doc_key_at(max, i)); i++) {
        enum key k = key_find(name);
        own_free char *path = str_printf("max.%s", name), *number = NULL;
        char place[REQUEST_PLACE];
        own_free char *what = NULL;

        if (k == KEYS || !key_is_number(k))
            return text_wrong(t, path, "there is no such number to bound", e);
        p->max[k].set = true;
        p->max[k].line = lines_find(&t->lines, path);
        what = str_printf("%s: %s", text_place(t->file, p->max[k].line, place), path);
        if (text_number(max, name, &number, e) < 0)
            return text_wrong(t, path, "neither a whole number nor a text with one", e);
        if (key_parse(k, number, what, &p->max[k].value, e) < 0)
            return -1;
        if (key_rows[k].step) {
            uint64_t exact = 0;
            struct err none;

            /* A maximum is rounded down, a wish up. */
            if (key_rows[k].kind == KEY_KIND_SIZE)
                str_parse_size(number, "", 0, UINT64_MAX, &exact, &none);
            else
                str_parse_duration(number, "", UINT64_MAX, &exact, &none);
            if (p->max[k].value > exact)
                p->max[k].value -= key_rows[k].step;
            if (p->max[k].value < key_rows[k].min)
                return text_wrong(t, path, "it is below the least that can be had", e);
        }
    }
    return 0;
}

static int read_excess(const struct text *t, const char *path, const char *word, bool *ret,
                       struct err *e)
{
    *ret = strcmp(word, "trim") == 0;
    return *ret || strcmp(word, "refuse") == 0 ? 0
                                               : text_wrong(t, path, "neither refuse nor trim", e);
}

static int take_excess(const struct text *t, struct policy *p, struct err *e)
{
    const struct doc *each;
    const char *word, *name;
    bool trim = false;

    if (!doc_has(t->d, "on_excess"))
        return 0;
    if (doc_get_str(t->d, "on_excess", &word, &(struct err){0}) == 0) {
        if (read_excess(t, "on_excess", word, &trim, e) < 0)
            return -1;
        for (enum key k = 0; k < KEYS; k++)
            p->max[k].trim = trim;
        return 0;
    }
    if (doc_get_object(t->d, "on_excess", &each, &(struct err){0}) < 0)
        return text_wrong(t, "on_excess", "neither a word nor an object", e);
    for (size_t i = 0; (name = doc_key_at(each, i)); i++) {
        own_free char *path = str_printf("on_excess.%s", name);
        enum key k = key_find(name);

        if (k == KEYS || !(p->max[k].set || (k == KEY_NETWORK && p->network.set)))
            return text_wrong(t, path, "it has no maximum in this policy", e);
        if (doc_get_str(each, name, &word, &(struct err){0}) < 0)
            return text_wrong(t, path, "neither refuse nor trim", e);
        if (read_excess(t, path, word, &p->max[k].trim, e) < 0)
            return -1;
    }
    return 0;
}

/* true or false; what is not there leaves *ret. */
static int take_bool(const struct text *t, const char *key, bool *ret, unsigned *ret_line,
                     struct err *e)
{
    if (!doc_has(t->d, key))
        return 0;
    if (doc_get_bool(t->d, key, ret, e) < 0)
        return text_wrong(t, key, "neither true nor false", e);
    *ret_line = lines_find(&t->lines, key);
    return 0;
}

static int take_bools(const struct text *t, struct policy *p, struct err *e)
{
    bool writable = true, debug = true, content = true;
    unsigned line;

    if (take_bool(t, "writable", &writable, &p->writable_line, e) < 0 ||
        take_bool(t, "allow_debug", &debug, &p->debug_line, e) < 0 ||
        take_bool(t, "require_amnesic", &p->amnesic, &p->amnesic_line, e) < 0 ||
        take_bool(t, "require_record", &p->record, &p->record_line, e) < 0 ||
        take_bool(t, "record_content", &content, &line, e) < 0 ||
        take_bool(t, "record_changes", &p->changes, &line, e) < 0)
        return -1;
    p->no_content = !content;
    p->no_writable = !writable;
    p->no_debug = !debug;
    return 0;
}

static int take_network(const struct text *t, struct policy *p, struct err *e)
{
    static const char ranges[] = "network_ranges";
    own_strv struct strv texts = {0};

    if (doc_has(t->d, "network")) {
        p->network.set = true;
        p->network.line = lines_find(&t->lines, "network");
        if (text_rules(t, "network", NET_OF_POLICY, &p->network.rules, e) < 0)
            return -1;
    }
    if (!doc_has(t->d, ranges))
        return 0;
    p->ranges.set = true;
    if (doc_get_strv(t->d, ranges, &texts, e) < 0)
        return text_wrong(t, ranges, "not a list of texts", e);
    if (net_ranges_parse(&texts, &p->ranges.ranges, e) < 0)
        return text_wrap(t, ranges, e);
    return 0;
}

static int take_keys(const struct text *t, struct policy *p, struct err *e)
{
    static const char *const keys[] = {"format",
                                       "version",
                                       "max",
                                       "on_excess",
                                       "images",
                                       "input_roots",
                                       "output_roots",
                                       "writable",
                                       "allow_debug",
                                       "require_amnesic",
                                       "required_layers",
                                       "network",
                                       "network_ranges",
                                       "egress_proxies",
                                       "alerts",
                                       "require_record",
                                       "record_content",
                                       "record_changes",
                                       "redact",
                                       "record_max_age",
                                       "records_max_size",
                                       "secrets",
                                       NULL};
    const char *name;

    for (size_t i = 0; (name = doc_key_at(t->d, i)); i++) {
        const char *const *k = keys;

        while (*k && strcmp(*k, name) != 0)
            k++;
        if (!*k)
            return text_wrong(t, name, "unknown key", e);
    }
    if (take_max(t, p, e) < 0 || take_network(t, p, e) < 0 || take_excess(t, p, e) < 0 ||
        policy_take_alerts(t, p, e) < 0 || policy_take_retention(t, p, e) < 0 ||
        take_list(t, "images", is_image, "not sha256:HEX or key:HEX, 64 digits each", &p->images,
                  e) < 0 ||
        take_list(t, "input_roots", is_root, "not a real path", &p->input_roots, e) < 0 ||
        take_list(t, "output_roots", is_root, "not a real path", &p->output_roots, e) < 0 ||
        take_list(t, "secrets", is_secret, "not a name of up to 64 letters, digits and '_'",
                  &p->secrets, e) < 0 ||
        take_list(t, "egress_proxies", net_proxy_is_text, "not HOST:PORT, in lower case",
                  &p->proxies, e) < 0 ||
        take_list(t, "required_layers", is_layer, "no such layer (see 'lazaret doctor')",
                  &p->layers, e) < 0 ||
        take_list(t, "redact", is_pattern, "not a text of 2 to 256 bytes that begins with no '*'",
                  &p->redact, e) < 0)
        return -1;
    return take_bools(t, p, e);
}

int policy_parse(const char *text, size_t len, const char *file, struct policy *ret, struct err *e)
{
    own_text struct text t = {0};
    own_policy struct policy p = {.file = str_dup(file)};

    if (text_open(&t, text, len, file, POLICY_FORMAT, POLICY_VERSION, e) < 0 ||
        take_keys(&t, &p, e) < 0)
        return -1;
    *ret = p;
    p = (struct policy){0};
    return 0;
}

/* No limit is above every limit. */
static bool is_above(enum key k, uint64_t value, uint64_t max)
{
    return value > max || (key_rows[k].optional && value == 0);
}

int policy_bound(const struct policies *ps, enum key k, const char *what, bool wished,
                 uint64_t *value, char **ret_place, struct strv *notes, struct err *e)
{
    uint64_t asked = *value, now = *value;
    char is[48], most[48], place[REQUEST_PLACE];
    const struct policy *by = NULL;

    for (size_t i = 0; i < ps->n; i++) {
        const struct policy *p = &ps->items[i];

        if (!p->max[k].set || !is_above(k, asked, p->max[k].value))
            continue;
        if (wished && !p->max[k].trim)
            return err_set(e, ERR_REFUSED, "%s: %s is above %s (%s)", what,
                           key_format(k, asked, is, sizeof(is)),
                           text_place(p->file, p->max[k].line, place),
                           key_format(k, p->max[k].value, most, sizeof(most)));
        if (!is_above(k, now, p->max[k].value))
            continue;
        now = p->max[k].value;
        by = p;
    }
    if (!by)
        return 0;
    text_place(by->file, by->max[k].line, place);
    *value = now;
    free(*ret_place);
    *ret_place = str_dup(place);
    if (wished)
        strv_addf(notes, "%s: %s is trimmed to %s by %s", what,
                  key_format(k, asked, is, sizeof(is)), key_format(k, now, most, sizeof(most)),
                  place);
    return 0;
}

static bool is_listed(const struct policy_list *l, const char *prefix, const char *hex)
{
    for (size_t i = 0; i < l->texts.n; i++)
        if (str_starts_with(l->texts.items[i], prefix) &&
            strcmp(l->texts.items[i] + strlen(prefix), hex) == 0)
            return true;
    return false;
}

int policy_check_image(const struct policies *ps, const char *digest, const struct strv *signers,
                       const char *what, struct err *e)
{
    for (size_t i = 0; i < ps->n; i++) {
        const struct policy_list *l = &ps->items[i].images;
        bool allowed = !l->set || (digest && is_listed(l, "sha256:", digest));
        char place[REQUEST_PLACE];

        for (size_t s = 0; signers && s < signers->n; s++)
            allowed = allowed || is_listed(l, "key:", signers->items[s]);
        if (!allowed)
            return err_set(e, ERR_REFUSED, "%s: sha256:%s is not allowed by %s (images)", what,
                           digest ? digest : "?", text_place(ps->items[i].file, l->line, place));
    }
    return 0;
}

static bool is_below(const char *path, const char *root)
{
    size_t len = strcmp(root, "/") == 0 ? 0 : strlen(root), all = strlen(path);

    if (strstr(path, "/../") || (all >= 3 && strcmp(path + all - 3, "/..") == 0))
        return false;
    return strncmp(path, root, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

int policy_check_folder(const struct policies *ps, enum key k, const char *path, const char *what,
                        struct err *e)
{
    for (size_t i = 0; i < ps->n; i++) {
        const struct policy *p = &ps->items[i];
        const struct policy_list *l = k == KEY_INPUTS ? &p->input_roots : &p->output_roots;
        bool allowed = !l->set;
        char place[REQUEST_PLACE];

        for (size_t r = 0; r < l->texts.n; r++)
            allowed = allowed || is_below(path, l->texts.items[r]);
        if (!allowed)
            return err_set(e, ERR_REFUSED, "%s: '%s' is below no folder of %s (%s)", what, path,
                           text_place(p->file, l->line, place),
                           k == KEY_INPUTS ? "input_roots" : "output_roots");
    }
    return 0;
}

/* Refused by the first policy that says so. */
static int refuse(const struct policy *p, unsigned line, const char *what, const char *key,
                  struct err *e)
{
    char place[REQUEST_PLACE];

    return err_set(e, ERR_REFUSED, "%s: not allowed by %s (%s)", what,
                   text_place(p->file, line, place), key);
}

int policy_check_writable(const struct policies *ps, const char *what, struct err *e)
{
    for (size_t i = 0; i < ps->n; i++)
        if (ps->items[i].no_writable)
            return refuse(&ps->items[i], ps->items[i].writable_line, what, "writable", e);
    return 0;
}

int policy_check_debug(const struct policies *ps, const char *what, struct err *e)
{
    for (size_t i = 0; i < ps->n; i++)
        if (ps->items[i].no_debug)
            return refuse(&ps->items[i], ps->items[i].debug_line, what, "allow_debug", e);
    return 0;
}

int policy_check_record(const struct policies *ps, const char *what, struct err *e)
{
    for (size_t i = 0; i < ps->n; i++)
        if (ps->items[i].record)
            return refuse(&ps->items[i], ps->items[i].record_line, what, "require_record", e);
    return 0;
}

int policy_check_amnesic(const struct policies *ps, struct err *e)
{
    for (size_t i = 0; i < ps->n; i++)
        if (ps->items[i].amnesic)
            return refuse(&ps->items[i], ps->items[i].amnesic_line, "without --amnesic",
                          "require_amnesic", e);
    return 0;
}

int policy_check_layers(const struct policies *ps, const struct strv *held, struct err *e)
{
    for (size_t i = 0; i < ps->n; i++) {
        const struct policy_list *l = &ps->items[i].layers;
        char place[REQUEST_PLACE];

        for (size_t k = 0; k < l->texts.n; k++)
            if (!strv_has(held, l->texts.items[k]))
                return err_set(e, ERR_REFUSED,
                               "the layer '%s' is required by %s (required_layers), "
                               "and is absent here (see 'lazaret doctor')",
                               l->texts.items[k], text_place(ps->items[i].file, l->line, place));
    }
    return 0;
}
