/* watch: the fence around a guest that runs, read again and again. See watch.h. */
#include "run/watch.h"

#include "base/clock.h"
#include "run/serve.h"

#include <poll.h>
#include <string.h>
#include <sys/wait.h>

uint64_t watch_due_ms(const struct keeper *k)
{
    return (k->ready || hv_qemu_pid(k->hv)) && !k->held ? k->watch_ms : UINT64_MAX;
}

/* How many files are open, and which cgroup it is in, may change. */
static bool may_change(const struct fence_row *r)
{
    const char *dash = strrchr(r->name, '-');

    return dash && (strcmp(dash, "-files") == 0 || strcmp(dash, "-cgroup") == 0);
}

static const struct fence_row *find(const struct fence *f, const char *name)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (strcmp(f->rows[i].name, name) == 0)
            return &f->rows[i];
    return NULL;
}

/* NULL: it holds as it did at first. */
const struct fence_row *watch_compare(const struct fence *first, const struct fence *now,
                                      struct err *ret_why)
{
    for (uint32_t i = 0; i < now->n; i++) {
        const struct fence_row *r = &now->rows[i], *was = find(first, r->name);

        if (r->verdict == FENCE_BROKEN) {
            err_set(ret_why, ERR_FENCE, "the fence is broken: %s: %s", r->name, r->text);
            return r;
        }
        if (first->n == 0 || may_change(r))
            continue;
        if (!was || was->verdict != r->verdict || strcmp(was->text, r->text) != 0) {
            err_set(ret_why, ERR_FENCE, "the fence has changed: %s: %s, was %s", r->name, r->text,
                    was ? was->text : "not there");
            return r;
        }
    }
    return NULL;
}

/* Its end is on its way to us, and says more than that nothing can be read of it. */
static bool has_ended(const struct keeper *k)
{
    siginfo_t info = {0};
    pid_t relay = channel_relay_pid(k->channel);

    if (hv_has_ended(k->hv))
        return true;
    if (waitid(P_PID, (id_t)relay, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == relay)
        return true;
    return fence_is_ending(relay);
}

int watch_read(struct keeper *k, struct err *e)
{
    const struct fence_row *wrong;
    struct fence now;

    keeper_read_fence(k, FENCE_OF_A_RUN, &now);
    wrong = watch_compare(&k->first_fence, &now, e);
    /* A library of QEMU's may have a file of the system open for a moment. */
    if (wrong && strcmp(wrong->name, "qemu-files") == 0) {
        poll(NULL, 0, WATCH_AGAIN_MS);
        keeper_read_fence(k, FENCE_OF_A_RUN, &now);
        wrong = watch_compare(&k->first_fence, &now, e);
    }
    if (wrong)
        return -1;
    if (k->first_fence.n == 0)
        k->first_fence = now;
    return 0;
}

/* Somebody may stop and continue it, a debugger or a user; twice in a row is no passing moment. */
static int check_stopped(struct keeper *k, struct err *e)
{
    pid_t qemu = hv_qemu_pid(k->hv);

    /* A daemon's cannot be looked at; its end is told by libvirt, and says more. */
    if (!qemu)
        return hv_check_answers(k->hv, e) < 0 && (hv_was_late(k->hv) || !has_ended(k)) ? -1 : 0;
    if (!fence_is_stopped(qemu)) {
        k->seen_stopped = 0;
        return 0;
    }
    if (++k->seen_stopped < 2)
        return 0;
    return err_set(e, ERR_HOST, "QEMU was stopped by a signal from outside and answers nothing");
}

/* The guest does nothing more: it is stopped, or it is no more. */
static int breach(struct keeper *k, const struct err *why, struct err *e)
{
    if (k->serving)
        return serve_hold(k, why, e);
    hv_freeze(k->hv, &(struct err){0}); /* the way down kills it in any case */
    *e = *why;
    return -1;
}

int watch_turn(struct keeper *k, struct err *e)
{
    struct err why;

    if (clock_mono_ms() < watch_due_ms(k))
        return 0;
    if (check_stopped(k, &why) < 0) {
        *e = why;
        return -1;
    }
    if (k->ready && watch_read(k, &why) < 0 && !has_ended(k))
        return breach(k, &why, e);
    k->watch_ms = clock_mono_ms() + WATCH_MS;
    return 0;
}
