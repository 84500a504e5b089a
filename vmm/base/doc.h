/*
 * doc: JSON documents (RFC 8259). The only user of json-c.
 *
 * A `struct doc` is one JSON value. Documents that people or we ourselves wrote are read with it;
 * guest bytes never are. Readers are strict: a missing key, a wrong type or an unknown key is an
 * error that names the key.
 */
#ifndef LZ_BASE_DOC_H
#define LZ_BASE_DOC_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct doc;
struct strv;

/* Returns new; free with doc_free(). `what` names the text in errors; nesting is capped at 16. */
int doc_parse(const char *text, size_t len, const char *what, struct doc **ret, struct err *e);
struct doc *doc_new_object(void);
struct doc *doc_new_array(void);
struct doc *doc_copy(const struct doc *d); /* returns new, all the way down */
void doc_free(struct doc *d); /* accepts NULL; only for values that were not handed over */
/* Returns new: the same value once more, which stays until both are freed; not to be changed. */
struct doc *doc_ref(const struct doc *d);
static inline void doc_free_p(struct doc **d)
{
    doc_free(*d);
}
#define own_doc __attribute__((cleanup(doc_free_p)))

/* Object members; a key is set once, members keep their order. */
void doc_set_str(struct doc *d, const char *key, const char *value);
void doc_set_u64(struct doc *d, const char *key, uint64_t value);
void doc_set_i64(struct doc *d, const char *key, int64_t value);
void doc_set_bool(struct doc *d, const char *key, bool value);
void doc_set(struct doc *d, const char *key, struct doc *value); /* takes value */
/* Without it afterwards, if it had it. */
void doc_remove(struct doc *d, const char *key);
/* Every text in it but keys, all the way down, becomes what `map` returns: new, or NULL to stay. */
void doc_map_texts(struct doc *d, char *(*map)(const char *text, void *arg), void *arg);

/* Array elements. */
void doc_add_str(struct doc *d, const char *value);
void doc_add_u64(struct doc *d, uint64_t value);
void doc_add(struct doc *d, struct doc *value); /* takes value */
/* A NULL-terminated list of strings as an array member. */
void doc_set_strv(struct doc *d, const char *key, const char *const *values);

/* Readers; everything returned is borrowed from `d`. */
int doc_get_str(const struct doc *d, const char *key, const char **ret, struct err *e);
int doc_get_u64(const struct doc *d, const char *key, uint64_t *ret, struct err *e);
int doc_get_bool(const struct doc *d, const char *key, bool *ret, struct err *e);
int doc_get_object(const struct doc *d, const char *key, const struct doc **ret, struct err *e);
int doc_get_array(const struct doc *d, const char *key, const struct doc **ret, struct err *e);
/* Adds the texts of an array member to `ret`. */
int doc_get_strv(const struct doc *d, const char *key, struct strv *ret, struct err *e);
bool doc_has(const struct doc *d, const char *key);
/* Of documents that others wrote: a key with null counts as one that is not there. */
bool doc_has_value(const struct doc *d, const char *key);
/* Fails with the name of the first member that is not in the NULL-terminated list. */
int doc_only_keys(const struct doc *d, const char *const *keys, struct err *e);

bool doc_is_object(const struct doc *d);
const char *doc_key_at(const struct doc *d, size_t i);   /* NULL behind the last member */
size_t doc_len(const struct doc *d);                     /* elements of an array */
const struct doc *doc_at(const struct doc *d, size_t i); /* NULL when out of range */
const char *doc_str_at(const struct doc *d, size_t i);   /* NULL: no text, or a NUL in it */

/* Returns new: the text, on one line or indented with a newline at the end. No control characters
 * are in it, those of C1 neither: it may be shown on a terminal. */
char *doc_format(const struct doc *d, bool pretty);

#endif
