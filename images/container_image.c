/* container_image: an image of somebody else's making. See container_image.h. */
#include "images/container_image.h"

#include "base/own.h"
#include "images/expand.h"
#include "images/passwd.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

void container_image_done(struct container_image *ci)
{
    for (size_t i = 0; i < ci->n_layers; i++)
        free(ci->layers[i].name);
    free(ci->layers);
    free(ci->reference);
    doc_free(ci->config);
    *ci = (struct container_image){0};
}

void container_image_add_layer(struct container_image *ci, const char *name, const char *sha256,
                               uint64_t size_bytes)
{
    struct container_layer *l = reallocarray(ci->layers, ci->n_layers + 1, sizeof(*l));

    if (!l)
        abort(); /* as in base/str */
    ci->layers = l;
    l = &ci->layers[ci->n_layers++];
    *l = (struct container_layer){.name = str_dup(name), .size_bytes = size_bytes};
    if (sha256)
        memcpy(l->sha256, sha256, sizeof(l->sha256));
}

void container_image_set_reference(struct container_image *ci, const char *name)
{
    char shown[200];

    if (!name)
        return;
    str_escape(shown, sizeof(shown), name, strlen(name));
    ci->reference = str_dup(shown);
}

int container_image_bad_doc(const char *what, struct err *e)
{
    e->class = ERR_IMAGE;
    return err_wrap(e, "%s", what);
}

int container_image_parse_digest(const char *text, const char *what,
                                 char ret_sha256[DIGEST_HEX_SIZE], struct err *e)
{
    char shown[100];

    if (str_starts_with(text, "sha256:") && digest_is_hex(text + strlen("sha256:"))) {
        memcpy(ret_sha256, text + strlen("sha256:"), DIGEST_HEX_SIZE);
        return 0;
    }
    str_escape(shown, sizeof(shown), text, strlen(text));
    return err_set(e, ERR_IMAGE, "%s has the digest '%s', which is not one by SHA-256", what,
                   shown);
}

/* ---- the configuration document -------------------------------------------------------------- */

static int wrong(struct err *e)
{
    return container_image_bad_doc("the image's configuration", e);
}

static int check_word(const struct doc *d, const char *key, const char *want, struct err *e)
{
    char shown[60];
    const char *have;

    if (doc_get_str(d, key, &have, e) < 0)
        return wrong(e);
    if (strcmp(have, want) == 0)
        return 0;
    str_escape(shown, sizeof(shown), have, strlen(have));
    return err_set(e, ERR_IMAGE, "the image is for %s '%s' (get the one for linux/amd64)", key,
                   shown);
}

int container_image_check(struct container_image *ci, struct err *e)
{
    const struct doc *rootfs, *ids;

    if (check_word(ci->config, "os", "linux", e) < 0 ||
        check_word(ci->config, "architecture", "amd64", e) < 0)
        return -1;
    if (doc_get_object(ci->config, "rootfs", &rootfs, e) < 0 ||
        doc_get_array(rootfs, "diff_ids", &ids, e) < 0)
        return wrong(e);
    if (doc_len(ids) != ci->n_layers)
        return err_set(e, ERR_IMAGE, "the image has %zu layers, but its configuration names %zu",
                       ci->n_layers, doc_len(ids));
    if (ci->n_layers > ROOTFS_LAYERS_MAX)
        return err_set(e, ERR_IMAGE, "the image has more than %u layers (squash it)",
                       ROOTFS_LAYERS_MAX);
    for (size_t i = 0; i < ci->n_layers; i++) {
        const char *id = doc_str_at(ids, i);

        if (container_image_parse_digest(id ? id : "", "a layer's content", ci->layers[i].diff_id,
                                         e) < 0)
            return -1;
    }
    return 0;
}

/* ---- layers ---------------------------------------------------------------------------------- */

/* The plain tar of a layer, whose content has the digest that it must have. */
static int open_plain(const struct container_layer *l, const struct bundle *b, const char *temp_dir,
                      uint64_t left, int *ret_fd, uint64_t *ret_size, struct err *e)
{
    own_bundle_file struct bundle_file f = {.fd = -1};
    own_close int plain = -1;
    char hex[DIGEST_HEX_SIZE];
    uint64_t size;

    if (l->sha256[0] ? bundle_blob(b, l->name, l->sha256, l->size_bytes, &f, e) < 0
                     : bundle_file(b, l->name, &f, e) < 0)
        return -1;
    if (expand_to_temp(f.fd, f.offset, f.size, temp_dir, left, &plain, e) < 0)
        return -1;
    if (digest_fd(plain, hex, &size, e) < 0)
        return -1;
    if (strcmp(hex, l->diff_id) != 0)
        return err_set(e, ERR_IMAGE,
                       "holds sha256:%s instead of sha256:%s (it is damaged; get it again)", hex,
                       l->diff_id);
    *ret_fd = own_steal_fd(plain);
    *ret_size = size;
    return 0;
}

int container_image_unpack(const struct container_image *ci, const struct bundle *b,
                           const char *temp_dir, struct rootfs *r, const struct progress *p,
                           struct err *e)
{
    uint64_t left = CONTAINER_IMAGE_BYTES_MAX;

    for (size_t i = 0; i < ci->n_layers; i++) {
        const struct container_layer *l = &ci->layers[i];
        own_free char *what =
            str_printf("layer %zu (sha256:%.12s)", i + 1, l->sha256[0] ? l->sha256 : l->diff_id);
        own_close int plain = -1;
        uint64_t size = 0;

        progress(p, "%s of %zu", what, ci->n_layers);
        if (open_plain(l, b, temp_dir, left, &plain, &size, e) < 0)
            return err_wrap(e, "%s", what);
        if (rootfs_add_layer(r, plain, what, true, e) < 0)
            return -1;
        left -= size;
    }
    return 0;
}

/* ---- what it runs ---------------------------------------------------------------------------- */

/* A list of strings; missing or null is an empty one. */
static int get_list(const struct doc *d, const char *key, struct strv *ret, struct err *e)
{
    const struct doc *list;

    if (!doc_has_value(d, key))
        return 0;
    if (doc_get_array(d, key, &list, e) < 0)
        return wrong(e);
    for (size_t i = 0; i < doc_len(list); i++) {
        const char *text = doc_str_at(list, i);

        if (!text)
            return err_set(e, ERR_IMAGE,
                           "the image's configuration: '%s' has an element that is not text", key);
        strv_add(ret, text);
    }
    return 0;
}

/* A string; missing or null is "". */
static int get_text(const struct doc *d, const char *key, const char **ret, struct err *e)
{
    *ret = "";
    if (doc_has_value(d, key) && doc_get_str(d, key, ret, e) < 0)
        return wrong(e);
    return 0;
}

static int set_user(const struct doc *d, const struct rootfs *r, struct image_config *c,
                    struct strv *notes, struct err *e)
{
    const char *user;

    if (get_text(d, "User", &user, e) < 0 || passwd_resolve(r, user, &c->uid, &c->gid, e) < 0)
        return -1;
    if (c->uid != 0 && c->gid != 0)
        return 0;
    if (c->uid == 0) {
        c->uid = CONTAINER_IMAGE_UID;
        c->gid = CONTAINER_IMAGE_GID;
    } else {
        c->gid = c->uid; /* as --user has it */
    }
    strv_addf(notes,
              "note: the image runs as root or in its group, which a job never does: it will be "
              "uid %u, gid %u",
              c->uid, c->gid);
    return 0;
}

static int set_folder(const struct doc *d, struct rootfs *r, struct image_config *c, struct err *e)
{
    const char *folder;
    char shown[300];

    if (get_text(d, "WorkingDir", &folder, e) < 0)
        return -1;
    if (rootfs_make_dirs(r, folder, e) < 0) {
        str_escape(shown, sizeof(shown), folder, strlen(folder));
        return err_set(e, ERR_IMAGE, "the image's working folder '%s' cannot be made in it", shown);
    }
    c->workdir = str_printf("%s%s", folder[0] == '/' ? "" : "/", folder);
    return 0;
}

int container_image_config(const struct container_image *ci, struct rootfs *r,
                           struct image_config *ret, struct strv *notes, struct err *e)
{
    own_image_config struct image_config c = {0};
    own_doc struct doc *empty = doc_new_object();
    const struct doc *d = empty;

    if (doc_has_value(ci->config, "config") && doc_get_object(ci->config, "config", &d, e) < 0)
        return wrong(e);
    if (get_list(d, "Entrypoint", &c.entrypoint, e) < 0 || get_list(d, "Cmd", &c.command, e) < 0 ||
        get_list(d, "Env", &c.env, e) < 0 || set_user(d, r, &c, notes, e) < 0 ||
        set_folder(d, r, &c, e) < 0)
        return -1;
    if (image_config_check(&c, e) < 0)
        return err_wrap(e, "the image's configuration");
    *ret = c;
    c = (struct image_config){0};
    return 0;
}

struct doc *container_image_origin(const struct container_image *ci)
{
    struct doc *d = doc_new_object();
    own_free char *manifest = str_printf("sha256:%s", ci->manifest_sha256);
    own_free char *config = str_printf("sha256:%s", ci->config_sha256);

    doc_set_str(d, "kind", ci->kind);
    if (ci->reference)
        doc_set_str(d, "reference", ci->reference);
    if (ci->manifest_sha256[0])
        doc_set_str(d, "manifest", manifest);
    doc_set_str(d, "config", config);
    return d;
}
