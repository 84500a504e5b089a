/*
 * oci: plan -> OCI runtime configuration (config.json, runtime-spec 1.0.2) of the nested container.
 *
 * Pure. The host writes it, the guest agent hands it to crun unread. Paths follow shared/guest.h;
 * process.args are GUEST_JOB_INIT, what is declared, and then the command.
 */
#ifndef LZ_OCI_OCI_H
#define LZ_OCI_OCI_H

#include "plan/plan.h"

/* Returns new. `exec` (1 to WIRE_EXEC_MAX) names the cgroup: GUEST_CGROUP "/exec-N". */
struct doc *oci_config(const struct plan *p, unsigned exec);

/*
 * The system calls that the container may make with any argument, and who needs each; the last has
 * no name. clone, ioctl, personality, socket and socketpair are allowed with harmless arguments
 * only, and memfd_create where programs are declared; everything else answers EPERM (clone3:
 * ENOSYS).
 */
struct oci_call {
    const char *name, *why;
};
extern const struct oci_call oci_calls[];

/* Returns new: the numbers of those that may be made at all, as PROBE_CALLS bits (shared/probe.h).
 */
char *oci_allowed_calls(void);

#endif
