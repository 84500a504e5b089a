/* boot: what an image boots with: a kernel and an initramfs, as objects of the store. */
#include "images/boot.h"

#include "base/own.h"
#include "images/initramfs.h"
#include "images/kernel.h"
#include "images/packages.h"
#include "images/runtime.h"

void image_boot_done(struct image_boot *b)
{
    free(b->flavour);
    free(b->release);
    free(b->cmdline);
    doc_free(b->how);
    *b = (struct image_boot){0};
}

const struct doc *boot_packages(const struct manifest *m)
{
    own_packages struct packages parsed = {0};
    const struct doc *list;
    struct err why;

    if (doc_get_array(m->recipe, "runtime", &list, &why) < 0 ||
        packages_parse(list, &parsed, &why) < 0)
        return NULL;
    return list;
}

void boot_from_image(const struct image *im, struct image_boot *ret)
{
    const struct doc *how = boot_packages(&im->m);

    *ret = (struct image_boot){
        .how = how ? doc_ref(how) : NULL,
        .kernel = im->m.parts[IMAGE_KERNEL],
        .initramfs = im->m.parts[IMAGE_INITRAMFS],
        .flavour = str_dup(im->m.kernel_flavour),
        .release = str_dup(im->m.kernel_release),
        .cmdline = str_dup(im->m.cmdline),
    };
}

static int put_kernel(const struct boot_source *s, struct image_boot *b, struct fileset *modules,
                      struct err *e)
{
    own_kernel struct kernel k = {0};

    if (kernel_choose(s->apt, s->store, s->kernel, &k, e) < 0)
        return err_wrap(e, "kernel");
    progress(s->progress, "kernel: '%s' of %s %s, %zu modules", k.flavour, k.package.name,
             k.package.version, k.modules.n);
    b->flavour = own_steal_ptr(k.flavour);
    b->release = own_steal_ptr(k.package.version);
    b->cmdline = own_steal_ptr(k.cmdline);
    *modules = k.modules;
    k.modules = (struct fileset){0};
    return store_put(s->store, k.bzimage, k.bzimage_len, &b->kernel, e);
}

static int put_initramfs(const struct boot_source *s, struct image_boot *b,
                         const struct fileset *modules, struct err *e)
{
    own_runtime struct runtime r = {0};
    own_store_blob struct store_blob blob = STORE_BLOB_INIT;
    const struct fileset *const sets[] = {modules, &r.files};

    if (runtime_fetch(s->apt, s->cache_dir, s->progress, &r, e) < 0)
        return err_wrap(e, "container runtime");
    b->how = doc_ref(r.packages);
    if (store_blob_begin(s->store, &blob, e) < 0 ||
        image_write_initramfs(blob.fd, s->agent_path, sets, 2, e) < 0)
        return -1;
    return store_blob_commit(&blob, &b->initramfs, e);
}

int boot_make(const struct boot_source *s, struct image_boot *ret, struct err *e)
{
    own_image_boot struct image_boot b = {0};
    own_fileset struct fileset modules = {0};

    if (put_kernel(s, &b, &modules, e) < 0 || put_initramfs(s, &b, &modules, e) < 0)
        return -1;
    *ret = b;
    b = (struct image_boot){0};
    return 0;
}
