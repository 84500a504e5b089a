/*
 * learn: from what a run did to the smallest manifest that would have allowed it, and to one that
 * allows what another one did, too.
 *
 * How it works
 *   What the run was asked for stays as it is (image, command, inputs ...), but for values of
 *   variables that the command line gave: those are written nowhere. Network, paths and the limits
 * of learn.c's table become what was observed: each destination by its own name; paths by
 *   learn_paths.h; numbers with a headroom, and never above what the run itself had. So nothing of
 *   it is above the run's plan, and a run by it is within the same policies.
 *
 *   Each line says why, and who saw it. What the guest says may be a lie: it can make a manifest
 *   wider, up to that plan, or too narrow for a next run.
 *
 * Pure.
 */
#ifndef LZ_PLAN_LEARN_H
#define LZ_PLAN_LEARN_H

#include "plan/plan.h"

enum learn_kind { LEARN_READ, LEARN_WRITTEN, LEARN_EXECUTED, LEARN_KINDS };

struct learn_destination {
    uint32_t rule; /* of the plan: its index */
    const char *host;
    uint16_t port;
    uint64_t count, bytes;
};

/* What was observed. Borrowed. 0 of a number: nobody knows. */
struct learned {
    /* By the host. */
    const struct learn_destination *destinations;
    size_t n_destinations;
    uint64_t more_destinations; /* that there was no room for */
    uint64_t job_ms, job_cpu_ms, disk_bytes, out_bytes;
    uint64_t out_entries; /* files and folders that came out */
    /* By the guest: UNTRUSTED. */
    struct strv paths[LEARN_KINDS]; /* a folder's may end with '/' */
    uint64_t lost;                  /* paths that there was no room to tell of */
    uint64_t peak_bytes, pids, guest_disk_bytes;
};

/*
 * `wish` is what `p` was resolved from. Adds to `ret_notes` lines for people: what the manifest
 * leaves out. `ret` is empty. ERR_GUEST: the guest told of no file, so that nothing would be
 * bounded.
 */
int learn_manifest(const struct plan *p, const struct plan_wish *wish, const struct learned *l,
                   struct request *ret, struct strv *ret_notes, struct err *e);

/*
 * What allows all that `old` and `fresh` allow. What is no allowance (image, command, variables,
 * inputs and the like) stays as `old` has it; where `fresh` has it otherwise is added to
 * `ret_notes`. Done with the same one again it changes nothing. `ret` is empty. ERR_USAGE: one of
 * them is wrong, or they are not of one image, or lead elsewhere by the same name.
 */
int learn_merge(const struct request *old, const struct request *fresh, struct request *ret,
                struct strv *ret_notes, struct err *e);

#endif
