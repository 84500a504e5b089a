/*
 * alarm: the alerts of a guest's plan (plan/alert.h), looked at while it runs, and what is done
 * when one is met.
 *
 * How it works
 *   The keeper takes the host's numbers every ALARM_MS, and asks the relay, and the guest for its
 *   part where a rule needs it. A rule that is met is told: a line of the record and of the
 * journal, and to the launcher, which warns, and notifies whom the rule names (notify.h). What ends
 * or stops the guest is done by the keeper's own loop, for a mark may be under way: alarm_act(). A
 * frozen guest is stopped first, then its memory and disk are written apart from it and their
 * digests into the record (evidence).
 */
#ifndef LZ_RUN_ALARM_H
#define LZ_RUN_ALARM_H

#include "run/keeper.h"

#define ALARM_MS     1000u
#define ALARM_DIR    "evidence" /* in the data folder: a folder for each record or run */
#define ALARM_MEMORY "memory"
#define ALARM_DISK   "disk"
#define ALARM_BASE   "base" /* of a fork: below its disk */

struct gateway_event;

/* When the guest is up; does nothing without alerts in the plan. */
void alarm_begin(struct keeper *k);
void alarm_done(struct keeper *k);
/* When the next look is due, or UINT64_MAX. */
uint64_t alarm_due_ms(const struct keeper *k);
/* Looks, if it is due. */
void alarm_turn(struct keeper *k);
/* A job has started, or it is over: before its place is free. */
void alarm_job(struct keeper *k, uint32_t exec, bool over);
/* So much left the guest otherwise than as output of a job. */
void alarm_output(struct keeper *k, uint64_t bytes);
/* A destination was tried. */
void alarm_egress(struct keeper *k, const struct gateway_event *ev);
/* A canary file was opened, as the guest says; NULL: it is not known which. */
void alarm_file(struct keeper *k, const char *path);
/* Whom a rule notifies was not told, the launcher says. */
void alarm_untold(struct keeper *k, uint32_t rule, const char *why);
/* Does what a rule that was met asks for. -1: the guest has to end (ERR_LIMIT). */
int alarm_act(struct keeper *k, struct err *e);

#endif
