/* amnesia: what an amnesic guest may change or say is in memory only. See amnesia.h. */
#include "run/amnesia.h"

#include "base/file.h"
#include "base/own.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SWAPS_MAX 65536 /* bytes; the kernel takes at most 32 of them */
#define FLAGS     (MS_NOSUID | MS_NODEV | MS_NOEXEC)

/* ---- may it be promised? --------------------------------------------------------------------- */

/* A compressed part of memory that has no disk to write to? */
static bool is_memory(const char *swap, const char *block_dir)
{
    static const char zram[] = "/dev/zram";
    own_free char *path = NULL;
    own_free char *folder = NULL;
    own_close int fd = -1;
    char disk[16] = "";

    if (!str_starts_with(swap, zram) || strchr(swap + strlen(zram), '/'))
        return false;
    folder = str_printf("%s/%s", block_dir, strrchr(swap, '/') + 1);
    path = str_printf("%s/backing_dev", folder);
    if (access(folder, F_OK) < 0)
        return false;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT; /* a kernel whose zram never writes to a disk */
    return read(fd, disk, sizeof(disk) - 1) > 0 && strcmp(disk, "none\n") == 0;
}

int amnesia_check_swaps(int swaps_fd, const char *block_dir, struct err *e)
{
    char text[SWAPS_MAX];
    char *line, *rest = text;
    ssize_t len = file_read_up_to(swaps_fd, text, sizeof(text) - 1);

    if (len < 0)
        return err_sys(e, ERR_HOST, errno, "cannot read what swap there is");
    text[len] = '\0';
    if (!str_starts_with(text, "Filename"))
        return err_set(e, ERR_REFUSED, "--amnesic: cannot tell what swap there is");
    strsep(&rest, "\n");
    while ((line = strsep(&rest, "\n"))) {
        char name[128];

        line[strcspn(line, " \t")] = '\0';
        if (!*line || is_memory(line, block_dir))
            continue;
        str_escape(name, sizeof(name), line, strlen(line));
        return err_set(e, ERR_REFUSED,
                       "--amnesic: memory could be written to the swap '%s', encrypted or not "
                       "(switch it off: 'swapoff %s'; zram without a backing device may stay)",
                       name, name);
    }
    return 0;
}

int amnesia_check(struct err *e)
{
    own_close int fd = open("/proc/swaps", O_RDONLY | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT)
        return 0; /* a kernel without swap */
    if (fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open /proc/swaps");
    return amnesia_check_swaps(fd, "/sys/block", e);
}

/* A program takes cores whatever the limit is, but for 1 byte (core(5), the kernel's coredump.c);
 * a file of 1 byte is none. */
int amnesia_no_cores(struct err *e)
{
    struct rlimit r;
    own_close int fd = -1;
    char first = '\0';

    if (getrlimit(RLIMIT_CORE, &r) < 0)
        return err_sys(e, ERR_HOST, errno, "getrlimit");
    if (r.rlim_max > 0 || geteuid() == 0) {
        r.rlim_cur = r.rlim_max = 1;
        return setrlimit(RLIMIT_CORE, &r) < 0 ? err_sys(e, ERR_HOST, errno, "setrlimit") : 0;
    }
    fd = open("/proc/sys/kernel/core_pattern", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, &first, 1) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot read where core dumps go");
    if (first == '|' || first == '@') /* a program, or its socket */
        return err_set(e, ERR_REFUSED,
                       "--amnesic: a program takes this host's core dumps, and with the hard limit "
                       "of 0 that is set here those of QEMU too (set 'ulimit -c 1' instead)");
    return 0;
}

/* ---- where it is ----------------------------------------------------------------------------- */

/* Another user namespace than the host's may not say noswap, and older kernels do not know it. */
static int mount_memory(const char *path, unsigned long flags, uint64_t size_bytes)
{
    own_free char *size = size_bytes ? str_printf(",size=%" PRIu64, size_bytes) : str_dup("");
    own_free char *plain = str_printf("mode=700%s", size);
    own_free char *best = str_printf("%s,noswap", plain);

    if (mount("tmpfs", path, "tmpfs", FLAGS | flags, best) == 0)
        return 0;
    return mount("tmpfs", path, "tmpfs", FLAGS | flags, plain);
}

int amnesia_mount(const char *path, uint64_t size_bytes, struct err *e)
{
    if (mkdir(path, 0700) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot make '%s'", path);
    if (mount_memory(path, 0, size_bytes) == 0)
        return 0;
    err_sys(e, ERR_HOST, errno, "cannot make a place in memory");
    rmdir(path);
    return -1;
}

int amnesia_bound(const char *path, uint64_t size_bytes, struct err *e)
{
    if (mount_memory(path, MS_REMOUNT, size_bytes) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot bound what is in memory");
    return 0;
}

int amnesia_hand_out(const char *path, int *ret_fd, struct err *e)
{
    *ret_fd = (int)syscall(SYS_open_tree, AT_FDCWD, path,
                           OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
    return *ret_fd < 0 ? err_sys(e, ERR_HOST, errno, "cannot hand out '%s'", path) : 0;
}

int amnesia_attach(int mount_fd, const char *path, struct err *e)
{
    if (mkdir(path, 0700) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot make '%s'", path);
    if (syscall(SYS_move_mount, mount_fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot attach what forks share");
    return 0;
}
