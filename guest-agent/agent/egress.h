/*
 * egress: the agent's side of the way out: the `net` process (proxy.h), and for each job the
 * sockets that it serves there.
 *
 * A guest whose plan allows nothing has no port NET_PORT_NAME: then there is no such process and no
 * socket, and nothing here does anything.
 */
#ifndef LZ_AGENT_EGRESS_H
#define LZ_AGENT_EGRESS_H

#include "agent/boot.h"

#include <stdbool.h>

struct egress {
    int control; /* to the `net` process; -1: there is none */
};

/*
 * Before any job, and before the agent lets go of rights: opens the port and starts the process: a
 * user of its own, no capabilities, no new privileges, a filter of system calls, no file but the
 * port. It dies with the agent; nobody starts it again. 0, or -1 and the fault.
 */
int egress_start(struct egress *e, struct boot_fault *f);

/* Is there one? `e` may be NULL: no. */
bool egress_is_on(const struct egress *e);
/*
 * The container's first process is there, and nothing of the job runs yet: sockets on the loopback
 * of its network namespace (borrowed), for the `net` process, of which there is one. 0 or -errno.
 */
int egress_serve(const struct egress *e, unsigned exec, int network_fd);
/* The job is over; does nothing where egress is not on. */
void egress_forget(const struct egress *e, unsigned exec);

#endif
