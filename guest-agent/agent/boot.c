/* boot: from the kernel's first process to a guest that can run containers. */
#include "agent/boot.h"

#include "agent/disks.h"
#include "agent/say.h"
#include "agent/sysctls.h"
#include "shared/guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BOOT_PORT_TIMEOUT_MS 10000
#define BOOT_NAP_MS          5
#define BOOT_MODULES         "/modules"
#define BOOT_CGROUPS         "/sys/fs/cgroup"
#define BOOT_PORTS           "/sys/class/virtio-ports"
#define BOOT_SECURITY        "/sys/kernel/security"
#define COUNT(a)             (sizeof(a) / sizeof((a)[0]))

int boot_fail(struct boot_fault *f, const char *format, ...)
{
    int error = errno;
    va_list ap;
    int n;

    va_start(ap, format);
    n = vsnprintf(f->text, sizeof(f->text), format, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof(f->text))
        (void)snprintf(f->text + n, sizeof(f->text) - (size_t)n, ": %s", strerror(error));
    return -1;
}

uint64_t boot_now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void boot_nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = BOOT_NAP_MS * 1000000}, NULL);
}

static int load_module(const char *name, struct boot_fault *f)
{
    char path[300];
    int fd;
    long rc;

    (void)snprintf(path, sizeof(path), BOOT_MODULES "/%s", name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return boot_fail(f, "module '%s'", name);
    rc = syscall(SYS_finit_module, fd, "", 0);
    if (rc < 0 && errno != EEXIST)
        boot_fail(f, "module '%s'", name);
    else
        rc = 0;
    close(fd);
    /* Loaded: its place in memory is wanted. */
    (void)unlink(path);
    return (int)rc;
}

static int is_file_name(const struct dirent *en)
{
    return en->d_name[0] != '.';
}

static int load_modules(struct boot_fault *f)
{
    struct dirent **names = NULL;
    int n = scandir(BOOT_MODULES, &names, is_file_name, alphasort);
    int rc = 0;

    for (int i = 0; i < n; i++) {
        if (rc == 0)
            rc = load_module(names[i]->d_name, f);
        free(names[i]);
    }
    free(names);
    return rc;
}

static int leave_rootfs(struct boot_fault *f)
{
    if (mkdir("/.root", 0755) < 0 || mount("/", "/.root", NULL, MS_BIND, NULL) < 0 ||
        chdir("/.root") < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
        chdir("/") < 0 || chmod("/", 0755) < 0)
        return boot_fail(f, "move the root");
    return 0;
}

struct boot_mount {
    const char *dir, *type, *options;
    unsigned long flags;
};

static int mount_all(struct boot_fault *f)
{
    static const unsigned long all = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    const struct boot_mount rows[] = {
        {"/proc", "proc", NULL, all},
        {"/sys", "sysfs", NULL, all},
        {"/dev", "devtmpfs", "mode=0755", MS_NOSUID | MS_NOEXEC},
        {"/dev/pts", "devpts", "mode=0620,ptmxmode=0666", MS_NOSUID | MS_NOEXEC},
        {"/run", "tmpfs", "mode=0755,size=64m", MS_NOSUID | MS_NODEV},
        {BOOT_CGROUPS, "cgroup2", NULL, all},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        if (mkdir(rows[i].dir, 0755) < 0 && errno != EEXIST && errno != EPERM)
            return boot_fail(f, "folder '%s'", rows[i].dir);
        if (mount(rows[i].type, rows[i].dir, rows[i].type, rows[i].flags, rows[i].options) < 0 &&
            errno != EBUSY)
            return boot_fail(f, "mount '%s'", rows[i].dir);
    }
    if (mkdir(GUEST_DIR, 0755) < 0)
        return boot_fail(f, "folder '" GUEST_DIR "'");
    return 0;
}

static int open_console(struct boot_fault *f)
{
    int fd = open("/dev/console", O_RDWR | O_NOCTTY);

    /* A machine without a console is no reason to stop, but fds 0 to 2 must be taken. */
    if (fd < 0)
        fd = open("/dev/null", O_RDWR);
    if (fd < 0)
        return boot_fail(f, "open the console");
    for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
        if (fd != i && dup2(fd, i) < 0)
            return boot_fail(f, "open the console");
    if (fd > STDERR_FILENO)
        close(fd);
    return 0;
}

int boot_write(const char *path, const char *text)
{
    const ssize_t len = (ssize_t)strlen(text);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : write(fd, text, (size_t)len);
    int error = n < 0 ? errno : EIO;

    if (fd >= 0)
        close(fd);
    errno = error;
    return n == len ? 0 : -1;
}

static int set_cgroups(struct boot_fault *f)
{
    static const char *const controllers[] = {"+cpu", "+memory", "+pids", "+io"};
    static const char *const dirs[] = {BOOT_CGROUPS, BOOT_CGROUPS GUEST_CGROUP};
    char weight[16];

    for (size_t d = 0; d < COUNT(dirs); d++) {
        char path[300];

        if (mkdir(dirs[d], 0755) < 0 && errno != EEXIST)
            return boot_fail(f, "cgroup '%s'", dirs[d]);
        (void)snprintf(path, sizeof(path), "%s/cgroup.subtree_control", dirs[d]);
        for (size_t i = 0; i < COUNT(controllers); i++)
            if (boot_write(path, controllers[i]) < 0)
                return boot_fail(f, "cgroup '%s', controller '%s'", dirs[d], controllers[i] + 1);
    }
    (void)snprintf(weight, sizeof(weight), "%u", GUEST_CPU_WEIGHT);
    if (boot_write(BOOT_CGROUPS GUEST_CGROUP "/cpu.weight", weight) < 0)
        return boot_fail(f, "weight of cgroup '%s'", BOOT_CGROUPS GUEST_CGROUP);
    return 0;
}

static int harden(struct boot_fault *f)
{
    const char *failed = sysctls_set();

    return failed ? boot_fail(f, "set '%s'", failed) : 0;
}

/* Nobody, the guest's root included, changes or reads the kernel from here on. Where the kernel has
 * the module for it: one of our own is locked down from its start. */
static int lock_down(struct boot_fault *f)
{
    if (mount("securityfs", BOOT_SECURITY, "securityfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) <
        0)
        return errno == ENOENT || errno == ENODEV ? 0 : boot_fail(f, "mount '" BOOT_SECURITY "'");
    if (boot_write(BOOT_SECURITY "/lockdown", "confidentiality") < 0 && errno != ENOENT &&
        errno != EPERM) /* EPERM: it is locked down already */
        return boot_fail(f, "lock the kernel down");
    return 0;
}

int boot_guest(struct boot_fault *f)
{
    static int (*const steps[])(struct boot_fault * f) = {
        load_modules, leave_rootfs,      mount_all, open_console,
        set_cgroups,  disks_mount_image, harden,    lock_down,
    };

    for (size_t i = 0; i < COUNT(steps); i++)
        if (steps[i](f) < 0)
            return -1;
    return 0;
}

int boot_find_port(const char *wanted)
{
    DIR *d = opendir(BOOT_PORTS);
    bool unnamed = false;
    int fd = -ENODEV;

    for (struct dirent *en; d && fd == -ENODEV && (en = readdir(d));) {
        char path[300], name[64] = "";
        int name_fd;
        ssize_t n;

        (void)snprintf(path, sizeof(path), BOOT_PORTS "/%s/name", en->d_name);
        name_fd = open(path, O_RDONLY | O_CLOEXEC);
        n = name_fd < 0 ? -1 : read(name_fd, name, sizeof(name) - 1);
        if (name_fd >= 0)
            close(name_fd);
        else if (en->d_name[0] != '.')
            unnamed = true;
        name[n > 0 ? n : 0] = '\0';
        name[strcspn(name, "\n")] = '\0';
        if (strcmp(name, wanted) != 0)
            continue;
        (void)snprintf(path, sizeof(path), "/dev/%s", en->d_name);
        fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        fd = fd < 0 ? -errno : fd;
    }
    if (d)
        closedir(d);
    return fd == -ENODEV && unnamed ? -EAGAIN : fd;
}

int boot_open_port(void)
{
    uint64_t deadline = boot_now_ms() + BOOT_PORT_TIMEOUT_MS;
    int fd;

    /* Bring-up may have failed before these were there. */
    (void)mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    (void)mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID | MS_NOEXEC, NULL);
    do {
        fd = boot_find_port(WIRE_PORT_NAME);
        if (fd == -ENODEV || fd == -EAGAIN)
            boot_nap();
    } while ((fd == -ENODEV || fd == -EAGAIN) && boot_now_ms() < deadline);
    return fd;
}
