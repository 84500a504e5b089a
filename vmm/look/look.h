/*
 * look: what changed between two states of a sandbox's scratch disk: the caller's end of
 * lazaret-look.
 *
 * How it works: the caller has both states as raw files (snapshots/disk_extract.h) that only it can
 * write. lazaret-look reads them, without rights, and writes rows (row.h) to one file and the added
 * and changed files as a tree stream to another, which unpack_run() turns into files. The file
 * systems were written by the guest, whose word is all that they are: a path may be a lie, and what
 * a guest wants to hide it does not write into its file system. The program is not believed either:
 * every row is checked, and a path is shown through look_row_format_text() or look_row_doc() only.
 *
 * Paths are those of the sandbox: "/work/x", "/out/x", and "/etc/x" for the container's root, where
 * only what lies over the image is known: look_kind LOOK_IMAGE stands for what the image has.
 */
#ifndef LZ_LOOK_LOOK_H
#define LZ_LOOK_LOOK_H

#include "base/doc.h"
#include "base/err.h"
#include "look/row.h"

#define LOOK_TEXT_SIZE (4u * LOOK_PATH_MAX + 80) /* bytes: a row for people */

struct look_result {
    uint64_t added, changed, removed, unread; /* rows */
    bool cut;                                 /* there are more than LOOK_ROWS_MAX */
    bool spent; /* more was to be read than such disks hold: they are damaged, or lie */
    bool over;  /* the tree is not whole: larger than its cap, or TREE_ENTRIES_MAX entries */
};

/*
 * Compares, until the deadline. `earlier_fd` is -1 for an empty disk; `tree_fd` is -1, or gets at
 * most `tree_max_bytes` (not 0) of content. `rows_fd` and `tree_fd` are empty files at their
 * beginning. ERR_GUEST: a file system that cannot be read at all, or not with what the program may
 * use; the part that can be read is LOOK_UNREAD rows otherwise.
 */
int look_diff(const char *look_path, int earlier_fd, int later_fd, int rows_fd, int tree_fd,
              uint64_t tree_max_bytes, uint64_t timeout_ms, struct look_result *ret, struct err *e);

/* Reads rows back, in order of place and path. */
struct look_rows {
    int fd; /* the caller's: what look_diff() wrote to; all else is zero */
    uint64_t offset;
    size_t start, end;
    uint8_t buf[65536];
};
/* *ret_more is false behind the last. */
int look_rows_next(struct look_rows *r, struct look_row *ret, bool *ret_more, struct err *e);

/* "C /etc/passwd": one line for people, printable ASCII, without a newline. Returns out. */
const char *look_row_format_text(char out[LOOK_TEXT_SIZE], const struct look_row *row);

/*
 * Returns new: {"change": "added" | "changed" | "removed" | "unread", "path": ..., and what there
 * is of "kind", "old_kind", "size", "old_size", "what": [...], "disk", "why"}. A path that is not
 * UTF-8 is escaped in "path", and "path_hex" has its bytes.
 */
struct doc *look_row_doc(const struct look_row *row);

#endif
