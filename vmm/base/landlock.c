/* landlock: takes from this process every file that it is not told. See landlock.h. */
#include "base/landlock.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILE_RIGHTS                                                                                \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |   \
     LANDLOCK_TRUNCATE | LANDLOCK_IOCTL_DEV)

/* struct landlock_ruleset_attr of ABI 6: Debian 12's header ends at ABI 2. */
struct attr {
    uint64_t fs, net, scoped;
};

long landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    return abi < 0 ? 0 : abi;
}

/* Every right that a Landlock of this ABI can handle. */
static struct attr all_of(long abi)
{
    static const uint64_t fs_bits[] = {0, 13, 14, 15, 15, 16};
    struct attr a = {.fs = (1ull << fs_bits[abi < 5 ? abi : 5]) - 1};

    if (abi >= 4)
        a.net = 3; /* bind, connect: TCP */
    if (abi >= 6)
        a.scoped = 3; /* abstract unix sockets, signals */
    return a;
}

static int begin(bool network, int *ret_fd, struct err *e)
{
    long abi = landlock_abi();
    struct attr a = all_of(abi);
    int fd = -1;

    if (network)
        a.net = 0;
    if (abi > 0) {
        size_t size = abi >= 6   ? sizeof(a)
                      : abi >= 4 ? offsetof(struct attr, scoped)
                                 : offsetof(struct attr, net);

        fd = (int)syscall(SYS_landlock_create_ruleset, &a, size, 0);
        if (fd < 0)
            return err_sys(e, ERR_HOST, errno, "landlock_create_ruleset");
    }
    *ret_fd = fd;
    return 0;
}

int landlock_begin(int *ret_fd, struct err *e)
{
    return begin(false, ret_fd, e);
}

int landlock_begin_files(int *ret_fd, struct err *e)
{
    return begin(true, ret_fd, e);
}

int landlock_allow(int ruleset_fd, int path_fd, uint64_t rights, struct err *e)
{
    const long abi = landlock_abi();
    struct landlock_path_beneath_attr below = {
        .allowed_access = rights & all_of(abi).fs,
        .parent_fd = path_fd,
    };
    struct stat st;

    if (abi == 0) /* there is a ruleset */
        return err_sys(e, ERR_HOST, errno, "landlock_create_ruleset");
    if (fstat(path_fd, &st) < 0)
        return err_sys(e, ERR_HOST, errno, "fstat");
    if (!S_ISDIR(st.st_mode))
        below.allowed_access &= FILE_RIGHTS;
    if (below.allowed_access == 0)
        return 0;
    if (syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &below, 0) < 0)
        return err_sys(e, ERR_HOST, errno, "landlock_add_rule");
    return 0;
}

int landlock_restrict(int ruleset_fd, struct err *e)
{
    if (syscall(SYS_landlock_restrict_self, ruleset_fd, 0) < 0)
        return err_sys(e, ERR_HOST, errno, "landlock_restrict_self");
    return 0;
}
