/*
 * rootfs_tree: names in folders, in memory; what rootfs.h is made of. It knows no rule of images.
 *
 * A node is a name, an inode what it stands for: hard links are nodes that share an inode. Children
 * are found by a hash table over (folder, name), and kept in a list that is sorted when somebody
 * wants an order.
 */
#ifndef LZ_IMAGES_ROOTFS_TREE_H
#define LZ_IMAGES_ROOTFS_TREE_H

#include "images/rootfs.h"

#include <sys/stat.h>

struct inode {
    struct rootfs_entry st;
    uint64_t offset; /* of the content in its source */
    char *target;    /* st.target */
    char *xattrs;    /* pax records, or NULL */
    uint32_t xattrs_len;
    uint32_t mtime; /* seconds */
    uint32_t nodes; /* that share it */
    uint32_t order; /* in which contents lie in the sources */
    uint32_t source;
    struct node *first; /* while writing: the node that carries the content */
};

struct node {
    struct node *parent, *child, *prev, *next, *bucket;
    struct inode *inode;
    uint32_t layer; /* the last one that said something about it */
    bool sorted;    /* its children are */
    uint8_t name_len;
    char name[]; /* NUL-terminated; "" for the root */
};

struct tree {
    struct node *root;
    struct node **buckets;
    size_t n_buckets, n_nodes;
    size_t text_bytes; /* of names, targets and attributes */
};

/* Takes the root's inode. */
void tree_init(struct tree *t, struct inode *root);
void tree_done(struct tree *t);

/* Returns new, owned by nobody until a node takes it. `target` and `xattrs` are copied. */
struct inode *inode_new(struct tree *t, const struct rootfs_entry *st, const char *xattrs,
                        size_t xattrs_len);

struct node *tree_find(const struct tree *t, const struct node *folder, const char *name,
                       size_t len);
/* Adds a name that is not there; shares `inode`. */
struct node *tree_add(struct tree *t, struct node *folder, const char *name, size_t len,
                      struct inode *inode, uint32_t layer);
/* Gives the node another inode, which it shares from now on. */
void tree_set_inode(struct tree *t, struct node *n, struct inode *inode);
/* Removes a node (not the root) and everything below it. */
void tree_remove(struct tree *t, struct node *top);

/* The next node in path order (a folder before what is in it), starting with the root; or NULL. */
struct node *tree_next(struct node *n);
/* The next node with a folder after what is in it, from tree_deepest(top) to top itself. */
struct node *tree_deepest(struct node *top);
struct node *tree_next_up(struct node *n);

/* The path from the root, without a '/' in front; "" for the root. Returns its length. */
size_t tree_path(const struct node *n, char out[ROOTFS_PATH_MAX + 1]);

static inline bool node_is_dir(const struct node *n)
{
    return (n->inode->st.mode & S_IFMT) == S_IFDIR;
}

#endif
