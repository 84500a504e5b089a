/*
 * bundle_make: small OCI layouts and docker archives, good ones, and bad ones by changing a word.
 *
 * The documents are texts with ' for ", and $NAME for the digest of what blob() made under that
 * name, $NAME.size for its size, and $OCI for the beginning of OCI's media types.
 */
#ifndef LZ_TESTS_BUNDLE_MAKE_H
#define LZ_TESTS_BUNDLE_MAKE_H

#include "base/digest.h"
#include "tests/unit/tar_make.h"
#include "tests/unit/temp.h"

#include <archive.h>
#include <archive_entry.h>

struct names {
    struct {
        char *name, *value;
    } items[40];
    size_t n;
};

static inline void names_done(struct names *v)
{
    for (size_t i = 0; i < v->n; i++) {
        free(v->items[i].name);
        free(v->items[i].value);
    }
    *v = (struct names){0};
}

static inline void name_is(struct names *v, const char *name, const char *value)
{
    ck_assert_uint_lt(v->n, 40);
    v->items[v->n].name = str_dup(name);
    v->items[v->n++].value = str_dup(value);
}

/* What a text that starts with '$' stands for, and how long that name is; the longest one fits. */
static inline const char *value_of(const struct names *v, const char *text, size_t *ret_len)
{
    static const char oci[] = "application/vnd.oci.image.";
    const char *value = "$";

    *ret_len = 1;
    if (strncmp(text, "$OCI", 4) == 0) {
        *ret_len = 4;
        return oci;
    }
    for (size_t i = 0; i < v->n; i++) {
        size_t len = strlen(v->items[i].name) + 1;

        if (len > *ret_len && strncmp(text + 1, v->items[i].name, len - 1) == 0) {
            *ret_len = len;
            value = v->items[i].value;
        }
    }
    return value;
}

/* Returns new. */
static inline char *fill_in(const struct names *v, const char *text)
{
    struct str out = {0};
    size_t len;

    for (; *text; text += len) {
        len = 1;
        if (*text == '$')
            str_add(&out, value_of(v, text, &len));
        else
            str_add_bytes(&out, *text == '\'' ? "\"" : text, 1);
    }
    return str_steal(&out);
}

static inline void put_bytes(const char *name, const void *data, size_t len)
{
    own_free char *path = in_dir(name);
    own_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(file_write_all(fd, data, len), 0);
}

/* What libarchive's filter makes of the bytes. */
static inline void squeeze(int filter, const struct str *in, struct str *out)
{
    size_t cap = in->len + 65536, used = 0;
    char *buf = malloc(cap);
    struct archive *a = archive_write_new();
    struct archive_entry *en = archive_entry_new();

    ck_assert_int_eq(archive_write_set_format_raw(a), ARCHIVE_OK);
    ck_assert_int_eq(archive_write_add_filter(a, filter), ARCHIVE_OK);
    archive_write_set_bytes_in_last_block(a, 1);
    archive_write_set_filter_option(a, NULL, "compression-level", "1");
    ck_assert_int_eq(archive_write_open_memory(a, buf, cap, &used), ARCHIVE_OK);
    archive_entry_set_filetype(en, AE_IFREG);
    ck_assert_int_eq(archive_write_header(a, en), ARCHIVE_OK);
    ck_assert_int_eq(archive_write_data(a, in->data, in->len), (la_ssize_t)in->len);
    ck_assert_int_eq(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
    archive_entry_free(en);
    str_add_bytes(out, buf, used);
    free(buf);
}

/* A blob of the layout in "layout". */
static inline void blob_bytes(struct names *v, const char *name, const void *data, size_t len)
{
    own_free char *size_name = str_printf("%s.size", name);
    own_free char *size = str_printf("%zu", len), *path = NULL;
    char hex[DIGEST_HEX_SIZE];
    struct err e;

    ck_assert_int_eq(digest_bytes(data, len, hex, &e), 0);
    path = str_printf("layout/blobs/sha256/%s", hex);
    put_bytes(path, data, len);
    name_is(v, name, hex);
    name_is(v, size_name, size);
}

static inline void blob(struct names *v, const char *name, const char *text)
{
    own_free char *whole = fill_in(v, text);

    blob_bytes(v, name, whole, strlen(whole));
}

/* The layer $NAME, by a filter of libarchive, and its content's digest as $NAME.diff. */
static inline void blob_layer(struct names *v, const char *name, const char *spec, int filter)
{
    own_free char *diff_name = str_printf("%s.diff", name);
    own_str struct str plain = {0}, small = {0};
    char hex[DIGEST_HEX_SIZE];
    struct err e;

    make_layer(&plain, spec);
    make_end(&plain);
    ck_assert_int_eq(digest_bytes(plain.data, plain.len, hex, &e), 0);
    name_is(v, diff_name, hex);
    squeeze(filter, &plain, &small);
    blob_bytes(v, name, small.data, small.len);
}

static inline void put_filled(struct names *v, const char *path, const char *text)
{
    own_free char *whole = fill_in(v, text);

    put(path, whole);
}

static inline void make_layout(void)
{
    make("layout");
    make("layout/blobs");
    make("layout/blobs/sha256");
    put("layout/oci-layout", "{\"imageLayoutVersion\": \"1.0.0\"}");
}

/* ---- an OCI layout of two layers, every document of which can be another one ---------------- */

#define CONFIG                                                                                     \
    "{'os':'linux','architecture':'amd64','created':'x',"                                          \
    "'config':{'User':'web:staff','Env':['A=b c'],'Entrypoint':['/app/run','-x'],'Cmd':null,"      \
    "'WorkingDir':'/srv/www','Labels':{'a':'b'}},"                                                 \
    "'rootfs':{'type':'layers','diff_ids':['sha256:$one.diff','sha256:$two.diff']}}"

#define HEAD                                                                                       \
    "{'schemaVersion':2,'config':{'mediaType':'$OCIconfig.v1+json',"                               \
    "'digest':'sha256:$config','size':$config.size},"
#define LAYER(type, name)                                                                          \
    "{'mediaType':'$OCIlayer.v1." type "','digest':'sha256:$" name "','size':$" name ".size}"
#define MANIFEST HEAD "'layers':[" LAYER("tar+gzip", "one") "," LAYER("tar+zstd", "two") "]}"

#define INDEX                                                                                      \
    "{'schemaVersion':2,'manifests':[{'mediaType':'$OCImanifest.v1+json',"                         \
    "'digest':'sha256:$manifest','size':$manifest.size,"                                           \
    "'annotations':{'org.opencontainers.image.ref.name':'v1'}}]}"

#define LAYER_ONE                                                                                  \
    "f etc/passwd root:x:0:0::/:\nf etc/group staff:x:50:\n"                                       \
    "f app/run #!/bin/sh\nf app/old x\nl srv/www /var/www"
#define LAYER_TWO "f etc/passwd web:x:33:33::/:\nf app/.wh.old"

struct layout {
    const char *config, *manifest, *index, *one, *two;
};

/* What is NULL is the good one. */
static inline void put_layout(const struct layout *l)
{
    __attribute__((cleanup(names_done))) struct names v = {0};

    make_layout();
    blob_layer(&v, "one", l->one ? l->one : LAYER_ONE, ARCHIVE_FILTER_GZIP);
    blob_layer(&v, "two", l->two ? l->two : LAYER_TWO, ARCHIVE_FILTER_ZSTD);
    blob(&v, "config", l->config ? l->config : CONFIG);
    blob(&v, "manifest", l->manifest ? l->manifest : MANIFEST);
    put_filled(&v, "layout/index.json", l->index ? l->index : INDEX);
}

#endif
