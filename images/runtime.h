/*
 * runtime: crun with exactly the shared libraries that it needs and their loader, from packages.
 *
 * Every file keeps the path that it has in Debian; symbolic links are replaced by what they lead
 * to, so that the guest can copy plain files.
 */
#ifndef LZ_IMAGES_RUNTIME_H
#define LZ_IMAGES_RUNTIME_H

#include "images/apt.h"
#include "images/fileset.h"

struct runtime {
    struct apt_packages packages; /* crun and all that it depends on */
    struct fileset files;
};
void runtime_done(struct runtime *r);
#define own_runtime __attribute__((cleanup(runtime_done)))

/* Downloads when it must. */
int runtime_fetch(const struct apt *a, struct runtime *ret, struct err *e);

/* Adds to `ret` the program `path`, its loader, and all libraries it needs, out of `all`. */
int runtime_close(const struct fileset *all, const char *path, struct fileset *ret, struct err *e);

#endif
