/*
 * probe: what confines a job, tried from inside its container. See shared/probe.h.
 *
 * How it works
 *   A table of looks, one row of output each. A look finds the first thing that is not as it has to
 *   be, and says it; if it finds none the promise holds. What could end this process (memory,
 *   system calls that nobody lists) is tried by a child. What it reads about itself comes from the
 *   guest's kernel, which at that time has run nothing that is hostile.
 */
#include "agent/probe.h"

#include "agent/probe_private.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))
#define LINE_MAX_ 4096
/* uretprobe: kernels that have it exempt it from seccomp, and end whoever makes it otherwise than
 * by a trampoline that they put there. */
#define CALL_EXEMPT 335

bool probe_broken(struct probe *p, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(p->text, sizeof(p->text), fmt, ap);
    va_end(ap);
    return false;
}

bool probe_holds(struct probe *p, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(p->text, sizeof(p->text), fmt, ap);
    va_end(ap);
    return true;
}

/* The value of "Key:\tvalue" of our own /proc/self/status, or "". */
static void status_of(const char *key, char *ret, size_t size)
{
    FILE *f = fopen("/proc/self/status", "re");
    char line[LINE_MAX_];
    size_t len = strlen(key);

    ret[0] = '\0';
    while (f && fgets(line, sizeof(line), f)) {
        if (strncmp(line, key, len) != 0 || line[len] != ':')
            continue;
        line[strcspn(line, "\n")] = '\0';
        (void)snprintf(ret, size, "%s", line + len + 1 + (line[len + 1] == '\t'));
    }
    if (f)
        (void)fclose(f);
}

/* ---- the job's process ----------------------------------------------------------------------- */

static bool look_user(struct probe *p)
{
    uid_t u[3];
    gid_t g[3], groups[64];
    int n = getgroups(COUNT(groups), groups);

    if (p->uid == PROBE_NOT_GIVEN || p->gid == PROBE_NOT_GIVEN)
        return probe_holds(p, "any");
    if (getresuid(&u[0], &u[1], &u[2]) < 0 || getresgid(&g[0], &g[1], &g[2]) < 0)
        return probe_broken(p, "it cannot be read");
    for (size_t i = 0; i < COUNT(u); i++)
        if (u[i] != p->uid || g[i] != p->gid)
            return probe_broken(p, "uid %u, gid %u in place of the plan's", u[i], g[i]);
    for (int i = 0; i < n; i++)
        if (groups[i] != p->gid)
            return probe_broken(p, "it is in the group %u too", groups[i]);
    if (setresuid(0, 0, 0) == 0 || setresgid(0, 0, 0) == 0)
        return probe_broken(p, "it could become root");
    return probe_holds(p, "uid %u, gid %u, and no way to another", u[0], g[0]);
}

static bool look_capabilities(struct probe *p)
{
    static const char *const sets[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};

    for (size_t i = 0; i < COUNT(sets); i++) {
        char text[64];

        status_of(sets[i], text, sizeof(text));
        if (!text[0] || strspn(text, "0") != strlen(text))
            return probe_broken(p, "%s is %s", sets[i], text[0] ? text : "unknown");
    }
    return probe_holds(p, "none, and none can come");
}

static bool look_privileges(struct probe *p)
{
    char text[16];

    status_of("NoNewPrivs", text, sizeof(text));
    return strcmp(text, "1") == 0 ? probe_holds(p, "no new ones by any program")
                                  : probe_broken(p, "a set-id program could give some");
}

/* ---- the container --------------------------------------------------------------------------- */

static bool may_call(const char *calls, unsigned number)
{
    size_t digit = number / 4;
    int c = digit < strlen(calls) ? calls[digit] : '0';
    unsigned value = (unsigned)(c >= 'a' ? c - 'a' + 10 : c - '0');

    return number == CALL_EXEMPT || value & (8u >> number % 4);
}

/* What a child came to; in memory that is shared with it. */
struct tried {
    unsigned at; /* the call that it makes, or made last */
    bool passed; /* that one was not refused */
};

static void try_calls(const char *calls, volatile struct tried *t)
{
    for (t->at = 0; t->at < PROBE_CALLS; t->at++) {
        if (may_call(calls, t->at))
            continue;
        errno = 0;
        if (syscall(t->at, 0, 0, 0, 0, 0, 0) != -1 || (errno != EPERM && errno != ENOSYS)) {
            t->passed = true;
            return;
        }
    }
}

static bool look_seccomp(struct probe *p)
{
    volatile struct tried *t;
    unsigned n = 0;
    char mode[16];
    pid_t pid;

    status_of("Seccomp", mode, sizeof(mode));
    if (strcmp(mode, "2") != 0)
        return probe_broken(p, "no filter");
    if (!p->calls)
        return probe_holds(p, "a filter");
    t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (t == MAP_FAILED)
        return probe_broken(p, "no memory to try them");
    pid = fork();
    if (pid == 0) {
        try_calls(p->calls, t);
        _exit(0);
    }
    if (pid < 0 || waitpid(pid, NULL, 0) != pid)
        return probe_broken(p, "they could not be tried");
    if (t->at < PROBE_CALLS)
        return probe_broken(p, "system call %u %s", t->at,
                            t->passed ? "was not refused" : "ended the process");
    for (unsigned i = 0; i < PROBE_CALLS; i++)
        n += !may_call(p->calls, i);
    return probe_holds(p, "%u system calls that are not listed were refused", n);
}

/* Up to `n` numbers of the first line of a file; returns how many there were. */
static size_t read_numbers(const char *path, long *ret, size_t n)
{
    FILE *f = fopen(path, "re");
    char line[LINE_MAX_] = "", *at = line;
    size_t found = 0;

    if (f && !fgets(line, sizeof(line), f))
        line[0] = '\0';
    if (f)
        (void)fclose(f);
    while (found < n) {
        char *end = at;

        ret[found] = strtol(at, &end, 10);
        if (end == at)
            break;
        found++;
        at = end;
    }
    return found;
}

static bool look_namespaces(struct probe *p)
{
    long map[3]; /* first id inside, first outside, how many */
    bool known = read_numbers("/proc/self/uid_map", map, COUNT(map)) == COUNT(map);
    DIR *d = opendir("/proc");
    unsigned seen = 0;

    for (struct dirent *en; d && (en = readdir(d));)
        seen += en->d_name[0] >= '1' && en->d_name[0] <= '9';
    if (d)
        (void)closedir(d);
    if (seen == 0)
        return probe_broken(p, "/proc cannot be read");
    if (!known || map[0] == map[1])
        return probe_broken(p, "its ids are the guest's own");
    if (unshare(CLONE_NEWUSER) == 0)
        return probe_broken(p, "it could make a user namespace");
    /* init, this, and nobody else: a sandbox's other commands have namespaces of their own. */
    if (seen > 2)
        return probe_broken(p, "it sees %u processes", seen);
    return probe_holds(p, "users %ld to %ld, %u processes to see", map[1], map[1] + map[2] - 1,
                       seen);
}

/* Is `dir` one of those, which commas separate? */
static bool is_listed(const char *list, const char *dir)
{
    size_t len = strlen(dir);

    for (const char *at = list; at && *at; at += strcspn(at, ","), at += *at == ',')
        if (strcspn(at, ",") == len && strncmp(at, dir, len) == 0)
            return true;
    return false;
}

static bool takes_writes(const char *dir)
{
    char path[LINE_MAX_ + 32];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/.lazaret-probe", dir);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    (void)close(fd);
    (void)unlink(path);
    return true;
}

/* The next mount point, or NULL. They have no spaces here, and are never longer than a line. */
static char *next_mount(FILE *f, char line[LINE_MAX_])
{
    while (f && fgets(line, LINE_MAX_, f)) {
        char *at = line, *word = NULL;

        for (int i = 0; i < 5; i++)
            word = strsep(&at, " ");
        if (word)
            return word;
    }
    return NULL;
}

static bool look_mounts(struct probe *p)
{
    static const char own[] = "/tmp,/dev/shm";
    static const char *const dirs[] = {"/",    "/etc", "/usr", "/bin", "/lib",
                                       "/var", "/opt", "/srv", "/home"};
    FILE *f = fopen("/proc/self/mountinfo", "re");
    char line[LINE_MAX_];
    unsigned seen = 0;
    bool root_writes = p->root && strcmp(p->root, "rw") == 0;
    struct statvfs root;

    if (f && p->root && !root_writes && (statvfs("/", &root) < 0 || !(root.f_flag & ST_RDONLY)))
        probe_broken(p, "the root is not read-only");
    if (!f || !p->root)
        return f ? (void)fclose(f), probe_holds(p, "any") : probe_broken(p, "they cannot be read");
    for (char *at; p->text[0] == '\0' && (at = next_mount(f, line)); seen++) {
        struct statvfs fs;

        if (is_listed(own, at) && (statvfs(at, &fs) < 0 || !(fs.f_flag & ST_NOEXEC) ||
                                   !(fs.f_flag & ST_NOSUID) || !(fs.f_flag & ST_NODEV)))
            probe_broken(p, "'%.100s' is not noexec, nosuid and nodev", at);
        else if (is_listed(p->places, at) &&
                 (statvfs(at, &fs) < 0 || !(fs.f_flag & ST_NOSUID) || !(fs.f_flag & ST_NODEV)))
            probe_broken(p, "'%.100s' is not nosuid and nodev", at);
        else if (!is_listed(own, at) && !is_listed(p->places, at) && strcmp(at, "/") != 0 &&
                 takes_writes(at))
            probe_broken(p, "'%.100s' takes writes", at);
    }
    (void)fclose(f);
    for (size_t i = 0; p->text[0] == '\0' && !root_writes && i < COUNT(dirs); i++)
        if (takes_writes(dirs[i]))
            probe_broken(p, "'%s' takes writes", dirs[i]);
    return p->text[0] == '\0' && probe_holds(p, "nothing else takes writes (%u mounts)", seen);
}

static bool look_devices(struct probe *p)
{
    static const char known[] = "null,zero,full,random,urandom,tty,ptmx,pts,shm,fd,stdin,stdout,"
                                "stderr,core,console,mqueue";
    DIR *d = opendir("/dev");
    unsigned n = 0;

    for (struct dirent *en; d && p->text[0] == '\0' && (en = readdir(d));)
        if (en->d_name[0] != '.' && n++ < UINT32_MAX && !is_listed(known, en->d_name))
            probe_broken(p, "/dev has '%.80s'", en->d_name);
    if (d)
        (void)closedir(d);
    if (p->text[0])
        return false;
    if (mknod("/tmp/.lazaret-probe", S_IFBLK | 0600, makedev(254, 0)) == 0) {
        (void)unlink("/tmp/.lazaret-probe");
        return probe_broken(p, "it could make a device node");
    }
    return n ? probe_holds(p, "the %u listed ones, and none can be made", n)
             : probe_broken(p, "they cannot be read");
}

static bool look_windows(struct probe *p)
{
    static const char *const files[] = {"/proc/kcore",
                                        "/proc/kallsyms",
                                        "/proc/kmsg",
                                        "/proc/modules",
                                        "/proc/sched_debug",
                                        "/proc/keys",
                                        "/proc/config.gz",
                                        "/sys/kernel/security/lockdown",
                                        "/sys/firmware/acpi/tables/DSDT"};
    static const char *const levers[] = {"/proc/sysrq-trigger", "/proc/sys/kernel/hostname",
                                         "/proc/sys/kernel/core_pattern",
                                         "/proc/sys/vm/overcommit_memory"};

    for (size_t i = 0; i < COUNT(files); i++) {
        int fd = open(files[i], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        char byte;
        ssize_t n = fd < 0 ? -1 : read(fd, &byte, 1);

        if (fd >= 0)
            (void)close(fd);
        if (n > 0)
            return probe_broken(p, "'%s' can be read", files[i]);
    }
    for (size_t i = 0; i < COUNT(levers); i++) {
        struct stat st;
        int fd = open(levers[i], O_WRONLY | O_CLOEXEC);
        bool mask = fd >= 0 && fstat(fd, &st) == 0 && S_ISCHR(st.st_mode); /* /dev/null */

        if (fd >= 0)
            (void)close(fd);
        if (fd >= 0 && !mask)
            return probe_broken(p, "'%s' can be written", levers[i]);
    }
    return probe_holds(p, "masked or read-only");
}

/* ---- the network ----------------------------------------------------------------------------- */

static bool look_interfaces(struct probe *p)
{
    struct if_nameindex *list = if_nameindex();

    if (!list)
        return probe_broken(p, "they cannot be listed");
    for (struct if_nameindex *i = list; i && i->if_name; i++)
        if (strcmp(i->if_name, "lo") != 0)
            probe_broken(p, "it has '%.32s'", i->if_name);
    if_freenameindex(list);
    return p->text[0] == '\0' && probe_holds(p, "no interface but lo");
}

static bool look_addresses(struct probe *p)
{
    /* A resolver, the metadata service, QEMU's and libvirt's usual host, private ranges. */
    static const char *const addresses[] = {"1.1.1.1",     "169.254.169.254", "10.0.2.2",
                                            "10.0.2.3",    "192.168.122.1",   "172.17.0.1",
                                            "192.168.0.1", "10.0.0.1",        "100.100.100.200"};

    for (size_t i = 0; i < COUNT(addresses); i++) {
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(80)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        int rc;

        (void)inet_pton(AF_INET, addresses[i], &to.sin_addr);
        rc = fd < 0 ? -1 : connect(fd, (struct sockaddr *)&to, sizeof(to));
        if (fd >= 0 && (rc == 0 || (errno != ENETUNREACH && errno != EACCES && errno != EPERM))) {
            (void)close(fd);
            return probe_broken(p, "%s has a route", addresses[i]);
        }
        if (fd >= 0)
            (void)close(fd);
    }
    return probe_holds(p, "%zu addresses tried, none has a route", COUNT(addresses));
}

/* ---- all of them ------------------------------------------------------------------------------
 */

static bool (*const looks[PROBE_LOOKS])(struct probe *p) = {
    [PROBE_KERNEL] = probe_look_kernel,
    [PROBE_NAMESPACES] = look_namespaces,
    [PROBE_SECCOMP] = look_seccomp,
    [PROBE_ARMOR] = probe_look_armor,
    [PROBE_CAPABILITIES] = look_capabilities,
    [PROBE_PRIVILEGES] = look_privileges,
    [PROBE_MOUNTS] = look_mounts,
    [PROBE_DEVICES] = look_devices,
    [PROBE_WINDOWS] = look_windows,
    [PROBE_INTERFACES] = look_interfaces,
    [PROBE_ADDRESSES] = look_addresses,
    [PROBE_PROCESSES] = probe_look_processes,
    [PROBE_MEMORY] = probe_look_memory,
    [PROBE_TMP] = probe_look_tmp,
    [PROBE_DISK] = probe_look_disk,
    [PROBE_USER] = look_user,
    [PROBE_LIMITS] = probe_look_limits,
    [PROBE_CGROUP] = probe_look_cgroup,
};

static int parse(char *const argv[], struct probe *p)
{
    const struct {
        const char *key;
        uint64_t *number;
        const char **text;
    } keys[] = {
        {"uid", &p->uid, NULL},     {"gid", &p->gid, NULL},
        {"pids", &p->pids, NULL},   {"tmp", &p->tmp, NULL},
        {"disk", &p->disk, NULL},   {"memory", &p->memory, NULL},
        {"root", NULL, &p->root},   {"places", NULL, &p->places},
        {"calls", NULL, &p->calls}, {"profile", NULL, &p->profile},
        {"cpu", &p->cpu_s, NULL},   {"addresses", &p->addresses, NULL},
        {"file", &p->file, NULL},   {"files", &p->files, NULL},
    };

    for (; *argv; argv++) {
        const char *value = strchr(*argv, '=');
        size_t i = 0, len = value ? (size_t)(value++ - *argv) : 0;
        char *end = NULL;

        while (i < COUNT(keys) &&
               (strlen(keys[i].key) != len || strncmp(keys[i].key, *argv, len) != 0))
            i++;
        if (!value || i == COUNT(keys))
            return -1;
        if (keys[i].text)
            *keys[i].text = value;
        else
            *keys[i].number = strtoull(value, &end, 10);
        if (keys[i].number && (end == value || *end))
            return -1;
    }
    return 0;
}

bool probe_say(const struct probe *p, uint32_t look, bool holds)
{
    struct probe_row row = {.look = look, .verdict = holds ? PROBE_HOLDS : PROBE_BROKEN};

    memcpy(row.text, p->text, sizeof(row.text));
    return write(STDOUT_FILENO, &row, sizeof(row)) == sizeof(row);
}

int probe_main(char *const argv[])
{
    struct probe p = {.uid = PROBE_NOT_GIVEN,
                      .gid = PROBE_NOT_GIVEN,
                      .pids = PROBE_NOT_GIVEN,
                      .memory = PROBE_NOT_GIVEN,
                      .tmp = PROBE_NOT_GIVEN,
                      .disk = PROBE_NOT_GIVEN,
                      .cpu_s = PROBE_NOT_GIVEN,
                      .addresses = PROBE_NOT_GIVEN,
                      .file = PROBE_NOT_GIVEN,
                      .files = PROBE_NOT_GIVEN};
    int status = 0;

    if (parse(argv, &p) < 0)
        return 2;
    for (uint32_t i = 0; i < PROBE_LOOKS; i++) {
        bool holds;

        p.text[0] = '\0';
        holds = looks[i](&p);
        status |= !holds;
        if (!probe_say(&p, i, holds))
            return 2;
    }
    return status;
}
