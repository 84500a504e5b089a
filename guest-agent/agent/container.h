/*
 * container: the one small interface to the OCI runtime (crun) and to the container's cgroup.
 *
 * A container is made from a bundle (a folder with config.json, which the host wrote and nobody
 * reads here) in one step, detached: its first process becomes a child of the agent, which is pid 1
 * of the guest, and waits for it itself.
 */
#ifndef LZ_AGENT_CONTAINER_H
#define LZ_AGENT_CONTAINER_H

#include "agent/denials.h"
#include "shared/wire.h"

#include <sys/types.h>

/* Files of a bundle. */
#define CONTAINER_CONFIG  "config.json"
#define CONTAINER_PIDFILE "pid"
#define CONTAINER_LOG     "log"
#define CONTAINER_CONSOLE "console"
#define CONTAINER_PROFILE "profile"

#define CONTAINER_ID_MAX   64
#define CONTAINER_PATH_MAX 256

struct container_paths {
    int runtime_fd;     /* the program */
    const char *state;  /* its state folder */
    const char *cgroup; /* folder of the parent cgroup: GUEST_CGROUP below the mount point */
};

struct container_start {
    const char *id;
    const char *bundle;
    int stdio[3];   /* borrowed */
    uint32_t owner; /* for audit_name_me() */
    int link;       /* becomes LINK_FD of the container's first process; borrowed */
    bool tty;       /* the console arrives on the socket CONTAINER_CONSOLE of the bundle */
};

/* Start the runtime: its pid, or -errno. It ends with 0 once the container exists. */
pid_t container_start(const struct container_paths *p, const struct container_start *s);
pid_t container_delete(const struct container_paths *p, const char *id);

/* Pid of the container's first process, or 0 if the runtime has not written it. */
pid_t container_pid(const char *bundle);
/* First line of what the runtime logged, without its time stamp; "" if there is none. */
void container_log(const char *bundle, char *ret_line, size_t size);

/* Kills every process in the cgroup of this exec; and removes that cgroup, if it is empty. */
void container_kill(const struct container_paths *p, unsigned exec);
void container_scrub(const struct container_paths *p, unsigned exec);
/* Stops every process of every container where it stands, or lets them go on. The first takes a
 * while; container_is_frozen() tells when it is done. 0 or -errno. */
int container_freeze(const struct container_paths *p, bool freeze);
bool container_is_frozen(const struct container_paths *p);
/* How often the job was at its limits of memory and of processes. */
void container_limits(const struct container_paths *p, unsigned exec, struct denials *ret);
/* Fills oom, cpu_us, peak_bytes and peak_pids; 0 where the kernel does not say. */
void container_usage(const struct container_paths *p, unsigned exec, struct wire_exit *ret);
/* The same for one that runs; all 0 if there is none. */
void container_used(const struct container_paths *p, unsigned exec, struct wire_used_exec *ret);

/* One of the limits in its cgroup: UINT64_MAX where there is none ("max"), or none can be read. */
uint64_t container_limit(const struct container_paths *p, unsigned exec, const char *file);
/* What all containers together weigh against the agent, for the CPU. */
uint64_t container_weight(const struct container_paths *p);

#endif
