/*
 * stats: what a domain has used, by the hypervisor's count.
 *
 * Numbers of the host, of QEMU's process and of its block layer: a guest cannot write them. What a
 * machine type or driver does not say stays 0 (microvm has no counters of its disks' traffic).
 */
#include "base/str.h"
#include "hv/hv_private.h"

#include <errno.h>
#include <libvirt/virterror.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static uint64_t number(const virDomainStatsRecord *r, const char *key)
{
    unsigned long long value = 0;
    unsigned small = 0;

    if (virTypedParamsGetULLong(r->params, r->nparams, key, &value) == 1)
        return value;
    return virTypedParamsGetUInt(r->params, r->nparams, key, &small) == 1 ? small : 0;
}

static uint64_t of_disk(const virDomainStatsRecord *r, unsigned disk, const char *what)
{
    char key[64];

    snprintf(key, sizeof(key), "block.%u.%s", disk, what);
    return number(r, key);
}

static void read_disk(const virDomainStatsRecord *r, unsigned i, struct hv_disk_stats *ret)
{
    const char *name = NULL;
    char key[64];

    snprintf(key, sizeof(key), "block.%u.name", i);
    if (virTypedParamsGetString(r->params, r->nparams, key, &name) == 1)
        str_escape(ret->target, sizeof(ret->target), name, strlen(name));
    ret->read_bytes = of_disk(r, i, "rd.bytes");
    ret->read_requests = of_disk(r, i, "rd.reqs");
    ret->written_bytes = of_disk(r, i, "wr.bytes");
    ret->write_requests = of_disk(r, i, "wr.reqs");
    ret->capacity_bytes = of_disk(r, i, "capacity");
    ret->physical_bytes = of_disk(r, i, "physical");
}

static void read_record(const virDomainStatsRecord *r, struct hv_stats *ret)
{
    uint64_t disks = number(r, "block.count");

    ret->cpu_ns = number(r, "cpu.time");
    ret->user_ns = number(r, "cpu.user");
    ret->system_ns = number(r, "cpu.system");
    ret->vcpus = (unsigned)number(r, "vcpu.current");
    ret->memory_bytes = number(r, "balloon.maximum") * 1024;
    ret->resident_bytes = number(r, "balloon.rss") * 1024;
    ret->n_disks = disks < HV_DISKS_MAX ? (unsigned)disks : HV_DISKS_MAX;
    for (unsigned i = 0; i < ret->n_disks; i++)
        read_disk(r, i, &ret->disks[i]);
}

static int get_stats(struct hv *h, unsigned kinds, struct hv_stats *ret, struct err *e)
{
    virDomainPtr doms[] = {h->dom, NULL};
    virDomainStatsRecordPtr *records = NULL;
    int n;

    if (!h->dom)
        return err_set(e, ERR_HOST, "there is no domain");
    hv_ask_within(h, HV_ANSWER_MS);
    n = virDomainListGetStats(doms, kinds, &records, 0);
    hv_answered(h);
    /* Of a QEMU that does not answer libvirt makes up zeroes. */
    if (n < 0 || h->late_ms) {
        virDomainStatsRecordListFree(records);
        return hv_failed(h, "cannot read the virtual machine's numbers", e);
    }
    *ret = (struct hv_stats){0};
    if (n > 0)
        read_record(records[0], ret);
    virDomainStatsRecordListFree(records);
    return n > 0 ? 0 : err_set(e, ERR_HOST, "libvirt has no numbers of the virtual machine");
}

int hv_get_stats(struct hv *h, struct hv_stats *ret, struct err *e)
{
    return get_stats(h,
                     VIR_DOMAIN_STATS_CPU_TOTAL | VIR_DOMAIN_STATS_BALLOON | VIR_DOMAIN_STATS_VCPU |
                         VIR_DOMAIN_STATS_BLOCK,
                     ret, e);
}

int hv_get_cpu(struct hv *h, uint64_t *ret_ns, struct err *e)
{
    struct hv_stats stats = {0};
    struct timespec t;
    clockid_t clock;

    if (h->qemu_pid == 0) {
        if (get_stats(h, VIR_DOMAIN_STATS_CPU_TOTAL, &stats, e) < 0)
            return -1;
        *ret_ns = stats.cpu_ns;
        return 0;
    }
    errno = clock_getcpuclockid(h->qemu_pid, &clock);
    if (errno || clock_gettime(clock, &t) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot read QEMU's CPU time");
    *ret_ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    return 0;
}
