/*
 * launch: from the first process of a run or sandbox to its last: cage, signals, the end.
 *
 * How it works
 *   While the job runs, the first SIGINT, SIGTERM, SIGHUP or SIGQUIT goes to the keeper, which
 *   passes it to the job, or takes its sandbox down. The second one, and any before the job has
 *   started (the sandbox is up), ends everything here: init is killed, and with it every process.
 *   The loop ends only when init is gone. What comes after that (result, sweep) is short and not
 *   interrupted.
 */
#ifndef LZ_RUN_LAUNCH_H
#define LZ_RUN_LAUNCH_H

#include "run/carry.h"
#include "run/keeper.h"
#include "run/notify.h"
#include "run/signals.h"

struct launch {
    const struct run_config *c;
    int starter_fd; /* whoever waits for the sandbox to be up, -1: nobody (any more) */
    int control_fd;
    struct signals signals; /* held by the caller */
    struct carry carry;     /* of the user's terminal to the job's stdin */
    pid_t init;
    pid_t gateway;           /* 0: the plan needs none */
    const struct plan *plan; /* of launch_all() */
    const char *id;
    struct notify notify; /* of alerts */
    bool started;         /* the job runs, the sandbox is up */
    int last_signal;      /* the one that asked for an end; 0: none */
    bool killed;
    bool has_result;
    struct run_result result; /* after launch_all() */
};

#define LAUNCH_INIT(config)                                                                        \
    {                                                                                              \
        .c = (config), .starter_fd = -1, .control_fd = -1, .signals = {.fd = -1},                  \
        .carry = {.from = -1, .to = -1},                                                           \
    }

/* Says what cannot work before anything runs. */
int launch_check(const struct plan *plan, const struct run_config *c, struct err *e);
/* 0: l->result says how it went; -1: it could not begin. No process is left in either case. */
int launch_all(struct launch *l, struct keeper *k, struct err *e);
/* The folder is swept or kept: the end of its record. */
void launch_close_record(struct launch *l, const struct folder *f, bool kept);
/* Closes what it holds; accepts one that was never used. */
void launch_done(struct launch *l);

#endif
