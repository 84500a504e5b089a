/*
 * rootfs: the merged tree of an image: names and attributes in memory, contents in the layers'
 * files.
 *
 * How it works: layers (tar archives) are put on top of each other, and single files on top of
 * those; what is above hides what is below. Nothing is unpacked: an entry remembers where in its
 * layer the content lies. rootfs_write_squashfs() streams the result, each layer read once from
 * its start to its end. UNTRUSTED layers: every name, link, owner and size is judged as it comes.
 *
 * Rules (OCI image-spec v1.1, layer.md, and stricter where that leaves room):
 * - "./a", "a/", "/a" and "a" are one name; "..", empty names, NUL and what is too long are
 * refused.
 * - An entry below something that is not a folder is refused; no symbolic link is ever followed.
 * - ".wh.NAME" removes NAME, ".wh..wh..opq" all of the folder, of the layers below and of no other.
 * - A hard link leads to a file of this tree, and keeps its content when the other name is hidden.
 * - A relative symbolic link that climbs above the root is refused.
 * - Devices, pipes and sockets are refused; owners must be below GUEST_ID_COUNT.
 * - Set-id bits, ACLs and extended attributes other than user.* are dropped, and counted.
 *
 * After a failed call only rootfs_free() is allowed.
 */
#ifndef LZ_IMAGES_ROOTFS_H
#define LZ_IMAGES_ROOTFS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ROOTFS_PATH_MAX    4096u    /* bytes of a path or a link's target, without the NUL */
#define ROOTFS_NAME_MAX    255u     /* bytes of a part of a path */
#define ROOTFS_DEPTH_MAX   64u      /* parts of a path */
#define ROOTFS_LAYERS_MAX  256u     /* docker's own limit is 127 */
#define ROOTFS_ENTRIES_MAX 1000000u /* of all layers, hidden ones too: about 200 MiB of memory */
#define ROOTFS_TEXT_MAX    (128u << 20)  /* bytes of names, link targets and attributes in memory */
#define ROOTFS_BYTES_MAX   (64ull << 30) /* contents of all layers, hidden ones too */
#define ROOTFS_LINKS_MAX   8             /* symbolic links on the way of rootfs_read() */

struct rootfs;

struct rootfs_entry {
    mode_t mode; /* type (S_IFREG, S_IFDIR, S_IFLNK) and 01777 */
    uid_t uid;   /* in the container's view, below GUEST_ID_COUNT */
    gid_t gid;
    uint64_t size;
    const char *target; /* of a symbolic link, else NULL */
};

/* What was left out on purpose. */
struct rootfs_dropped {
    uint64_t set_id; /* entries that lost a set-id bit */
    uint64_t xattrs, acls;
};

/* `temp_dir` is a folder for an unnamed temporary file. The tree is an empty root, 0755, 0:0. */
int rootfs_new(const char *temp_dir, struct rootfs **ret, struct err *e);
void rootfs_free(struct rootfs *r);
static inline void rootfs_free_p(struct rootfs **r)
{
    rootfs_free(*r);
}
#define own_rootfs __attribute__((cleanup(rootfs_free_p)))

/*
 * Puts a layer on top. `tar_fd` is a regular file, an uncompressed tar; it is dup'ed and must not
 * change while the tree lives. `what` names it in errors: "layer 2 (sha256:...)". Without
 * `whiteouts` .wh. names are names like others. ERR_IMAGE: "WHAT: entry 'NAME' ..." and a way out.
 */
int rootfs_add_layer(struct rootfs *r, int tar_fd, const char *what, bool whiteouts, struct err *e);

/* The same for a tar that is no part of an image but holds one: owners and modes do not count. */
int rootfs_add_archive(struct rootfs *r, int tar_fd, const char *what, struct err *e);

/*
 * Puts one thing on top; a later call wins, folders in between are made. The rules above hold for
 * these too (ERR_IMAGE). `data` is copied to the temporary file.
 */
int rootfs_add_file(struct rootfs *r, const char *path, mode_t mode, uid_t uid, gid_t gid,
                    const void *data, size_t len, struct err *e);
/* A folder that exists gets these attributes and keeps what is in it. */
int rootfs_add_dir(struct rootfs *r, const char *path, mode_t mode, uid_t uid, gid_t gid,
                   struct err *e);
int rootfs_add_symlink(struct rootfs *r, const char *path, const char *target, struct err *e);
/* The folder that `path` names, following links inside the tree; what is missing is made, 0755 0:0,
 * and a folder that is there stays as it is. */
int rootfs_make_dirs(struct rootfs *r, const char *path, struct err *e);

/* Borrows until the tree changes; NULL if nothing has that name. Follows no link. */
const struct rootfs_entry *rootfs_find(const struct rootfs *r, const char *path);
/* The same, following links inside the tree as a process in the guest would, also on the way. */
const struct rootfs_entry *rootfs_resolve(const struct rootfs *r, const char *path);

/*
 * Calls `fn` for everything but the root: a folder before what is in it, names in byte order.
 * Stops with -1 when fn returns that.
 */
typedef int rootfs_each_fn(void *arg, const char *path, const struct rootfs_entry *en,
                           struct err *e);
int rootfs_each(const struct rootfs *r, rootfs_each_fn *fn, void *arg, struct err *e);

/* Returns new, NUL-terminated: the content of the file that rootfs_resolve() finds. ERR_IMAGE if it
 * is not there, not a file, or over `max` bytes. */
int rootfs_read(const struct rootfs *r, const char *path, size_t max, char **ret_data,
                size_t *ret_len, struct err *e);

/* Where the content of the file that rootfs_resolve() finds lies; the fd is borrowed. ERR_IMAGE. */
struct rootfs_content {
    int fd;
    uint64_t offset, size;
};
int rootfs_content(const struct rootfs *r, const char *path, struct rootfs_content *ret,
                   struct err *e);

struct rootfs_dropped rootfs_dropped(const struct rootfs *r);

/*
 * Writes the tree into `path` (created or overwritten) as squashfs with lz4. Owners are shifted by
 * GUEST_ID_BASE, so that the container's root owns root's files; times are cut to TOOL_EPOCH. The
 * same tree of the same layers gives the same bytes. ERR_HOST when the tool is missing or fails.
 */
int rootfs_write_squashfs(const struct rootfs *r, const char *path, struct err *e);

#endif
