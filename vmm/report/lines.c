/* lines: a record in memory, for those who show it. See lines.h. */
#include "report/lines.h"

#include "base/own.h"
#include "record/read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* "2026-11-27T14:22:15.123456789Z"; 0: it is no time. */
static uint64_t parse_time(const char *text)
{
    struct tm tm = {0};
    const char *p = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    uint64_t ns = 0, unit = 100000000;
    time_t s;

    if (!p)
        return 0;
    if (*p == '.')
        for (p++; *p >= '0' && *p <= '9'; p++, unit /= 10)
            ns += unit * (uint64_t)(*p - '0');
    s = timegm(&tm);
    return strcmp(p, "Z") != 0 || s <= 0 ? 0 : (uint64_t)s * 1000000000u + ns;
}

void report_line_of(struct doc *d, struct report_line *ret)
{
    *ret = (struct report_line){.d = d};
    ret->type = report_text(d, "type");
    ret->time = report_text(d, "time");
    ret->by = report_text(d, "by");
    ret->ns = parse_time(ret->time);
}

static int take(const struct record_line *line, void *arg, struct err *e)
{
    struct report_lines *l = arg;
    struct report_line *item;

    if ((l->n & (l->n - 1)) == 0) {
        size_t cap = l->n ? l->n * 2 : 1;
        struct report_line *more = reallocarray(l->items, cap, sizeof(*more));

        if (!more)
            return err_sys(e, ERR_HOST, errno, "a record of %zu lines", l->n);
        l->items = more;
    }
    item = &l->items[l->n++];
    report_line_of(doc_ref(line->d), item);
    if (item->ns && !l->begin_ns)
        l->begin_ns = item->ns;
    if (item->ns > l->end_ns)
        l->end_ns = item->ns;
    return 0;
}

int report_lines_read(int fd, struct report_lines *ret, struct err *e)
{
    enum record_ends ends;

    *ret = (struct report_lines){0};
    if (record_read(fd, take, ret, &ends, ret->why, sizeof(ret->why), e) < 0)
        return -1;
    return ret->n ? 0 : err_set(e, ERR_USAGE, "it has no line of a record (%s)", ret->why);
}

void report_lines_done(struct report_lines *l)
{
    for (size_t i = 0; i < l->n; i++)
        doc_free(l->items[i].d);
    free(l->items);
    *l = (struct report_lines){0};
}

const struct report_line *report_lines_first(const struct report_lines *l, const char *type)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->items[i].type, type) == 0)
            return &l->items[i];
    return NULL;
}

const char *report_text(const struct doc *d, const char *key)
{
    const char *text;

    return doc_get_str(d, key, &text, &(struct err){0}) < 0 ? "" : text;
}

uint64_t report_number(const struct doc *d, const char *key)
{
    uint64_t n;

    return doc_get_u64(d, key, &n, &(struct err){0}) < 0 ? 0 : n;
}

bool report_flag(const struct doc *d, const char *key)
{
    bool flag;

    return doc_get_bool(d, key, &flag, &(struct err){0}) == 0 && flag;
}

const struct doc *report_list(const struct doc *d, const char *key)
{
    const struct doc *list;

    return doc_get_array(d, key, &list, &(struct err){0}) < 0 ? NULL : list;
}
