/*
 * seen: what the guest says that a job did to files: onto the record, and to the alerts.
 *
 * All of it is the guest's word, within the relay's bounds: so many rows of a job, and no more.
 */
#ifndef LZ_RUN_SEEN_H
#define LZ_RUN_SEEN_H

#include "run/keeper.h"

/* May what this job writes be told? Only a record with content has a place for it. */
bool seen_is_wanted(const struct plan *p);
/* CHANNEL_SEEN. */
void seen_take(struct keeper *k, const struct channel_event *ev);
/* The job has said all of it; and before the record ends, of all jobs. */
void seen_end(struct keeper *k, uint32_t exec);
void seen_done(struct keeper *k);

#endif
