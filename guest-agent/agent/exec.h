/*
 * exec: one job: its container, its streams, its end.
 *
 * How it works
 *   NONE [-> SECRETS] -> CONFIG (the bundle is being written) -> STARTING (runtime, then GO over
 * the link)
 *        -> RUNNING -> NONE, with EXIT; or -> NONE with UNSTARTED
 *   Output is read from the job's pipes straight into the outbox, and only while the host has given
 *   credit: a host that stops reading stops the job. Input waits in a ring of WIRE_WINDOW bytes,
 *   which is all that the host may have under way. EXIT is sent when the container's first process
 *   has been reaped, the link has ended, the pipes are drained, and the kernel has told of all that
 *   the job was refused (DENIED) and did to files (SEEN).
 *   Behind NONE the runtime may still be removing the last container: the next job of that number
 *   waits for it.
 */
#ifndef LZ_AGENT_EXEC_H
#define LZ_AGENT_EXEC_H

#include "agent/audit.h"
#include "agent/container.h"
#include "agent/egress.h"
#include "agent/eyes.h"
#include "agent/outbox.h"
#include "agent/secrets.h"

#include <poll.h>

enum exec_slot { EXEC_LINK, EXEC_IN, EXEC_OUT, EXEC_ERR, EXEC_FILES, EXEC_CANARIES, EXEC_SLOTS };

struct exec_input {
    int fd;
    bool open; /* the host has not sent EOF */
    bool lost; /* the host end that sent is gone: nobody waits for credit */
    size_t at, length;
    size_t spent; /* bytes that the job took and the host has no credit for yet */
    uint8_t ring[WIRE_WINDOW];
};

struct exec_output {
    int fd;
    size_t credit;
};

struct exec {
    unsigned number;
    enum wire_state state; /* WIRE_IN_NONE, _SECRETS, _CONFIG, _STARTING or _RUNNING */
    bool known;            /* has run in this session: late frames for it may be on their way */
    struct wire_exec ask;
    struct container_paths paths;
    struct audit *audit;
    const struct egress *egress;
    char id[CONTAINER_ID_MAX];
    char bundle[CONTAINER_PATH_MAX];
    struct secrets secrets;
    int config_fd;      /* of the file of the bundle that arrives, -1: none */
    size_t config_left; /* bytes of CONFIG, and of those .. */
    size_t file_left;   /* .. of that file */
    bool armored;       /* its profile is in the kernel, until its container is removed */
    pid_t runtime;      /* making the container, 0: no */
    pid_t cleaner;      /* removing the last one, 0: no */
    pid_t init;         /* the container's first process, 0: not known yet */
    bool reaped;        /* ... has ended */
    int init_status;
    bool made;      /* the container is there, and GO not said */
    bool here;      /* its first process runs our program */
    bool probe;     /* ... and is going to start a probe, which is told what it cannot read */
    int network;    /* its namespace, until GO; -1: not shown */
    int link;       /* to the container's first process, -1: it has ended */
    int stdio[3];   /* the container's ends, until the runtime has them */
    int console;    /* listens for the terminal, -1 without one */
    bool begun;     /* the command runs */
    bool ended;     /* ... has ended, with: */
    int status;     /* as from waitpid() */
    uint32_t wrong; /* enum wire_unstarted_why, 0: not known to have failed */
    char text[WIRE_TEXT_MAX + 1];
    uint32_t owner; /* of its container, in the kernel's audit records */
    struct eyes eyes;
    struct seen seen;
    struct denials denials;
    bool counted;               /* all that it was refused is in `denials` */
    uint32_t mark;              /* what has to come by before that, 0: not asked for */
    uint64_t count_deadline_ms; /* of the mark */
    uint64_t deadline_ms;       /* of STARTING, 0: none */
    uint64_t clean_deadline_ms; /* of the cleaner */
    struct exec_input in;
    struct exec_output out[2];
};

/* Borrows `audit` and `egress`. */
void exec_init(struct exec *x, unsigned number, const struct container_paths *paths,
               struct audit *audit, const struct secrets_config *secrets,
               const struct egress *egress);

/* Requests of the host, already legal in this state. -EPROTO: it breaks a promise (credit). */
void exec_open(struct exec *x, const struct wire_exec *ask, const char *run_dir, unsigned serial);
int exec_secret(struct exec *x, const struct wire_secret *m);
int exec_config(struct exec *x, const uint8_t *p, size_t len);
int exec_input(struct exec *x, const uint8_t *p, size_t len);
void exec_input_end(struct exec *x);
int exec_credit(struct exec *x, enum wire_kind kind, uint32_t bytes);
void exec_close_output(struct exec *x, enum wire_kind kind);
void exec_signal(struct exec *x, int signo);
void exec_resize(struct exec *x, uint16_t rows, uint16_t cols);
/* Ends and forgets the job without a word to the host. */
void exec_abort(struct exec *x);
/*
 * Another host end met the restored guest: a running job goes on with it. What it has not read of
 * its stdin still comes, and then the end; a terminal just stays silent, for there the end would be
 * a key pressed. False: it is not running.
 */
bool exec_keep(struct exec *x);

/* What the kernel told: of a job that may be this one, of a mark that may be this job's. */
void exec_take_denial(struct exec *x, const struct audit_event *ev);

/* A child of the agent has ended: true if it was one of this job's. */
bool exec_reaped(struct exec *x, pid_t pid, int status);
/* The guest stood still, and its clock may not have: what has a deadline gets its whole time again.
 */
void exec_rearm(struct exec *x);
/* Nothing of it is there, or is being removed: nothing to wait for, and nothing to move. */
static inline bool exec_is_idle(const struct exec *x)
{
    return x->state == WIRE_IN_NONE && x->cleaner == 0;
}
/* What to wait for; and by when (0: no deadline). */
void exec_fill(const struct exec *x, bool room, struct pollfd fds[EXEC_SLOTS]);
uint64_t exec_deadline(const struct exec *x);
/* Moves what can be moved. `fds` as filled, after poll(). */
void exec_pump(struct exec *x, const struct pollfd fds[EXEC_SLOTS], struct outbox *o);

#endif
