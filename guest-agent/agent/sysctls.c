/* sysctls: the kernel's settings that the agent makes stricter. See sysctls.h. */
#include "agent/sysctls.h"

#include "agent/boot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ROOT            "/proc/sys/"
#define USER_NAMESPACES "64" /* a container has one; WIRE_EXEC_MAX, and those on their way out */
#define COUNT(a)        (sizeof(a) / sizeof((a)[0]))

/* What the job's kernel need not offer. crun runs as the guest's root and can still do its work. */
static const struct {
    const char *path, *value;
    bool of_namespace; /* each user namespace has its own */
} rows[] = {
    {ROOT "kernel/kptr_restrict", "2"},
    {ROOT "kernel/dmesg_restrict", "1"},
    {ROOT "kernel/perf_event_paranoid", "3"},
    {ROOT "kernel/unprivileged_bpf_disabled", "1"},
    {ROOT "net/core/bpf_jit_harden", "2"},
    {ROOT "kernel/unprivileged_userns_clone", "0"},
    {ROOT "kernel/io_uring_disabled", "2"},
    {ROOT "kernel/yama/ptrace_scope", "1"}, /* one's children; and with --debug only: seccomp */
    {ROOT "kernel/randomize_va_space", "2"},
    {ROOT "kernel/panic_on_oops", "1"},        /* a kernel that was hurt does not go on */
    {ROOT "kernel/core_pattern", "/dev/null"}, /* no dumps, and no program to take them */
    {ROOT "fs/suid_dumpable", "0"},
    {ROOT "dev/tty/ldisc_autoload", "0"},
    {ROOT "dev/tty/legacy_tiocsti", "0"},
    {ROOT "vm/mmap_min_addr", "65536"},
    {ROOT "user/max_user_namespaces", USER_NAMESPACES, true},
    {ROOT "vm/unprivileged_userfaultfd", "0"},
    {ROOT "fs/protected_symlinks", "1"},
    {ROOT "fs/protected_hardlinks", "1"},
    {ROOT "fs/protected_fifos", "2"},
    {ROOT "fs/protected_regular", "2"},
    {ROOT "kernel/sysrq", "0"},
    {ROOT "kernel/kexec_load_disabled", "1"},
    {ROOT "kernel/modules_disabled", "1"},
};

const char *sysctls_set(void)
{
    for (size_t i = 0; i < COUNT(rows); i++)
        if (boot_write(rows[i].path, rows[i].value) < 0 && errno != ENOENT)
            return rows[i].path;
    return NULL;
}

void sysctls_check(bool of_guest, struct sysctls_found *ret)
{
    *ret = (struct sysctls_found){0};
    for (size_t i = 0; i < COUNT(rows) && !ret->wrong; i++) {
        int fd = open(rows[i].path, O_RDONLY | O_CLOEXEC);
        ssize_t n;

        if (fd < 0 && errno == ENOENT)
            continue;
        if ((fd < 0 && errno == EACCES && !of_guest) || (rows[i].of_namespace && !of_guest)) {
            ret->unseen++;
        } else {
            n = fd < 0 ? -1 : read(fd, ret->value, sizeof(ret->value) - 1);
            ret->value[n > 0 ? n : 0] = '\0';
            ret->value[strcspn(ret->value, "\n")] = '\0';
            if (strcmp(ret->value, rows[i].value) == 0)
                ret->set++;
            else
                ret->wrong = rows[i].path + strlen(ROOT);
        }
        if (fd >= 0)
            close(fd);
    }
}
