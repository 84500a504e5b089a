/* probe_private: between the sources of probe only. */
#ifndef LZ_AGENT_PROBE_PRIVATE_H
#define LZ_AGENT_PROBE_PRIVATE_H

#include "shared/probe.h"

#include <stdbool.h>
#include <stdint.h>

#define PROBE_NOT_GIVEN UINT64_MAX

struct probe {
    uint64_t uid, gid, pids, memory, tmp, disk;  /* PROBE_NOT_GIVEN: not to be tried */
    uint64_t cpu_s, addresses, file, files;      /* the same */
    const char *root, *places, *calls, *profile; /* NULL: the same */
    char text[PROBE_TEXT_SIZE];                  /* of the row that is made */
};

/* Says the row to stdout. False: it could not. */
bool probe_say(const struct probe *p, uint32_t look, bool holds);

/* What was seen; a look returns one of these. */
bool probe_broken(struct probe *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool probe_holds(struct probe *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* probe_armor.c */
bool probe_look_armor(struct probe *p);

/* Limits, which are hit (probe_limits.c). */
bool probe_look_processes(struct probe *p);
bool probe_look_memory(struct probe *p);
bool probe_look_tmp(struct probe *p);
bool probe_look_disk(struct probe *p);
bool probe_look_limits(struct probe *p);

/* What the guest's root told (probe_kernel.c). */
bool probe_look_kernel(struct probe *p);
bool probe_look_cgroup(struct probe *p);

#endif
