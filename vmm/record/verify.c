/* verify: is a record whole, and what its host wrote? See verify.h. UNTRUSTED input. */
#include "record/verify.h"

#include "base/own.h"
#include "record/read.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a head of this record says, in the order of the ledger. */
struct point {
    uint64_t line;
    char hash[DIGEST_HEX_SIZE];
    enum ledger_state state;
};

struct verifying {
    const struct verify_from *from;
    struct verify_report *report;
    struct point *points;
    size_t n_points, next; /* `next`: the first that no line was compared with */
    char last_type[32];
    bool begun, refused;
};

static int refuse(struct verifying *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The first thing that is wrong counts. Returns 0: it was looked at. */
static int refuse(struct verifying *v, const char *fmt, ...)
{
    char text[sizeof(v->report->why)];
    va_list ap;

    if (v->refused)
        return 0;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    v->refused = true;
    v->report->verdict = VERIFY_REFUSED;
    str_escape(v->report->why, sizeof(v->report->why), text, strlen(text));
    return 0;
}

/* ---- the ledger ------------------------------------------------------------------------------ */

static void add_point(struct verifying *v, const struct ledger_line *h)
{
    struct point *p = reallocarray(v->points, v->n_points + 1, sizeof(*p));

    if (!p)
        abort();
    v->points = p;
    p += v->n_points++;
    *p = (struct point){.line = h->line, .state = h->state};
    memcpy(p->hash, h->hash, sizeof(p->hash));
}

/* It follows the one before. Of a proof lines may be missing in between. */
static bool follows(const struct verify_from *from, const struct ledger_line *h, uint64_t n,
                    uint64_t last_seq, const char *prev)
{
    if (from->proof && (n == 0 || h->seq > last_seq + 1))
        return true;
    return h->seq == (n == 0 ? 0 : last_seq + 1) && strcmp(h->prev, prev) == 0;
}

static int take_head(struct verifying *v, const struct ledger_line *h, const char *text)
{
    const struct sign_public *key = v->from->trusted;

    if (strcmp(h->record, v->report->id) != 0)
        return 0;
    if (strcmp(h->key, key->id) != 0)
        return refuse(v, "it was signed with another key, %.16s", h->key);
    if (!ledger_line_is_signed(h, text, key))
        return refuse(v, "the signature of its head %" PRIu64 " is not good", h->seq);
    if (h->state != LEDGER_REMOVED) /* this may be a copy of it */
        add_point(v, h);
    return 0;
}

/* The last line holds all before it by their hashes, so its signature is the whole ledger's. */
static int read_ledger(struct verifying *v, struct err *e)
{
    const char *text = v->from->ledger, *end = text + v->from->ledger_len, *newline;
    const char *last = NULL;
    char prev[DIGEST_HEX_SIZE] = RECORD_NO_HASH;
    uint64_t n = 0, last_seq = 0;
    struct ledger_line h;

    for (; (newline = memchr(text, '\n', (size_t)(end - text))) && !v->refused;
         text = newline + 1) {
        size_t len = (size_t)(newline - text);
        struct err bad;

        if (ledger_line_parse(text, len, &h, &bad) < 0)
            return refuse(v, "line %" PRIu64 " of the ledger: %s", n + 1, bad.text);
        if (!follows(v->from, &h, n, last_seq, prev))
            return refuse(v, "line %" PRIu64 " of the ledger does not follow from the one before",
                          n + 1);
        take_head(v, &h, text);
        if (digest_bytes(text, len, prev, e) < 0)
            return -1;
        last_seq = h.seq;
        last = text;
        n++;
    }
    if (last && !ledger_line_is_signed(&h, last, v->from->trusted))
        refuse(v, "the ledger does not end with a line that was signed with this key");
    return 0;
}

/* ---- the record ------------------------------------------------------------------------------ */

/* The first line says whose record it is. */
static int take_begin(struct verifying *v, const struct record_line *line)
{
    const char *format = "", *id = "";
    uint64_t version = 0;
    struct err e;

    v->begun = true;
    if (strcmp(line->type, "begin") != 0 || doc_get_str(line->d, "format", &format, &e) < 0 ||
        doc_get_u64(line->d, "version", &version, &e) < 0 ||
        doc_get_str(line->d, "id", &id, &e) < 0 || strcmp(format, RECORD_FORMAT) != 0 ||
        version != RECORD_VERSION || !record_is_id(id))
        return refuse(v, "it does not begin as a record of version %u does", RECORD_VERSION);
    if (v->from->id && strcmp(v->from->id, id) != 0)
        return refuse(v, "it is the record of '%s', not of '%s'", id, v->from->id);
    snprintf(v->report->id, sizeof(v->report->id), "%s", id);
    return 0;
}

static int first_line(const struct record_line *line, void *arg, struct err *e)
{
    struct verifying *v = arg;

    (void)e;
    take_begin(v, line);
    return 1;
}

static int take_line(const struct record_line *line, void *arg, struct err *e)
{
    struct verifying *v = arg;

    (void)e;
    v->report->lines = line->seq + 1;
    v->report->bytes = line->end;
    snprintf(v->last_type, sizeof(v->last_type), "%s", line->type);
    for (; v->next < v->n_points && v->points[v->next].line == line->seq; v->next++) {
        if (strcmp(v->points[v->next].hash, line->hash) != 0)
            return refuse(v, "line %" PRIu64 " is not the one that was signed", line->seq + 1);
        v->report->signed_lines = line->seq + 1;
    }
    return 0;
}

/* What its last head says of where it ends. */
static int judge_end(struct verifying *v, enum record_ends ends, const char *why)
{
    struct verify_report *r = v->report;
    const struct point *last;

    if (ends == RECORD_ENDS_WRONG)
        return refuse(v, "%s", why);
    if (v->next < v->n_points)
        return refuse(v,
                      "it ends with line %" PRIu64 ", and line %" PRIu64
                      " was signed: lines are missing, or it is an older one",
                      r->lines, v->points[v->next].line + 1);
    last = &v->points[v->n_points - 1];
    if (last->state == LEDGER_OPEN) {
        r->verdict = VERIFY_INCOMPLETE;
        (void)snprintf(r->why, sizeof(r->why),
                       "%" PRIu64 " of its %" PRIu64 " lines are signed, and the last is '%.31s', "
                       "not its end",
                       r->signed_lines, r->lines, v->last_type);
        return 0;
    }
    if (ends == RECORD_ENDS_CUT || r->signed_lines != r->lines)
        return refuse(v, "it goes on behind its end");
    if (strcmp(v->last_type, "destroyed") != 0)
        return refuse(v, "its last line is no end");
    r->verdict = VERIFY_WHOLE;
    return 0;
}

static int look(struct verifying *v, struct err *e)
{
    enum record_ends ends;
    char why[256];

    if (record_read(v->from->record_fd, first_line, v, &ends, why, sizeof(why), e) < 0)
        return -1;
    if (!v->begun)
        return refuse(v, "%s", ends == RECORD_ENDS_WELL ? "it is empty" : why);
    if (v->refused)
        return 0;
    if (read_ledger(v, e) < 0)
        return -1;
    v->report->heads = v->n_points;
    if (v->refused)
        return 0;
    if (v->n_points == 0)
        return refuse(v, "no head of it is in the ledger");
    for (size_t i = 1; i < v->n_points; i++)
        if (v->points[i].line < v->points[i - 1].line || v->points[i - 1].state != LEDGER_OPEN)
            return refuse(v, "the ledger's heads of it contradict each other");
    if (record_read(v->from->record_fd, take_line, v, &ends, why, sizeof(why), e) < 0)
        return -1;
    return v->refused ? 0 : judge_end(v, ends, why);
}

int verify_record(const struct verify_from *from, struct verify_report *ret, struct err *e)
{
    struct verify_report report = {.verdict = VERIFY_REFUSED};
    struct verifying v = {.from = from, .report = &report};
    int rc = look(&v, e);

    memcpy(report.key, from->trusted->id, sizeof(report.key));
    free(v.points);
    if (rc == 0)
        *ret = report;
    return rc;
}

int verify_own(const char *data_dir, int record_fd, const char *id, struct verify_report *ret,
               struct err *e)
{
    own_free char *ledger = NULL, *pem = NULL;
    struct sign_public key;
    size_t len;

    if (ledger_public(data_dir, &pem, &key, e) < 0 || ledger_read(data_dir, &ledger, &len, e) < 0)
        return -1;
    return verify_record(
        &(struct verify_from){
            .record_fd = record_fd, .ledger = ledger, .ledger_len = len, .trusted = &key, .id = id},
        ret, e);
}
