/* bundle: a record with everything that it takes to check it elsewhere. See bundle.h. */
#include "record/bundle.h"

#include "base/file.h"
#include "base/own.h"
#include "record/read.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define RECORD_NAME "record.jsonl"
#define HEADS_NAME  "heads.jsonl"
#define KEY_NAME    "key.pub"

static void free_reader(struct archive **a)
{
    archive_read_free(*a);
}
static void free_writer(struct archive **a)
{
    archive_write_free(*a);
}
static void free_entry(struct archive_entry **en)
{
    archive_entry_free(*en);
}
#define own_reader __attribute__((cleanup(free_reader)))
#define own_writer __attribute__((cleanup(free_writer)))
#define own_entry  __attribute__((cleanup(free_entry)))

/* ---- writing --------------------------------------------------------------------------------- */

static int failed(struct archive *a, struct err *e)
{
    return err_sys(e, ERR_HOST, archive_errno(a), "cannot write the bundle");
}

/* Two exports of one record are the same bytes: no owner, no time. */
static int put_header(struct archive *a, const char *name, uint64_t bytes, struct err *e)
{
    own_entry struct archive_entry *en = archive_entry_new();

    if (!en)
        return err_set(e, ERR_HOST, "out of memory");
    archive_entry_set_pathname(en, name);
    archive_entry_set_size(en, (la_int64_t)bytes);
    archive_entry_set_filetype(en, AE_IFREG);
    archive_entry_set_perm(en, 0644);
    return archive_write_header(a, en) == ARCHIVE_OK ? 0 : failed(a, e);
}

static int put_data(struct archive *a, const void *data, size_t len, struct err *e)
{
    return archive_write_data(a, data, len) == (la_ssize_t)len ? 0 : failed(a, e);
}

static int put_text(struct archive *a, const char *name, const char *text, size_t len,
                    struct err *e)
{
    return put_header(a, name, len, e) < 0 ? -1 : put_data(a, text, len, e);
}

/* A record that is written to grows: what it was at first is what is exported. */
static int put_record(struct archive *a, int fd, struct err *e)
{
    own_free char *buf = malloc(RECORD_LINE_MAX);
    uint64_t left, at = 0;
    struct stat st;

    if (!buf || fstat(fd, &st) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot read the record");
    left = (uint64_t)st.st_size;
    if (put_header(a, RECORD_NAME, left, e) < 0)
        /* cppcheck-suppress memleak ; cleanup frees it */
        return -1;
    while (left > 0) {
        ssize_t n = pread(fd, buf, left < RECORD_LINE_MAX ? left : RECORD_LINE_MAX, (off_t)at);

        if (n <= 0)
            return err_sys(e, ERR_HOST, n < 0 ? errno : EIO, "cannot read the record");
        if (put_data(a, buf, (size_t)n, e) < 0)
            return -1;
        at += (uint64_t)n;
        left -= (uint64_t)n;
    }
    return 0;
}

static int put_heads(struct archive *a, const char *id, const char *ledger, size_t len,
                     struct err *e)
{
    const char *end = ledger + len, *newline;
    own_str struct str own = {0};

    for (; (newline = memchr(ledger, '\n', (size_t)(end - ledger))); ledger = newline + 1) {
        struct ledger_line h;

        if (ledger_line_parse(ledger, (size_t)(newline - ledger), &h, e) < 0)
            return err_wrap(e, "the ledger");
        if (strcmp(h.record, id) == 0)
            str_add_bytes(&own, ledger, (size_t)(newline + 1 - ledger));
    }
    return put_text(a, HEADS_NAME, own.data ? own.data : "", own.len, e);
}

struct putting {
    struct archive *a;
    unsigned policies, others;
};

static int put_file_line(const struct record_line *line, void *arg, struct err *e)
{
    struct putting *p = arg;
    const char *role, *text;
    own_free char *name = NULL;
    struct err none;

    if (strcmp(line->type, "file") != 0 || doc_get_str(line->d, "role", &role, &none) < 0 ||
        doc_get_str(line->d, "text", &text, &none) < 0)
        return 0;
    if (strcmp(role, "domain") == 0 && p->others++ == 0)
        name = str_dup("domain.xml");
    else if (strcmp(role, "manifest") == 0)
        name = str_dup("manifest.json");
    else if (strcmp(role, "policy") == 0)
        name = str_printf("policy-%u.json", ++p->policies);
    return name ? put_text(p->a, name, text, strlen(text), e) : 0;
}

int bundle_write(int out_fd, int record_fd, const char *id, const char *ledger, size_t ledger_len,
                 const char *key_pem, struct err *e)
{
    own_writer struct archive *a = archive_write_new();
    struct putting p = {.a = a};
    enum record_ends ends;
    char why[256];

    if (!a || archive_write_set_format_ustar(a) != ARCHIVE_OK ||
        archive_write_open_fd(a, out_fd) != ARCHIVE_OK)
        return err_set(e, ERR_HOST, "cannot begin the bundle");
    if (put_record(a, record_fd, e) < 0 || put_heads(a, id, ledger, ledger_len, e) < 0 ||
        put_text(a, KEY_NAME, key_pem, strlen(key_pem), e) < 0 ||
        record_read(record_fd, put_file_line, &p, &ends, why, sizeof(why), e) < 0)
        return -1;
    return archive_write_close(a) == ARCHIVE_OK ? 0 : failed(a, e);
}

/* ---- reading --------------------------------------------------------------------------------- */

static int no_bundle(const char *why, struct err *e)
{
    return err_set(e, ERR_USAGE, "it is no bundle: %s", why);
}

/* Returns new: the content of the entry, capped. */
static int take_text(struct archive *a, size_t max, char **ret, size_t *ret_len, struct err *e)
{
    own_str struct str s = {0};
    char buf[16384];
    la_ssize_t n;

    while ((n = archive_read_data(a, buf, sizeof(buf))) > 0) {
        if ((size_t)n > max - s.len)
            return no_bundle("a file in it is too large", e);
        str_add_bytes(&s, buf, (size_t)n);
    }
    if (n < 0)
        return no_bundle("it is cut or damaged", e);
    *ret_len = s.len;
    *ret = str_steal(&s);
    return 0;
}

static int take_record(struct archive *a, struct bundle *b, struct err *e)
{
    char buf[16384];
    uint64_t size = 0;
    la_ssize_t n;

    if (b->record_fd >= 0)
        return no_bundle("it has two records", e);
    b->record_fd = memfd_create("lazaret-record", MFD_CLOEXEC);
    if (b->record_fd < 0)
        return err_sys(e, ERR_HOST, errno, "memfd_create");
    while ((n = archive_read_data(a, buf, sizeof(buf))) > 0) {
        size += (uint64_t)n;
        if (size > RECORD_FILE_MAX)
            return no_bundle("its record is too large", e);
        if (file_write_all(b->record_fd, buf, (size_t)n) < 0)
            return err_sys(e, ERR_HOST, errno, "cannot keep the record");
    }
    return n < 0 ? no_bundle("it is cut or damaged", e) : 0;
}

static int take_file(struct archive *a, const char *name, struct bundle *b, struct err *e)
{
    struct bundle_file *f = &b->files[b->n_files];
    own_free char *text = NULL;
    size_t len;

    if (b->n_files == BUNDLE_FILES_MAX)
        return no_bundle("it has too many files", e);
    if (take_text(a, BUNDLE_FILE_MAX, &text, &len, e) < 0 ||
        digest_bytes(text, len, f->sha256, e) < 0)
        return -1;
    str_escape(f->name, sizeof(f->name), name, strlen(name));
    b->n_files++;
    return 0;
}

static int take_entry(struct archive *a, struct archive_entry *en, struct bundle *b, struct err *e)
{
    const char *name = archive_entry_pathname(en);
    size_t len;

    if (!name || archive_entry_filetype(en) != AE_IFREG)
        return no_bundle("it has an entry that is no file", e);
    if (strcmp(name, RECORD_NAME) == 0)
        return take_record(a, b, e);
    if (strcmp(name, HEADS_NAME) == 0 && !b->heads)
        return take_text(a, BUNDLE_HEADS_MAX, &b->heads, &b->heads_len, e);
    if (strcmp(name, KEY_NAME) == 0 && !b->key_pem)
        return take_text(a, SIGN_FILE_MAX, &b->key_pem, &len, e) < 0
                   ? -1
                   : sign_public_parse(b->key_pem, len, KEY_NAME, &b->key, e);
    return take_file(a, name, b, e);
}

int bundle_open(int fd, struct bundle *ret, struct err *e)
{
    own_reader struct archive *a = archive_read_new();
    own_bundle struct bundle b = {.record_fd = -1};
    struct archive_entry *en;
    int rc;

    if (!a || archive_read_support_format_tar(a) != ARCHIVE_OK ||
        archive_read_open_fd(a, fd, 16384) != ARCHIVE_OK)
        return no_bundle("it is no tar archive", e);
    while ((rc = archive_read_next_header(a, &en)) == ARCHIVE_OK)
        if (take_entry(a, en, &b, e) < 0)
            return -1;
    if (rc != ARCHIVE_EOF)
        return no_bundle("it is cut or damaged", e);
    if (b.record_fd < 0 || !b.heads || !b.key_pem)
        return no_bundle("it has not all of record.jsonl, heads.jsonl and key.pub", e);
    *ret = b;
    b = (struct bundle){.record_fd = -1};
    return 0;
}

void bundle_done(struct bundle *b)
{
    own_close_p(&b->record_fd);
    free(b->heads);
    free(b->key_pem);
    *b = (struct bundle){.record_fd = -1};
}

struct matching {
    const struct bundle *b;
    bool found[BUNDLE_FILES_MAX];
};

static int match_line(const struct record_line *line, void *arg, struct err *e)
{
    struct matching *m = arg;
    const char *sha256;
    struct err none;

    (void)e;
    if (strcmp(line->type, "file") != 0 || doc_get_str(line->d, "sha256", &sha256, &none) < 0)
        return 0;
    for (size_t i = 0; i < m->b->n_files; i++)
        m->found[i] |= strcmp(m->b->files[i].sha256, sha256) == 0;
    return 0;
}

int bundle_verify(const struct bundle *b, const struct sign_public *trusted,
                  struct verify_report *ret, struct err *e)
{
    const struct verify_from from = {.record_fd = b->record_fd,
                                     .ledger = b->heads,
                                     .ledger_len = b->heads_len,
                                     .proof = true,
                                     .trusted = trusted};
    struct matching m = {.b = b};
    enum record_ends ends;
    char why[256];

    if (verify_record(&from, ret, e) < 0)
        return -1;
    if (ret->verdict == VERIFY_REFUSED)
        return 0;
    if (record_read(b->record_fd, match_line, &m, &ends, why, sizeof(why), e) < 0)
        return -1;
    for (size_t i = 0; i < b->n_files; i++) {
        if (m.found[i])
            continue;
        ret->verdict = VERIFY_REFUSED;
        (void)snprintf(ret->why, sizeof(ret->why), "'%s' beside it is not the one on record",
                       b->files[i].name);
        return 0;
    }
    return 0;
}
