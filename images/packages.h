/*
 * packages: the package list of an image's manifest: what is in it, and in which form.
 *
 *     [{"type": "deb", "name": "libc6", "version": "2.36-9+deb12u13", "architecture": "amd64",
 *       "source": "glibc", "source_version": "2.36-9+deb12u13"},
 *      {"type": "npm", "name": "@scope/name", "version": "1.2.3"},
 *      {"type": "os", "name": "debian", "version": "12"},
 *      {"type": "python", "name": "pip", "version": "23.0.1"}]
 *
 * UNTRUSTED: an image says whatever it likes about itself. Every text is 1 to 255 bytes of
 * printable ASCII without spaces, quotes and backslashes; the entries are in ascending order of
 * type, name, version and architecture, none twice, so that the same packages are the same bytes.
 */
#ifndef LZ_IMAGES_PACKAGES_H
#define LZ_IMAGES_PACKAGES_H

#include "base/doc.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define PACKAGE_TEXT_MAX 255 /* bytes of a name or version */

enum package_type { PACKAGE_DEB, PACKAGE_NPM, PACKAGE_OS, PACKAGE_PYTHON, PACKAGE_TYPES };

/* Borrows its texts. */
struct package {
    enum package_type type;
    const char *name, *version;
    const char *architecture, *source, *source_version; /* a deb's, else NULL */
};

struct packages {
    struct package *items;
    size_t n;
};
void packages_done(struct packages *p);
#define own_packages __attribute__((cleanup(packages_done)))

/* Reads a manifest's list, which must live longer than `ret`. ERR_IMAGE. */
int packages_parse(const struct doc *list, struct packages *ret, struct err *e);

const char *package_type_name(enum package_type type);
/* True if every text may be in a list; versions of a deb can be compared, too. */
bool package_is_valid(const struct package *p);
/* The order of a list, as strcmp(). */
int package_order(const struct package *a, const struct package *b);
/* Returns new: its entry in a list. */
struct doc *package_format(const struct package *p);

/* The list's first entry of type "os", or NULL. Borrows. */
const struct package *packages_os(const struct packages *p);

#endif
