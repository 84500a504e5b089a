/* lines: a record in memory, for those who show it. The chain is checked while it is read. */
#ifndef LZ_REPORT_LINES_H
#define LZ_REPORT_LINES_H

#include "base/doc.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct report_line {
    const char *type, *time, *by; /* borrowed from `d` */
    uint64_t ns;                  /* of `time`, since 1970; 0: not a time */
    struct doc *d;                /* the caller's, or of report_lines */
};
/* Borrows d. */
void report_line_of(struct doc *d, struct report_line *ret);

struct report_lines {
    struct report_line *items;
    size_t n;
    uint64_t begin_ns, end_ns; /* the first time and the last */
    char why[512];             /* what is wrong with its chain, or ""; the lines are those before */
};

/* Reads all of `fd`. -1: it could not be read. */
int report_lines_read(int fd, struct report_lines *ret, struct err *e);
void report_lines_done(struct report_lines *l);
#define own_report_lines __attribute__((cleanup(report_lines_done)))

/* The first line of a type, or NULL. */
const struct report_line *report_lines_first(const struct report_lines *l, const char *type);
/* Members of a line; "", 0 or false where there is none. */
const char *report_text(const struct doc *d, const char *key);
uint64_t report_number(const struct doc *d, const char *key);
bool report_flag(const struct doc *d, const char *key);
/* An array, or NULL. */
const struct doc *report_list(const struct doc *d, const char *key);

#endif
