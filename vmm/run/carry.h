/*
 * carry: what the user types, from their terminal to the relay, by the launcher.
 *
 * A process in another session may read a terminal that it holds whatever job control says: the
 * relay would take what the user types to the shell after Ctrl-Z or '&'. So a terminal is read by
 * the launcher only, while it is in the foreground and the job runs: what was typed before waits in
 * the terminal. Files and pipes go to the relay as they are.
 */
#ifndef LZ_RUN_CARRY_H
#define LZ_RUN_CARRY_H

#include "base/err.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#define CARRY_POLLS 2

struct carry {
    int from; /* the terminal, opened once more so that a read never blocks */
    int to;   /* our end of a socket pair; -1: nothing is carried (any more) */
    size_t at, fill;
    char buf[4096];
};

/* Begins to carry from the terminal `tty`; *ret_other is the other end, for the relay's stdin. */
int carry_open(struct carry *c, int tty, int *ret_other, struct err *e);
void carry_close(struct carry *c);
/* What to poll for now, and what to do about it: never blocks. */
void carry_polls(const struct carry *c, struct pollfd p[CARRY_POLLS]);
void carry_work(struct carry *c, const struct pollfd p[CARRY_POLLS]);

#endif
