/* store_doc: the JSON files of a store. See store_doc.h. */
#include "images/store_doc.h"

#include "base/own.h"

#include <string.h>

int store_doc_digest(const struct doc *d, const char *key, char ret[DIGEST_HEX_SIZE], struct err *e)
{
    const char *text;

    if (doc_get_str(d, key, &text, e) < 0)
        return -1;
    if (!digest_is_hex(text))
        return err_set(e, ERR_IMAGE, "'%s' is not a digest", key);
    memcpy(ret, text, DIGEST_HEX_SIZE);
    return 0;
}

int store_doc_text(const struct doc *d, const char *key, size_t size, const char **ret,
                   struct err *e)
{
    const char *text;

    if (doc_get_str(d, key, &text, e) < 0)
        return -1;
    if (!text[0] || !str_is_printable(text, size))
        return err_set(e, ERR_IMAGE, "'%s' is empty, not printable or over %zu bytes", key,
                       size - 1);
    *ret = text;
    return 0;
}

int store_doc_object(const struct doc *d, struct store_object *ret, struct err *e)
{
    if (store_doc_digest(d, "sha256", ret->sha256, e) < 0 ||
        doc_get_u64(d, "size", &ret->size_bytes, e) < 0)
        return -1;
    if (ret->size_bytes == 0 || ret->size_bytes > STORE_OBJECT_MAX)
        return err_set(e, ERR_IMAGE, "'size' is out of range");
    return 0;
}

int store_doc_list(const char *store_dir, enum store_names kind,
                   struct doc *(*describe)(const struct store *s, const char *name),
                   struct doc **ret, struct err *e)
{
    own_store struct store s = STORE_INIT;
    own_strv struct strv names = {0};
    struct doc *list;

    if (store_open(store_dir, STORE_READ, &s, e) < 0) {
        if (e->class != ERR_IMAGE)
            return -1;
        *ret = doc_new_array(); /* no store yet */
        return 0;
    }
    if (store_name_list(&s, kind, &names, e) < 0)
        return -1;
    list = doc_new_array();
    for (size_t i = 0; i < names.n; i++)
        doc_add(list, describe(&s, names.items[i]));
    *ret = list;
    return 0;
}
