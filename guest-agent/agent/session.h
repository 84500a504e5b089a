/*
 * session: the guest's end of the protocol (shared/wire.h): frames in, frames out, jobs between.
 *
 * How it works
 *   One loop, one thread. HELLO begins a session: jobs of an older one are ended and forgotten, but
 *   for those that it names after a hold. It also is the first that a restored guest hears of its
 * new life, so whatever is to be new is made new there, before the answer. A parked guest is in no
 * session, and only HELLO is legal then. A frame of the host that is not legal in the guest's state
 * ends everything, except those that may have crossed an EXIT or COLLECTED on the way; they are
 * dropped. SYNC stops the jobs, has the scratch disk written out, and then holds the session: no
 * job's bytes move and nothing is said until RESUME, or until a HELLO tells that the guest was
 * restored meanwhile. Either lets the jobs that are left go on. While the host is not connected the
 * port reads as empty and polls as hung up. It is watched edge-triggered, through an epoll of its
 * own, so that this costs nothing.
 */
#ifndef LZ_AGENT_SESSION_H
#define LZ_AGENT_SESSION_H

#include "agent/boot.h"
#include "agent/container.h"
#include "agent/egress.h"
#include "agent/secrets.h"

struct session_config {
    struct container_paths container;
    struct secrets_config secrets;
    const char *run_dir; /* bundles go there */
    const char *out_dir; /* what COLLECT collects */
    const char *scratch; /* SYNC writes out the file system that this folder is on */
    /* What HELLO asks for, in this order. 0, or -1 and the fault, which the host is told: it does
     * not use the guest then. */
    int (*resync)(const struct wire_hello *m, struct boot_fault *f); /* entropy and clock */
    int (*park)(struct boot_fault *f);                               /* with WIRE_HELLO_PARK */
    int (*arrive)(const struct wire_hello *m, struct boot_fault *f); /* else: disks and identity */
    const struct egress *egress;                                     /* the way out of the jobs */
    int audit_fd;       /* from audit_open(); -1: what jobs are refused is not told */
    const char *failed; /* bring-up failed, why: HELLO is answered with FAILED; else NULL */
};

/*
 * Serves the host on `port_fd` (non-blocking). Returns only when it is over: -EPROTO the host broke
 * the protocol, -ECANCELED FAILED has been told, else -errno. The calling process must be pid 1 or
 * a child subreaper.
 */
int session_run(int port_fd, const struct session_config *config);

#endif
