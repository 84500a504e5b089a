/* kernel_build: from Debian's kernel source package to a kernel in the store. */
#include "images/kernel_build.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/own.h"
#include "images/kernel_config.h"
#include "images/kernel_make.h"
#include "images/kernel_record.h"
#include "images/kernel_source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#define STEPS         1880u /* about how many lines make says; only for the progress */
#define STEP_SHOWN    5u    /* percent from one line of progress to the next */
#define CONFIG_MAX    (1u << 20)
#define SOURCE_PREFIX "source-"
#define BZIMAGE       "arch/x86/boot/bzImage"

struct build {
    const struct kernel_build *want;
    char *dir; /* the cache, absolute */
    int dir_fd, lock_fd;
    struct apt apt;
    char *version;
    char *source; /* folder's names in the cache */
    char *objects;
    char recipe[DIGEST_HEX_SIZE];
    unsigned shown; /* percent */
};

static void build_done(struct build *b)
{
    apt_done(&b->apt);
    free(b->dir);
    free(b->version);
    free(b->source);
    free(b->objects);
    own_close_p(&b->dir_fd);
    own_close_p(&b->lock_fd);
}

static int open_cache(struct build *b, struct err *e)
{
    bool taken;

    if (file_make_dirs(b->want->cache_dir, 0700, e) < 0)
        return -1;
    b->dir = realpath(b->want->cache_dir, NULL); /* tools run elsewhere */
    if (!b->dir)
        return err_sys(e, ERR_HOST, errno, "cannot resolve '%s'", b->want->cache_dir);
    if (strpbrk(b->dir, " :#$%'\""))
        return err_set(e, ERR_HOST, "the cache folder '%s' has characters that make cannot take",
                       b->dir);
    if (file_open_dir(b->dir, &b->dir_fd, e) < 0)
        return -1;
    b->lock_fd = openat(b->dir_fd, ".lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (b->lock_fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open '%s/.lock'", b->dir);
    if (file_try_lock(b->lock_fd, false, &taken, e) < 0)
        return -1;
    if (!taken)
        return err_set(e, ERR_HOST,
                       "another 'lazaret image kernel build' is at work (wait for it to end)");
    return apt_open(b->dir, &b->apt, e);
}

/* Names the source's version and with it all that this build depends on. */
static int resolve(struct build *b, struct err *e)
{
    own_free char *make = kernel_make_recipe();
    own_free char *wanted = kernel_config_wanted(b->want->flavour);
    own_free char *recipe = NULL;

    if (apt_update(&b->apt, &b->want->progress, e) < 0)
        return -1;
    if (kernel_source_version(&b->apt, &b->version, e) < 0)
        return -1;
    recipe = str_printf("%s %s\n%s%s\n", KERNEL_SOURCE_PACKAGE, b->version, make, wanted);
    if (digest_bytes(recipe, strlen(recipe), b->recipe, e) < 0)
        return -1;
    b->source = str_printf(SOURCE_PREFIX "%s", b->version);
    b->objects = str_printf("%s-%.16s", b->want->flavour, b->recipe);
    return 0;
}

/* Puts the record of what is in the store into the store, and names it. */
static int put_record(const struct store *s, const struct kernel_record *r, struct err *e)
{
    own_free char *text = kernel_record_format(r);
    struct store_object record;

    if (store_put(s, text, strlen(text), &record, e) < 0)
        return -1;
    return store_name_set(s, STORE_KERNELS, r->flavour, record.sha256, e);
}

/* The record of what this recipe makes, if the store has that whole. */
static bool find_built(const struct build *b, const struct store *s, struct kernel_record *ret)
{
    own_kernel_record struct kernel_record r = {0};
    own_free char *kernel = NULL;
    own_free char *config = NULL;
    struct err why;
    size_t len;

    if (kernel_record_open(s, b->want->flavour, &r, &why) < 0 || strcmp(r.recipe, b->recipe) != 0 ||
        kernel_record_read(s, &r, &kernel, &len, &why) < 0 ||
        store_read(s, r.config.sha256, CONFIG_MAX, &config, &len, &why) < 0)
        return false;
    *ret = r;
    r = (struct kernel_record){0};
    return true;
}

/* Nothing needs to be compiled; only the record may have to say something new. */
static int is_built(const struct build *b, bool *ret, struct err *e)
{
    own_store struct store s = STORE_INIT;
    own_kernel_record struct kernel_record r = {0};

    if (store_open(b->want->store_dir, STORE_ADD, &s, e) < 0)
        return -1;
    *ret = find_built(b, &s, &r);
    if (!*ret || strcmp(r.cmdline, KERNEL_OWN_CMDLINE) == 0)
        return 0;
    free(r.cmdline);
    r.cmdline = str_dup(KERNEL_OWN_CMDLINE);
    return put_record(&s, &r, e);
}

/* Removes the folders whose name starts with `prefix`, but not `keep`. */
static int remove_folders(const struct build *b, const char *prefix, const char *keep,
                          struct err *e)
{
    int fd = openat(b->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    own_closedir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *d;

    if (!dir) {
        own_close_p(&fd);
        return err_sys(e, ERR_HOST, errno, "cannot list '%s'", b->dir);
    }
    while ((d = readdir(dir)))
        if (str_starts_with(d->d_name, prefix) && (!keep || strcmp(d->d_name, keep) != 0) &&
            file_remove_tree(b->dir_fd, d->d_name, e) < 0)
            return -1;
    return 0;
}

static int unpack(struct build *b, struct err *e)
{
    own_free char *prefix = str_printf("%s-", b->want->flavour);
    own_free char *deb = NULL;

    if (remove_folders(b, prefix, b->objects, e) < 0 ||
        remove_folders(b, SOURCE_PREFIX, b->source, e) < 0)
        return -1;
    if (faccessat(b->dir_fd, b->source, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    progress(&b->want->progress, "kernel source: fetching %s %s (150 MB)", KERNEL_SOURCE_PACKAGE,
             b->version);
    if (kernel_source_fetch(&b->apt, b->version, &deb, e) < 0)
        return -1;
    progress(&b->want->progress, "kernel source: unpacking (1.6 GB)");
    return kernel_source_unpack(deb, b->dir, b->source, e);
}

static void show_percent(void *arg, unsigned percent)
{
    struct build *b = arg;

    if (percent < b->shown + STEP_SHOWN)
        return;
    b->shown = percent - percent % STEP_SHOWN;
    progress(&b->want->progress, "kernel: compiling, about %u %%", b->shown);
}

static unsigned jobs(const struct kernel_build *b)
{
    cpu_set_t set;

    if (b->jobs > 0)
        return b->jobs;
    return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

static int configure(const struct build *b, const struct kernel_make *m, int objects_fd,
                     struct err *e)
{
    own_free char *wanted = kernel_config_wanted(b->want->flavour);
    own_free char *config = NULL;

    if (file_write(objects_fd, KERNEL_MAKE_CONFIG, wanted, strlen(wanted), 0600, e) < 0 ||
        kernel_make_run(m, e) < 0 ||
        file_read(objects_fd, ".config", CONFIG_MAX, &config, NULL, e) < 0)
        return -1;
    return kernel_config_check(b->want->flavour, config, e);
}

static int compile(struct build *b, struct err *e)
{
    own_free char *source = str_printf("%s/%s", b->dir, b->source);
    own_free char *objects = str_printf("%s/%s", b->dir, b->objects);
    own_close int objects_fd = -1;
    struct kernel_make m = {
        .source = source, .objects = objects, .jobs = jobs(b->want), .target = "allnoconfig"};

    if (faccessat(b->dir_fd, b->objects, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        progress(&b->want->progress, "kernel: going on where the last build was cut off");
    if (file_make_dirs(objects, 0700, e) < 0 || file_open_dir(objects, &objects_fd, e) < 0)
        return -1;
    progress(&b->want->progress, "kernel: configuring '%s'", b->want->flavour);
    if (configure(b, &m, objects_fd, e) < 0)
        return -1;
    progress(&b->want->progress, "kernel: compiling with %u jobs (minutes, at the lowest priority)",
             m.jobs);
    m.target = "bzImage";
    m.steps = STEPS;
    m.progress = show_percent;
    m.progress_arg = b;
    return kernel_make_run(&m, e);
}

static int put_file(const struct store *s, int dir_fd, const char *name, struct store_object *ret,
                    struct err *e)
{
    own_store_blob struct store_blob blob = STORE_BLOB_INIT;
    own_close int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n;

    if (fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open '%s'", name);
    if (store_blob_begin(s, &blob, e) < 0)
        return -1;
    do
        n = sendfile(blob.fd, fd, NULL, 1 << 26);
    while (n > 0 || (n < 0 && errno == EINTR));
    if (n < 0)
        return err_sys(e, ERR_HOST, errno, "cannot write '%s' to the store", name);
    return store_blob_commit(&blob, ret, e);
}

static int put(const struct build *b, struct err *e)
{
    own_store struct store s = STORE_INIT;
    own_close int objects_fd =
        openat(b->dir_fd, b->objects, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    own_kernel_record struct kernel_record r = {.flavour = str_dup(b->want->flavour),
                                                .release = str_dup(b->version),
                                                .cmdline = str_dup(KERNEL_OWN_CMDLINE)};

    if (objects_fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open '%s/%s'", b->dir, b->objects);
    memcpy(r.recipe, b->recipe, sizeof(r.recipe));
    if (store_open(b->want->store_dir, STORE_ADD, &s, e) < 0 ||
        put_file(&s, objects_fd, BZIMAGE, &r.kernel, e) < 0 ||
        put_file(&s, objects_fd, ".config", &r.config, e) < 0 || put_record(&s, &r, e) < 0)
        return -1;
    progress(&b->want->progress, "kernel: '%s', %.1f MiB, sha256 %s", b->want->flavour,
             (double)r.kernel.size_bytes / 1048576.0, r.kernel.sha256);
    return 0;
}

/* Its package stays: an apt cache is cheap, and the other flavour wants it. */
static int clean(const struct build *b, struct err *e)
{
    if (file_remove_tree(b->dir_fd, b->objects, e) < 0 ||
        remove_folders(b, SOURCE_PREFIX, NULL, e) < 0)
        return -1;
    return apt_clean(&b->apt, e);
}

int kernel_build(const struct kernel_build *b, struct err *e)
{
    __attribute__((cleanup(build_done))) struct build work = {
        .want = b, .dir_fd = -1, .lock_fd = -1};
    bool built;

    if (open_cache(&work, e) < 0 || resolve(&work, e) < 0 || is_built(&work, &built, e) < 0)
        return err_wrap(e, "kernel '%s'", b->flavour);
    if (built) {
        progress(&b->progress, "kernel: '%s' of %s is in the store already", b->flavour,
                 work.version);
        return clean(&work, e); /* the last one may have been cut off just before it */
    }
    if (kernel_make_check_tools(e) < 0 || unpack(&work, e) < 0 || compile(&work, e) < 0 ||
        put(&work, e) < 0 || clean(&work, e) < 0)
        return err_wrap(e, "kernel '%s'", b->flavour);
    return 0;
}
