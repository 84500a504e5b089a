/*
 * job: one exec in the guest: its container, its deadlines, its result. No client, no folder.
 *
 * How it works
 *   NONE -> STARTING -> RUNNING [-> KILLED] -> ENDED, by the channel's events and by the clock.
 *   Meanwhile the host's own numbers are looked at, if the plan bounds them (budget.h).
 *   A job that does not start in time, or does not end soon after it was killed by us, is
 *   ENDED without the guest's word; `over` says whether the guest has said its last word, and only
 *   then its number is free.
 */
#ifndef LZ_RUN_JOB_H
#define LZ_RUN_JOB_H

#include "channel/channel.h"
#include "hv/hv.h"
#include "plan/plan.h"
#include "run/budget.h"
#include "run/run.h"

enum job_state { JOB_NONE, JOB_STARTING, JOB_RUNNING, JOB_KILLED, JOB_ENDED };

struct job {
    unsigned number; /* 1 to WIRE_EXEC_MAX */
    enum job_state state;
    bool adopted;              /* it began with another keeper */
    bool over;                 /* EXIT, UNSTARTED or GONE has come */
    const struct plan *plan;   /* what runs and how long it may; borrowed */
    struct run_result *result; /* filled in; RUN_ENDED_NOT: see result->err; borrowed */
    uint64_t started_ms;
    uint64_t deadline_ms; /* UINT64_MAX: none */
    uint64_t until_ms;    /* when job_tick() has to look again; UINT64_MAX: never */
    struct budget budget;
    uint64_t moved;                        /* bytes of its streams: what the relay last said */
    uint64_t wrote;                        /* those of them that came from it */
    unsigned blind;                        /* looks in a row that failed */
    uint64_t denied_told[WIRE_DENIED_MAX]; /* counts that job_next_denied() has handed out */
};

/* Where its streams go; borrowed. */
struct job_io {
    int stdin_fd;             /* -1: none */
    int stdout_fd, stderr_fd; /* stderr is not used with a terminal */
    uint64_t max_bytes;       /* kept of stdout and of stderr each; 0: all */
    uint16_t rows, cols;
    const int *secret_fds; /* as many as the plan has secrets: files, then variables */
};

/* Tells the guest to start it. `number` is free. */
int job_start(struct job *j, unsigned number, const struct plan *plan, const struct job_io *io,
              struct run_result *result, struct channel *ch, struct err *e);
/* One that runs already, in a guest that was restored; its deadline begins anew. */
void job_go_on(struct job *j, unsigned number, const struct plan *plan, struct run_result *result);
/* An event with this job's number. */
void job_take_event(struct job *j, const struct channel_event *ev);
/* Kills it at its deadline or over its budget, and gives it up when it does not end. */
int job_tick(struct job *j, struct channel *ch, struct hv *hv, struct err *e);
/* What it is refused that it was not before (*ret_new), or at least twice as often as it was when
 * it was handed out last; NULL: nothing. Borrows. */
const struct wire_denied *job_next_denied(struct job *j, bool *ret_new);
/* Time stood still for it. */
void job_shift(struct job *j, uint64_t ms);

static inline bool job_is_running(const struct job *j)
{
    return j->state == JOB_RUNNING || j->state == JOB_KILLED;
}

#endif
