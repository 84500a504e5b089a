/* wrap_files: the files that QEMU may have: a row each, and why. */
#include "base/landlock.h"
#include "base/own.h"
#include "wrap/wrap.h"
#include "wrap/wrap_private.h"

#include <errno.h>
#include <fcntl.h>

#define READ    LANDLOCK_ACCESS_FS_READ_FILE
#define LIST    LANDLOCK_ACCESS_FS_READ_DIR
#define WRITE   LANDLOCK_ACCESS_FS_WRITE_FILE
#define EXECUTE LANDLOCK_ACCESS_FS_EXECUTE

struct row {
    const char *path;
    uint64_t rights;
    const char *why; /* for the reader */
};

static const struct row rows[] = {
    {WRAP_QEMU, READ | EXECUTE, "the one program"},
    {"/lib64/ld-linux-x86-64.so.2", READ | EXECUTE, "its interpreter, which the kernel executes"},
    {"/lib", READ | LIST, "libraries, and QEMU's modules"},
    {"/lib64", READ | LIST, "the same"},
    {"/usr/lib", READ | LIST, "the same"},
    {"/etc/ld.so.cache", READ, "where the libraries are"},
    {"/usr/share/qemu", READ | LIST, "firmware"},
    {"/usr/share/seabios", READ | LIST, "the same: links of the former lead here"},
    {"/etc/localtime", READ, "the guest's clock is set to UTC by it"},
    {"/sys/devices/system", READ | LIST, "how many processors and nodes there are"},
    {"/dev/null", READ | WRITE, "a process without a terminal"},
    {"/dev/urandom", READ, "the guest's virtio-rng"},
    {"/dev/kvm", READ | WRITE | LANDLOCK_IOCTL_DEV, "the accelerator, where it is in the cage"},
    {CAGE_VM, READ | LIST, "kernel, root, input, saved memory, the preloaded library"},
    {CAGE_VM "/" CAGE_SCRATCH, READ | WRITE | LANDLOCK_TRUNCATE, "the scratch disk"},
    {CAGE_VM "/" CAGE_DISK, READ | WRITE | LANDLOCK_TRUNCATE, "the same, of a sandbox"},
    {CAGE_VM "/" CAGE_BLANK, READ | WRITE, "the same, of a guest that is saved"},
    {CAGE_TEMPLATE "/" CAGE_RAM, READ | WRITE, "the memory of one"},
    {CAGE_ROOT "/lib/qemu", READ, "the key that libvirt makes for each guest"},
};

/* No guest runs in this one. */
static const struct row asked_rows[] = {
    {CAGE_ROOT "/lib/qemu",
     READ | WRITE | LANDLOCK_TRUNCATE | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_REG |
         LANDLOCK_ACCESS_FS_REMOVE_FILE,
     "its monitor's socket and its pid, in a folder that libvirt makes"},
};

static int allow(int ruleset, const struct row *rows_of, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        own_close int fd = open(rows_of[i].path, O_PATH | O_CLOEXEC);

        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
            continue; /* not of this guest, or not on this host */
        if (fd < 0)
            return err_sys(e, ERR_HOST, errno, "'%s'", rows_of[i].path);
        if (landlock_allow(ruleset, fd, rows_of[i].rights, e) < 0)
            return err_wrap(e, "'%s'", rows_of[i].path);
    }
    return 0;
}

int wrap_files(enum wrap_kind kind, struct err *e)
{
    own_close int fd = -1;

    if (landlock_begin(&fd, e) < 0)
        return -1;
    if (fd < 0)
        return 0;
    if (allow(fd, rows, sizeof(rows) / sizeof(rows[0]), e) < 0)
        return -1;
    if (kind == WRAP_ASKED && allow(fd, asked_rows, 1, e) < 0)
        return -1;
    return landlock_restrict(fd, e);
}
