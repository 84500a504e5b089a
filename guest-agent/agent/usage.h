/* usage: what the guest uses, for the host's USAGE: its cgroups, its memory, its scratch disk. */
#ifndef LZ_AGENT_USAGE_H
#define LZ_AGENT_USAGE_H

#include "agent/container.h"

/* `running`: a bit for each exec that is there, wire_exec_bit(). What cannot be told is 0. */
void usage_take(const struct container_paths *p, const char *scratch, uint32_t running,
                struct wire_used *ret);

#endif
