/*
 * escaped: a job that got out of its container and is the guest's root: what does it find?
 *
 * It is put in crun's place, so the agent starts it as it starts every container, after all of its
 * bring-up. One line on stderr says what it found; the agent tells it as the reason why the
 * container could not be made.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* The first line of a file, "-" without one. */
static const char *line_of(const char *path)
{
    static char text[4][256];
    static unsigned next;
    char *to = text[next++ % 4];
    FILE *f = fopen(path, "re");

    if (!f || !fgets(to, 256, f))
        (void)snprintf(to, 256, "-");
    if (f)
        (void)fclose(f);
    to[strcspn(to, "\n")] = '\0';
    return to;
}

static int is_entry(const struct dirent *en)
{
    return en->d_name[0] != '.';
}

/* The names in a folder, or one file below each of them, as "key=a,b ". */
static void list(const char *key, const char *dir, const char *file)
{
    struct dirent **names = NULL;
    int n = scandir(dir, &names, is_entry, alphasort);

    fprintf(stderr, "%s=", key);
    for (int i = 0; i < n; i++) {
        char path[512];

        (void)snprintf(path, sizeof(path), "%s/%s/%s", dir, names[i]->d_name, file ? file : "");
        fprintf(stderr, "%s%s", i ? "," : "", file ? line_of(path) : names[i]->d_name);
    }
    fprintf(stderr, " ");
}

static void tried(const char *key, long result)
{
    fprintf(stderr, "%s=%s ", key, result < 0 ? strerrorname_np(errno) : "done");
}

static const char *disk(const char *serial)
{
    static char path[64];

    for (int c = 'a'; c < 'h'; c++) {
        (void)snprintf(path, sizeof(path), "/sys/block/vd%c/serial", c);
        if (strcmp(line_of(path), serial) != 0)
            continue;
        (void)snprintf(path, sizeof(path), "/dev/vd%c", c);
        return path;
    }
    return "/none";
}

/* Says that it may be written, and writes. */
static long overwrite(const char *path)
{
    static _Alignas(4096) char block[4096];
    int zero = 0, fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || ioctl(fd, BLKROSET, &zero) < 0)
        fprintf(stderr, "roset=%s ", strerrorname_np(errno));
    fd = open(path, O_RDWR | O_DIRECT | O_SYNC | O_CLOEXEC);
    return fd < 0 ? fd : pwrite(fd, block, sizeof(block), 0);
}

static void status(const char *key, const char *name)
{
    char line[256];
    FILE *f = fopen("/proc/self/status", "re");

    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, name, strlen(name)) == 0)
            fprintf(stderr, "%s=%s ", key, strtok(line + strlen(name) + 1, " \t\n"));
}

int main(void)
{
    char byte;
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};

    list("net", "/sys/class/net", NULL);
    list("ports", "/sys/class/virtio-ports", "name");
    list("virtio", "/sys/bus/virtio/devices", "device");
    list("disks", "/sys/class/block", "serial");
    tried("image", overwrite(disk("lz-root")));
    status("uid", "Uid:");
    status("caps", "CapEff:");
    status("bound", "CapBnd:");
    status("nnp", "NoNewPrivs:");
    fprintf(stderr, "lockdown=%s ", strchr(line_of("/sys/kernel/security/lockdown"), '['));
    tried("module", syscall(SYS_init_module, "", 0, ""));
    tried("kexec", syscall(SYS_kexec_load, 0, 0, NULL, 0));
    tried("iopl", iopl(3));
    tried("mem", open("/dev/mem", O_RDWR | O_CLOEXEC));
    tried("kcore", open("/proc/kcore", O_RDONLY | O_CLOEXEC));
    tried("log", klogctl(3, &byte, 1));
    tried("trace", process_vm_readv(1, &iov, 1, &(struct iovec){(void *)4096, 1}, 1, 0));
    fprintf(stderr, "yama=%s ", line_of("/proc/sys/kernel/yama/ptrace_scope"));
    fprintf(stderr, "cores=%s ", line_of("/proc/sys/kernel/core_pattern"));
    fprintf(stderr, "oops=%s\n", line_of("/proc/sys/kernel/panic_on_oops"));
    return 1;
}
