/*
 * probe: the first process of a guest that says, as its root, what the kernel is like: one line
 * "KEY: VALUE" each on the console. Then it ends the machine as the kernel argument probe=WAY says:
 * "off" by ACPI, "die" by ending itself, which is a panic.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void mount_all(void)
{
    static const struct {
        const char *dir, *type;
    } rows[] = {
        {"/dev", "devtmpfs"},
        {"/proc", "proc"},
        {"/sys", "sysfs"},
        {"/sys/kernel/security", "securityfs"},
        {"/sys/fs/cgroup", "cgroup2"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        (void)mkdir(rows[i].dir, 0755);
        if (mount(rows[i].type, rows[i].dir, rows[i].type, 0, NULL) < 0 && errno != EBUSY)
            printf("mount %s: %s\n", rows[i].dir, strerror(errno));
    }
}

/* The first line of a file, or why there is none. */
static void say_file(const char *key, const char *path)
{
    char line[1024] = "";
    FILE *f = fopen(path, "re");

    if (!f) {
        printf("%s: %s\n", key, strerrorname_np(errno));
        return;
    }
    if (fgets(line, sizeof(line), f))
        line[strcspn(line, "\n")] = '\0';
    fclose(f);
    printf("%s: %s\n", key, line);
}

static void say_files(void)
{
    static const char *const vulnerabilities[] = {"gather_data_sampling",
                                                  "indirect_target_selection",
                                                  "itlb_multihit",
                                                  "l1tf",
                                                  "mds",
                                                  "meltdown",
                                                  "mmio_stale_data",
                                                  "reg_file_data_sampling",
                                                  "retbleed",
                                                  "spec_rstack_overflow",
                                                  "spec_store_bypass",
                                                  "spectre_v1",
                                                  "spectre_v2",
                                                  "srbds",
                                                  "tsa",
                                                  "tsx_async_abort"};
    static const char *const absent[] = {"/dev/mem",        "/dev/port",
                                         "/proc/kcore",     "/proc/modules",
                                         "/proc/config.gz", "/sys/kernel/debug",
                                         "/proc/keys",      "/sys/kernel/tracing",
                                         "/dev/ttyS1",      "/proc/sys/fs/binfmt_misc"};

    say_file("clock", "/sys/devices/system/clocksource/clocksource0/current_clocksource");
    say_file("lsm", "/sys/kernel/security/lsm");
    say_file("lockdown", "/sys/kernel/security/lockdown");
    say_file("controllers", "/sys/fs/cgroup/cgroup.controllers");
    for (size_t i = 0; i < COUNT(vulnerabilities); i++) {
        char key[64], path[128];

        (void)snprintf(key, sizeof(key), "vulnerability %s", vulnerabilities[i]);
        (void)snprintf(path, sizeof(path), "/sys/devices/system/cpu/vulnerabilities/%s",
                       vulnerabilities[i]);
        say_file(key, path);
    }
    for (size_t i = 0; i < COUNT(absent); i++)
        printf("absent %s: %s\n", absent[i], access(absent[i], F_OK) == 0 ? "no" : "yes");
}

/* Where the kernel's text is. */
static void say_text(void)
{
    char line[256];
    FILE *f = fopen("/proc/kallsyms", "re");

    while (f && fgets(line, sizeof(line), f))
        if (strstr(line, " _text\n"))
            printf("text: %.16s\n", line);
    if (f)
        fclose(f);
}

static void say_call(const char *name, long result)
{
    printf("call %s: %s\n", name, result < 0 ? strerrorname_np(errno) : "works");
}

static void say_calls(void)
{
    static const struct {
        const char *name;
        int family, type;
    } sockets[] = {
        {"unix", AF_UNIX, SOCK_STREAM},    {"inet", AF_INET, SOCK_STREAM},
        {"inet6", AF_INET6, SOCK_DGRAM},   {"packet", AF_PACKET, SOCK_RAW},
        {"netlink", AF_NETLINK, SOCK_RAW}, {"vsock", AF_VSOCK, SOCK_STREAM},
        {"alg", AF_ALG, SOCK_SEQPACKET},
    };

    for (size_t i = 0; i < COUNT(sockets); i++)
        say_call(sockets[i].name, socket(sockets[i].family, sockets[i].type | SOCK_CLOEXEC, 0));
    say_call("init_module", syscall(SYS_init_module, "", 0, ""));
    say_call("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0));
    say_call("io_uring_setup", syscall(SYS_io_uring_setup, 1, NULL));
    say_call("userfaultfd", syscall(SYS_userfaultfd, 0));
    say_call("add_key", syscall(SYS_add_key, NULL, NULL, NULL, 0, 0));
    say_call("modify_ldt", syscall(SYS_modify_ldt, 0, NULL, 0));
    say_call("iopl", syscall(SYS_iopl, 3));
    say_call("process_vm_readv", syscall(SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0));
    say_call("swapon", syscall(SYS_swapon, "/", 0));
    printf("landlock: %ld\n",
           syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION));
}

int main(void)
{
    char line[4096] = "";
    FILE *f;
    bool off;

    setvbuf(stdout, NULL, _IOLBF, 0);
    mount_all();
    say_files();
    say_text();
    say_calls();
    f = fopen("/proc/cmdline", "re");
    if (f) {
        (void)!fgets(line, sizeof(line), f);
        fclose(f);
    }
    off = strstr(line, "probe=off") != NULL;
    printf("end: %s\n", off ? "off" : "die");
    (void)tcdrain(STDOUT_FILENO);
    if (off)
        reboot(RB_POWER_OFF);
    return 0;
}
