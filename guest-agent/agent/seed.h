/* seed: the guest's entropy and clock, from the host's HELLO. */
#ifndef LZ_AGENT_SEED_H
#define LZ_AGENT_SEED_H

#include "shared/wire.h"

/*
 * Credits the host's seed to the kernel's pool, makes the generator use it at once, and sets the
 * clock: after a restore two guests would otherwise draw the same random numbers and live in the
 * past. 0 or -errno.
 */
int seed_apply(const struct wire_hello *m);

#endif
