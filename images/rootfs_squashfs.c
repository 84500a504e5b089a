/*
 * rootfs_squashfs: the tree as a tar stream, into sqfstar.
 *
 * How it works: all folders first, in path order; then everything else in the order in which
 * contents lie in the sources, so that each is read once from its start to its end; hard links
 * last, when what they lead to is there. The order and every byte follow from the tree alone.
 */
#include "images/rootfs.h"

#include "base/own.h"
#include "images/rootfs_private.h"
#include "images/tar.h"
#include "images/tool.h"
#include "shared/guest.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CHUNK     (256u << 10) /* bytes at once to the tool */
#define TIMEOUT_S 7200         /* for the end, after the last byte */

/* The least that it takes for its queues; its tables of inodes come on top. With more it is not
 * faster here, and writes the same bytes. */
#define TOOL_MEMORY "16M"

struct writer {
    const struct rootfs *r;
    rootfs_put_fn *put;
    void *put_arg;
    struct str out;         /* not written yet */
    struct tar_entry entry; /* its strings are reused */
    char path[ROOTFS_PATH_MAX + 1];
};

static int flush(struct writer *w, struct err *e)
{
    if (w->put(w->put_arg, w->out.data, w->out.len, e) < 0)
        return -1;
    w->out.len = 0;
    return 0;
}

static int add_content(struct writer *w, const struct inode *i, struct err *e)
{
    static const char zeros[TAR_BLOCK];
    char buf[16384];

    for (uint64_t at = 0; at < i->st.size;) {
        size_t n = i->st.size - at < sizeof(buf) ? (size_t)(i->st.size - at) : sizeof(buf);

        if (rootfs_read_content(w->r, i, at, buf, n, e) < 0)
            return -1;
        str_add_bytes(&w->out, buf, n);
        at += n;
        if (w->out.len >= CHUNK && flush(w, e) < 0)
            return -1;
    }
    str_add_bytes(&w->out, zeros, tar_padding(i->st.size));
    return 0;
}

static void set_text(struct str *s, const char *text)
{
    s->len = 0;
    str_add(s, text);
}

/* A node's header, and the content of a file. */
static int add_node(struct writer *w, const struct node *n, enum tar_type type, const char *link,
                    struct err *e)
{
    const struct inode *i = n->inode;
    struct tar_entry *en = &w->entry;

    tree_path(n, w->path);
    set_text(&en->path, w->path);
    set_text(&en->link, link);
    en->xattrs.len = 0;
    if (i->xattrs && type != TAR_HARDLINK)
        str_add_bytes(&en->xattrs, i->xattrs, i->xattrs_len);
    en->type = type;
    en->mode = i->st.mode & 07777;
    en->uid = i->st.uid + GUEST_ID_BASE;
    en->gid = i->st.gid + GUEST_ID_BASE;
    en->mtime = i->mtime;
    en->size = type == TAR_FILE ? i->st.size : 0;
    tar_format(&w->out, en);
    if (w->out.len >= CHUNK && flush(w, e) < 0)
        return -1;
    return type == TAR_FILE ? add_content(w, i, e) : 0;
}

static int add_folders(struct writer *w, struct err *e)
{
    for (struct node *n = tree_next(w->r->tree.root); n; n = tree_next(n))
        if (node_is_dir(n) && add_node(w, n, TAR_DIR, "", e) < 0)
            return -1;
    return 0;
}

static int by_order(const void *a, const void *b)
{
    uint32_t x = (*(struct node *const *)a)->inode->order;
    uint32_t y = (*(struct node *const *)b)->inode->order;

    return (x > y) - (x < y);
}

/* One node for each inode that is not a folder: the first one in path order. Returns new. */
static struct node **collect(const struct rootfs *r, size_t *ret_n)
{
    struct node **all = calloc(r->tree.n_nodes, sizeof(struct node *));

    *ret_n = 0;
    if (!all)
        abort(); /* as in rootfs_tree */
    for (struct node *n = tree_next(r->tree.root); n; n = tree_next(n))
        n->inode->first = NULL;
    for (struct node *n = tree_next(r->tree.root); n; n = tree_next(n))
        if (!node_is_dir(n) && !n->inode->first) {
            n->inode->first = n;
            all[(*ret_n)++] = n;
        }
    qsort(all, *ret_n, sizeof(struct node *), by_order);
    return all;
}

static int add_contents(struct writer *w, struct err *e)
{
    size_t n;
    own_free struct node **all = collect(w->r, &n);

    for (size_t i = 0; i < n; i++) {
        const char *target = all[i]->inode->target;

        if (add_node(w, all[i], target ? TAR_SYMLINK : TAR_FILE, target ? target : "", e) < 0)
            return -1;
    }
    return 0;
}

/* A hard link to a symbolic link becomes another symbolic link: nobody can tell. */
static int add_links(struct writer *w, struct err *e)
{
    char to[ROOTFS_PATH_MAX + 1];

    for (struct node *n = tree_next(w->r->tree.root); n; n = tree_next(n)) {
        const struct inode *i = n->inode;

        if (node_is_dir(n) || i->first == n)
            continue;
        tree_path(i->first, to);
        if (add_node(w, n, i->target ? TAR_SYMLINK : TAR_HARDLINK, i->target ? i->target : to, e) <
            0)
            return -1;
    }
    return 0;
}

int rootfs_write_tar(const struct rootfs *r, rootfs_put_fn *put, void *arg, struct err *e)
{
    static const char zeros[2 * TAR_BLOCK];
    struct writer w = {.r = r, .put = put, .put_arg = arg};
    int rc = 0;

    if (add_folders(&w, e) < 0 || add_contents(&w, e) < 0 || add_links(&w, e) < 0)
        rc = -1;
    str_add_bytes(&w.out, zeros, sizeof(zeros));
    if (rc == 0)
        rc = flush(&w, e);
    str_done(&w.out);
    tar_entry_done(&w.entry);
    return rc;
}

static int feed(void *arg, const void *data, size_t len, struct err *e)
{
    return spawn_feed(arg, data, len, e);
}

static int fill(void *arg, struct spawn_feed *f, struct err *e)
{
    return rootfs_write_tar(arg, feed, f, e);
}

int rootfs_write_squashfs(const struct rootfs *r, const char *path, struct err *e)
{
    const struct rootfs_entry *root = &r->tree.root->inode->st;
    own_strv struct strv argv = {0};
    struct tool t = {.package = "squashfs-tools", .out = SPAWN_NULL, .timeout_s = TIMEOUT_S};

    /*
     * The root folder itself is not taken from the tar: its mode is an option, and it belongs to
     * whom sqfstar believes to run as, whatever -root-uid says (squashfs-tools 4.5.1).
     */
    strv_add(&argv, "unshare");
    strv_addf(&argv, "--map-user=%u", root->uid + GUEST_ID_BASE);
    strv_addf(&argv, "--map-group=%u", root->gid + GUEST_ID_BASE);
    strv_add(&argv, "sqfstar");
    strv_add(&argv, "-comp");
    strv_add(&argv, "lz4");
    strv_add(&argv, "-root-mode");
    strv_addf(&argv, "%04o", root->mode & 07777);
    strv_add(&argv, "-mem");
    strv_add(&argv, TOOL_MEMORY);
    strv_add(&argv, "-exit-on-error");
    strv_add(&argv, "-no-progress");
    strv_add(&argv, "-quiet");
    strv_add(&argv, "-force");
    strv_add(&argv, path);
    t.argv = (const char *const *)argv.items;
    return tool_feed(&t, fill, (void *)(uintptr_t)r, e);
}
