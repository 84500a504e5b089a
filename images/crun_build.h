/*
 * crun_build: crun from Debian's source package, linked statically.
 *
 * How it works
 *   Debian's own crun takes eleven shared libraries, whose linking is half of what starting a
 *   container costs under software emulation. So the source of the same version is built once more,
 *   without systemd, which no guest has, with the static libraries of Debian's packages in a folder
 *   of their own (--sysroot): of the host only compiler, linker, make and dpkg-source are used.
 *   What was built is kept in the cache, by all that it depends on: a new version of crun, of a
 *   library or of the compiler is built anew. Sources and packages are signed, as all of apt's are.
 *
 *     CACHE/crun-KEY/   crun, packages.json (packages.h: crun, and the libraries that are in it)
 */
#ifndef LZ_IMAGES_CRUN_BUILD_H
#define LZ_IMAGES_CRUN_BUILD_H

#include "base/doc.h"
#include "base/err.h"
#include "images/apt.h"
#include "images/progress.h"

struct crun_build {
    const struct apt *apt;
    const char *cache_dir; /* absolute */
    const struct progress *progress;
};

struct crun_built {
    char *data; /* the program */
    size_t len;
    struct doc *packages; /* a list as in packages.h */
};
void crun_built_done(struct crun_built *b);
#define own_crun_built __attribute__((cleanup(crun_built_done)))

/* Builds it, or takes it from the cache. ERR_HOST, with what is missing on this host. */
int crun_build(const struct crun_build *w, struct crun_built *ret, struct err *e);

#endif
