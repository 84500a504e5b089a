/*
 * inventory: finds out which packages an image's root file system has, from the lists that their
 * package managers left in it.
 *
 * How it works: each file whose path inventory_wants() is read and added; what it names is checked,
 * and kept once. UNTRUSTED: every file is the image's own. One that cannot be read, or that names
 * something no package can be called, is left out and counted; it never ends an import. What is
 * read and kept has a limit: a list that is cut says so by the count.
 *
 *     dpkg    var/lib/dpkg/status, and status.d/NAME as in images without dpkg (deb822(5))
 *     python  NAME.dist-info/METADATA, NAME.egg-info/PKG-INFO and the like (Core metadata)
 *     npm     node_modules/NAME/package.json, node_modules/@SCOPE/NAME/package.json
 *     os      etc/os-release, or usr/lib/os-release (os-release(5))
 */
#ifndef LZ_IMAGES_INVENTORY_H
#define LZ_IMAGES_INVENTORY_H

#include "base/doc.h"
#include "base/err.h"
#include "images/rootfs.h"

#include <stddef.h>

#define INVENTORY_DPKG_MAX   (16u << 20)  /* bytes of a dpkg status file */
#define INVENTORY_PYTHON_MAX (1u << 20)   /* bytes of a METADATA file, which ends with a README */
#define INVENTORY_NPM_MAX    (256u << 10) /* bytes; as JSON it takes a hundred times its size */
#define INVENTORY_OS_MAX     (64u << 10)  /* bytes */
#define INVENTORY_READ_MAX   (256u << 20) /* bytes of all files */
#define INVENTORY_LIST_MAX   (3u << 20)   /* bytes of the list; a whole manifest has 4 MiB */

/*
 * Returns new: the list for the manifest's "packages" (packages.h), and how many files, or entries
 * in them, were left out of it. Fails only where walking the tree does.
 */
int inventory_read(const struct rootfs *r, struct doc **ret_packages, size_t *ret_skipped,
                   struct err *e);

/* The same in steps. */
struct inventory;

/* Returns new. */
struct inventory *inventory_new(void);
void inventory_free(struct inventory *inv);
static inline void inventory_free_p(struct inventory **inv)
{
    inventory_free(*inv);
}
#define own_inventory __attribute__((cleanup(inventory_free_p)))

/* The most bytes to read of the file at `path` (relative to the root); 0: it is of no interest. */
size_t inventory_wants(const char *path);
/* Adds what a file that is wanted says. `text` has a NUL behind its `len` bytes; it is cut up. */
void inventory_add(struct inventory *inv, const char *path, char *text, size_t len);
/* Counts a file that is wanted and could not be read. */
void inventory_skip(struct inventory *inv);

/* Returns new: the manifest's "packages" (packages.h). */
struct doc *inventory_format(const struct inventory *inv);
/* How many files, or entries in them, were left out. */
size_t inventory_skipped(const struct inventory *inv);

#endif
