/* root: what a recipe's packages put into the root of an image. */
#include "images/root.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/own.h"
#include "base/spawn.h"
#include "images/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define CACHE_PREFIX "root-"
#define CACHE_SUFFIX ".tar"
#define KEY_HEX      32u /* digits of the digest in a cached file's name */

/* Counts changes to how the root is made that the recipe does not show. */
#define ROOT_REVISION 4

/* What mmdebstrap's variant minbase installs on an empty system. usr-is-merged says that /usr is
 * merged already, which the hook does in an empty root; the package usrmerge would do it later, in
 * Perl, and stay. */
static const char *const system_patterns[] = {"?essential", "?priority(required)", "apt",
                                              "usr-is-merged", NULL};
static const char *const merge_hook = "/usr/share/mmdebstrap/hooks/merged-usr";

/* Nobody reads these inside a sandbox. */
static const char *const excluded[] = {"/usr/share/doc/*",     "/usr/share/info/*",
                                       "/usr/share/lintian/*", "/usr/share/locale/*",
                                       "/usr/share/man/*",     NULL};

/*
 * Run by sh with the new root as $1, each for a reason:
 * - a name for the container's usual user;
 * - nothing of the build host (its name, resolver, mirrors) is in the image.
 */
static const char *const hooks[] = {
    "echo 'agent:x:1000:1000:agent:/work:/bin/sh' >> \"$1/etc/passwd\" && "
    "echo 'agent:x:1000:' >> \"$1/etc/group\"",
    "rm -rf \"$1\"/etc/apt/sources.list* \"$1\"/etc/resolv.conf \"$1\"/var/log/*"
    " \"$1\"/etc/dpkg/dpkg.cfg.d/99mmdebstrap \"$1\"/etc/apt/apt.conf.d/99mmdebstrap"
    " && echo lazaret > \"$1/etc/hostname\"",
    NULL,
};

struct doc *root_how(enum recipe_variant variant)
{
    struct doc *d = doc_new_object();

    doc_set_u64(d, "revision", ROOT_REVISION);
    if (variant == RECIPE_EXTRACT)
        return d;
    doc_set_strv(d, "exclude", excluded);
    doc_set_strv(d, "hooks", hooks);
    doc_set_u64(d, "epoch", TOOL_EPOCH);
    return d;
}

static int root_resolve(const struct apt *a, const struct recipe *r, struct apt_packages *ret,
                        struct err *e)
{
    own_strv struct strv patterns = {0};

    for (size_t i = 0; r->variant == RECIPE_MINBASE && system_patterns[i]; i++)
        strv_add(&patterns, system_patterns[i]);
    strv_add_all(&patterns, &r->packages);
    if (patterns.n == 0)
        return 0;
    return apt_resolve(a, (const char *const *)patterns.items, ret, e);
}

/* mmdebstrap: sources on stdin, the tar on stdout. */
static int make_tar(const struct apt *a, const struct recipe *r, int tar_fd, struct err *e)
{
    own_strv struct strv argv = {0};
    own_str struct str include = {0};
    own_close int sources = open(a->sources, O_RDONLY | O_CLOEXEC);
    struct tool t = {
        .package = "mmdebstrap", .cwd = "/", .in = sources, .out = tar_fd, .timeout_s = 3600};

    if (sources < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open '%s'", a->sources);
    str_add(&include, "usr-is-merged");
    for (size_t i = 0; i < r->packages.n; i++)
        str_addf(&include, ",%s", r->packages.items[i]);
    if (geteuid() == 0) {
        strv_add(&argv, "unshare");
        strv_add(&argv, "--mount");
        strv_add(&argv, "--propagation=private");
    }
    strv_add(&argv, "mmdebstrap");
    strv_add(&argv, "--quiet");
    strv_add(&argv, "--variant=minbase");
    strv_add(&argv, "--format=tar");
    strv_add(&argv, "--architectures=amd64");
    strv_add(&argv, "--skip=output/dev"); /* the container makes its own */
    strv_addf(&argv, "--include=%s", include.data);
    strv_addf(&argv, "--hook-dir=%s", merge_hook);
    strv_add(&argv, "--dpkgopt=force-unsafe-io");
    for (size_t i = 0; excluded[i]; i++)
        strv_addf(&argv, "--dpkgopt=path-exclude=%s", excluded[i]);
    for (size_t i = 0; hooks[i]; i++)
        strv_addf(&argv, "--customize-hook=%s", hooks[i]);
    strv_add(&argv, APT_SUITE);
    strv_add(&argv, "-");
    strv_add(&argv, "-");
    t.argv = (const char *const *)argv.items;
    return tool_run(&t, e);
}

/* Returns new: where the tar of this recipe and these packages is kept. */
static char *cache_path(const char *cache_dir, const struct recipe *r,
                        const struct apt_packages *packages, struct err *e)
{
    own_doc struct doc *how = root_how(r->variant);
    own_free char *text = doc_format(how, false);
    own_str struct str key = {0};
    char hex[DIGEST_HEX_SIZE];

    str_add(&key, text);
    for (size_t i = 0; i < packages->n; i++)
        str_addf(&key, "\n%s %s", packages->items[i].name, packages->items[i].version);
    if (digest_bytes(key.data, key.len, hex, e) < 0)
        return NULL;
    return str_printf("%s/" CACHE_PREFIX "%s-%.*s" CACHE_SUFFIX, cache_dir, r->name, KEY_HEX, hex);
}

/* Removes what is cached of this recipe under other keys, and what a killed build left. */
static int drop_older(const char *cache_dir, const struct recipe *r, const char *path,
                      struct err *e)
{
    own_free char *prefix = str_printf(CACHE_PREFIX "%s-", r->name);
    const char *keep = strrchr(path, '/') + 1;
    own_closedir DIR *dir = opendir(cache_dir);
    struct dirent *d;

    if (!dir)
        return err_sys(e, ERR_HOST, errno, "cannot list '%s'", cache_dir);
    while ((d = readdir(dir))) {
        const char *key = d->d_name + strlen(prefix);

        if (!str_starts_with(d->d_name, prefix) || strcmp(d->d_name, keep) == 0 ||
            strspn(key, "0123456789abcdef") != KEY_HEX ||
            !str_starts_with(key + KEY_HEX, CACHE_SUFFIX))
            continue;
        if (unlinkat(dirfd(dir), d->d_name, 0) < 0)
            return err_sys(e, ERR_HOST, errno, "cannot remove '%s'", d->d_name);
    }
    return 0;
}

static int make_cached(const struct apt *a, const char *cache_dir, const struct recipe *r,
                       const char *path, struct err *e)
{
    own_free char *temp = str_printf("%s.part", path);
    own_close int tar = open(temp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (tar < 0)
        return err_sys(e, ERR_HOST, errno, "cannot make '%s'", temp);
    if (make_tar(a, r, tar, e) < 0) {
        unlink(temp);
        return -1;
    }
    if (fsync(tar) < 0 || rename(temp, path) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot write '%s'", path);
    return drop_older(cache_dir, r, path, e);
}

static int fill_system(const struct apt *a, const char *cache_dir, const struct recipe *r,
                       const struct apt_packages *packages, const struct progress *p,
                       struct rootfs *to, struct err *e)
{
    own_free char *path = cache_path(cache_dir, r, packages, e);
    own_close int tar = -1;

    if (!path)
        return -1;
    if (access(path, R_OK) == 0) {
        progress(p, "root: unchanged since the last build");
    } else {
        progress(p, "root: installing (takes a minute or two)");
        if (make_cached(a, cache_dir, r, path, e) < 0)
            return -1;
    }
    tar = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (tar < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open '%s'", path);
    return rootfs_add_layer(to, tar, "Debian's system", false, e);
}

/* What dpkg would know of the package: as a file of its own, where distroless images have it. */
static int add_status(const char *deb, const struct apt_package *p, struct rootfs *to,
                      struct err *e)
{
    own_free char *path = NULL, *text = NULL;

    if (apt_read_status(p, deb, &path, &text, e) < 0)
        return -1;
    return rootfs_add_file(to, path, 0644, 0, 0, text, strlen(text), e);
}

static int add_unpacked(const struct apt *a, const struct apt_package *p, struct rootfs *to,
                        struct err *e)
{
    own_free char *deb = apt_archive_path(a, p);
    const char *const argv[] = {"dpkg-deb", "--fsys-tarfile", deb, NULL};
    own_close int fd = open(a->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    struct tool t = {
        .argv = argv, .package = "dpkg", .in = SPAWN_NULL, .out = fd, .timeout_s = 300};

    if (fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot make a temporary file in '%s'", a->dir);
    if (tool_run(&t, e) < 0 || add_status(deb, p, to, e) < 0)
        return -1;
    return rootfs_add_layer(to, fd, p->name, false, e);
}

static int fill_unpacked(const struct apt *a, const struct recipe *r,
                         const struct apt_packages *packages, struct rootfs *to, struct err *e)
{
    if (packages->n > 0 && apt_download_set(a, (const char *const *)r->packages.items, e) < 0)
        return -1;
    for (size_t i = 0; i < packages->n; i++)
        if (add_unpacked(a, &packages->items[i], to, e) < 0)
            return err_wrap(e, "package '%s'", packages->items[i].name);
    return 0;
}

int root_fill(const struct apt *a, const char *cache_dir, const struct recipe *r,
              const struct progress *p, struct rootfs *to, struct err *e)
{
    own_apt_packages struct apt_packages packages = {0};

    if (root_resolve(a, r, &packages, e) < 0)
        return -1;
    progress(p, "root: %zu packages", packages.n);
    if (r->variant == RECIPE_MINBASE)
        return fill_system(a, cache_dir, r, &packages, p, to, e);
    return fill_unpacked(a, r, &packages, to, e);
}
