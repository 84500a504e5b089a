/*
 * prefetch: reads what nearly every program of an image begins with, before the guest is saved.
 *
 * A restored guest then has these blocks in memory, verified and unpacked, where it would read them
 * at the start of its job. They are the image's, the same for each run that begins with it.
 */
#ifndef LZ_AGENT_PREFETCH_H
#define LZ_AGENT_PREFETCH_H

#include <stdint.h>

/* Reads the loader and the C library below `root`, where it has them; links stay in it. Returns the
 * bytes that were read. Where it fails the guest is only slower. */
uint64_t prefetch_read(const char *root);

#endif
