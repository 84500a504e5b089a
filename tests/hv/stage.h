/* stage: the surroundings that the keeper gives libvirt, for tests of the embedded driver. */
#ifndef LZ_TESTS_HV_STAGE_H
#define LZ_TESTS_HV_STAGE_H

#include <stdbool.h>

#define STAGE_DIR "/run/lz" /* on a tmpfs of the test's own; traversable by QEMU's user */

/*
 * Runs `body` in new pid, mount, net, ipc and uts namespaces below a process that reaps orphans;
 * everything in there dies with it. `as_user`: also a user namespace that maps one uid (nobody's
 * if we are root); `kvm`: with the host's /dev/kvm. Returns the exit status of body; prints a TAP
 * bail-out and returns 1 if the host does not allow it.
 */
int stage_run(bool as_user, bool kvm, int (*body)(void));

/* Living processes in our pid namespace whose program is QEMU. */
int stage_count_qemu(void);

#endif
