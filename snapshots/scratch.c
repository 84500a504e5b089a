/* scratch: a run's own writable disk: a sparse raw file with an empty ext4 file system. */
#include "snapshots/scratch.h"

#include "base/file.h"
#include "base/own.h"
#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define SCRATCH_TIMEOUT_MS 60000
#define ROOM_MIN           65536 /* bytes; with less left a failure was for want of room */

static int make_ext4(const char *path, struct err *e)
{
    /*
     * No journal: the disk never outlives its run, so there is nothing to replay. Nothing is left
     * for the guest's kernel to initialise later, and nothing is written that a new sparse file
     * does not need: its blocks read as zeros already. 4 KiB blocks whatever the size.
     */
    static const char *const base[] = {"/sbin/mke2fs",
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
                                       "lazy_itable_init=0,assume_storage_prezeroed=1,nodiscard"};
    const size_t n = sizeof(base) / sizeof(base[0]);
    const char *argv[sizeof(base) / sizeof(base[0]) + 2];
    struct spawn s = {.argv = argv, .stdio = {SPAWN_NULL, SPAWN_NULL, SPAWN_NULL}};

    memcpy(argv, base, sizeof(base));
    argv[n] = path;
    argv[n + 1] = NULL;
    return spawn_tool(&s, "e2fsprogs", SCRATCH_TIMEOUT_MS, NULL, e);
}

int scratch_create(const char *path, uint64_t size_bytes, struct err *e)
{
    own_close int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot make the scratch disk '%s'", path);
    if (ftruncate(fd, (off_t)size_bytes) < 0)
        err_sys(e, ERR_HOST, errno, "cannot make the scratch disk '%s'", path);
    else if (make_ext4(path, e) == 0)
        return 0;
    else if (file_is_full(fd, ROOM_MIN))
        err_set(e, ERR_HOST, "no space for the scratch disk '%s' (make room there)", path);
    else
        err_wrap(e, "scratch disk");
    unlink(path);
    return -1;
}
