/*
 * extract: turns a tree stream (shared/tree.h) into files and folders below one directory fd.
 *
 * UNTRUSTED input; runs in lazaret-unpack.
 *
 * How it works: entry by entry. A name is checked (tree_name_check), its folder is walked to
 * component by component with O_NOFOLLOW, and the entry is made there: folders by mkdirat, files
 * under EXTRACT_PART and then by a rename that replaces nothing. A name that cannot be used is
 * refused and listed, and its content is skipped; a stream that is not legal, or that holds more
 * than the cap, ends the extraction. What was made stays, each file whole or not at all.
 * With `sealed` the entries go there, under the same rules for their names.
 * Must: never follow a link, never replace anything, never set a bit beyond 0755.
 */
#ifndef LZ_CHANNEL_EXTRACT_H
#define LZ_CHANNEL_EXTRACT_H

#include "base/digest.h"
#include "base/err.h"
#include "channel/sealed_out.h"
#include "shared/tree.h"

#include <stdbool.h>

#define EXTRACT_PART ".lazaret-part" /* a file that is not whole yet; refused as a name */

struct extract {
    int spool_fd; /* read with pread from offset 0 */
    int dir_fd;
    struct sealed_out *sealed; /* in place of dir_fd; or NULL */
    uint64_t max_bytes;        /* of content, refused content too */
    /* Called for each entry that is left out. */
    void (*refused)(struct extract *x, enum tree_why why, bool by_guest, const char *name,
                    size_t len);
    /* Called for each file that was made, with its digest; or NULL. Not with `sealed`. */
    void (*made)(struct extract *x, const char *sha256);
    struct digest *digest; /* for `made`, from before we were confined */

    uint64_t files, folders, bytes, n_refused; /* what was made */
    uint64_t content_bytes;                    /* seen so far, for the cap */
    uint64_t offset;                           /* of the spool, behind what is in buf */
    size_t start, end;                         /* unread bytes in buf */
    int parent_fd;                             /* the folder of the last entry, or -1 */
    char parent[TREE_NAME_MAX + 1];            /* its path */
    struct tree_entry entry;
    uint8_t buf[131072];
};

/* The caller sets the fields up to `digest`; the rest is zero and parent_fd -1. */
int extract_run(struct extract *x, struct err *e);
/* Gives the whole file EXTRACT_PART its name. 0, or -1 and errno: EEXIST if the name is taken. */
int extract_give_name(int dir_fd, const char *leaf);

#endif
