/*
 * amnesia: what an amnesic guest may change or say is in memory only, and goes with its processes.
 *
 * How it works
 *   Disks, input, marks, spools and logs of the guest are on a tmpfs in the mount namespace of its
 *   cage. No process outside has it mounted, so the kernel drops it when the last process of the
 *   cage has ended, however it did: there is no key that could be kept. What is on the disk is the
 *   run's folder without them: lock, plan, journal, domain XML, socket.
 *   Memory reaches a disk by swap or a core dump, so without swap to a disk only, and with core
 *   dumps off in every process of the run. The tmpfs says `noswap` too, where it may (Linux 6.4,
 *   root): swap that is switched on later gets the guest's own memory, but not these files.
 *   Forks share what a mark's forks need on a tmpfs of its own, whose mount is handed on as a file
 *   descriptor: a mount of another namespace could not be bound.
 */
#ifndef LZ_RUN_AMNESIA_H
#define LZ_RUN_AMNESIA_H

#include "base/err.h"

#include <stdint.h>

/* Can the host keep the promise? ERR_REFUSED says what is against it. */
int amnesia_check(struct err *e);
/* The same of an open /proc/swaps; `block_dir` is /sys/block: zram without a disk is memory. */
int amnesia_check_swaps(int swaps_fd, const char *block_dir, struct err *e);
/* This process and its children leave no core, neither as a file nor to a program. ERR_REFUSED. */
int amnesia_no_cores(struct err *e);

/* Makes `path` and mounts a tmpfs there; size 0: half the host's memory until it is bounded. */
int amnesia_mount(const char *path, uint64_t size_bytes, struct err *e);
int amnesia_bound(const char *path, uint64_t size_bytes, struct err *e);
/* Opens a mount for another namespace, which is in none until it is attached there (once). */
int amnesia_hand_out(const char *path, int *ret_fd, struct err *e);
/* Makes `path` and attaches such a mount there. */
int amnesia_attach(int mount_fd, const char *path, struct err *e);

#endif
