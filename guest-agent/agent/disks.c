/* disks: finds the guest's disks by serial and mounts what a container is made of. */
#include "agent/disks.h"

#include "agent/verity.h"
#include "shared/guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define DISKS_TIMEOUT_MS 10000
#define DISKS_DEVICES    "/sys/bus/virtio/devices"
#define DISKS_DRIVER     "/sys/bus/virtio/drivers/virtio_blk"
#define SERIAL_SIZE      20 /* virtio-blk: at most 20 bytes, without a NUL then */

static size_t read_file(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

    if (fd >= 0)
        close(fd);
    buf[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

/* "/dev/vdX" of the disk with this serial. */
static bool find_disk(const char *serial, char *ret_dev, size_t size)
{
    DIR *d = opendir("/sys/block");
    bool found = false;

    for (struct dirent *en; d && !found && (en = readdir(d));) {
        char path[300], text[SERIAL_SIZE + 2];

        (void)snprintf(path, sizeof(path), "/sys/block/%s/serial", en->d_name);
        read_file(path, text, sizeof(text));
        text[strcspn(text, "\n")] = '\0';
        found = strcmp(text, serial) == 0;
        if (found)
            (void)snprintf(ret_dev, size, "/dev/%s", en->d_name);
    }
    if (d)
        closedir(d);
    return found && access(ret_dev, F_OK) == 0;
}

static int wait_disk(const char *serial, char *ret_dev, size_t size, struct boot_fault *f)
{
    uint64_t deadline = boot_now_ms() + DISKS_TIMEOUT_MS;

    while (!find_disk(serial, ret_dev, size)) {
        if (boot_now_ms() >= deadline) {
            errno = ENODEV;
            return boot_fail(f, "disk '%s'", serial);
        }
        boot_nap();
    }
    return 0;
}

static int mount_dev(const char *dev, const char *serial, const char *dir, const char *type,
                     unsigned long flags, struct boot_fault *f)
{
    if ((mkdir(dir, 0755) < 0 && errno != EEXIST) || mount(dev, dir, type, flags, NULL) < 0)
        return boot_fail(f, "mount disk '%s' (%s)", serial, type);
    return 0;
}

static int mount_disk(const char *serial, const char *dir, const char *type, unsigned long flags,
                      struct boot_fault *f)
{
    char dev[300];

    if (wait_disk(serial, dev, sizeof(dev), f) < 0)
        return -1;
    return mount_dev(dev, serial, dir, type, flags, f);
}

static int make_dir(const char *path, uid_t uid, gid_t gid, struct boot_fault *f)
{
    if ((mkdir(path, 0755) < 0 && errno != EEXIST) || chown(path, uid, gid) < 0 ||
        chmod(path, 0755) < 0)
        return boot_fail(f, "folder '%s'", path);
    return 0;
}

/* The root of the container: the image, with a writable layer that the scratch disk bounds. */
static int mount_rootfs(struct boot_fault *f)
{
    /* The top folder is the container's root's: crun makes mount points in it with those rights. */
    if (make_dir(GUEST_SCRATCH "/upper", GUEST_ID_BASE, GUEST_ID_BASE, f) < 0 ||
        make_dir(GUEST_SCRATCH "/ovl", 0, 0, f) < 0 || make_dir(GUEST_ROOTFS, 0, 0, f) < 0)
        return -1;
    if (mount("overlay", GUEST_ROOTFS, "overlay", MS_NODEV | MS_NOSUID,
              "lowerdir=" GUEST_IMAGE ",upperdir=" GUEST_SCRATCH "/upper,workdir=" GUEST_SCRATCH
              "/ovl") < 0)
        return boot_fail(f, "mount the container's root");
    return 0;
}

static int put_job_init(struct boot_fault *f)
{
    const char *path = GUEST_ROOTFS GUEST_JOB_INIT;
    char dir[] = GUEST_ROOTFS GUEST_JOB_INIT;
    const unsigned long ro = MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV;
    int fd;

    *strrchr(dir, '/') = '\0';
    if (make_dir(dir, 0, 0, f) < 0)
        return -1;
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0555);
    if (fd < 0 || close(fd) < 0 || mount("/init", path, NULL, MS_BIND, NULL) < 0 ||
        mount(NULL, path, NULL, ro, NULL) < 0)
        return boot_fail(f, "put the container's first process in place");
    return 0;
}

int disks_mount_image(struct boot_fault *f)
{
    char disk[300], dev[32];

    if (wait_disk(GUEST_DISK_ROOT, disk, sizeof(disk), f) < 0 ||
        verity_open(disk, dev, sizeof(dev), f) < 0)
        return -1;
    return mount_dev(dev, GUEST_DISK_ROOT, GUEST_IMAGE, "squashfs",
                     MS_RDONLY | MS_NOSUID | MS_NODEV, f);
}

bool disks_are_taken(void)
{
    return access(GUEST_ROOTFS GUEST_JOB_INIT, F_OK) == 0;
}

static int write_driver(const char *verb, const char *device, struct boot_fault *f)
{
    char path[64];
    int fd;
    ssize_t n;

    (void)snprintf(path, sizeof(path), DISKS_DRIVER "/%s", verb);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : write(fd, device, strlen(device));
    if (n < 0)
        (void)boot_fail(f, "%s disk '%s'", verb, device);
    if (fd >= 0)
        close(fd);
    return n < 0 ? -1 : 0;
}

/* Takes the disk from its driver, which forgets size and contents. */
static int let_go(const char *serial, struct boot_fault *f)
{
    char dev[300], path[320], device[300];
    const char *name;
    ssize_t n;

    if (wait_disk(serial, dev, sizeof(dev), f) < 0)
        return -1;
    (void)snprintf(path, sizeof(path), "/sys/block/%s/device", strrchr(dev, '/') + 1);
    n = readlink(path, device, sizeof(device) - 1); /* "../../../virtio2" */
    if (n < 0)
        return boot_fail(f, "disk '%s'", serial);
    device[n] = '\0';
    name = strrchr(device, '/');
    return write_driver("unbind", name ? name + 1 : device, f);
}

int disks_park(struct boot_fault *f)
{
    if (disks_are_taken()) {
        errno = EBUSY;
        return boot_fail(f, "park the disks");
    }
    return let_go(GUEST_DISK_SCRATCH, f) < 0 || let_go(GUEST_DISK_INPUT, f) < 0 ? -1 : 0;
}

/* A virtio-blk device that no driver has. */
static bool is_let_go(const char *device)
{
    char path[320], id[16];

    (void)snprintf(path, sizeof(path), DISKS_DEVICES "/%s/device", device);
    read_file(path, id, sizeof(id));
    if (strtoul(id, NULL, 16) != VIRTIO_ID_BLOCK)
        return false;
    (void)snprintf(path, sizeof(path), DISKS_DEVICES "/%s/driver", device);
    return access(path, F_OK) < 0;
}

/* In a guest that was not parked there are none. */
static int take_back(struct boot_fault *f)
{
    DIR *d = opendir(DISKS_DEVICES);
    int rc = 0;

    for (struct dirent *en; d && rc == 0 && (en = readdir(d));)
        if (en->d_name[0] != '.' && is_let_go(en->d_name))
            rc = write_driver("bind", en->d_name, f);
    if (d)
        closedir(d);
    return rc;
}

int disks_take(const struct wire_hello *m, struct boot_fault *f)
{
    const uid_t uid = GUEST_ID_BASE + m->uid;
    const gid_t gid = GUEST_ID_BASE + m->gid;

    if (disks_are_taken())
        return 0;
    if (take_back(f) < 0 ||
        mount_disk(GUEST_DISK_SCRATCH, GUEST_SCRATCH, "ext4", MS_NOSUID | MS_NODEV, f) < 0)
        return -1;
    if (make_dir(GUEST_WORK, uid, gid, f) < 0 || make_dir(GUEST_OUT, uid, gid, f) < 0 ||
        mount_rootfs(f) < 0 || put_job_init(f) < 0)
        return -1;
    if (!(m->flags & WIRE_HELLO_INPUT))
        return 0;
    return mount_disk(GUEST_DISK_INPUT, GUEST_INPUT, "squashfs", MS_RDONLY | MS_NOSUID | MS_NODEV,
                      f);
}
