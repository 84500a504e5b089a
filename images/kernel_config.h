/*
 * kernel_config: what a guest kernel of our own is configured to be, and what it must be.
 *
 * How it works: images/kernel/ *.config say what is wanted; they are part of the program. Kconfig
 * makes the final configuration from them, and says nothing when it drops an option whose
 * dependency is missing, so that is read back: every line that was wanted must be in it, and every
 * row of the table of requirements, whatever the lists say. The table is the promise, the lists are
 * how it is kept.
 */
#ifndef LZ_IMAGES_KERNEL_CONFIG_H
#define LZ_IMAGES_KERNEL_CONFIG_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define KERNEL_AIRGAP "airgap" /* no IP stack */
#define KERNEL_NET    "net"    /* IPv4 and IPv6, for the container's loopback */

/* NULL-terminated: the flavours that there are, the one to prefer first. */
extern const char *const kernel_flavours[];
bool kernel_is_flavour(const char *name);

/* Returns new: the list for KCONFIG_ALLCONFIG. `flavour` is one of kernel_flavours. */
char *kernel_config_wanted(const char *flavour);

/* Reads a final .config. ERR_HOST names the first option that is not as it must be, and why it
 * must. */
int kernel_config_check(const char *flavour, const char *config, struct err *e);

/* One row of the table; for the test that takes each away. */
struct kernel_required {
    const char *option;  /* without CONFIG_ */
    const char *value;   /* as in .config, or NULL: must not be set */
    const char *flavour; /* NULL: in all */
    const char *why;
};
extern const struct kernel_required kernel_required[];
extern const size_t kernel_required_n;

#endif
