/* rootfs_private: what the files of rootfs share. Only they, and tests, include it. */
#ifndef LZ_IMAGES_ROOTFS_PRIVATE_H
#define LZ_IMAGES_ROOTFS_PRIVATE_H

#include "images/rootfs_tree.h"

/* A file in which contents lie: a layer's tar, or the one that rootfs_add_file() fills. */
struct source {
    int fd;
    char *what; /* for errors */
};

struct rootfs {
    struct tree tree;
    struct source sources[ROOTFS_LAYERS_MAX + 1];
    uint32_t n_sources;
    uint64_t spool_bytes;   /* in sources[0], which rootfs_add_file() fills */
    uint32_t layer;         /* of what is being added; 0 is the empty root */
    uint32_t order;         /* of the next inode */
    uint64_t entries;       /* seen in all layers */
    uint64_t content_bytes; /* seen in all layers */
    uint64_t purge_steps;   /* of all whiteouts */
    struct rootfs_dropped dropped;
};

/* Reads `len` bytes of an inode's content from `at`. ERR_HOST. */
int rootfs_read_content(const struct rootfs *r, const struct inode *i, uint64_t at, void *to,
                        size_t len, struct err *e);

/* The tree as a tar, piece by piece: see rootfs_squashfs.c. Fails when `put` does. */
typedef int rootfs_put_fn(void *arg, const void *data, size_t len, struct err *e);
int rootfs_write_tar(const struct rootfs *r, rootfs_put_fn *put, void *arg, struct err *e);

/* The node that a path names, following no link; NULL. "" is the root. */
struct node *rootfs_walk(const struct rootfs *r, const char *path);

#endif
