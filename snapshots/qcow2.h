/*
 * qcow2: disks that keep what they held at a mark, by qemu-img (Debian's qemu-utils).
 *
 * A mark of the disk is an internal snapshot of the image, made by the QEMU that has it open
 * (hv_disk_keep()). Everything here is for an image that no QEMU has open.
 */
#ifndef LZ_SNAPSHOTS_QCOW2_H
#define LZ_SNAPSHOTS_QCOW2_H

#include "base/err.h"

/*
 * Returns new: the image as qemu-img is told of it, over the raw `base` (NULL: nothing), whatever
 * it names itself: the QEMU that wrote it may have been taken over by its guest. No quote or
 * backslash may be in the paths.
 */
char *qcow2_image(const char *path, const char *base);
/* Makes `path`, which must not exist, with what the raw image holds. Nothing is left of a failure.
 */
int qcow2_from_raw(const char *raw, const char *path, struct err *e);
/* Makes `path`, an image over the raw `base`, which is named relative to the folder of `path`. */
int qcow2_overlay(const char *base, const char *path, struct err *e);
/* The image over `base` (absolute, or NULL) holds again what it held at the mark. ERR_HOST. */
int qcow2_revert(const char *path, const char *base, const char *mark, struct err *e);

#endif
