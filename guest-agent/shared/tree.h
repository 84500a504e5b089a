/*
 * tree: an output tree as a byte stream, guest to host: what DATA frames on WIRE_TREE carry.
 *
 * Our own format rather than tar: regular files and folders are all that may cross, a header has
 * one meaning only, and the parser is a page. C library only, -errno. UNTRUSTED when read.
 *
 *     entry: kind u8 | why u8 | mode u16 | name length u16 | zero u16 | size u64 | name | content
 *
 * Names are relative paths with '/' between components, a folder before what is in it. The stream
 * ends with one entry of kind TREE_END (no name, size 0); nothing may follow.
 * TREE_SKIPPED lists what the guest did not send and why (no content): the guest's word.
 */
#ifndef LZ_SHARED_TREE_H
#define LZ_SHARED_TREE_H

#include <stddef.h>
#include <stdint.h>

#define TREE_HEADER_SIZE 16u
#define TREE_NAME_MAX    1023u   /* bytes of a whole relative path */
#define TREE_PART_MAX    255u    /* bytes of one component */
#define TREE_DEPTH_MAX   32u     /* components */
#define TREE_ENTRIES_MAX 100000u /* entries in one stream */

enum tree_kind { TREE_FILE = 1, TREE_DIR = 2, TREE_SKIPPED = 3, TREE_END = 4 };

/* Why an entry was left out, by the agent (TREE_SKIPPED) or by the host's unpack. */
enum tree_why {
    TREE_WHY_NONE = 0,
    TREE_WHY_LINK,    /* symbolic link */
    TREE_WHY_SPECIAL, /* device, fifo, socket */
    TREE_WHY_SETID,   /* set-user-id or set-group-id */
    TREE_WHY_NAME,    /* not a plain UTF-8 name below the folder */
    TREE_WHY_DEPTH,   /* too deep or too long a path */
    TREE_WHY_UNREADABLE,
    TREE_WHY_EXISTS, /* the name came twice */
    TREE_WHY_END
};

struct tree_entry {
    uint8_t kind;  /* enum tree_kind */
    uint8_t why;   /* enum tree_why; not NONE for TREE_SKIPPED only */
    uint16_t mode; /* permission bits only (at most 0777) */
    uint64_t size; /* bytes of content; 0 unless TREE_FILE */
    size_t name_len;
    char name[TREE_NAME_MAX + 1]; /* NUL-terminated; contains no NUL */
};

/* "symbolic link", ... for people. */
const char *tree_why_text(enum tree_why why);

/*
 * Is this a path that may be made below a folder? Components not empty, not "." or "..", within the
 * bounds, valid UTF-8 without control characters. TREE_WHY_NONE, _NAME or _DEPTH.
 */
enum tree_why tree_name_check(const char *name, size_t len);

/* Writes header and name; `out` has TREE_HEADER_SIZE + TREE_NAME_MAX bytes. Returns the length. */
size_t tree_entry_format(uint8_t *out, const struct tree_entry *en);

/*
 * Reads an entry from the front of `len` bytes: the bytes used, 0 if more are needed, or -EBADMSG
 * (unknown kind, lengths or bits out of range, NUL in the name). Does not apply tree_name_check:
 * the caller lists such names.
 */
long tree_entry_parse(const uint8_t *p, size_t len, struct tree_entry *ret);

#endif
