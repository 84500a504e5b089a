/*
 * runtime: crun for the initramfs: built statically from Debian's source (crun_build.h) or, where
 * the host has not the tools, Debian's own with exactly the shared libraries that it needs and
 * their loader, from packages.
 *
 * Every file keeps the path that it has in Debian; symbolic links are replaced by what they lead
 * to, so that the guest can copy plain files.
 */
#ifndef LZ_IMAGES_RUNTIME_H
#define LZ_IMAGES_RUNTIME_H

#include "base/doc.h"
#include "images/apt.h"
#include "images/fileset.h"
#include "images/progress.h"

struct runtime {
    struct doc *packages; /* what is in the files, as a list of packages.h */
    struct fileset files;
};
void runtime_done(struct runtime *r);
#define own_runtime __attribute__((cleanup(runtime_done)))

/* Downloads and builds when it must; `cache_dir` is absolute. */
int runtime_fetch(const struct apt *a, const char *cache_dir, const struct progress *p,
                  struct runtime *ret, struct err *e);

/* Adds to `ret` the program `path`, its loader, and all libraries it needs, out of `all`. */
int runtime_close(const struct fileset *all, const char *path, struct fileset *ret, struct err *e);

#endif
