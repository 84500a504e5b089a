/*
 * diff: what differs between two marks of a sandbox, or a mark and now, on its disk.
 *
 * How it works: both disks are taken out of the sandbox's image as raw files (fork.h), and
 * lazaret-look, which has no rights, compares the file systems in them (look/look.h). For "now" a
 * mark is made, and forgotten again. Nothing in the guest is asked.
 */
#ifndef LZ_RUN_DIFF_H
#define LZ_RUN_DIFF_H

#include "look/look.h"

#include <stdint.h>

struct diff {
    const char *data_dir, *look_path, *unpack_path;
    const char *sandbox;
    const char *earlier; /* a mark; NULL: the newest */
    const char *later;   /* a mark; NULL: now */
    int out_fd;          /* folder that gets what was added or changed; -1: none */
    uint64_t out_max_bytes;
};

struct unpack_result;

/*
 * Writes the rows to `rows_fd`, an empty file, for look_rows_next(). With an output folder *ret_out
 * is what came of it; ERR_LIMIT: more than out_max_bytes, what fitted is there.
 */
int diff_make(const struct diff *d, int rows_fd, struct look_result *ret,
              struct unpack_result *ret_out, struct err *e);

#endif
