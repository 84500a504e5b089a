/*
 * facts: what confines a job and only the guest's root can read, told to the probe of `lazaret
 * prove` (probe.h): its cgroup's limits, and every sysctl.
 *
 *     agent -> init: text of GO -> FACTS_ENV in the probe's environment
 *
 * One line: "memory=N swap=N pids=N weight=N settings=N wrong=NAME:VALUE". A number is UINT64_MAX
 * where there is no limit, or none that can be read; nothing is wrong: "wrong=".
 */
#ifndef LZ_AGENT_FACTS_H
#define LZ_AGENT_FACTS_H

#include "agent/container.h"
#include "agent/link.h"

#include <stdbool.h>
#include <stdint.h>

#define FACTS_ENV "LAZARET_FACTS"
/* In the text of HERE: it is going to be a probe. */
#define FACTS_WISH "probe"

struct facts {
    uint64_t memory_bytes, swap_bytes, pids, cpu_weight; /* of the container's cgroup */
    uint64_t settings;                                   /* sysctls that are as they were set */
    char wrong[100];                                     /* the first that is not, or "" */
};

void facts_take(const struct container_paths *p, unsigned exec, char ret_text[LINK_TEXT_MAX]);
/* False: it is none. */
bool facts_parse(const char *text, struct facts *ret);

#endif
