/*
 * trust: who says that an image is good: signatures of manifests, and the store's policy.
 *
 * How it works: what is signed is the line "lazaret-image-signature-v1" and the line
 * "sha256:HEX" with the manifest's digest, which holds the digests of everything else. Signatures
 * are files beside the blobs, signatures/HEX/KEYID.json, at most one of each key:
 *
 *     {"format": "lazaret-signature", "version": 1, "manifest": "sha256:HEX",
 *      "key": KEYID, "signature": 128 hex digits}
 *
 * A key is trusted because the caller names its file, or because the store's policy does. The
 * policy, policy.json, says whether an image needs a signature to be run:
 *
 *     {"format": "lazaret-image-policy", "version": 1, "require_signature": true,
 *      "trusted": ["release.pub", ...]}     absolute, or relative to the store's folder
 *
 * UNTRUSTED: signature files, which may come from an archive. The policy and its keys belong to us
 * or to root, and nobody else can write to them; a policy that cannot be read lets nothing run.
 */
#ifndef LZ_IMAGES_TRUST_H
#define LZ_IMAGES_TRUST_H

#include "base/err.h"
#include "base/sign.h"
#include "base/str.h"
#include "images/store.h"

#include <stddef.h>

#define TRUST_POLICY         "policy.json"
#define TRUST_SIGNATURE_MAX  4096u       /* bytes of a signature file */
#define TRUST_SIGNATURES_MAX 64u         /* of one manifest, in an archive */
#define TRUST_POLICY_MAX     (64u << 10) /* bytes */

/* Signs the manifest `digest` and puts the signature into the store (STORE_ADD). */
int trust_sign(const struct store *s, const char *digest, const struct sign_key *k, struct err *e);

/* The key ids of a manifest's signatures, good or not, sorted, added to `ret`. */
int trust_list(const struct store *s, const char *digest, struct strv *ret, struct err *e);
/* Returns new: the text of one. ERR_IMAGE. */
int trust_read(const struct store *s, const char *digest, const char *key_id, char **ret_text,
               size_t *ret_len, struct err *e);
/* The text has the form of a signature of this manifest by this key; whether it is good is not
 * looked at. ERR_IMAGE. */
int trust_check_form(const char *digest, const char *key_id, const char *text, size_t len,
                     struct err *e);
/* Puts a signature from elsewhere into the store (STORE_ADD), if it has the form of one. */
int trust_put(const struct store *s, const char *digest, const char *key_id, const char *text,
              size_t len, struct err *e);

/* Keys that are trusted. */
struct trust_keys {
    struct sign_public *items;
    size_t n;
};
void trust_keys_done(struct trust_keys *k);
#define own_trust_keys __attribute__((cleanup(trust_keys_done)))
void trust_keys_add(struct trust_keys *k, const struct sign_public *p);

/* One of these keys signed the manifest; *ret_key_id (may be NULL) says which. ERR_REFUSED. */
int trust_check(const struct store *s, const char *digest, const struct trust_keys *keys,
                char ret_key_id[DIGEST_HEX_SIZE], struct err *e);

/* What the store's policy says: whether a signature is needed, and whose. Without a policy none is.
 * ERR_HOST when it cannot be read or is not exact. */
int trust_policy(const struct store *s, bool *ret_required, struct trust_keys *ret, struct err *e);
/* An image of this manifest may run. ERR_REFUSED; ERR_HOST as trust_policy(). */
int trust_allows(const struct store *s, const char *digest, struct err *e);

#endif
