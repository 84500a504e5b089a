/* identity: by what a guest could be told from another one, or taken for one. */
#ifndef LZ_AGENT_IDENTITY_H
#define LZ_AGENT_IDENTITY_H

#include "agent/boot.h"

/*
 * Sets the guest's host name and the container's /etc/machine-id (machine-id(5)) from the nonce.
 * The kernel's boot id needs nothing: it is made when it is first read, and nobody reads it before
 * a save. 0, or -1 and the fault.
 */
int identity_apply(const struct wire_hello *m, struct boot_fault *f);

#endif
