/* prune: takes out of the store what no name needs: blobs, signatures, leftovers. */
#include "images/prune.h"

#include "base/doc.h"
#include "base/file.h"
#include "base/own.h"
#include "images/manifest.h"
#include "images/store.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define RECORD_MAX (64u << 10) /* bytes of a kernel's record */

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort(struct strv *v)
{
    if (v->n > 1)
        qsort(v->items, v->n, sizeof(v->items[0]), compare);
}

static bool has(const struct strv *sorted, const char *digest)
{
    return sorted->n && bsearch(&digest, sorted->items, sorted->n, sizeof(digest), compare);
}

/* The blobs that a manifest names, and itself. */
static int add_manifest(const struct store *s, const char *digest, struct strv *ret, struct err *e)
{
    own_manifest struct manifest m = {0};
    own_free char *text = NULL;
    size_t len;

    if (store_read(s, digest, MANIFEST_MAX, &text, &len, e) < 0 ||
        manifest_parse(text, len, &m, e) < 0)
        return -1;
    strv_add(ret, digest);
    for (int i = 0; i < IMAGE_PARTS; i++)
        strv_add(ret, m.parts[i].sha256);
    return 0;
}

/* The same for a kernel's record: each member of it that has a digest is a blob. */
static int add_record(const struct store *s, const char *digest, struct strv *ret, struct err *e)
{
    own_doc struct doc *d = NULL;
    own_free char *text = NULL;
    const char *key;
    size_t len;

    if (store_read(s, digest, RECORD_MAX, &text, &len, e) < 0 ||
        doc_parse(text, len, "record", &d, e) < 0)
        return -1;
    if (!doc_is_object(d))
        return err_set(e, ERR_IMAGE, "record: not an object");
    strv_add(ret, digest);
    for (size_t i = 0; (key = doc_key_at(d, i)); i++) {
        const struct doc *member;
        const char *sha256;
        struct err none;

        if (doc_get_object(d, key, &member, &none) == 0 &&
            doc_get_str(member, "sha256", &sha256, &none) == 0)
            strv_add(ret, sha256);
    }
    return 0;
}

static const struct {
    enum store_names kind;
    int (*add)(const struct store *s, const char *digest, struct strv *ret, struct err *e);
    const char *what, *way_out;
} roots[] = {
    {STORE_TAGS, add_manifest, "image", "make it again, or remove it with 'lazaret image rm'"},
    {STORE_KERNELS, add_record, "kernel", "build it again with 'lazaret image kernel build'"},
};

/* Everything that a name leads to, sorted. */
static int collect_needed(const struct store *s, struct strv *ret, struct err *e)
{
    for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
        own_strv struct strv names = {0};

        if (store_name_list(s, roots[i].kind, &names, e) < 0)
            return -1;
        for (size_t k = 0; k < names.n; k++) {
            char digest[DIGEST_HEX_SIZE];
            struct err why;

            if (store_name_get(s, roots[i].kind, names.items[k], digest, &why) == 0 &&
                roots[i].add(s, digest, ret, &why) == 0)
                continue;
            return err_set(e, ERR_IMAGE, "%s '%s': %s (%s)", roots[i].what, names.items[k],
                           why.text, roots[i].way_out);
        }
    }
    sort(ret);
    return 0;
}

static int remove_blobs(const struct store *s, const struct strv *blobs, const struct strv *needed,
                        struct prune_freed *freed, struct err *e)
{
    for (size_t i = 0; i < blobs->n; i++) {
        uint64_t size_bytes;
        bool removed;

        if (has(needed, blobs->items[i]))
            continue;
        if (store_blob_remove(s, blobs->items[i], &removed, &size_bytes, e) < 0)
            return -1;
        freed->blobs += removed;
        freed->bytes += size_bytes;
    }
    return 0;
}

static bool is_any(const char *name)
{
    return name[0] != '.';
}

/* All signatures of one manifest. */
static int remove_signatures(const struct store *s, const char *digest, struct prune_freed *freed,
                             struct err *e)
{
    own_free char *folder = str_printf("signatures/%s", digest);
    own_strv struct strv files = {0};

    if (store_list(s, folder, is_any, &files, e) < 0 || file_remove_tree(s->fd, folder, e) < 0)
        return -1;
    freed->signatures += files.n;
    return 0;
}

static int open_alone(const char *store_dir, struct store *ret, struct prune_freed *freed,
                      struct err *e)
{
    if (store_open(store_dir, STORE_REMOVE, ret, e) < 0)
        return -1;
    freed->leftovers = ret->swept_files;
    freed->bytes = ret->swept_bytes;
    return 0;
}

int image_prune(const char *store_dir, struct prune_freed *ret, struct err *e)
{
    own_store struct store s = STORE_INIT;
    own_strv struct strv needed = {0}, blobs = {0}, signed_ones = {0};
    struct prune_freed freed = {0};

    if (open_alone(store_dir, &s, &freed, e) < 0 || collect_needed(&s, &needed, e) < 0 ||
        store_blob_list(&s, &blobs, e) < 0 ||
        store_list(&s, "signatures", digest_is_hex, &signed_ones, e) < 0)
        return -1;
    for (size_t i = 0; i < signed_ones.n; i++)
        if (!has(&needed, signed_ones.items[i]) &&
            remove_signatures(&s, signed_ones.items[i], &freed, e) < 0)
            return -1;
    if (remove_blobs(&s, &blobs, &needed, &freed, e) < 0)
        return -1;
    *ret = freed;
    return 0;
}

int image_remove(const char *store_dir, const char *name, struct prune_freed *ret, struct err *e)
{
    own_store struct store s = STORE_INIT;
    own_strv struct strv needed = {0}, blobs = {0};
    struct prune_freed freed = {0};
    char digest[DIGEST_HEX_SIZE] = "";
    struct err damage;

    if (open_alone(store_dir, &s, &freed, e) < 0)
        return -1;
    /* A damaged name goes alone, a damaged manifest without its parts: prune takes the rest. */
    if (store_name_get(&s, STORE_TAGS, name, digest, &damage) < 0) {
        if (!store_has_name(&s, STORE_TAGS, name)) {
            *e = damage;
            return -1;
        }
    } else if (add_manifest(&s, digest, &blobs, &damage) < 0) {
        strv_add(&blobs, digest);
    }
    if (store_name_remove(&s, STORE_TAGS, name, e) < 0)
        return -1;
    if (blobs.n && collect_needed(&s, &needed, &freed.kept) == 0) {
        if ((!has(&needed, digest) && remove_signatures(&s, digest, &freed, e) < 0) ||
            remove_blobs(&s, &blobs, &needed, &freed, e) < 0)
            return -1;
    }
    *ret = freed;
    return 0;
}
