/*
 * pool: guests that are ready before the run that takes one.
 *
 * How it works
 *   Each is a sandbox (sandbox.h) named pool.KEY.NUMBER, whose keeper has met the guest, has let a
 *   command of ours run in it, and holds it paused (serve_pool.c). KEY stands for all that decides
 *   what the guest is: the plan without its command, the manifest and policies that it was made by,
 *   QEMU, our own programs, and what its gateway has of the caller's. A run with that key takes one
 * by TALK_TAKE, which the keeper allows once; its command is the guest's last, and the guest goes
 * with it. What nobody takes ends by itself. Whoever has run leaves a process behind that makes
 * ready what is missing, and ends.
 *
 * Must: give no guest to two runs, and none to a run whose guest would have been another one.
 */
#ifndef LZ_RUN_POOL_H
#define LZ_RUN_POOL_H

#include "run/sandbox.h"

#define POOL_PREFIX      "pool."
#define POOL_MAX         16u               /* guests that are ready for runs of one key */
#define POOL_IDLE_MS     (10u * 60 * 1000) /* a guest waits so long, if nobody says otherwise */
#define POOL_IDLE_MAX_MS (24u * 60 * 60 * 1000)

/* The beginning of the names of the guests that fit this run. ERR_USAGE: none can be ready for it.
 */
int pool_begin(const struct plan *plan, const struct run_config *c, char ret_prefix[RUN_ID_SIZE],
               struct err *e);
/*
 * As sandbox_exec() in a guest that is ready. 0: *ret says how it went; 1: there is none, nothing
 * has begun, and *e says why; -1. Of `how` what concerns streams, secrets and timing counts, which
 * has begun.
 */
int pool_run(const struct plan *plan, const struct run_config *c, const char *prefix,
             const struct sandbox_exec *how, struct run_result *ret, struct err *e);
/*
 * Leaves a process in the background that makes `n` ready, with c->pool_idle_ms. The process that
 * it is lives as long as they do: it forgets these arguments of ours, NULL behind the last one.
 */
int pool_fill(const struct plan *plan, const struct run_config *c, const char *prefix, unsigned n,
              char *const *argv, struct err *e);
/* Takes down those that are ready, or become so meanwhile, of all keys; runs that have one go on.
 */
int pool_drain(const char *data_dir, uint64_t *ret_removed, struct err *e);

#endif
