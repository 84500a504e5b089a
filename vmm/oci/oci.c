/*
 * oci: plan -> OCI runtime configuration of the nested container.
 *
 * How it works
 *   One function per section of the runtime specification (config.md and config-linux.md, version
 *   1.0.2). What differs between two plans is: the process, sizes and limits, /in, /out and
 *   /run/secrets, which the agent fills; and with egress, where its way out is told. The
 *   rest is the same for every job and is kept by tests/golden/oci.json.
 *
 * Must: leave a job without capabilities, without new privileges and inside all seven namespaces,
 * whatever else the plan says. Only the build of an image gets three of them, over files.
 */
#include "oci/oci.h"

#include "oci/seccomp.h"

#include "base/own.h"
#include "shared/guest.h"

#include <inttypes.h>
#include <string.h>

#define OCI_VERSION    "1.0.2"
#define OCI_DEV_BYTES  65536u           /* of /dev: holds mount points only */
#define OCI_RUN_BYTES  65536u           /* of /run, which has one then: the same */
#define OCI_SHM_BYTES  (64u * PLAN_MIB) /* of /dev/shm; counts as the job's memory too */
#define OCI_FILES_SOFT 1024u            /* what select(2) can take */
#define OCI_UMASK      0022u
#define OCI_RESOLV     "/etc/resolv.conf"
#define OCI_DIRECT     "localhost,127.0.0.1,::1,.lazaret" /* not through the proxy */
#define OCI_OOM_SCORE  500 /* if the guest itself runs short, the job goes before the agent */

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct doc *id_pair(uid_t uid, gid_t gid)
{
    struct doc *d = doc_new_object();

    doc_set_u64(d, "uid", uid);
    doc_set_u64(d, "gid", gid);
    doc_set_u64(d, "umask", OCI_UMASK);
    return d;
}

/* A job has none. What builds an image may change owners and modes of the files below its root. */
static struct doc *capabilities(const struct plan *p)
{
    static const char *const none[] = {NULL};
    static const char *const files[] = {"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", NULL};
    const char *const *list = p->build ? files : none;
    struct doc *d = doc_new_object();

    doc_set_strv(d, "bounding", list);
    doc_set_strv(d, "effective", list);
    doc_set_strv(d, "inheritable", none);
    doc_set_strv(d, "permitted", list);
    doc_set_strv(d, "ambient", none);
    return d;
}

/* A plan's 0 is no limit, and no line. Behind the CPU time a process gets SIGXCPU, and SIGKILL one
 * second later if it goes on. */
static struct doc *rlimits(const struct plan *p)
{
    const uint64_t soft_files = p->open_files < OCI_FILES_SOFT ? p->open_files : OCI_FILES_SOFT;
    const uint64_t cpu = p->cpu_time_ms / 1000;
    const struct {
        const char *type;
        uint64_t soft, hard;
        bool absent;
    } rows[] = {
        {"RLIMIT_CORE", 0, 0},
        {"RLIMIT_NOFILE", soft_files, p->open_files},
        {"RLIMIT_MSGQUEUE", 0, 0},
        {"RLIMIT_NICE", 0, 0},
        {"RLIMIT_RTPRIO", 0, 0},
        {"RLIMIT_CPU", cpu, cpu + 1, cpu == 0},
        {"RLIMIT_AS", p->address_space_bytes, p->address_space_bytes, p->address_space_bytes == 0},
        {"RLIMIT_FSIZE", p->file_size_bytes, p->file_size_bytes, p->file_size_bytes == 0},
    };
    struct doc *list = doc_new_array();

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct doc *d;

        if (rows[i].absent)
            continue;
        d = doc_new_object();
        doc_set_str(d, "type", rows[i].type);
        doc_set_u64(d, "soft", rows[i].soft);
        doc_set_u64(d, "hard", rows[i].hard);
        doc_add(list, d);
    }
    return list;
}

static void declare(struct doc *list, const char *option, const struct strv *paths)
{
    for (size_t i = 0; i < paths->n; i++) {
        doc_add_str(list, option);
        doc_add_str(list, paths->items[i]);
    }
}

/* GUEST_JOB_INIT, what is declared, and then the command. */
static struct doc *arguments(const struct plan *p)
{
    struct doc *list = doc_new_array();

    doc_add_str(list, GUEST_JOB_INIT);
    declare(list, GUEST_DECLARED_READ, &p->declared.read);
    declare(list, GUEST_DECLARED_WRITE, &p->declared.write);
    declare(list, GUEST_DECLARED_EXEC, &p->declared.exec);
    if (p->egress && plan_is_declared(p)) {
        doc_add_str(list, GUEST_DECLARED_READ);
        doc_add_str(list, OCI_RESOLV);
    }
    doc_add_str(list, GUEST_DECLARED_END);
    for (size_t i = 0; i < p->argv.n; i++)
        doc_add_str(list, p->argv.items[i]);
    return list;
}

/* Where programs look for their proxy. ALL_PROXY is no SOCKS address: some that have no use for it
 * end at one. What the plan says itself stays. */
static struct doc *environment(const struct plan *p)
{
    static const char *const ways_out[] = {
        "HTTP_PROXY=" GUEST_PROXY,  "http_proxy=" GUEST_PROXY, "HTTPS_PROXY=" GUEST_PROXY,
        "https_proxy=" GUEST_PROXY, "ALL_PROXY=" GUEST_PROXY,  "all_proxy=" GUEST_PROXY,
        "NO_PROXY=" OCI_DIRECT,     "no_proxy=" OCI_DIRECT,
    };
    struct doc *list = doc_new_array();

    for (size_t i = 0; i < p->env.n; i++)
        doc_add_str(list, p->env.items[i]);
    for (size_t i = 0; p->egress && i < sizeof(ways_out) / sizeof(ways_out[0]); i++) {
        size_t len = strcspn(ways_out[i], "=") + 1, k = 0;

        while (k < p->env.n && strncmp(p->env.items[k], ways_out[i], len) != 0)
            k++;
        if (k == p->env.n)
            doc_add_str(list, ways_out[i]);
    }
    return list;
}

static struct doc *process(const struct plan *p, unsigned exec)
{
    own_free char *profile = str_printf(GUEST_PROFILE "%u", exec);
    struct doc *d = doc_new_object();

    doc_set_bool(d, "terminal", p->tty);
    doc_set(d, "user", id_pair(p->uid, p->gid));
    doc_set(d, "args", arguments(p));
    doc_set(d, "env", environment(p));
    doc_set_str(d, "cwd", p->workdir);
    doc_set(d, "capabilities", capabilities(p));
    doc_set(d, "rlimits", rlimits(p));
    doc_set_bool(d, "noNewPrivileges", true);
    if (p->apparmor)
        doc_set_str(d, "apparmorProfile", profile);
    doc_set_i64(d, "oomScoreAdj", OCI_OOM_SCORE);
    return d;
}

static void mount(struct doc *list, const char *at, const char *type, const char *source,
                  const char *const *options)
{
    struct doc *d = doc_new_object();

    doc_set_str(d, "destination", at);
    doc_set_str(d, "type", type);
    doc_set_str(d, "source", source);
    doc_set_strv(d, "options", options);
    doc_add(list, d);
}

/* A tmpfs that can hold no device, no set-id and no program. */
static void mount_tmpfs(struct doc *list, const char *at, const char *mode, uint64_t size_bytes)
{
    own_free char *size = str_printf("size=%" PRIu64, size_bytes);

    mount(list, at, "tmpfs", "tmpfs", LIST("nosuid", "noexec", "nodev", mode, size));
}

/*
 * crun 1.8.1 silently drops nosuid and nodev of a bind mount that is not read-only; the mount comes
 * with the flags of the one that it shows, so the agent mounts GUEST_SCRATCH with both as well.
 */
static struct doc *mounts(const struct plan *p, unsigned exec)
{
    struct doc *list = doc_new_array();
    own_free char *dev_size = str_printf("size=%u", OCI_DEV_BYTES);
    own_free char *secrets = str_printf(GUEST_SECRETS "/%u", exec);

    mount(list, "/proc", "proc", "proc", LIST("nosuid", "noexec", "nodev"));
    mount(list, "/dev", "tmpfs", "tmpfs",
          LIST("nosuid", "noexec", "strictatime", "mode=755", dev_size));
    mount(list, "/dev/pts", "devpts", "devpts",
          LIST("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"));
    mount_tmpfs(list, "/dev/shm", "mode=1777", OCI_SHM_BYTES);
    mount(list, "/sys", "sysfs", "sysfs", LIST("nosuid", "noexec", "nodev", "ro"));
    mount_tmpfs(list, "/tmp", "mode=1777", p->tmp_bytes);
    mount(list, "/work", "bind", GUEST_WORK, LIST("bind", "rw", "nosuid", "nodev"));
    if (p->inputs.n)
        mount(list, "/in", "bind", GUEST_INPUT, LIST("bind", "ro", "nosuid", "nodev"));
    if (p->out)
        mount(list, "/out", "bind", GUEST_OUT, LIST("bind", "rw", "nosuid", "nodev"));
    if (p->egress)
        mount(list, OCI_RESOLV, "bind", GUEST_RESOLV,
              LIST("bind", "ro", "nosuid", "nodev", "noexec"));
    if (p->secrets.n) {
        /* The image's own /run is not the container's to make a folder in. */
        mount_tmpfs(list, "/run", "mode=755", OCI_RUN_BYTES);
        mount(list, "/run/secrets", "bind", secrets,
              LIST("bind", "ro", "nosuid", "nodev", "noexec"));
    }
    return list;
}

static struct doc *id_mappings(void)
{
    struct doc *list = doc_new_array(), *d = doc_new_object();

    doc_set_u64(d, "containerID", 0);
    doc_set_u64(d, "hostID", GUEST_ID_BASE);
    doc_set_u64(d, "size", GUEST_ID_COUNT);
    doc_add(list, d);
    return list;
}

static struct doc *namespaces(void)
{
    static const char *const types[] = {"user", "pid", "mount", "ipc", "uts", "cgroup", "network"};
    struct doc *list = doc_new_array();

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct doc *d = doc_new_object();

        doc_set_str(d, "type", types[i]);
        doc_add(list, d);
    }
    return list;
}

/* CPU time is bounded by the number of virtual CPUs, and weighs less than the agent's
 * (GUEST_CPU_WEIGHT), requests to the disk by QEMU (disk_rate, disk_iops). "swap" is memory and
 * swap together: none. */
static struct doc *resources(const struct plan *p)
{
    struct doc *d = doc_new_object(), *memory = doc_new_object(), *pids = doc_new_object();
    struct doc *devices = doc_new_array(), *deny = doc_new_object();

    doc_set_bool(deny, "allow", false); /* crun lets its own default nodes pass */
    doc_set_str(deny, "access", "rwm");
    doc_add(devices, deny);
    doc_set(d, "devices", devices);
    doc_set_u64(memory, "limit", p->memory_bytes);
    doc_set_u64(memory, "swap", p->memory_bytes);
    doc_set(d, "memory", memory);
    doc_set_u64(pids, "limit", p->pids + 1ull); /* and GUEST_JOB_INIT */
    doc_set(d, "pids", pids);
    return d;
}

/* Facts about the guest's kernel and hardware, and levers on it; missing ones are skipped. */
static const char *const masked_paths[] = {
    "/proc/acpi",
    "/proc/asound",
    "/proc/bus",
    "/proc/config.gz",
    "/proc/fs",
    "/proc/interrupts",
    "/proc/iomem",
    "/proc/ioports",
    "/proc/kallsyms",
    "/proc/kcore",
    "/proc/key-users",
    "/proc/keys",
    "/proc/kmsg",
    "/proc/kpagecgroup",
    "/proc/kpagecount",
    "/proc/kpageflags",
    "/proc/latency_stats",
    "/proc/modules",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/slabinfo",
    "/proc/sysrq-trigger",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/vmallocinfo",
    "/sys/bus",
    "/sys/class/virtio-ports",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs",
    "/sys/hypervisor",
    "/sys/kernel",
    "/sys/module",
    "/sys/power",
    NULL,
};
static const char *const readonly_paths[] = {"/proc/irq", "/proc/mtrr", "/proc/sys", "/proc/tty",
                                             NULL};

static struct doc *linux_section(const struct plan *p, unsigned exec)
{
    struct doc *d = doc_new_object();
    own_free char *cgroup = str_printf(GUEST_CGROUP "/exec-%u", exec);

    doc_set(d, "uidMappings", id_mappings());
    doc_set(d, "gidMappings", id_mappings());
    doc_set(d, "namespaces", namespaces());
    doc_set_str(d, "cgroupsPath", cgroup);
    doc_set(d, "resources", resources(p));
    doc_set_str(d, "rootfsPropagation", "private");
    doc_set(d, "seccomp", oci_seccomp(plan_is_declared(p), p->debug));
    doc_set_strv(d, "maskedPaths", masked_paths);
    doc_set_strv(d, "readonlyPaths", readonly_paths);
    return d;
}

struct doc *oci_config(const struct plan *p, unsigned exec)
{
    struct doc *d = doc_new_object(), *root = doc_new_object();

    doc_set_str(d, "ociVersion", OCI_VERSION);
    doc_set(d, "process", process(p, exec));
    doc_set_str(root, "path", GUEST_ROOTFS);
    doc_set_bool(root, "readonly", !p->writable_root);
    doc_set(d, "root", root);
    /* No "hostname": the container begins with the guest's, which is another in every guest. */
    doc_set(d, "mounts", mounts(p, exec));
    doc_set(d, "linux", linux_section(p, exec));
    return d;
}
