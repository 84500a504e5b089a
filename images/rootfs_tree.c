/* rootfs_tree: names in folders, in memory. See rootfs_tree.h. */
#include "images/rootfs_tree.h"

#include "base/own.h"

#include <string.h>
#include <sys/stat.h>

#define BUCKETS_MIN 1024u

/* As in base/str: memory is bounded by ROOTFS_*_MAX, so the host itself is out of it. */
static void *must(void *p)
{
    if (!p) {
        fputs("lazaret: out of memory\n", stderr);
        abort();
    }
    return p;
}

/* FNV-1a, started from the folder. An image can make it slow by collisions, but only its import. */
static size_t bucket_of(const struct tree *t, const struct node *folder, const char *name,
                        size_t len)
{
    uint64_t h = 0xcbf29ce484222325u ^ ((uintptr_t)folder >> 4);

    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)name[i]) * 0x100000001b3u;
    return (size_t)(h ^ h >> 32) & (t->n_buckets - 1);
}

static void hash_insert(struct tree *t, struct node *n)
{
    struct node **b = &t->buckets[bucket_of(t, n->parent, n->name, n->name_len)];

    n->bucket = *b;
    *b = n;
}

static void hash_remove(struct tree *t, struct node *n)
{
    struct node **b = &t->buckets[bucket_of(t, n->parent, n->name, n->name_len)];

    while (*b != n)
        b = &(*b)->bucket;
    *b = n->bucket;
}

/* Doubles the table when there is more than one node a bucket. */
static void hash_grow(struct tree *t)
{
    struct node **old = t->buckets;
    size_t n_old = t->n_buckets;

    if (t->n_nodes < n_old)
        return;
    t->n_buckets = n_old * 2;
    t->buckets = must(calloc(t->n_buckets, sizeof(struct node *)));
    for (size_t i = 0; i < n_old; i++)
        for (struct node *n = old[i], *next; n; n = next) {
            next = n->bucket;
            hash_insert(t, n);
        }
    free(old);
}

struct inode *inode_new(struct tree *t, const struct rootfs_entry *st, const char *xattrs,
                        size_t xattrs_len)
{
    struct inode *i = must(calloc(1, sizeof(*i)));

    i->st = *st;
    if (st->target) {
        size_t len = strlen(st->target);

        i->target = must(memcpy(must(malloc(len + 1)), st->target, len + 1));
        i->st.target = i->target;
        t->text_bytes += len;
    }
    if (xattrs_len > 0) {
        i->xattrs = must(memcpy(must(malloc(xattrs_len)), xattrs, xattrs_len));
        i->xattrs_len = (uint32_t)xattrs_len;
        t->text_bytes += xattrs_len;
    }
    return i;
}

static void inode_release(struct tree *t, struct inode *i)
{
    if (--i->nodes > 0)
        return;
    t->text_bytes -= i->xattrs_len + (i->target ? strlen(i->target) : 0);
    free(i->target);
    free(i->xattrs);
    free(i);
}

static struct node *node_new(struct tree *t, const char *name, size_t len, struct inode *inode)
{
    struct node *n = must(calloc(1, sizeof(*n) + len + 1));

    memcpy(n->name, name, len);
    n->name_len = (uint8_t)len;
    n->inode = inode;
    inode->nodes++;
    t->n_nodes++;
    t->text_bytes += len;
    return n;
}

static void node_free(struct tree *t, struct node *n)
{
    t->n_nodes--;
    t->text_bytes -= n->name_len;
    inode_release(t, n->inode);
    free(n);
}

void tree_init(struct tree *t, struct inode *root)
{
    t->n_buckets = BUCKETS_MIN;
    t->buckets = must(calloc(t->n_buckets, sizeof(struct node *)));
    t->root = node_new(t, "", 0, root);
}

void tree_done(struct tree *t)
{
    if (!t->root)
        return;
    for (struct node *n = tree_deepest(t->root), *next; n; n = next) {
        next = n == t->root ? NULL : tree_next_up(n);
        node_free(t, n);
    }
    free(t->buckets);
    *t = (struct tree){0};
}

struct node *tree_find(const struct tree *t, const struct node *folder, const char *name,
                       size_t len)
{
    struct node *n = t->buckets[bucket_of(t, folder, name, len)];

    while (n && (n->parent != folder || n->name_len != len || memcmp(n->name, name, len) != 0))
        n = n->bucket;
    return n;
}

struct node *tree_add(struct tree *t, struct node *folder, const char *name, size_t len,
                      struct inode *inode, uint32_t layer)
{
    struct node *n = node_new(t, name, len, inode);

    n->parent = folder;
    n->layer = layer;
    n->next = folder->child;
    if (n->next)
        n->next->prev = n;
    folder->child = n;
    folder->sorted = false;
    hash_insert(t, n);
    hash_grow(t);
    return n;
}

void tree_set_inode(struct tree *t, struct node *n, struct inode *inode)
{
    struct inode *old = n->inode;

    inode->nodes++; /* first: it may be the same one */
    n->inode = inode;
    inode_release(t, old);
}

/* Takes out a node that has nothing below it. */
static void unlink_node(struct tree *t, struct node *n)
{
    hash_remove(t, n);
    if (n->next)
        n->next->prev = n->prev;
    if (n->prev)
        n->prev->next = n->next;
    else
        n->parent->child = n->next;
    node_free(t, n);
}

void tree_remove(struct tree *t, struct node *top)
{
    for (struct node *n = tree_deepest(top), *next; n != top; n = next) {
        next = tree_next_up(n);
        unlink_node(t, n);
    }
    unlink_node(t, top);
}

struct node *tree_deepest(struct node *top)
{
    while (top->child)
        top = top->child;
    return top;
}

struct node *tree_next_up(struct node *n)
{
    return n->next ? tree_deepest(n->next) : n->parent;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct node *const *)a)->name, (*(struct node *const *)b)->name);
}

static void sort_children(struct node *folder)
{
    struct node **all, *prev = NULL;
    size_t n = 0;

    if (folder->sorted || !folder->child)
        return;
    for (struct node *c = folder->child; c; c = c->next)
        n++;
    all = must(calloc(n, sizeof(struct node *)));
    n = 0;
    for (struct node *c = folder->child; c; c = c->next)
        all[n++] = c;
    qsort(all, n, sizeof(struct node *), by_name);
    folder->child = all[0];
    for (size_t i = 0; i < n; i++) {
        all[i]->prev = prev;
        all[i]->next = i + 1 < n ? all[i + 1] : NULL;
        prev = all[i];
    }
    free(all);
    folder->sorted = true;
}

struct node *tree_next(struct node *n)
{
    sort_children(n);
    if (n->child)
        return n->child;
    while (n && !n->next)
        n = n->parent;
    return n ? n->next : NULL;
}

size_t tree_path(const struct node *n, char out[ROOTFS_PATH_MAX + 1])
{
    size_t len = 0, at;

    for (const struct node *p = n; p->parent; p = p->parent)
        len += p->name_len + (p->parent->parent ? 1u : 0);
    out[len] = '\0';
    at = len;
    for (const struct node *p = n; p->parent; p = p->parent) {
        at -= p->name_len;
        memcpy(out + at, p->name, p->name_len);
        if (at > 0)
            out[--at] = '/';
    }
    return len;
}
