/* serve_private: a sandbox's clients and their jobs, between the sources of serve only. */
#ifndef LZ_RUN_SERVE_PRIVATE_H
#define LZ_RUN_SERVE_PRIVATE_H

#include "run/serve.h"
#include "run/talk.h"

struct client {
    int fd;            /* -1: nobody */
    uint64_t until_ms; /* for its request; UINT64_MAX once it has its job */
    uint64_t serial;   /* the lowest has waited longest */
    unsigned exec;     /* its job's number, 0: none yet */
    bool stats;        /* has asked for them, and the guest is to say its part */
    uint32_t waits;    /* for the end of the detached job with this serial, 0: for none */
};

/* What belongs to the job of the same number, beside struct job. */
struct task {
    struct plan *plan;
    struct run_result result;
    struct client *client; /* NULL: gone, or detached */
    uint32_t serial;
    uint64_t began_real_ns;
    bool detached, told_started, told_result;
    bool denied_due;           /* the client has not been told all that the job is refused */
    uint32_t after;            /* TALK_BACK, TALK_DISCARD or 0 */
    char mark[MARK_NAME_SIZE]; /* TALK_BACK: to there */
    bool keep_mark;            /* it stays when the sandbox is back */
};

/* The plan of a job that runs on when the guest goes back to a mark. */
struct kept_plan {
    uint32_t serial;
    struct plan *plan;
    uint64_t began_real_ns;
    bool detached;
};

/* A detached job that has ended: its result, and its files, are kept for a while. */
struct ended {
    uint32_t serial; /* 0: none */
    struct run_result result;
};

struct serve {
    int listener;
    bool paused, down;
    uint64_t paused_ms;     /* since when */
    bool asked_pause;       /* QEMU was asked to, whether it is held too or not */
    bool taken;             /* one of the pool's: it has its command */
    uint64_t pool_until_ms; /* the same: when it ends if nobody takes it */
    struct err why;         /* keeper.held: what does not hold */
    uint64_t serial;        /* of the next client */
    uint32_t job_serial;
    unsigned n_ended; /* so far; the last SERVE_ENDED_MAX are kept */
    struct ended ended[SERVE_ENDED_MAX];
    struct client clients[SERVE_CLIENTS_MAX];
    struct task tasks[WIRE_EXEC_MAX];
    struct marks marks;
    struct net_rules network;    /* as they are now */
    struct strv gateway_secrets; /* that the gateway has, by name */
    struct kept_plan *kept;
    size_t n_kept;
    struct talk_answer answer; /* large: here rather than on the stack */
};

/* ---- serve.c --------------------------------------------------------------------------------- */

/* Closes the connection; says nothing to its job. */
void serve_forget(struct client *c);
/* The same, and ends its job. */
int serve_drop(struct keeper *k, struct client *c, struct err *e);
/* The job goes on only until the guest has killed it; what it still writes goes nowhere. */
int serve_end_job(struct keeper *k, unsigned exec, struct err *e);
/* A zeroed answer; there is only one. */
struct talk_answer *serve_answer(struct serve *s, enum talk_said said);

/* Its last word, and the end of the connection. */
void serve_tell_result(struct serve *s, struct client *c, const struct run_result *r);
/* ERR_USAGE while it is paused. */
int serve_check_going(const struct keeper *k, struct err *e);
/* Deadlines of jobs stand still meanwhile. ERR_USAGE: it is so already. */
int serve_set_paused(struct keeper *k, bool paused, struct err *e);

/* ---- serve_marks.c --------------------------------------------------------------------------- */

/* TALK_SNAPSHOT, TALK_REVERT, TALK_FORGET, TALK_FORK: answered; -1: there is no guest any more. */
int serve_take_mark(struct keeper *k, struct client *c, const struct talk_request *r,
                    struct err *e);
/* TALK_FILES. */
void serve_tell_files(struct keeper *k, struct client *c);
/* TALK_MARKS. */
void serve_tell_marks(struct keeper *k, struct client *c);
/* Back to a mark: every job but the one with the number `but` (0: none) is told its end. -1 with
 * k->lost: there is no guest any more. */
int serve_go_back(struct keeper *k, const char *name, unsigned but, struct err *e);
/* The plan of a job that is over; NULL is fine. */
void serve_drop_plan(struct keeper *k, struct task *t);
void serve_marks_done(struct serve *s);

/* ---- serve_net.c ----------------------------------------------------------------------------- */

void serve_net_prepare(struct keeper *k);
void serve_net_done(struct serve *s);
/* TALK_NETWORK. */
int serve_change_network(struct keeper *k, const struct talk_request *r, const int *fds,
                         struct err *e);
/* ERR_USAGE: one that a command is given is the gateway's. */
int serve_check_secrets(const struct serve *s, const struct talk_command *c, struct err *e);

/* ---- serve_pool.c ---------------------------------------------------------------------------- */

#define POOL_FIRST "true" /* the command that runs before anybody's */

/* Before it is reached: runs POOL_FIRST in it, and holds it still. */
int serve_pool_prepare(struct keeper *k, struct err *e);
/* Is it one of the pool's that nobody has taken yet? */
bool serve_pool_is_idle(const struct keeper *k);
/* ERR_USAGE: a request that a sandbox like this one does not take. */
int serve_pool_check(const struct keeper *k, const struct talk_request *r, struct err *e);
/* It goes on, and is met, which takes TIMING_HELLO. -1: it is lost. */
int serve_pool_take(struct keeper *k, struct timing *ret, struct err *e);
/* TALK_TAKEN. -1: the client does not take it, and its job must not begin. */
int serve_pool_tell(struct keeper *k, const struct client *c, struct err *e);

/* ---- serve_jobs.c ---------------------------------------------------------------------------- */

/* TALK_EXEC: the client has its job then. */
int serve_start_job(struct keeper *k, struct client *c, const struct talk_request *r,
                    const int *fds, struct err *e);
/* Deadlines, and what its client is to be told. */
int serve_look_after(struct keeper *k, unsigned exec, struct err *e);
/* Returns new: the file of a detached job's stdout (0) or stderr (1). */
char *serve_detached_name(uint32_t serial, int stream);
/* Its result is as it is: kept, and told to whoever waits for it. */
void serve_keep_ended(struct keeper *k, const struct task *t);

#endif
