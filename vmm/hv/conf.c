/*
 * conf: what libvirt's QEMU driver is told. See conf.h.
 *
 * How it works
 *   Whatever confines QEMU is asked for here, also where libvirt 9.0 does it unasked: another
 *   default of another libvirt changes nothing. Not said is security_driver: it takes what the host
 *   has. What is of migration, VNC, SPICE or TLS concerns no guest of ours.
 */
#include "hv/conf.h"

#include "base/str.h"

static const struct {
    const char *line;
    bool as_root_only;
} lines[] = {
    {"stdio_handler = \"file\"\n"}, /* else it starts virtlogd */
    {"cgroup_controllers = [ ]\n"}, /* they would outlive a killed keeper, and cost 30 ms a start */
    {"dynamic_ownership = 0\n"},    /* as root it would give images to QEMU's user ... */
    {"remember_owner = 0\n"},       /* ... and note in them whose they were */
    {"seccomp_sandbox = 1\n"},      /* QEMU's own filter, with all that it can refuse */
    {"security_default_confined = 1\n"},    /* with a label, where the host has an LSM */
    {"namespaces = [ \"mount\" ]\n", true}, /* with a minimal /dev; no user's libvirt can */
    {"dump_guest_core = 0\n"},              /* the guest's memory is in no core file */
    {"hugetlbfs_mount = [ ]\n"}, /* no folders of its own where the host has huge pages */
    {"relaxed_acs_check = 0\n"}, /* no device of the host's without isolation, if ever one */
    {"mac_filter = 0\n"},        /* no rules in the host's firewall: there are no cards */
    {"bridge_helper = \"/nonexistent\"\n"}, /* no set-id helpers for cards, .. */
    {"pr_helper = \"/nonexistent\"\n"},     /* .. disks .. */
    {"slirp_helper = \"/nonexistent\"\n"},  /* .. networks .. */
    {"dbus_daemon = \"/nonexistent\"\n"},   /* .. and buses that no guest has */
};

char *hv_conf_text(const struct hv_conf *c)
{
    struct str s = {0};

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        if (c->as_root || !lines[i].as_root_only)
            str_add(&s, lines[i].line);
    if (c->as_root)
        str_addf(&s, "user = \"+%u\"\ngroup = \"+%u\"\n", (unsigned)c->uid, (unsigned)c->gid);
    /*
     * A core of QEMU that goes to a program instead of a file is not refused by a limit of 0, but
     * by 1 (the kernel's fs/coredump.c), which only somebody whose own limit is not 0 can set.
     */
    str_addf(&s, "max_core = %d\n", c->core_to_nobody ? 1 : 0);
    return str_steal(&s);
}
