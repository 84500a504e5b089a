/*
 * build: makes an image from a recipe.
 *
 * How it works: packages and files make a root. If the recipe has commands, an image of that root
 * is put into the store without a name, and a guest of it runs them on a writable root; its last
 * act is to pack what is then there into one tar, which becomes the only layer of a new root. The
 * tar is as UNTRUSTED as any archive.
 */
#include "images/build.h"

#include "base/file.h"
#include "base/own.h"
#include "images/assemble.h"
#include "images/root.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define BUILD_SOURCE_MAX (256u << 20) /* bytes of one file that a recipe adds */
#define BUILD_RESULT     "root.tar"   /* what the guest leaves in /out */

/* All that a build holds while it works. */
struct build {
    const struct image_build *want;
    struct store store;
    int cache_lock;
    char *cache; /* absolute */
    struct apt apt;
    struct image_boot boot;
    struct rootfs *root;
};

static void build_done(struct build *b)
{
    rootfs_free(b->root);
    image_boot_done(&b->boot);
    apt_done(&b->apt);
    free(b->cache);
    own_close_p(&b->cache_lock);
    store_close(&b->store);
}

static int open_cache(struct build *b, struct err *e)
{
    own_free char *lock = NULL;
    bool taken;

    if (file_make_dirs(b->want->cache_dir, 0700, e) < 0)
        return -1;
    lock = str_printf("%s/.lock", b->want->cache_dir);
    b->cache_lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (b->cache_lock < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open '%s'", lock);
    if (file_try_lock(b->cache_lock, false, &taken, e) < 0)
        return -1;
    if (!taken)
        return err_set(e, ERR_HOST,
                       "another 'lazaret image build' uses the cache '%s' (wait for it to end)",
                       b->want->cache_dir);
    /* Tools run elsewhere, so the path must be absolute. */
    b->cache = realpath(b->want->cache_dir, NULL);
    if (!b->cache)
        return err_sys(e, ERR_HOST, errno, "cannot resolve '%s'", b->want->cache_dir);
    return 0;
}

static int refresh_lists(struct build *b, struct err *e)
{
    if (apt_open(b->cache, &b->apt, e) < 0)
        return -1;
    return apt_update(&b->apt, &b->want->progress, e);
}

static int add_source(struct rootfs *root, const struct recipe_file *f, struct err *e)
{
    own_free char *data = NULL;
    size_t len;

    if (file_read(AT_FDCWD, f->value, BUILD_SOURCE_MAX, &data, &len, e) < 0)
        return -1;
    return rootfs_add_file(root, f->path, f->mode, 0, 0, data, len, e);
}

static int add_file(struct rootfs *root, const struct recipe_file *f, struct err *e)
{
    switch (f->kind) {
    case RECIPE_TEXT:
        return rootfs_add_file(root, f->path, f->mode, 0, 0, f->value, strlen(f->value), e);
    case RECIPE_SOURCE:
        return add_source(root, f, e);
    case RECIPE_LINK:
        return rootfs_add_symlink(root, f->path, f->value, e);
    case RECIPE_FOLDER:
        return rootfs_add_dir(root, f->path, f->mode, 0, 0, e);
    }
    return err_set(e, ERR_HOST, "'%s': unknown kind of file", f->path);
}

static int add_files(struct build *b, struct err *e)
{
    const struct recipe *r = b->want->recipe;

    for (size_t i = 0; i < r->n_files; i++)
        if (add_file(b->root, &r->files[i], e) < 0)
            return err_wrap(e, "files: '%s'", r->files[i].path);
    return 0;
}

/* What the manifest says of how the image was made: the recipe, and what it does not say. */
static struct doc *describe(const struct build *b)
{
    struct doc *d = doc_new_object();

    doc_set(d, "recipe", doc_copy(b->want->recipe->doc));
    doc_set(d, "root", root_how(b->want->recipe->variant));
    doc_set(d, "runtime", doc_copy(b->boot.how));
    return d;
}

static int assemble(struct build *b, char ret_digest[DIGEST_HEX_SIZE], struct err *e)
{
    own_doc struct doc *recipe = describe(b), *from = doc_new_object();

    doc_set_str(from, "kind", "recipe");
    doc_set_str(from, "name", b->want->recipe->name);
    return assemble_image(&(struct assemble){.store = &b->store,
                                             .root = b->root,
                                             .boot = &b->boot,
                                             .config = &b->want->recipe->config,
                                             .recipe = recipe,
                                             .created_from = from,
                                             .progress = &b->want->progress},
                          ret_digest, e);
}

/* The commands, and then: everything but what the container mounts, into one tar. */
static char *make_script(const struct recipe *r)
{
    struct str s = {0};

    str_add(&s, "set -e\n");
    for (size_t i = 0; i < r->run.n; i++)
        str_addf(&s, "%s\n", r->run.items[i]);
    str_add(&s, "cd /\n"
                "set --\n"
                "for f in * .[!.]*; do\n"
                "  case $f in dev|proc|sys|in|out|work|tmp|.lazaret) continue;; esac\n"
                "  if [ -e \"$f\" ] || [ -L \"$f\" ]; then set -- \"$@\" \"./$f\"; fi\n"
                "done\n"
                "tar -cf /out/" BUILD_RESULT " \"$@\"\n");
    return str_steal(&s);
}

/* What the agent put there is of the guest that the commands ran in; images have an empty one
 * (machine-id(5)), and the same one, whoever builds them. */
static int forget_machine_id(struct rootfs *r, struct err *e)
{
    static const char path[] = "etc/machine-id";

    return rootfs_find(r, path) ? rootfs_add_file(r, path, 0444, 0, 0, "", 0, e) : 0;
}

static int take_result(struct build *b, const char *out_dir, struct err *e)
{
    own_free char *path = str_printf("%s/" BUILD_RESULT, out_dir);
    own_close int tar = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (tar < 0)
        return err_sys(e, ERR_GUEST, errno, "the guest left no '" BUILD_RESULT "'");
    rootfs_free(b->root);
    b->root = NULL;
    if (rootfs_new(b->cache, &b->root, e) < 0)
        return -1;
    if (rootfs_add_layer(b->root, tar, "what the commands left", false, e) < 0)
        return -1;
    return forget_machine_id(b->root, e);
}

static int run_commands(struct build *b, struct err *e)
{
    const struct image_build *w = b->want;
    own_free char *out_dir = str_printf("%s/result", b->cache);
    own_free char *script = make_script(w->recipe);
    own_free char *ref = NULL;
    char digest[DIGEST_HEX_SIZE];
    struct err ignored;
    int rc;

    if (w->recipe->run.n == 0)
        return 0;
    if (file_remove_tree(AT_FDCWD, out_dir, e) < 0 || file_make_dirs(out_dir, 0700, e) < 0 ||
        assemble(b, digest, e) < 0)
        return -1;
    progress(&w->progress, "commands: running %zu in a guest", w->recipe->run.n);
    ref = str_printf("sha256:%s", digest);
    rc = w->run(w->run_arg, ref, script, out_dir, e);
    if (rc == 0)
        rc = take_result(b, out_dir, e);
    file_remove_tree(AT_FDCWD, out_dir, &ignored);
    return rc < 0 ? err_wrap(e, "commands of the recipe") : 0;
}

static int make_root(struct build *b, struct err *e)
{
    const struct image_build *w = b->want;

    if (rootfs_new(b->cache, &b->root, e) < 0 ||
        root_fill(&b->apt, b->cache, w->recipe, &w->progress, b->root, e) < 0)
        return err_wrap(e, "root");
    return add_files(b, e);
}

int image_build(const struct image_build *w, char ret_digest[DIGEST_HEX_SIZE], struct err *e)
{
    __attribute__((cleanup(build_done))) struct build b = {
        .want = w, .store = STORE_INIT, .cache_lock = -1};
    struct boot_source boot = {.store = &b.store,
                               .apt = &b.apt,
                               .agent_path = w->agent_path,
                               .kernel = w->kernel,
                               .progress = &w->progress};

    if (store_open(w->store_dir, STORE_ADD, &b.store, e) < 0 || open_cache(&b, e) < 0)
        return -1;
    boot.cache_dir = b.cache;
    if (refresh_lists(&b, e) < 0 || boot_make(&boot, &b.boot, e) < 0 || make_root(&b, e) < 0 ||
        run_commands(&b, e) < 0)
        return -1;
    progress(&w->progress, "image '%s': packing the root", w->tag);
    if (assemble(&b, ret_digest, e) < 0 ||
        store_name_set(&b.store, STORE_TAGS, w->tag, ret_digest, e) < 0)
        return err_wrap(e, "image '%s'", w->tag);
    progress(&w->progress, "image '%s': sha256:%s", w->tag, ret_digest);
    return 0;
}
