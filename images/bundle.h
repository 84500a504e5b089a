/*
 * bundle: the files of an OCI layout or of a docker archive: a folder, or a tar of one.
 *
 * Nothing in it is believed: whoever reads a file checks its digest (bundle_blob()), or is the one
 * who chooses by it (an index).
 */
#ifndef LZ_IMAGES_BUNDLE_H
#define LZ_IMAGES_BUNDLE_H

#include "base/digest.h"
#include "base/doc.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define BUNDLE_DOC_MAX (4u << 20) /* bytes of one document; OCI's own limit for a manifest */

struct bundle;

int bundle_open_dir(const char *path, struct bundle **ret, struct err *e);
/* `temp_dir` is for the plain tar, when the file is compressed. ERR_IMAGE for a bad tar. */
int bundle_open_tar(const char *path, const char *temp_dir, struct bundle **ret, struct err *e);
void bundle_free(struct bundle *b);
static inline void bundle_free_p(struct bundle **b)
{
    bundle_free(*b);
}
#define own_bundle __attribute__((cleanup(bundle_free_p)))

/* Bytes of a file. */
struct bundle_file {
    int fd; /* own */
    uint64_t offset, size;
};
void bundle_file_done(struct bundle_file *f);
#define own_bundle_file __attribute__((cleanup(bundle_file_done)))

bool bundle_has(const struct bundle *b, const char *name);
/* Opens a regular file. ERR_IMAGE. */
int bundle_file(const struct bundle *b, const char *name, struct bundle_file *ret, struct err *e);
/* The same, with that digest (64 hex digits) and, if it is not UINT64_MAX, that size. */
int bundle_blob(const struct bundle *b, const char *name, const char *sha256, uint64_t size,
                struct bundle_file *ret, struct err *e);

/* Reads a document, whose digest is checked against `sha256` or, if that is NULL, stored in
 * `ret_sha256` (either may be NULL). Returns new. ERR_IMAGE. */
int bundle_doc(const struct bundle *b, const char *name, const char *sha256,
               char ret_sha256[DIGEST_HEX_SIZE], struct doc **ret, struct err *e);

#endif
