/* kernel: Debian's cloud kernel and the modules that bring-up needs, from its package. */
#include "images/kernel.h"

#include "base/own.h"
#include "images/elf_facts.h"

#include <string.h>
#include <sys/stat.h>

#define MODULES_MAX 64 /* in the initramfs; also bounds the depth of dependencies */

/* With Debian 6.12 virtio_pci, virtio_console and ext4 are built in, with 6.1 they are not. */
static const char *const wanted_modules[] = {
    "virtio_mmio",    /* every device on microvm */
    "virtio_pci",     /* every device on q35 */
    "virtio_blk",     /* root, scratch and input disks */
    "virtio_console", /* the channel */
    "virtio_rng",     /* entropy */
    "dm_verity",      /* the root, block by block; sha256 is built in */
    "squashfs",       /* root and input */
    "ext4",           /* scratch */
    "overlay",        /* the container's root */
    NULL,
};

/* Newest series first. */
static const char *const metapackages[] = {"linux-image-6.12-cloud-amd64",
                                           "linux-image-cloud-amd64"};

void kernel_done(struct kernel *k)
{
    free(k->flavour);
    free(k->cmdline);
    free(k->package.name);
    free(k->package.version);
    free(k->package.arch);
    free(k->bzimage);
    fileset_done(&k->modules);
    *k = (struct kernel){0};
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), n = strlen(end);

    return len >= n && strcmp(text + len - n, end) == 0;
}

static bool want(const char *path)
{
    return str_starts_with(path, "boot/vmlinuz-") || ends_with(path, ".ko.xz") ||
           ends_with(path, "/modules.builtin");
}

/* True if the path's last part is `name` and `end`; '-' and '_' are the same in module names. */
static bool is_module(const char *path, size_t len, const char *name, const char *end)
{
    size_t name_len = strlen(name), end_len = strlen(end);
    const char *base;

    if (len < name_len + end_len + 1)
        return false;
    base = path + len - name_len - end_len;
    if (base[-1] != '/' || strncmp(base + name_len, end, end_len) != 0)
        return false;
    for (size_t i = 0; i < name_len; i++)
        if ((base[i] == '-' ? '_' : base[i]) != (name[i] == '-' ? '_' : name[i]))
            return false;
    return true;
}

static const struct fileset_entry *find_module(const struct fileset *all, const char *name)
{
    for (size_t i = 0; i < all->n; i++)
        if (is_module(all->items[i].path, strlen(all->items[i].path), name, ".ko.xz"))
            return &all->items[i];
    return NULL;
}

static bool is_builtin(const struct fileset *all, const char *name)
{
    for (size_t i = 0; i < all->n; i++) {
        if (!ends_with(all->items[i].path, "/modules.builtin"))
            continue;
        for (const char *line = all->items[i].data; line && *line;) {
            size_t len = strcspn(line, "\n");

            if (is_module(line, len, name, ".ko"))
                return true;
            line += len + (line[len] == '\n');
        }
    }
    return false;
}

/* One module under way: unpacked, with what it still waits for. */
struct pending {
    const struct fileset_entry *from;
    char *data;
    size_t len;
    struct elf_facts facts;
    size_t next; /* the next of facts.depends to look at */
};

struct order {
    const struct fileset *all;
    struct pending stack[MODULES_MAX];
    size_t depth;
    const struct fileset_entry *placed[MODULES_MAX];
    size_t n;
};

static void order_done(struct order *o)
{
    for (; o->depth > 0; o->depth--) {
        free(o->stack[o->depth - 1].data);
        elf_facts_done(&o->stack[o->depth - 1].facts);
    }
}

/* Puts `name` on the stack unless it is built in, placed or (a cycle) already there. */
static int push(struct order *o, const char *name, struct err *e)
{
    const struct fileset_entry *f = find_module(o->all, name);
    struct pending p = {.from = f};

    if (!f && is_builtin(o->all, name))
        return 0;
    if (!f)
        return err_set(e, ERR_HOST, "the kernel package has no module '%s'", name);
    for (size_t i = 0; i < o->n; i++)
        if (o->placed[i] == f)
            return 0;
    for (size_t i = 0; i < o->depth; i++)
        if (o->stack[i].from == f)
            return err_set(e, ERR_HOST, "module '%s' depends on itself", name);
    if (o->depth + o->n >= MODULES_MAX)
        return err_set(e, ERR_HOST, "module '%s': over %d modules", name, MODULES_MAX);
    if (fileset_unxz(f, &p.data, &p.len, e) < 0)
        return -1;
    if (elf_facts_read(p.data, p.len, &p.facts, e) < 0) {
        free(p.data);
        return err_wrap(e, "module '%s'", name);
    }
    o->stack[o->depth++] = p;
    return 0;
}

/* Moves the top of the stack, whose dependencies are all placed, to the result. */
static void place(struct order *o, struct fileset *out)
{
    struct pending *p = &o->stack[--o->depth];
    const char *base = strrchr(p->from->path, '/') + 1;
    own_free char *path =
        str_printf("modules/%02zu-%.*s.ko", o->n, (int)(strlen(base) - strlen(".ko.xz")), base);

    fileset_add(out, path, S_IFREG | 0444, own_steal_ptr(p->data), p->len);
    elf_facts_done(&p->facts);
    o->placed[o->n++] = p->from;
}

int kernel_order_modules(const struct fileset *all, const char *const *wanted, struct fileset *ret,
                         struct err *e)
{
    __attribute__((cleanup(order_done))) struct order o = {.all = all};
    own_fileset struct fileset out = {0};

    for (; *wanted; wanted++) {
        if (push(&o, *wanted, e) < 0)
            return -1;
        while (o.depth > 0) {
            struct pending *top = &o.stack[o.depth - 1];

            if (top->next == top->facts.depends.n)
                place(&o, &out);
            else if (push(&o, top->facts.depends.items[top->next++], e) < 0)
                return -1;
        }
    }
    *ret = out;
    out = (struct fileset){0};
    return 0;
}

/* The real package behind the newest metapackage that the lists know. */
static int choose_package(const struct apt *a, struct apt_package *ret, struct err *e)
{
    for (size_t i = 0; i < sizeof(metapackages) / sizeof(metapackages[0]); i++) {
        own_free char *version = NULL;
        own_free char *real = NULL;
        own_free char *none = NULL;
        struct err why;

        if (apt_show(a, metapackages[i], &version, &real, &why) < 0 || !real)
            continue;
        free(own_steal_ptr(version));
        if (apt_show(a, real, &version, &none, e) < 0)
            return -1;
        *ret = (struct apt_package){own_steal_ptr(real), own_steal_ptr(version), str_dup("amd64")};
        return 0;
    }
    return err_set(e, ERR_HOST,
                   "Debian's package lists have neither '%s' nor '%s' (check the host's apt "
                   "sources: bookworm and bookworm-security are needed)",
                   metapackages[0], metapackages[1]);
}

int kernel_fetch(const struct apt *a, struct kernel *ret, struct err *e)
{
    own_kernel struct kernel k = {.flavour = str_dup(KERNEL_DEBIAN),
                                  .cmdline = str_dup(KERNEL_CMDLINE)};
    own_fileset struct fileset all = {0};
    own_free char *deb = NULL;

    if (choose_package(a, &k.package, e) < 0 || apt_download(a, k.package.name, e) < 0)
        return -1;
    deb = apt_archive_path(a, &k.package);
    if (fileset_read_deb(&all, deb, a->dir, want, e) < 0)
        return -1;
    for (size_t i = 0; i < all.n && !k.bzimage; i++)
        if (str_starts_with(all.items[i].path, "boot/vmlinuz-")) {
            k.bzimage = own_steal_ptr(all.items[i].data);
            k.bzimage_len = all.items[i].len;
        }
    if (!k.bzimage)
        return err_set(e, ERR_HOST, "package '%s' has no kernel", k.package.name);
    if (kernel_order_modules(&all, wanted_modules, &k.modules, e) < 0)
        return err_wrap(e, "package '%s'", k.package.name);
    *ret = k;
    k = (struct kernel){0};
    return 0;
}
