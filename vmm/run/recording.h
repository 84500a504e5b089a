/*
 * recording: the record of one run or sandbox (record/record.h), as its keeper writes it.
 *
 * How it works
 *   The launcher makes the ledger and its key before anything runs. The keeper begins the record,
 *   adds a line where something happens, and signs a head before the first command, and then every
 *   RECORDING_SIGN_MS in which there was something new. What is there when somebody gets their
 *   prompt back is on the disk by then: of a sandbox the first head, of a run the last one. A run
 *   that goes on for RECORDING_SIGN_MS has one there then. Its last word is `end`. When every
 * process is gone and the folder is swept the launcher adds `destroyed` and closes the record: a
 * record without that is incomplete, whoever was killed. Calls about what happens do not fail: the
 * first one that could not be written ends the guest, by recording_check() in keeper_pump(), for
 * what is not on record shall not go on.
 *
 * Must: write no value of a variable or secret. Without content (plan/record.h), and of an amnesic
 * guest, nothing that the guest or its command chose but numbers.
 */
#ifndef LZ_RUN_RECORDING_H
#define LZ_RUN_RECORDING_H

#include "base/err.h"
#include "plan/plan.h"
#include "record/record.h"
#include "run/run.h"

#include <stdbool.h>
#include <stdint.h>

#define RECORDING_SIGN_MS   10000u
#define RECORDING_SAMPLE_MS 10000u /* at least; with its age a guest is looked at less often */

struct keeper;
struct folder;

/* Files that decided something: the manifest, the policies. */
struct recording_file {
    const char *role;
    char *name, *text;
};
struct recording_files {
    struct recording_file *items;
    size_t n;
};
void recording_files_add(struct recording_files *f, const char *role, const char *name,
                         const char *text);
void recording_files_done(struct recording_files *f);

/* ---- the launcher's part --------------------------------------------------------------------- */

int recording_prepare(const struct plan *plan, const struct run_config *c, struct err *e);
/* Every process is gone, and so is the folder unless it was kept. -1 also if the keeper had not
 * come to its end. */
int recording_close(const struct plan *plan, const struct run_config *c, const struct folder *f,
                    bool kept, struct err *e);

/* ---- the keeper's part: all of them do nothing where there is no record -----------------------
 */

int recording_begin(struct keeper *k, struct err *e);
/* The step behind `meet`: what the guest is, and a head of it. */
int recording_up(struct keeper *k, struct err *e);
/* -1: something could not be written. */
int recording_check(const struct keeper *k, struct err *e);
/* Samples and heads that are due; returns when the next one is (monotonic). */
uint64_t recording_tick(struct keeper *k);
void recording_end(struct keeper *k);
void recording_free(struct keeper *k);

void recording_image(struct keeper *k);
void recording_exec(struct keeper *k, uint32_t serial, const struct plan *plan);
void recording_exit(struct keeper *k, uint32_t serial, const struct run_result *r);
struct gateway_event;
/* A destination that was not tried before, as the gateway has decided. */
void recording_egress(struct keeper *k, const struct gateway_event *try);
/* What the guest says; takes `members`, and forgets them in a record without content. */
void recording_guest(struct keeper *k, const char *type, struct doc *members);
/* What its agent says. */
void recording_words(struct keeper *k, const char *text);
void recording_sample(struct keeper *k);
/* "mark", "revert", "forget" or "fork". */
void recording_mark(struct keeper *k, const char *what, const char *name, const char *parent);
/* Those that hold from now on. */
void recording_rules(struct keeper *k, const struct net_rules *rules);
/* The guest was stopped: its fence does not hold. */
void recording_held(struct keeper *k, const char *why);
/* "pause" or "resume". */
void recording_plain(struct keeper *k, const char *what);
/* Does it take what the guest may name: outputs, arguments, words? */
bool recording_has_content(const struct keeper *k);
/* The line that it ends with by now; false: there is none. */
bool recording_where(const struct keeper *k, struct record_head *ret);
/* Anything else that the host saw; takes `members`. */
void recording_add(struct keeper *k, const char *type, struct doc *members);

/* What left a guest: the members of a line "output" for each file, and of "outputs" for all. New.
 * `taken`: how, NULL: as what a run made; `name`: NULL if it has none. */
struct recording_sum {
    uint64_t files, folders, bytes, refused;
    uint64_t listed; /* lines "output" */
};
struct doc *recording_output_doc(const char *taken, const char *name, uint64_t bytes,
                                 const char *sha256);
struct doc *recording_sum_doc(const char *taken, const struct recording_sum *s);

#endif
