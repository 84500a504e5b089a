/*
 * tree_out: the added and changed files of a disk as a tree stream (shared/tree.h), as the guest's
 * agent sends the output folder, for lazaret-unpack. Runs in lazaret-look.
 *
 * Names begin with "root", "work" or "out". Folders on the way to a file are sent before it. What
 * may not cross (links, devices, set-user-id, names that are no plain UTF-8) or cannot be read is
 * listed as skipped.
 */
#ifndef LZ_LOOK_TREE_OUT_H
#define LZ_LOOK_TREE_OUT_H

#include "look/disk.h"
#include "look/spool.h"
#include "shared/tree.h"

struct tree_out {
    struct spool spool;
    bool wanted;
    bool over;           /* it did not all fit: nothing more is sent */
    uint64_t left_bytes; /* of content */
    uint32_t entries;
    char folder[TREE_NAME_MAX + 1]; /* the last that was sent: those above it were too */
    size_t folder_len;
    struct tree_entry entry;
    uint8_t buf[64 * DISK_BLOCK];
};

/* Sends `f`, which is at `path` below `place`. `modes` are those of the folders above it, from the
 * place itself. */
void tree_out_put(struct tree_out *t, struct disk *d, const struct disk_file *f,
                  enum look_place place, const char *path, size_t path_len, const uint32_t *modes);
void tree_out_end(struct tree_out *t);

#endif
