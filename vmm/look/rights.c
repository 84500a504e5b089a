/* rights: what lazaret-look may still do when it begins to read a disk. See rights.h. */
#include "look/rights.h"

#include <seccomp.h>

#define MEMORY_MAX (384ull << 20) /* bytes: names of two disks, and what libext2fs needs */
#define CPU_S_MAX  600u
#define FDS_MAX    8u

static const struct confine_call calls[] = {
    {SCMP_SYS(pread64), CONFINE_ANY_ARG, "the disks"},
    {SCMP_SYS(write), CONFINE_ANY_ARG, "the differences, and the tree"},
    CONFINE_CALLS_MEMORY,
    CONFINE_CALLS_END,
};

struct confine rights_look(void)
{
    return (struct confine){
        .calls = calls,
        .n_calls = sizeof(calls) / sizeof(calls[0]),
        .dir_fd = -1,
        .max_fds = FDS_MAX,
        .max_file_bytes = UINT64_MAX,
        .max_data_bytes = MEMORY_MAX,
        .max_cpu_s = CPU_S_MAX,
    };
}
