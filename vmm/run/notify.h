/*
 * notify: tells whoever a rule of a policy names that it was met: a command, or whoever listens at
 * a socket. The launcher's: outside of the namespaces, as the user.
 *
 * How it works
 *   A line goes into a socket's buffer, whoever reads it when: nothing here waits. A listener whose
 *   queue is full, or that is gone, is not told, and nothing is kept for it.
 */
#ifndef LZ_RUN_NOTIFY_H
#define LZ_RUN_NOTIFY_H

#include "base/err.h"
#include "plan/alert.h"

#include <sys/types.h>

#define NOTIFY_FORMAT       "lazaret-alert"
#define NOTIFY_VERSION      1u
#define NOTIFY_COMMANDS_MAX 8

struct notify {
    const char *id;                      /* of the run or sandbox; borrowed */
    pid_t commands[NOTIFY_COMMANDS_MAX]; /* 0: free */
};

/* Starts the rule's command, the policy's own words; what was met is in its environment. */
int notify_command(struct notify *n, const struct alert_rule *r, const char *text, struct err *e);
/* Writes one line of JSON to the rule's socket, which like its listener has to be ours or root's.
 */
int notify_socket(const struct notify *n, const struct alert_rule *r, const char *text,
                  struct err *e);

#endif
