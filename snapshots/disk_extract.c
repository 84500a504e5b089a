/* disk_extract: a qcow2 disk, or an internal snapshot of it, as a raw file. See disk_extract.h. */
#include "snapshots/disk_extract.h"

#include "base/file.h"
#include "base/own.h"
#include "base/spawn.h"
#include "base/str.h"
#include "snapshots/qcow2.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define EXTRACT_TIMEOUT_MS (600u * 1000)
#define ROOM_MIN           65536 /* bytes; with less left a failure was for want of room */

/* QEMU's docs/interop/qcow2.txt: version 3, big-endian. */
#define QCOW_MAGIC   0x514649fbu
#define QCOW_VERSION 3u
#define QCOW_INCOMPAT_OK                                                                           \
    0x19ull /* dirty; compression type; extended L2: nothing of other files                        \
             */

struct qcow_header {
    uint32_t magic, version;
    uint64_t backing_offset;
    uint32_t backing_size, cluster_bits;
    uint64_t size;
    uint32_t crypt_method, l1_size;
    uint64_t l1_offset, refcount_offset;
    uint32_t refcount_clusters, n_snapshots;
    uint64_t snapshots_offset;
    uint64_t incompatible;
};

static int check_header(int fd, bool overlay, const char *path, struct err *e)
{
    struct qcow_header h;
    ssize_t n = pread(fd, &h, sizeof(h), 0);

    if (n < 0)
        return err_sys(e, ERR_HOST, errno, "cannot read disk '%s'", path);
    if ((size_t)n != sizeof(h) || be32toh(h.magic) != QCOW_MAGIC ||
        be32toh(h.version) != QCOW_VERSION)
        return err_set(e, ERR_HOST, "disk '%s' is not a qcow2 file of version 3", path);
    if ((h.backing_offset != 0 && !overlay) || h.crypt_method != 0 ||
        (be64toh(h.incompatible) & ~QCOW_INCOMPAT_OK) != 0)
        return err_set(e, ERR_HOST,
                       "disk '%s' names another file, or is damaged (nothing of ours makes such)",
                       path);
    return 0;
}

/* Both files by the fds that we hold: what was checked is what is read. */
static int convert(int disk_fd, int base_fd, const char *snapshot, int raw_fd, struct err *e)
{
    own_free char *disk = qcow2_image("/proc/self/fd/3", base_fd >= 0 ? "/proc/self/fd/5" : NULL);
    own_free char *which = snapshot ? str_printf("snapshot.name=%s", snapshot) : NULL;
    const int fds[] = {disk_fd, raw_fd, base_fd};
    const char *argv[16];
    const struct spawn s = {
        .argv = argv,
        .stdio = {SPAWN_NULL, SPAWN_NULL, SPAWN_NULL},
        .fds = fds,
        .n_fds = base_fd >= 0 ? 3 : 2,
        .die_with_parent = true,
    };
    int n = 0;

    argv[n++] = "qemu-img";
    argv[n++] = "convert";
    if (which) {
        argv[n++] = "-U"; /* what a snapshot holds does not change while it is there */
        argv[n++] = "-l";
        argv[n++] = which;
    }
    argv[n++] = "-O";
    argv[n++] = "raw";
    argv[n++] = disk;
    argv[n++] = "/proc/self/fd/4";
    argv[n] = NULL;
    return spawn_tool(&s, "qemu-utils", EXTRACT_TIMEOUT_MS, NULL, e);
}

int disk_extract(const char *qcow2_path, const char *base, const char *snapshot,
                 const char *raw_path, struct err *e)
{
    own_close int disk = open(qcow2_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), raw = -1;
    own_close int below = base ? open(base, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;

    if (disk < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open disk '%s'", qcow2_path);
    if (base && below < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open disk '%s'", base);
    if (snapshot && !str_is_name(snapshot))
        return err_set(e, ERR_USAGE, "'%s' is not the name of a snapshot", snapshot);
    if (check_header(disk, base, qcow2_path, e) < 0)
        return -1;
    raw = open(raw_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (raw < 0)
        return err_sys(e, ERR_HOST, errno, "cannot make the file '%s'", raw_path);
    if (convert(disk, below, snapshot, raw, e) == 0)
        return 0;
    if (file_is_full(raw, ROOM_MIN))
        err_set(e, ERR_HOST, "no space for the disk's copy '%s' (make room there)", raw_path);
    else
        err_wrap(e, "disk '%s'", qcow2_path);
    unlink(raw_path);
    return -1;
}
