/* program: how the keeper starts lazaret-relay and lazaret-unpack. See program.h. */
#include "channel/program.h"

#include <stddef.h>

struct spawn program_spawn(const char *const argv[], const int *fds, int n_fds)
{
    static const char *const no_env[] = {NULL};

    return (struct spawn){
        .argv = argv,
        .env = no_env,
        .cwd = "/",
        .stdio = {SPAWN_NULL, SPAWN_NULL, SPAWN_NULL},
        .fds = fds,
        .n_fds = n_fds,
        .die_with_parent = true,
    };
}
