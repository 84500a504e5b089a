/* str: a growing string, and the parsers for numbers, sizes and durations on the command line. */
#include "base/str.h"

#include "shared/utf8.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *grow(void *p, size_t n, size_t size)
{
    void *q = reallocarray(p, n, size);

    if (!q) {
        fputs("lazaret: out of memory\n", stderr);
        abort();
    }
    return q;
}

/* Makes room for `more` bytes and a NUL behind the text; returns where they go. */
static char *reserve(struct str *s, size_t more)
{
    size_t need = s->len + more + 1;
    char *data = s->data;

    if (!data || need > s->cap) {
        s->cap = need < 64 ? 64 : need * 2;
        s->data = data = grow(data, s->cap, 1);
    }
    return data + s->len;
}

void str_done(struct str *s)
{
    free(s->data);
    *s = (struct str){0};
}

void str_add_bytes(struct str *s, const void *data, size_t len)
{
    char *to = reserve(s, len);

    if (len > 0)
        memcpy(to, data, len);
    to[len] = '\0';
    s->len += len;
}

void str_add(struct str *s, const char *text)
{
    str_add_bytes(s, text, strlen(text));
}

static void __attribute__((format(printf, 2, 0))) add_va(struct str *s, const char *fmt, va_list ap)
{
    va_list again;
    int n;

    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (n < 0)
        abort();
    vsnprintf(reserve(s, (size_t)n), (size_t)n + 1, fmt, ap);
    s->len += (size_t)n;
}

void str_addf(struct str *s, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add_va(s, fmt, ap);
    va_end(ap);
}

char *str_steal(struct str *s)
{
    char *text;

    *reserve(s, 0) = '\0';
    text = s->data;
    *s = (struct str){0};
    return text;
}

char *str_vprintf(const char *fmt, va_list ap)
{
    struct str s = {0};

    add_va(&s, fmt, ap);
    return str_steal(&s);
}

char *str_printf(const char *fmt, ...)
{
    va_list ap;
    char *text;

    va_start(ap, fmt);
    text = str_vprintf(fmt, ap);
    va_end(ap);
    return text;
}

char *str_dup(const char *text)
{
    struct str s = {0};

    str_add(&s, text);
    return str_steal(&s);
}

bool str_same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '\\';
}

size_t str_escape(char *out, size_t out_size, const void *data, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    const unsigned char *in = data;
    size_t whole = 0, room = out_size, n = 0;

    if (out_size == 0)
        return 0;
    for (size_t i = 0; i < len && whole < out_size; i++)
        whole += is_plain(in[i]) ? 1 : 4;
    if (whole >= out_size)
        room = out_size > 3 ? out_size - 3 : 1; /* for "..." */
    for (size_t i = 0; i < len && n + (is_plain(in[i]) ? 1 : 4) < room; i++) {
        if (is_plain(in[i])) {
            out[n++] = (char)in[i];
            continue;
        }
        out[n++] = '\\';
        out[n++] = 'x';
        out[n++] = hex[in[i] >> 4];
        out[n++] = hex[in[i] & 15];
    }
    if (room != out_size)
        for (int dots = 0; dots < 3 && n + 1 < out_size; dots++)
            out[n++] = '.';
    out[n] = '\0';
    return n;
}

bool str_is_printable(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\0')
            return true;
        if (text[i] < 0x20 || text[i] >= 0x7f)
            return false;
    }
    return false;
}

bool str_is_name(const char *text)
{
    size_t len = strlen(text);

    if (len == 0 || len > 64 || text[0] == '.' || text[0] == '-')
        return false;
    return strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}

bool str_is_utf8(const char *text)
{
    const uint8_t *p = (const uint8_t *)text;
    size_t len = strlen(text);
    uint32_t code;

    for (size_t at = 0; at < len;) {
        int n = utf8_decode(p + at, len - at, &code);

        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

bool str_starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* The digits at the start of `text`; -1 if there are none or they overflow. */
static int parse_digits(const char *text, uint64_t *ret, const char **ret_end)
{
    char *end;

    if (!isdigit((unsigned char)text[0]))
        return -1;
    errno = 0;
    *ret = strtoull(text, &end, 10);
    *ret_end = end;
    return errno ? -1 : 0;
}

int str_parse_u64(const char *text, const char *what, uint64_t min, uint64_t max, uint64_t *ret,
                  struct err *e)
{
    const char *end;
    uint64_t n;

    if (parse_digits(text, &n, &end) < 0 || *end)
        return err_set(e, ERR_USAGE, "%s: '%s' is not a whole number", what, text);
    if (n < min || n > max)
        return err_set(e, ERR_USAGE, "%s: %s is out of range (%" PRIu64 " to %" PRIu64 ")", what,
                       text, min, max);
    *ret = n;
    return 0;
}

int str_parse_size(const char *text, const char *what, uint64_t min, uint64_t max,
                   uint64_t *ret_bytes, struct err *e)
{
    char low[32], high[32];
    const char *end;
    uint64_t n;
    unsigned shift = 0;

    if (parse_digits(text, &n, &end) < 0)
        goto bad;
    if (*end) {
        const char *units = "KMGT";
        const char *u = strchr(units, toupper((unsigned char)*end));

        if (!u)
            goto bad;
        shift = (unsigned)(u - units + 1) * 10;
        end++;
        if (end[0] == 'i' && end[1] == 'B')
            end += 2;
        if (*end)
            goto bad;
    }
    if (n > max >> shift || n << shift < min)
        return err_set(e, ERR_USAGE, "%s: %s is out of range (%s to %s)", what, text,
                       str_format_size(low, sizeof(low), min),
                       str_format_size(high, sizeof(high), max));
    *ret_bytes = n << shift;
    return 0;
bad:
    return err_set(e, ERR_USAGE, "%s: '%s' is not a size (a number with K, M, G or T)", what, text);
}

int str_parse_duration(const char *text, const char *what, uint64_t max_ms, uint64_t *ret_ms,
                       struct err *e)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    const char *end;
    uint64_t whole, thousandths = 0;

    if (parse_digits(text, &whole, &end) < 0)
        goto bad;
    if (*end == '.') {
        uint64_t scale = 100;

        for (end++; isdigit((unsigned char)*end); end++, scale /= 10)
            thousandths += (uint64_t)(*end - '0') * scale;
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        uint64_t ms;

        if (strcmp(end, units[i].name) != 0)
            continue;
        if (whole > max_ms / units[i].ms)
            return err_set(e, ERR_USAGE, "%s: %s is too long", what, text);
        ms = whole * units[i].ms + thousandths * units[i].ms / 1000;
        if (ms == 0 || ms > max_ms)
            return err_set(e, ERR_USAGE, "%s: %s is out of range", what, text);
        *ret_ms = ms;
        return 0;
    }
bad:
    return err_set(e, ERR_USAGE, "%s: '%s' is not a duration (seconds, or with ms, s, m, h)", what,
                   text);
}

const char *str_format_size(char *out, size_t out_size, uint64_t bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    size_t u = 0;

    while (u < 4 && bytes >= 1024 && bytes % 1024 == 0) {
        bytes /= 1024;
        u++;
    }
    snprintf(out, out_size, "%" PRIu64 " %s", bytes, units[u]);
    return out;
}

void strv_done(struct strv *v)
{
    for (size_t i = 0; i < v->n; i++)
        free(v->items[i]);
    free(v->items);
    *v = (struct strv){0};
}

static void strv_take(struct strv *v, char *text)
{
    v->items = grow(v->items, v->n + 2, sizeof(char *));
    v->items[v->n++] = text;
    v->items[v->n] = NULL;
}

void strv_add(struct strv *v, const char *text)
{
    strv_take(v, str_dup(text));
}

void strv_drop(struct strv *v, size_t at)
{
    free(v->items[at]);
    memmove(&v->items[at], &v->items[at + 1], (v->n - at) * sizeof(char *)); /* the NULL too */
    v->n--;
}

void strv_addf(struct strv *v, const char *fmt, ...)
{
    struct str s = {0};
    va_list ap;

    va_start(ap, fmt);
    add_va(&s, fmt, ap);
    va_end(ap);
    strv_take(v, str_steal(&s));
}

bool strv_has(const struct strv *v, const char *text)
{
    for (size_t i = 0; v && i < v->n; i++)
        if (strcmp(v->items[i], text) == 0)
            return true;
    return false;
}

void strv_add_all(struct strv *to, const struct strv *from)
{
    for (size_t i = 0; i < from->n; i++)
        strv_add(to, from->items[i]);
}

void strv_add_new(struct strv *to, const struct strv *from)
{
    for (size_t i = 0; i < from->n; i++)
        if (!strv_has(to, from->items[i]))
            strv_add(to, from->items[i]);
}
