/* image_archive: an image as one file, to be carried to another store. */
#include "images/image_archive.h"

#include "base/doc.h"
#include "base/file.h"
#include "base/own.h"
#include "images/tar.h"
#include "images/trust.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define INDEX     "lazaret-archive"
#define MODE      0444
#define CHUNK     (256u << 10) /* bytes that are copied at once */
#define SIZE_AT   124          /* of the size in a tar header (POSIX.1-2017, pax, ustar) */
#define SIZE_LEN  12           /* bytes of it */
#define END_BYTES (2 * TAR_BLOCK)

/* The parts of an image, each blob once: one that an earlier part is too is not there again. */
static bool is_first(const struct manifest *m, int part)
{
    for (int i = 0; i < part; i++)
        if (strcmp(m->parts[i].sha256, m->parts[part].sha256) == 0)
            return false;
    return true;
}

static char *blob_name(const char *sha256)
{
    return str_printf("blobs/sha256/%s", sha256);
}

static char *signature_name(const char *key_id)
{
    return str_printf("signatures/%s.json", key_id);
}

/* The header of an entry: it follows from name and size. */
static void format_header(struct str *out, const char *name, uint64_t size)
{
    own_tar_entry struct tar_entry en = {.type = TAR_FILE, .mode = MODE, .size = size};

    str_add(&en.path, name);
    tar_format(out, &en);
}

/* ---- writing ---- */

struct writer {
    int fd;
    uint64_t at;
};

static int write_out(struct writer *w, const void *data, size_t len, struct err *e)
{
    if (file_write_all(w->fd, data, len) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot write the archive");
    w->at += len;
    return 0;
}

static int write_header(struct writer *w, const char *name, uint64_t size, struct err *e)
{
    own_str struct str header = {0};

    format_header(&header, name, size);
    return write_out(w, header.data, header.len, e);
}

static int write_padding(struct writer *w, uint64_t size, struct err *e)
{
    static const char zeros[TAR_BLOCK];

    return write_out(w, zeros, tar_padding(size), e);
}

static int write_text(struct writer *w, const char *name, const char *text, size_t len,
                      struct err *e)
{
    return write_header(w, name, len, e) < 0 || write_out(w, text, len, e) < 0 ||
                   write_padding(w, len, e) < 0
               ? -1
               : 0;
}

/* `size` bytes of `fd` from its beginning. */
static int write_file(struct writer *w, const char *name, int fd, uint64_t size, struct err *e)
{
    own_free char *buf = malloc(CHUNK);
    uint64_t at = 0;

    if (!buf)
        return err_set(e, ERR_HOST, "out of memory");
    if (write_header(w, name, size, e) < 0)
        /* cppcheck-suppress memleak ; cleanup frees it */
        return -1;
    while (at < size) {
        ssize_t n = pread(fd, buf, size - at < CHUNK ? size - at : CHUNK, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_sys(e, ERR_HOST, n < 0 ? errno : EIO, "cannot read '%s'", name);
        if (write_out(w, buf, (size_t)n, e) < 0)
            return -1;
        at += (uint64_t)n;
    }
    return write_padding(w, size, e);
}

static int write_index(struct writer *w, const struct image *im, const struct strv *key_ids,
                       struct err *e)
{
    own_doc struct doc *d = doc_new_object();
    own_free char *digest = str_printf("sha256:%s", im->digest);
    own_free char *text = NULL;

    doc_set_str(d, "format", IMAGE_ARCHIVE_FORMAT);
    doc_set_u64(d, "version", IMAGE_ARCHIVE_VERSION);
    doc_set_str(d, "manifest", digest);
    doc_set_strv(d, "signatures", (const char *const *)key_ids->items);
    text = doc_format(d, true);
    return write_text(w, INDEX, text, strlen(text), e);
}

static int write_manifest(struct writer *w, const struct image *im, struct err *e)
{
    own_free char *name = blob_name(im->digest);
    own_free char *text = NULL;
    size_t len;

    /* The bytes as they are: another writer may have formatted them. */
    if (store_read(&im->store, im->digest, MANIFEST_MAX, &text, &len, e) < 0)
        return -1;
    return write_text(w, name, text, len, e);
}

static int write_parts(struct writer *w, const struct image *im, const struct progress *p,
                       struct err *e)
{
    for (int i = 0; i < IMAGE_PARTS; i++) {
        const struct store_object *o = &im->m.parts[i];
        own_free char *name = blob_name(o->sha256);

        if (!is_first(&im->m, i))
            continue;
        progress(p, "%s: writing %" PRIu64 " bytes", image_part_name((enum image_part)i),
                 o->size_bytes);
        if (write_file(w, name, im->fds[i], o->size_bytes, e) < 0)
            return -1;
    }
    return 0;
}

static int write_signatures(struct writer *w, const struct image *im, const struct strv *key_ids,
                            struct err *e)
{
    for (size_t i = 0; i < key_ids->n; i++) {
        own_free char *name = signature_name(key_ids->items[i]);
        own_free char *text = NULL;
        size_t len;

        if (trust_read(&im->store, im->digest, key_ids->items[i], &text, &len, e) < 0 ||
            trust_check_form(im->digest, key_ids->items[i], text, len, e) < 0 ||
            write_text(w, name, text, len, e) < 0)
            return -1;
    }
    return 0;
}

int image_archive_write(struct image *im, int fd, const struct progress *p,
                        uint64_t *ret_size_bytes, struct err *e)
{
    static const char zeros[END_BYTES];
    struct writer w = {.fd = fd};
    own_strv struct strv key_ids = {0};

    progress(p, "image '%s': checking", im->ref);
    if (image_verify(im, e) < 0 || trust_list(&im->store, im->digest, &key_ids, e) < 0)
        return -1;
    if (key_ids.n > TRUST_SIGNATURES_MAX)
        return err_set(e, ERR_IMAGE, "image '%s' has more than %u signatures", im->ref,
                       TRUST_SIGNATURES_MAX);
    if (write_index(&w, im, &key_ids, e) < 0 || write_manifest(&w, im, e) < 0 ||
        write_parts(&w, im, p, e) < 0 || write_signatures(&w, im, &key_ids, e) < 0 ||
        write_out(&w, zeros, sizeof(zeros), e) < 0)
        return -1;
    *ret_size_bytes = w.at;
    return 0;
}

/* ---- reading ---- */

struct reader {
    int fd;
    uint64_t at;
    const struct store *store;
    const struct progress *progress;
    char digest[DIGEST_HEX_SIZE]; /* of the manifest */
    struct strv key_ids;
    char *manifest_text;
    size_t manifest_len;
    struct manifest m;
    struct store_blob blobs[IMAGE_PARTS]; /* written and not committed */
    struct strv signatures;               /* the texts, as key_ids */
};

static void reader_done(struct reader *r)
{
    strv_done(&r->key_ids);
    free(r->manifest_text);
    manifest_done(&r->m);
    for (int i = 0; i < IMAGE_PARTS; i++)
        store_blob_done(&r->blobs[i]);
    strv_done(&r->signatures);
}

/* Exactly `len` bytes. */
static int read_in(struct reader *r, void *buf, size_t len, struct err *e)
{
    char *to = buf;

    while (len > 0) {
        ssize_t n = read(r->fd, to, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, ERR_HOST, errno, "cannot read");
        if (n == 0)
            return err_set(e, ERR_IMAGE, "it ends at byte %" PRIu64 ", before its end", r->at);
        to += n;
        len -= (size_t)n;
        r->at += (uint64_t)n;
    }
    return 0;
}

/* Something else than what must come: says what, as far as that can be said. */
static int unexpected(const struct reader *r, const char *header, const char *want, struct err *e)
{
    char name[128];

    str_escape(name, sizeof(name), header, strnlen(header, 100));
    return err_set(e, ERR_IMAGE,
                   "byte %" PRIu64 ": the entry '%s' is not '%s' as an export writes it",
                   r->at - TAR_BLOCK, name, want);
}

/* The header of the entry `name`, whose size is known: nothing of it can be otherwise. */
static int expect_header(struct reader *r, const char *name, uint64_t size, struct err *e)
{
    own_str struct str want = {0};
    char got[TAR_BLOCK];

    format_header(&want, name, size);
    for (size_t at = 0; at < want.len; at += TAR_BLOCK) {
        if (read_in(r, got, sizeof(got), e) < 0)
            return -1;
        if (memcmp(got, want.data + at, sizeof(got)) != 0)
            return unexpected(r, got, name, e);
    }
    return 0;
}

/* 11 octal digits and a NUL; -1 else. */
static int64_t parse_size(const char *field)
{
    int64_t size = 0;

    for (int i = 0; i < SIZE_LEN - 1; i++) {
        if (field[i] < '0' || field[i] > '7')
            return -1;
        size = size * 8 + (field[i] - '0');
    }
    return field[SIZE_LEN - 1] == '\0' ? size : -1;
}

/* The same, when the size is anything up to `max`: it is taken from the header, and must then
 * explain all of it. */
static int expect_sized_header(struct reader *r, const char *name, size_t max, size_t *ret_size,
                               struct err *e)
{
    own_str struct str want = {0};
    char got[TAR_BLOCK];
    int64_t size;

    if (read_in(r, got, sizeof(got), e) < 0)
        return -1;
    size = parse_size(got + SIZE_AT);
    if (size < 0)
        return unexpected(r, got, name, e);
    if ((uint64_t)size > max)
        return err_set(e, ERR_IMAGE, "byte %" PRIu64 ": '%s' is over %zu bytes", r->at - TAR_BLOCK,
                       name, max);
    format_header(&want, name, (uint64_t)size);
    if (memcmp(got, want.data, sizeof(got)) != 0)
        return unexpected(r, got, name, e);
    *ret_size = (size_t)size;
    return 0;
}

/* `len` zero bytes. */
static int expect_zeros(struct reader *r, size_t len, struct err *e)
{
    static const char zeros[END_BYTES];
    char got[END_BYTES];

    if (read_in(r, got, len, e) < 0)
        return -1;
    if (memcmp(got, zeros, len) != 0)
        return err_set(e, ERR_IMAGE, "byte %" PRIu64 ": not the zeros that belong there",
                       r->at - len);
    return 0;
}

/* Returns new, NUL-terminated: the file `name` of at most `max` bytes. */
static int read_text(struct reader *r, const char *name, size_t max, char **ret_text,
                     size_t *ret_len, struct err *e)
{
    own_free char *text = NULL;
    size_t len;

    if (expect_sized_header(r, name, max, &len, e) < 0)
        return -1;
    text = malloc(len + 1);
    if (!text)
        return err_set(e, ERR_HOST, "out of memory");
    if (read_in(r, text, len, e) < 0 || expect_zeros(r, tar_padding(len), e) < 0)
        return -1;
    text[len] = '\0';
    *ret_text = own_steal_ptr(text);
    *ret_len = len;
    return 0;
}

static int parse_index(const struct doc *d, struct reader *r, struct err *e)
{
    static const char *const keys[] = {"format", "version", "manifest", "signatures", NULL};
    const struct doc *list;
    const char *format, *manifest;
    uint64_t version;

    if (!doc_is_object(d))
        return err_set(e, ERR_IMAGE, "not an object");
    if (doc_get_str(d, "format", &format, e) < 0 || doc_get_u64(d, "version", &version, e) < 0)
        return -1;
    if (strcmp(format, IMAGE_ARCHIVE_FORMAT) != 0 || version != IMAGE_ARCHIVE_VERSION)
        return err_set(e, ERR_IMAGE, "not a '%s' of version %u", IMAGE_ARCHIVE_FORMAT,
                       IMAGE_ARCHIVE_VERSION);
    if (doc_only_keys(d, keys, e) < 0 || doc_get_str(d, "manifest", &manifest, e) < 0 ||
        doc_get_array(d, "signatures", &list, e) < 0)
        return -1;
    if (!str_starts_with(manifest, "sha256:") || !digest_is_hex(manifest + strlen("sha256:")))
        return err_set(e, ERR_IMAGE, "'manifest' is not a digest");
    memcpy(r->digest, manifest + strlen("sha256:"), DIGEST_HEX_SIZE);
    if (doc_len(list) > TRUST_SIGNATURES_MAX)
        return err_set(e, ERR_IMAGE, "more than %u signatures", TRUST_SIGNATURES_MAX);
    for (size_t i = 0; i < doc_len(list); i++) {
        const char *id = doc_str_at(list, i);

        if (!id || !digest_is_hex(id) || (i > 0 && strcmp(r->key_ids.items[i - 1], id) >= 0))
            return err_set(e, ERR_IMAGE, "'signatures' are not key ids in their order");
        strv_add(&r->key_ids, id);
    }
    return 0;
}

static int read_index(struct reader *r, struct err *e)
{
    own_free char *text = NULL;
    own_doc struct doc *d = NULL;
    size_t len;

    if (read_text(r, INDEX, IMAGE_ARCHIVE_INDEX_MAX, &text, &len, e) < 0)
        return -1;
    if (doc_parse(text, len, "JSON", &d, e) < 0 || parse_index(d, r, e) < 0) {
        e->class = ERR_IMAGE;
        return err_wrap(e, "'" INDEX "'");
    }
    return 0;
}

static int read_manifest(struct reader *r, struct err *e)
{
    own_free char *name = blob_name(r->digest);
    char sha256[DIGEST_HEX_SIZE];

    if (read_text(r, name, MANIFEST_MAX, &r->manifest_text, &r->manifest_len, e) < 0 ||
        digest_bytes(r->manifest_text, r->manifest_len, sha256, e) < 0)
        return -1;
    if (strcmp(sha256, r->digest) != 0)
        return err_set(e, ERR_IMAGE, "'%s' (the manifest): its SHA-256 differs", name);
    return manifest_parse(r->manifest_text, r->manifest_len, &r->m, e);
}

static int read_blob(struct reader *r, const char *name, uint64_t size, struct store_blob *blob,
                     struct err *e)
{
    own_free char *buf = malloc(CHUNK);

    if (!buf)
        return err_set(e, ERR_HOST, "out of memory");
    if (expect_header(r, name, size, e) < 0 || store_blob_begin(r->store, blob, e) < 0)
        /* cppcheck-suppress memleak ; cleanup frees it */
        return -1;
    for (uint64_t left = size; left > 0;) {
        size_t n = left < CHUNK ? (size_t)left : CHUNK;

        if (read_in(r, buf, n, e) < 0 || store_blob_write(blob, buf, n, e) < 0)
            return -1;
        left -= n;
    }
    return expect_zeros(r, tar_padding(size), e);
}

static int read_parts(struct reader *r, struct err *e)
{
    for (int i = 0; i < IMAGE_PARTS; i++) {
        const struct store_object *o = &r->m.parts[i];
        const char *part = image_part_name((enum image_part)i);
        own_free char *name = blob_name(o->sha256);

        if (!is_first(&r->m, i))
            continue;
        progress(r->progress, "%s: reading %" PRIu64 " bytes", part, o->size_bytes);
        if (read_blob(r, name, o->size_bytes, &r->blobs[i], e) < 0)
            return err_wrap(e, "%s", part);
    }
    return 0;
}

static int read_signatures(struct reader *r, struct err *e)
{
    for (size_t i = 0; i < r->key_ids.n; i++) {
        own_free char *name = signature_name(r->key_ids.items[i]);
        own_free char *text = NULL;
        size_t len;

        if (read_text(r, name, TRUST_SIGNATURE_MAX, &text, &len, e) < 0 ||
            trust_check_form(r->digest, r->key_ids.items[i], text, len, e) < 0)
            return -1;
        strv_add(&r->signatures, text);
    }
    return 0;
}

static int expect_end(struct reader *r, struct err *e)
{
    char byte;
    ssize_t n;

    if (expect_zeros(r, END_BYTES, e) < 0)
        return -1;
    do
        n = read(r->fd, &byte, 1);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(e, ERR_HOST, errno, "cannot read");
    return n == 0 ? 0 : err_set(e, ERR_IMAGE, "byte %" PRIu64 ": more after its end", r->at);
}

/* All of it was there. First every digest is compared, then everything gets its name. */
static int commit(struct reader *r, struct err *e)
{
    struct store_object o;

    progress(r->progress, "checking");
    for (int i = 0; i < IMAGE_PARTS; i++)
        if (is_first(&r->m, i) && store_blob_seal(&r->blobs[i], &r->m.parts[i], e) < 0)
            return err_wrap(e, "%s", image_part_name((enum image_part)i));
    for (int i = 0; i < IMAGE_PARTS; i++)
        if (is_first(&r->m, i) && store_blob_commit(&r->blobs[i], &o, e) < 0)
            return -1;
    if (store_put(r->store, r->manifest_text, r->manifest_len, &o, e) < 0)
        return -1;
    for (size_t i = 0; i < r->signatures.n; i++)
        if (trust_put(r->store, r->digest, r->key_ids.items[i], r->signatures.items[i],
                      strlen(r->signatures.items[i]), e) < 0)
            return -1;
    return 0;
}

int image_archive_read(const struct store *s, int fd, const struct progress *p,
                       char ret_digest[DIGEST_HEX_SIZE], struct err *e)
{
    __attribute__((cleanup(reader_done))) struct reader r = {.fd = fd, .store = s, .progress = p};

    for (int i = 0; i < IMAGE_PARTS; i++)
        r.blobs[i] = (struct store_blob)STORE_BLOB_INIT;
    if (read_index(&r, e) < 0 || read_manifest(&r, e) < 0 || read_parts(&r, e) < 0 ||
        read_signatures(&r, e) < 0 || expect_end(&r, e) < 0 || commit(&r, e) < 0)
        return err_wrap(e, "archive");
    memcpy(ret_digest, r.digest, DIGEST_HEX_SIZE);
    return 0;
}
