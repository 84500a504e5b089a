/*
 * timing: where the time of a run went, from the command line to the last process that is gone.
 *
 * One cursor: whoever ends a step gives it all the time since the step before ended. So the steps
 * add up to the whole, and what nobody names is in the step that comes after it. Plain data: it
 * goes from launcher to keeper by fork, and back with the result. A step costs one clock read.
 */
#ifndef LZ_RUN_TIMING_H
#define LZ_RUN_TIMING_H

#include "base/doc.h"

#include <stdint.h>

enum timing_step {
    TIMING_PARSE,     /* command line, plan, what the image's name means */
    TIMING_BEGIN,     /* the run's folder, namespaces, init and keeper */
    TIMING_TURN,      /* others began at once: until it might, too */
    TIMING_IMAGE,     /* its parts, opened; what is left of hashing them beside the next steps */
    TIMING_DISKS,     /* scratch and input */
    TIMING_XML,       /* of the domain */
    TIMING_LIBVIRT,   /* its driver, started */
    TIMING_SAVED,     /* the saved guest: found, or made; what is left of checking its memory */
    TIMING_QEMU,      /* started, the saved state taken in */
    TIMING_HELLO,     /* until the guest is ready: its boot, when it is not restored */
    TIMING_RECORD,    /* what confines it read, the first head signed and on the disk */
    TIMING_CONTAINER, /* until the job's first process */
    TIMING_JOB,
    TIMING_COLLECT,
    TIMING_DOWN, /* QEMU's end, all processes, the folder */
    TIMING_STEPS
};
const char *timing_step_name(enum timing_step step);

struct timing {
    uint64_t at_us; /* monotonic: where the last step ended */
    uint64_t us[TIMING_STEPS];
};

void timing_begin(struct timing *t, uint64_t at_us);
/* The step ends now; it may have ended before, and gets more. Nothing where nothing began. */
void timing_note(struct timing *t, enum timing_step step);
uint64_t timing_whole_us(const struct timing *t);
/* Returns new: {"parse": N, ..., "whole": N}, in microseconds. */
struct doc *timing_to_doc(const struct timing *t);
/* Returns new: a table for people, in milliseconds. */
char *timing_to_text(const struct timing *t);

#endif
