/* apt: a private apt state in the cache folder. */
#include "images/apt.h"

#include "base/file.h"
#include "base/own.h"
#include "base/spawn.h"
#include "images/progress.h"
#include "images/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define SOURCE_LIST  "sources-src.list"
#define SOURCE_LISTS "lists-src"

#define DEFAULT_SOURCES                                                                            \
    "http://deb.debian.org/debian|" APT_SUITE "|main\n"                                            \
    "http://deb.debian.org/debian|" APT_SUITE "-updates|main\n"                                    \
    "http://deb.debian.org/debian-security|" APT_SUITE "-security|main\n"

void apt_done(struct apt *a)
{
    free(a->dir);
    free(a->conf);
    free(a->sources);
    free(a->archives);
    *a = (struct apt){0};
}

void apt_packages_done(struct apt_packages *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->items[i].name);
        free(p->items[i].version);
        free(p->items[i].arch);
    }
    free(p->items);
    *p = (struct apt_packages){0};
}

static bool is_suite(const char *release)
{
    return strcmp(release, APT_SUITE) == 0 || strcmp(release, APT_SUITE "-updates") == 0 ||
           strcmp(release, APT_SUITE "-security") == 0;
}

/* Debian's own archives and their mirrors end in debian or debian-security (or, for a mirror list,
 * debian.list); another vendor's source would fail the check against Debian's keyring. */
static bool is_debian(char *uri)
{
    const char *last;

    for (size_t len = strlen(uri); len > 0 && uri[len - 1] == '/'; len--)
        uri[len - 1] = '\0';
    last = strrchr(uri, '/');
    return last && str_starts_with(last, "/debian");
}

/* `targets` has a line "URI|RELEASE|COMPONENT" for each source of the host. */
static void add_sources(struct str *sources, char *targets)
{
    char *rest = NULL;

    for (char *line = strtok_r(targets, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *part = NULL;
        char *uri = strtok_r(line, "|", &part);
        char *release = strtok_r(NULL, "|", &part);
        char *component = strtok_r(NULL, "|", &part);
        own_free char *source = NULL;

        if (!uri || !release || !component || strcmp(component, "main") != 0 ||
            !is_suite(release) || !is_debian(uri))
            continue;
        source = str_printf("deb [signed-by=%s] %s %s main\n", APT_KEYRING, uri, release);
        if (!sources->data || !strstr(sources->data, source))
            str_add(sources, source);
    }
}

static int write_sources(const struct apt *a, struct err *e)
{
    const char *const argv[] = {"apt-get",
                                "indextargets",
                                "--no-release-info",
                                "--format",
                                "$(REPO_URI)|$(RELEASE)|$(COMPONENT)",
                                "Created-By: Packages",
                                NULL};
    struct tool t = {.argv = argv, .package = "apt", .in = SPAWN_NULL, .timeout_s = 60};
    own_free char *defaults = str_dup(DEFAULT_SOURCES);
    own_free char *targets = NULL;
    own_str struct str sources = {0};

    if (tool_capture(&t, &targets, e) < 0)
        return -1;
    add_sources(&sources, targets);
    if (sources.len == 0)
        add_sources(&sources, defaults);
    return file_write(AT_FDCWD, a->sources, sources.data, sources.len, 0644, e);
}

static int write_conf(const struct apt *a, struct err *e)
{
    own_str struct str conf = {0};

    str_addf(&conf, "Dir::State \"%s\";\n", a->dir);
    str_addf(&conf, "Dir::State::lists \"%s/lists\";\n", a->dir);
    str_addf(&conf, "Dir::State::status \"%s/status\";\n", a->dir);
    str_addf(&conf, "Dir::State::extended_states \"%s/extended_states\";\n", a->dir);
    str_addf(&conf, "Dir::Cache \"%s\";\n", a->dir);
    str_addf(&conf, "Dir::Cache::archives \"%s\";\n", a->archives);
    str_add(&conf, "Dir::Cache::pkgcache \"pkgcache.bin\";\nDir::Cache::srcpkgcache \"\";\n");
    str_addf(&conf, "Dir::Etc::sourcelist \"%s\";\n", a->sources);
    str_add(&conf, "Dir::Etc::sourceparts \"/dev/null\";\nDir::Etc::preferences \"/dev/null\";\n"
                   "Dir::Etc::preferencesparts \"/dev/null\";\nAcquire::Languages \"none\";\n"
                   "APT::Architecture \"amd64\";\nAPT::Architectures { \"amd64\"; };\n"
                   "APT::Keep-Downloaded-Packages \"true\";\nAPT::Install-Recommends \"false\";\n");
    /* The host's hooks are about the host's own state. */
    str_add(&conf, "#clear APT::Update::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n"
                   "#clear APT::Update::Post-Invoke-Success;\n#clear DPkg::Pre-Invoke;\n"
                   "#clear DPkg::Post-Invoke;\n#clear DPkg::Pre-Install-Pkgs;\n");
    return file_write(AT_FDCWD, a->conf, conf.data, conf.len, 0644, e);
}

int apt_open(const char *cache_dir, struct apt *ret, struct err *e)
{
    own_apt struct apt a = {.dir = str_printf("%s/apt", cache_dir)};
    own_free char *lists = str_printf("%s/lists/partial", a.dir);
    own_free char *partial = str_printf("%s/archives/partial", a.dir);
    own_free char *status = str_printf("%s/status", a.dir);

    /* Quotes and the like have a meaning in apt's configuration and sources.list. */
    if (!str_is_printable(cache_dir, 4096) || strpbrk(cache_dir, "\" ;{}[]\\"))
        return err_set(e, ERR_HOST, "the cache folder '%s' has characters that apt cannot take",
                       cache_dir);
    a.conf = str_printf("%s/apt.conf", a.dir);
    a.sources = str_printf("%s/sources.list", a.dir);
    a.archives = str_printf("%s/archives", a.dir);
    if (access(APT_KEYRING, R_OK) < 0)
        return err_sys(e, ERR_HOST, errno,
                       "cannot read '%s' (install Debian's package 'debian-archive-keyring')",
                       APT_KEYRING);
    if (file_make_dirs(lists, 0755, e) < 0 || file_make_dirs(partial, 0755, e) < 0 ||
        file_write(AT_FDCWD, status, "", 0, 0644, e) < 0 || write_sources(&a, e) < 0 ||
        write_conf(&a, e) < 0)
        return -1;
    *ret = a;
    a = (struct apt){0};
    return 0;
}

static bool has_lists(const struct apt *a)
{
    const char *const argv[] = {"apt-cache", "-c", a->conf, "show", "libc6", NULL};
    struct tool t = {.argv = argv, .package = "apt", .in = SPAWN_NULL, .timeout_s = 60};
    own_free char *out = NULL;
    struct err ignored;

    return tool_capture(&t, &out, &ignored) == 0;
}

int apt_update(const struct apt *a, const struct progress *progress_to, struct err *e)
{
    const char *const argv[] = {
        "apt-get", "-c", a->conf, "-qq", "-o", "APT::Update::Error-Mode=any", "update", NULL};
    struct tool t = {
        .argv = argv, .package = "apt", .in = SPAWN_NULL, .out = SPAWN_NULL, .timeout_s = 600};

    progress(progress_to, "package lists: refreshing");
    if (tool_run(&t, e) < 0) {
        if (!has_lists(a))
            return err_wrap(e, "cannot fetch Debian's package lists");
        progress(progress_to, "package lists: cannot be refreshed, those of the last build serve");
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct apt_package *x = a, *y = b;

    return strcmp(x->name, y->name);
}

/* Reads "Inst NAME (VERSION ORIGIN [ARCH]) ...". */
static bool parse_inst(char *line, struct apt_package *ret)
{
    char *rest = NULL;
    char *word = strtok_r(line, " ", &rest);
    char *name = strtok_r(NULL, " ", &rest);
    char *version = strtok_r(NULL, " ", &rest);
    char *open, *close;

    if (!word || strcmp(word, "Inst") != 0 || !name || !version || version[0] != '(' || !rest)
        return false;
    close = strchr(rest, ')');
    if (!close)
        return false;
    *close = '\0';
    open = strrchr(rest, '[');
    close = open ? strchr(open, ']') : NULL;
    if (!close)
        return false;
    *close = '\0';
    *ret = (struct apt_package){str_dup(name), str_dup(version + 1), str_dup(open + 1)};
    return true;
}

static void add_package(struct apt_packages *list, struct apt_package p)
{
    struct apt_package *items = reallocarray(list->items, list->n + 1, sizeof(*items));

    if (!items)
        abort(); /* as in base/str: the host itself is out of memory */
    items[list->n++] = p;
    list->items = items;
}

/* apt-get install with `first` (an option) and the patterns; the result is for the caller. */
static int install(const struct apt *a, const char *first, const char *const *patterns,
                   char **ret_out, struct err *e)
{
    own_strv struct strv argv = {0};
    struct tool t = {.package = "apt", .in = SPAWN_NULL, .out = SPAWN_NULL, .timeout_s = 1800};

    strv_add(&argv, "apt-get");
    strv_add(&argv, "-c");
    strv_add(&argv, a->conf);
    strv_add(&argv, "-y");
    strv_add(&argv, first);
    strv_add(&argv, "install");
    for (; *patterns; patterns++)
        strv_add(&argv, *patterns);
    t.argv = (const char *const *)argv.items;
    return tool_capture(&t, ret_out, e);
}

int apt_resolve(const struct apt *a, const char *const *patterns, struct apt_packages *ret,
                struct err *e)
{
    own_apt_packages struct apt_packages found = {0};
    own_free char *out = NULL;
    char *rest = NULL;

    if (install(a, "--simulate", patterns, &out, e) < 0)
        return -1;
    for (char *line = strtok_r(out, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        struct apt_package p;

        if (parse_inst(line, &p))
            add_package(&found, p);
    }
    if (found.n == 0)
        return err_set(e, ERR_HOST, "apt-get named no package for '%s'", patterns[0]);
    qsort(found.items, found.n, sizeof(*found.items), by_name);
    *ret = found;
    found = (struct apt_packages){0};
    return 0;
}

/* Returns new: the value of a field in a control paragraph up to ',', ' ' or the line's end. */
static char *field(const char *text, const char *name)
{
    own_free char *key = str_printf("\n%s: ", name);
    const char *at = strstr(text, key);

    if (!at)
        return NULL;
    at += strlen(key);
    return str_printf("%.*s", (int)strcspn(at, ", \n"), at);
}

int apt_show(const struct apt *a, const char *name, char **ret_version, char **ret_depends,
             struct err *e)
{
    const char *const argv[] = {"apt-cache",         "-c", a->conf, "show",
                                "--no-all-versions", name, NULL};
    struct tool t = {.argv = argv, .package = "apt", .in = SPAWN_NULL, .timeout_s = 60};
    own_free char *out = NULL;
    char *version;

    if (tool_capture(&t, &out, e) < 0)
        return -1;
    version = field(out, "Version");
    if (!version)
        return err_set(e, ERR_HOST, "apt-cache says no version of '%s'", name);
    *ret_version = version;
    *ret_depends = field(out, "Depends");
    return 0;
}

int apt_download_set(const struct apt *a, const char *const *patterns, struct err *e)
{
    own_free char *out = NULL;

    return install(a, "--download-only", patterns, &out, e);
}

int apt_download(const struct apt *a, const char *name, struct err *e)
{
    const char *const argv[] = {"apt-get", "-c", a->conf, "-qq", "download", name, NULL};
    struct tool t = {.argv = argv,
                     .package = "apt",
                     .cwd = a->archives,
                     .in = SPAWN_NULL,
                     .out = SPAWN_NULL,
                     .timeout_s = 1800};

    return tool_run(&t, e);
}

/* The lists of sources are ten times those of this machine's packages: apart, and rarely fetched.
 */
static int write_source_list(const struct apt *a, const char *path, struct err *e)
{
    own_free char *text = NULL;
    own_str struct str sources = {0};
    char *rest = NULL;
    size_t len;

    if (file_read(AT_FDCWD, a->sources, 65536, &text, &len, e) < 0)
        return -1;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        str_addf(&sources, "deb-src%s\n", line + strlen("deb"));
    return file_write(AT_FDCWD, path, sources.data, sources.len, 0644, e);
}

/* apt-get with those lists; `words` ends with NULL. */
static int run_on_sources(const struct apt *a, const char *cwd, const char *const *words,
                          struct err *e)
{
    own_strv struct strv argv = {0};
    struct tool t = {
        .package = "apt", .cwd = cwd, .in = SPAWN_NULL, .out = SPAWN_NULL, .timeout_s = 1800};

    strv_add(&argv, "apt-get");
    strv_add(&argv, "-c");
    strv_add(&argv, a->conf);
    strv_add(&argv, "-qq");
    strv_add(&argv, "-o");
    strv_addf(&argv, "Dir::Etc::sourcelist=%s/" SOURCE_LIST, a->dir);
    strv_add(&argv, "-o");
    strv_addf(&argv, "Dir::State::lists=%s/" SOURCE_LISTS, a->dir);
    for (; *words; words++)
        strv_add(&argv, *words);
    t.argv = (const char *const *)argv.items;
    return tool_run(&t, e);
}

int apt_source(const struct apt *a, const char *name, const char *version, const char *to,
               struct err *e)
{
    own_free char *list = str_printf("%s/" SOURCE_LIST, a->dir);
    own_free char *lists = str_printf("%s/" SOURCE_LISTS "/partial", a->dir);
    own_free char *what = str_printf("%s=%s", name, version);
    const char *const update[] = {"-o", "APT::Update::Error-Mode=any", "update", NULL};
    const char *const source[] = {"--download-only", "source", what, NULL};

    if (file_make_dirs(lists, 0755, e) < 0 || write_source_list(a, list, e) < 0 ||
        run_on_sources(a, to, update, e) < 0 || run_on_sources(a, to, source, e) < 0)
        return err_wrap(e, "source of '%s'", name);
    return 0;
}

char *apt_archive_path(const struct apt *a, const struct apt_package *p)
{
    own_str struct str version = {0};

    /* As apt names its archives: the epoch's colon is quoted. */
    for (const char *c = p->version; *c; c++)
        str_add_bytes(&version, *c == ':' ? "%3a" : c, *c == ':' ? 3 : 1);
    return str_printf("%s/%s_%s_%s.deb", a->archives, p->name, version.data, p->arch);
}

int apt_read_status(const struct apt_package *p, const char *deb, char **ret_path, char **ret_text,
                    struct err *e)
{
    const char *const argv[] = {"dpkg-deb", "--field", deb, NULL};
    const struct tool t = {.argv = argv, .package = "dpkg", .in = SPAWN_NULL, .timeout_s = 60};

    if (tool_capture(&t, ret_text, e) < 0)
        return -1;
    *ret_path = str_printf("var/lib/dpkg/status.d/%s", p->name);
    return 0;
}

int apt_clean(const struct apt *a, struct err *e)
{
    const char *const argv[] = {"apt-get", "-c", a->conf, "-qq", "autoclean", NULL};
    struct tool t = {
        .argv = argv, .package = "apt", .in = SPAWN_NULL, .out = SPAWN_NULL, .timeout_s = 120};

    return tool_run(&t, e);
}
