/* layers: which layers will be around QEMU and jobs on this host. See wrap.h. */
#include "wrap/wrap.h"

#include "base/landlock.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static void say(struct wrap_layer *l, const char *name, bool holds, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static void say(struct wrap_layer *l, const char *name, bool holds, const char *fmt, ...)
{
    va_list ap;

    l->name = name;
    l->holds = holds;
    va_start(ap, fmt);
    vsnprintf(l->text, sizeof(l->text), fmt, ap);
    va_end(ap);
}

/* All of it belongs to the daemon. */
static void look_daemon(struct wrap_layer *l)
{
    static const char *const names[] = {"user",    "namespaces", "landlock", "calls",
                                        "rlimits", "cgroup",     "label"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        say(&l[i], names[i], false, "what the libvirt daemon does; none of ours with --connect");
}

/* The guest's kernels have it; here it is only compiled. */
static void look_armor(struct wrap_layer *l)
{
    if (access(WRAP_ARMOR_PARSER, X_OK) == 0)
        say(l, "apparmor", true, "jobs have an AppArmor profile in the guest");
    else
        say(l, "apparmor", false,
            "jobs have no AppArmor profile in the guest (install Debian's package 'apparmor')");
}

void wrap_look(const char *uri, struct wrap_layer ret[WRAP_LAYERS])
{
    long abi = landlock_abi();

    look_armor(&ret[7]);
    if (uri) {
        look_daemon(ret);
        return;
    }
    if (geteuid() == 0)
        say(&ret[0], "user", true, "QEMU has a user of its own, libvirt-qemu");
    else
        say(&ret[0], "user", false, "QEMU has your user: Landlock and 'calls' keep it from yours");
    say(&ret[1], "namespaces", true, "own pid, mount, network, ipc and uts namespaces");
    if (abi >= 3)
        say(&ret[2], "landlock", true, "QEMU opens files of its run only (Landlock, ABI %ld)", abi);
    else if (abi > 0)
        say(&ret[2], "landlock", true,
            "QEMU opens files of its run only (Landlock, ABI %ld: an old one, without truncate)",
            abi);
    else
        say(&ret[2], "landlock", false,
            "this kernel has no Landlock (add it to lsm= on its command line): a QEMU that was "
            "taken over reads what %s",
            geteuid() == 0 ? "libvirt-qemu may" : "you may");
    say(&ret[3], "calls", true, "QEMU's system calls: lazaret's own list, on top of libvirt's");
    say(&ret[4], "rlimits", true, "no core, no locked memory, few files");
    say(&ret[5], "cgroup", false,
        "QEMU is in no cgroup of its own: its memory and CPU time are bounded by the guest's size");
    say(&ret[6], "label", false, "no label of AppArmor or SELinux is asked for");
}
