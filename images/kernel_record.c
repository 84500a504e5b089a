/* kernel_record: the record of a kernel of our own, in and out of the store. */
#include "images/kernel_record.h"

#include "base/own.h"
#include "images/fileset.h"
#include "images/kernel_config.h"
#include "images/store_doc.h"

#include <string.h>

void kernel_record_done(struct kernel_record *r)
{
    free(r->flavour);
    free(r->release);
    free(r->cmdline);
    *r = (struct kernel_record){0};
}

static int get_object(const struct doc *d, const char *key, struct store_object *ret, struct err *e)
{
    static const char *const keys[] = {"sha256", "size", NULL};
    const struct doc *o;

    if (doc_get_object(d, key, &o, e) < 0)
        return -1;
    if (doc_only_keys(o, keys, e) < 0 || store_doc_object(o, ret, e) < 0)
        return err_wrap(e, "'%s'", key);
    return 0;
}

/* Returns new in `ret`. */
static int dup_text(const struct doc *d, const char *key, size_t size, char **ret, struct err *e)
{
    const char *text;

    if (store_doc_text(d, key, size, &text, e) < 0)
        return -1;
    *ret = str_dup(text);
    return 0;
}

static int read_record(const struct doc *d, struct kernel_record *r, struct err *e)
{
    static const char *const keys[] = {"format", "version", "flavour", "release", "cmdline",
                                       "recipe", "kernel",  "config",  NULL};
    const char *format;
    uint64_t version;

    if (doc_only_keys(d, keys, e) < 0 || doc_get_str(d, "format", &format, e) < 0 ||
        doc_get_u64(d, "version", &version, e) < 0)
        return -1;
    if (strcmp(format, KERNEL_RECORD_FORMAT) != 0 || version != KERNEL_RECORD_VERSION)
        return err_set(e, ERR_IMAGE, "not a " KERNEL_RECORD_FORMAT " of version %u",
                       KERNEL_RECORD_VERSION);
    if (dup_text(d, "flavour", 65, &r->flavour, e) < 0 ||
        dup_text(d, "release", 129, &r->release, e) < 0 ||
        dup_text(d, "cmdline", 1024, &r->cmdline, e) < 0 ||
        store_doc_digest(d, "recipe", r->recipe, e) < 0 ||
        get_object(d, "kernel", &r->kernel, e) < 0 || get_object(d, "config", &r->config, e) < 0)
        return -1;
    if (!kernel_is_flavour(r->flavour))
        return err_set(e, ERR_IMAGE, "there is no flavour '%s'", r->flavour);
    return 0;
}

int kernel_record_parse(const char *text, size_t len, struct kernel_record *ret, struct err *e)
{
    own_kernel_record struct kernel_record r = {0};
    own_doc struct doc *d = NULL;

    if (doc_parse(text, len, "kernel record", &d, e) < 0 || read_record(d, &r, e) < 0) {
        e->class = ERR_IMAGE; /* whoever wrote it, it is the store that is damaged */
        return -1;
    }
    *ret = r;
    r = (struct kernel_record){0};
    return 0;
}

static void set_object(struct doc *d, const char *key, const struct store_object *o)
{
    struct doc *v = doc_new_object();

    doc_set_str(v, "sha256", o->sha256);
    doc_set_u64(v, "size", o->size_bytes);
    doc_set(d, key, v);
}

char *kernel_record_format(const struct kernel_record *r)
{
    own_doc struct doc *d = doc_new_object();

    doc_set_str(d, "format", KERNEL_RECORD_FORMAT);
    doc_set_u64(d, "version", KERNEL_RECORD_VERSION);
    doc_set_str(d, "flavour", r->flavour);
    doc_set_str(d, "release", r->release);
    doc_set_str(d, "cmdline", r->cmdline);
    doc_set_str(d, "recipe", r->recipe);
    set_object(d, "kernel", &r->kernel);
    set_object(d, "config", &r->config);
    return doc_format(d, true);
}

int kernel_record_open(const struct store *s, const char *flavour, struct kernel_record *ret,
                       struct err *e)
{
    own_kernel_record struct kernel_record r = {0};
    char sha256[DIGEST_HEX_SIZE];
    own_free char *text = NULL;
    size_t len;

    if (store_name_get(s, STORE_KERNELS, flavour, sha256, e) < 0)
        return -1;
    if (store_read(s, sha256, KERNEL_RECORD_MAX, &text, &len, e) < 0 ||
        kernel_record_parse(text, len, &r, e) < 0)
        return err_wrap(e, "kernel '%s'", flavour);
    if (strcmp(r.flavour, flavour) != 0)
        return err_set(e, ERR_IMAGE, "kernel '%s': its record is of '%s'", flavour, r.flavour);
    *ret = r;
    r = (struct kernel_record){0};
    return 0;
}

int kernel_record_read(const struct store *s, const struct kernel_record *r, char **ret_data,
                       size_t *ret_len, struct err *e)
{
    own_free char *data = NULL;
    size_t len;

    if (store_read(s, r->kernel.sha256, FILESET_FILE_MAX, &data, &len, e) < 0)
        return err_wrap(e, "kernel '%s'", r->flavour);
    if (len != r->kernel.size_bytes)
        return err_set(e, ERR_IMAGE, "kernel '%s': its size differs from its record", r->flavour);
    *ret_data = own_steal_ptr(data);
    *ret_len = len;
    return 0;
}

static struct doc *describe(const struct store *s, const char *flavour)
{
    own_kernel_record struct kernel_record r = {0};
    struct doc *d = doc_new_object();
    struct err why;

    doc_set_str(d, "flavour", flavour);
    if (kernel_record_open(s, flavour, &r, &why) < 0) {
        doc_set_str(d, "error", why.text);
        return d;
    }
    doc_set_str(d, "release", r.release);
    doc_set_u64(d, "size", r.kernel.size_bytes);
    doc_set_str(d, "sha256", r.kernel.sha256);
    doc_set_str(d, "config", r.config.sha256);
    return d;
}

int kernel_record_list(const char *store_dir, struct doc **ret, struct err *e)
{
    return store_doc_list(store_dir, STORE_KERNELS, describe, ret, e);
}
