/*
 * scratch: a run's own writable disk: a sparse raw file with an empty ext4 file system.
 */
#ifndef LZ_SNAPSHOTS_SCRATCH_H
#define LZ_SNAPSHOTS_SCRATCH_H

#include "base/err.h"

#include <stdint.h>

/* Makes `path` (must not exist) of `size_bytes`, by mke2fs; removed again on failure. ERR_HOST says
 * "no space" when it is that. */
int scratch_create(const char *path, uint64_t size_bytes, struct err *e);

#endif
