/* tar: reads the headers of a tar archive. See tar.h; tar_format.c writes them. */
#include "images/tar.h"

#include "images/tar_header.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What extended headers said about the entry that follows them. */
struct extended {
    bool has_path, has_link, has_size, has_uid, has_gid, has_mtime;
    uint64_t size, uid, gid, mtime;
    int headers;
};

void tar_entry_done(struct tar_entry *en)
{
    str_done(&en->path);
    str_done(&en->link);
    str_done(&en->xattrs);
    *en = (struct tar_entry){0};
}

void tar_reader_done(struct tar_reader *t)
{
    str_done(&t->body);
}

void tar_reader_init(struct tar_reader *t, int fd, uint64_t size)
{
    *t = (struct tar_reader){.fd = fd, .size = size};
}

/* ---- pieces ---------------------------------------------------------------------------------- */

static void reset(struct str *s)
{
    s->len = 0;
    if (s->data)
        s->data[0] = '\0';
}

static void set_text(struct str *s, const char *text, size_t len)
{
    reset(s);
    str_add_bytes(s, text, len);
}

static int refuse(const struct tar_reader *t, const char *why, struct err *e)
{
    return err_set(e, ERR_IMAGE, "entry at byte %" PRIu64 " %s", t->at, why);
}

/* The archive's own size bounds every read, so a short one means that the file changed. */
static int read_at(const struct tar_reader *t, void *to, size_t len, uint64_t at, struct err *e)
{
    char *p = to;

    if (at > t->size || len > t->size - at)
        return refuse(t, "is cut off (the archive is damaged; get it again)", e);
    while (len > 0) {
        ssize_t n = pread(t->fd, p, len, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, ERR_HOST, errno, "cannot read the archive");
        if (n == 0)
            return err_set(e, ERR_HOST, "the archive became shorter while it was read");
        p += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

/* Octal with blanks around it, or GNU's base 256. -1 if it is neither or does not fit. */
static int parse_number(const char *field, size_t size, uint64_t *ret)
{
    const unsigned char *p = (const unsigned char *)field;
    uint64_t n = 0;
    size_t i = 0;

    if (p[0] & 0x80) {
        if (p[0] != 0x80)
            return -1; /* negative, or over 2^63 */
        for (i = 1; i < size; i++) {
            if (n >> 55)
                return -1;
            n = n << 8 | p[i];
        }
        *ret = n;
        return 0;
    }
    while (i < size && p[i] == ' ')
        i++;
    for (; i < size && p[i] >= '0' && p[i] <= '7'; i++)
        n = n << 3 | (uint64_t)(p[i] - '0'); /* 12 digits at most */
    for (; i < size; i++)
        if (p[i] != ' ' && p[i] != '\0')
            return -1;
    *ret = n;
    return 0;
}

/* A time before 1970 is legal, and of no use here. */
static int parse_time(const char *field, size_t size, uint64_t *ret)
{
    if ((unsigned char)field[0] == 0xff) {
        *ret = 0;
        return 0;
    }
    return parse_number(field, size, ret);
}

static bool checksum_is_right(const struct header *h)
{
    const unsigned char *p = (const unsigned char *)h;
    const size_t from = offsetof(struct header, checksum);
    uint64_t sum = 0, want;

    for (size_t i = 0; i < sizeof(*h); i++)
        sum += i >= from && i < from + sizeof(h->checksum) ? ' ' : p[i];
    return parse_number(h->checksum, sizeof(h->checksum), &want) == 0 && sum == want;
}

static bool is_zero(const struct header *h)
{
    static const struct header zero;

    return memcmp(h, &zero, sizeof(zero)) == 0;
}

/* ---- extended headers ------------------------------------------------------------------------ */

static int read_body(struct tar_reader *t, uint64_t size, struct err *e)
{
    char buf[TAR_BLOCK];

    if (size > TAR_EXTRA_MAX)
        return refuse(t, "has an extended header over 1 MiB", e);
    reset(&t->body);
    for (uint64_t done = 0; done < size;) {
        size_t n = size - done < sizeof(buf) ? (size_t)(size - done) : sizeof(buf);

        if (read_at(t, buf, n, t->at + TAR_BLOCK + done, e) < 0)
            return -1;
        str_add_bytes(&t->body, buf, n);
        done += n;
    }
    return 0;
}

/* Decimal seconds; a fraction is cut off, a time before 1970 is 0. */
static int parse_decimal(const char *text, bool is_time, uint64_t *ret)
{
    bool negative = is_time && *text == '-';
    uint64_t n = 0;
    const char *p = text + negative;

    if (*p < '0' || *p > '9')
        return -1;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (n > (UINT64_MAX - 9) / 10)
            return -1;
        n = n * 10 + (uint64_t)(*p - '0');
    }
    if (*p && !(is_time && *p == '.' && strspn(p + 1, "0123456789") == strlen(p + 1)))
        return -1;
    *ret = negative ? 0 : n;
    return 0;
}

/* A user.* attribute is kept as the record that it is in; each name once. */
static int take_xattr(const struct tar_reader *t, struct tar_entry *en, const char *record,
                      size_t len, const char *key, struct err *e)
{
    size_t key_len = strlen(key), n = 0;

    if (!str_starts_with(key, TAR_XATTR_KEPT)) {
        en->dropped.xattrs++;
        return 0;
    }
    for (size_t at = 0; at < en->xattrs.len;) {
        const char *have = en->xattrs.data + at;
        size_t have_len = strtoul(have, NULL, 10);

        if (strncmp(strchr(have, ' ') + 1, key, key_len) == 0 &&
            strchr(have, ' ')[1 + key_len] == '=')
            return refuse(t, "has an extended attribute twice (make the archive anew)", e);
        at += have_len;
        n++;
    }
    if (n == TAR_XATTRS_MAX)
        return refuse(t, "has too many extended attributes (make the archive anew)", e);
    str_add_bytes(&en->xattrs, record, len);
    return 0;
}

/* Numbers of a pax record. False if the key is not one; *ret_bad if the value is none, or another
 * one. */
static bool take_number(struct extended *x, const char *key, const char *value, size_t value_len,
                        bool *ret_bad)
{
    struct {
        const char *key;
        uint64_t *to;
        bool *has;
        bool is_time;
    } const numbers[] = {{"size", &x->size, &x->has_size, false},
                         {"uid", &x->uid, &x->has_uid, false},
                         {"gid", &x->gid, &x->has_gid, false},
                         {"mtime", &x->mtime, &x->has_mtime, true}};

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (strcmp(key, numbers[i].key) != 0)
            continue;
        *ret_bad = *numbers[i].has || strlen(value) != value_len ||
                   parse_decimal(value, numbers[i].is_time, numbers[i].to) < 0;
        *numbers[i].has = true;
        return true;
    }
    return false;
}

static bool is_sparse_key(const char *key)
{
    return str_starts_with(key, "GNU.sparse.") || strcmp(key, "SUN.holesdata") == 0 ||
           strcmp(key, "SCHILY.realsize") == 0;
}

/* Keys that change what an entry is; what else there is (times, names of owners) is left alone. */
static bool has_meaning(const char *key)
{
    static const char *const keys[] = {"path", "linkpath", "size", "uid", "gid"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return is_sparse_key(key) || str_starts_with(key, TAR_XATTR);
}

/* A name or link from an extended header; readers do not agree on which of two counts. */
static int take_long_name(const struct tar_reader *t, struct str *to, bool *has, const char *name,
                          size_t len, struct err *e)
{
    if (len == 0 || memchr(name, '\0', len))
        return refuse(t, "has an empty name, or one with a NUL", e);
    if (*has)
        return refuse(t, "has two names (make the archive anew)", e);
    set_text(to, name, len);
    *has = true;
    return 0;
}

/* One record: key and value are NUL-terminated, `value_len` shows a NUL within. */
static int take_record(const struct tar_reader *t, struct tar_entry *en, struct extended *x,
                       const char *record, size_t len, const char *key, const char *value,
                       size_t value_len, struct err *e)
{
    bool is_path = strcmp(key, "path") == 0, bad = false;

    if (is_path || strcmp(key, "linkpath") == 0) {
        return take_long_name(t, is_path ? &en->path : &en->link,
                              is_path ? &x->has_path : &x->has_link, value, value_len, e);
    }
    if (take_number(x, key, value, value_len, &bad))
        return bad ? refuse(t, "has a number that is not one, or twice", e) : 0;
    if (is_sparse_key(key))
        return refuse(t, "is a sparse file (make the archive without holes)", e);
    if (str_starts_with(key, TAR_XATTR))
        return take_xattr(t, en, record, len, key, e);
    if (str_starts_with(key, "SCHILY.acl."))
        en->dropped.acls++;
    return 0;
}

/*
 * A pax record: "LENGTH KEY=VALUE\n", the length counting all of it. Returns that, or 0 if it is
 * none; *ret_key is how far the key is in it.
 */
static size_t record_len(const char *record, size_t left, size_t *ret_key)
{
    size_t digits = strspn(record, "0123456789"), len;
    const char *equals;

    if (digits == 0 || digits > 7 || record[digits] != ' ')
        return 0;
    len = strtoul(record, NULL, 10);
    if (len > left || len < digits + 4 || record[len - 1] != '\n')
        return 0;
    equals = memchr(record + digits + 1, '=', len - digits - 2);
    if (!equals || equals == record + digits + 1 ||
        memchr(record + digits, '\0', (size_t)(equals - record) - digits))
        return 0;
    *ret_key = digits + 1;
    return len;
}

/* With `global` only keys without meaning are let through. */
static int take_records(struct tar_reader *t, struct tar_entry *en, struct extended *x, bool global,
                        struct err *e)
{
    own_str struct str copy = {0}; /* of one record, cut into key and value */

    for (size_t at = 0, len, key_at; at < t->body.len; at += len) {
        const char *record = t->body.data + at;
        char *key, *value;

        len = record_len(record, t->body.len - at, &key_at);
        if (len == 0)
            return refuse(t, "has a damaged extended header", e);
        set_text(&copy, record, len - 1);
        key = copy.data + key_at;
        value = strchr(key, '=');
        *value++ = '\0';
        if (global && has_meaning(key))
            return refuse(t, "is a global header that changes entries (make the archive anew)", e);
        if (!global && take_record(t, en, x, record, len, key, value,
                                   copy.len - (size_t)(value - copy.data), e) < 0)
            return -1;
    }
    return 0;
}

bool tar_xattrs_are_sound(const struct str *xattrs)
{
    for (size_t at = 0, len, key_at; at < xattrs->len; at += len) {
        len = record_len(xattrs->data + at, xattrs->len - at, &key_at);
        if (len == 0 || !str_starts_with(xattrs->data + at + key_at, TAR_XATTR_KEPT))
            return false;
    }
    return true;
}

/* GNU: the whole name as the content of an entry, with a NUL at its end. */
static int take_gnu_name(const struct tar_reader *t, struct str *to, bool *has, struct err *e)
{
    size_t len = t->body.len;

    if (len > 0 && t->body.data[len - 1] == '\0')
        len--;
    return take_long_name(t, to, has, t->body.data, len, e);
}

static int take_extended(struct tar_reader *t, const struct header *h, struct tar_entry *en,
                         struct extended *x, struct err *e)
{
    uint64_t size;
    int r;

    if (++x->headers > TAR_EXTRAS_MAX)
        return refuse(t, "has too many extended headers", e);
    if (parse_number(h->size, sizeof(h->size), &size) < 0)
        return refuse(t, "has a size that is not a number", e);
    if (read_body(t, size, e) < 0)
        return -1;
    if (h->type == 'L')
        r = take_gnu_name(t, &en->path, &x->has_path, e);
    else if (h->type == 'K')
        r = take_gnu_name(t, &en->link, &x->has_link, e);
    else
        r = take_records(t, en, x, h->type == 'g', e);
    t->at += TAR_BLOCK + size + tar_padding(size);
    return r;
}

/* ---- the entry itself ------------------------------------------------------------------------ */

static int take_type(const struct tar_reader *t, char type, struct tar_entry *en, struct err *e)
{
    switch (type) {
    case '0':
    case '\0':
    case '7': /* contiguous: to be treated as a regular one */
        /* Before POSIX had a type for folders, they were files with a slash. */
        en->type = en->path.data[en->path.len - 1] == '/' ? TAR_DIR : TAR_FILE;
        return 0;
    case '1':
        en->type = TAR_HARDLINK;
        return 0;
    case '2':
        en->type = TAR_SYMLINK;
        return 0;
    case '3':
    case '4':
        en->type = TAR_DEVICE;
        return 0;
    case '5':
        en->type = TAR_DIR;
        return 0;
    case '6':
        en->type = TAR_FIFO;
        return 0;
    case 'S':
        return refuse(t, "is a sparse file (make the archive without holes)", e);
    default:
        return refuse(t, "is of an unknown kind (make the archive in pax format)", e);
    }
}

static void take_name(const struct header *h, struct tar_entry *en)
{
    bool ustar = memcmp(h->magic, "ustar", 6) == 0; /* with the NUL, which GNU's has not */

    reset(&en->path);
    if (ustar && h->prefix[0]) {
        str_add_bytes(&en->path, h->prefix, strnlen(h->prefix, sizeof(h->prefix)));
        str_add(&en->path, "/");
    }
    str_add_bytes(&en->path, h->name, strnlen(h->name, sizeof(h->name)));
}

static int take_numbers(const struct tar_reader *t, const struct header *h,
                        const struct extended *x, struct tar_entry *en, struct err *e)
{
    uint64_t mode;

    if (parse_number(h->mode, sizeof(h->mode), &mode) < 0 ||
        parse_number(h->uid, sizeof(h->uid), &en->uid) < 0 ||
        parse_number(h->gid, sizeof(h->gid), &en->gid) < 0 ||
        parse_number(h->size, sizeof(h->size), &en->size) < 0 ||
        parse_time(h->mtime, sizeof(h->mtime), &en->mtime) < 0)
        return refuse(t, "has a number that is not one", e);
    en->mode = (mode_t)(mode & 07777);
    if (x->has_uid)
        en->uid = x->uid;
    if (x->has_gid)
        en->gid = x->gid;
    if (x->has_mtime)
        en->mtime = x->mtime;
    if (x->has_size)
        en->size = x->size;
    return 0;
}

/*
 * Only files have content. Folders may carry a size that means nothing (POSIX: a quota), but
 * readers do not agree on hard links and old folders with one.
 */
static int take_content(struct tar_reader *t, char type, struct tar_entry *en, struct err *e)
{
    if (en->type == TAR_HARDLINK && en->size > 0)
        return refuse(t, "is a hard link with a content (make the archive anew)", e);
    if (en->type == TAR_DIR && type != '5' && en->size > 0)
        return refuse(t, "is a folder with a content (make the archive anew)", e);
    if (en->type != TAR_FILE)
        en->size = 0;
    en->offset = t->at + TAR_BLOCK;
    if (en->offset > t->size || en->size > t->size - en->offset)
        return refuse(t, "is larger than the archive (the archive is damaged; get it again)", e);
    t->at = en->offset + en->size + tar_padding(en->size);
    return 0;
}

static int take_entry(struct tar_reader *t, const struct header *h, const struct extended *x,
                      struct tar_entry *en, struct err *e)
{
    if (!x->has_path)
        take_name(h, en);
    if (en->path.len == 0)
        return refuse(t, "has no name", e);
    if (take_type(t, h->type, en, e) < 0 || take_numbers(t, h, x, en, e) < 0)
        return -1;
    if (en->type != TAR_SYMLINK && en->type != TAR_HARDLINK)
        reset(&en->link);
    else if (!x->has_link)
        set_text(&en->link, h->link, strnlen(h->link, sizeof(h->link)));
    if (en->link.len == 0 && (en->type == TAR_SYMLINK || en->type == TAR_HARDLINK))
        return refuse(t, "is a link to nothing", e);
    return take_content(t, h->type, en, e);
}

int tar_next(struct tar_reader *t, struct tar_entry *en, bool *ret_more, struct err *e)
{
    struct extended x = {0};
    struct header h;

    reset(&en->path);
    reset(&en->link);
    reset(&en->xattrs);
    en->dropped = (struct tar_dropped){0};
    for (;;) {
        if (t->at >= t->size)
            return refuse(t,
                          "is missing, and so is the end mark (the archive is cut off; "
                          "get it again)",
                          e);
        if (read_at(t, &h, sizeof(h), t->at, e) < 0)
            return -1;
        if (is_zero(&h)) {
            if (x.headers > 0)
                return refuse(t, "is missing after its extended header", e);
            *ret_more = false;
            return 0;
        }
        if (!checksum_is_right(&h))
            return refuse(t, "has a wrong checksum (the archive is damaged, or not a tar)", e);
        if (!strchr("LKxg", h.type) || h.type == '\0')
            break;
        if (take_extended(t, &h, en, &x, e) < 0)
            return -1;
    }
    if (take_entry(t, &h, &x, en, e) < 0)
        return -1;
    *ret_more = true;
    return 0;
}
