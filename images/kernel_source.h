/*
 * kernel_source: Debian's kernel source package, unpacked where a kernel of our own is built.
 *
 * How it works: the newest version that the suite has is downloaded and checked by apt; its tar is
 * unpacked into a folder that gets its name when it is whole. File times are those of
 * the archive, so that make finds nothing changed when it is unpacked again.
 */
#ifndef LZ_IMAGES_KERNEL_SOURCE_H
#define LZ_IMAGES_KERNEL_SOURCE_H

#include "images/apt.h"

/* The same series as Debian's cloud kernel that images get otherwise (kernel.c). */
#define KERNEL_SOURCE_PACKAGE "linux-source-6.12"

/* Returns new: the version of the package that the lists have. */
int kernel_source_version(const struct apt *a, char **ret_version, struct err *e);

/* Downloads the package when it is not there yet. Returns new: its path. */
int kernel_source_fetch(const struct apt *a, const char *version, char **ret_deb, struct err *e);
/* Unpacks the package into the folder `name` of `dir`, unless that is there: seconds, 1.6 GB. */
int kernel_source_unpack(const char *deb, const char *dir, const char *name, struct err *e);

#endif
