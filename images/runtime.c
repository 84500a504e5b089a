/* runtime: crun for the initramfs. See runtime.h. */
#include "images/runtime.h"

#include "base/own.h"
#include "images/crun_build.h"
#include "images/elf_facts.h"
#include "images/inventory.h"
#include "images/tool.h"

#include <string.h>
#include <sys/stat.h>

#define PROGRAM "usr/bin/crun"

static const char *const runtime_packages[] = {"crun", NULL};

/* The loader's own search order without a cache file. */
static const char *const library_dirs[] = {"lib/x86_64-linux-gnu/", "usr/lib/x86_64-linux-gnu/",
                                           "lib/", "usr/lib/"};

void runtime_done(struct runtime *r)
{
    doc_free(r->packages);
    fileset_done(&r->files);
}

static bool want(const char *path)
{
    if (strcmp(path, PROGRAM) == 0 || str_starts_with(path, "lib64/"))
        return true;
    for (size_t i = 0; i < sizeof(library_dirs) / sizeof(library_dirs[0]); i++) {
        size_t len = strlen(library_dirs[i]);

        if (strncmp(path, library_dirs[i], len) == 0 && !strchr(path + len, '/') &&
            strstr(path + len, ".so"))
            return true;
    }
    return false;
}

/* Adds what `path` leads to under that very path, unless it is there. */
static int add(const struct fileset *all, const char *path, struct fileset *to, struct err *e)
{
    const struct fileset_entry *f = fileset_resolve(all, path);
    char *data;

    if (!f)
        return err_set(e, ERR_HOST, "no package has '/%s'", path);
    if (fileset_find(to, path))
        return 0;
    data = malloc(f->len + 1);
    if (!data)
        return err_set(e, ERR_HOST, "out of memory");
    memcpy(data, f->data, f->len + 1);
    fileset_add(to, path, S_IFREG | (f->mode & 0111 ? 0555 : 0444), data, f->len);
    return 0;
}

static int add_library(const struct fileset *all, const char *soname, struct fileset *to,
                       struct err *e)
{
    for (size_t i = 0; i < sizeof(library_dirs) / sizeof(library_dirs[0]); i++) {
        own_free char *path = str_printf("%s%s", library_dirs[i], soname);

        if (fileset_resolve(all, path))
            return add(all, path, to, e);
    }
    return err_set(e, ERR_HOST, "no package has the library '%s'", soname);
}

int runtime_close(const struct fileset *all, const char *path, struct fileset *ret, struct err *e)
{
    own_fileset struct fileset files = {0};
    own_free char *loader = NULL; /* soname; the kernel has loaded it already */

    if (add(all, path, &files, e) < 0)
        return -1;
    for (size_t i = 0; i < files.n; i++) {
        own_elf_facts struct elf_facts facts = {0};

        if (elf_facts_read(files.items[i].data, files.items[i].len, &facts, e) < 0)
            return err_wrap(e, "'/%s'", files.items[i].path);
        if (i == 0 && facts.interp) {
            loader = str_dup(strrchr(facts.interp, '/') ? strrchr(facts.interp, '/') + 1 : "");
            if (add(all, facts.interp + 1, &files, e) < 0)
                return -1;
        }
        for (size_t j = 0; j < facts.needed.n; j++)
            if ((!loader || strcmp(facts.needed.items[j], loader) != 0) &&
                add_library(all, facts.needed.items[j], &files, e) < 0)
                return err_wrap(e, "'/%s'", files.items[i].path);
    }
    *ret = files;
    files = (struct fileset){0};
    return 0;
}

/* What dpkg would know of the package. */
static int note(struct inventory *inv, const struct apt_package *p, const char *deb, struct err *e)
{
    own_free char *path = NULL, *text = NULL;

    if (apt_read_status(p, deb, &path, &text, e) < 0)
        return -1;
    inventory_add(inv, path, text, strlen(text));
    return 0;
}

/* Debian's own program. */
static int fetch_shared(const struct apt *a, struct runtime *ret, struct err *e)
{
    own_runtime struct runtime r = {0};
    own_fileset struct fileset all = {0};
    own_apt_packages struct apt_packages packages = {0};
    own_inventory struct inventory *inv = inventory_new();

    if (apt_resolve(a, runtime_packages, &packages, e) < 0 ||
        apt_download_set(a, runtime_packages, e) < 0)
        return -1;
    for (size_t i = 0; i < packages.n; i++) {
        own_free char *deb = apt_archive_path(a, &packages.items[i]);

        if (fileset_read_deb(&all, deb, a->dir, want, e) < 0 ||
            note(inv, &packages.items[i], deb, e) < 0)
            return -1;
    }
    if (runtime_close(&all, PROGRAM, &r.files, e) < 0)
        return -1;
    r.packages = inventory_format(inv);
    *ret = r;
    r = (struct runtime){0};
    return 0;
}

int runtime_fetch(const struct apt *a, const char *cache_dir, const struct progress *p,
                  struct runtime *ret, struct err *e)
{
    const struct crun_build w = {.apt = a, .cache_dir = cache_dir, .progress = p};
    own_crun_built struct crun_built built = {0};
    struct err why;

    if (crun_build(&w, &built, &why) == 0) {
        *ret = (struct runtime){0};
        ret->packages = own_steal_ptr(built.packages);
        fileset_add(&ret->files, PROGRAM, S_IFREG | 0555, own_steal_ptr(built.data), built.len);
        progress(p, "container runtime: crun, linked statically");
        return 0;
    }
    progress(p, "container runtime: warning: crun is not built, so each start takes longer: %s",
             why.text);
    if (fetch_shared(a, ret, e) < 0)
        return -1;
    progress(p, "container runtime: crun and %zu libraries", ret->files.n - 1);
    return 0;
}
