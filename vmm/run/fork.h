/*
 * fork: a guest that begins where another sandbox was at a mark.
 *
 * How it works
 *   A mark's state has the memory in it. The first guest that begins with it makes the memory a
 *   file of its own beside the mark (a QEMU that takes the state in, and never runs), and the disk
 *   at the mark a raw file. Then it begins as every later one does: memory mapped privately from
 *   that file as in a warm start, and an overlay over that disk. What a child changes is its own.
 *   The files are the mark's and go with it; a child that is up holds what it needs of them.
 *   An amnesic sandbox's files are reached by fds that its keeper hands out (amnesia.h); the base
 * is bound in place of the link, and the input disk copied.
 *
 *     sandboxes/NAME/marks/ID           the mark's state
 *                          ID.saved/    as warm/ (snapshots/warm.h): ram, state, meta.json
 *                          ID.raw       0444: the disk
 *     CHILD/base.raw, scratch.qcow2     a hard link to that disk, and the child's overlay
 *
 * Must: refuse a state or memory that is not the one that was saved. The child's guest is met as
 * every restored one is, with entropy, time and names of its own, before anything in it may speak.
 */
#ifndef LZ_RUN_FORK_H
#define LZ_RUN_FORK_H

#include "record/record.h"
#include "run/mark.h"

struct run_from {
    char sandbox[RUN_ID_SIZE];
    struct mark mark;
    char record[RECORD_ID_SIZE]; /* the sandbox's, "" without one, and its last line by then */
    uint64_t record_seq;
    bool blank_input; /* its guest has an input disk without having been given one */
    /* Of an amnesic sandbox: its folder in memory, and the mount of what the mark's forks share. */
    bool in_memory;
    int state_fd, share_fd;
};

/* Closes what it holds open, if it does. */
void fork_let_go(struct run_from *from);
/* Of an amnesic sandbox: what forks share is in this mount namespace from here on. */
int fork_attach(const struct run_from *from, const char *path, struct err *e);
/* The child's disks, in its folder (`dir`, absolute) with `data` as in struct keeper. */
int fork_disk(const char *data, const struct run_from *from, const char *dir, struct err *e);
int fork_input(const char *data, const struct run_from *from, const char *dir, struct err *e);
/* Opens the mark's disk as a raw file, which is made if it is not there. Guest bytes. */
int fork_open_base(const char *data, const struct run_from *from, int *ret_fd, struct err *e);
/* Opens the mark's state: the very one that was saved. */
int fork_open_state(const char *data, const struct run_from *from, int *ret_fd, struct err *e);
/* Returns new: the folder of saved guests of this mark. */
char *fork_saved_dir(const char *data, const struct run_from *from);

#endif
