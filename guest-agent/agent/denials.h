/*
 * denials: what one job was refused, counted by kind: at most WIRE_DENIED_MAX rows for the host,
 * which is told each of them soon, again when it has doubled, and at the end if it has grown.
 */
#ifndef LZ_AGENT_DENIALS_H
#define LZ_AGENT_DENIALS_H

#include "shared/wire.h"

#define DENIALS_CALLS (WIRE_DENIED_MAX - WIRE_FILES_MAX - (WIRE_DENIED_FILE - WIRE_DENIED_FOREIGN))

struct denial {
    struct wire_denied row;
    uint64_t told; /* the count that the host has, 0: none */
};

struct denials {
    size_t n_calls;
    struct denial calls[DENIALS_CALLS];     /* WIRE_DENIED_CALL, in rising order */
    struct denial others[WIRE_DENIED_FILE]; /* by kind */
    size_t n_files;
    struct denial files[WIRE_FILES_MAX]; /* WIRE_DENIED_FILE, in the order in which they came */
};

void denials_init(struct denials *d);
/* One more refused system call of x86_64. */
void denials_add_call(struct denials *d, uint32_t number);
/* One more file; `access` is of WIRE_FILE_*. */
void denials_add_file(struct denials *d, const char *name, uint32_t access);
/* `count` more of a kind that is told by its count only. */
void denials_add(struct denials *d, enum wire_denied_kind kind, uint64_t count);
/* The next row that the host is to be told: one that it has not heard of, or half the count of,
 * and, at the `last`, one that it has another count of; NULL: there is none. Whoever tells it calls
 * denials_told(). */
struct denial *denials_due(struct denials *d, bool last);
void denials_told(struct denial *row);
/* Another host has been told nothing. */
void denials_untold(struct denials *d);

#endif
