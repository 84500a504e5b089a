/* armor: the AppArmor profile of one exec, compiled on this host. See armor.h. */
#include "run/armor.h"

#include "base/file.h"
#include "base/own.h"
#include "base/spawn.h"
#include "oci/armor.h"
#include "wrap/wrap.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define COMPILE_MS 15000u

/* Returns an fd with the text, at its start, or -1. */
static int text_fd(const char *text, struct err *e)
{
    own_close int fd = memfd_create("lazaret-profile", MFD_CLOEXEC);

    if (fd < 0 || file_write_all(fd, text, strlen(text)) < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return err_sys(e, ERR_HOST, errno, "AppArmor profile");
    return own_steal_fd(fd);
}

int armor_compile(const struct plan *p, unsigned exec, int to_fd, struct err *e)
{
    /* Nothing of this host's own policy: not its files, nor its kernel, nor a cache. Tables as
     * small as can be would take ten times as long to make of many paths. */
    static const char *const argv[] = {WRAP_ARMOR_PARSER,
                                       "--skip-kernel-load",
                                       "--stdout",
                                       "--skip-cache",
                                       "--quiet",
                                       "--Optimize=no-minimize",
                                       "--Optimize=no-expr-simplify",
                                       "--config-file=/dev/null",
                                       "--policy-features=/proc/self/fd/3",
                                       "--kernel-features=/proc/self/fd/3",
                                       NULL};
    static const char *const env[] = {"LC_ALL=C", NULL};
    static const char *const only[] = {WRAP_ARMOR_PARSER,  "/lib",      "/lib64", "/usr/lib",
                                       "/etc/ld.so.cache", "/dev/null", NULL};
    own_free char *text = armor_profile(p, exec);
    own_close int in = -1, features = -1;

    if ((in = text_fd(text, e)) < 0 || (features = text_fd(armor_features, e)) < 0)
        return -1;
    if (spawn_tool(&(struct spawn){.argv = argv,
                                   .env = env,
                                   .cwd = "/",
                                   .stdio = {in, to_fd, SPAWN_NULL},
                                   .fds = &features,
                                   .n_fds = 1,
                                   .only = only,
                                   .die_with_parent = true},
                   "apparmor", COMPILE_MS, NULL, e) < 0)
        return err_wrap(e, "AppArmor profile");
    return 0;
}
