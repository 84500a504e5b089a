/*
 * row: one difference between two states of a scratch disk, and its form in the spool.
 *
 * lazaret-look writes rows, look.c reads them and believes none of them: what both agree on is
 * here. Both ends come from one build. UNTRUSTED when read: the program read a disk that a guest
 * wrote.
 *
 *     row: change u8 | place u8 | why u8 | side u8 | kind u8[2] | path length u16 | what u32 |
 *          zero u32 | size u64[2] | path
 *
 * The last row is LOOK_END or LOOK_ERROR; nothing follows.
 */
#ifndef LZ_LOOK_ROW_H
#define LZ_LOOK_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOOK_HEADER_SIZE 32u
#define LOOK_PATH_MAX    1023u   /* bytes of a path below its place */
#define LOOK_DEPTH_MAX   64u     /* components */
#define LOOK_ROWS_MAX    100000u /* in one spool, the last not counted */

enum look_change {
    LOOK_ADDED = 1,
    LOOK_CHANGED,
    LOOK_REMOVED,
    LOOK_UNREAD, /* why: this could not be compared; what is below it neither */
    LOOK_END,    /* what: enum look_end */
    LOOK_ERROR,  /* why: enum err_class; path: a text, printable ASCII */
};

/* Where the path begins. */
enum look_place {
    LOOK_ROOT = 1, /* the container's root: what lies over the image */
    LOOK_WORK,
    LOOK_OUT,
    LOOK_PLACE_END
};

enum look_kind {
    LOOK_NOTHING = 0,
    LOOK_FILE,
    LOOK_DIR,
    LOOK_LINK,
    LOOK_CHAR,
    LOOK_BLOCK,
    LOOK_FIFO,
    LOOK_SOCKET,
    LOOK_IMAGE, /* what the image has there, or nothing if it has nothing */
    LOOK_KIND_END
};

/* LOOK_CHANGED: in what. None: against the image, which is not looked at. */
#define LOOK_WHAT_KIND    0x01u
#define LOOK_WHAT_MODE    0x02u
#define LOOK_WHAT_OWNER   0x04u
#define LOOK_WHAT_SIZE    0x08u
#define LOOK_WHAT_CONTENT 0x10u
#define LOOK_WHAT_TARGET  0x20u
#define LOOK_WHAT_DEVICE  0x40u
#define LOOK_WHAT_HIDES   0x80u /* a folder hides what the image has in it, or does so no more */
#define LOOK_WHAT_ALL     0xffu

/* LOOK_END: why the rows, or the tree, are not all that there are. */
#define LOOK_END_CUT   0x1u /* more than LOOK_ROWS_MAX differences */
#define LOOK_END_SPENT 0x2u /* more was to be read than such disks hold */
#define LOOK_END_OVER  0x4u /* the tree's cap, or TREE_ENTRIES_MAX */
#define LOOK_END_ALL   0x7u

enum look_why {
    LOOK_WHY_NONE = 0,
    LOOK_WHY_NAME,  /* a folder has a name that is none; the path is the folder's */
    LOOK_WHY_TWICE, /* a name comes twice in a folder; the path is the folder's */
    LOOK_WHY_INODE, /* the entry leads to nothing that could be there */
    LOOK_WHY_CYCLE, /* a folder in itself */
    LOOK_WHY_DEPTH, /* too deep or too long a path */
    LOOK_WHY_DIR,   /* the folder's blocks are damaged */
    LOOK_WHY_LARGE, /* more names in the folder, or in those above it, than we take */
    LOOK_WHY_DATA,  /* the file's blocks, or the link's, are damaged */
    LOOK_WHY_XATTR, /* the extended attributes are damaged */
    LOOK_WHY_END
};

struct look_row {
    uint8_t change;  /* enum look_change */
    uint8_t place;   /* enum look_place; 0 in the last row */
    uint8_t why;     /* enum look_why, not NONE for LOOK_UNREAD only; or as LOOK_ERROR says */
    uint8_t side;    /* LOOK_UNREAD: 0 the earlier disk, 1 the later; else 0 */
    uint8_t kind[2]; /* enum look_kind: as it was, as it is */
    uint32_t what;
    uint64_t size[2];             /* bytes, of regular files and links */
    size_t path_len;              /* 0: the place itself */
    char path[LOOK_PATH_MAX + 1]; /* exact bytes, components without '/' and NUL; NUL-terminated */
};

/* `out` has LOOK_HEADER_SIZE + LOOK_PATH_MAX bytes. Returns the length. */
size_t look_row_format(uint8_t *out, const struct look_row *row);

/* Reads a row from the front of `len` bytes: the bytes used, 0 if more are needed, or -EBADMSG. */
long look_row_parse(const uint8_t *p, size_t len, struct look_row *ret);

#endif
