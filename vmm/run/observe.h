/*
 * observe: what a run that learns did, from its keeper to whoever writes the manifest.
 *
 * How it works
 *   The keeper collects it while the job runs: destinations as its gateway tells of them, the paths
 *   that the guest says, and the host's own numbers before and after the job. When the job has
 * ended all of it goes, in rows of one size, into the file without a name that the caller made:
 * nothing of it is written elsewhere. A keeper that did not come so far leaves the file empty.
 *
 *   The guest's paths are bytes that it chose: nobody here looks into them (plan/learn.h does).
 */
#ifndef LZ_RUN_OBSERVE_H
#define LZ_RUN_OBSERVE_H

#include "channel/channel.h"
#include "plan/learn.h"
#include "run/run.h"

#define OBSERVE_PATHS_MAX        8192u /* rows, of all kinds together */
#define OBSERVE_DESTINATIONS_MAX ((size_t)NET_RULES_MAX)

struct keeper;
struct observing;

/* ---- the keeper's part: all of them do nothing in a run that does not learn -------------------
 */

void observe_begin(struct keeper *k);
/* A TRY or CLOSED. */
void observe_egress(struct keeper *k, const struct gateway_event *ev);
/* Of the job: its EXIT, and SEEN: UNTRUSTED paths, escaped as the relay does it (str_escape()). */
void observe_event(struct keeper *k, const struct channel_event *ev);
/* The bytes that str_escape() made this text of, NUL-terminated. What it cut ends in its folder. */
void observe_unescape(const char *text, char out[CHANNEL_TEXT_MAX]);
/* The job has ended. -1: it could not be written. */
int observe_end(struct keeper *k, struct err *e);
void observe_free(struct observing *o);

/* ---- the caller's ---------------------------------------------------------------------------- */

/* What there was, and of whose run. `l` borrows from the rest. */
struct observed {
    struct learned l;
    struct learn_destination *destinations;
    struct strv hosts;
    bool blind;
};

/* Makes the file for run_config. */
int observe_open(int *ret_fd, struct err *e);
/* `r`: of the run that has ended. `ret` is empty. ERR_HOST: there is nothing. */
int observe_read(int fd, const struct run_result *r, struct observed *ret, struct err *e);
void observe_done(struct observed *o);
#define own_observed __attribute__((cleanup(observe_done)))

#endif
