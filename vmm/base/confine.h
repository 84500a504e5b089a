/*
 * confine: takes from this process every right that its duty does not need. For whatever reads
 * bytes of a guest or of somebody else's archive.
 *
 * Must: be called once, single-threaded, after the last allocation and before the first guest byte.
 * In this order: no new privileges, no capabilities, rlimits, Landlock, seccomp. Landlock is left
 * out where the kernel has none; everything else must work or the program must not go on.
 */
#ifndef LZ_BASE_CONFINE_H
#define LZ_BASE_CONFINE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFINE_ANY_ARG (-1)

/* In such a build the sanitizer's runtime maps, and reports, in our name. */
#if defined(__SANITIZE_ADDRESS__)
#define CONFINE_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CONFINE_SANITIZED 1
#endif
#endif

/* A system call that is allowed, and why. Everything else kills the process. */
struct confine_call {
    int nr;          /* SCMP_SYS() */
    int arg;         /* this argument must be `value`, or CONFINE_ANY_ARG */
    const char *why; /* for the reader */
    uint64_t value;
    unsigned also; /* this one, not the first, must be `also_value` too, or 0 */
    uint64_t also_value;
    uint64_t also_flags; /* bits of it that may be set or not */
};

/* clang-format off */
/* Rows of more than one list; who uses them includes <seccomp.h> and <sys/mman.h>. */
#define CONFINE_CALLS_MEMORY                                                         \
    {SCMP_SYS(brk), CONFINE_ANY_ARG, "memory"},                                      \
    {SCMP_SYS(mmap), 2, "memory, of data: never of code", PROT_READ | PROT_WRITE},   \
    {SCMP_SYS(munmap), CONFINE_ANY_ARG, "memory"},                                   \
    {SCMP_SYS(mremap), CONFINE_ANY_ARG, "memory"},                                   \
    {SCMP_SYS(madvise), CONFINE_ANY_ARG, "memory"}
#define CONFINE_CALLS_END                                                        \
    {SCMP_SYS(restart_syscall), CONFINE_ANY_ARG, "a wait goes on after a stop"}, \
    {SCMP_SYS(exit_group), CONFINE_ANY_ARG, "the end"}
/* clang-format on */

struct confine {
    const struct confine_call *calls;
    size_t n_calls;
    int dir_fd;                 /* the one folder that may be written below, or -1 for nothing */
    bool network;               /* TCP is its duty: Landlock leaves that alone */
    uint64_t max_fds;           /* RLIMIT_NOFILE */
    uint64_t max_file_bytes;    /* RLIMIT_FSIZE, UINT64_MAX: as it is */
    uint64_t max_data_bytes;    /* RLIMIT_DATA, 0: as it is */
    uint64_t max_address_bytes; /* RLIMIT_AS, 0: as it is */
    uint64_t max_cpu_s;         /* RLIMIT_CPU, 0: as it is */
};

int confine_self(const struct confine *c, struct err *e);

/*
 * Just before a tool of the system's is executed that reads what others wrote: no capabilities, no
 * new privileges, little memory and time; where there is Landlock it reads and executes nothing but
 * what is at and below the paths of `only` (NULL-terminated; one that is not there is left out),
 * writes to nothing but the fds that it is given, and has no TCP. 0, or -1 with errno set.
 */
int confine_tool(const char *const *only);

#endif
