/* rootfs: the merged tree of an image: life cycle and questions. rootfs_merge.c has the rules. */
#include "images/rootfs.h"

#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "images/rootfs_private.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

int rootfs_new(const char *temp_dir, struct rootfs **ret, struct err *e)
{
    const struct rootfs_entry root = {.mode = S_IFDIR | 0755};
    own_close int fd = -1;
    struct rootfs *r;

    if (file_open_unnamed(temp_dir, &fd, e) < 0)
        return -1;
    r = calloc(1, sizeof(*r));
    if (!r)
        return err_set(e, ERR_HOST, "out of memory");
    r->sources[0] = (struct source){.fd = own_steal_fd(fd), .what = str_dup("added file")};
    r->n_sources = 1;
    tree_init(&r->tree, inode_new(&r->tree, &root, NULL, 0));
    *ret = r;
    return 0;
}

void rootfs_free(struct rootfs *r)
{
    if (!r)
        return;
    tree_done(&r->tree);
    for (uint32_t i = 0; i < r->n_sources; i++) {
        close(r->sources[i].fd);
        free(r->sources[i].what);
    }
    free(r);
}

struct rootfs_dropped rootfs_dropped(const struct rootfs *r)
{
    return r->dropped;
}

struct node *rootfs_walk(const struct rootfs *r, const char *path)
{
    struct node *at = r->tree.root;

    while (at) {
        size_t len;

        path += strspn(path, "/");
        len = strcspn(path, "/");
        if (len == 0)
            break;
        if (!(len == 1 && path[0] == '.'))
            at = tree_find(&r->tree, at, path, len);
        path += len;
    }
    return at;
}

const struct rootfs_entry *rootfs_find(const struct rootfs *r, const char *path)
{
    const struct node *n = rootfs_walk(r, path);

    return n ? &n->inode->st : NULL;
}

/*
 * As path_resolution(7), with the tree's root as "/". Returns how far it came, and in *ret_rest
 * (new) what is left of the path: "" when all of it is there.
 */
static struct node *resolve(const struct rootfs *r, const char *path, char **ret_rest)
{
    own_free char *rest = str_dup(path); /* grows by at most ROOTFS_LINKS_MAX targets */
    struct node *at = r->tree.root;
    unsigned links = 0;
    char *p = rest;

    for (;;) {
        struct node *n;
        size_t len;
        char *longer;

        p += strspn(p, "/");
        len = strcspn(p, "/");
        if (len == 0)
            break;
        if (len == 1 && p[0] == '.')
            n = at;
        else if (len == 2 && p[0] == '.' && p[1] == '.')
            n = at->parent ? at->parent : at;
        else
            n = tree_find(&r->tree, at, p, len);
        if (!n || (n->inode->target && ++links > ROOTFS_LINKS_MAX))
            break;
        p += len;
        if (!n->inode->target) {
            at = n;
            continue;
        }
        if (n->inode->target[0] == '/')
            at = r->tree.root;
        longer = str_printf("%s/%s", n->inode->target, p);
        free(rest);
        p = rest = longer;
    }
    *ret_rest = str_dup(p);
    return at;
}

static struct node *find(const struct rootfs *r, const char *path)
{
    own_free char *rest = NULL;
    struct node *n = resolve(r, path, &rest);

    return *rest ? NULL : n;
}

const struct rootfs_entry *rootfs_resolve(const struct rootfs *r, const char *path)
{
    const struct node *n = find(r, path);

    return n ? &n->inode->st : NULL;
}

int rootfs_each(const struct rootfs *r, rootfs_each_fn *fn, void *arg, struct err *e)
{
    char path[ROOTFS_PATH_MAX + 1];

    for (struct node *n = tree_next(r->tree.root); n; n = tree_next(n)) {
        tree_path(n, path);
        if (fn(arg, path, &n->inode->st, e) < 0)
            return -1;
    }
    return 0;
}

int rootfs_read_content(const struct rootfs *r, const struct inode *i, uint64_t at, void *to,
                        size_t len, struct err *e)
{
    const struct source *s = &r->sources[i->source];
    char *p = to;

    while (len > 0) {
        ssize_t n = pread(s->fd, p, len, (off_t)(i->offset + at));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, ERR_HOST, errno, "%s: cannot read", s->what);
        if (n == 0)
            return err_set(e, ERR_HOST, "%s: became shorter while it was read", s->what);
        p += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

static int find_file(const struct rootfs *r, const char *path, const struct node **ret,
                     struct err *e)
{
    *ret = find(r, path);
    if (!*ret)
        return err_set(e, ERR_IMAGE, "'%s' is not there", path);
    if (!S_ISREG((*ret)->inode->st.mode))
        return err_set(e, ERR_IMAGE, "'%s' is not a file", path);
    return 0;
}

int rootfs_content(const struct rootfs *r, const char *path, struct rootfs_content *ret,
                   struct err *e)
{
    const struct node *n;

    if (find_file(r, path, &n, e) < 0)
        return -1;
    *ret = (struct rootfs_content){.fd = r->sources[n->inode->source].fd,
                                   .offset = n->inode->offset,
                                   .size = n->inode->st.size};
    return 0;
}

int rootfs_read(const struct rootfs *r, const char *path, size_t max, char **ret_data,
                size_t *ret_len, struct err *e)
{
    const struct node *n;
    own_free char *data = NULL;
    size_t len;

    if (find_file(r, path, &n, e) < 0)
        return -1;
    if (n->inode->st.size > max)
        return err_set(e, ERR_IMAGE, "'%s' is over %zu bytes", path, max);
    len = (size_t)n->inode->st.size;
    data = malloc(len + 1);
    if (!data)
        return err_set(e, ERR_HOST, "out of memory");
    if (rootfs_read_content(r, n->inode, 0, data, len, e) < 0)
        return -1;
    data[len] = '\0';
    *ret_data = own_steal_ptr(data);
    *ret_len = len;
    return 0;
}

int rootfs_make_dirs(struct rootfs *r, const char *path, struct err *e)
{
    own_free char *rest = NULL, *whole = NULL;
    const struct node *n = resolve(r, path, &rest);
    char to[ROOTFS_PATH_MAX + 1];

    if (!node_is_dir(n))
        return err_set(e, ERR_IMAGE, "'%s' is not a folder", path);
    if (!*rest)
        return 0;
    if (tree_find(&r->tree, n, rest, strcspn(rest, "/")))
        return err_set(e, ERR_IMAGE, "'%s' leads through too many links", path);
    tree_path(n, to);
    whole = str_printf("%s/%s", to, rest);
    return rootfs_add_dir(r, whole, 0755, 0, 0, e);
}
