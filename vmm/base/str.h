/*
 * str: a growing string, and the parsers for numbers, sizes and durations on the command line.
 *
 * Running out of memory is fatal here (one line, abort): the host side never grows a string by what
 * a guest sends, so it can only mean that the host itself is out of memory.
 */
#ifndef LZ_BASE_STR_H
#define LZ_BASE_STR_H

#include "base/err.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
    char *data; /* NUL-terminated once anything was added, else NULL */
    size_t len; /* bytes, without the NUL */
    size_t cap;
};

/* Frees the buffer; the object may be used again. Fits own_str. */
void str_done(struct str *s);
#define own_str __attribute__((cleanup(str_done)))

void str_add(struct str *s, const char *text);
void str_add_bytes(struct str *s, const void *data, size_t len);
void str_addf(struct str *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Returns new: the text ("" if nothing was added); `s` is empty afterwards. */
char *str_steal(struct str *s);

/* Returns new, like asprintf/strdup, never NULL. */
char *str_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
char *str_vprintf(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));
char *str_dup(const char *text);

/* Are they the same text, or both NULL? */
bool str_same(const char *a, const char *b);

/*
 * Copies `len` UNTRUSTED bytes into `out` (of `out_size` bytes, NUL included) as printable ASCII:
 * everything else, and the backslash, becomes \xNN. Cuts with "..." when it does not fit. Returns
 * the length written.
 */
size_t str_escape(char *out, size_t out_size, const void *data, size_t len);

/* True if every byte up to the NUL is printable ASCII and it ends within `size` bytes. */
bool str_is_printable(const char *text, size_t size);

/* True for 1 to 64 bytes of [A-Za-z0-9._-], not starting with '.' or '-': safe as a file name. */
bool str_is_name(const char *text);

/* True if the whole text is valid UTF-8: what JSON can carry. */
bool str_is_utf8(const char *text);

bool str_starts_with(const char *text, const char *prefix);

/* Whole-string parsers: decimal only; `what` names the option in the error (ERR_USAGE). */
int str_parse_u64(const char *text, const char *what, uint64_t min, uint64_t max, uint64_t *ret,
                  struct err *e);
/* Bytes, with an optional K, M, G or T (powers of 1024). */
int str_parse_size(const char *text, const char *what, uint64_t min, uint64_t max,
                   uint64_t *ret_bytes, struct err *e);
/* Seconds, or with ms, s, m, h; "1.5" is accepted. */
int str_parse_duration(const char *text, const char *what, uint64_t max_ms, uint64_t *ret_ms,
                       struct err *e);
/* "512 MiB" and the like into `out`; exact in bytes when it is not a whole multiple. Returns out.
 */
const char *str_format_size(char *out, size_t out_size, uint64_t bytes);

/* A NULL-terminated list of owned strings. */
struct strv {
    char **items; /* NULL-terminated once anything was added, else NULL */
    size_t n;
};
void strv_done(struct strv *v);
#define own_strv __attribute__((cleanup(strv_done)))
void strv_add(struct strv *v, const char *text); /* copies */
void strv_drop(struct strv *v, size_t at);       /* the one at `at`; the rest keeps its order */
/* False for a list that is NULL, too. */
bool strv_has(const struct strv *v, const char *text);
/* Adds all, also what is there already. */
void strv_add_all(struct strv *to, const struct strv *from);
/* Adds those that are not there yet. */
void strv_add_new(struct strv *to, const struct strv *from);
void strv_addf(struct strv *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
