/*
 * walk: a folder, or one entry of it, as a tree stream (tree.h). Compiled by both sides; C library
 * only. UNTRUSTED: the folder.
 *
 * How it works
 *   A walk with an explicit stack of open folders, no deeper than TREE_DEPTH_MAX, one step at a
 *   time, as far as there is room for the stream. Whoever owns the folder may have put anything
 *   there, and change it meanwhile: names are never resolved twice, links never followed, and what
 *   may not cross is listed as TREE_SKIPPED.
 */
#ifndef LZ_SHARED_WALK_H
#define LZ_SHARED_WALK_H

#include "shared/tree.h"

#include <dirent.h>
#include <stdbool.h>

enum walk_how {
    WALK_DONE,
    WALK_OVER,  /* larger than the cap, or too many entries: what came before is whole files */
    WALK_ERROR, /* it could not be read; the stream has no end then */
};

struct walk_level {
    DIR *dir;
    size_t name_len; /* of the folder's own path; 0 for the top */
};

struct walk {
    uint64_t left; /* bytes of content that the cap still allows */
    uint32_t entries, skipped;
    bool done; /* the end entry is under way */
    enum walk_how how;
    const char *only; /* the one name of the top that is walked, NULL: all; borrowed */
    int file_fd;      /* being read, -1: none */
    uint64_t file_left;
    size_t depth; /* of `levels` in use */
    struct walk_level levels[TREE_DEPTH_MAX + 1];
    size_t head_at, head_len; /* of an entry that is being told */
    uint8_t head[TREE_HEADER_SIZE + TREE_NAME_MAX];
    struct tree_entry entry; /* the current one; its name is the path of the walk */
};

void walk_init(struct walk *w);
/* Begins with what is in `dir`, or with its entry `only`; a folder that cannot be opened is
 * WALK_ERROR. Closes an older walk. */
void walk_open(struct walk *w, const char *dir, const char *only, uint64_t cap_bytes);
void walk_close(struct walk *w);
/* Bytes of the stream, at most `room`; fewer only at its end. */
size_t walk_read(struct walk *w, uint8_t *out, size_t room);
/* Has everything been read? Then `how` counts. */
bool walk_is_over(const struct walk *w);

#endif
