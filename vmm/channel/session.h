/*
 * session: the relay's view of one guest: what it may say now, what it said, what it is told.
 *
 * UNTRUSTED input: every byte of the guest is parsed here and nowhere else on the host.
 *
 * How it works
 *   session_command()           a command of the keeper becomes state, and frames
 *   session_input()             bytes of the guest become frames; each is checked against
 * wire_rules with the state that we keep, then becomes output for a sink, state, or an event
 *   session_poll(), _io()       the jobs' fds: sinks are written, stdin is read within credit
 *
 *   Illegal traffic ends the session: it says CHANNEL_TAMPERED and takes nothing any more.
 *
 *   Nothing allocates and nothing grows: the guest gets as much as its credit and our queues hold.
 *   If the keeper does not take events, the guest is not read; if the guest does not take frames,
 *   neither stdin nor commands are read.
 *
 *   Secrets are read one at a time of each job, and go out from there; what was sent is wiped.
 *   One that cannot be read, or of a job that is not wanted any more, is sent empty: the guest then
 *   says that the job did not start.
 *
 *   What is owed (EXEC, COLLECT, CREDIT, CLOSE, EOF) is kept as state, not as frames. So nothing
 *   lines up behind SYNC: until RESUME the guest gets no frame.
 */
#ifndef LZ_CHANNEL_SESSION_H
#define LZ_CHANNEL_SESSION_H

#include "channel/relay.h"
#include "channel/sink.h"

#include <poll.h>

#define SESSION_EVENTS   16u /* events waiting for the keeper */
#define SESSION_OUT_SIZE 131072u
#define SESSION_POLL_MAX (1 + 3 * WIRE_EXEC_MAX)

/* One command in the guest; its number is its place in the array + 1. */
struct session_job {
    enum wire_state state; /* of the exec, as the guest may use it */
    bool busy;             /* from EXEC until its end has been reported */
    bool gone;             /* was adopted, and READY did not name it: to be reported */
    bool exec_due;         /* EXEC has not been sent, with: */
    struct wire_exec how;
    bool tty;
    bool exited; /* EXIT came; output may still be on its way to the sinks */
    struct wire_exit exit;
    struct session_denied {
        uint64_t what, count; /* wire_denied_what() */
        bool last;            /* it came with less than twice its count, which it may once */
    } denied[WIRE_DENIED_MAX];
    uint32_t n_denied;
    struct session_seen {
        uint32_t rows;            /* with a path */
        uint32_t once;            /* kinds without, 1 << enum wire_seen_kind */
        uint32_t touched, absent; /* canaries, a bit each */
    } seen;
    /* For the guest, in this order; fd -1: sent, or cannot be. */
    struct session_secret {
        int fd;
        uint32_t flags;
        char name[WIRE_SECRET_NAME_MAX + 1];
    } secrets[WIRE_SECRETS_MAX];
    uint32_t n_secrets, secrets_sent, uid, gid;
    bool no_secrets; /* one could not be read: the guest gets none of the rest, and starts no job */
    int config_fd;
    uint32_t config_size, config_sent; /* of both that are in it */
    int stdin_fd;
    enum relay_fd_kind stdin_kind;
    uint32_t stdin_credit; /* bytes that we may still send */
    bool eof_due;
    bool moved_asked;     /* the keeper has asked, and is told once more before the end */
    bool moved_due;       /* it asks now, for: */
    uint64_t moved;       /* bytes of its streams, both ways */
    uint64_t wrote;       /* those from the guest */
    uint32_t held_signal; /* SIGNAL and RESIZE wait for STARTED */
    uint16_t held_rows, held_cols;
    struct sink out, err;
};

struct session_tree {
    enum wire_state state; /* WIRE_IN_NONE or WIRE_IN_COLLECTING */
    bool collect_due;      /* COLLECT has not been sent, with: */
    uint64_t cap_bytes;
    bool collected; /* COLLECTED came; output may still be on its way to the spool */
    uint32_t how;
    uint64_t bytes, max_bytes;
    struct sink sink;
};

struct session {
    enum wire_state state; /* WIRE_IN_BOOT, _READY, _SYNCING or _HELD */
    bool greeted;          /* HELLO was sent; READY is due, or PARKED: */
    bool park;             /* the HELLO said PARK */
    bool asked;            /* USAGE was sent, USED is due */
    bool failed;           /* FAILED came */
    bool over;             /* tampering, loss or failure: nothing is taken any more */
    uint8_t nonce[WIRE_NONCE_SIZE];
    uint32_t keep; /* the HELLO's: jobs that READY may name */
    uint32_t log_bytes;
    struct session_tree tree;
    struct session_job jobs[WIRE_EXEC_MAX];
    uint32_t event_first, n_events;
    struct channel_event events[SESSION_EVENTS];
    int unlocked;              /* errno: why secrets are not taken; 0: they are */
    size_t out_start, out_end; /* bytes for the guest that are not sent yet */
    struct wire_reader in;
    /* Where secrets pass: in memory that is locked, and no longer than it takes. One of each job,
     * so that a pipe that is slow holds up no other's. */
    struct session_value {
        size_t len; /* read so far */
        bool whole;
        uint8_t bytes[WIRE_SECRET_MAX + 1];
    } values[WIRE_EXEC_MAX];
    uint8_t out[SESSION_OUT_SIZE];
};

void session_init(struct session *s);
/* Locks the memory that secrets pass through and keeps it out of core files; else there are none.
 */
void session_lock(struct session *s);
/* Closes every fd that it holds. */
void session_done(struct session *s);

/* Is there room to take a command now? */
bool session_takes_command(const struct session *s);
/* Takes the fds. */
void session_command(struct session *s, const struct relay_command *c, const int *fds, int n_fds);

/* Is there room to read from the guest now? */
bool session_takes_input(const struct session *s);
/* Reads from the guest into *ret_at, at most the bytes returned; then say how many they were. */
size_t session_input_space(struct session *s, uint8_t **ret_at);
void session_input(struct session *s, size_t n);

/* Fills p[SESSION_POLL_MAX] with what the jobs wait for; fd is -1 where there is nothing. */
void session_poll(const struct session *s, struct pollfd p[SESSION_POLL_MAX]);
/* Does what poll() said is possible and what cannot block, then parses what had to wait and makes
 * frames and events. */
void session_io(struct session *s, const struct pollfd p[SESSION_POLL_MAX]);

/* Bytes for the guest: borrows until session_sent(). */
size_t session_output(const struct session *s, const uint8_t **ret_at);
void session_sent(struct session *s, size_t n);

/* The next event for the keeper, or NULL; borrows until session_event_taken(). */
const struct channel_event *session_event(const struct session *s);
void session_event_taken(struct session *s);

/* Ends the session with an event, after one try to write what the sinks still have. */
void session_end(struct session *s, enum channel_event_type type, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- between session.c, session_in.c and session_out.c -------------------------------------- */

/* A new event, zeroed but for its type. The caller has checked session_has_event_room(). */
struct channel_event *session_add_event(struct session *s, enum channel_event_type type,
                                        uint32_t exec);
static inline bool session_has_event_room(const struct session *s)
{
    return s->n_events < SESSION_EVENTS - 1; /* one is kept for session_end() */
}
/* Closes what the job holds; its number may be used again. */
void session_job_done(struct session_job *j);
/* Parses what the reader holds, as far as there is room for events. */
void session_parse(struct session *s);
/* Appends a frame for the guest; false if there is no room. */
bool session_put(struct session *s, uint16_t type, uint32_t stream, const void *data, uint32_t len);
bool session_put_two(struct session *s, uint16_t type, uint32_t stream, const void *head,
                     uint32_t head_len, const void *data, uint32_t len);
/* Between SYNC and RESUME the guest gets no frame. */
static inline bool session_is_holding(const struct session *s)
{
    return s->state == WIRE_IN_SYNCING || s->state == WIRE_IN_HELD;
}
/* Makes the frames that are owed, as far as there is room. */
void session_fill(struct session *s);
/* Room for a DATA or CONFIG payload, leaving some for frames that matter more. */
uint32_t session_data_room(const struct session *s);
/* Reads on in the secret that is next; takes note of its end. */
void session_read_secret(struct session *s, uint32_t exec);
/* May it be read now? */
bool session_wants_secret(const struct session *s, uint32_t exec);
/* RELAY_SECRET: takes the fd. */
void session_add_secret(struct session *s, const struct relay_command *c, int fd);
/* Sends those that are due, as far as there is room. */
void session_fill_secrets(struct session *s, uint32_t exec);
/* What is left of them is not sent. */
void session_no_secrets(struct session *s, uint32_t exec);
/* Closes what is left of them. */
void session_secrets_done(struct session_job *j);
/* Reads stdin into a DATA frame. */
void session_read_stdin(struct session *s, uint32_t exec);

#endif
