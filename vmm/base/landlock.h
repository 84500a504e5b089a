/*
 * landlock: takes from this process every file that it is not told, as far as the kernel can.
 *
 * landlock(7). Everything that the kernel's version ("ABI") can refuse is refused, but for what
 * landlock_allow() adds; TCP, abstract sockets and signals to others too where it can. What it
 * cannot refuse in any version: stat, chmod, chown, utime, and extended attributes.
 */
#ifndef LZ_BASE_LANDLOCK_H
#define LZ_BASE_LANDLOCK_H

#include "base/err.h"

#include <linux/landlock.h>
#include <stdint.h>

/* Rights of later ABIs than Debian 12's header knows. */
#define LANDLOCK_TRUNCATE  (1ull << 14) /* ABI 3 */
#define LANDLOCK_IOCTL_DEV (1ull << 15) /* ABI 5 */

/* 0: this kernel has none, or it is switched off. */
long landlock_abi(void);

/* Begins a list of what stays allowed. *ret_fd is -1 where there is no Landlock. */
int landlock_begin(int *ret_fd, struct err *e);
/* The same, and TCP stays as it is. */
int landlock_begin_files(int *ret_fd, struct err *e);
/*
 * Adds what is behind `path_fd`: a file, or a folder with all below it. Rights that mean nothing to
 * a file, or to this kernel, are left out.
 */
int landlock_allow(int ruleset_fd, int path_fd, uint64_t rights, struct err *e);
/* From here on it holds, for what we execute too. The process has no_new_privs. */
int landlock_restrict(int ruleset_fd, struct err *e);

#endif
