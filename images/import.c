/* import: an image that others made becomes one of ours. See import.h. */
#include "images/import.h"

#include "base/file.h"
#include "base/own.h"
#include "base/spawn.h"
#include "images/assemble.h"
#include "images/docker_archive.h"
#include "images/image.h"
#include "images/oci_layout.h"
#include "images/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define PULL_TIMEOUT_S 7200
#define PULL_TAG       "x" /* in the layout that skopeo makes for us alone */

/* All that an import holds while it works. */
struct import {
    const struct image_import *want;
    struct store store;
    char *temp;   /* the store's folder for what is being written */
    char *pulled; /* a folder in it, or NULL */
    struct image *base;
    struct bundle *bundle;
    struct container_image image;
    struct rootfs *root;
    struct image_config config;
};

static void import_done(struct import *im)
{
    struct err ignored;

    rootfs_free(im->root);
    bundle_free(im->bundle);
    container_image_done(&im->image);
    image_config_done(&im->config);
    image_free(im->base);
    if (im->pulled)
        file_remove_tree(AT_FDCWD, im->pulled, &ignored); /* else the store's next sweep does */
    free(im->pulled);
    free(im->temp);
    store_close(&im->store);
}

/* ---- the source -------------------------------------------------------------------------------
 */

/*
 * "PATH[:NAME]": both may have colons in them, so the longest PATH that exists is meant. *ret_name
 * borrows, or is NULL.
 */
static int split(const char *text, char **ret_path, const char **ret_name, struct err *e)
{
    own_free char *path = str_dup(text);
    size_t end = strlen(path);

    while (faccessat(AT_FDCWD, path, F_OK, 0) < 0) {
        const char *colon = strrchr(path, ':');

        if (!colon || colon == path)
            return err_sys(e, ERR_USAGE, ENOENT, "cannot open '%s'", text);
        end = (size_t)(colon - path);
        path[end] = '\0';
    }
    if (text[end] == ':' && text[end + 1] == '\0')
        return err_set(e, ERR_USAGE, "'%s': no name after ':'", text);
    *ret_name = text[end] == ':' ? text + end + 1 : NULL;
    *ret_path = own_steal_ptr(path);
    return 0;
}

static int open_dir(struct import *im, const char *rest, struct err *e)
{
    own_free char *path = NULL;
    const char *tag;

    if (split(rest, &path, &tag, e) < 0 || bundle_open_dir(path, &im->bundle, e) < 0)
        return -1;
    return oci_layout_find(im->bundle, tag, &im->image, e);
}

static int open_tar(struct import *im, const char *rest, struct err *e)
{
    own_free char *path = NULL;
    const char *ref;

    if (split(rest, &path, &ref, e) < 0 || bundle_open_tar(path, im->temp, &im->bundle, e) < 0)
        return -1;
    return docker_archive_find(im->bundle, ref, &im->image, e);
}

/* Registries are skopeo's business; what it brings is judged like any other layout. */
static int pull(struct import *im, const char *rest, struct err *e)
{
    own_free char *from = str_printf("docker://%s", rest), *to = NULL;
    const char *argv[] = {
        "skopeo", "--override-os=linux", "--override-arch=amd64", "copy", "--quiet", from, NULL,
        NULL};
    struct tool t = {.argv = argv,
                     .package = "skopeo",
                     .in = SPAWN_NULL,
                     .out = SPAWN_NULL,
                     .timeout_s = PULL_TIMEOUT_S};

    im->pulled = str_printf("%s/pull-XXXXXX", im->temp);
    if (!mkdtemp(im->pulled))
        return err_sys(e, ERR_HOST, errno, "cannot make a folder in '%s'", im->temp);
    argv[6] = to = str_printf("oci:%s:" PULL_TAG, im->pulled);
    progress(&im->want->progress, "%s: fetching", from);
    if (tool_run(&t, e) < 0 || bundle_open_dir(im->pulled, &im->bundle, e) < 0 ||
        oci_layout_find(im->bundle, PULL_TAG, &im->image, e) < 0)
        return -1;
    container_image_set_reference(&im->image, rest);
    return 0;
}

static const struct scheme {
    const char *prefix;
    int (*open)(struct import *im, const char *rest, struct err *e);
} schemes[] = {
    {"oci:", open_dir},
    {"docker-archive:", open_tar},
    {"oci-archive:", open_tar},
    {"docker://", pull},
};

static const struct scheme *find_scheme(const char *source)
{
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (str_starts_with(source, schemes[i].prefix) && source[strlen(schemes[i].prefix)])
            return &schemes[i];
    return NULL;
}

/* ---- the story --------------------------------------------------------------------------------
 */

static int open_base(struct import *im, struct err *e)
{
    if (image_open(im->want->store_dir, im->want->base, &im->base, e) < 0 ||
        image_open_parts(im->base, e) < 0)
        return err_wrap(e, "the kernel comes from another image");
    return 0;
}

static void tell_dropped(const struct import *im)
{
    struct rootfs_dropped d = rootfs_dropped(im->root);

    if (d.set_id || d.xattrs || d.acls)
        progress(&im->want->progress,
                 "left out: %llu set-id bits, %llu extended attributes, %llu ACLs (nothing in a "
                 "sandbox could use them)",
                 (unsigned long long)d.set_id, (unsigned long long)d.xattrs,
                 (unsigned long long)d.acls);
}

/* Folders that a run puts something else in front of. */
static void tell_hidden(const struct import *im)
{
    static const char *const hidden[] = {"in", "out", "work"};

    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
        if (rootfs_find(im->root, hidden[i]))
            progress(&im->want->progress,
                     "note: the image has a '/%s' of its own, which nobody will see in a run",
                     hidden[i]);
}

static int make_root(struct import *im, struct err *e)
{
    own_strv struct strv notes = {0};

    if (rootfs_new(im->temp, &im->root, e) < 0 ||
        container_image_unpack(&im->image, im->bundle, im->temp, im->root, &im->want->progress, e) <
            0 ||
        container_image_config(&im->image, im->root, &im->config, &notes, e) < 0)
        return -1;
    for (size_t i = 0; i < notes.n; i++)
        progress(&im->want->progress, "%s", notes.items[i]);
    tell_dropped(im);
    tell_hidden(im);
    return 0;
}

/* The layers that the tree was made of. */
static struct doc *recipe_of(const struct container_image *ci)
{
    struct doc *d = doc_new_object(), *layers = doc_new_array();

    for (size_t i = 0; i < ci->n_layers; i++) {
        own_free char *id = str_printf("sha256:%s", ci->layers[i].diff_id);

        doc_add_str(layers, id);
    }
    doc_set(d, "layers", layers);
    return d;
}

static int assemble(struct import *im, char ret_digest[DIGEST_HEX_SIZE], struct err *e)
{
    own_image_boot struct image_boot boot = {0};
    own_doc struct doc *recipe = recipe_of(&im->image);
    own_doc struct doc *origin = container_image_origin(&im->image);

    boot_from_image(im->base, &boot);
    if (boot.how)
        doc_set(recipe, "runtime", doc_ref(boot.how));
    return assemble_image(&(struct assemble){.store = &im->store,
                                             .root = im->root,
                                             .boot = &boot,
                                             .config = &im->config,
                                             .recipe = recipe,
                                             .created_from = origin,
                                             .progress = &im->want->progress},
                          ret_digest, e);
}

int image_import(const struct image_import *w, char ret_digest[DIGEST_HEX_SIZE], struct err *e)
{
    __attribute__((cleanup(import_done))) struct import im = {.want = w, .store = STORE_INIT};
    const struct scheme *scheme = find_scheme(w->source);

    if (!scheme)
        return err_set(e, ERR_USAGE,
                       "'%s' is no source of an image (archive:FILE, oci:DIR[:TAG], "
                       "docker-archive:FILE[:REF] or docker://REF)",
                       w->source);
    if (!store_is_name(w->tag))
        return err_set(e, ERR_USAGE, "'%s' is not an image name", w->tag);
    if (store_open(w->store_dir, STORE_ADD, &im.store, e) < 0)
        return -1;
    im.temp = str_printf("%s/tmp", im.store.dir);
    if (open_base(&im, e) < 0)
        return -1;
    if (scheme->open(&im, w->source + strlen(scheme->prefix), e) < 0 || make_root(&im, e) < 0)
        return err_wrap(e, "image '%s'", w->tag);
    progress(&w->progress, "image '%s': packing the root", w->tag);
    if (assemble(&im, ret_digest, e) < 0 ||
        store_name_set(&im.store, STORE_TAGS, w->tag, ret_digest, e) < 0)
        return err_wrap(e, "image '%s'", w->tag);
    progress(&w->progress, "image '%s': sha256:%s", w->tag, ret_digest);
    return 0;
}
