/*
 * changes: what a guest changed on its disk, on its record, where that was asked for.
 *
 * How it works
 *   On the way down, while it still lives, the guest writes out what it holds of its disk and is
 *   held. When its QEMU is gone lazaret-look, which has no rights, compares the disk with an empty
 *   one, or of a fork with the one that it began with: the host reads it, and what is in it is what
 *   the guest wrote. A guest that is gone, stands still or does not answer does not write it out;
 *   then the record says so. Nothing of it decides how the guest ended.
 */
#ifndef LZ_RUN_CHANGES_H
#define LZ_RUN_CHANGES_H

#include <stdbool.h>

#define CHANGES_ROWS    1000u  /* that are on record */
#define CHANGES_DOWN_MS 120000 /* what it may take a sandbox longer to go down */

struct keeper;

/* Before the way down. */
void changes_settle(struct keeper *k);
/* QEMU is gone, and its disk still there. */
void changes_put(struct keeper *k);
/* A sandbox by its folder: does it look for them? */
bool changes_are_asked_of(int folder_fd);

#endif
