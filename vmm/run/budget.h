/*
 * budget: how long one job may be idle, and how much CPU time it may use, by what the host counts:
 * bytes of its streams that the relay has moved, and CPU time of QEMU. Pure: no clock, no guest's
 * word.
 *
 * How it works
 *   Whoever owns it looks at budget_next_ms() or later, with the numbers of that moment. The job
 *   is idle from a look on as long as no byte is moved and QEMU, on the average since then, is
 * nearly still: what a guest's kernel does now and then is no work. A look that comes late counts
 * for two steps at most, so that a guest that was paused, or a host that was busy, does not make a
 * job look idle. What the relay says is one step old. So a job is over only if it was idle long
 * enough before the last span, too.
 */
#ifndef LZ_RUN_BUDGET_H
#define LZ_RUN_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#define BUDGET_STILL                                                                               \
    20 /* one that uses less than 1/20 of one CPU does nothing for its job, ...                    \
        */
#define BUDGET_SPARE_MS 100 /* ... and this much beside */

enum budget_over { BUDGET_FINE, BUDGET_IDLE, BUDGET_CPU };

struct budget {
    uint64_t idle_max_ms, cpu_max_ms; /* 0: no limit */
    uint64_t cpus;
    bool begun;
    uint64_t seen_ms, seen_cpu_ns, seen_moved; /* at the last look */
    uint64_t idle_ms, idle_cpu_ns;             /* since it is idle */
    uint64_t used_ns;                          /* so far */
};

void budget_begin(struct budget *b, uint64_t idle_max_ms, uint64_t cpu_max_ms, uint64_t cpus);
/* When to look, after the last one at `now_ms`; UINT64_MAX: never, there is no limit. */
uint64_t budget_next_ms(const struct budget *b, uint64_t now_ms);
/* `cpu_ns` and `moved` only grow, but for a QEMU that is a new one. The first look begins it. */
enum budget_over budget_look(struct budget *b, uint64_t now_ms, uint64_t cpu_ns, uint64_t moved);

#endif
