/*
 * keeper: the process that brings one guest up, lets its jobs work, and takes everything down.
 *
 * May: talk to libvirt, decide, write journal, record and result. Must not: read the channel, the
 * console or a spool.
 */
#ifndef LZ_RUN_KEEPER_H
#define LZ_RUN_KEEPER_H

#include "channel/channel.h"
#include "domain/domain.h"
#include "hv/hv.h"
#include "images/image.h"
#include "plan/plan.h"
#include "run/checker.h"
#include "run/egress.h"
#include "run/fence.h"
#include "run/folder.h"
#include "run/job.h"
#include "run/refused.h"
#include "run/run.h"

#include <poll.h>

#define KEEPER_INPUTS_MAX 64
#define KEEPER_POLLS_MAX  48 /* of the caller's own in keeper_pump() */

struct alarm;
struct observing;
struct serve;
struct recording;

#define UP_CHANNEL     "channel" /* the guest's sockets, in vm_path */
#define UP_CONSOLE     "console"
#define UP_CONSOLE_MAX (1u << 20) /* bytes of console.log */
#define UP_DOMAIN_XML  "domain.xml"

/* Everything that the steps of one run share. Set up by the launcher, then the keeper's own. */
struct keeper {
    const struct plan *plan;
    const struct run_config *c;
    const struct folder *folder;
    int control_fd;
    int stdin_fd;                     /* for the job, or -1 */
    int out_fd;                       /* the output folder, or -1 */
    mode_t umask;                     /* the user's own, for what comes out */
    struct fence_host host;           /* noted by the launcher */
    int data_fd;                      /* opened in init, before /run is covered */
    int input_fds[KEEPER_INPUTS_MAX]; /* the same */
    size_t n_inputs;
    int identity_fd;   /* the same: opens the only input */
    int gateway_fd;    /* of its gateway, which the launcher has started; -1: there is none */
    pid_t gateway_pid; /* the same, in the launcher's namespace; 0 */

    char *data;     /* data_dir as it is seen from inside */
    char *run_path; /* the run's folder, the same */
    /* Of what the guest may change or say: the run's folder, or of an amnesic one memory. */
    char *state_path;
    int state_fd;
    char *vm_path; /* where QEMU finds disks and sockets */
    struct image *image;
    char *xml;
    char warm_key[DIGEST_HEX_SIZE]; /* of the saved guest that it began with, or "" */
    int slot_fd;                    /* of slot.h, until it has begun; or -1 */
    struct checker checker;         /* of what it begins with; until it has begun */
    bool blank_input;               /* it has an input disk that it was not given */
    struct hv *hv;
    struct channel *channel;
    struct recording *recording; /* NULL: it has no record */
    /* Rows for the next line about each job (seen.h), or NULL. */
    struct doc *wrote[WIRE_EXEC_MAX];
    struct refused refused; /* what is not on record yet */
    struct gateway *gateway;

    /* What has happened so far; set by keeper_pump(). */
    bool ready, parked, collected, synced;
    uint32_t synced_how; /* enum wire_synced_how */
    bool release;        /* a guest that is held in spite of us goes on when it says so */
    bool net_ready, net_held, net_release; /* the same, of the port of egress */
    uint32_t collected_how;
    bool used_new;                  /* `used` came after it was asked for */
    struct wire_used used;          /* the guest's word */
    struct job jobs[WIRE_EXEC_MAX]; /* number N is at N - 1; a run has the first one only */
    struct serve *serve;            /* a sandbox's */
    struct alarm *alarm;            /* of a plan with alerts */
    struct observing *observing;    /* of a run that learns, while its job runs */
    bool serving;                   /* the sandbox is up */
    bool secret_delivered;          /* the guest has, or had, a secret of the user's in it */
    bool lost;                      /* keeper_pump() has failed: it cannot go on */
    struct fence first_fence;       /* as it was first read; n 0: not yet */
    uint64_t watch_ms;              /* when it is read next */
    unsigned seen_stopped;          /* readings in a row that found QEMU stopped by a signal */
    bool held;                      /* a sandbox's fence does not hold: its guest is stopped */
    bool ending;                    /* a sandbox was told to end by a signal */
    bool settled;                   /* its disk is written out, and it is held (changes.h) */
    uint64_t up_ms;                 /* monotonic */
    unsigned guest_lines;           /* of the guest's own words in the notes */
    struct run_result result;
};

/* init's part, before the keeper exists: opens what /run may hide. */
int keeper_before(struct keeper *k, struct err *e);
/* The whole story. Sends the result to the launcher; returns the exit status. */
int keeper_main(struct keeper *k);

/*
 * Waits for the next thing to happen, at most until `until_ms`, and takes note of it. `own` is
 * polled too. 0: something or the time; -1: it cannot go on (guest gone, tampering, launcher gone).
 */
int keeper_pump(struct keeper *k, uint64_t until_ms, struct pollfd *own, size_t n_own,
                struct err *e);

/* The steps (up.c, work.c): go returns 0 or -1, undo accepts half-done work. */
int up_image(struct keeper *k, struct err *e);
void up_image_undo(struct keeper *k);
/* The file of its scratch disk. */
const char *up_scratch_name(const struct keeper *k);
int up_scratch(struct keeper *k, struct err *e);
void up_scratch_undo(struct keeper *k);
int up_input(struct keeper *k, struct err *e);
void up_input_undo(struct keeper *k);
int up_domain(struct keeper *k, struct err *e);
int up_guest(struct keeper *k, struct err *e);
void up_guest_undo(struct keeper *k);
/* The guest's sockets and the relay between, for a domain that is there. */
int up_channel(struct keeper *k, struct err *e);
/* Lets a guest run that is there and stands still, within the plan's bounds that are QEMU's. */
int up_let_run(struct keeper *k, struct err *e);
/* In place of a saved guest that did not become ready, one that boots. */
int up_again(struct keeper *k, const struct err *why, struct err *e);
/* Returns new: the domain XML of this run, or what `want` says in its place. */
int up_format_domain(const struct keeper *k, const struct domain_files *want, char **ret_xml,
                     struct err *e);
/* On record, and when it is new into the journal, unless it is amnesic: what a job is refused is
 * the guest's word. `serial`: of a sandbox's command, else 0. */
int keeper_note_denied(struct keeper *k, uint32_t serial, const struct wire_denied *row,
                       bool is_new, struct err *e);
/* What confines its guest now. The relay of a run holds files of the user's that jobs read and
 * write; while nothing runs there are none. */
enum fence_of { FENCE_AT_REST, FENCE_OF_A_RUN };
void keeper_read_fence(const struct keeper *k, enum fence_of of, struct fence *ret);
/* It has begun: its first job runs, or whoever comes is served. Others may begin, and the launcher
 * hears it. */
int keeper_tell_begun(struct keeper *k, struct err *e);
/* Another guest, or another relay of the same: what was said to us is not so of it yet. */
void keeper_forget_guest(struct keeper *k);
/* How long a guest may take to become ready. */
uint64_t work_boot_ms(const struct keeper *k);
int work_meet(struct keeper *k, struct err *e);
/* Meets a guest that was restored, before anything in it may be spoken to. */
int work_greet(struct keeper *k, struct err *e);
int work_job(struct keeper *k, struct err *e);
int work_collect(struct keeper *k, struct err *e);
void work_collect_undo(struct keeper *k);

#endif
