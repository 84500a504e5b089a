/* request_write: a request as the text of a manifest, and the reasons in it. */
#include "plan/request_write.h"

#include "base/own.h"
#include "plan/net.h"

#include <string.h>

static void add_why(struct request *r, enum key k, const char *line, const char *by,
                    const char *text)
{
    struct doc *d = doc_new_object();

    doc_set_str(d, "key", key_rows[k].name);
    if (line)
        doc_set_str(d, "line", line);
    doc_set_str(d, "by", by);
    doc_set_str(d, "text", text);
    if (!r->why)
        r->why = doc_new_array();
    doc_add(r->why, d);
}

void request_why(struct request *r, enum key k, const char *line, const char *by, const char *fmt,
                 ...)
{
    own_free char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = str_vprintf(fmt, ap);
    va_end(ap);
    add_why(r, k, line, by, text);
}

void request_widened(struct request *r)
{
    struct doc *last = r->why ? (struct doc *)(uintptr_t)doc_at(r->why, doc_len(r->why) - 1) : NULL;

    if (last && !doc_has(last, "widened"))
        doc_set_bool(last, "widened", true);
}

/* A text of one of the reasons, which were checked; "": there is none. */
static const char *text_of(const struct doc *d, const char *key)
{
    const char *text = "";

    if (doc_has(d, key))
        doc_get_str(d, key, &text, &(struct err){0});
    return text;
}

static bool is_widened(const struct doc *d)
{
    bool widened = false;

    return doc_has(d, "widened") && doc_get_bool(d, "widened", &widened, &(struct err){0}) == 0 &&
           widened;
}

/* A rule may be spelled otherwise there. */
static bool is_of_line(const struct doc *d, enum key k, const char *line)
{
    own_net_rule struct net_rule r = {0};
    const char *is = text_of(d, "line");
    own_free char *text = NULL;

    if (key_rows[k].kind == KEY_KIND_RULES &&
        net_rule_parse(is, NET_OF_WISH, NULL, &r, &(struct err){0}) == 0)
        is = text = net_rule_text(&r);
    return strcmp(is, line ? line : "") == 0;
}

bool request_copy_why(struct request *r, const struct request *from, enum key k, const char *line,
                      bool widened)
{
    for (size_t i = 0; from->why && i < doc_len(from->why); i++) {
        const struct doc *d = doc_at(from->why, i);

        if (strcmp(text_of(d, "key"), key_rows[k].name) != 0 || !is_of_line(d, k, line))
            continue;
        add_why(r, k, line, text_of(d, "by"), text_of(d, "text"));
        if (widened || is_widened(d))
            request_widened(r);
        return true;
    }
    return false;
}

static void write_number(struct doc *d, enum key k, const char *text)
{
    uint64_t n;

    /* Plain digits are bytes, seconds or a count, like a number. */
    if (str_parse_u64(text, "", 0, INT64_MAX, &n, &(struct err){0}) == 0)
        doc_set_u64(d, key_rows[k].name, n);
    else
        doc_set_str(d, key_rows[k].name, text);
}

char *request_format(const struct request *r)
{
    own_doc struct doc *d = doc_new_object();

    doc_set_str(d, "format", REQUEST_FORMAT);
    doc_set_u64(d, "version", REQUEST_VERSION);
    for (enum key k = 0; k < KEYS; k++) {
        const char *text = request_text(r, k);

        if (!r->of[k].set)
            continue;
        if (key_rows[k].kind == KEY_KIND_LIST || key_rows[k].kind == KEY_KIND_RULES)
            doc_set_strv(d, key_rows[k].name, (const char *const *)r->of[k].texts.items);
        else if (key_rows[k].kind == KEY_KIND_FLAG)
            doc_set_bool(d, key_rows[k].name, text && strcmp(text, "true") == 0);
        else if (key_is_number(k) && text)
            write_number(d, k, text);
        else
            doc_set_str(d, key_rows[k].name, text ? text : "");
    }
    if (r->why)
        doc_set(d, REQUEST_WHY, doc_copy(r->why));
    return doc_format(d, true);
}
