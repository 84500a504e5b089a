/*
 * differ: what two states of a scratch disk differ in. Runs in lazaret-look. UNTRUSTED: the disks.
 *
 * How it works: place by place (the container's root, /work, /out) both trees are walked together,
 * folder by folder, names in order. Nothing is followed: a link is its target's text. An entry that
 * cannot be read is a LOOK_UNREAD row, and the walk goes on beside it. The walk holds at most
 * LOOK_DEPTH_MAX folders, knows its own ancestors (no folder is in itself), and ends early when
 * rows or budget are used up, which the last row says. Times are not compared.
 *
 * The container's root is what overlayfs keeps above the image: a device 0:0 is what was removed
 * from the image, and what was copied up (trusted.overlay.origin) was the image's before. What the
 * image has is not known here: kind LOOK_IMAGE.
 */
#ifndef LZ_LOOK_DIFFER_H
#define LZ_LOOK_DIFFER_H

#include "look/disk.h"
#include "look/spool.h"
#include "look/tree_out.h"

struct level {
    struct disk_dir dir[2];
    size_t at[2];
    uint32_t number[2]; /* inode of the folder; 0: it is not there on this disk */
    bool opaque[2];     /* nothing of the image is seen in it */
    size_t path_len;
};

/* An entry as one of the disks has it. */
struct sight {
    struct disk_file file;
    struct disk_marks marks;
    bool there;    /* it is there to be seen */
    bool whiteout; /* it is there in order to hide what the image has */
};

struct differ {
    struct disk *disk[2]; /* the earlier (NULL: an empty one) and the later */
    struct spool *rows;
    struct tree_out *tree;

    enum look_place place;
    uint32_t n_rows;
    bool cut;
    size_t depth; /* of levels; the last is the folder that we are in */
    struct level levels[LOOK_DEPTH_MAX];
    uint32_t modes[LOOK_DEPTH_MAX]; /* of the folders of the later disk, for the tree */
    struct sight sight[2];
    struct look_row row;
    char path[LOOK_PATH_MAX + 1]; /* of the entry that we are at */
    size_t path_len;
    uint8_t buf[2][64 * DISK_BLOCK];
};

/* The caller sets disk, rows and tree; the rest is zero. Ends both streams. -1: the host's fault.
 */
int differ_run(struct differ *d, struct err *e);

#endif
