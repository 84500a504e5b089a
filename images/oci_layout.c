/* oci_layout: finds an image in an OCI image layout. See oci_layout.h. */
#include "images/oci_layout.h"

#include "base/own.h"

#include <string.h>

#define REF_NAME       "org.opencontainers.image.ref.name"
#define REF_NAME_CTR   "io.containerd.image.name" /* the whole name, where the former is a tag */
#define LAYOUT_VERSION "1."

static const char *const index_types[] = {
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json", NULL};
static const char *const manifest_types[] = {"application/vnd.oci.image.manifest.v1+json",
                                             "application/vnd.docker.distribution.manifest.v2+json",
                                             NULL};
static const char *const config_types[] = {"application/vnd.oci.image.config.v1+json",
                                           "application/vnd.docker.container.image.v1+json", NULL};
static const char *const layer_types[] = {
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
    NULL};

static bool is_among(const char *type, const char *const *types)
{
    while (*types && strcmp(*types, type) != 0)
        types++;
    return *types != NULL;
}

/* A reference to a blob (descriptor.md). */
struct descriptor {
    const char *type; /* borrowed */
    char sha256[DIGEST_HEX_SIZE];
    uint64_t size;
};

static int read_descriptor(const struct doc *d, const char *what, struct descriptor *ret,
                           struct err *e)
{
    const char *digest;

    if (doc_get_str(d, "mediaType", &ret->type, e) < 0 ||
        doc_get_str(d, "digest", &digest, e) < 0 || doc_get_u64(d, "size", &ret->size, e) < 0)
        return container_image_bad_doc(what, e);
    return container_image_parse_digest(digest, what, ret->sha256, e);
}

static int unknown_type(const struct descriptor *d, const char *what, struct err *e)
{
    char shown[120];

    str_escape(shown, sizeof(shown), d->type, strlen(d->type));
    return err_set(e, ERR_IMAGE, "%s is of the type '%s', which is not that of an image", what,
                   shown);
}

static char *blob_name(const char *sha256)
{
    return str_printf("blobs/sha256/%s", sha256);
}

static int read_blob_doc(const struct bundle *b, const struct descriptor *d, struct doc **ret,
                         struct err *e)
{
    own_free char *name = blob_name(d->sha256);

    return bundle_doc(b, name, d->sha256, NULL, ret, e);
}

/* ---- choosing -------------------------------------------------------------------------------- */

static const char *annotation(const struct doc *d, const char *key)
{
    const struct doc *notes;
    const char *value;
    struct err e;

    if (!doc_has_value(d, "annotations") || doc_get_object(d, "annotations", &notes, &e) < 0 ||
        !doc_has_value(notes, key) || doc_get_str(notes, key, &value, &e) < 0)
        return NULL;
    return value;
}

static bool is_tagged(const struct doc *d, const char *tag)
{
    const char *name = annotation(d, REF_NAME), *whole = annotation(d, REF_NAME_CTR);

    return (name && strcmp(name, tag) == 0) || (whole && strcmp(whole, tag) == 0);
}

/* True unless it says that it is for something else. */
static bool is_for_us(const struct doc *d)
{
    const struct doc *platform;
    const char *os, *architecture;
    struct err e;

    if (!doc_has_value(d, "platform"))
        return true;
    return doc_get_object(d, "platform", &platform, &e) == 0 &&
           doc_get_str(platform, "os", &os, &e) == 0 && strcmp(os, "linux") == 0 &&
           doc_get_str(platform, "architecture", &architecture, &e) == 0 &&
           strcmp(architecture, "amd64") == 0;
}

/* The tags of an index, for the error. */
static void list_tags(const struct doc *list, struct str *ret)
{
    char shown[100];

    for (size_t i = 0; i < doc_len(list) && ret->len < 400; i++) {
        const char *name = annotation(doc_at(list, i), REF_NAME);

        if (!name)
            continue;
        str_escape(shown, sizeof(shown), name, strlen(name));
        str_addf(ret, "%s'%s'", ret->len ? ", " : "", shown);
    }
    if (ret->len == 0)
        str_add(ret, "none");
}

/* The entry of index.json with that tag, or the only one that can be meant. */
static int choose_by_tag(const struct doc *list, const char *tag, const struct doc **ret,
                         struct err *e)
{
    own_str struct str tags = {0};
    size_t n = 0;

    for (size_t i = 0; i < doc_len(list); i++) {
        const struct doc *d = doc_at(list, i);

        if (tag ? !is_tagged(d, tag) : !is_for_us(d))
            continue;
        if (n++ == 0)
            *ret = d;
    }
    if (n == 1 || (n > 1 && tag))
        return 0;
    list_tags(list, &tags);
    if (tag) {
        char shown[100];

        str_escape(shown, sizeof(shown), tag, strlen(tag));
        return err_set(e, ERR_IMAGE, "it has no image '%s' (its tags: %s)", shown, tags.data);
    }
    if (n == 0)
        return err_set(e, ERR_IMAGE, "it has no image for linux/amd64");
    return err_set(e, ERR_IMAGE, "it has %zu images; say which by its tag (%s)", n, tags.data);
}

static int choose_by_platform(const struct doc *list, const struct doc **ret, struct err *e)
{
    for (size_t i = 0; i < doc_len(list); i++) {
        if (!is_for_us(doc_at(list, i)))
            continue;
        *ret = doc_at(list, i);
        return 0;
    }
    return err_set(e, ERR_IMAGE, "it has no image for linux/amd64");
}

/* Goes from an index to one of its manifests, through indexes in between; `d` becomes that. */
static int descend(const struct bundle *b, struct descriptor *d, struct doc **ret, struct err *e)
{
    for (int depth = 0;; depth++) {
        own_doc struct doc *doc = NULL;
        const struct doc *list, *next;

        if (!is_among(d->type, index_types) && !is_among(d->type, manifest_types))
            return unknown_type(d, "the manifest", e);
        if (read_blob_doc(b, d, &doc, e) < 0)
            return -1;
        if (is_among(d->type, manifest_types)) {
            *ret = own_steal_ptr(doc);
            return 0;
        }
        if (depth == OCI_INDEX_DEPTH_MAX)
            return err_set(e, ERR_IMAGE, "more than %d indexes lie inside each other",
                           OCI_INDEX_DEPTH_MAX);
        if (doc_get_array(doc, "manifests", &list, e) < 0)
            return container_image_bad_doc("the index", e);
        if (choose_by_platform(list, &next, e) < 0 || read_descriptor(next, "the index", d, e) < 0)
            return -1;
        /* what `d` borrows goes with the document */
        d->type = is_among(d->type, index_types)      ? index_types[0]
                  : is_among(d->type, manifest_types) ? manifest_types[0]
                                                      : "unknown";
    }
}

/* ---- the manifest ---------------------------------------------------------------------------- */

static int read_layers(const struct doc *manifest, struct container_image *ci, struct err *e)
{
    const struct doc *layers;

    if (doc_get_array(manifest, "layers", &layers, e) < 0)
        return container_image_bad_doc("the manifest", e);
    for (size_t i = 0; i < doc_len(layers); i++) {
        own_free char *what = str_printf("layer %zu", i + 1);
        own_free char *name = NULL;
        struct descriptor d;

        if (read_descriptor(doc_at(layers, i), what, &d, e) < 0)
            return -1;
        if (!is_among(d.type, layer_types))
            return unknown_type(&d, what, e);
        name = blob_name(d.sha256);
        container_image_add_layer(ci, name, d.sha256, d.size);
    }
    return 0;
}

static int read_manifest(const struct bundle *b, const struct doc *manifest,
                         struct container_image *ci, struct err *e)
{
    const struct doc *config;
    struct descriptor d;
    uint64_t version;

    if (doc_get_u64(manifest, "schemaVersion", &version, e) < 0 ||
        doc_get_object(manifest, "config", &config, e) < 0)
        return container_image_bad_doc("the manifest", e);
    if (version != 2)
        return err_set(e, ERR_IMAGE, "its manifest is not of version 2 (make the image anew)");
    if (read_descriptor(config, "the configuration", &d, e) < 0)
        return -1;
    if (!is_among(d.type, config_types))
        return unknown_type(&d, "the configuration", e);
    memcpy(ci->config_sha256, d.sha256, sizeof(d.sha256));
    if (read_blob_doc(b, &d, &ci->config, e) < 0)
        return -1;
    return read_layers(manifest, ci, e) < 0 ? -1 : container_image_check(ci, e);
}

static int check_layout(const struct bundle *b, struct err *e)
{
    own_doc struct doc *layout = NULL;
    const char *version;

    if (!bundle_has(b, "oci-layout"))
        return err_set(e, ERR_IMAGE, "is not an OCI layout: it has no file 'oci-layout'");
    if (bundle_doc(b, "oci-layout", NULL, NULL, &layout, e) < 0)
        return -1;
    if (doc_get_str(layout, "imageLayoutVersion", &version, e) < 0)
        return container_image_bad_doc("oci-layout", e);
    if (!str_starts_with(version, LAYOUT_VERSION))
        return err_set(e, ERR_IMAGE, "is an OCI layout of another version than 1");
    return 0;
}

int oci_layout_find(const struct bundle *b, const char *tag, struct container_image *ret,
                    struct err *e)
{
    own_container_image struct container_image ci = {.kind = "oci"};
    own_doc struct doc *index = NULL, *manifest = NULL;
    const struct doc *list, *chosen;
    struct descriptor d;

    if (check_layout(b, e) < 0 || bundle_doc(b, "index.json", NULL, NULL, &index, e) < 0)
        return -1;
    if (doc_get_array(index, "manifests", &list, e) < 0)
        return container_image_bad_doc("index.json", e);
    if (choose_by_tag(list, tag, &chosen, e) < 0 ||
        read_descriptor(chosen, "index.json", &d, e) < 0 || descend(b, &d, &manifest, e) < 0)
        return -1;
    memcpy(ci.manifest_sha256, d.sha256, sizeof(d.sha256));
    container_image_set_reference(&ci, annotation(chosen, REF_NAME));
    if (read_manifest(b, manifest, &ci, e) < 0)
        return -1;
    *ret = ci;
    ci = (struct container_image){0};
    return 0;
}
