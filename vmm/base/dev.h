/* dev: a /dev of our own, for processes in a mount namespace of their own. */
#ifndef LZ_BASE_DEV_H
#define LZ_BASE_DEV_H

#include "base/err.h"

/*
 * Mounts a /dev with the common devices and without kvm. Libvirt as root probes QEMU anew at each
 * start, which takes seconds, where its probe can open that device and QEMU's user cannot. What
 * goes by the mounts must not find the old one below, so that is detached. ERR_HOST.
 *
 * Must: be called as root in a mount namespace of our own, whose mounts are private.
 */
int dev_without_kvm(struct err *e);

#endif
