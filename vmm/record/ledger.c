/* ledger: the signed heads of all records of a data folder, one after another, chained. */
#include "record/ledger.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define LOCK_WAIT_MS 10000u
#define CUT_MAX      (2 * (size_t)LEDGER_LINE_MAX) /* that a crash may leave of a line */
#define SIG_BEFORE   ",\"sig\":\""
#define SIG_LEN      (sizeof(SIG_BEFORE) - 1 + 2 * (size_t)SIGN_BYTES + 2) /* with "} behind */

static const char *const states[] = {
    [LEDGER_OPEN] = "open", [LEDGER_CLOSED] = "closed", [LEDGER_REMOVED] = "removed"};

/* ---- the folder, the key, the lock ----------------------------------------------------------- */

static int lock(int fd, struct err *e)
{
    bool taken;

    if (file_wait_lock(fd, false, LOCK_WAIT_MS, &taken, e) < 0)
        return err_wrap(e, "the ledger of records");
    return taken ? 0 : err_set(e, ERR_HOST, "another lazaret holds the ledger of records");
}

/* With the lock held. What a crash left of one, its public half, goes. */
static int make_key(const char *path, struct err *e)
{
    own_free char *public = str_printf("%s.pub", path);
    struct sign_public p;

    if (access(path, F_OK) == 0)
        return 0;
    if (unlink(public) < 0 && errno != ENOENT)
        return err_sys(e, ERR_HOST, errno, "cannot remove '%s'", public);
    return sign_key_make(path, &p, e);
}

int ledger_prepare(const char *data_dir, struct err *e)
{
    own_free char *records = str_printf("%s/" RECORD_DIR, data_dir);
    own_free char *dir = str_printf("%s/" LEDGER_DIR, data_dir);
    own_free char *file = str_printf("%s/" LEDGER_FILE, dir);
    own_free char *key = str_printf("%s/" LEDGER_KEY, dir);
    own_close int fd = -1;

    if (file_make_dirs(records, 0700, e) < 0 || file_make_dirs(dir, 0700, e) < 0)
        return -1;
    fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open '%s'", file);
    if (access(key, F_OK) == 0)
        return 0;
    return lock(fd, e) < 0 ? -1 : make_key(key, e);
}

int ledger_open(const char *data_dir, struct ledger *ret, struct err *e)
{
    own_free char *file = str_printf("%s/" LEDGER_DIR "/" LEDGER_FILE, data_dir);
    own_free char *key = str_printf("%s/" LEDGER_DIR "/" LEDGER_KEY, data_dir);
    own_ledger struct ledger l = {.fd = -1};

    l.fd = open(file, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    if (l.fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open '%s'", file);
    if (sign_key_open(key, &l.key, e) < 0)
        return err_wrap(e, "the host's key");
    *ret = l;
    l = (struct ledger){.fd = -1};
    return 0;
}

void ledger_done(struct ledger *l)
{
    own_close_p(&l->fd);
    sign_key_free(l->key);
    *l = (struct ledger){.fd = -1};
}

int ledger_public(const char *data_dir, char **ret_pem, struct sign_public *ret, struct err *e)
{
    own_free char *path = str_printf("%s/" LEDGER_DIR "/" LEDGER_KEY ".pub", data_dir);
    own_free char *pem = NULL;
    size_t len;

    if (access(path, F_OK) < 0 && errno == ENOENT)
        return err_set(e, ERR_USAGE,
                       "there is no key of this host yet: it is made with the first "
                       "record");
    if (file_read_ours(AT_FDCWD, path, SIGN_FILE_MAX, 022, &pem, &len, e) < 0 ||
        sign_public_parse(pem, len, path, ret, e) < 0)
        return -1;
    *ret_pem = own_steal_ptr(pem);
    return 0;
}

/* ---- adding ---------------------------------------------------------------------------------- */

/* Where the line begins that ends behind `len` bytes. */
static size_t line_start(const char *text, size_t len)
{
    const char *newline = memrchr(text, '\n', len);

    return newline ? (size_t)(newline - text) + 1 : 0;
}

/* What the next line follows: the last whole one. What is behind that goes. */
static int find_last(int fd, uint64_t *ret_seq, char ret_prev[DIGEST_HEX_SIZE], struct err *e)
{
    char buf[CUT_MAX + LEDGER_LINE_MAX + 1];
    struct ledger_line last;
    size_t end, start;
    struct stat st;
    off_t from;
    ssize_t n;

    if (fstat(fd, &st) < 0)
        return err_sys(e, ERR_HOST, errno, "the ledger of records");
    from = st.st_size > (off_t)sizeof(buf) ? st.st_size - (off_t)sizeof(buf) : 0;
    n = pread(fd, buf, sizeof(buf), from);
    if (n < 0)
        return err_sys(e, ERR_HOST, errno, "cannot read the ledger of records");
    end = line_start(buf, (size_t)n);
    if ((size_t)n - end >= CUT_MAX)
        return err_set(e, ERR_HOST, "the ledger of records is damaged: its last line is too long");
    if (end < (size_t)n && ftruncate(fd, from + (off_t)end) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot cut the ledger of records");
    *ret_seq = 0;
    memcpy(ret_prev, RECORD_NO_HASH, DIGEST_HEX_SIZE);
    if (end == 0)
        return 0;
    start = line_start(buf, end - 1);
    if (ledger_line_parse(buf + start, end - 1 - start, &last, e) < 0)
        return err_wrap(e, "the ledger of records is damaged");
    *ret_seq = last.seq + 1;
    return digest_bytes(buf + start, end - 1 - start, ret_prev, e);
}

static int format_line(const struct ledger *l, const struct record_head *h, enum ledger_state state,
                       uint64_t seq, const char *prev, struct str *line, struct err *e)
{
    unsigned char signature[SIGN_BYTES];
    struct sign_public p;
    char when[36];

    sign_key_public(l->key, &p);
    str_addf(line, "{\"format\":\"" LEDGER_FORMAT "\",\"version\":%u,\"seq\":%" PRIu64,
             LEDGER_VERSION, seq);
    str_addf(line, ",\"time\":\"%s\",\"record\":\"%s\",\"line\":%" PRIu64 ",\"hash\":\"%s\"",
             clock_format_utc_ns(when, clock_real_ns()), h->id, h->seq, h->hash);
    str_addf(line, ",\"state\":\"%s\",\"key\":\"%s\",\"prev\":\"%s\"", states[state], p.id, prev);
    if (sign_bytes(l->key, line->data, line->len, signature, e) < 0)
        return -1;
    str_add(line, SIG_BEFORE);
    for (size_t i = 0; i < sizeof(signature); i++)
        str_addf(line, "%02x", signature[i]);
    str_add(line, "\"}\n");
    return 0;
}

static int add_locked(const struct ledger *l, const struct record_head *h, enum ledger_state state,
                      struct err *e)
{
    own_str struct str line = {0};
    char prev[DIGEST_HEX_SIZE];
    uint64_t seq;

    if (find_last(l->fd, &seq, prev, e) < 0 || format_line(l, h, state, seq, prev, &line, e) < 0)
        return -1;
    if (file_write_all(l->fd, line.data, line.len) < 0) /* what came of it goes with the next one */
        return err_sys(e, ERR_HOST, errno, "cannot write the ledger of records");
    return 0;
}

int ledger_add(const struct ledger *l, const struct record_head *h, enum ledger_state state,
               bool durable, struct err *e)
{
    int rc;

    if (lock(l->fd, e) < 0)
        return -1;
    rc = add_locked(l, h, state, e);
    flock(l->fd, LOCK_UN);
    if (rc == 0 && durable && fdatasync(l->fd) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot write the ledger of records");
    return rc;
}

/* ---- reading --------------------------------------------------------------------------------- */

static int from_hex(const char *hex, unsigned char *out, size_t n, struct err *e)
{
    if (strlen(hex) != 2 * n)
        return err_set(e, ERR_HOST, "a signature has another length");
    for (size_t i = 0; i < 2 * n; i++) {
        const char *digits = "0123456789abcdef", *d = strchr(digits, hex[i]);

        if (!d || !*d)
            return err_set(e, ERR_HOST, "a signature is not lower-case hex");
        out[i / 2] = (unsigned char)(out[i / 2] << 4 | (unsigned)(d - digits));
    }
    return 0;
}

static int copy_hex(const struct doc *d, const char *key, char out[DIGEST_HEX_SIZE], struct err *e)
{
    const char *text;

    if (doc_get_str(d, key, &text, e) < 0)
        return -1;
    if (!digest_is_hex(text))
        return err_set(e, ERR_HOST, "'%s' is no SHA-256", key);
    memcpy(out, text, DIGEST_HEX_SIZE);
    return 0;
}

static int find_state(const char *text, enum ledger_state *ret, struct err *e)
{
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        if (strcmp(text, states[i]) != 0)
            continue;
        *ret = (enum ledger_state)i;
        return 0;
    }
    return err_set(e, ERR_HOST, "'state' is none");
}

static int read_line(const struct doc *d, struct ledger_line *h, struct err *e)
{
    static const char *const keys[] = {"format", "version", "seq", "time", "record", "line",
                                       "hash",   "state",   "key", "prev", "sig",    NULL};
    const char *format, *id, *when, *state, *sig;
    uint64_t version;

    if (!doc_is_object(d))
        return err_set(e, ERR_HOST, "it is not an object");
    if (doc_only_keys(d, keys, e) < 0 || doc_get_str(d, "format", &format, e) < 0 ||
        doc_get_u64(d, "version", &version, e) < 0 || doc_get_u64(d, "seq", &h->seq, e) < 0 ||
        doc_get_u64(d, "line", &h->line, e) < 0 || doc_get_str(d, "time", &when, e) < 0 ||
        doc_get_str(d, "record", &id, e) < 0 || copy_hex(d, "hash", h->hash, e) < 0 ||
        doc_get_str(d, "state", &state, e) < 0 || find_state(state, &h->state, e) < 0 ||
        copy_hex(d, "key", h->key, e) < 0 || copy_hex(d, "prev", h->prev, e) < 0 ||
        doc_get_str(d, "sig", &sig, e) < 0 || from_hex(sig, h->signature, SIGN_BYTES, e) < 0)
        return -1;
    if (strcmp(format, LEDGER_FORMAT) != 0 || version != LEDGER_VERSION)
        return err_set(e, ERR_HOST, "it is no " LEDGER_FORMAT " of version 1");
    if (!record_is_id(id))
        return err_set(e, ERR_HOST, "'record' is no record's id");
    if (!str_is_printable(when, sizeof(h->time)))
        return err_set(e, ERR_HOST, "'time' is none");
    snprintf(h->record, sizeof(h->record), "%s", id);
    snprintf(h->time, sizeof(h->time), "%s", when);
    return 0;
}

int ledger_line_parse(const char *text, size_t len, struct ledger_line *ret, struct err *e)
{
    struct ledger_line h = {0};
    own_doc struct doc *d = NULL;

    if (len > LEDGER_LINE_MAX || len < SIG_LEN)
        return err_set(e, ERR_HOST, "a line of the ledger is too long or too short");
    h.signed_bytes = len - SIG_LEN;
    /* The signature is found by its place: it is of bytes, not of what they mean. */
    if (memcmp(text + h.signed_bytes, SIG_BEFORE, sizeof(SIG_BEFORE) - 1) != 0 ||
        memcmp(text + len - 2, "\"}", 2) != 0)
        return err_set(e, ERR_HOST, "a line of the ledger does not end with its signature");
    if (doc_parse(text, len, "a line of the ledger", &d, e) < 0 || read_line(d, &h, e) < 0)
        return -1;
    *ret = h;
    return 0;
}

bool ledger_line_is_signed(const struct ledger_line *h, const char *text,
                           const struct sign_public *by)
{
    return strcmp(h->key, by->id) == 0 && sign_is_good(by, text, h->signed_bytes, h->signature);
}

int ledger_read(const char *data_dir, char **ret, size_t *ret_len, struct err *e)
{
    own_free char *path = str_printf("%s/" LEDGER_DIR "/" LEDGER_FILE, data_dir);

    return file_read(AT_FDCWD, path, LEDGER_MAX, ret, ret_len, e);
}
