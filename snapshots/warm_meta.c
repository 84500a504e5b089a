/* warm_meta: meta.json of a saved guest. See warm_meta.h. */
#include "snapshots/warm_meta.h"

#include "base/file.h"
#include "base/own.h"
#include "base/str.h"

#include <string.h>

#define FORMAT  "lazaret-warm"
#define VERSION 1

static const struct field {
    const char *name, *what; /* what: for people */
    size_t offset;
} fields[] = {
    {"image", "another image", offsetof(struct warm_key, image)},
    {"domain", "a virtual machine of another shape", offsetof(struct warm_key, domain)},
    {"emulator", "another QEMU", offsetof(struct warm_key, emulator)},
    {"libvirt", "another libvirt", offsetof(struct warm_key, libvirt)},
    {"host", "another CPU or kernel", offsetof(struct warm_key, host)},
    {"program", "another lazaret", offsetof(struct warm_key, program)},
};
#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

static const char *value_of(const struct warm_key *k, const struct field *f)
{
    const char *value;

    memcpy(&value, (const char *)k + f->offset, sizeof(value));
    return value;
}

static struct doc *key_doc(const struct warm_key *k)
{
    struct doc *d = doc_new_object();

    for (size_t i = 0; i < N_FIELDS; i++)
        doc_set_str(d, fields[i].name, value_of(k, &fields[i]));
    return d;
}

char *warm_meta_key_text(const struct warm_key *k)
{
    own_doc struct doc *d = key_doc(k);

    return doc_format(d, false);
}

int warm_meta_write(int folder_fd, const struct warm_key *k, const struct warm_meta *m,
                    struct err *e)
{
    own_doc struct doc *d = doc_new_object();
    own_free char *text = NULL;
    struct doc *part;

    doc_set_str(d, "format", FORMAT);
    doc_set_u64(d, "version", VERSION);
    doc_set_u64(d, "created", m->created_s);
    doc_set(d, "key", key_doc(k));
    part = doc_new_object();
    doc_set_str(part, "sha256", m->ram.sha256);
    doc_set_u64(part, "size", m->ram.size_bytes);
    doc_set_u64(part, "used", m->ram.used_bytes);
    doc_set(d, WARM_RAM, part);
    part = doc_new_object();
    doc_set_str(part, "sha256", m->state_sha256);
    doc_set_u64(part, "size", m->state_bytes);
    doc_set(d, WARM_STATE, part);
    text = doc_format(d, true);
    return file_write(folder_fd, WARM_META, text, strlen(text), 0400, e);
}

static int read_digest(const struct doc *d, char ret_hex[DIGEST_HEX_SIZE], struct err *e)
{
    const char *text;

    if (doc_get_str(d, "sha256", &text, e) < 0)
        return -1;
    if (!digest_is_hex(text))
        return err_set(e, ERR_HOST, "sha256: not 64 hex digits");
    memcpy(ret_hex, text, DIGEST_HEX_SIZE);
    return 0;
}

static int read_parts(const struct doc *d, struct warm_meta *ret, struct err *e)
{
    static const char *const ram_keys[] = {"sha256", "size", "used", NULL};
    static const char *const state_keys[] = {"sha256", "size", NULL};
    const struct doc *ram, *state;

    if (doc_get_object(d, WARM_RAM, &ram, e) < 0 || doc_only_keys(ram, ram_keys, e) < 0 ||
        read_digest(ram, ret->ram.sha256, e) < 0 ||
        doc_get_u64(ram, "size", &ret->ram.size_bytes, e) < 0 ||
        doc_get_u64(ram, "used", &ret->ram.used_bytes, e) < 0)
        return -1;
    if (doc_get_object(d, WARM_STATE, &state, e) < 0 || doc_only_keys(state, state_keys, e) < 0 ||
        read_digest(state, ret->state_sha256, e) < 0 ||
        doc_get_u64(state, "size", &ret->state_bytes, e) < 0)
        return -1;
    return 0;
}

static int check_key(const struct doc *key, const struct warm_key *want, char **ret_image,
                     struct err *e)
{
    const char *names[N_FIELDS + 1] = {NULL};
    const char *image;

    for (size_t i = 0; i < N_FIELDS; i++)
        names[i] = fields[i].name;
    if (doc_only_keys(key, names, e) < 0)
        return -1;
    for (size_t i = 0; i < N_FIELDS; i++) {
        const char *text;

        if (doc_get_str(key, fields[i].name, &text, e) < 0)
            return -1;
        if (want && strcmp(text, value_of(want, &fields[i])) != 0)
            return err_set(e, ERR_HOST, "it was saved for %s", fields[i].what);
    }
    if (ret_image) {
        if (doc_get_str(key, "image", &image, e) < 0)
            return -1;
        *ret_image = str_dup(image);
    }
    return 0;
}

static int read_doc(const struct doc *d, const struct warm_key *k, struct warm_meta *ret,
                    char **ret_image, struct err *e)
{
    static const char *const keys[] = {"format", "version",  "created", "key",
                                       WARM_RAM, WARM_STATE, NULL};
    const struct doc *key;
    const char *format;
    uint64_t version;

    if (doc_get_str(d, "format", &format, e) < 0 || doc_get_u64(d, "version", &version, e) < 0)
        return -1;
    if (strcmp(format, FORMAT) != 0 || version != VERSION)
        return err_set(e, ERR_HOST, "not version %d of '%s'", VERSION, FORMAT);
    if (doc_only_keys(d, keys, e) < 0 || doc_get_u64(d, "created", &ret->created_s, e) < 0 ||
        read_parts(d, ret, e) < 0 || doc_get_object(d, "key", &key, e) < 0)
        return -1;
    return check_key(key, k, ret_image, e);
}

int warm_meta_read(int folder_fd, const struct warm_key *k, struct warm_meta *ret, char **ret_image,
                   struct err *e)
{
    own_doc struct doc *d = NULL;
    own_free char *text = NULL;
    struct warm_meta m = {0};
    size_t len;

    if (file_read(folder_fd, WARM_META, WARM_META_MAX, &text, &len, e) < 0)
        return -1;
    if (strlen(text) != len)
        return err_set(e, ERR_HOST, WARM_META ": not text");
    if (doc_parse(text, len, WARM_META, &d, e) < 0 || read_doc(d, k, &m, ret_image, e) < 0) {
        e->class = ERR_HOST; /* nobody typed it */
        return err_wrap(e, WARM_META);
    }
    *ret = m;
    return 0;
}
