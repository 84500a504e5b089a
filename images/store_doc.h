/* store_doc: what the JSON files of a store have in common: digests, texts and objects in them, and
 * lists of what has a name. */
#ifndef LZ_IMAGES_STORE_DOC_H
#define LZ_IMAGES_STORE_DOC_H

#include "base/doc.h"
#include "images/store.h"

#define STORE_OBJECT_MAX (1ull << 41) /* bytes; a root of VERITY_DATA_BYTES_MAX and its tree */

/* Members of `d`; all fail with ERR_IMAGE and name the key. */

/* 64 hex digits. */
int store_doc_digest(const struct doc *d, const char *key, char ret[DIGEST_HEX_SIZE],
                     struct err *e);
/* *ret, borrowed: not empty, and printable in under `size` bytes, as what is shown on terminals and
 * goes onto command lines has to be. */
int store_doc_text(const struct doc *d, const char *key, size_t size, const char **ret,
                   struct err *e);
/* The members `sha256` and `size` of `d`, which may have more. */
int store_doc_object(const struct doc *d, struct store_object *ret, struct err *e);

/* *ret is a new array with what describe() makes of each name, sorted; empty where there is no
 * store yet. */
int store_doc_list(const char *store_dir, enum store_names kind,
                   struct doc *(*describe)(const struct store *s, const char *name),
                   struct doc **ret, struct err *e);

#endif
