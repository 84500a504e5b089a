/*
 * image: an image of the store, by name or digest: its manifest, and its parts held open.
 *
 * A reference is the name of an image, or its manifest's digest as "sha256:HEX", or the first 12 or
 * more digits of it, with or without "sha256:".
 */
#ifndef LZ_IMAGES_IMAGE_H
#define LZ_IMAGES_IMAGE_H

#include "base/doc.h"
#include "base/err.h"
#include "images/manifest.h"
#include "images/store.h"
#include "images/trust.h"

struct image {
    char *ref;                    /* as it was opened */
    char digest[DIGEST_HEX_SIZE]; /* of its manifest: its identity */
    struct store store;           /* STORE_READ */
    struct manifest m;
    int fds[IMAGE_PARTS]; /* for reading, once image_open_parts() was there; else -1 */
};

/*
 * Opens an image that a run shall start from: its manifest is what the digest says, fits this
 * lazaret, and the store's policy allows it (trust.h). Returns new. ERR_USAGE: not a reference;
 * ERR_IMAGE: missing or damaged, with the way to make it; ERR_REFUSED: not signed by whom the
 * policy names.
 */
int image_open(const char *store_dir, const char *ref, struct image **ret, struct err *e);
/* The same whatever the policy says: for what it allowed already, or what we have just made. */
int image_open_unsigned(const char *store_dir, const char *ref, struct image **ret, struct err *e);
/* Opens any image, to look at it, check it, name it. */
int image_look(const char *store_dir, const char *ref, struct image **ret, struct err *e);
void image_free(struct image *im);
static inline void image_free_p(struct image **im)
{
    image_free(*im);
}
#define own_image __attribute__((cleanup(image_free_p)))

/*
 * Opens the parts: what a run uses is what was looked at here. Kernel and initramfs are hashed; of
 * the root only the size is compared: the guest compares every block that it reads (verity.h).
 * ERR_IMAGE names the blob.
 */
int image_open_parts(struct image *im, struct err *e);
/* That in two: opens them and compares sizes; hashes kernel and initramfs, which must not be used
 * before. */
int image_open_unread(struct image *im, struct err *e);
int image_check_boot(const struct image *im, struct err *e);
/* The same, and hashes the root too. */
int image_verify(struct image *im, struct err *e);

/* Hashes what image_open_parts() left open: ERR_IMAGE names a blob that is damaged by now. */
int image_recheck(const struct image *im, struct err *e);

/* Bytes of all parts. */
uint64_t image_size_bytes(const struct image *im);

/* Finishes an error about something in the image: ERR_IMAGE, its name in front, the way out. */
int image_damaged(const char *ref, struct err *e);

/* Returns new: {"digest","size","signatures","manifest"}; the signatures are `key_ids`. */
struct doc *image_to_doc(const struct image *im, const struct strv *key_ids);

/* Returns new: an array of {"name","digest","size","kernel","release","created_from","tagged"} in
 * the order of the names; damaged ones have {"name","error"}. */
int image_list(const char *store_dir, struct doc **ret, struct err *e);

/* Names an image; an older image of that name only loses the name. */
int image_tag(const char *store_dir, const char *ref, const char *name,
              char ret_digest[DIGEST_HEX_SIZE], struct err *e);

#endif
