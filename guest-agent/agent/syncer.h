/*
 * syncer: brings the jobs to rest and writes the scratch disk out, for SYNC.
 *
 * How it works
 *   The agent freezes the containers' cgroup; a child waits until that is done and writes the file
 *   system out, so that the agent's loop goes on. What is on the disk then stays as it is, and no
 *   job draws a random number or looks at the clock, until the agent thaws them: after RESUME, or
 *   after the HELLO that gave a restored guest its entropy and time.
 */
#ifndef LZ_AGENT_SYNCER_H
#define LZ_AGENT_SYNCER_H

#include "agent/container.h"

#include <stdbool.h>
#include <stdint.h>

struct syncer {
    pid_t pid;    /* the child, 0: none */
    bool ended;   /* there is a result, and it has not been told */
    uint32_t how; /* enum wire_synced_how */
};

/* Also forgets one that is under way: its child ends by itself. */
void syncer_init(struct syncer *y);
/* Begins; `dir` is on the file system. What cannot be begun has ended, badly. */
void syncer_start(struct syncer *y, const struct container_paths *p, const char *dir);
/* A child of the agent has ended: true if it was this one. */
bool syncer_reaped(struct syncer *y, pid_t pid, int status);

#endif
