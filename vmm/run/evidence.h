/*
 * evidence: the memory and the disk of a guest that was frozen, written apart from it, with their
 * digests in its record. It is looked at, and not gone back to: the guest was not asked to be
 * ready.
 */
#ifndef LZ_RUN_EVIDENCE_H
#define LZ_RUN_EVIDENCE_H

#include "run/keeper.h"

/*
 * Stops the guest, if it is not, and writes. `met_ms` (monotonic) is when the reason for it came:
 * the record says how long it took until it stood still. ERR_REFUSED of an amnesic guest, or one
 * that was given a secret: nothing of them goes to a disk. The guest stays stopped in any case.
 */
int evidence_take(struct keeper *k, uint64_t met_ms, struct err *e);

#endif
