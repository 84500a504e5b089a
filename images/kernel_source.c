/* kernel_source: Debian's kernel source package, unpacked. */
#include "images/kernel_source.h"

#include "base/file.h"
#include "base/own.h"
#include "base/spawn.h"
#include "images/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define PARTIAL ".part"

int kernel_source_version(const struct apt *a, char **ret_version, struct err *e)
{
    own_free char *none = NULL;
    char *version;

    if (apt_show(a, KERNEL_SOURCE_PACKAGE, &version, &none, e) < 0)
        return err_wrap(e, "Debian's package lists have no '" KERNEL_SOURCE_PACKAGE
                           "' (bookworm-security is needed among the host's apt sources)");
    if (!str_is_printable(version, 100) || strchr(version, '/')) {
        free(version);
        return err_set(e, ERR_HOST, "the version of '" KERNEL_SOURCE_PACKAGE "' is no file name");
    }
    *ret_version = version;
    return 0;
}

/* Runs one tool from one temporary file to another (out_fd -1: its output is a folder). */
static int pass(const char *const *argv, const char *package, int in_fd, int out_fd, struct err *e)
{
    struct tool t = {.argv = argv,
                     .package = package,
                     .in = in_fd,
                     .out = out_fd >= 0 ? out_fd : SPAWN_NULL,
                     .timeout_s = 3600};

    if (in_fd >= 0 && lseek(in_fd, 0, SEEK_SET) < 0)
        return err_sys(e, ERR_HOST, errno, "lseek");
    return tool_run(&t, e);
}

static int open_temp(const char *dir, int *ret_fd, struct err *e)
{
    *ret_fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (*ret_fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot make a temporary file in '%s'", dir);
    return 0;
}

/* The package is an archive of an archive. */
static int extract(const char *deb, const char *dir, const char *to, struct err *e)
{
    static const char inside[] = "./usr/src/" KERNEL_SOURCE_PACKAGE ".tar.xz";
    const char *const outer[] = {"dpkg-deb", "--fsys-tarfile", deb, NULL};
    const char *const middle[] = {"tar", "-x", "-f", "-", "--to-stdout", inside, NULL};
    const char *const inner[] = {
        "tar", "-x", "-J", "-f", "-", "--no-same-owner", "--strip-components=1", "-C", to, NULL};
    own_close int package = -1, member = -1;

    if (open_temp(dir, &package, e) < 0 || pass(outer, "dpkg", SPAWN_NULL, package, e) < 0 ||
        open_temp(dir, &member, e) < 0 || pass(middle, "tar", package, member, e) < 0)
        return -1;
    close(own_steal_fd(package)); /* 150 MB that the disk may want */
    return pass(inner, "xz-utils", member, -1, e);
}

/* Returns new. */
static char *package_path(const struct apt *a, const char *version)
{
    struct apt_package p = {str_dup(KERNEL_SOURCE_PACKAGE), str_dup(version), str_dup("all")};
    char *path = apt_archive_path(a, &p);

    free(p.name);
    free(p.version);
    free(p.arch);
    return path;
}

int kernel_source_fetch(const struct apt *a, const char *version, char **ret_deb, struct err *e)
{
    if (apt_download(a, KERNEL_SOURCE_PACKAGE, e) < 0)
        return err_wrap(e, "kernel source");
    *ret_deb = package_path(a, version);
    return 0;
}

int kernel_source_unpack(const char *deb, const char *dir, const char *name, struct err *e)
{
    own_free char *path = str_printf("%s/%s", dir, name);
    own_free char *partial = str_printf("%s" PARTIAL, path);

    if (access(path, F_OK) == 0)
        return 0;
    if (file_remove_tree(AT_FDCWD, partial, e) < 0 || file_make_dirs(partial, 0700, e) < 0 ||
        extract(deb, dir, partial, e) < 0)
        return err_wrap(e, "kernel source");
    if (rename(partial, path) < 0)
        return err_sys(e, ERR_HOST, errno, "kernel source: cannot name '%s'", path);
    return 0;
}
