/* docker_archive: finds an image in what 'docker save' writes. See docker_archive.h. */
#include "images/docker_archive.h"

#include "base/own.h"
#include "images/oci_layout.h"

#include <string.h>

/* A name as docker shows it: its own registry is not said. */
static const char *familiar(const char *name)
{
    static const char *const prefixes[] = {"docker.io/library/", "docker.io/"};

    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (str_starts_with(name, prefixes[i]))
            return name + strlen(prefixes[i]);
    return name;
}

/* True if `ref` means the image that is called `name`; no tag means "latest". */
static bool is_called(const char *name, const char *ref)
{
    const char *slash;
    own_free char *latest = NULL;

    name = familiar(name);
    ref = familiar(ref);
    if (strcmp(name, ref) == 0)
        return true;
    slash = strrchr(ref, '/');
    if (strchr(slash ? slash : ref, ':'))
        return false;
    latest = str_printf("%s:latest", ref);
    return strcmp(name, latest) == 0;
}

static const struct doc *tags_of(const struct doc *image)
{
    const struct doc *tags;
    struct err e;

    return doc_has_value(image, "RepoTags") && doc_get_array(image, "RepoTags", &tags, &e) == 0
               ? tags
               : NULL;
}

static bool has_name(const struct doc *image, const char *ref)
{
    const struct doc *tags = tags_of(image);

    for (size_t i = 0; tags && i < doc_len(tags); i++) {
        const char *name = doc_str_at(tags, i);

        if (name && is_called(name, ref))
            return true;
    }
    return false;
}

/* The names of all images, for the error. */
static void list_names(const struct doc *list, struct str *ret)
{
    char shown[100];

    for (size_t i = 0; i < doc_len(list); i++) {
        const struct doc *tags = tags_of(doc_at(list, i));

        for (size_t j = 0; tags && j < doc_len(tags) && ret->len < 400; j++) {
            const char *name = doc_str_at(tags, j);

            if (!name)
                continue;
            str_escape(shown, sizeof(shown), name, strlen(name));
            str_addf(ret, "%s'%s'", ret->len ? ", " : "", shown);
        }
    }
    if (ret->len == 0)
        str_add(ret, "none");
}

static int choose(const struct doc *list, const char *ref, const struct doc **ret, struct err *e)
{
    own_str struct str names = {0};
    char shown[100];

    for (size_t i = 0; i < doc_len(list); i++) {
        if (ref ? !has_name(doc_at(list, i), ref) : doc_len(list) != 1)
            continue;
        *ret = doc_at(list, i);
        return 0;
    }
    list_names(list, &names);
    if (!ref)
        return err_set(e, ERR_IMAGE, "it has %zu images; say which by its name (%s)", doc_len(list),
                       names.data);
    str_escape(shown, sizeof(shown), ref, strlen(ref));
    return err_set(e, ERR_IMAGE, "it has no image '%s' (its names: %s)", shown, names.data);
}

/* Names of files in the archive come back in errors. */
static int check_name(const char *name, struct err *e)
{
    char shown[100];

    if (name && *name && str_is_printable(name, ROOTFS_PATH_MAX))
        return 0;
    str_escape(shown, sizeof(shown), name ? name : "", name ? strlen(name) : 0);
    return err_set(e, ERR_IMAGE, "manifest.json names a file '%s'", shown);
}

/* The digest that a configuration's name claims ("HEX.json", ".../HEX"), or NULL. */
static const char *claimed(const char *name, char ret[DIGEST_HEX_SIZE])
{
    const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name;
    size_t len = strcspn(base, ".");

    if (len != DIGEST_HEX_SIZE - 1 || (base[len] && strcmp(base + len, ".json") != 0))
        return NULL;
    memcpy(ret, base, len);
    ret[len] = '\0';
    return digest_is_hex(ret) ? ret : NULL;
}

static int read_image(const struct bundle *b, const struct doc *image, struct container_image *ci,
                      struct err *e)
{
    const struct doc *layers, *tags = tags_of(image);
    const char *config, *tag = tags ? doc_str_at(tags, 0) : NULL;
    char want[DIGEST_HEX_SIZE];

    if (doc_get_str(image, "Config", &config, e) < 0 ||
        doc_get_array(image, "Layers", &layers, e) < 0)
        return container_image_bad_doc("manifest.json", e);
    if (check_name(config, e) < 0 ||
        bundle_doc(b, config, claimed(config, want), ci->config_sha256, &ci->config, e) < 0)
        return -1;
    for (size_t i = 0; i < doc_len(layers); i++) {
        const char *name = doc_str_at(layers, i);

        if (check_name(name, e) < 0)
            return -1;
        container_image_add_layer(ci, name, NULL, UINT64_MAX);
    }
    container_image_set_reference(ci, tag);
    return container_image_check(ci, e);
}

int docker_archive_find(const struct bundle *b, const char *ref, struct container_image *ret,
                        struct err *e)
{
    own_container_image struct container_image ci = {.kind = "docker"};
    own_doc struct doc *list = NULL;
    const struct doc *image;

    if (!bundle_has(b, "manifest.json")) {
        if (bundle_has(b, "oci-layout"))
            return oci_layout_find(b, ref, ret, e);
        return err_set(e, ERR_IMAGE,
                       "is not a docker archive: it has no manifest.json (save the image with a "
                       "docker that is not older than 1.10)");
    }
    if (bundle_doc(b, "manifest.json", NULL, NULL, &list, e) < 0)
        return -1;
    if (choose(list, ref, &image, e) < 0 || read_image(b, image, &ci, e) < 0)
        return -1;
    *ret = ci;
    ci = (struct container_image){0};
    return 0;
}
