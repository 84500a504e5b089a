/* fence: what confines a guest, read from its live processes and its live domain. See fence.h. */
#include "run/fence.h"

#include "base/file.h"
#include "base/landlock.h"
#include "base/own.h"
#include "base/str.h"
#include "domain/domain.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LAYER_QEMU   5
#define LAYER_DEVICE 4
#define PROC_MAX     65536 /* bytes of one file below /proc */

static const char *const kinds[FENCE_NAMESPACES] = {"pid", "mnt", "net", "ipc", "uts"};

static ino_t namespace_of(const char *pid, const char *kind)
{
    own_free char *path = str_printf("/proc/%s/ns/%s", pid, kind);
    struct stat st;

    return stat(path, &st) == 0 ? st.st_ino : 0;
}

void fence_note_host(struct fence_host *ret)
{
    for (size_t i = 0; i < FENCE_NAMESPACES; i++)
        ret->namespaces[i] = namespace_of("self", kinds[i]);
}

void fence_add(struct fence *f, unsigned layer, const char *name, enum fence_verdict verdict,
               const char *fmt, ...)
{
    struct fence_row *r = &f->rows[f->n];
    char text[FENCE_TEXT_SIZE];
    va_list ap;

    if (f->n == FENCE_ROWS_MAX)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    *r = (struct fence_row){.layer = layer, .verdict = verdict};
    snprintf(r->name, sizeof(r->name), "%s", name);
    str_escape(r->text, sizeof(r->text), text, strlen(text));
    f->n++;
}

/* A row about one process. */
#define SAY(f, p, what, verdict, ...)                                                              \
    do {                                                                                           \
        own_free char *name_ = str_printf("%s-%s", (p)->who, (what));                              \
                                                                                                   \
        fence_add((f), LAYER_QEMU, name_, (verdict), __VA_ARGS__);                                 \
    } while (0)

/* Returns new, or NULL: a file of a process, at most PROC_MAX bytes. Such files tell no size. */
static char *proc_file(pid_t pid, const char *name)
{
    own_free char *path = str_printf("/proc/%d/%s", (int)pid, name);
    own_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    own_free char *text = malloc(PROC_MAX + 1);
    ssize_t len = fd < 0 || !text ? -1 : file_read_up_to(fd, text, PROC_MAX);

    if (len < 0)
        return NULL;
    text[len] = '\0';
    return own_steal_ptr(text);
}

/* The value of "Key:\tvalue" in /proc/PID/status, into `ret`, or "". */
static void status_of(const char *status, const char *key, char *ret, size_t size)
{
    own_free char *start = str_printf("\n%s:\t", key);
    const char *at = status ? strstr(status, start) : NULL;

    ret[0] = '\0';
    if (!at)
        return;
    at += strlen(start);
    snprintf(ret, size, "%.*s", (int)strcspn(at, "\n"), at);
}

static void read_user(const struct fence_process *p, const char *status, struct fence *f)
{
    unsigned long ids[4]; /* real, effective, saved, of the file system */
    char text[64], *at = text;

    status_of(status, "Uid", text, sizeof(text));
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        char *end = at;

        ids[i] = strtoul(at, &end, 10);
        if (end == at) {
            SAY(f, p, "user", FENCE_BROKEN, "its user cannot be read");
            return;
        }
        if (ids[i] != ids[0]) {
            SAY(f, p, "user", FENCE_BROKEN, "it can change from uid %lu to %lu", ids[0], ids[i]);
            return;
        }
        at = end;
    }
    SAY(f, p, "user", ids[0] == p->not_uid ? FENCE_BROKEN : FENCE_HOLDS, "uid %lu", ids[0]);
}

/* The first set that is not empty, or NULL. */
static const char *held_capabilities(const char *status, char *text, size_t size)
{
    static const char *const sets[] = {"CapInh", "CapPrm", "CapEff", "CapAmb"};

    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        status_of(status, sets[i], text, size);
        if (!text[0] || strspn(text, "0") != strlen(text))
            return sets[i];
    }
    return NULL;
}

/* Who traces a process has its memory and its registers. */
static void read_tracer(const struct fence_process *p, const char *status, struct fence *f)
{
    char text[16];

    status_of(status, "TracerPid", text, sizeof(text));
    if (strcmp(text, "0") == 0)
        SAY(f, p, "tracer", FENCE_HOLDS, "nobody traces it");
    else
        SAY(f, p, "tracer", FENCE_BROKEN, "process %s traces it", text[0] ? text : "?");
}

static void read_privileges(const struct fence_process *p, const char *status, struct fence *f)
{
    char text[64];
    const char *set = held_capabilities(status, text, sizeof(text));

    if (set)
        SAY(f, p, "capabilities", FENCE_BROKEN, "%s is %s", set, text[0] ? text : "unknown");
    else
        SAY(f, p, "capabilities", FENCE_HOLDS, "none");
    status_of(status, "NoNewPrivs", text, sizeof(text));
    if (strcmp(text, "1") == 0)
        SAY(f, p, "privileges", FENCE_HOLDS, "it can gain none");
    else
        SAY(f, p, "privileges", FENCE_BROKEN, "it may gain new ones");
}

static void read_seccomp(const struct fence_process *p, const char *status, struct fence *f)
{
    char mode[16], filters[16];
    bool holds;

    status_of(status, "Seccomp", mode, sizeof(mode));
    status_of(status, "Seccomp_filters", filters, sizeof(filters));
    holds = strcmp(mode, "2") == 0 && strtoul(filters, NULL, 10) >= p->filters;
    SAY(f, p, "seccomp", holds ? FENCE_HOLDS : FENCE_BROKEN, "%s (filters: %s)",
        strcmp(mode, "2") == 0   ? "a filter"
        : strcmp(mode, "0") == 0 ? "no filter"
                                 : "unknown",
        filters[0] ? filters : "?");
}

static void read_namespaces(const struct fence_process *p, struct fence *f)
{
    own_free char *pid = str_printf("%d", (int)p->pid);

    for (size_t i = 0; i < FENCE_NAMESPACES; i++) {
        ino_t its = namespace_of(pid, kinds[i]);

        if (its && p->host->namespaces[i] && its != p->host->namespaces[i])
            continue;
        SAY(f, p, "namespaces", FENCE_BROKEN, "%s the host's %s namespace",
            its && p->host->namespaces[i] ? "it is in" : "it cannot be told from", kinds[i]);
        return;
    }
    SAY(f, p, "namespaces", FENCE_HOLDS, "its own: pid, mount, network, ipc, uts");
}

static void read_limits(const struct fence_process *p, struct fence *f)
{
    static const char key[] = "Max core file size";
    own_free char *limits = proc_file(p->pid, "limits");
    const char *at = limits ? strstr(limits, key) : NULL;
    char soft[32] = "?", hard[32] = "?";

    if (at)
        sscanf(at + sizeof(key) - 1, "%31s %31s", soft, hard);
    /* With 0 no file is written, but a program that core_pattern names gets the core: core(5). */
    if (strcmp(hard, "1") == 0)
        SAY(f, p, "core", FENCE_HOLDS, "no core dumps, to a program neither");
    else
        SAY(f, p, "core", strcmp(hard, "0") == 0 ? FENCE_HOLDS : FENCE_BROKEN,
            strcmp(hard, "0") == 0 ? "no core dumps to files" : "core dumps of up to %s bytes",
            hard);
}

/* One line each, behind two of headings. */
static void read_network(const struct fence_process *p, struct fence *f)
{
    own_free char *text = proc_file(p->pid, "net/dev");
    char *line, *rest = text;
    unsigned n = 0;

    while ((line = strsep(&rest, "\n"))) {
        char name[32];

        if (n++ < 2 || sscanf(line, " %31[^:]:", name) != 1 || strcmp(name, "lo") == 0)
            continue;
        SAY(f, p, "network", FENCE_BROKEN, "it has the interface '%s'", name);
        return;
    }
    if (n > 2)
        SAY(f, p, "network", FENCE_HOLDS, "no interface but lo");
    else
        SAY(f, p, "network", FENCE_BROKEN, "its interfaces cannot be read");
}

static bool may_be_open(const char *target, const char *const *files)
{
    static const char *const harmless[] = {"socket:[",  "pipe:[",      "anon_inode:",  "/dev/null",
                                           "/dev/zero", "/memfd:",     "/dev/pts/",    "/dev/ptmx",
                                           "/dev/kvm",  "/dev/random", "/dev/urandom", NULL};

    for (size_t i = 0; harmless[i]; i++)
        if (strncmp(target, harmless[i], strlen(harmless[i])) == 0)
            return true;
    for (size_t i = 0; files && files[i]; i++)
        if (strncmp(target, files[i], strlen(files[i])) == 0)
            return true;
    return false;
}

static void read_files(const struct fence_process *p, struct fence *f)
{
    own_free char *path = str_printf("/proc/%d/fd", (int)p->pid);
    own_closedir DIR *d = opendir(path);
    unsigned n = 0;

    for (struct dirent *en; d && (errno = 0, en = readdir(d));) {
        char target[256];
        ssize_t len = readlinkat(dirfd(d), en->d_name, target, sizeof(target) - 1);

        if (len < 0 && (errno == EINVAL || errno == ENOENT))
            continue; /* "." and "..", or closed meanwhile */
        if (len < 0)
            break;
        target[len] = '\0';
        n++;
        if (may_be_open(target, p->files))
            continue;
        SAY(f, p, "files", FENCE_BROKEN, "it holds '%.120s'", target);
        return;
    }
    if (errno)
        n = 0; /* what is behind that was not seen */
    SAY(f, p, "files", n ? FENCE_HOLDS : FENCE_BROKEN,
        n ? "nothing but what it was given (%u open)" : "its open files cannot be read", n);
}

void fence_read_process(const struct fence_process *p, struct fence *f)
{
    own_free char *status = proc_file(p->pid, "status");

    read_user(p, status, f);
    read_privileges(p, status, f);
    read_seccomp(p, status, f);
    read_tracer(p, status, f);
    read_namespaces(p, f);
    read_network(p, f);
    read_limits(p, f);
    if (!p->any_file)
        read_files(p, f);
}

bool fence_is_stopped(pid_t pid)
{
    own_free char *status = proc_file(pid, "status");
    char state[16];

    status_of(status, "State", state, sizeof(state));
    return state[0] == 'T'; /* by a signal; a tracer's stop is 't' */
}

/* Of numbers with a space before each, the one behind `n` others. */
static unsigned long number_behind(const char *text, unsigned n)
{
    for (; n > 0; n--) {
        text += strspn(text, " ");
        text += strcspn(text, " ");
    }
    return strtoul(text, NULL, 10);
}

bool fence_is_ending(pid_t pid)
{
    const unsigned long exiting = 0x4; /* PF_EXITING of the kernel's linux/sched.h */
    own_free char *stat = proc_file(pid, "stat");
    const char *at = stat ? strrchr(stat, ')') : NULL; /* the end of its name: proc(5) */

    return at && number_behind(at + 1, 6) & exiting && number_behind(at + 1, 17) == 1;
}

void fence_read_rights(const struct fence_process *p, struct fence *f)
{
    own_free char *status = proc_file(p->pid, "status");

    read_user(p, status, f);
    read_privileges(p, status, f);
    read_seccomp(p, status, f);
    read_limits(p, f);
}

/* A file that is none of its own, and that every user may read. */
static void try_landlock(const struct fence_process *p, struct hv *h, struct fence *f)
{
    static const char others[] = "/etc/passwd";
    bool opened = false;
    struct err e;

    if (h && hv_opens(h, others, &opened, &e) < 0)
        SAY(f, p, "landlock", FENCE_BROKEN, "%s", e.text);
    else if (opened)
        SAY(f, p, "landlock", FENCE_BROKEN, "it opens '%s'", others);
    else if (h)
        SAY(f, p, "landlock", FENCE_HOLDS, "it does not open '%s'", others);
    else
        SAY(f, p, "landlock", FENCE_HOLDS, "set before QEMU began");
}

void fence_read_guards(pid_t qemu, struct hv *h, struct fence *f)
{
    const struct fence_process p = {.who = "qemu", .pid = qemu};
    own_free char *its = proc_file(qemu, "cgroup"), *ours = proc_file(getpid(), "cgroup");
    own_free char *label = proc_file(qemu, "attr/current");

    if (landlock_abi() > 0)
        try_landlock(&p, h, f);
    else
        SAY(f, &p, "landlock", FENCE_ABSENT, "this host's kernel has none");
    if (its && ours && strcmp(its, ours) != 0)
        SAY(f, &p, "cgroup", FENCE_HOLDS, "%.*s", (int)strcspn(its, "\n"), its);
    else
        SAY(f, &p, "cgroup", FENCE_ABSENT, "this host gave it none of its own");
    if (label && label[0] && strncmp(label, "unconfined", 10) != 0)
        SAY(f, &p, "label", FENCE_HOLDS, "%.*s", (int)strcspn(label, "\n"), label);
    else
        SAY(f, &p, "label", FENCE_ABSENT, "this host has no security module that labels it");
}

/* What libvirt says of every x86 machine, and of q35, whatever its XML was: parts of the board. */
static bool is_of_the_board(const char *device)
{
    return strcmp(device, "input:keyboard") == 0 || strcmp(device, "input:mouse") == 0 ||
           strcmp(device, "controller:sata") == 0;
}

void fence_compare_devices(const char *live, const char *xml, struct fence *f)
{
    own_strv struct strv want = {0}, have = {0};
    struct err e;
    size_t w = 0;

    if (domain_devices(live, &have, &e) < 0 || domain_devices(xml, &want, &e) < 0) {
        fence_add(f, LAYER_DEVICE, "devices", FENCE_BROKEN, "%s", e.text);
        return;
    }
    for (size_t i = 0; i < have.n; i++) {
        int order = w < want.n ? strcmp(have.items[i], want.items[w]) : -1;

        if (order > 0)
            break;
        w += order == 0;
        if (order == 0 || is_of_the_board(have.items[i]))
            continue;
        fence_add(f, LAYER_DEVICE, "devices", FENCE_BROKEN, "'%.100s' is not of its plan",
                  have.items[i]);
        return;
    }
    if (w < want.n)
        fence_add(f, LAYER_DEVICE, "devices", FENCE_BROKEN, "'%.100s' is missing", want.items[w]);
    else
        fence_add(f, LAYER_DEVICE, "devices", FENCE_HOLDS, "the %zu of its plan", want.n);
}

void fence_compare_shape(const char *live, const char *xml, struct fence *f)
{
    struct domain_shape shape;
    struct err e;

    if (domain_compare(live, xml, &shape, &e) < 0)
        fence_add(f, LAYER_DEVICE, "shape", FENCE_BROKEN, "%s", e.text);
    else if (shape.wrong[0])
        fence_add(f, LAYER_DEVICE, "shape", FENCE_BROKEN, "%s", shape.wrong);
    else
        fence_add(f, LAYER_DEVICE, "shape", FENCE_HOLDS,
                  "the %zu elements and attributes of its plan, %zu that libvirt adds",
                  shape.of_plan, shape.of_libvirt);
}

const char *fence_verdict_name(uint32_t verdict)
{
    static const char *const names[] = {
        [FENCE_HOLDS] = "holds", [FENCE_BROKEN] = "broken", [FENCE_ABSENT] = "absent"};

    return verdict >= FENCE_HOLDS && verdict <= FENCE_ABSENT ? names[verdict] : "?";
}

void fence_read_devices(struct hv *h, const char *xml, bool shape, struct fence *f)
{
    own_free char *live = NULL;
    struct err e;

    if (hv_live_xml(h, &live, &e) < 0) {
        fence_add(f, LAYER_DEVICE, "devices", FENCE_BROKEN, "%s", e.text);
        return;
    }
    fence_compare_devices(live, xml, f);
    if (shape)
        fence_compare_shape(live, xml, f);
}
