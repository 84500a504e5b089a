/*
 * program: how the keeper starts what reads guest bytes, lazaret-relay and lazaret-unpack.
 *
 * Must not give them more than the fds in the list: no environment, no folder of ours, no streams.
 */
#ifndef LZ_CHANNEL_PROGRAM_H
#define LZ_CHANNEL_PROGRAM_H

#include "base/spawn.h"

/* For spawn_start() and spawn_tool(); borrows both lists. The program ends with the keeper. */
struct spawn program_spawn(const char *const argv[], const int *fds, int n_fds);

#endif
