/*
 * spawn: starts another program with exactly the fds that it is told, and waits with a deadline.
 *
 * How it works: fork, then in the child: fds are moved to their numbers, everything else is closed
 * (close_range), signals are reset, and execve runs. A failed exec is reported to the parent as an
 * error through a pipe. No shell anywhere.
 */
#ifndef LZ_BASE_SPAWN_H
#define LZ_BASE_SPAWN_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SPAWN_NULL    (-1) /* this fd becomes /dev/null */
#define SPAWN_FDS_MAX 16

struct spawn {
    const char *const *argv; /* NULL-terminated; argv[0] is looked up in PATH if without '/' */
    const char *const *env;  /* NULL-terminated; NULL keeps ours */
    const char *cwd;         /* NULL keeps ours */
    int stdio[3];            /* fds of ours for 0, 1, 2, or SPAWN_NULL */
    const int *fds;          /* our fds that become 3, 4, ... in the child */
    int n_fds;               /* at most SPAWN_FDS_MAX */
    const char *package;     /* Debian's package of a program that may be missing; or NULL */
    const char *const *only; /* for confine_tool(); NULL: it has our rights */
    bool die_with_parent;    /* SIGKILL when the calling thread's process ends */
};

/* Returns the child's pid; wait for it with spawn_wait() or waitpid(). */
int spawn_start(const struct spawn *s, pid_t *ret_pid, struct err *e);

/* Waits until `deadline_ms` (clock_mono_ms, UINT64_MAX: for ever), then kills it (ERR_HOST). */
int spawn_wait(pid_t pid, const char *name, uint64_t deadline_ms, int *ret_wait_status,
               struct err *e);

/*
 * Runs a tool to its end. A status other than 0 is ERR_HOST with the last line that it wrote to
 * stderr; a missing program names the Debian package from `package` (may be NULL). stdio[2] is
 * ignored. If `ret_out` is not NULL, stdout is captured (up to 1 MiB) and returned new.
 */
int spawn_tool(const struct spawn *s, const char *package, uint64_t timeout_ms, char **ret_out,
               struct err *e);

/* In a child: nothing of the terminal, folder or session that it was started from is held, and no
 * file above stderr but those of `keep` (file_close_others()). */
int spawn_leave_caller(const int *keep, size_t n, struct err *e);

/*
 * One record to a child on its control socket (SOCK_SEQPACKET), and fds with it, which stay the
 * caller's. Returns 0, also where the child has ended, which its last record tells or the socket's
 * end; -ETIMEDOUT: it took nothing for 5 s; or -errno.
 */
int spawn_tell(int sock, const void *record, size_t size, const int *fds, size_t n_fds);

/*
 * The next record of such a child, without waiting: its length, which may be more than `size`; 0
 * after the last one of a child that has ended; or -1 with errno set.
 */
ssize_t spawn_hear(int sock, void *record, size_t size);

/* Where the caller of spawn_feed_tool() writes to. */
struct spawn_feed;
/* Writes all bytes to the tool. Fails when it is gone, or took nothing for a minute. */
int spawn_feed(struct spawn_feed *f, const void *data, size_t len, struct err *e);

/*
 * As spawn_tool(), for a tool that reads its stdin (stdio[0] is ignored) to its end: `fill` writes
 * it. When fill fails the tool is killed and that error is returned.
 */
int spawn_feed_tool(const struct spawn *s, const char *package, uint64_t timeout_ms,
                    int (*fill)(void *arg, struct spawn_feed *f, struct err *e), void *arg,
                    struct err *e);

#endif
