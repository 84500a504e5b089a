/* manifest: what an image is, on one page: its parts by digest, what it runs, how it was made. */
#include "images/manifest.h"

#include "base/own.h"
#include "images/packages.h"
#include "images/store_doc.h"

#include <inttypes.h>
#include <string.h>

#define CMDLINE_MAX 1024  /* bytes, with the NUL; the kernel's own limit is 2048 */
#define TEXT_MAX    256   /* bytes, with the NUL, of a package's name and the like */
#define ORIGIN_MAX  1024  /* bytes, with the NUL, of a text in created_from */
#define WORKDIR_MAX 4096  /* bytes, with the NUL */
#define ID_MAX      65535 /* as the container has them (shared/guest.h) */

const char *image_part_name(enum image_part part)
{
    static const char *const names[IMAGE_PARTS] = {
        [IMAGE_KERNEL] = "kernel", [IMAGE_INITRAMFS] = "initramfs", [IMAGE_ROOT] = "root"};

    return names[part];
}

void image_config_done(struct image_config *c)
{
    strv_done(&c->entrypoint);
    strv_done(&c->command);
    strv_done(&c->env);
    free(c->workdir);
    *c = (struct image_config){0};
}

void manifest_done(struct manifest *m)
{
    free(m->cmdline);
    free(m->kernel_flavour);
    free(m->kernel_release);
    image_config_done(&m->config);
    doc_free(m->packages);
    doc_free(m->recipe);
    doc_free(m->created_from);
    *m = (struct manifest){0};
}

/* ---- reading ---- */

static int read_kernel(const struct doc *d, struct manifest *m, struct err *e)
{
    static const char *const keys[] = {"sha256", "size", "flavour", "release", NULL};
    const char *flavour, *release;

    if (doc_only_keys(d, keys, e) < 0 || store_doc_object(d, &m->parts[IMAGE_KERNEL], e) < 0 ||
        store_doc_text(d, "flavour", TEXT_MAX, &flavour, e) < 0 ||
        store_doc_text(d, "release", TEXT_MAX, &release, e) < 0)
        return -1;
    if (!str_is_name(flavour))
        return err_set(e, ERR_IMAGE, "'flavour' is not a name");
    m->kernel_flavour = str_dup(flavour);
    m->kernel_release = str_dup(release);
    return 0;
}

static int read_initramfs(const struct doc *d, struct manifest *m, struct err *e)
{
    static const char *const keys[] = {"sha256", "size", NULL};

    return doc_only_keys(d, keys, e) < 0 ? -1 : store_doc_object(d, &m->parts[IMAGE_INITRAMFS], e);
}

static int read_verity(const struct doc *d, struct manifest *m, struct err *e)
{
    static const char *const keys[] = {"root_hash", "salt", "data_blocks", "hash_start", NULL};
    struct verity *v = &m->verity;

    if (doc_only_keys(d, keys, e) < 0 || store_doc_digest(d, "root_hash", v->root_hash, e) < 0 ||
        store_doc_digest(d, "salt", v->salt, e) < 0 ||
        doc_get_u64(d, "data_blocks", &v->data_blocks, e) < 0 ||
        doc_get_u64(d, "hash_start", &v->hash_start, e) < 0)
        return -1;
    return verity_check_layout(v, m->parts[IMAGE_ROOT].size_bytes, e);
}

static int read_root(const struct doc *d, struct manifest *m, struct err *e)
{
    static const char *const keys[] = {"sha256", "size", "filesystem", "verity", NULL};
    const struct doc *verity;
    const char *filesystem;

    if (doc_only_keys(d, keys, e) < 0 || store_doc_object(d, &m->parts[IMAGE_ROOT], e) < 0 ||
        doc_get_str(d, "filesystem", &filesystem, e) < 0 ||
        doc_get_object(d, "verity", &verity, e) < 0)
        return -1;
    if (strcmp(filesystem, "squashfs") != 0)
        return err_set(e, ERR_IMAGE, "'filesystem' is not squashfs");
    return read_verity(verity, m, e) < 0 ? err_wrap(e, "verity") : 0;
}

static int read_id(const struct doc *d, const char *key, unsigned *ret, struct err *e)
{
    uint64_t id;

    if (doc_get_u64(d, key, &id, e) < 0)
        return -1;
    if (id > ID_MAX)
        return err_set(e, ERR_IMAGE, "'%s' is over %u", key, ID_MAX);
    *ret = (unsigned)id;
    return 0;
}

static int read_config(const struct doc *d, struct manifest *m, struct err *e)
{
    static const char *const keys[] = {"entrypoint", "command", "env", "workdir",
                                       "uid",        "gid",     NULL};
    struct image_config *c = &m->config;
    const char *workdir;

    if (doc_only_keys(d, keys, e) < 0 || doc_get_strv(d, "entrypoint", &c->entrypoint, e) < 0 ||
        doc_get_strv(d, "command", &c->command, e) < 0 || doc_get_strv(d, "env", &c->env, e) < 0 ||
        doc_get_str(d, "workdir", &workdir, e) < 0 || read_id(d, "uid", &c->uid, e) < 0 ||
        read_id(d, "gid", &c->gid, e) < 0)
        return -1;
    c->workdir = str_dup(workdir);
    return image_config_check(c, e);
}

static int check_texts(const struct strv *v, const char *what, struct err *e)
{
    for (size_t i = 0; i < v->n; i++)
        if (!str_is_utf8(v->items[i]))
            return err_set(e, ERR_IMAGE, "'%s' has an element that is not UTF-8", what);
    return 0;
}

int image_config_check(const struct image_config *c, struct err *e)
{
    if (check_texts(&c->entrypoint, "entrypoint", e) < 0 ||
        check_texts(&c->command, "command", e) < 0 || check_texts(&c->env, "env", e) < 0)
        return -1;
    for (size_t i = 0; i < c->env.n; i++)
        if (c->env.items[i][0] == '=' || !strchr(c->env.items[i], '='))
            return err_set(e, ERR_IMAGE, "'env' has an element that is not NAME=VALUE");
    if (!c->workdir || c->workdir[0] != '/' || strlen(c->workdir) >= WORKDIR_MAX ||
        !str_is_utf8(c->workdir))
        return err_set(e, ERR_IMAGE, "'workdir' is not an absolute path");
    if (c->uid > ID_MAX || c->gid > ID_MAX)
        return err_set(e, ERR_IMAGE, "'uid' or 'gid' is over %u", ID_MAX);
    return 0;
}

static int read_packages(const struct doc *d, struct manifest *m, struct err *e)
{
    own_packages struct packages packages = {0};
    const struct doc *list;

    if (doc_get_array(d, "packages", &list, e) < 0 || packages_parse(list, &packages, e) < 0)
        return -1;
    m->packages = doc_ref(list);
    return 0;
}

/* What is for people is still checked for its shape: it is shown on terminals. */
static int read_origin(const struct doc *d, struct manifest *m, struct err *e)
{
    const struct doc *origin, *recipe;
    const char *key, *text;

    if (doc_get_object(d, "recipe", &recipe, e) < 0 ||
        doc_get_object(d, "created_from", &origin, e) < 0)
        return -1;
    if (!doc_has(origin, "kind"))
        return err_set(e, ERR_IMAGE, "created_from: key 'kind' is missing");
    for (size_t i = 0; (key = doc_key_at(origin, i)); i++) {
        if (!str_is_printable(key, TEXT_MAX))
            return err_set(e, ERR_IMAGE, "created_from: a key is not printable");
        if (store_doc_text(origin, key, ORIGIN_MAX, &text, e) < 0)
            return err_wrap(e, "created_from");
    }
    m->recipe = doc_ref(recipe);
    m->created_from = doc_ref(origin);
    return 0;
}

static int check_format(const struct doc *d, struct err *e)
{
    const char *format, *architecture;
    uint64_t version;

    if (!doc_is_object(d))
        return err_set(e, ERR_IMAGE, "not an object");
    if (doc_get_str(d, "format", &format, e) < 0 || doc_get_u64(d, "version", &version, e) < 0)
        return -1;
    if (strcmp(format, MANIFEST_FORMAT) != 0 || version != MANIFEST_VERSION)
        return err_set(e, ERR_IMAGE, "not a '%s' of version %u", MANIFEST_FORMAT, MANIFEST_VERSION);
    if (doc_get_str(d, "architecture", &architecture, e) < 0)
        return -1;
    if (strcmp(architecture, MANIFEST_ARCHITECTURE) != 0)
        return err_set(e, ERR_IMAGE, "its architecture is not " MANIFEST_ARCHITECTURE);
    return 0;
}

static int read_manifest(const struct doc *d, struct manifest *m, struct err *e)
{
    static const char *const keys[] = {
        "format", "version", "architecture", "protocol", "cmdline",      "kernel", "initramfs",
        "root",   "config",  "packages",     "recipe",   "created_from", NULL};
    static const struct {
        const char *key;
        int (*read)(const struct doc *d, struct manifest *m, struct err *e);
    } objects[] = {{"kernel", read_kernel},
                   {"initramfs", read_initramfs},
                   {"root", read_root},
                   {"config", read_config}};
    const char *cmdline;

    if (check_format(d, e) < 0 || doc_only_keys(d, keys, e) < 0 ||
        doc_get_u64(d, "protocol", &m->protocol, e) < 0 ||
        store_doc_text(d, "cmdline", CMDLINE_MAX, &cmdline, e) < 0)
        return -1;
    m->cmdline = str_dup(cmdline);
    for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
        const struct doc *object;

        if (doc_get_object(d, objects[i].key, &object, e) < 0)
            return -1;
        if (objects[i].read(object, m, e) < 0)
            return err_wrap(e, "%s", objects[i].key);
    }
    return read_packages(d, m, e) < 0 ? -1 : read_origin(d, m, e);
}

int manifest_parse(const char *text, size_t len, struct manifest *ret, struct err *e)
{
    own_manifest struct manifest m = {0};
    own_doc struct doc *d = NULL;

    if (len > MANIFEST_MAX)
        return err_set(e, ERR_IMAGE, "manifest: over %u bytes", MANIFEST_MAX);
    if (doc_parse(text, len, "manifest", &d, e) < 0) {
        e->class = ERR_IMAGE;
        return -1;
    }
    if (read_manifest(d, &m, e) < 0) {
        e->class = ERR_IMAGE;
        return err_wrap(e, "manifest");
    }
    *ret = m;
    m = (struct manifest){0};
    return 0;
}

/* ---- writing ---- */

static struct doc *format_part(const struct manifest *m, enum image_part part)
{
    struct doc *d = doc_new_object();

    doc_set_str(d, "sha256", m->parts[part].sha256);
    doc_set_u64(d, "size", m->parts[part].size_bytes);
    return d;
}

static struct doc *format_kernel(const struct manifest *m)
{
    struct doc *d = format_part(m, IMAGE_KERNEL);

    doc_set_str(d, "flavour", m->kernel_flavour);
    doc_set_str(d, "release", m->kernel_release);
    return d;
}

static struct doc *format_root(const struct manifest *m)
{
    struct doc *d = format_part(m, IMAGE_ROOT);
    struct doc *verity = doc_new_object();

    doc_set_str(verity, "root_hash", m->verity.root_hash);
    doc_set_str(verity, "salt", m->verity.salt);
    doc_set_u64(verity, "data_blocks", m->verity.data_blocks);
    doc_set_u64(verity, "hash_start", m->verity.hash_start);
    doc_set_str(d, "filesystem", "squashfs");
    doc_set(d, "verity", verity);
    return d;
}

static struct doc *format_config(const struct image_config *c)
{
    struct doc *d = doc_new_object();

    doc_set_strv(d, "entrypoint", (const char *const *)c->entrypoint.items);
    doc_set_strv(d, "command", (const char *const *)c->command.items);
    doc_set_strv(d, "env", (const char *const *)c->env.items);
    doc_set_str(d, "workdir", c->workdir);
    doc_set_u64(d, "uid", c->uid);
    doc_set_u64(d, "gid", c->gid);
    return d;
}

struct doc *manifest_to_doc(const struct manifest *m)
{
    struct doc *d = doc_new_object();

    doc_set_str(d, "format", MANIFEST_FORMAT);
    doc_set_u64(d, "version", MANIFEST_VERSION);
    doc_set_str(d, "architecture", MANIFEST_ARCHITECTURE);
    doc_set_u64(d, "protocol", m->protocol);
    doc_set_str(d, "cmdline", m->cmdline);
    doc_set(d, "kernel", format_kernel(m));
    doc_set(d, "initramfs", format_part(m, IMAGE_INITRAMFS));
    doc_set(d, "root", format_root(m));
    doc_set(d, "config", format_config(&m->config));
    doc_set(d, "packages", doc_ref(m->packages));
    doc_set(d, "recipe", doc_ref(m->recipe));
    doc_set(d, "created_from", doc_ref(m->created_from));
    return d;
}

char *manifest_format(const struct manifest *m)
{
    own_doc struct doc *d = manifest_to_doc(m);

    return doc_format(d, true);
}
