/* rights: what lazaret-look may still do when it begins to read a disk. See rights.h. */
#include "look/rights.h"

#include "look/look_fds.h"
#include "look/row.h"
#include "shared/tree.h"

#include <seccomp.h>
#include <sys/mman.h>

#define MEMORY_MAX (384ull << 20) /* bytes: names of two disks, and what libext2fs needs */
#define CPU_S_MAX  600u
#define FDS_MAX    8u

/* What it writes is memory of its caller. */
#define ROWS_BYTES ((LOOK_ROWS_MAX + 1ull) * (LOOK_HEADER_SIZE + LOOK_PATH_MAX))
#define HEAD_BYTES ((uint64_t)TREE_ENTRIES_MAX * (TREE_HEADER_SIZE + TREE_NAME_MAX))

static const struct confine_call calls[] = {
    {SCMP_SYS(pread64), 0, "the disks", LOOK_FD_LATER},
    {SCMP_SYS(pread64), 0, "the same", LOOK_FD_EARLIER},
    {SCMP_SYS(write), 0, "the differences", LOOK_FD_ROWS},
    {SCMP_SYS(write), 0, "the tree", LOOK_FD_TREE},
    CONFINE_CALLS_MEMORY,
    CONFINE_CALLS_END,
};

static uint64_t file_bytes(uint64_t tree_bytes)
{
    if (tree_bytes > UINT64_MAX - HEAD_BYTES)
        return UINT64_MAX;
    return tree_bytes + HEAD_BYTES > ROWS_BYTES ? tree_bytes + HEAD_BYTES : ROWS_BYTES;
}

struct confine rights_look(uint64_t tree_bytes)
{
    return (struct confine){
        .calls = calls,
        .n_calls = sizeof(calls) / sizeof(calls[0]),
        .dir_fd = -1,
        .max_fds = FDS_MAX,
        .max_file_bytes = file_bytes(tree_bytes),
        .max_data_bytes = MEMORY_MAX,
        .max_cpu_s = CPU_S_MAX,
    };
}
