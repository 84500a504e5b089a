/*
 * serve: the last step of a sandbox's way up: its keeper takes requests until it is told to end.
 *
 * How it works
 *   A connection is one request, or one job (talk.h). A job's number is its place in keeper.jobs;
 * it is taken until the guest has said that the job is over, whatever became of its client. A
 * client that goes, breaks a rule or does not take its answer is dropped, and its job killed; one
 * that says nothing is dropped after SERVE_ASK_MS, or earlier when its place is needed.
 */
#ifndef LZ_RUN_SERVE_H
#define LZ_RUN_SERVE_H

#include "run/keeper.h"
#include "run/mark.h"

#define SERVE_CLIENTS_MAX  32
#define SERVE_ENDED_MAX    32          /* detached jobs whose end is remembered */
#define SERVE_DETACHED_MAX (16u << 20) /* bytes kept of stdout and of stderr of each */
#define SERVE_ASK_MS       5000u
#define SERVE_GUEST_MS     1000u /* for the guest's part of TALK_STATS */

/* Before the guest is met. */
int serve_prepare(struct keeper *k, struct err *e);
/* Until TALK_DOWN or a signal (0), or until the guest is lost (-1). */
int serve_go(struct keeper *k, struct err *e);
/* For marks: what runs; and what shall run on in the guest that is back, before it is met. */
void serve_note_jobs(struct keeper *k, struct mark *ret);
int serve_adopt_jobs(struct keeper *k, const struct mark *m, struct err *e);
/* The number of what runs there, as records say it; 1 of a run. */
uint32_t serve_serial(const struct keeper *k, uint32_t exec);
/* Pauses it, if it is not paused; `why` is for `ls` and `show`. -1: it could not be, and has to
 * end.
 */
int serve_stand_still(struct keeper *k, const char *why, struct err *e);
/* Stops the guest, since the fence does not hold: `why`. -1: it could not be stopped. */
int serve_hold(struct keeper *k, const struct err *why, struct err *e);
bool serve_is_paused(const struct keeper *k); /* false of a run */
/* Tells every client how it ended, and closes. */
void serve_undo(struct keeper *k);

#endif
