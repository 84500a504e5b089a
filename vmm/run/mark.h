/*
 * mark: what a sandbox was at a moment, memory, devices and disk together, and going back to it.
 *
 * How it works
 *   Taking one: the guest writes out its disk and is held (shared/wire.h), then it stands still.
 *   The disk keeps what it holds (hv_disk_keep()), QEMU writes memory and devices to a file of the
 *   sandbox's folder, and the guest goes on.
 *   Going back: everything is checked first, for from there on there is no way but forward. QEMU
 *   is killed, the disk reverted, another QEMU takes the state in, and the guest is met with fresh
 *   entropy, time and names before anything in it may speak. What ran at the mark runs on; what
 *   ran meanwhile has ended, and its clients are told.
 *   Marks form a tree: each one's parent is where the guest was before. They live as long as their
 *   sandbox, so what is known of them, their digests too, is in the keeper's memory only.
 *
 * Must: keep no guest that was given a secret, which would then be in a file.
 * Must: leave a guest that could not be marked as it was. A guest that half came back must not run.
 */
#ifndef LZ_RUN_MARK_H
#define LZ_RUN_MARK_H

#include "base/digest.h"
#include "run/keeper.h"

#include <inttypes.h>

#define MARK_MAX       PLAN_MARKS_MAX     /* of one sandbox */
#define MARK_ROOM      (MARK_MAX + 32)    /* with those that are held or made for a moment */
#define MARK_DEFAULT   PLAN_MARKS_DEFAULT /* ... that are kept */
#define MARK_NAME_SIZE 65                 /* bytes, with the NUL */

/* The name of its disk in the image; its state's file in the folder, and what forks add to that. */
#define MARK_DISK  "mark-%" PRIu32
#define MARK_FILE  FOLDER_MARKS "/%" PRIu32
#define MARK_SAVED ".saved"
#define MARK_BASE  ".raw"
/* Of an amnesic sandbox: a file system of its own for what forks add, which they are given. */
#define MARK_SHARE  FOLDER_MARKS "/%" PRIu32 ".share"
#define MARK_SHARED "mark" /* and what forks add */

struct mark {
    char name[MARK_NAME_SIZE];
    uint32_t id, parent; /* ids begin with 1; parent 0: the sandbox's beginning */
    uint64_t made_real_ns;
    uint64_t state_bytes;
    bool held;                    /* a command that runs goes back to it */
    bool secret;                  /* the guest had been given a secret by then */
    char sha256[DIGEST_HEX_SIZE]; /* of the state's file */
    /* What ran, by its number less one. */
    struct mark_job {
        uint32_t serial; /* 0: nothing */
        bool tty;
        uint64_t written[2]; /* a detached one's: bytes in its files of stdout and stderr */
    } jobs[WIRE_EXEC_MAX];
};

struct marks {
    struct mark items[MARK_ROOM]; /* oldest first */
    size_t n, max;
    uint32_t last_id, at; /* `at`: whose state the guest goes on from */
};

/* What a mark is made for. */
enum mark_life {
    MARK_KEPT,    /* the user: the oldest goes when there would be more than `max` */
    MARK_FOR_NOW, /* forks and diffs: no other goes for it */
    MARK_HELD,    /* the same, and it neither goes nor is forgotten before mark_release() */
};

/* The guest has written its disk, its commands stand still, and nothing is under way: until it goes
 * on or is met anew. */
int mark_hold(struct keeper *k, struct err *e);
/* ERR_USAGE: it is none. */
int mark_check_name(const char *name, struct err *e);
/* `name` NULL or "": one is made up. ERR_USAGE for a name that is none or is taken. *ret is valid
 * until the next call. */
int mark_take(struct keeper *k, struct marks *m, const char *name, enum mark_life life,
              const struct mark **ret, struct err *e);
/* By name, or the newest for NULL or "". */
int mark_find(const struct marks *m, const char *name, const struct mark **ret, struct err *e);
/* ERR_USAGE for one that is held, too. */
int mark_forget(struct keeper *k, struct marks *m, const char *name, struct err *e);
/* It is one of those that are kept. */
void mark_release(struct marks *m, const char *name);
/* Opens its state, `path` below `dir_fd`, whatever is in it. */
int mark_open(const struct mark *m, int dir_fd, const char *path, int *ret_fd, struct err *e);
/* The same, if it is the state that was saved. */
int mark_open_checked(const struct mark *m, int dir_fd, const char *path, int *ret_fd,
                      struct err *e);
/* Opens what forks of an amnesic sandbox's mark are given: the sandbox's folder in memory, and a
 * mount of what they share, which is made. */
int mark_hand_out(struct keeper *k, const struct mark *m, int *ret_state_fd, int *ret_share_fd,
                  struct err *e);
/* With its state, opened. The channel is another one then; -1: there is no guest any more. */
int mark_return(struct keeper *k, struct marks *m, const struct mark *to, int state_fd,
                struct err *e);
/* Bytes on the disk of all states with what forks added to them, and of the sandbox's own disk with
 * what its marks keep. */
void mark_usage(const struct keeper *k, const struct marks *m, uint64_t *ret_states,
                uint64_t *ret_disk);

#endif
