/* plan_read: a frozen plan from the JSON that plan_to_doc() made. See plan.h. */
#include "plan/plan.h"

#include "base/own.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int get_number(const struct doc *d, const char *key, uint64_t min, uint64_t max,
                      uint64_t *ret, struct err *e)
{
    if (doc_get_u64(d, key, ret, e) < 0)
        return -1;
    if (*ret < min || *ret > max)
        return err_set(e, ERR_HOST, "%s: %" PRIu64 " is out of range", key, *ret);
    return 0;
}

static int get_text(const struct doc *d, const char *key, char **ret, struct err *e)
{
    const char *text;

    if (doc_get_str(d, key, &text, e) < 0)
        return -1;
    *ret = str_dup(text);
    return 0;
}

/* One of two words. */
static int get_choice(const struct doc *d, const char *key, const char *zero, const char *one,
                      int *ret, struct err *e)
{
    const char *text;

    if (doc_get_str(d, key, &text, e) < 0)
        return -1;
    *ret = strcmp(text, one) == 0;
    return *ret || strcmp(text, zero) == 0 ? 0 : err_set(e, ERR_HOST, "%s: unknown word", key);
}

static int get_machine(const struct doc *d, struct plan *p, struct err *e)
{
    int machine, accel;

    if (get_choice(d, "machine", plan_machine_name(PLAN_MICROVM), plan_machine_name(PLAN_Q35),
                   &machine, e) < 0 ||
        get_choice(d, "accel", plan_accel_name(PLAN_KVM), plan_accel_name(PLAN_TCG), &accel, e) <
            0 ||
        get_number(d, "memory_bytes", PLAN_MIB, UINT64_MAX, &p->memory_bytes, e) < 0 ||
        get_number(d, "guest_bytes", PLAN_MIB, UINT64_MAX, &p->guest_bytes, e) < 0 ||
        get_number(d, "cpus", 1, 4096, &p->cpus, e) < 0 ||
        get_number(d, "disk_bytes", PLAN_MIB, UINT64_MAX, &p->disk_bytes, e) < 0 ||
        get_number(d, "tmp_bytes", 0, UINT64_MAX, &p->tmp_bytes, e) < 0 ||
        get_number(d, "pids", 1, UINT32_MAX, &p->pids, e) < 0 ||
        get_number(d, "tsc_khz", 0, UINT64_MAX, &p->tsc_khz, e) < 0)
        return -1;
    p->machine = machine ? PLAN_Q35 : PLAN_MICROVM;
    p->accel = accel ? PLAN_TCG : PLAN_KVM;
    return 0;
}

static int get_job(const struct doc *d, struct plan *p, struct err *e)
{
    uint64_t uid, gid;

    if (get_text(d, "workdir", &p->workdir, e) < 0 || doc_get_strv(d, "command", &p->argv, e) < 0 ||
        doc_get_strv(d, "env", &p->env, e) < 0 || doc_get_strv(d, "inputs", &p->inputs, e) < 0 ||
        get_number(d, "uid", 1, 65535, &uid, e) < 0 ||
        get_number(d, "gid", 1, 65535, &gid, e) < 0 ||
        get_number(d, "timeout_ms", 0, PLAN_TIMEOUT_MAX_MS, &p->timeout_ms, e) < 0 ||
        get_number(d, "timeout_max_ms", 0, PLAN_TIMEOUT_MAX_MS, &p->timeout_max_ms, e) < 0 ||
        get_number(d, "cpu_time_ms", 0, PLAN_TIMEOUT_MAX_MS, &p->cpu_time_ms, e) < 0 ||
        get_number(d, "address_space_bytes", 0, UINT64_MAX, &p->address_space_bytes, e) < 0 ||
        get_number(d, "file_size_bytes", 0, UINT64_MAX, &p->file_size_bytes, e) < 0 ||
        get_number(d, "open_files", PLAN_FILES_MIN, PLAN_FILES_MAX, &p->open_files, e) < 0 ||
        doc_get_bool(d, "writable_root", &p->writable_root, e) < 0 ||
        (doc_has(d, "debug") && doc_get_bool(d, "debug", &p->debug, e) < 0) ||
        (doc_has(d, "trace") && doc_get_bool(d, "trace", &p->trace, e) < 0))
        return -1;
    p->uid = (uid_t)uid;
    p->gid = (gid_t)gid;
    return 0;
}

/* Sandboxes of an older lazaret do not say them. */
static int get_budget(const struct doc *d, struct plan *p, struct err *e)
{
    if (!doc_has(d, "idle_time_ms"))
        return 0;
    if (get_number(d, "disk_rate_bytes", 0, PLAN_DISK_MAX, &p->disk_rate_bytes, e) < 0 ||
        get_number(d, "disk_iops", 0, PLAN_IOPS_MAX, &p->disk_iops, e) < 0)
        return -1;
    if (get_number(d, "idle_time_ms", 0, PLAN_TIMEOUT_MAX_MS, &p->idle_time_ms, e) < 0)
        return -1;
    return get_number(d, "job_cpu_time_ms", 0, PLAN_TIMEOUT_MAX_MS, &p->job_cpu_time_ms, e);
}

/* The same. */
static int get_amnesic(const struct doc *d, struct plan *p, struct err *e)
{
    uint64_t marks;

    if (!doc_has(d, "amnesic"))
        return 0;
    if (doc_get_bool(d, "amnesic", &p->amnesic, e) < 0)
        return -1;
    if (!p->amnesic)
        return 0;
    if (get_number(d, "amnesic_bytes", PLAN_MIB, UINT64_MAX, &p->amnesic_bytes, e) < 0 ||
        get_number(d, "marks", 0, 4096, &marks, e) < 0)
        return -1;
    p->marks = (unsigned)marks;
    return 0;
}

static int get_declared(const struct doc *d, struct plan_declared *ret, struct err *e)
{
    if (!doc_has(d, "read"))
        return 0;
    return doc_get_strv(d, "read", &ret->read, e) < 0 ||
                   doc_get_strv(d, "write", &ret->write, e) < 0 ||
                   doc_get_strv(d, "exec", &ret->exec, e) < 0
               ? -1
               : 0;
}

/* Sandboxes of an older lazaret have none. */
static int get_network(const struct doc *d, struct plan *p, struct err *e)
{
    const struct doc *rules, *policies, *proxy;
    own_strv struct strv ranges = {0};

    if (!doc_has(d, "egress"))
        return 0;
    if (doc_get_bool(d, "egress", &p->egress, e) < 0)
        return -1;
    if (!p->egress)
        return 0;
    if (doc_get_array(d, "network", &rules, e) < 0 ||
        net_rules_from_doc(rules, &p->network, e) < 0 ||
        doc_get_strv(d, "network_ranges", &ranges, e) < 0 ||
        net_ranges_parse(&ranges, &p->network_ranges, e) < 0 ||
        (doc_has(d, "egress_proxy") && (doc_get_object(d, "egress_proxy", &proxy, e) < 0 ||
                                        net_proxy_from_doc(proxy, &p->egress_proxy, e) < 0)) ||
        doc_get_array(d, "network_policies", &policies, e) < 0 ||
        policies_network_from_doc(policies, &p->network_policies, e) < 0 ||
        doc_get_strv(d, "gateway_secrets", &p->gateway_secrets, e) < 0) {
        e->class = ERR_HOST;
        return -1;
    }
    return 0;
}

/* The same. */
static int get_secret_policies(const struct doc *d, struct plan *p, struct err *e)
{
    const struct doc *list;

    if (!doc_has(d, "secret_policies"))
        return 0;
    return doc_get_array(d, "secret_policies", &list, e) < 0
               ? -1
               : policies_secrets_from_doc(list, &p->secret_policies, e);
}

static int get_alerts(const struct doc *d, struct plan *p, struct err *e)
{
    const struct doc *list;

    if (!doc_has(d, "alerts"))
        return 0;
    return doc_get_array(d, "alerts", &list, e) < 0 ? -1
                                                    : alert_rules_from_doc(list, &p->alerts, e);
}

int plan_from_doc(const struct doc *d, struct plan **ret, struct err *e)
{
    own_plan struct plan *p = calloc(1, sizeof(*p));
    uint64_t version;
    const char *format;

    if (!p)
        return err_set(e, ERR_HOST, "out of memory");
    if (doc_get_str(d, "format", &format, e) < 0 ||
        get_number(d, "version", 1, 1, &version, e) < 0 || get_text(d, "image", &p->image, e) < 0 ||
        (doc_has(d, "name") && get_text(d, "name", &p->name, e) < 0) ||
        (doc_has(d, "image_digest") && get_text(d, "image_digest", &p->image_digest, e) < 0) ||
        (doc_has(d, "apparmor") && doc_get_bool(d, "apparmor", &p->apparmor, e) < 0) ||
        get_machine(d, p, e) < 0 || get_amnesic(d, p, e) < 0 || get_job(d, p, e) < 0 ||
        get_budget(d, p, e) < 0 || get_declared(d, &p->declared, e) < 0 ||
        get_network(d, p, e) < 0 || get_secret_policies(d, p, e) < 0 || get_alerts(d, p, e) < 0 ||
        plan_record_from_doc(d, &p->record, e) < 0)
        return err_wrap(e, "plan");
    if (strcmp(format, "lazaret-plan") != 0)
        return err_set(e, ERR_HOST, "plan: it is none");
    *ret = own_steal_ptr(p);
    return 0;
}
