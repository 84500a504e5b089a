/* probe: the guest's kernel and the container's cgroup, as its root told (facts.h). See probe.c. */
#include "agent/facts.h"
#include "agent/probe_private.h"
#include "agent/sysctls.h"
#include "shared/guest.h"

#include <stdlib.h>

static bool told(struct facts *ret)
{
    const char *text = getenv(FACTS_ENV);

    return text && facts_parse(text, ret);
}

/* Some can be read here too: they are, since this process is where they count. */
bool probe_look_kernel(struct probe *p)
{
    struct sysctls_found here;
    struct facts f;

    sysctls_check(false, &here);
    if (here.wrong)
        return probe_broken(p, "%.60s is %.30s", here.wrong, here.value);
    if (!told(&f))
        return here.set ? probe_holds(p, "%u settings are as strict as they have to be", here.set)
                        : probe_broken(p, "its settings cannot be read");
    if (f.wrong[0])
        return probe_broken(p, "%.99s", f.wrong);
    return probe_holds(p,
                       "all %llu settings are as strict as they have to be, %u of them from here",
                       (unsigned long long)f.settings, here.set);
}

bool probe_look_cgroup(struct probe *p)
{
    struct facts f;

    if (p->memory == PROBE_NOT_GIVEN || p->pids == PROBE_NOT_GIVEN)
        return probe_holds(p, "any");
    if (!told(&f))
        return probe_broken(p, "nobody told what its limits are");
    if (f.memory_bytes != p->memory)
        return probe_broken(p, "memory: %llu bytes in place of the plan's",
                            (unsigned long long)f.memory_bytes);
    if (f.swap_bytes != 0)
        return probe_broken(p, "it may swap");
    if (f.pids != p->pids + 1) /* and GUEST_JOB_INIT */
        return probe_broken(p, "%llu processes in place of the plan's", (unsigned long long)f.pids);
    if (f.cpu_weight != GUEST_CPU_WEIGHT)
        return probe_broken(p, "its CPU weight is %llu", (unsigned long long)f.cpu_weight);
    return probe_holds(p, "memory %llu MiB, no swap, %llu processes, CPU weight %llu",
                       (unsigned long long)(f.memory_bytes >> 20), (unsigned long long)f.pids,
                       (unsigned long long)f.cpu_weight);
}
