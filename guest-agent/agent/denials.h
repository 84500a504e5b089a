/*
 * denials: what one job was refused, counted by kind: at most WIRE_DENIED_MAX rows for the host.
 */
#ifndef LZ_AGENT_DENIALS_H
#define LZ_AGENT_DENIALS_H

#include "shared/wire.h"

#define DENIALS_CALLS (WIRE_DENIED_MAX - (WIRE_DENIED_KIND_END - WIRE_DENIED_FOREIGN))

struct denials {
    size_t n_calls;
    struct wire_denied calls[DENIALS_CALLS]; /* WIRE_DENIED_CALL, in rising order */
    uint64_t others[WIRE_DENIED_KIND_END];   /* by kind */
};

void denials_init(struct denials *d);
/* One more refused system call of x86_64. */
void denials_add_call(struct denials *d, uint32_t number);
/* `count` more of a kind that is told by its count only. */
void denials_add(struct denials *d, enum wire_denied_kind kind, uint64_t count);
/* Row `i` in the order that the host wants; false: there are no more. */
bool denials_row(const struct denials *d, size_t i, struct wire_denied *ret);

#endif
