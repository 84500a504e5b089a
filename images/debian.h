/*
 * debian: which of two versions of a Debian package is newer, and the names of Debian's releases.
 *
 * Versions are as in deb-version(7) and Debian policy 5.6.12, written from those texts: libdpkg has
 * the same function, but under the GPL, which the users of this project need not take on.
 */
#ifndef LZ_IMAGES_DEBIAN_H
#define LZ_IMAGES_DEBIAN_H

#include <stdbool.h>

/* True for [epoch:]upstream[-revision] of the characters that each may have. */
bool debian_version_is_valid(const char *text);

/* Less than, equal to or more than 0, as `a` is older than, as old as or newer than `b`. Both may
 * be any text; only for valid ones the answer means something. */
int debian_version_compare(const char *a, const char *b);

/*
 * Debian's releases, for names that differ between the archive, /etc/os-release and the security
 * tracker.
 */
struct debian_suite {
    const char *codename, *version; /* "bookworm", "12" */
    const char *kernel;             /* its own kernel's series; newer ones have their own source */
};
/* Borrow static data; NULL if it is not known. */
const struct debian_suite *debian_suite_by_codename(const char *codename);
const struct debian_suite *debian_suite_by_version(const char *version);

/* Returns new: the source package of the kernel `version` in a suite: "linux", or "linux-6.12"
 * where that series is not the suite's own. */
char *debian_kernel_source(const char *codename, const char *version);

#endif
