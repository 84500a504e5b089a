/*
 * probe: what a probe in a container says to the host: one record for each look, in their order.
 *
 *     GUEST_JOB_INIT PROBE_ALL KEY=VALUE...
 *
 *   uid gid pids memory tmp disk   what the plan says (memory, tmp and disk: bytes)
 *   cpu addresses file files       the same, of each process (seconds, bytes, bytes, number; 0: no
 *                                  limit, but of files)
 *   root                           "ro", or "rw": the root takes writes
 *   places                         folders that take writes beside /tmp and /dev/shm, with commas
 *   profile                        of AppArmor, the name without the number behind it
 *   calls                          hexadecimal digits, four bits each, the highest first: system
 *                                  calls from number 0 on that may be made; others are tried
 *
 * Where a key is not given, what it is for is not tried. PROBE_LOOKS records go to stdout.
 *
 *     GUEST_JOB_INIT PROBE_DECLARED N
 *
 * tries N declared paths, and others, held by them like any job: PROBE_DECLARED_LOOKS records. What
 * is declared comes from the container's first process, behind N: options and paths as in guest.h,
 * GUEST_DECLARED_END.
 *
 * The exit
 * status is 0 if all hold, 1 if one is broken, 2 if the arguments are wrong. All of it is the
 * guest's word: the host checks sizes and numbers, and escapes the text.
 */
#ifndef LZ_SHARED_PROBE_H
#define LZ_SHARED_PROBE_H

#include <stdint.h>

#define PROBE_ALL          "--probe"
#define PROBE_DECLARED     "--probe-declared"
#define PROBE_DECLARED_OWN 3 /* words in front of what is declared */

#define PROBE_CALLS     1024 /* system calls have lower numbers */
#define PROBE_TEXT_SIZE 120

enum probe_look {
    PROBE_KERNEL,
    PROBE_NAMESPACES,
    PROBE_SECCOMP,
    PROBE_ARMOR,
    PROBE_CAPABILITIES,
    PROBE_PRIVILEGES,
    PROBE_MOUNTS,
    PROBE_DEVICES,
    PROBE_WINDOWS,
    PROBE_INTERFACES,
    PROBE_ADDRESSES,
    PROBE_PROCESSES,
    PROBE_MEMORY,
    PROBE_TMP,
    PROBE_DISK,
    PROBE_USER,
    PROBE_LIMITS,
    PROBE_CGROUP,
    PROBE_LOOKS
};

enum probe_declared { PROBE_READS, PROBE_WRITES, PROBE_PROGRAMS, PROBE_DECLARED_LOOKS };

enum probe_verdict { PROBE_HOLDS = 1, PROBE_BROKEN };

struct probe_row {
    uint32_t look;              /* enum probe_look, or probe_declared */
    uint32_t verdict;           /* enum probe_verdict */
    char text[PROBE_TEXT_SIZE]; /* what was seen; UNTRUSTED, may lack its NUL */
};

#endif
