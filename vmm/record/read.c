/* read: a record, line by line, and whether its chain holds. See read.h. UNTRUSTED input. */
#include "record/read.h"

#include "base/file.h"
#include "base/own.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct reading {
    char prev[DIGEST_HEX_SIZE];
    uint64_t lines, end;
    char *why;
    size_t size;
};

/* 1: that is wrong with it. */
static int wrong(struct reading *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int wrong(struct reading *r, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    str_escape(r->why, r->size, text, strlen(text));
    return 1;
}

/* A control character could make a terminal show another line than the one that was hashed. */
static bool is_plain(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return false;
    return true;
}

/* What every line has. */
static int read_members(struct reading *r, const struct doc *d, struct record_line *ret)
{
    const char *by, *prev;
    uint64_t seq;
    struct err e;

    if (!doc_is_object(d))
        return wrong(r, "line %" PRIu64 " is not an object", r->lines + 1);
    if (doc_get_u64(d, "seq", &seq, &e) < 0 || doc_get_str(d, "time", &ret->time, &e) < 0 ||
        doc_get_str(d, "by", &by, &e) < 0 || doc_get_str(d, "type", &ret->type, &e) < 0 ||
        doc_get_str(d, "prev", &prev, &e) < 0)
        return wrong(r, "line %" PRIu64 ": %s", r->lines + 1, e.text);
    if (seq != r->lines)
        return wrong(r, "line %" PRIu64 " has number %" PRIu64 ", not %" PRIu64, r->lines + 1, seq,
                     r->lines);
    if (strcmp(prev, r->prev) != 0)
        return wrong(r, "line %" PRIu64 " does not follow from the one before", r->lines + 1);
    ret->seq = seq;
    return 0;
}

static int take_line(struct reading *r, const char *text, size_t len, record_line_fn *line,
                     void *arg, struct err *e)
{
    own_doc struct doc *d = NULL;
    struct record_line l = {.text = text, .len = len};
    struct err bad;
    int rc;

    if (!is_plain(text, len))
        return wrong(r, "line %" PRIu64 " has a control character", r->lines + 1);
    if (doc_parse(text, len, "it", &d, &bad) < 0)
        return wrong(r, "line %" PRIu64 ": %s", r->lines + 1, bad.text);
    rc = read_members(r, d, &l);
    if (rc != 0)
        return rc;
    if (digest_bytes(text, len, l.hash, e) < 0)
        return -1;
    memcpy(r->prev, l.hash, sizeof(r->prev));
    r->lines++;
    r->end += len + 1;
    l.d = d;
    l.end = r->end;
    return line(&l, arg, e);
}

/* All whole lines of the buffer; moves *start. */
static int take_lines(struct reading *r, const char *buf, size_t *start, size_t end,
                      record_line_fn *line, void *arg, struct err *e)
{
    const char *newline;
    int rc = 0;

    while (rc == 0 && (newline = memchr(buf + *start, '\n', end - *start))) {
        size_t len = (size_t)(newline - (buf + *start));

        rc = take_line(r, buf + *start, len, line, arg, e);
        *start += len + 1;
    }
    return rc;
}

int record_read(int fd, record_line_fn *line, void *arg, enum record_ends *ret, char *ret_why,
                size_t size, struct err *e)
{
    struct reading r = {.prev = RECORD_NO_HASH, .why = ret_why, .size = size};
    own_free uint8_t *buf = malloc(RECORD_LINE_MAX + 1);
    size_t start = 0, end = 0;
    uint64_t offset = 0;
    ssize_t n = 1;
    int rc = 0;

    if (!buf)
        return err_set(e, ERR_HOST, "out of memory");
    ret_why[0] = '\0';
    while (rc == 0 && n > 0) {
        n = file_refill(fd, &offset, buf, RECORD_LINE_MAX + 1, &start, &end);
        if (n < 0)
            return err_sys(e, ERR_HOST, errno, "cannot read the record");
        rc = take_lines(&r, (const char *)buf, &start, end, line, arg, e);
        if (rc == 0 && end - start > RECORD_LINE_MAX)
            rc = wrong(&r, "line %" PRIu64 " is too long", r.lines + 1);
        if (rc == 0 && offset > RECORD_FILE_MAX)
            rc = wrong(&r, "it is larger than any record");
    }
    if (rc < 0)
        return -1;
    *ret = rc > 0 ? RECORD_ENDS_WRONG : end > start ? RECORD_ENDS_CUT : RECORD_ENDS_WELL;
    if (*ret == RECORD_ENDS_CUT)
        wrong(&r, "line %" PRIu64 " is cut off", r.lines + 1);
    return 0;
}
