/*
 * run: the story of one run: its folder, its processes, its steps, its result.
 *
 * How it works
 *   run_job() is the launcher's part: it makes the run's folder, starts init and keeper in
 *   namespaces of their own (cage.h), passes signals and the window size on, waits until every
 *   process of the run is gone, and sweeps the folder. The keeper's part is the table of steps in
 *   keeper.c: going up is a loop over it, going down the same loop backwards, always.
 *
 * Must: leave no process, disk or socket behind, whatever ended the run.
 * Must not: read a byte that the guest wrote (the relay does; its events are fixed-size).
 */
#ifndef LZ_RUN_RUN_H
#define LZ_RUN_RUN_H

#include "base/doc.h"
#include "base/err.h"
#include "plan/plan.h"
#include "run/denied.h"
#include "run/egress.h"
#include "run/secret.h"
#include "run/timing.h"

#include <stdbool.h>
#include <stdint.h>

#define RUN_ID_SIZE    32   /* bytes, with the NUL */
#define RUN_NOTES_SIZE 4096 /* bytes, with the NUL */

/* How the job ended, when it was not an error of ours. */
enum run_end { RUN_ENDED_NOT, RUN_ENDED_EXIT, RUN_ENDED_SIGNAL, RUN_ENDED_OOM };

/* Plain data: it crosses from keeper to launcher as it is. */
struct run_result {
    char id[RUN_ID_SIZE];
    struct err err; /* class ERR_NONE: the job ended by itself, see `end` */
    enum run_end end;
    int exit_code;               /* RUN_ENDED_EXIT */
    int signal;                  /* RUN_ENDED_SIGNAL, RUN_ENDED_OOM */
    uint32_t oom_kills;          /* the guest's word */
    bool debug;                  /* the job was not confined as others are */
    bool warm;                   /* it began with a saved guest */
    bool pooled;                 /* that was ready before it */
    uint64_t boot_ms;            /* QEMU start to READY */
    uint64_t job_ms;             /* STARTED to EXIT, by the host's clock */
    uint64_t cpu_us, peak_bytes; /* the guest's word */
    uint64_t stream_bytes;       /* that the job read and wrote, by the relay's count */
    struct run_denied denied;
    struct run_egress egress;
    bool collected;
    bool out_sealed; /* the output is one file that nobody here can read */
    uint64_t out_files, out_folders, out_bytes, out_refused;
    struct timing timing;       /* all zero where nothing of the run came up */
    char notes[RUN_NOTES_SIZE]; /* lines for people, '\n' between them; printable */
};

/* What the job wrote: files without a name, in memory, that the caller closes; -1: nothing. Guest
 * bytes. One that is larger than RUN_CAPTURE_MAX was cut. */
struct run_capture {
    int stdout_fd, stderr_fd;
};

struct run_from;
struct recording_files;

struct run_config {
    const char *data_dir; /* absolute: images/ runs/ cache/ */
    const char *relay_path, *unpack_path, *look_path, *gateway_path;
    const char *preload_path; /* library for QEMU: hv/preload.c */
    const char *wrap_path;    /* of the program lazaret-qemu */
    bool warm;                /* begin with a saved guest, and save one where there is none */
    const char *uri;          /* NULL: the embedded driver */
    struct run_from *from;    /* begin with a mark of a sandbox (fork.h), and let it go; or NULL */
    struct secrets *secrets;  /* opened, of the plan's names; closed when passed on; or NULL */
    struct secrets *gateway_secrets; /* the same, of its gateway_secrets: files[i] is in fds[i] */
    const char
        *proxy_login; /* for the host's proxy, where the plan has one that wants it; or NULL */
    const struct recording_files *record_files; /* for its record; or NULL */
    int learn_fd; /* of a plan that learns: gets what was observed (observe.h) */
    bool keep_logs;
    uint64_t began_us;           /* monotonic: where TIMING_PARSE began; 0: it is left out */
    bool mark_each_exec;         /* of a sandbox: a mark before each command */
    uint64_t pool_idle_ms;       /* of one of the pool's: how long it waits to be taken; else 0 */
    unsigned max_marks;          /* of a sandbox; 0: a default */
    struct run_capture *capture; /* the job's output goes there, capped, not to stdio; or NULL */
    uint16_t rows, cols;         /* of the terminal */
    /* Called in the launcher: the job has started / the window changed (fills in its new size). */
    void (*on_started)(void *arg);
    void (*on_resize)(void *arg, uint16_t *ret_rows, uint16_t *ret_cols);
    /* The guest says that the job is refused what it was not before; its word. */
    void (*on_denied)(const struct wire_denied *row, bool debug);
    /* A rule of the policy was met: which, and by what. */
    void (*on_alert)(const struct alert_rule *rule, const char *text);
    /* Called in the launcher once nothing of the run is left, while signals are still blocked. */
    void (*on_ended)(void *arg);
    void *arg;
};

#define RUN_CAPTURE_MAX (1u << 20) /* bytes of stdout and of stderr that are captured */
/* Makes such files, both empty. */
int run_capture_open(struct run_capture *ret, struct err *e);

/*
 * Runs one job to its end. 0: *ret says how it went, errors of the run included; -1: it could not
 * even begin. Blocks SIGINT, SIGTERM, SIGHUP, SIGQUIT and SIGWINCH meanwhile.
 */
int run_job(const struct plan *plan, const struct run_config *c, struct run_result *ret,
            struct err *e);

/* Opens the folder that gets output: made if missing, and empty. ERR_USAGE. Of a path that a policy
 * has judged, `real`, no part may have become a link since. */
int run_open_out(const char *path, bool real, int *ret_fd, struct err *e);
/* Adds a line for people to the notes, while there is room. The text must be printable. */
void run_note(struct run_result *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The shell's status for a result, and its stable class name ("exited", "signaled", "oom", ...). */
int run_result_status(const struct run_result *r);
const char *run_result_class(const struct run_result *r);
struct doc *run_result_to_doc(const struct run_result *r);

/* Returns new: the domain XML that a run of this plan would get; changes nothing. */
int run_preview(const struct plan *plan, const char *data_dir, char **ret_xml, struct err *e);

/* What runs there are: array of {"id","state": running|kept|dead, "started", "command", ...}. */
int run_list(const char *data_dir, bool all, struct doc **ret, struct err *e);
/* One of them with everything that its folder says; `id` may be a unique prefix. */
int run_show(const char *data_dir, const char *id, struct doc **ret, struct err *e);
/* Finishes what crashed runs left, and with `kept` removes kept folders too. */
int run_gc(const char *data_dir, bool kept, uint64_t *ret_removed, struct err *e);

#endif
