/* read: a record, line by line, and whether its chain holds. UNTRUSTED input. */
#ifndef LZ_RECORD_READ_H
#define LZ_RECORD_READ_H

#include "record/record.h"

/*
 * Reads a record line by line. Calls `line` for each, which ends it with -1, or with 1: it has seen
 * what it wants, and *ret and *ret_why say nothing. What is wrong with the chain ends it too, and
 * is said in *ret_why (`size` bytes, printable).
 */
enum record_ends {
    RECORD_ENDS_WELL,
    RECORD_ENDS_CUT, /* its last line has no newline, and was left out */
    RECORD_ENDS_WRONG,
};
struct record_line {
    uint64_t seq;
    const char *type, *time;
    const struct doc *d;
    const char *text;
    size_t len;
    char hash[DIGEST_HEX_SIZE];
    uint64_t end; /* offset behind its newline */
};
typedef int record_line_fn(const struct record_line *line, void *arg, struct err *e);
int record_read(int fd, record_line_fn *line, void *arg, enum record_ends *ret, char *ret_why,
                size_t size, struct err *e);

#endif
