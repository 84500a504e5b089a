/*
 * signals: the ones that end or resize what a process of ours waits for, read from an fd meanwhile.
 */
#ifndef LZ_RUN_SIGNALS_H
#define LZ_RUN_SIGNALS_H

#include "base/err.h"

#include <signal.h>

struct signals {
    sigset_t old;
    int fd; /* -1: not held */
};

/* Holds SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH and SIGCONT back. One that the caller ignores
 * (nohup, a shell's background job) stays ignored. */
int signals_hold(struct signals *s, struct err *e);
/* The next one that came, or 0. Poll s->fd for POLLIN. */
int signals_next(const struct signals *s);
/* Back to how it was; what came meanwhile and was not read is dropped. */
void signals_release(struct signals *s);

#endif
