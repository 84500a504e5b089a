/*
 * folder: the folder of one run or sandbox, which *is* its state.
 *
 * runs/ID, sandboxes/NAME in the data folder; in both:
 *   lock         flock: held by the launcher, init and keeper for as long as one of them lives
 *   run.json     who and what: id, command, image, connection, domain name, keep
 *   plan.json    the frozen plan
 *   journal      one line per step: begin, done, failed, undone; and per event: denied
 *   domain.xml   the attack surface as it was
 *   console.log  the guest's console, escaped and capped, by the relay
 *   hv.log       what libvirt said
 *   network.json of a sandbox whose rules were changed: as they are now
 *   result.json  last, by rename
 *   socket       of a sandbox that is up: where its keeper takes requests (talk.h)
 *   paused       of a sandbox that is paused: empty
 *   exec-N.*     what detached commands of a sandbox wrote, capped
 *   *.raw *.squashfs *.spool   disks and spools: never kept
 *
 * live/ID, empty: of a run that lives or died, from before it has a folder until it is swept. So
 * those that live are found without a look at each that was kept.
 */
#ifndef LZ_RUN_FOLDER_H
#define LZ_RUN_FOLDER_H

#include "base/doc.h"
#include "base/err.h"
#include "plan/plan.h"
#include "record/record.h"
#include "run/run.h"
#include "wrap/wrap.h"

#include <stdbool.h>

#define FOLDER_SCRATCH CAGE_SCRATCH
#define FOLDER_DISK    CAGE_DISK  /* a sandbox's: it keeps marks */
#define FOLDER_BASE    "base.raw" /* below the disk of one that was forked */
#define FOLDER_MARKS   "marks"    /* a folder: the states of its marks */
#define FOLDER_INPUT   "input.squashfs"
#define FOLDER_TREE    "tree.spool"
#define FOLDER_CONSOLE "console.log"
#define FOLDER_NETWORK "network.json"

#define FOLDER_CREATING "creating" /* the journal's word before there can be a domain */

#define FOLDER_PAUSED "paused"
/* What a detached command wrote: its serial number, "stdout" or "stderr". UNTRUSTED bytes. */
#define FOLDER_DETACHED "exec-%u.%s"

enum folder_kind { FOLDER_RUN, FOLDER_SANDBOX, FOLDER_KINDS };

struct folder {
    enum folder_kind kind;
    char id[RUN_ID_SIZE];        /* of a sandbox: its name */
    char *path;                  /* absolute */
    int fd;                      /* of the folder */
    char record[RECORD_ID_SIZE]; /* of its record: `id`, or of a sandbox this life's own */
    int lock_fd;
    bool debug; /* each line of the journal says so */
};

#define FOLDER_LIVE "live"

/* "runs" or "sandboxes". */
const char *folder_place(enum folder_kind kind);
/* Returns new: where the names are of runs that live. */
char *folder_live_place(const char *data_dir);
/* Removes a run's name there, if there is one. */
int folder_forget_live(const char *data_dir, const char *id, struct err *e);

/* Makes the folder with its lock, run.json and plan.json; `name` is a sandbox's, else NULL. */
int folder_create(const char *data_dir, const char *name, const struct plan *plan,
                  const struct run_config *c, struct folder *ret, struct err *e);
void folder_done(struct folder *f);
#define own_folder __attribute__((cleanup(folder_done)))

/* Appends {"t":..., "event":..., "what":...} to the journal; takes `what`. */
int folder_journal_event(const struct folder *f, const char *event, struct doc *what,
                         struct err *e);
/* Appends {"t":..., "step":..., "state":...} to the journal. */
int folder_journal(const struct folder *f, const char *step, const char *state, struct err *e);

/*
 * A folder without its lock looks dead to gc, so making one and sweeping exclude each other: both
 * hold the lock of runs/ or sandboxes/ itself. Returns the fd that holds it, or -1 after some
 * seconds.
 */
int folder_lock_place(const char *data_dir, enum folder_kind kind, struct err *e);

/*
 * "running" if somebody holds the lock, else "kept" with a result, else "dead". A sandbox has
 * "starting" and "paused" too, and is never kept.
 */
int folder_state(int fd, enum folder_kind kind, const char **ret_state, struct err *e);

/* Reads one of the folder's own JSON files. Returns new. */
int folder_read_doc(int dirfd, const char *name, struct doc **ret, struct err *e);

/* Replaces one of them. */
int folder_write_doc(int dirfd, const char *name, const struct doc *d, struct err *e);

/* What its run.json says. */
int folder_is_amnesic(int folder_fd, bool *ret, struct err *e);

/* Writes result.json, for a folder that is kept. */
int folder_write_result(int folder_fd, const struct run_result *r, struct err *e);

/*
 * The end of a folder whose processes are gone: disks and spools go, and unless it is kept the rest
 * too. If the journal says that a daemon may still run its domain, that is destroyed first.
 */
int folder_sweep(const char *data_dir, enum folder_kind kind, const char *id, bool keep,
                 struct err *e);

#endif
