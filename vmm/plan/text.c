/* text: a manifest's or policy's JSON text, with its lines. */
#include "plan/text.h"

#include "base/own.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool text_is_head(const char *key)
{
    return strcmp(key, "format") == 0 || strcmp(key, "version") == 0;
}

const char *text_place(const char *file, unsigned line, char out[REQUEST_PLACE])
{
    char shown[REQUEST_PLACE - 16];

    str_escape(shown, sizeof(shown), file, strlen(file));
    (void)snprintf(out, REQUEST_PLACE, "%s:%u", shown, line);
    return out;
}

int text_wrong(const struct text *t, const char *path, const char *why, struct err *e)
{
    char place[REQUEST_PLACE];

    return err_set(e, ERR_USAGE, "%s: %s: %s",
                   text_place(t->file, lines_near(&t->lines, path), place), path, why);
}

int text_wrap(const struct text *t, const char *path, struct err *e)
{
    char place[REQUEST_PLACE];

    e->class = ERR_USAGE;
    return err_wrap(e, "%s: %s", text_place(t->file, lines_near(&t->lines, path), place), path);
}

int text_number(const struct doc *d, const char *key, char **ret, struct err *e)
{
    const char *text;
    uint64_t n;

    if (doc_get_u64(d, key, &n, e) == 0) {
        *ret = str_printf("%" PRIu64, n);
        return 0;
    }
    if (doc_get_str(d, key, &text, &(struct err){0}) < 0)
        return err_set(e, ERR_USAGE, "neither a whole number nor a text with one");
    *ret = str_dup(text);
    return 0;
}

/* What is twice stands where the second one is. */
static int add_rule(const struct text *t, const char *path, struct net_rules *rules,
                    struct net_rule *r, struct err *e)
{
    for (size_t i = 0; i < rules->n; i++)
        if (net_rule_same(&rules->items[i], r)) {
            own_free char *url = net_rule_url(r);
            own_free char *why = str_printf("%s%s is there already (%s)", r->name ? "name " : "",
                                            r->name ? r->name : url, rules->items[i].from);

            net_rule_done(r);
            return text_wrong(t, path, why, e);
        }
    net_rules_take(rules, r);
    return 0;
}

int text_rules(const struct text *t, const char *key, enum net_use use, struct net_rules *ret,
               struct err *e)
{
    const struct doc *list;

    if (doc_get_array(t->d, key, &list, e) < 0)
        return text_wrong(t, key, "not a list", e);
    if (doc_len(list) > NET_RULES_MAX)
        return text_wrong(t, key, "more rules than there may be", e);
    for (size_t i = 0; i < doc_len(list); i++) {
        own_free char *path = str_printf("%s[%zu]", key, i);
        struct net_rule r = {0};
        char place[REQUEST_PLACE];

        text_place(t->file, lines_near(&t->lines, path), place);
        if (net_rule_read(list, i, use, place, &r, e) < 0)
            return text_wrap(t, path, e);
        if (add_rule(t, path, ret, &r, e) < 0)
            return -1;
    }
    return 0;
}

static int check_head(const struct text *t, const char *format, uint64_t version, struct err *e)
{
    const char *is;
    uint64_t n;

    if (doc_get_str(t->d, "format", &is, e) < 0 || strcmp(is, format) != 0)
        return err_set(e, ERR_USAGE, "it is no %s: 'format' does not say so", format);
    if (doc_get_u64(t->d, "version", &n, e) < 0 || n != version)
        return err_set(e, ERR_USAGE, "'version' is not %" PRIu64, version);
    return 0;
}

static int read_text(struct text *t, const char *text, size_t len, const char *format,
                     uint64_t version, struct err *e)
{
    if (len > REQUEST_MAX)
        return err_set(e, ERR_USAGE, "it is over %u KiB", REQUEST_MAX / 1024);
    if (doc_parse(text, len, "text", &t->d, e) < 0)
        return -1;
    return doc_is_object(t->d) ? check_head(t, format, version, e)
                               : err_set(e, ERR_USAGE, "it is not an object");
}

int text_open(struct text *t, const char *text, size_t len, const char *file, const char *format,
              uint64_t version, struct err *e)
{
    char shown[REQUEST_PLACE];

    str_escape(shown, sizeof(shown), file, strlen(file));
    t->file = file;
    if (len <= REQUEST_MAX && lines_scan(text, len, &t->lines, e) < 0) {
        own_free char *why = str_dup(e->text); /* it begins with its line */

        return err_set(e, ERR_USAGE, "%s:%s", shown, why);
    }
    if (read_text(t, text, len, format, version, e) == 0)
        return 0;
    e->class = ERR_USAGE;
    return err_wrap(e, "%s", shown);
}

void text_done(struct text *t)
{
    doc_free(t->d);
    lines_done(&t->lines);
    *t = (struct text){0};
}
