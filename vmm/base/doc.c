/* doc: JSON documents. The only user of json-c; a struct doc is a json_object by another name. */
#include "base/doc.h"

#include "base/str.h"

#include <errno.h>
#include <json-c/json.h>
#include <json-c/json_visit.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOC_DEPTH_MAX 16

static struct json_object *obj(const struct doc *d)
{
    return (struct json_object *)(uintptr_t)d;
}

static struct doc *doc(struct json_object *o)
{
    if (!o) {
        fputs("lazaret: out of memory\n", stderr);
        abort();
    }
    return (struct doc *)o;
}

int doc_parse(const char *text, size_t len, const char *what, struct doc **ret, struct err *e)
{
    struct json_tokener *tok = json_tokener_new_ex(DOC_DEPTH_MAX);
    struct json_object *o = NULL;
    int rc = 0;

    if (!tok || len > INT_MAX - 1)
        rc = err_set(e, ERR_HOST, "%s: too large", what);
    else
        json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    if (rc == 0) {
        o = json_tokener_parse_ex(tok, text, (int)len);
        if (json_tokener_get_error(tok) == json_tokener_continue)
            o = json_tokener_parse_ex(tok, "", 1); /* the NUL ends a bare number */
        if (json_tokener_get_error(tok) != json_tokener_success || !o)
            rc = err_set(e, ERR_HOST, "%s: not valid JSON at byte %zu: %s", what,
                         json_tokener_get_parse_end(tok),
                         json_tokener_error_desc(json_tokener_get_error(tok)));
    }
    if (rc == 0) {
        size_t end = json_tokener_get_parse_end(tok);

        while (end < len && text[end] && strchr(" \t\r\n", text[end]))
            end++;
        if (end < len)
            rc = err_set(e, ERR_HOST, "%s: not valid JSON: more text after its end", what);
    }
    if (tok)
        json_tokener_free(tok);
    if (rc < 0) {
        json_object_put(o);
        return -1;
    }
    *ret = doc(o);
    return 0;
}

struct doc *doc_new_object(void)
{
    return doc(json_object_new_object());
}

struct doc *doc_new_array(void)
{
    return doc(json_object_new_array());
}

struct doc *doc_copy(const struct doc *d)
{
    struct json_object *copy = NULL;

    json_object_deep_copy(obj(d), &copy, NULL);
    return doc(copy);
}

void doc_free(struct doc *d)
{
    json_object_put(obj(d));
}

struct doc *doc_ref(const struct doc *d)
{
    return doc(json_object_get(obj(d)));
}

void doc_set(struct doc *d, const char *key, struct doc *value)
{
    json_object_object_add(obj(d), key, obj(value));
}

void doc_set_str(struct doc *d, const char *key, const char *value)
{
    doc_set(d, key, doc(json_object_new_string(value)));
}

void doc_set_u64(struct doc *d, const char *key, uint64_t value)
{
    doc_set(d, key, doc(json_object_new_uint64(value)));
}

void doc_set_i64(struct doc *d, const char *key, int64_t value)
{
    doc_set(d, key, doc(json_object_new_int64(value)));
}

void doc_set_bool(struct doc *d, const char *key, bool value)
{
    doc_set(d, key, doc(json_object_new_boolean(value)));
}

void doc_add(struct doc *d, struct doc *value)
{
    json_object_array_add(obj(d), obj(value));
}

void doc_add_str(struct doc *d, const char *value)
{
    doc_add(d, doc(json_object_new_string(value)));
}

void doc_add_u64(struct doc *d, uint64_t value)
{
    doc_add(d, doc(json_object_new_uint64(value)));
}

void doc_set_strv(struct doc *d, const char *key, const char *const *values)
{
    struct doc *list = doc_new_array();

    for (; values && *values; values++)
        doc_add_str(list, *values);
    doc_set(d, key, list);
}

void doc_remove(struct doc *d, const char *key)
{
    json_object_object_del(obj(d), key);
}

struct mapping {
    char *(*map)(const char *text, void *arg);
    void *arg;
};

static int map_text(struct json_object *o, int flags, struct json_object *parent, const char *key,
                    size_t *index, void *arg)
{
    const struct mapping *m = arg;
    char *text;

    (void)parent;
    (void)key;
    (void)index;
    if (flags == JSON_C_VISIT_SECOND || !json_object_is_type(o, json_type_string))
        return JSON_C_VISIT_RETURN_CONTINUE;
    text = m->map(json_object_get_string(o), m->arg);
    if (text && !json_object_set_string(o, text))
        doc(NULL);
    free(text);
    return JSON_C_VISIT_RETURN_CONTINUE;
}

void doc_map_texts(struct doc *d, char *(*map)(const char *text, void *arg), void *arg)
{
    struct mapping m = {map, arg};

    json_c_visit(obj(d), 0, map_text, &m);
}

static int get(const struct doc *d, const char *key, json_type type, struct json_object **ret,
               struct err *e)
{
    struct json_object *o;

    if (!json_object_is_type(obj(d), json_type_object) ||
        !json_object_object_get_ex(obj(d), key, &o))
        return err_set(e, ERR_HOST, "key '%s' is missing", key);
    if (!json_object_is_type(o, type))
        return err_set(e, ERR_HOST, "key '%s' is not a %s", key, json_type_to_name(type));
    *ret = o;
    return 0;
}

int doc_get_str(const struct doc *d, const char *key, const char **ret, struct err *e)
{
    struct json_object *o;

    if (get(d, key, json_type_string, &o, e) < 0)
        return -1;
    if (strlen(json_object_get_string(o)) != (size_t)json_object_get_string_len(o))
        return err_set(e, ERR_HOST, "key '%s' contains a NUL", key);
    *ret = json_object_get_string(o);
    return 0;
}

int doc_get_u64(const struct doc *d, const char *key, uint64_t *ret, struct err *e)
{
    struct json_object *o;
    uint64_t n;

    if (get(d, key, json_type_int, &o, e) < 0)
        return -1;
    errno = 0;
    n = json_object_get_uint64(o);
    if (errno || json_object_get_int64(o) < 0)
        return err_set(e, ERR_HOST, "key '%s' is out of range", key);
    *ret = n;
    return 0;
}

int doc_get_bool(const struct doc *d, const char *key, bool *ret, struct err *e)
{
    struct json_object *o;

    if (get(d, key, json_type_boolean, &o, e) < 0)
        return -1;
    *ret = json_object_get_boolean(o);
    return 0;
}

int doc_get_object(const struct doc *d, const char *key, const struct doc **ret, struct err *e)
{
    struct json_object *o;

    if (get(d, key, json_type_object, &o, e) < 0)
        return -1;
    *ret = doc(o);
    return 0;
}

int doc_get_array(const struct doc *d, const char *key, const struct doc **ret, struct err *e)
{
    struct json_object *o;

    if (get(d, key, json_type_array, &o, e) < 0)
        return -1;
    *ret = doc(o);
    return 0;
}

int doc_get_strv(const struct doc *d, const char *key, struct strv *ret, struct err *e)
{
    const struct doc *list;

    if (doc_get_array(d, key, &list, e) < 0)
        return -1;
    for (size_t i = 0; i < doc_len(list); i++) {
        const char *text = doc_str_at(list, i);

        if (!text)
            return err_set(e, ERR_HOST, "'%s' has an element that is not a text", key);
        strv_add(ret, text);
    }
    return 0;
}

bool doc_has(const struct doc *d, const char *key)
{
    return json_object_is_type(obj(d), json_type_object) &&
           json_object_object_get_ex(obj(d), key, NULL);
}

bool doc_has_value(const struct doc *d, const char *key)
{
    struct json_object *o = NULL;

    return json_object_is_type(obj(d), json_type_object) &&
           json_object_object_get_ex(obj(d), key, &o) && o;
}

int doc_only_keys(const struct doc *d, const char *const *keys, struct err *e)
{
    struct json_object_iterator it = json_object_iter_begin(obj(d));
    struct json_object_iterator end = json_object_iter_end(obj(d));

    for (; !json_object_iter_equal(&it, &end); json_object_iter_next(&it)) {
        const char *key = json_object_iter_peek_name(&it);
        const char *const *k = keys;

        while (*k && strcmp(*k, key) != 0)
            k++;
        if (!*k)
            return err_set(e, ERR_HOST, "unknown key '%.64s'", key);
    }
    return 0;
}

bool doc_is_object(const struct doc *d)
{
    return json_object_is_type(obj(d), json_type_object);
}

const char *doc_key_at(const struct doc *d, size_t i)
{
    struct json_object_iterator it = json_object_iter_begin(obj(d));
    struct json_object_iterator end = json_object_iter_end(obj(d));

    for (; !json_object_iter_equal(&it, &end); json_object_iter_next(&it))
        if (i-- == 0)
            return json_object_iter_peek_name(&it);
    return NULL;
}

size_t doc_len(const struct doc *d)
{
    return json_object_is_type(obj(d), json_type_array) ? json_object_array_length(obj(d)) : 0;
}

const struct doc *doc_at(const struct doc *d, size_t i)
{
    return i < doc_len(d) ? (const struct doc *)json_object_array_get_idx(obj(d), i) : NULL;
}

const char *doc_str_at(const struct doc *d, size_t i)
{
    const struct doc *at = doc_at(d, i);
    const char *text;

    if (!at || !json_object_is_type(obj(at), json_type_string))
        return NULL;
    text = json_object_get_string(obj(at));
    return strlen(text) == (size_t)json_object_get_string_len(obj(at)) ? text : NULL;
}

/* json-c escapes what is below 0x20; the rest of what moves a cursor can only be inside strings. */
static void add_escaped(struct str *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)p[0], next = (unsigned char)p[1];

        if (c == 0x7f)
            str_add(out, "\\u007f");
        else if (c == 0xc2 && next >= 0x80 && next < 0xa0)
            str_addf(out, "\\u%04x", (unsigned char)*++p);
        else
            str_add_bytes(out, p, 1);
    }
}

char *doc_format(const struct doc *d, bool pretty)
{
    int flags = JSON_C_TO_STRING_NOSLASHESCAPE |
                (pretty ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED : 0);
    const char *text = json_object_to_json_string_ext(obj(d), flags);
    struct str out = {0};

    add_escaped(&out, text ? text : "null");
    str_add(&out, pretty ? "\n" : "");
    return str_steal(&out);
}
