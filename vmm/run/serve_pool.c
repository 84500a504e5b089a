/*
 * serve: a guest of the pool (pool.h): made ready, held still, and given to one command.
 *
 * How it works
 *   Before anybody can reach the keeper, a command that is ours runs in the guest, so that what a
 *   first container costs is paid. Then the guest is silent, as for a mark, the host's end of the
 *   channel is a new one, and the guest is paused. Whoever takes it has it go on and be met like
 * one that was restored: new entropy, time and names, and nothing that was before. Nobody else is
 *   served, before or after; and whatever keeps the command from beginning, the guest ends.
 */
#include "run/serve_private.h"

#include "base/clock.h"
#include "base/own.h"
#include "run/recording.h"

#include <errno.h>
#include <fcntl.h>

#define FIRST_MS 60000u /* for the command that is ours; generous: slow emulation */

/* ---- made ready ------------------------------------------------------------------------------ */

static int begin_first(struct keeper *k, struct err *e)
{
    own_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    const struct job_io io = {.stdin_fd = -1, .stdout_fd = null, .stderr_fd = null};
    struct task *t = &k->serve->tasks[0];
    const struct strv none = {0};
    own_strv struct strv argv = {0};

    if (null < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open /dev/null");
    strv_add(&argv, POOL_FIRST);
    *t = (struct task){.serial = ++k->serve->job_serial, .began_real_ns = clock_real_ns()};
    if (plan_derive(k->plan,
                    &(struct plan_exec){.argv = &argv, .env = &none, .timeout_ms = FIRST_MS},
                    &t->plan, e) < 0)
        return -1;
    recording_exec(k, t->serial, t->plan);
    return recording_check(k, e) < 0
               ? -1
               : job_start(&k->jobs[0], 1, t->plan, &io, &t->result, k->channel, e);
}

/* How it ended is nothing: an image need not have it. */
static int let_first_run(struct keeper *k, struct err *e)
{
    if (begin_first(k, e) < 0)
        return -1;
    while (k->jobs[0].state != JOB_NONE)
        if (keeper_pump(k, k->jobs[0].until_ms, NULL, 0, e) < 0 || serve_look_after(k, 1, e) < 0)
            return -1;
    return 0;
}

static int open_anew(struct keeper *k, struct err *e)
{
    channel_close(k->channel);
    k->channel = NULL;
    keeper_forget_guest(k);
    return up_channel(k, e);
}

int serve_pool_prepare(struct keeper *k, struct err *e)
{
    if (let_first_run(k, e) < 0 || mark_hold(k, e) < 0 || open_anew(k, e) < 0 ||
        serve_set_paused(k, true, e) < 0)
        return -1;
    k->serve->pool_until_ms = clock_mono_ms() + k->c->pool_idle_ms;
    return 0;
}

/* ---- taken ----------------------------------------------------------------------------------- */

bool serve_pool_is_idle(const struct keeper *k)
{
    return k->c->pool_idle_ms && !k->serve->taken;
}

static int say_not_theirs(const struct keeper *k, struct err *e)
{
    return err_set(e, ERR_USAGE,
                   k->c->pool_idle_ms ? "sandbox '%s' is the pool's: it takes the command of one "
                                        "'lazaret run --pool'"
                                      : "sandbox '%s' is none of the pool's",
                   k->folder->id);
}

int serve_pool_check(const struct keeper *k, const struct talk_request *r, struct err *e)
{
    const bool pooled = k->c->pool_idle_ms > 0, idle = serve_pool_is_idle(k);
    bool takes = true;

    switch (r->what) {
    case TALK_EXEC:
        takes = r->flags & TALK_TAKE ? idle : !pooled;
        break;
    case TALK_DRAIN:
        takes = idle;
        break;
    case TALK_PAUSE:
    case TALK_RESUME:
        takes = !idle;
        break;
    case TALK_SNAPSHOT:
    case TALK_REVERT:
    case TALK_FORGET:
    case TALK_FORK:
    case TALK_NETWORK:
        takes = !pooled;
        break;
    default:
        break;
    }
    return takes ? 0 : say_not_theirs(k, e);
}

int serve_pool_take(struct keeper *k, struct timing *ret, struct err *e)
{
    timing_begin(ret, clock_mono_us());
    k->serve->taken = true;
    if (serve_set_paused(k, false, e) < 0 || work_greet(k, e) < 0) {
        k->lost = true;
        return err_wrap(e, "a guest of the pool");
    }
    timing_note(ret, TIMING_HELLO);
    return 0;
}

int serve_pool_tell(struct keeper *k, const struct client *c, struct err *e)
{
    return talk_answer(c->fd, serve_answer(k->serve, TALK_TAKEN)) < 0
               ? err_set(e, ERR_INTERRUPTED, "whoever has taken it is gone")
               : 0;
}
