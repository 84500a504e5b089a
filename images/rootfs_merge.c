/* rootfs_merge: what may be put into the tree, and what it hides there: the rules of rootfs.h. */
#include "images/rootfs.h"

#include "base/file.h"
#include "base/own.h"
#include "images/rootfs_private.h"
#include "images/tar_apart.h"
#include "images/tool.h"
#include "shared/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#define WHITEOUT        ".wh."
#define WHITEOUT_OPAQUE ".wh..wh..opq"
#define WHITEOUT_META   ".wh..wh."

/* Nodes that all whiteouts together may walk over: a few times all that there can be. */
#define PURGE_STEPS_MAX (8u * ROOTFS_ENTRIES_MAX)

#define LEAVE_OUT "(leave it out of the image)"

/* A path in its parts, as it is put into the tree; `parts` point into `text`. */
struct parts {
    const char *items[ROOTFS_DEPTH_MAX];
    size_t lens[ROOTFS_DEPTH_MAX];
    size_t n;
};

/* ---- names ----------------------------------------------------------------------------------- */

static int refuse(const char *path, const char *why, struct err *e)
{
    char shown[300];

    str_escape(shown, sizeof(shown), path, strlen(path));
    return err_set(e, ERR_IMAGE, "entry '%s' %s", shown, why);
}

/* Cuts a path, without "", "." and a '/' at either end. NULL, or why it is refused. */
static const char *cut(const char *path, struct parts *ret)
{
    size_t whole = 0;

    ret->n = 0;
    for (;;) {
        size_t len;

        path += strspn(path, "/");
        len = strcspn(path, "/");
        if (len == 0)
            return NULL;
        whole += len + 1;
        if (len == 2 && path[0] == '.' && path[1] == '.')
            return "has '..' in its name " LEAVE_OUT;
        if (len > ROOTFS_NAME_MAX)
            return "has a name over 255 bytes " LEAVE_OUT;
        if (whole > ROOTFS_PATH_MAX + 1)
            return "has a path over 4096 bytes " LEAVE_OUT;
        if (!(len == 1 && path[0] == '.')) {
            if (ret->n == ROOTFS_DEPTH_MAX)
                return "is nested more than 64 folders deep " LEAVE_OUT;
            ret->items[ret->n] = path;
            ret->lens[ret->n++] = len;
        }
        path += len;
    }
}

/* True if a link in a folder `depth` parts below the root climbs above it, by its text. */
static bool climbs_out(const char *target, size_t depth)
{
    if (target[0] == '/')
        return false; /* starts at the root of whoever follows it */
    for (const char *p = target;;) {
        size_t len;

        p += strspn(p, "/");
        len = strcspn(p, "/");
        if (len == 0)
            return false;
        if (len == 2 && p[0] == '.' && p[1] == '.') {
            if (depth == 0)
                return true;
            depth--;
        } else if (!(len == 1 && p[0] == '.')) {
            depth++;
        }
        p += len;
    }
}

/* ---- limits ---------------------------------------------------------------------------------- */

static int refuse_over(const char *path, const char *what, uint64_t max, struct err *e)
{
    own_free char *why = str_printf("is over the limit of %" PRIu64 " %s for all layers together "
                                    "(make the image smaller)",
                                    max, what);

    return refuse(path, why, e);
}

static int count(struct rootfs *r, const char *path, uint64_t size, struct err *e)
{
    if (++r->entries > ROOTFS_ENTRIES_MAX)
        return refuse_over(path, "entries", ROOTFS_ENTRIES_MAX, e);
    if (size > ROOTFS_BYTES_MAX - r->content_bytes)
        return refuse_over(path, "bytes of contents", ROOTFS_BYTES_MAX, e);
    if (r->tree.text_bytes > ROOTFS_TEXT_MAX)
        return refuse_over(path, "bytes of names, link targets and attributes", ROOTFS_TEXT_MAX, e);
    r->content_bytes += size;
    return 0;
}

/* ---- putting one thing into the tree --------------------------------------------------------- */

static struct inode *implied_folder(struct rootfs *r)
{
    const struct rootfs_entry st = {.mode = S_IFDIR | 0755};
    struct inode *i = inode_new(&r->tree, &st, NULL, 0);

    i->mtime = TOOL_EPOCH;
    return i;
}

/*
 * The folder that the last part of the path is in. Without `make` (whiteouts) it is NULL when there
 * is nothing to remove: no such folder, or none any more, since this layer put something else there
 * (umoci says both).
 */
static int find_folder(struct rootfs *r, const char *path, const struct parts *p, bool make,
                       struct node **ret, struct err *e)
{
    struct node *at = r->tree.root;

    for (size_t i = 0; i + 1 < p->n; i++) {
        struct node *next = tree_find(&r->tree, at, p->items[i], p->lens[i]);

        if (!make && (!next || (!node_is_dir(next) && next->layer == r->layer))) {
            *ret = NULL;
            return 0;
        }
        if (!next)
            next = tree_add(&r->tree, at, p->items[i], p->lens[i], implied_folder(r), r->layer);
        if (!node_is_dir(next))
            return refuse(path,
                          "is below a name that is not a folder (links are not followed; put it "
                          "where the link leads)",
                          e);
        at = next;
    }
    *ret = at;
    return 0;
}

/* Takes `inode`. A folder keeps what is in it; anything else hides all that had its name. */
static void put(struct rootfs *r, struct node *folder, const char *name, size_t len,
                struct inode *inode)
{
    struct node *n = tree_find(&r->tree, folder, name, len);

    inode->nodes++; /* hold it: a hard link's may be what is removed here */
    if (n && node_is_dir(n) && !S_ISDIR(inode->st.mode)) {
        tree_remove(&r->tree, n);
        n = NULL;
    }
    if (n) {
        tree_set_inode(&r->tree, n, inode);
        n->layer = r->layer;
    } else {
        tree_add(&r->tree, folder, name, len, inode, r->layer);
    }
    inode->nodes--;
}

static int put_hard_link(struct rootfs *r, const struct tar_entry *en, struct node *folder,
                         const struct parts *p, struct err *e)
{
    struct parts to;
    struct node *n;

    if (cut(en->link.data, &to) != NULL)
        return refuse(en->path.data, "is a hard link to a path with '..', or too long " LEAVE_OUT,
                      e);
    n = rootfs_walk(r, en->link.data);
    if (!n)
        return refuse(en->path.data,
                      "is a hard link to a name that is not there (links are not followed; "
                      "the target must come first)",
                      e);
    if (node_is_dir(n))
        return refuse(en->path.data, "is a hard link to a folder " LEAVE_OUT, e);
    put(r, folder, p->items[p->n - 1], p->lens[p->n - 1], n->inode);
    return 0;
}

static int check_symlink(const struct tar_entry *en, const struct parts *p, struct err *e)
{
    if (en->link.len > ROOTFS_PATH_MAX - 1)
        return refuse(en->path.data, "is a link to a path over 4095 bytes " LEAVE_OUT, e);
    if (climbs_out(en->link.data, p->n - 1))
        return refuse(en->path.data, "is a link that leads above the root of the image " LEAVE_OUT,
                      e);
    return 0;
}

static int check_owner(const struct tar_entry *en, struct err *e)
{
    if (en->uid >= GUEST_ID_COUNT || en->gid >= GUEST_ID_COUNT)
        return refuse(en->path.data,
                      "has an owner that the guest has not (uids and gids go up to 65535)", e);
    return 0;
}

static mode_t keep_mode(struct rootfs *r, const struct tar_entry *en)
{
    if (en->mode & (S_ISUID | S_ISGID))
        r->dropped.set_id++;
    return en->mode & 01777;
}

static struct inode *make_inode(struct rootfs *r, const struct tar_entry *en, uint32_t source)
{
    static const mode_t types[] = {
        [TAR_FILE] = S_IFREG, [TAR_DIR] = S_IFDIR, [TAR_SYMLINK] = S_IFLNK};
    const bool is_link = en->type == TAR_SYMLINK;
    const struct rootfs_entry st = {
        .mode = types[en->type] | (is_link ? 0777 : keep_mode(r, en)),
        .uid = (uid_t)en->uid,
        .gid = (gid_t)en->gid,
        .size = en->size,
        .target = is_link ? en->link.data : NULL,
    };
    struct inode *i = inode_new(&r->tree, &st, en->xattrs.data, en->xattrs.len);

    i->offset = en->offset;
    i->source = source;
    i->mtime = en->mtime < TOOL_EPOCH ? (uint32_t)en->mtime : TOOL_EPOCH;
    i->order = r->order++;
    return i;
}

static int put_entry(struct rootfs *r, const struct tar_entry *en, const struct parts *p,
                     uint32_t source, struct err *e)
{
    struct node *folder;

    if (en->type == TAR_DEVICE || en->type == TAR_FIFO)
        return refuse(en->path.data,
                      en->type == TAR_FIFO ? "is a pipe " LEAVE_OUT : "is a device " LEAVE_OUT, e);
    if (check_owner(en, e) < 0 || (en->type == TAR_SYMLINK && check_symlink(en, p, e) < 0))
        return -1;
    if (p->n == 0) {
        if (en->type != TAR_DIR)
            return refuse(en->path.data, "is the root of the image, but not a folder", e);
        tree_set_inode(&r->tree, r->tree.root, make_inode(r, en, source));
        return 0;
    }
    if (find_folder(r, en->path.data, p, true, &folder, e) < 0)
        return -1;
    if (en->type == TAR_HARDLINK)
        return put_hard_link(r, en, folder, p, e);
    put(r, folder, p->items[p->n - 1], p->lens[p->n - 1], make_inode(r, en, source));
    return 0;
}

/* ---- whiteouts ------------------------------------------------------------------------------- */

/*
 * Removes what lower layers put below `top`; a folder that this layer put something into stays.
 * What stays is walked over by each whiteout, so the steps of all together have an end.
 */
static int purge_below(struct rootfs *r, struct node *top, const char *path, struct err *e)
{
    for (struct node *n = tree_deepest(top), *next; n != top; n = next) {
        if (++r->purge_steps > PURGE_STEPS_MAX)
            return refuse(path,
                          "is a whiteout of what whiteouts were about too often (make the image "
                          "anew)",
                          e);
        next = tree_next_up(n);
        if (n->layer == r->layer)
            continue;
        if (!n->child)
            tree_remove(&r->tree, n);
        else
            tree_set_inode(&r->tree, n, implied_folder(r));
    }
    return 0;
}

static int whiteout(struct rootfs *r, struct node *n, const char *path, struct err *e)
{
    if (purge_below(r, n, path, e) < 0)
        return -1;
    if (n->layer == r->layer)
        return 0;
    if (!n->child)
        tree_remove(&r->tree, n);
    else
        tree_set_inode(&r->tree, n, implied_folder(r));
    return 0;
}

static bool is_whiteout(const struct parts *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (str_starts_with(p->items[i], WHITEOUT))
            return true;
    return false;
}

static int put_whiteout(struct rootfs *r, const struct tar_entry *en, const struct parts *p,
                        struct err *e)
{
    const char *name = p->items[p->n - 1];
    size_t len = p->lens[p->n - 1];
    bool opaque = len == strlen(WHITEOUT_OPAQUE) && memcmp(name, WHITEOUT_OPAQUE, len) == 0;
    struct node *folder, *n;

    if (en->type == TAR_DIR || !str_starts_with(name, WHITEOUT))
        return refuse(en->path.data, "needs a folder with the name of a whiteout " LEAVE_OUT, e);
    if (find_folder(r, en->path.data, p, false, &folder, e) < 0)
        return -1;
    if (opaque)
        return folder ? purge_below(r, folder, en->path.data, e) : 0;
    name += strlen(WHITEOUT);
    len -= strlen(WHITEOUT);
    if (len == 0 || str_starts_with(p->items[p->n - 1], WHITEOUT_META) ||
        (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'))))
        return refuse(en->path.data, "is a whiteout of an unknown kind (make the image anew)", e);
    n = folder ? tree_find(&r->tree, folder, name, len) : NULL;
    return n ? whiteout(r, n, en->path.data, e) : 0;
}

/* ---- layers and single things ---------------------------------------------------------------- */

enum kind { PLAIN, LAYER, ARCHIVE };

static int add_entry(struct rootfs *r, const struct tar_entry *en, uint32_t source, enum kind kind,
                     struct err *e)
{
    struct parts p;
    const char *why = cut(en->path.data, &p);

    if (why)
        return refuse(en->path.data, why, e);
    if (count(r, en->path.data, en->size, e) < 0)
        return -1;
    if (kind == LAYER && is_whiteout(&p))
        return put_whiteout(r, en, &p, e);
    r->dropped.xattrs += en->dropped.xattrs;
    r->dropped.acls += en->dropped.acls;
    return put_entry(r, en, &p, source, e);
}

static int add_source(struct rootfs *r, int fd, const char *what, struct err *e)
{
    if (r->n_sources == ROOTFS_LAYERS_MAX + 1)
        return err_set(e, ERR_IMAGE, "is one of more than %u layers (squash the image)",
                       ROOTFS_LAYERS_MAX);
    fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return err_sys(e, ERR_HOST, errno, "dup");
    r->sources[r->n_sources++] = (struct source){.fd = fd, .what = str_dup(what)};
    r->layer++;
    return 0;
}

static int add_tar(struct rootfs *r, int tar_fd, const char *what, enum kind kind, struct err *e)
{
    own_tar_apart struct tar_apart t = TAR_APART_INIT;
    own_tar_entry struct tar_entry en = {0};
    bool more = true;

    if (add_source(r, tar_fd, what, e) < 0)
        return -1;
    if (tar_apart_open(&t, tar_fd, e) < 0)
        return -1;
    for (;;) {
        if (tar_apart_next(&t, &en, &more, e) < 0)
            return -1;
        if (!more)
            return 0;
        if (kind == ARCHIVE)
            en.uid = en.gid = 0;
        if (add_entry(r, &en, r->n_sources - 1, kind, e) < 0)
            return -1;
    }
}

int rootfs_add_layer(struct rootfs *r, int tar_fd, const char *what, bool whiteouts, struct err *e)
{
    return add_tar(r, tar_fd, what, whiteouts ? LAYER : PLAIN, e) < 0 ? err_wrap(e, "%s", what) : 0;
}

int rootfs_add_archive(struct rootfs *r, int tar_fd, const char *what, struct err *e)
{
    return add_tar(r, tar_fd, what, ARCHIVE, e) < 0 ? err_wrap(e, "%s", what) : 0;
}

/* One thing that does not come from a layer: it is above all that is there. */
static int add_single(struct rootfs *r, struct tar_entry *en, const char *path, const char *link,
                      struct err *e)
{
    str_add(&en->path, path);
    if (link)
        str_add(&en->link, link);
    en->mtime = TOOL_EPOCH;
    r->layer++;
    return add_entry(r, en, 0, PLAIN, e);
}

int rootfs_add_file(struct rootfs *r, const char *path, mode_t mode, uid_t uid, gid_t gid,
                    const void *data, size_t len, struct err *e)
{
    own_tar_entry struct tar_entry en = {.type = TAR_FILE,
                                         .mode = mode & 07777,
                                         .uid = uid,
                                         .gid = gid,
                                         .size = len,
                                         .offset = r->spool_bytes};

    if (add_single(r, &en, path, NULL, e) < 0)
        return -1;
    if (file_write_all(r->sources[0].fd, data, len) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot write a temporary file");
    r->spool_bytes += len;
    return 0;
}

int rootfs_add_dir(struct rootfs *r, const char *path, mode_t mode, uid_t uid, gid_t gid,
                   struct err *e)
{
    own_tar_entry struct tar_entry en = {
        .type = TAR_DIR, .mode = mode & 07777, .uid = uid, .gid = gid};

    return add_single(r, &en, path, NULL, e);
}

int rootfs_add_symlink(struct rootfs *r, const char *path, const char *target, struct err *e)
{
    own_tar_entry struct tar_entry en = {.type = TAR_SYMLINK};

    if (target[0] == '\0')
        return refuse(path, "is a link to nothing", e);
    return add_single(r, &en, path, target, e);
}
