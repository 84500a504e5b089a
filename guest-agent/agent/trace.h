/*
 * trace: tells the console which system calls a job makes, for a plan with `trace`.
 *
 * How it works
 *   A child of the agent, outside the container, traces the container's first process (ptrace(2))
 *   from before GO, and with it all that it starts; what that first process itself does is left
 *   out. It ends with the last of them. A line for each call that has ended:
 *
 *       lazaret-agent: exec 1: 12 openat(0xffffff9c, "/etc/passwd", 0x80000, 0x0) = 3
 *
 *   The first four arguments; where one of them is a path it is read from the process.
 *
 * Must not: show what a call reads or writes, nor an environment: there may be secrets in it.
 */
#ifndef LZ_AGENT_TRACE_H
#define LZ_AGENT_TRACE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TRACE_PATH_MAX 256 /* bytes of a path that are shown */
#define TRACE_LINE_MAX (TRACE_PATH_MAX * 3 + 256)

/* Returns when `init` is traced: 0 or -errno. `exec` is for the lines. */
int trace_start(pid_t init, unsigned exec);

/* One call as text. `path` is NULL or what argument `path_at` points to, UNTRUSTED. Returns out. */
struct trace_call {
    pid_t pid;
    uint64_t number, args[6];
    int path_at;
    const char *path;
};
const char *trace_format(char out[TRACE_LINE_MAX], const struct trace_call *c, const int64_t *ret);
/* Names by number, made by scripts/syscall-names from the C library's headers; some are NULL. */
extern const char *const trace_names[];
extern const size_t trace_n_names;
/* Which argument of a call is a path; -1: none. */
int trace_path_at(uint64_t number);

#endif
