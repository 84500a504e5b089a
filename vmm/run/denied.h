/*
 * denied: what the guest says that a job was refused, for the result and for people.
 */
#ifndef LZ_RUN_DENIED_H
#define LZ_RUN_DENIED_H

#include "base/doc.h"
#include "shared/wire.h"

#include <stdbool.h>

/* Plain data, the guest's word. */
struct run_denied {
    uint32_t n;
    struct wire_denied rows[WIRE_DENIED_MAX];
};

/* One more row, or a new count of one; beyond the last that there is room for, none. */
void denied_add(struct run_denied *d, const struct wire_denied *m);
/* Returns new: array of {"kind", "call" or "number", or "access" and "path", "count"}. */
struct doc *denied_to_doc(const struct run_denied *d);
/* Returns new: one row, as there. */
struct doc *denied_row_to_doc(const struct wire_denied *m);
/* One line about refused calls, but for those that ordinary programs try and do without; false:
 * there is nothing worth it. */
bool denied_line(const struct run_denied *d, char *ret_text, size_t size);
/* The same of one row, as soon as it is known; its count is not. */
bool denied_first_line(const struct wire_denied *m, char *ret_text, size_t size);
/* Of a kind that has one row at most. */
uint64_t denied_count(const struct run_denied *d, enum wire_denied_kind kind);

#endif
