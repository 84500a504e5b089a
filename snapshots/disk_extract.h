/*
 * disk_extract: a qcow2 disk, as it is or as one of its internal snapshots kept it, as a raw file.
 *
 * The disk's layout was written by a QEMU that a guest may have taken over: the file below it is
 * the one that the caller says, whatever the layout names, for qemu-img would read that as the
 * caller; a layout with an external data file is refused. What is inside stays opaque here:
 * lazaret-look reads it.
 */
#ifndef LZ_SNAPSHOTS_DISK_EXTRACT_H
#define LZ_SNAPSHOTS_DISK_EXTRACT_H

#include "base/err.h"

/*
 * Writes `raw_path` (must not exist; sparse, 0600; removed again on failure) by qemu-img.
 * `snapshot` is the name of an internal snapshot, and the disk may be in use; NULL takes the disk
 * as it is, which no QEMU may hold then. `base` is the raw file below an overlay, else NULL.
 * ERR_HOST; it says "no space" when it is that.
 */
int disk_extract(const char *qcow2_path, const char *base, const char *snapshot,
                 const char *raw_path, struct err *e);

#endif
