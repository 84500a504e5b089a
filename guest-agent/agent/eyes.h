/*
 * eyes: how what one job does to files is watched: with fanotify, from outside its container.
 *
 * How it works
 *   When the container is there and before its command runs, every mount of it that holds files
 *   gets a mark, reached through its first process: only this container has those mounts, so what
 *   is told is this job's. The kernel tells of a file with an fd of it, whose path in /proc/self/fd
 *   is the one that the job sees. Canaries are marked themselves, in a group of their own: what
 *   else the job does cannot fill its queue, and the mark stays with the file under any name.
 *   The queues are bounded by the kernel; more than one holds is lost, and counted as such.
 *   Behind each look the eyes rest a moment, but for canaries: a job that writes many files is not
 *   interrupted at each of them.
 *
 * Must not: wait. What is opened for the agent may be a FIFO, which O_NONBLOCK is for.
 */
#ifndef LZ_AGENT_EYES_H
#define LZ_AGENT_EYES_H

#include "agent/seen.h"

#include <poll.h>
#include <sys/types.h>

struct eyes {
    int files, canaries; /* fanotify groups; -1: none */
    int mounts;          /* the container's, without which a path would lose its front */
    uint64_t rest_ms;    /* until when they rest, 0: they do not */
    size_t config_at;    /* bytes of `paths` that have arrived */
    char paths[WIRE_CANARIES_MAX][WIRE_CANARY_SIZE];
    struct eyes_canary {
        dev_t dev;
        ino_t ino; /* 0: not watched */
    } known[WIRE_CANARIES_MAX];
};

void eyes_init(struct eyes *y);
void eyes_close(struct eyes *y);
/* Takes what is the canaries' of a piece of CONFIG; returns how many bytes it was, or -EPROTO: one
 * is no path. */
ssize_t eyes_take_config(struct eyes *y, const struct wire_exec *ask, const uint8_t *p, size_t len);
/* Opens them on the container with this first process. What cannot be watched is in `seen`. */
void eyes_open(struct eyes *y, const struct wire_exec *ask, pid_t init, struct seen *seen);
/* What to wait for, of files and of canaries; and until when they rest, 0: they do not. */
void eyes_fill(const struct eyes *y, struct pollfd *files, struct pollfd *canaries);
uint64_t eyes_deadline(const struct eyes *y);
/* Takes what there is, but not without an end; true: there is no more now, and they rest. */
bool eyes_look(struct eyes *y, uint64_t now_ms, struct seen *seen);
void eyes_wake(struct eyes *y, uint64_t now_ms);

#endif
