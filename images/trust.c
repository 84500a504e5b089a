/* trust: who says that an image is good: signatures of manifests, and the store's policy. */
#include "images/trust.h"

#include "base/doc.h"
#include "base/file.h"
#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SIGNATURE_FORMAT  "lazaret-signature"
#define SIGNATURE_VERSION 1u
#define POLICY_FORMAT     "lazaret-image-policy"
#define POLICY_VERSION    1u
#define SUFFIX            ".json"

#define HEX_BYTES (SIGN_BYTES * 2)

/* Returns new. */
static char *message(const char *digest)
{
    return str_printf("lazaret-image-signature-v1\nsha256:%s\n", digest);
}

static char *folder_of(const char *digest)
{
    return str_printf("signatures/%s", digest);
}

static char *path_of(const char *digest, const char *key_id)
{
    return str_printf("signatures/%s/%s" SUFFIX, digest, key_id);
}

/* ---- signature files ---- */

static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_hex(const char *text, unsigned char ret[SIGN_BYTES])
{
    if (strlen(text) != HEX_BYTES)
        return false;
    for (size_t i = 0; i < SIGN_BYTES; i++) {
        int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        ret[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static int read_signature(const struct doc *d, const char *digest, const char *key_id,
                          unsigned char ret[SIGN_BYTES], struct err *e)
{
    static const char *const keys[] = {"format", "version", "manifest", "key", "signature", NULL};
    const char *format, *manifest, *key, *signature;
    uint64_t version;

    if (!doc_is_object(d))
        return err_set(e, ERR_IMAGE, "not an object");
    if (doc_only_keys(d, keys, e) < 0 || doc_get_str(d, "format", &format, e) < 0 ||
        doc_get_u64(d, "version", &version, e) < 0 ||
        doc_get_str(d, "manifest", &manifest, e) < 0 || doc_get_str(d, "key", &key, e) < 0 ||
        doc_get_str(d, "signature", &signature, e) < 0)
        return -1;
    if (strcmp(format, SIGNATURE_FORMAT) != 0 || version != SIGNATURE_VERSION)
        return err_set(e, ERR_IMAGE, "not a '%s' of version %u", SIGNATURE_FORMAT,
                       SIGNATURE_VERSION);
    if (!str_starts_with(manifest, "sha256:") || strcmp(manifest + strlen("sha256:"), digest) != 0)
        return err_set(e, ERR_IMAGE, "it is for another manifest");
    if (strcmp(key, key_id) != 0)
        return err_set(e, ERR_IMAGE, "it is of another key");
    if (!parse_hex(signature, ret))
        return err_set(e, ERR_IMAGE, "'signature' is not %d hex digits", HEX_BYTES);
    return 0;
}

static int parse_signature(const char *text, size_t len, const char *digest, const char *key_id,
                           unsigned char ret[SIGN_BYTES], struct err *e)
{
    own_doc struct doc *d = NULL;

    if (doc_parse(text, len, "JSON", &d, e) < 0 || read_signature(d, digest, key_id, ret, e) < 0) {
        e->class = ERR_IMAGE;
        return err_wrap(e, "the signature of key %s", key_id);
    }
    return 0;
}

static char *format_signature(const char *digest, const char *key_id,
                              const unsigned char signature[SIGN_BYTES])
{
    own_doc struct doc *d = doc_new_object();
    own_free char *manifest = str_printf("sha256:%s", digest);
    char hex[HEX_BYTES + 1];

    for (size_t i = 0; i < SIGN_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", signature[i]);
    doc_set_str(d, "format", SIGNATURE_FORMAT);
    doc_set_u64(d, "version", SIGNATURE_VERSION);
    doc_set_str(d, "manifest", manifest);
    doc_set_str(d, "key", key_id);
    doc_set_str(d, "signature", hex);
    return doc_format(d, true);
}

static int put(const struct store *s, const char *digest, const char *key_id, const char *text,
               size_t len, struct err *e)
{
    own_free char *folder = folder_of(digest);
    own_free char *path = path_of(digest, key_id);

    return store_make_folder(s, folder, e) < 0 ? -1 : store_file_put(s, path, text, len, e);
}

int trust_sign(const struct store *s, const char *digest, const struct sign_key *k, struct err *e)
{
    own_free char *text = message(digest);
    own_free char *file = NULL;
    unsigned char signature[SIGN_BYTES];
    struct sign_public p;

    if (sign_bytes(k, text, strlen(text), signature, e) < 0)
        return -1;
    sign_key_public(k, &p);
    file = format_signature(digest, p.id, signature);
    return put(s, digest, p.id, file, strlen(file), e);
}

int trust_check_form(const char *digest, const char *key_id, const char *text, size_t len,
                     struct err *e)
{
    unsigned char signature[SIGN_BYTES];

    return parse_signature(text, len, digest, key_id, signature, e);
}

int trust_put(const struct store *s, const char *digest, const char *key_id, const char *text,
              size_t len, struct err *e)
{
    unsigned char signature[SIGN_BYTES];
    own_free char *file = NULL;

    if (parse_signature(text, len, digest, key_id, signature, e) < 0)
        return -1;
    file = format_signature(digest, key_id, signature);
    return put(s, digest, key_id, file, strlen(file), e);
}

static bool is_signature_name(const char *name)
{
    own_free char *id = str_printf("%.*s", DIGEST_HEX_SIZE - 1, name);

    return digest_is_hex(id) && strcmp(name + DIGEST_HEX_SIZE - 1, SUFFIX) == 0;
}

int trust_list(const struct store *s, const char *digest, struct strv *ret, struct err *e)
{
    own_free char *folder = folder_of(digest);
    own_strv struct strv names = {0};

    if (store_list(s, folder, is_signature_name, &names, e) < 0)
        return -1;
    for (size_t i = 0; i < names.n; i++)
        strv_addf(ret, "%.*s", DIGEST_HEX_SIZE - 1, names.items[i]);
    return 0;
}

int trust_read(const struct store *s, const char *digest, const char *key_id, char **ret_text,
               size_t *ret_len, struct err *e)
{
    own_free char *path = path_of(digest, key_id);

    if (file_read(s->fd, path, TRUST_SIGNATURE_MAX, ret_text, ret_len, e) == 0)
        return 0;
    e->class = ERR_IMAGE;
    return err_wrap(e, "the signature of key %s", key_id);
}

/* ---- checking ---- */

void trust_keys_done(struct trust_keys *k)
{
    free(k->items);
    *k = (struct trust_keys){0};
}

void trust_keys_add(struct trust_keys *k, const struct sign_public *p)
{
    struct sign_public *grown = reallocarray(k->items, k->n + 1, sizeof(*grown));

    if (!grown) {
        fputs("lazaret: out of memory\n", stderr);
        abort();
    }
    k->items = grown;
    k->items[k->n++] = *p;
}

static bool is_there(const struct store *s, const char *digest, const char *key_id)
{
    own_free char *path = path_of(digest, key_id);

    return faccessat(s->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int check_one(const struct store *s, const char *digest, const struct sign_public *p,
                     struct err *e)
{
    own_free char *signed_text = message(digest);
    own_free char *text = NULL;
    unsigned char signature[SIGN_BYTES];
    size_t len;

    if (trust_read(s, digest, p->id, &text, &len, e) < 0 ||
        parse_signature(text, len, digest, p->id, signature, e) < 0)
        return -1;
    if (!sign_is_good(p, signed_text, strlen(signed_text), signature))
        return err_set(e, ERR_IMAGE, "the signature of key %s is wrong", p->id);
    return 0;
}

int trust_check(const struct store *s, const char *digest, const struct trust_keys *keys,
                char ret_key_id[DIGEST_HEX_SIZE], struct err *e)
{
    struct err why = {.text = "it has no signature of one"};

    for (size_t i = 0; i < keys->n; i++) {
        const char *id = keys->items[i].id;

        if (!is_there(s, digest, id))
            continue;
        if (check_one(s, digest, &keys->items[i], &why) == 0) {
            if (ret_key_id)
                memcpy(ret_key_id, id, DIGEST_HEX_SIZE);
            return 0;
        }
    }
    return err_set(
        e, ERR_REFUSED,
        "manifest sha256:%s is not signed by a trusted key: %s (look at it with 'lazaret "
        "image inspect', then sign it with 'lazaret image sign')",
        digest, keys->n ? why.text : "no key is trusted");
}

/* ---- policy ---- */

static int read_trusted(const struct store *s, const struct doc *list, struct trust_keys *ret,
                        struct err *e)
{
    for (size_t i = 0; i < doc_len(list); i++) {
        const char *path = doc_str_at(list, i);
        own_free char *text = NULL;
        struct sign_public p;
        size_t len;

        if (!path)
            return err_set(e, ERR_HOST, "'trusted' has an element that is not a path");
        if (file_read_ours(s->fd, path, SIGN_FILE_MAX, 022, &text, &len, e) < 0 ||
            sign_public_parse(text, len, path, &p, e) < 0)
            return err_wrap(e, "trusted");
        trust_keys_add(ret, &p);
    }
    return 0;
}

static int read_policy(const struct store *s, const struct doc *d, bool *ret_required,
                       struct trust_keys *ret, struct err *e)
{
    static const char *const keys[] = {"format", "version", "require_signature", "trusted", NULL};
    const struct doc *trusted;
    const char *format;
    uint64_t version;

    if (!doc_is_object(d))
        return err_set(e, ERR_HOST, "not an object");
    if (doc_only_keys(d, keys, e) < 0 || doc_get_str(d, "format", &format, e) < 0 ||
        doc_get_u64(d, "version", &version, e) < 0 ||
        doc_get_bool(d, "require_signature", ret_required, e) < 0 ||
        doc_get_array(d, "trusted", &trusted, e) < 0)
        return -1;
    if (strcmp(format, POLICY_FORMAT) != 0 || version != POLICY_VERSION)
        return err_set(e, ERR_HOST, "not a '%s' of version %u", POLICY_FORMAT, POLICY_VERSION);
    return read_trusted(s, trusted, ret, e);
}

int trust_policy(const struct store *s, bool *ret_required, struct trust_keys *ret, struct err *e)
{
    own_trust_keys struct trust_keys keys = {0};
    own_doc struct doc *d = NULL;
    own_free char *text = NULL;
    bool required = false;
    size_t len;

    /* Only its absence means that there is none. */
    if (faccessat(s->fd, TRUST_POLICY, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT) {
        if (file_read_ours(s->fd, TRUST_POLICY, TRUST_POLICY_MAX, 022, &text, &len, e) < 0 ||
            doc_parse(text, len, "JSON", &d, e) < 0 || read_policy(s, d, &required, &keys, e) < 0)
            return err_wrap(e, "policy '%s/" TRUST_POLICY "'", s->dir);
    }
    *ret_required = required;
    *ret = keys;
    keys = (struct trust_keys){0};
    return 0;
}

int trust_allows(const struct store *s, const char *digest, struct err *e)
{
    own_trust_keys struct trust_keys keys = {0};
    bool required;

    if (trust_policy(s, &required, &keys, e) < 0)
        return -1;
    if (!required || trust_check(s, digest, &keys, NULL, e) == 0)
        return 0;
    return err_wrap(e, "policy '%s/" TRUST_POLICY "'", s->dir);
}
