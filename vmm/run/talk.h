/*
 * talk: what a client and a sandbox's keeper say to each other, over the socket in its folder.
 *
 * How it works
 *   SOCK_SEQPACKET, one fixed-size record a packet. A client connects, sends one request, and gets
 *   one answer, TALK_DONE; after TALK_EXEC instead TALK_STARTED, sometimes TALK_DENIED (of what its
 *   job is refused; one at a time, when the last one was read), and TALK_RESULT, and it may send
 *   TALK_SIGNAL and TALK_RESIZE meanwhile. Closing the connection ends the job that it started;
 *   only one with TALK_DETACH goes on, from TALK_STARTED: the keeper keeps what it writes in files,
 *   and TALK_WAIT on another connection gets its TALK_RESULT.
 *   Clients name a job by its serial number, which is never used twice in a sandbox's life.
 *
 *   The command of TALK_EXEC travels in a sealed memfd: strings, each with its NUL, in the order
 *   workdir, user (both "" for the plan's own), arguments, environment, names of secrets that are
 *   files, and of those for the environment; their values are in fds that only the relay reads. The
 * seals are what keeps reading it from blocking or changing. What TALK_TOOK says, and the rules of
 * TALK_NETWORK (plan/net.h), travel in the same way, the latter with the gateway's new secrets,
 * which only the gateway reads.
 *
 * Must: the keeper checks everything in a request (talk_take_request() does), and never blocks on a
 * client; what a client says can end its own job and no other's. Client and keeper may be different
 * builds: the version is matched exactly. An answer is trusted: the keeper is the caller's own.
 */
#ifndef LZ_RUN_TALK_H
#define LZ_RUN_TALK_H

#include "base/str.h"
#include "hv/hv.h"
#include "plan/plan.h"
#include "record/record.h"
#include "run/fence.h"
#include "run/mark.h"
#include "run/run.h"
#include "shared/wire.h"

#include <stdint.h>

#define TALK_SOCKET      "socket" /* in the sandbox's folder */
#define TALK_VERSION     7u
#define TALK_ARGS_MAX    (1u << 20) /* bytes of the memfd; the plan's own limit is lower */
#define TALK_STRINGS_MAX 16384u     /* arguments, and variables */

enum talk_what {
    TALK_EXEC = 1, /* flags, timeout_ms, max_bytes, rows, cols, n_args, n_env, n_secrets,
                      n_secret_env; fds */
    TALK_SIGNAL,   /* signo: to the job of this connection */
    TALK_RESIZE,   /* rows, cols: the same */
    TALK_LIST,     /* the jobs */
    TALK_KILL,     /* serial, signo */
    TALK_PAUSE,
    TALK_RESUME,
    TALK_DOWN, /* the answer is the end of the connection */
    TALK_STATS,
    TALK_WAIT,     /* serial: of a detached job */
    TALK_SNAPSHOT, /* name: of the new mark, or "" */
    TALK_REVERT,   /* name: of a mark, or "": the newest */
    TALK_FORGET,   /* name */
    TALK_MARKS,    /* what there are */
    TALK_FORK,     /* name: of a mark to begin others with, or "": of a new one */
    TALK_FENCE,    /* what confines the guest now */
    TALK_FILES,    /* of an amnesic sandbox: an fd of the folder with what its guest may change */
    TALK_NETWORK,  /* n_args rules to be allowed, n_env to be denied, n_secrets; fds */
    TALK_COUNTS,   /* of TALK_STATS the host's part: nobody waits for the guest */
    TALK_DRAIN,    /* as TALK_DOWN, of one of the pool's that nobody has taken; else refused */
    TALK_TOOK,     /* n_args words about what came out (taken.c); fds: only the first one */
    TALK_WHAT_END
};

#define TALK_STDIN  1u /* flags of TALK_EXEC */
#define TALK_TTY    2u
#define TALK_DETACH 4u /* neither of the others */
/* A mark before it (`name`, or ""), and at its end, however it comes: back to that mark, or down.
 */
#define TALK_MARK    8u
#define TALK_BACK    16u /* with TALK_MARK only */
#define TALK_DISCARD 32u /* not with TALK_BACK */
/* One of the pool's (pool.h): with TALK_DISCARD, without a mark or TALK_DETACH. */
#define TALK_TAKE 64u
#define TALK_FLAGS                                                                                 \
    (TALK_STDIN | TALK_TTY | TALK_DETACH | TALK_MARK | TALK_BACK | TALK_DISCARD | TALK_TAKE)

/* The order of the fds of TALK_EXEC; no stderr with TALK_TTY, stdin with TALK_STDIN only, and only
 * the first one with TALK_DETACH. Behind them, one for each secret. */
enum { TALK_FD_ARGS, TALK_FD_STDOUT, TALK_FD_STDERR, TALK_FD_STDIN, TALK_FD_SECRETS };
#define TALK_FDS_MAX    (TALK_FD_SECRETS + WIRE_SECRETS_MAX)
#define TALK_FD_GATEWAY 1 /* of TALK_NETWORK: behind TALK_FD_ARGS, one for each secret */

/* The order of the fds in the answers to TALK_FILES (the first) and TALK_FORK (both). */
enum { TALK_GIVEN_STATE, TALK_GIVEN_SHARE, TALK_GIVEN_MAX };

struct talk_request {
    uint32_t version;
    uint32_t what;
    uint32_t flags;
    uint32_t serial, signo;
    uint16_t rows, cols;
    uint32_t n_args, n_env, n_secrets, n_secret_env;
    uint64_t timeout_ms; /* 0: none */
    uint64_t max_bytes;  /* kept of stdout and of stderr each; 0: all */
    char name[MARK_NAME_SIZE];
};

/* One job of TALK_LIST. */
struct talk_job {
    uint32_t serial;
    uint32_t state; /* enum job_state */
    uint32_t tty, detached;
    uint64_t began_real_ns;
    char command[128]; /* printable, cut */
};

/* One mark of TALK_MARKS. */
struct talk_mark {
    char name[MARK_NAME_SIZE], parent[MARK_NAME_SIZE]; /* parent "": the sandbox's beginning */
    bool here;                                         /* the guest's state goes on from it */
    uint64_t made_real_ns, state_bytes;
};

/* Why `used` is there, or is not. */
enum talk_guest { TALK_GUEST_TOLD = 1, TALK_GUEST_SILENT, TALK_GUEST_PAUSED };

/* TALK_TAKEN: of TALK_TAKE, before anything of the job begins. */
enum talk_said { TALK_DONE = 1, TALK_STARTED, TALK_RESULT, TALK_DENIED, TALK_TAKEN };

struct talk_answer {
    uint32_t version;
    uint32_t said;
    uint32_t serial;  /* STARTED: of the job */
    uint32_t n_jobs;  /* DONE of TALK_LIST and TALK_STATS */
    uint32_t n_marks; /* DONE of TALK_MARKS, and of TALK_SNAPSHOT and TALK_REVERT: the one */
    struct talk_job jobs[WIRE_EXEC_MAX];
    struct talk_mark marks[MARK_ROOM];
    struct mark forked;          /* DONE of TALK_FORK */
    uint32_t blank_input;        /* the same: as in struct run_from */
    char record[RECORD_ID_SIZE]; /* the same */
    uint64_t record_seq;
    uint64_t marks_bytes, disk_bytes; /* on the host: of their states; of the disk with all in it */
    struct hv_stats stats;            /* DONE of TALK_STATS */
    uint32_t guest;                   /* the same: enum talk_guest */
    struct wire_used used;            /* the same: the guest's word, execs as in `jobs` */
    struct fence fence;               /* DONE of TALK_FENCE */
    struct run_result result;         /* DONE: only result.err; DENIED: only result.denied */
};

/* ---- both ends ------------------------------------------------------------------------------- */

/* The keeper's listening socket, 0600. The folder is named by its fd: its path may be too long. */
int talk_listen(int folder_fd, int *ret_fd, struct err *e);
/* Connects within some seconds. */
int talk_connect(int folder_fd, int *ret_fd, struct err *e);

/* ---- the client's end ------------------------------------------------------------------------ */

/* Sends it whole or fails: the other end has gone, or does not read. */
int talk_ask(int fd, const struct talk_request *r, const int *fds, size_t n_fds, struct err *e);
/* 1: an answer; 0: none now (only if !wait); -1: the keeper has gone or is another version's. */
int talk_hear(int fd, bool wait, struct talk_answer *ret);
/* The same, waiting, with fds that come with it; those that do not are -1. */
int talk_hear_fds(int fd, struct talk_answer *ret, int fds[TALK_GIVEN_MAX]);
/* Returns the memfd of a command in *ret_fd. */
struct talk_words {
    const struct strv *argv, *env, *secrets, *secret_env;
    const char *workdir, *user; /* may be NULL */
};
int talk_pack(const struct talk_words *w, int *ret_fd, struct err *e);

/* ---- the keeper's end ------------------------------------------------------------------------ */

/* Is the other end the user that we run as? */
bool talk_peer_is_us(int fd);
/*
 * 1: a request that is legal, with its fds, which are the caller's to close; `busy` says that this
 * connection has its job; 0: none now; -1: gone, or illegal (its fds are closed).
 */
int talk_take_request(int fd, bool busy, struct talk_request *ret, int fds[TALK_FDS_MAX],
                      size_t *ret_n_fds);
/* Never blocks: -1 if the client does not take it. */
int talk_answer(int fd, const struct talk_answer *a);
/* Has it read all that it was told? */
bool talk_is_read(int fd);
int talk_answer_fds(int fd, const struct talk_answer *a, const int *fds, size_t n_fds);

struct talk_command {
    struct strv argv, env, secrets, secret_env;
    char *workdir, *user;
};
int talk_unpack(int fd, const struct talk_request *r, struct talk_command *ret, struct err *e);
void talk_command_done(struct talk_command *c);
#define own_command __attribute__((cleanup(talk_command_done)))

#endif
