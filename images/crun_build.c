/* crun_build: crun from Debian's source package, linked statically. */
#include "images/crun_build.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/own.h"
#include "images/elf_facts.h"
#include "images/inventory.h"
#include "images/tool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define PREFIX       "crun-"
#define WORK         "crun.work"
#define KEY_HEX      32u /* digits of the digest in a cached folder's name */
#define PROGRAM      "crun"
#define PACKAGES     "packages.json"
#define PROGRAM_MAX  (32u << 20) /* bytes */
#define PACKAGES_MAX (1u << 20)
#define BUILD_S      1800u /* a busy machine */

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* What is in the program by its code comes first; of the last only headers are used. */
#define LINKED 5u
static const char *const packages[] = {
    "crun", "libc6-dev", "libcap-dev", "libseccomp-dev", "libyajl-dev", "linux-libc-dev", NULL};

static const struct tool_file tools[] = {
    {"/usr/bin/gcc", "gcc"},
    {"/usr/bin/ld", "binutils"},
    {"/usr/bin/make", "make"},
    {"/usr/bin/dpkg-source", "dpkg-dev"},
};

/* The caller's CC, CFLAGS and the like count for nothing. */
static const char *const environment[] = {"env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                                          "LC_ALL=C"};
/* As Debian builds it (hardening=+all), but for what a guest has not. YAJL_*: no pkg-config. */
static const char *const configure[] = {
    "./configure",
    "--build=x86_64-linux-gnu",
    "--disable-systemd",
    "--disable-dl",
    "--disable-shared",
    "--disable-dependency-tracking",
    "CFLAGS=-O2 -g0 -fPIE -fstack-protector-strong -fstack-clash-protection -fcf-protection",
    "CPPFLAGS=-D_FORTIFY_SOURCE=2",
    "LDFLAGS=-static-pie -s -Wl,-z,relro,-z,now",
    "LIBS=-lyajl_s -lm",
    "YAJL_CFLAGS=-Wall",
    "YAJL_LIBS=-lyajl_s",
};
/* In this order: its makefile makes what others include by `make all` only, which is much more. */
static const char *const targets[][4] = {
    {"git-version.h"},
    {"-C", "libocispec", "libocispec.la"},
    {"crun"},
};

void crun_built_done(struct crun_built *b)
{
    free(b->data);
    doc_free(b->packages);
    *b = (struct crun_built){0};
}

struct build {
    const struct crun_build *want;
    struct apt_packages found; /* `packages`, by name */
    char *path;                /* of the cached folder */
    char *work, *sysroot, *source;
};

static void build_done(struct build *b)
{
    struct err ignored;

    if (b->work)
        file_remove_tree(AT_FDCWD, b->work, &ignored);
    apt_packages_done(&b->found);
    free(b->path);
    free(b->work);
    free(b->sysroot);
    free(b->source);
}

static int check_tools(struct err *e)
{
    own_free char *missing = tool_find_missing(tools, COUNT(tools));

    if (!missing)
        return 0;
    return err_set(e, ERR_HOST,
                   "more of Debian's packages are needed (as root: 'apt-get install "
                   "--no-install-recommends%s')",
                   missing);
}

static const struct apt_package *find(const struct apt_packages *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->items[i].name, name) == 0)
            return &list->items[i];
    return NULL;
}

static void add_all(struct str *s, const char *const *texts, size_t n)
{
    for (size_t i = 0; i < n && texts[i]; i++)
        str_addf(s, "%s\n", texts[i]);
}

/* Names all that the program depends on. */
static int resolve(struct build *b, struct err *e)
{
    static const char *const gcc[] = {"/usr/bin/gcc", "--version", NULL};
    static const char *const ld[] = {"/usr/bin/ld", "--version", NULL};
    struct tool t = {.argv = gcc, .package = "gcc", .in = SPAWN_NULL, .timeout_s = 60};
    own_free char *compiler = NULL, *linker = NULL;
    own_str struct str key = {0};
    char hex[DIGEST_HEX_SIZE];

    if (apt_resolve(b->want->apt, packages, &b->found, e) < 0 || tool_capture(&t, &compiler, e) < 0)
        return -1;
    t.argv = ld;
    t.package = "binutils";
    if (tool_capture(&t, &linker, e) < 0)
        return -1;
    str_addf(&key, "%s%s", compiler, linker);
    for (size_t i = 0; packages[i]; i++) {
        const struct apt_package *p = find(&b->found, packages[i]);

        if (!p)
            return err_set(e, ERR_HOST, "apt-get named no version of '%s'", packages[i]);
        str_addf(&key, "%s %s\n", p->name, p->version);
    }
    add_all(&key, environment, COUNT(environment));
    add_all(&key, configure, COUNT(configure));
    for (size_t i = 0; i < COUNT(targets); i++)
        add_all(&key, targets[i], COUNT(targets[i]));
    if (digest_bytes(key.data, key.len, hex, e) < 0)
        return -1;
    b->path = str_printf("%s/" PREFIX "%.*s", b->want->cache_dir, KEY_HEX, hex);
    return 0;
}

static int read_built(const char *path, struct crun_built *ret, struct err *e)
{
    own_crun_built struct crun_built b = {0};
    own_elf_facts struct elf_facts facts = {0};
    own_free char *program = str_printf("%s/" PROGRAM, path);
    own_free char *list = str_printf("%s/" PACKAGES, path);
    own_free char *text = NULL;
    size_t len;

    if (file_read(AT_FDCWD, program, PROGRAM_MAX, &b.data, &b.len, e) < 0 ||
        file_read(AT_FDCWD, list, PACKAGES_MAX, &text, &len, e) < 0 ||
        doc_parse(text, len, list, &b.packages, e) < 0 ||
        elf_facts_read(b.data, b.len, &facts, e) < 0)
        return -1;
    if (facts.interp || facts.needed.n > 0)
        return err_set(e, ERR_HOST, "'%s' is not linked statically", program);
    *ret = b;
    b = (struct crun_built){0};
    return 0;
}

/* ---- from source to program ---- */

static int make_folders(struct build *b, struct err *e)
{
    b->work = str_printf("%s/" WORK, b->want->cache_dir);
    b->sysroot = str_printf("%s/sysroot", b->work);
    b->source = str_printf("%s/source", b->work);
    if (file_remove_tree(AT_FDCWD, b->work, e) < 0 || file_make_dirs(b->sysroot, 0755, e) < 0)
        return -1;
    return 0;
}

/* Packages are unpacked, none is installed; what those that are linked are is noted. */
static int unpack_packages(struct build *b, struct inventory *inv, struct err *e)
{
    for (size_t i = 0; packages[i]; i++) {
        const struct apt_package *p = find(&b->found, packages[i]);
        own_free char *deb = apt_archive_path(b->want->apt, p);
        own_free char *status = NULL, *text = NULL;
        const char *const unpack[] = {"dpkg-deb", "-x", deb, b->sysroot, NULL};
        const struct tool t = {.argv = unpack,
                               .package = "dpkg",
                               .in = SPAWN_NULL,
                               .out = SPAWN_NULL,
                               .timeout_s = 300};

        if (apt_download(b->want->apt, p->name, e) < 0 || tool_run(&t, e) < 0)
            return err_wrap(e, "package '%s'", p->name);
        if (i >= LINKED)
            continue;
        if (apt_read_status(p, deb, &status, &text, e) < 0)
            return -1;
        inventory_add(inv, status, text, strlen(text));
    }
    return 0;
}

/* Debian's patches are applied by dpkg-source; apt has checked every file's digest. */
static int unpack_source(struct build *b, struct err *e)
{
    own_free char *dsc = NULL;
    own_closedir DIR *dir = NULL;
    struct dirent *d;

    if (apt_source(b->want->apt, "crun", find(&b->found, "crun")->version, b->work, e) < 0)
        return -1;
    dir = opendir(b->work);
    if (!dir)
        return err_sys(e, ERR_HOST, errno, "cannot list '%s'", b->work);
    while (!dsc && (d = readdir(dir))) {
        size_t len = strlen(d->d_name);

        if (len > 4 && strcmp(d->d_name + len - 4, ".dsc") == 0)
            dsc = str_printf("%s/%s", b->work, d->d_name);
    }
    if (!dsc)
        return err_set(e, ERR_HOST, "apt-get brought no source of crun");
    const char *const argv[] = {"dpkg-source", "--no-check", "-x", dsc, b->source, NULL};
    struct tool t = {
        .argv = argv, .package = "dpkg-dev", .in = SPAWN_NULL, .out = SPAWN_NULL, .timeout_s = 300};

    return tool_run(&t, e);
}

static int run_step(struct build *b, const char *const *words, size_t n, struct err *e)
{
    own_strv struct strv argv = {0};
    struct tool t = {.package = "coreutils",
                     .cwd = b->source,
                     .in = SPAWN_NULL,
                     .out = SPAWN_NULL,
                     .timeout_s = BUILD_S};

    for (size_t i = 0; i < COUNT(environment); i++)
        strv_add(&argv, environment[i]);
    for (size_t i = 0; i < n && words[i]; i++)
        strv_add(&argv, words[i]);
    if (words == configure)
        strv_addf(&argv, "CC=gcc --sysroot=%s", b->sysroot);
    t.argv = (const char *const *)argv.items;
    return tool_run(&t, e);
}

static int compile(struct build *b, struct err *e)
{
    if (run_step(b, configure, COUNT(configure), e) < 0)
        return err_wrap(e, "configure");
    for (size_t i = 0; i < COUNT(targets); i++) {
        const char *words[COUNT(targets[i]) + 3] = {"make", "-s", "-j2"};

        memcpy(words + 3, targets[i], sizeof(targets[i]));
        if (run_step(b, words, COUNT(words), e) < 0)
            return err_wrap(e, "make");
    }
    return 0;
}

/* Both files into a folder that gets its name when they are there. */
static int keep(struct build *b, const struct inventory *inv, struct err *e)
{
    own_free char *program = str_printf("%s/" PROGRAM, b->source);
    own_free char *done = str_printf("%s/done", b->work);
    own_free char *to = str_printf("%s/" PROGRAM, done);
    own_free char *list = str_printf("%s/" PACKAGES, done);
    own_doc struct doc *d = inventory_format(inv);
    own_free char *text = doc_format(d, true);
    own_crun_built struct crun_built checked = {0};

    if (file_make_dirs(done, 0700, e) < 0 ||
        file_write(AT_FDCWD, list, text, strlen(text), 0600, e) < 0)
        return -1;
    if (rename(program, to) < 0)
        return err_sys(e, ERR_HOST, errno, "make left no '%s'", program);
    if (read_built(done, &checked, e) < 0)
        return -1;
    if (rename(done, b->path) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot name '%s'", b->path);
    return 0;
}

static int drop_older(const struct build *b, struct err *e)
{
    own_closedir DIR *dir = opendir(b->want->cache_dir);
    struct dirent *d;

    if (!dir)
        return err_sys(e, ERR_HOST, errno, "cannot list '%s'", b->want->cache_dir);
    while ((d = readdir(dir)))
        if (str_starts_with(d->d_name, PREFIX) &&
            strcmp(d->d_name, strrchr(b->path, '/') + 1) != 0 &&
            file_remove_tree(dirfd(dir), d->d_name, e) < 0)
            return -1;
    return 0;
}

int crun_build(const struct crun_build *w, struct crun_built *ret, struct err *e)
{
    __attribute__((cleanup(build_done))) struct build b = {.want = w};
    own_inventory struct inventory *inv = inventory_new();

    if (check_tools(e) < 0 || resolve(&b, e) < 0)
        return -1;
    if (access(b.path, F_OK) == 0)
        return read_built(b.path, ret, e);
    progress(w->progress, "container runtime: building crun %s", find(&b.found, "crun")->version);
    if (make_folders(&b, e) < 0 || unpack_packages(&b, inv, e) < 0 || unpack_source(&b, e) < 0 ||
        compile(&b, e) < 0 || keep(&b, inv, e) < 0 || drop_older(&b, e) < 0)
        return -1;
    return read_built(b.path, ret, e);
}
