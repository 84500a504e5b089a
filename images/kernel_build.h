/*
 * kernel_build: makes a guest kernel of our own from Debian's kernel source package, and puts it
 * into the store.
 *
 * How it works: the recipe is the source's version, the wanted configuration and all that make is
 * told; its digest names the folder with the objects, so that a build that was cut off goes on
 * where it was, and is in the kernel's record, so that a kernel that is there already is not built
 * again. The same recipe with the same compiler gives the same bytes, wherever it is built. Minutes
 * of all CPUs, at the lowest priority; about 2 GB of disk meanwhile; afterwards only the package
 * stays in the cache.
 */
#ifndef LZ_IMAGES_KERNEL_BUILD_H
#define LZ_IMAGES_KERNEL_BUILD_H

#include "base/err.h"
#include "images/kernel.h"
#include "images/progress.h"

/*
 * What our kernels want on their command line: messages on the serial port, a panic ends the
 * machine, KERNEL_CLOCK, and pages are handed out in random order. Lockdown, mitigations and the
 * rest are the kernel's own defaults (images/kernel/common.config).
 */
#define KERNEL_OWN_CMDLINE "console=ttyS0 quiet panic=-1 " KERNEL_CLOCK " page_alloc.shuffle=1"

#define KERNEL_JOBS_MAX 256u

struct kernel_build {
    const char *store_dir;
    const char *cache_dir;
    const char *flavour; /* one of kernel_flavours */
    unsigned jobs;       /* 0: one a CPU */
    struct progress progress;
};

/* ERR_HOST names what is missing or which option of the configuration is not as it must be. */
int kernel_build(const struct kernel_build *b, struct err *e);

#endif
