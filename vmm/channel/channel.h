/*
 * channel: the keeper's end of the relay. Starts lazaret-relay, tells it what to send, and receives
 * validated, fixed-size events. The keeper never reads a byte that the guest wrote: text in an
 * event has been escaped and cut by the relay, and is checked to be printable once more here.
 *
 * How it works
 *   keeper == SOCK_SEQPACKET of fixed-size records == relay == QEMU's channel and console sockets
 * Records are struct relay_command and struct relay_event (channel/relay.h); fds travel with them.
 * A relay that dies is CHANNEL_LOST; so is QEMU closing the channel.
 */
#ifndef LZ_CHANNEL_CHANNEL_H
#define LZ_CHANNEL_CHANNEL_H

#include "base/err.h"
#include "shared/wire.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CHANNEL_TEXT_MAX 1024 /* bytes, with the NUL */

struct channel;

struct channel_config {
    const char *relay_path;     /* of the program lazaret-relay */
    int channel_fd;             /* connected to QEMU's channel socket; borrowed */
    int console_fd;             /* connected to QEMU's serial socket, or -1; borrowed */
    int console_log_fd;         /* file that the console goes to, or -1; borrowed */
    uint64_t console_max_bytes; /* the log is cut there; the console is still drained */
};

enum channel_event_type {
    CHANNEL_READY = 1, /* the guest answered HELLO with our nonce and version */
    CHANNEL_PARKED,    /* the same, of a HELLO with `park`: it may be saved now */
    CHANNEL_FAILED,    /* text: bring-up failed in the guest */
    CHANNEL_LOG,       /* text: the agent's word */
    CHANNEL_STARTED,   /* exec */
    CHANNEL_UNSTARTED, /* exec, why, text */
    CHANNEL_DENIED,    /* exec, denied: one row of what it was refused; a later one counts */
    CHANNEL_SEEN,      /* exec, seen, text: one row of what it did to files; text is the path */
    CHANNEL_EXIT, /* exec, exit, bytes, wrote: as MOVED; every byte of output has been written to
                     its sink */
    CHANNEL_GONE, /* exec: was adopted and is not in the guest; comes after READY */
    CHANNEL_COLLECTED,   /* how (enum wire_collected_how), bytes: the spool is complete */
    CHANNEL_SYNCED,      /* how (enum wire_synced_how): the guest is held */
    CHANNEL_USED,        /* used: the guest's word */
    CHANNEL_MOVED,       /* exec, bytes: that its streams have moved so far, by the relay's count;
                            wrote: those of them that came from it */
    CHANNEL_HOST_FAILED, /* text, exec (0: the spool or the relay itself): the host could not write
                            a file (out of space); that stream's rest is lost, COLLECTED will not
                            come */
    CHANNEL_TAMPERED,    /* text: what was illegal; the relay has stopped reading */
    CHANNEL_LOST,        /* QEMU closed the channel, or the relay ended */
};

struct channel_seen {
    uint32_t kind;   /* enum wire_seen_kind */
    uint32_t detail; /* number of a canary of the job, or WIRE_CANARY_SOME */
    uint64_t size;
};

struct channel_event {
    enum channel_event_type type;
    uint32_t exec;
    uint32_t why; /* enum wire_unstarted_why */
    uint32_t how;
    uint64_t bytes, wrote;
    uint64_t boot_us; /* READY: the guest's word */
    struct wire_exit exit;
    struct wire_denied denied; /* the guest's word */
    struct channel_seen seen;  /* the same */
    struct wire_used used;
    char text[CHANNEL_TEXT_MAX]; /* printable ASCII */
};

/* Starts the relay. Returns new. */
int channel_open(const struct channel_config *c, struct channel **ret, struct err *e);
/* Kills the relay and waits for it. Accepts NULL. */
void channel_close(struct channel *ch);
static inline void channel_close_p(struct channel **ch)
{
    channel_close(*ch);
}
pid_t channel_relay_pid(const struct channel *ch);

/*
 * Poll this fd for POLLIN, then call channel_next() until it returns 0, but no more than
 * CHANNEL_TURN times: a relay that was taken over has always one more, and whoever takes them all
 * sees no deadline. An honest one has fewer under way.
 */
#define CHANNEL_TURN 256
int channel_fd(const struct channel *ch);
/* 1: an event, 0: none now. After CHANNEL_TAMPERED or CHANNEL_LOST nothing follows. */
int channel_next(struct channel *ch, struct channel_event *ret);

/*
 * For a guest that was saved while it was held by another channel: this job shall go on, with these
 * sinks and without stdin (as for channel_exec(), borrowed). Before the first channel_hello(),
 * which asks the guest to keep the adopted jobs and to end all others. After READY a job runs as if
 * STARTED had come, or CHANNEL_GONE says that the guest does not have it: it may have ended, with
 * its output still on its way on the host, when the guest was saved.
 */
int channel_adopt(struct channel *ch, uint32_t exec, int stdout_fd, int stderr_fd, bool tty,
                  uint64_t sink_max_bytes, struct err *e);

/*
 * Greets with a fresh nonce, the time and entropy. May be called again, but not while a job, a
 * collection or a sync is under way, and not before the answer to the last one (it would not fit
 * the nonce).
 */
struct channel_hello {
    bool park;  /* no run yet: the guest lets go of scratch and input disk, and can be saved */
    bool input; /* the run has an input disk; not with `park` */
    uid_t uid;  /* of the job in its container: who owns its folders */
    gid_t gid;
};
int channel_hello(struct channel *ch, const struct channel_hello *m, struct err *e);

/*
 * Starts a job: `config_fd` is a file with the paths of its canaries, WIRE_CANARY_SIZE bytes each,
 * filled up with NULs, then the OCI config (`config_size` bytes with the canaries) and, behind it,
 * the container's profile, which may be empty: its whole content is sent. Sinks and
 * source are borrowed; stdin_fd -1 means no input, stderr_fd is -1 with a terminal and only then.
 * Pipes and terminals are opened anew through /proc/self/fd where that is allowed, so that the
 * relay can use O_NONBLOCK without changing the user's own.
 */
/* What the job alone gets, beside its configuration: the relay reads the fd (a regular file or a
 * pipe) to its end, and nobody else does. Borrowed. */
struct channel_secret {
    const char *name; /* wire_is_secret_name() */
    int fd;
    bool env; /* into its environment; else a file */
};

struct channel_exec {
    uint32_t exec; /* 1 to WIRE_EXEC_MAX */
    int config_fd;
    size_t config_size;
    int stdin_fd, stdout_fd, stderr_fd;
    uint64_t sink_max_bytes; /* of stdout and of stderr each, the rest is dropped; 0: no cap */
    bool tty, trace;
    bool watch, learn; /* CHANNEL_SEEN: what it writes; what it opens and executes */
    uint32_t canaries; /* up to WIRE_CANARIES_MAX */
    uint16_t rows, cols;
    const struct channel_secret *secrets; /* up to WIRE_SECRETS_MAX */
    size_t n_secrets;
    uid_t uid; /* of the job in its container: whose they are */
    gid_t gid;
};
int channel_exec(struct channel *ch, const struct channel_exec *x, struct err *e);
/* For a job that has ended meanwhile these two do nothing; before STARTED they wait for it. */
int channel_signal(struct channel *ch, uint32_t exec, uint32_t signo, struct err *e);
int channel_resize(struct channel *ch, uint32_t exec, uint16_t rows, uint16_t cols, struct err *e);
/* What the job still writes goes nowhere, so that a reader that hangs does not keep its end back.
 */
int channel_drop(struct channel *ch, uint32_t exec, struct err *e);
/* Collects the output tree into `spool_fd`: at most cap_bytes of content (and headers beside it).
 */
int channel_collect(struct channel *ch, int spool_fd, uint64_t cap_bytes, struct err *e);

/*
 * Has the guest stop its jobs and write out its scratch disk; CHANNEL_SYNCED answers. From then on
 * until channel_resume() nothing is under way in either direction and the disk is whole: the guest
 * can be saved, and what was saved can be met by another channel. Jobs and collections asked for
 * meanwhile begin after it. The guest must have answered channel_hello(), and must not be stopped
 * (it could not answer). One that takes too long cannot be taken back: resume when SYNCED has come.
 */
int channel_sync(struct channel *ch, struct err *e);
int channel_resume(struct channel *ch, struct err *e);

/*
 * Asks the guest what it uses; CHANNEL_USED is the answer, or none ever comes. Does nothing while
 * one is asked already. The guest must have answered channel_hello() and not be held.
 */
int channel_usage(struct channel *ch, struct err *e);

/* Asks the relay how much a job's streams have moved; CHANNEL_MOVED is the answer, or its end. */
int channel_moved(struct channel *ch, uint32_t exec, struct err *e);

#endif
