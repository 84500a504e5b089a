/*
 * rights: what of root's rights the agent, and whatever it starts, goes without.
 *
 * CAP_SYS_ADMIN is among those that stay, and can do most of what others can: this takes from a
 * job that became the guest's root what is left of short ways into the kernel (modules, ports,
 * other processes' memory, the log), not its rights over the guest.
 */
#include "agent/rights.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BIT(cap) (1ull << (cap))

static const uint64_t kept =
    BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) | /* folders and files of jobs */
    BIT(CAP_KILL) |                                            /* jobs */
    BIT(CAP_SETUID) | BIT(CAP_SETGID) | BIT(CAP_SETPCAP) | BIT(CAP_SYS_CHROOT) | BIT(CAP_MKNOD) |
    BIT(CAP_SYS_RESOURCE) | /* crun, making a container */
    BIT(CAP_SYS_ADMIN) |    /* mounts, namespaces, entropy */
    BIT(CAP_MAC_ADMIN) |    /* jobs' profiles (armor.h) */
    BIT(CAP_SYS_TIME) |     /* the clock, at HELLO */
    BIT(CAP_SYS_BOOT) |     /* power-off */
    BIT(CAP_AUDIT_WRITE);   /* marks (audit.h) */

int rights_drop(struct boot_fault *f)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};

    for (unsigned cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        if ((cap >= 64 || !(kept & BIT(cap))) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
            return boot_fail(f, "drop capability %u", cap);
    for (size_t i = 0; i < 2; i++)
        data[i].effective = data[i].permitted = (uint32_t)(kept >> (32 * i));
    if (syscall(SYS_capset, &header, data) < 0)
        return boot_fail(f, "drop capabilities");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return boot_fail(f, "no new privileges");
    return 0;
}
