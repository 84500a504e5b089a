/* scratch: a run's own writable disk: a sparse raw file with an empty ext4 file system. */
#include "snapshots/scratch.h"

#include "base/file.h"
#include "base/own.h"
#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define SCRATCH_TIMEOUT_MS 60000

/* An empty file system in a file that is in memory. */
static int make_ext4(int fd, struct err *e)
{
    /*
     * No journal: the disk never outlives its run, so there is nothing to replay. Nothing is left
     * for the guest's kernel to initialise later, and nothing is written that a new sparse file
     * does not need: its blocks read as zeros already. 4 KiB blocks whatever the size.
     */
    static const char *const argv[] = {"/sbin/mke2fs",
                                       "-q",
                                       "-F",
                                       "-t",
                                       "ext4",
                                       "-b",
                                       "4096",
                                       "-m",
                                       "0",
                                       "-O",
                                       "^has_journal",
                                       "-E",
                                       "lazy_itable_init=0,assume_storage_prezeroed=1,nodiscard",
                                       "/proc/self/fd/3",
                                       NULL};
    const struct spawn s = {
        .argv = argv, .stdio = {SPAWN_NULL, SPAWN_NULL, SPAWN_NULL}, .fds = &fd, .n_fds = 1};

    return spawn_tool(&s, "e2fsprogs", SCRATCH_TIMEOUT_MS, NULL, e);
}

/* The tool waits for the disk, three times; nobody has to. What it has written is little. */
static int fill(int fd, const char *path, uint64_t size_bytes, struct err *e)
{
    own_close int memory = memfd_create("lazaret-scratch", MFD_CLOEXEC);

    if (memory < 0 || ftruncate(memory, (off_t)size_bytes) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot make the scratch disk '%s'", path);
    if (make_ext4(memory, e) < 0)
        return err_wrap(e, "scratch disk");
    if (file_copy_sparse(memory, fd) == 0)
        return 0;
    if (errno == ENOSPC)
        return err_set(e, ERR_HOST, "no space for the scratch disk '%s' (make room there)", path);
    return err_sys(e, ERR_HOST, errno, "cannot write the scratch disk '%s'", path);
}

int scratch_create(const char *path, uint64_t size_bytes, struct err *e)
{
    own_close int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot make the scratch disk '%s'", path);
    if (fill(fd, path, size_bytes, e) == 0)
        return 0;
    unlink(path);
    return -1;
}
