/* prove: every promise about a sandbox that is up. See prove.h. */
#include "run/prove.h"

#include "base/own.h"
#include "oci/oci.h"
#include "run/sandbox_private.h"
#include "shared/guest.h"
#include "shared/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ASK_S    30
#define PROBE_MS 300000u /* a memory limit of many GiB is hit for real */

/* By what README calls the layers. */
struct look {
    const char *name;
    unsigned layer;
};

static const struct look looks[PROBE_LOOKS] = {
    [PROBE_KERNEL] = {"guest-kernel", 3},
    [PROBE_NAMESPACES] = {"job-namespaces", 2},
    [PROBE_SECCOMP] = {"job-seccomp", 2},
    [PROBE_ARMOR] = {"job-apparmor", 2},
    [PROBE_CAPABILITIES] = {"job-capabilities", 2},
    [PROBE_PRIVILEGES] = {"job-privileges", 2},
    [PROBE_MOUNTS] = {"job-mounts", 2},
    [PROBE_DEVICES] = {"job-devices", 2},
    [PROBE_WINDOWS] = {"job-windows", 2},
    [PROBE_INTERFACES] = {"job-interfaces", 2},
    [PROBE_ADDRESSES] = {"job-addresses", 2},
    [PROBE_PROCESSES] = {"job-processes", 2},
    [PROBE_MEMORY] = {"job-memory", 2},
    [PROBE_TMP] = {"job-tmp", 2},
    [PROBE_DISK] = {"job-disk", 2},
    [PROBE_USER] = {"job-user", 1},
    [PROBE_LIMITS] = {"job-limits", 1},
    [PROBE_CGROUP] = {"job-cgroup", 2},
};

/* Of a plan that declares any. */
static const struct look declared[PROBE_DECLARED_LOOKS] = {
    [PROBE_READS] = {"job-read-paths", 2},
    [PROBE_WRITES] = {"job-write-paths", 2},
    [PROBE_PROGRAMS] = {"job-programs", 2},
};

static void add(struct doc *list, unsigned layer, const char *name, const char *verdict,
                const char *seen, const char *by)
{
    struct doc *d = doc_new_object();

    doc_set_u64(d, "layer", layer);
    doc_set_str(d, "name", name);
    doc_set_str(d, "verdict", verdict);
    doc_set_str(d, "seen", seen);
    doc_set_str(d, "by", by);
    doc_add(list, d);
}

static void add_rows(struct doc *list, const struct fence *f)
{
    for (uint32_t i = 0; i < f->n && i < FENCE_ROWS_MAX; i++)
        add(list, f->rows[i].layer, f->rows[i].name, fence_verdict_name(f->rows[i].verdict),
            f->rows[i].text, "host");
}

static int outside(const char *data_dir, const char *name, struct doc *list, struct err *e)
{
    struct fence gateway = {0};
    struct talk_answer a;

    if (sandbox_ask(data_dir, name, &(struct talk_request){.what = TALK_FENCE}, ASK_S, &a, e) < 0)
        return -1;
    add_rows(list, &a.fence);
    if (a.fence.gateway > 0)
        fence_read_rights(
            &(struct fence_process){
                .who = "gateway", .pid = a.fence.gateway, .not_uid = 0, .filters = 1},
            &gateway);
    add_rows(list, &gateway);
    return 0;
}

static void add_arguments(struct strv *argv, const struct plan *p)
{
    own_free char *calls = oci_allowed_calls();

    strv_add(argv, GUEST_JOB_INIT);
    strv_add(argv, PROBE_ALL);
    strv_addf(argv, "uid=%u", (unsigned)p->uid);
    strv_addf(argv, "gid=%u", (unsigned)p->gid);
    strv_addf(argv, "pids=%" PRIu64, p->pids);
    strv_addf(argv, "memory=%" PRIu64, p->memory_bytes);
    strv_addf(argv, "tmp=%" PRIu64, p->tmp_bytes);
    strv_addf(argv, "disk=%" PRIu64, p->disk_bytes);
    strv_addf(argv, "cpu=%" PRIu64, p->cpu_time_ms / 1000);
    strv_addf(argv, "addresses=%" PRIu64, p->address_space_bytes);
    strv_addf(argv, "file=%" PRIu64, p->file_size_bytes);
    strv_addf(argv, "files=%" PRIu64, p->open_files);
    strv_addf(argv, "root=%s", p->writable_root ? "rw" : "ro");
    strv_add(argv, "places=/work");
    if (p->apparmor)
        strv_add(argv, "profile=" GUEST_PROFILE);
    strv_addf(argv, "calls=%s", calls);
}

int prove_take_rows(int fd, enum prove_probe probe, bool armor, struct doc *list, struct err *e)
{
    const struct look *of = probe == PROVE_JOB ? looks : declared;
    const uint32_t n_looks = probe == PROVE_JOB ? PROBE_LOOKS : PROBE_DECLARED_LOOKS;
    struct probe_row rows[PROBE_LOOKS + 1];
    ssize_t n = pread(fd, rows, sizeof(rows), 0);

    if (n != (ssize_t)(n_looks * sizeof(rows[0])))
        return err_set(e, ERR_GUEST, "the probe did not say what it saw");
    for (uint32_t i = 0; i < n_looks; i++) {
        char text[4 * PROBE_TEXT_SIZE];

        if (rows[i].look != i || rows[i].verdict < PROBE_HOLDS || rows[i].verdict > PROBE_BROKEN)
            return err_set(e, ERR_GUEST, "the probe did not say what it saw");
        if (probe == PROVE_JOB && i == PROBE_ARMOR && !armor) {
            add(list, of[i].layer, of[i].name, "absent",
                "this host compiles none (Debian's package 'apparmor')", "host");
            continue;
        }
        str_escape(text, sizeof(text), rows[i].text, strnlen(rows[i].text, PROBE_TEXT_SIZE));
        add(list, of[i].layer, of[i].name, rows[i].verdict == PROBE_HOLDS ? "holds" : "broken",
            text, "guest");
    }
    return 0;
}

/* Runs a probe; what it says is in `spool`. */
static int ask(const char *data_dir, const char *name, const struct strv *argv, int spool,
               struct err *e)
{
    own_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    const struct strv no_env = {0};
    const int streams[3] = {-1, spool, null};
    struct run_result r = {0};

    if (spool < 0 || null < 0)
        return err_sys(e, ERR_HOST, errno, "cannot make room for what the probe says");
    if (sandbox_exec(
            data_dir, name,
            &(struct sandbox_exec){.argv = argv,
                                   .env = &no_env,
                                   .workdir = "/",
                                   .timeout_ms = PROBE_MS,
                                   .streams = streams,
                                   .max_bytes = 2 * PROBE_LOOKS * sizeof(struct probe_row)},
            &r, e) < 0)
        return -1;
    if (r.err.class != ERR_NONE) {
        *e = r.err;
        return -1;
    }
    return 0;
}

/* The list of resolvers is declared with the way out (oci.c). */
static size_t count_declared(const struct plan *p)
{
    return p->declared.read.n + p->declared.write.n + p->declared.exec.n + (p->egress ? 1 : 0);
}

static int inside_declared(const char *data_dir, const char *name, const struct plan *plan,
                           struct doc *list, struct err *e)
{
    own_close int spool = memfd_create("lazaret-probe", MFD_CLOEXEC);
    own_strv struct strv argv = {0};

    strv_add(&argv, GUEST_JOB_INIT);
    strv_add(&argv, PROBE_DECLARED);
    strv_addf(&argv, "%zu", count_declared(plan));
    return ask(data_dir, name, &argv, spool, e) < 0
               ? -1
               : prove_take_rows(spool, PROVE_DECLARED, plan->apparmor, list, e);
}

static int inside(const char *data_dir, const char *name, struct doc *list, struct err *e)
{
    own_close int spool = memfd_create("lazaret-probe", MFD_CLOEXEC);
    own_plan struct plan *plan = NULL;
    own_strv struct strv argv = {0};

    if (sandbox_plan(data_dir, name, &plan, e) < 0)
        return -1;
    add_arguments(&argv, plan);
    if (ask(data_dir, name, &argv, spool, e) < 0 ||
        prove_take_rows(spool, PROVE_JOB, plan->apparmor, list, e) < 0)
        return -1;
    return plan_is_declared(plan) ? inside_declared(data_dir, name, plan, list, e) : 0;
}

static bool has_broken(const struct doc *list)
{
    const char *verdict;

    for (size_t i = 0; i < doc_len(list); i++)
        if (doc_get_str(doc_at(list, i), "verdict", &verdict, &(struct err){0}) == 0 &&
            strcmp(verdict, "broken") == 0)
            return true;
    return false;
}

/* In one that is held nothing can be tried: what broke is what there is to say. */
int prove_sandbox(const char *data_dir, const char *name, struct doc **ret, struct err *e)
{
    own_doc struct doc *list = doc_new_array();

    if (outside(data_dir, name, list, e) < 0 ||
        (inside(data_dir, name, list, e) < 0 && !(e->class == ERR_FENCE && has_broken(list))))
        return -1;
    *ret = own_steal_ptr(list);
    return 0;
}
