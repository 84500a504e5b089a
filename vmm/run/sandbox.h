/*
 * sandbox: a guest with a name, which stays up in the background and takes commands.
 *
 * How it works
 *   sandbox_up() leaves a supervisor behind: a process in a session of its own that does what the
 *   launcher of a run does (launch.h), in the folder sandboxes/NAME, with a keeper that serves
 *   (serve.h). The caller waits until the sandbox is up or has failed. Everything else speaks to
 *   the keeper over the folder's socket (talk.h).
 *   It ends by sandbox_down(), by a signal to the supervisor, or by the death of supervisor, init,
 *   keeper or QEMU. Taken down, it leaves nothing. Otherwise the folder stays without disks and
 *   says why; it is dead, and sandbox_down() or run_gc() removes it.
 */
#ifndef LZ_RUN_SANDBOX_H
#define LZ_RUN_SANDBOX_H

#include "run/run.h"

/* A name: what is safe as a file name, and short enough for a domain's. */
int sandbox_check_name(const char *name, struct err *e);

/* Brings it up, in the background. Result: only boot_ms and notes. */
int sandbox_up(const char *name, const struct plan *plan, const struct run_config *c,
               struct run_result *ret, struct err *e);

/* What becomes of the sandbox when the command has ended, however it did. */
enum sandbox_after { SANDBOX_KEEP, SANDBOX_REVERT, SANDBOX_DISCARD };

/* One command in a sandbox that is up. Borrowed; workdir and user may be NULL. */
struct sandbox_exec {
    const struct strv *argv, *env;
    struct secrets *secrets; /* as in struct run_config */
    const char *workdir, *user;
    uint64_t timeout_ms;
    bool interactive, tty;
    bool detach; /* return once it has started: ret_serial; excludes all that is about streams */
    unsigned *ret_serial;
    bool mark; /* make one before; SANDBOX_REVERT does in any case, and goes back to it */
    enum sandbox_after after;
    bool take;             /* one of the pool's (pool.h), with SANDBOX_DISCARD */
    bool *ret_taken;       /* whether it was; if not, nothing has begun, and `secrets` are open */
    struct timing *timing; /* begun by the caller; gets what is the command's; or NULL */
    const int *streams;    /* stdin (-1: none), stdout, stderr in place of ours; NULL: ours */
    uint64_t max_bytes;    /* with `streams`: kept of stdout and of stderr each */
    struct run_capture *capture; /* as in struct run_config, which also explains the rest */
    uint16_t rows, cols;
    void (*on_started)(void *arg);
    void (*on_resize)(void *arg, uint16_t *ret_rows, uint16_t *ret_cols);
    void (*on_denied)(const struct wire_denied *row, bool debug);
    void (*on_ended)(void *arg);
    void *arg;
};
/* Runs it to its end; like run_job() in all that concerns signals, streams and the result. */
int sandbox_exec(const char *data_dir, const char *name, const struct sandbox_exec *x,
                 struct run_result *ret, struct err *e);

/* Takes it down, or removes what is left of a dead one; returns when nothing is left. `hard`:
 * without asking the keeper. */
int sandbox_down(const char *data_dir, const char *name, bool hard, struct err *e);
/* As sandbox_down(), of one of the pool's that no run has taken; else ERR_USAGE. */
int sandbox_drain(const char *data_dir, const char *name, struct err *e);
int sandbox_pause(const char *data_dir, const char *name, struct err *e);
int sandbox_resume(const char *data_dir, const char *name, struct err *e);
/* Sends a signal to one of its commands. */
int sandbox_signal(const char *data_dir, const char *name, unsigned serial, unsigned signo,
                   struct err *e);
/* What a detached command wrote, to our stdout and stderr, as it is; with `follow` until it ends,
 * and then *ret is its result. A signal meanwhile ends the following, not the command. */
int sandbox_output(const char *data_dir, const char *name, unsigned serial, bool follow,
                   struct run_result *ret, struct err *e);
/* Returns new: array of {"exec","state","started","tty","command"}. */
int sandbox_list(const char *data_dir, const char *name, struct doc **ret, struct err *e);
/* Returns new: what it has used, by the host's count, and under "guest" what the guest says. */
int sandbox_stats(const char *data_dir, const char *name, struct doc **ret, struct err *e);
/* The same without the guest's part, which nobody waits for then. */
int sandbox_counts(const char *data_dir, const char *name, struct doc **ret, struct err *e);
/* What the guest wrote to its console, escaped, to our stdout; with `follow` until the sandbox
 * ends. */
int sandbox_console(const char *data_dir, const char *name, bool follow, struct err *e);
/* Makes a mark; `mark` NULL or "": it gets a name. Returns new: {"mark","parent","bytes",...}. */
int sandbox_snapshot(const char *data_dir, const char *name, const char *mark, struct doc **ret,
                     struct err *e);
/* Goes back to a mark, NULL or "": the newest one. Returns new: as above. */
int sandbox_revert(const char *data_dir, const char *name, const char *mark, struct doc **ret,
                   struct err *e);
int sandbox_forget(const char *data_dir, const char *name, const char *mark, struct err *e);
/* Returns new: {"marks":[...],"marks_bytes","disk_bytes"}. */
int sandbox_marks(const char *data_dir, const char *name, struct doc **ret, struct err *e);
/* Where others may begin, or their disks be read: at `mark`, or (NULL or "") at one made for that,
 * which is the caller's to forget; fork_let_go() is too. */
int sandbox_fork(const char *data_dir, const char *name, const char *mark, struct run_from *ret,
                 struct err *e);
/* Changes what it may connect to: takes out what `deny` names, then puts `allow` in, whose new
 * secrets are given, opened. All of it, or nothing. */
int sandbox_change_network(const char *data_dir, const char *name, const struct net_rules *allow,
                           const struct strv *deny, struct secrets *secrets, struct err *e);
/* Returns new: the plan that it came up with, with the network's rules as they are now. */
int sandbox_plan(const char *data_dir, const char *name, struct plan **ret, struct err *e);
/* Opens the folder with what its guest wrote, which of an amnesic sandbox is in memory. */
int sandbox_files(const char *data_dir, const char *name, int *ret_fd, struct err *e);
/* Opens the folder, whatever state it is in; *ret_state is as in `ls`. */
int sandbox_open(const char *data_dir, const char *name, int *ret_fd, const char **ret_state,
                 struct err *e);

#endif
