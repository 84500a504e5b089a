/* image: an image of the store, by name or digest: its manifest, and its parts held open. */
#include "images/image.h"

#include "base/clock.h"
#include "base/own.h"
#include "images/store_doc.h"
#include "shared/wire.h"

#include <inttypes.h>
#include <string.h>

#define SHA256 "sha256:"

void image_free(struct image *im)
{
    if (!im)
        return;
    free(im->ref);
    store_close(&im->store);
    manifest_done(&im->m);
    for (int i = 0; i < IMAGE_PARTS; i++)
        own_close_p(&im->fds[i]);
    free(im);
}

int image_damaged(const char *ref, struct err *e)
{
    struct err why = *e;

    return err_set(e, ERR_IMAGE,
                   "image '%s': %s (make it again with 'lazaret image build' or 'lazaret image "
                   "import')",
                   ref, why.text);
}

/* The one blob whose digest begins with `prefix`. */
static int find_by_prefix(const struct store *s, const char *ref, const char *prefix,
                          char ret_sha256[DIGEST_HEX_SIZE], struct err *e)
{
    own_strv struct strv blobs = {0};
    const char *found = NULL;

    if (store_blob_list(s, &blobs, e) < 0)
        return -1;
    for (size_t i = 0; i < blobs.n; i++) {
        if (!str_starts_with(blobs.items[i], prefix))
            continue;
        if (found)
            return err_set(e, ERR_USAGE, "'%s' begins more than one digest (say more of it)", ref);
        found = blobs.items[i];
    }
    if (!found)
        return err_set(e, ERR_IMAGE, "there is no image '%s' (see 'lazaret image ls')", ref);
    memcpy(ret_sha256, found, DIGEST_HEX_SIZE);
    return 0;
}

static int resolve(const struct store *s, const char *ref, char ret_sha256[DIGEST_HEX_SIZE],
                   struct err *e)
{
    const char *hex = str_starts_with(ref, SHA256) ? ref + strlen(SHA256) : ref;

    if (store_is_name(ref))
        return store_name_get(s, STORE_TAGS, ref, ret_sha256, e);
    if (!digest_is_prefix(hex))
        return err_set(e, ERR_USAGE,
                       "'%s' is no image (a name is 1 to 64 letters, digits, '.', '_' and '-', and "
                       "does not start with '.' or '-'; a digest has %d digits or more)",
                       ref, DIGEST_PREFIX_MIN);
    if (!digest_is_hex(hex))
        return find_by_prefix(s, ref, hex, ret_sha256, e);
    memcpy(ret_sha256, hex, DIGEST_HEX_SIZE);
    return 0;
}

int image_look(const char *store_dir, const char *ref, struct image **ret, struct err *e)
{
    own_image struct image *im = calloc(1, sizeof(*im));
    own_free char *text = NULL;
    size_t len;

    if (!im)
        return err_set(e, ERR_HOST, "out of memory");
    im->store = (struct store)STORE_INIT;
    for (int i = 0; i < IMAGE_PARTS; i++)
        im->fds[i] = -1;
    im->ref = str_dup(ref);
    if (store_open(store_dir, STORE_READ, &im->store, e) < 0)
        return err_wrap(e, "image '%s'", ref);
    if (resolve(&im->store, ref, im->digest, e) < 0)
        return -1;
    /* Read once: what is checked is what is used. */
    if (store_read(&im->store, im->digest, MANIFEST_MAX, &text, &len, e) < 0 ||
        manifest_parse(text, len, &im->m, e) < 0)
        return image_damaged(ref, e);
    *ret = own_steal_ptr(im);
    return 0;
}

int image_open_unsigned(const char *store_dir, const char *ref, struct image **ret, struct err *e)
{
    own_image struct image *im = NULL;

    if (image_look(store_dir, ref, &im, e) < 0)
        return -1;
    if (im->m.protocol != WIRE_VERSION) {
        err_set(e, ERR_IMAGE, "its agent speaks protocol %" PRIu64 ", this lazaret %u",
                im->m.protocol, WIRE_VERSION);
        return image_damaged(ref, e);
    }
    *ret = own_steal_ptr(im);
    return 0;
}

int image_open(const char *store_dir, const char *ref, struct image **ret, struct err *e)
{
    own_image struct image *im = NULL;

    if (image_open_unsigned(store_dir, ref, &im, e) < 0)
        return -1;
    if (trust_allows(&im->store, im->digest, e) < 0)
        return err_wrap(e, "image '%s'", ref);
    *ret = own_steal_ptr(im);
    return 0;
}

static int check_digest(int fd, const struct store_object *o, struct err *e)
{
    char sha256[DIGEST_HEX_SIZE];
    uint64_t size_bytes;

    if (digest_fd(fd, sha256, &size_bytes, e) < 0)
        return err_wrap(e, "blob sha256:%s", o->sha256);
    if (strcmp(sha256, o->sha256) != 0 || size_bytes != o->size_bytes)
        return err_set(e, ERR_IMAGE, "blob sha256:%s is damaged: its SHA-256 differs", o->sha256);
    return 0;
}

static int open_part(struct image *im, enum image_part part, struct err *e)
{
    const struct store_object *o = &im->m.parts[part];
    own_close int fd = -1;
    uint64_t size_bytes;

    if (store_get(&im->store, o->sha256, &fd, &size_bytes, e) < 0)
        return -1;
    if (size_bytes != o->size_bytes)
        return err_set(e, ERR_IMAGE,
                       "blob sha256:%s has %" PRIu64 " bytes, the manifest says %" PRIu64,
                       o->sha256, size_bytes, o->size_bytes);
    own_close_p(&im->fds[part]);
    im->fds[part] = own_steal_fd(fd);
    return 0;
}

static int damaged_part(const struct image *im, enum image_part part, struct err *e)
{
    err_wrap(e, "%s", image_part_name(part));
    return image_damaged(im->ref, e);
}

int image_open_unread(struct image *im, struct err *e)
{
    for (int part = 0; part < IMAGE_PARTS; part++)
        if (open_part(im, (enum image_part)part, e) < 0)
            return damaged_part(im, (enum image_part)part, e);
    return 0;
}

static int check_parts(const struct image *im, bool root, struct err *e)
{
    for (int part = 0; part < IMAGE_PARTS; part++) {
        if (im->fds[part] < 0 || (part == IMAGE_ROOT && !root))
            continue;
        if (check_digest(im->fds[part], &im->m.parts[part], e) < 0)
            return damaged_part(im, (enum image_part)part, e);
    }
    return 0;
}

int image_check_boot(const struct image *im, struct err *e)
{
    return check_parts(im, false, e);
}

int image_open_parts(struct image *im, struct err *e)
{
    return image_open_unread(im, e) < 0 ? -1 : image_check_boot(im, e);
}

int image_verify(struct image *im, struct err *e)
{
    return image_open_unread(im, e) < 0 ? -1 : check_parts(im, true, e);
}

int image_recheck(const struct image *im, struct err *e)
{
    return check_parts(im, true, e);
}

uint64_t image_size_bytes(const struct image *im)
{
    uint64_t sum = 0;

    for (int i = 0; i < IMAGE_PARTS; i++)
        sum += im->m.parts[i].size_bytes;
    return sum;
}

struct doc *image_to_doc(const struct image *im, const struct strv *key_ids)
{
    struct doc *d = doc_new_object();

    doc_set_str(d, "digest", im->digest);
    doc_set_u64(d, "size", image_size_bytes(im));
    doc_set_strv(d, "signatures", (const char *const *)key_ids->items);
    doc_set(d, "manifest", manifest_to_doc(&im->m));
    return d;
}

static struct doc *describe(const struct store *s, const char *name)
{
    own_image struct image *im = NULL;
    struct doc *d = doc_new_object();
    const char *kind = "";
    char tagged[32];
    struct err e;

    doc_set_str(d, "name", name);
    if (image_look(s->dir, name, &im, &e) < 0 ||
        doc_get_str(im->m.created_from, "kind", &kind, &e) < 0) {
        doc_set_str(d, "error", e.text);
        return d;
    }
    doc_set_str(d, "digest", im->digest);
    doc_set_u64(d, "size", image_size_bytes(im));
    doc_set_str(d, "kernel", im->m.kernel_flavour);
    doc_set_str(d, "release", im->m.kernel_release);
    doc_set_str(d, "created_from", kind);
    doc_set_str(d, "tagged", clock_format_utc(tagged, store_name_time_ns(s, STORE_TAGS, name)));
    return d;
}

int image_list(const char *store_dir, struct doc **ret, struct err *e)
{
    return store_doc_list(store_dir, STORE_TAGS, describe, ret, e);
}

int image_tag(const char *store_dir, const char *ref, const char *name,
              char ret_digest[DIGEST_HEX_SIZE], struct err *e)
{
    own_store struct store s = STORE_INIT;
    own_image struct image *im = NULL;

    /* The lock first: nobody may remove it between the look and the name. */
    if (store_open(store_dir, STORE_ADD, &s, e) < 0 || image_look(store_dir, ref, &im, e) < 0 ||
        store_name_set(&s, STORE_TAGS, name, im->digest, e) < 0)
        return -1;
    memcpy(ret_digest, im->digest, DIGEST_HEX_SIZE);
    return 0;
}
