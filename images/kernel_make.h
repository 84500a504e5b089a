/*
 * kernel_make: runs the kernel's own makefiles so that the result depends on nothing but the
 * sources, the configuration and Debian's compiler.
 *
 * How it works: the environment is ours alone (no CC, CFLAGS, LLVM of the caller's), the toolchain
 * is the system's, and what the kernel would note of when, where and by whom it was built is fixed.
 * What make says goes to OBJECTS/make.log, one line a step, also over several attempts: that is how
 * far the build is.
 */
#ifndef LZ_IMAGES_KERNEL_MAKE_H
#define LZ_IMAGES_KERNEL_MAKE_H

#include "base/err.h"

#define KERNEL_MAKE_LOG    "make.log"
#define KERNEL_MAKE_CONFIG "wanted.config" /* in the objects' folder: KCONFIG_ALLCONFIG */

struct kernel_make {
    const char *source, *objects; /* absolute paths; objects outlive an attempt */
    unsigned jobs;
    const char *target;
    unsigned steps; /* about how many lines a whole build says; 0: no progress */
    void (*progress)(void *arg, unsigned percent);
    void *progress_arg;
};

/* ERR_HOST with all of Debian's packages that are missing on this host, and the command. */
int kernel_make_check_tools(struct err *e);
/* ERR_HOST with the compiler's first complaint and where the rest is. */
int kernel_make_run(const struct kernel_make *m, struct err *e);
/* Returns new: all that a make is told, for the recipe's digest. */
char *kernel_make_recipe(void);

#endif
