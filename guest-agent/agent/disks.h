/*
 * disks: finds the guest's disks by serial and mounts what a container is made of.
 *
 * How it works
 *   The image is the same for every run of it, and is mounted at boot. The other disks belong to
 * one run, and are taken when HELLO says which run that is. A guest that is to be saved lets go of
 * them before: taken from its driver, a disk is forgotten, and when the driver gets it back it
 * reads size and contents anew: those of the disk that the restored guest has in the same place.
 */
#ifndef LZ_AGENT_DISKS_H
#define LZ_AGENT_DISKS_H

#include "agent/boot.h"

/* Each: 0, or -1 and the fault. */

/* Mounts GUEST_IMAGE, by way of verity.h only. */
int disks_mount_image(struct boot_fault *f);

/* Takes scratch and input disk from their driver; refused once they are taken. */
int disks_park(struct boot_fault *f);

/*
 * Takes them back where they were parked, mounts GUEST_SCRATCH, GUEST_ROOTFS and, with
 * WIRE_HELLO_INPUT, GUEST_INPUT, makes the job's folders and puts GUEST_JOB_INIT in place. Does
 * nothing when that was done before: the guest goes on with the disks that it has.
 */
int disks_take(const struct wire_hello *m, struct boot_fault *f);
bool disks_are_taken(void);

#endif
