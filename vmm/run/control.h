/*
 * control: what launcher and keeper say to each other: fixed-size records over a SOCK_SEQPACKET
 * pair. Both are the same program and trust each other; a short record is an error all the same.
 */
#ifndef LZ_RUN_CONTROL_H
#define LZ_RUN_CONTROL_H

#include "run/run.h"

#include <stdint.h>

enum control_type {
    CONTROL_SIGNAL = 1, /* to the keeper: pass this signal on to the job */
    CONTROL_RESIZE,     /* to the keeper */
    CONTROL_STARTED,    /* to the launcher: the job runs */
    CONTROL_DENIED,     /* to the launcher: the first of a kind that the job is refused */
    CONTROL_ALERT,      /* to the launcher: a rule of the policy was met */
    CONTROL_UNTOLD,     /* to the keeper: whom such a rule notifies was not told */
    CONTROL_RESULT,     /* to the launcher: the last word */
};

struct control {
    enum control_type type;
    int signo;
    uint16_t rows, cols;
    struct wire_denied denied;
    uint32_t alert; /* its rule in the plan */
    char text[256]; /* and by what, or why not; printable */
    struct run_result result;
};

/* For what need not arrive: does not wait for a launcher that is slow to print. */
void control_hint(int fd, const struct control *m);
/* 0, or -1 when the other end is gone. */
int control_send(int fd, const struct control *m);
/* 1: a record, 0: none now, -1: the other end is gone. */
int control_receive(int fd, struct control *ret);

#endif
