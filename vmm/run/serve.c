/* serve: a sandbox's keeper takes requests until it is told to end. See serve.h. */
#include "run/serve_private.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/own.h"
#include "run/alarm.h"
#include "run/control.h"
#include "run/recording.h"
#include "run/taken.h"
#include "run/talk.h"
#include "run/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* ---- clients --------------------------------------------------------------------------------- */

void serve_forget(struct client *c)
{
    close(c->fd);
    *c = (struct client){.fd = -1};
}

/* The job goes on only until the guest has killed it; what it still writes goes nowhere. */
int serve_end_job(struct keeper *k, unsigned exec, struct err *e)
{
    if (channel_drop(k->channel, exec, e) < 0)
        return -1;
    return channel_signal(k->channel, exec, SIGKILL, e);
}

int serve_drop(struct keeper *k, struct client *c, struct err *e)
{
    unsigned exec = c->exec;

    serve_forget(c);
    if (exec == 0)
        return 0;
    k->serve->tasks[exec - 1].client = NULL;
    return serve_end_job(k, exec, e);
}

/* A zeroed answer. */
struct talk_answer *serve_answer(struct serve *s, enum talk_said said)
{
    memset(&s->answer, 0, sizeof(s->answer));
    s->answer.version = TALK_VERSION;
    s->answer.said = said;
    return &s->answer;
}

void serve_tell_result(struct serve *s, struct client *c, const struct run_result *r)
{
    struct talk_answer *a = serve_answer(s, TALK_RESULT);

    a->result = *r;
    talk_answer(c->fd, a);
    serve_forget(c);
}

int serve_check_going(const struct keeper *k, struct err *e)
{
    if (!k->serve->paused)
        return 0;
    if (k->held)
        return err_set(e, ERR_FENCE, "sandbox '%s' is held: %s", k->folder->id, k->serve->why.text);
    return err_set(e, ERR_USAGE, "sandbox '%s' is paused (go on with 'lazaret resume %s')",
                   k->folder->id, k->folder->id);
}

/* The last word to a client without a job: `why` NULL is success. */
static void finish(struct serve *s, struct client *c, const struct err *why)
{
    struct talk_answer *a = serve_answer(s, TALK_DONE);

    if (why)
        a->result.err = *why;
    talk_answer(c->fd, a);
    serve_forget(c);
}

/* The one that has waited longest without asking anything; NULL: everybody has a job. */
static struct client *longest_waiting(struct serve *s)
{
    struct client *found = NULL;

    for (size_t i = 0; i < SERVE_CLIENTS_MAX; i++) {
        struct client *c = &s->clients[i];

        if (c->exec == 0 && c->waits == 0 &&
            (!found || c->fd < 0 || (found->fd >= 0 && c->serial < found->serial)))
            found = c;
    }
    return found;
}

static void accept_all(struct serve *s)
{
    int fd;

    while ((fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        struct client *c = longest_waiting(s);

        if (!talk_peer_is_us(fd) || !c) {
            close(fd);
            continue;
        }
        if (c->fd >= 0)
            serve_forget(c);
        *c = (struct client){
            .fd = fd, .until_ms = clock_mono_ms() + SERVE_ASK_MS, .serial = s->serial++};
    }
}

/* ---- requests -------------------------------------------------------------------------------- */

/* `used` may be NULL. */
static void add_jobs(const struct keeper *k, struct talk_answer *a, const struct wire_used *used)
{
    for (unsigned i = 0; i < WIRE_EXEC_MAX; i++) {
        const struct task *t = &k->serve->tasks[i];
        struct talk_job *row = &a->jobs[a->n_jobs];
        own_str struct str line = {0};

        if (k->jobs[i].state == JOB_NONE)
            continue;
        for (size_t w = 0; w < t->plan->argv.n && line.len < sizeof(row->command); w++)
            str_addf(&line, "%s%.*s", w ? " " : "", (int)sizeof(row->command),
                     t->plan->argv.items[w]);
        str_escape(row->command, sizeof(row->command), line.data, line.len);
        row->serial = t->serial;
        row->state = k->jobs[i].state;
        row->tty = t->plan->tty;
        row->detached = t->detached;
        row->began_real_ns = t->began_real_ns;
        if (used)
            a->used.execs[a->n_jobs] = used->execs[i];
        a->n_jobs++;
    }
}

static int list_jobs(const struct keeper *k, struct client *c)
{
    struct talk_answer *a = serve_answer(k->serve, TALK_DONE);

    add_jobs(k, a, NULL);
    talk_answer(c->fd, a);
    serve_forget(c);
    return 0;
}

/* ---- stats: the host's count at once, with what the guest says if it does within its time -----
 */

static void tell_stats(struct keeper *k, struct client *c, enum talk_guest guest)
{
    struct talk_answer *a = serve_answer(k->serve, TALK_DONE);

    /* What is stopped answers nothing. */
    if (k->held)
        serve_check_going(k, &a->result.err);
    else
        hv_get_stats(k->hv, &a->stats, &a->result.err);
    a->guest = guest;
    if (guest == TALK_GUEST_TOLD) {
        a->used = k->used;
        memset(a->used.execs, 0, sizeof(a->used.execs));
        add_jobs(k, a, &k->used);
    }
    talk_answer(c->fd, a);
    serve_forget(c);
}

/* One that cannot even be asked is no less alive for that. */
static void ask_stats(struct keeper *k, struct client *c)
{
    struct err why;

    if (k->serve->paused) {
        tell_stats(k, c, TALK_GUEST_PAUSED);
    } else if (channel_usage(k->channel, &why) < 0) {
        tell_stats(k, c, TALK_GUEST_SILENT);
    } else {
        c->stats = true;
        c->until_ms = clock_mono_ms() + SERVE_GUEST_MS;
    }
}

/* A guest that was asked before, and was late, answers whoever waits now. */
static void look_after_stats(struct keeper *k)
{
    uint64_t now = clock_mono_ms();

    for (size_t i = 0; i < SERVE_CLIENTS_MAX; i++) {
        struct client *c = &k->serve->clients[i];

        if (c->fd < 0 || !c->stats)
            continue;
        if (k->used_new)
            tell_stats(k, c, TALK_GUEST_TOLD);
        else if (now >= c->until_ms)
            tell_stats(k, c, TALK_GUEST_SILENT);
    }
    k->used_new = false;
}

static int tell_fence(struct keeper *k, struct client *c)
{
    struct talk_answer *a = serve_answer(k->serve, TALK_DONE);

    k->watch_ms = 0; /* what is broken holds the sandbox before anything else is asked of it */
    keeper_read_fence(k, FENCE_AT_REST, &a->fence);
    talk_answer(c->fd, a);
    serve_forget(c);
    return 0;
}

/* The number in the guest of the job with this serial, as long as it is not over; else 0. */
static unsigned number_of(const struct keeper *k, uint32_t serial)
{
    for (unsigned i = 0; i < WIRE_EXEC_MAX; i++)
        if (k->serve->tasks[i].serial == serial && k->jobs[i].state != JOB_NONE && !k->jobs[i].over)
            return i + 1;
    return 0;
}

static int say_none(const struct keeper *k, uint32_t serial, struct err *why)
{
    return err_set(why, ERR_USAGE, "sandbox '%s' has no command %u (see 'lazaret ps %s')",
                   k->folder->id, serial, k->folder->id);
}

static int kill_job(struct keeper *k, const struct talk_request *r, struct err *why)
{
    unsigned number = number_of(k, r->serial);

    return number ? channel_signal(k->channel, number, r->signo, why) : say_none(k, r->serial, why);
}

/* Now, if it has ended; else when it does. */
static int wait_for(struct keeper *k, struct client *c, uint32_t serial, struct err *why)
{
    struct serve *s = k->serve;
    unsigned number = number_of(k, serial);

    for (unsigned i = 0; i < SERVE_ENDED_MAX; i++) {
        if (s->ended[i].serial != serial)
            continue;
        serve_tell_result(s, c, &s->ended[i].result);
        return 0;
    }
    if (!number)
        return say_none(k, serial, why);
    if (!s->tasks[number - 1].detached)
        return err_set(why, ERR_USAGE, "command %u of sandbox '%s' is not detached", serial,
                       k->folder->id);
    c->waits = serial;
    c->until_ms = UINT64_MAX;
    return 0;
}

static int pause_guest(struct keeper *k, struct err *e)
{
    if (hv_pause(k->hv, e) < 0)
        return -1;
    k->serve->asked_pause = true;
    if (file_write(k->folder->fd, FOLDER_PAUSED, "", 0, 0600, e) == 0)
        return 0;
    k->serve->asked_pause = false;
    hv_resume(k->hv, &(struct err){0});
    return -1;
}

/* One that is held goes on only if its fence holds again. */
static int resume_guest(struct keeper *k, struct err *e)
{
    struct err why;

    if (k->held && watch_read(k, &why) < 0)
        return err_set(e, ERR_FENCE, "sandbox '%s' is held: %s", k->folder->id, why.text);
    if (k->held && hv_thaw(k->hv, e) < 0)
        return -1;
    k->held = false;
    if (k->serve->asked_pause && hv_resume(k->hv, e) < 0)
        return -1;
    k->serve->asked_pause = false;
    return file_remove_tree(k->folder->fd, FOLDER_PAUSED, e);
}

/* What is written into the file is for `ls` and `show`, and may fail: the guest stands all the
 * same. */
int serve_hold(struct keeper *k, const struct err *why, struct err *e)
{
    struct serve *s = k->serve;
    struct err ignored;

    if (hv_freeze(k->hv, e) < 0) {
        hv_destroy(k->hv, &ignored);
        *e = *why;
        return -1;
    }
    k->held = true;
    recording_held(k, why->text);
    s->why = *why;
    if (!s->paused)
        s->paused_ms = clock_mono_ms();
    s->paused = true;
    file_write(k->folder->fd, FOLDER_PAUSED, why->text, strlen(why->text), 0600, &ignored);
    return 0;
}

int serve_set_paused(struct keeper *k, bool paused, struct err *e)
{
    struct serve *s = k->serve;
    uint64_t now;

    if (s->paused == paused)
        return err_set(e, ERR_USAGE, "sandbox '%s' is %s", k->folder->id,
                       paused ? "paused already" : "not paused");
    if ((paused ? pause_guest(k, e) : resume_guest(k, e)) < 0)
        return -1;
    recording_plain(k, paused ? "pause" : "resume");
    s->paused = paused;
    now = clock_mono_ms();
    if (paused)
        s->paused_ms = now;
    for (unsigned i = 0; !paused && i < WIRE_EXEC_MAX; i++)
        job_shift(&k->jobs[i], now - s->paused_ms);
    return 0;
}

int serve_stand_still(struct keeper *k, const char *why, struct err *e)
{
    if (!k->serve->paused && serve_set_paused(k, true, e) < 0)
        return -1;
    /* For `ls` and `show`, and may fail: it stands still all the same. */
    file_write(k->folder->fd, FOLDER_PAUSED, why, strlen(why), 0600, &(struct err){0});
    return 0;
}

bool serve_is_paused(const struct keeper *k)
{
    return k->serve && k->serve->paused;
}

/* Fails only if the sandbox cannot go on; what the client did wrong it is told. */
static int take(struct keeper *k, struct client *c, const struct talk_request *r, const int *fds,
                struct err *e)
{
    struct serve *s = k->serve;
    struct err why;
    int rc = 0;

    if (serve_pool_check(k, r, &why) < 0) {
        finish(s, c, &why);
        return 0;
    }
    switch (r->what) {
    case TALK_SNAPSHOT:
    case TALK_REVERT:
    case TALK_FORGET:
    case TALK_FORK:
        return serve_take_mark(k, c, r, e);
    case TALK_MARKS:
        serve_tell_marks(k, c);
        return 0;
    case TALK_FILES:
        serve_tell_files(k, c);
        return 0;
    case TALK_EXEC:
        rc = serve_start_job(k, c, r, fds, &why);
        if (rc == 0)
            return 0;
        break;
    case TALK_SIGNAL:
        return channel_signal(k->channel, c->exec, r->signo, e);
    case TALK_RESIZE:
        if (!job_is_running(&k->jobs[c->exec - 1]))
            return 0;
        return channel_resize(k->channel, c->exec, r->rows, r->cols, e);
    case TALK_LIST:
        return list_jobs(k, c);
    case TALK_COUNTS:
        tell_stats(k, c, TALK_GUEST_SILENT);
        return 0;
    case TALK_STATS:
        ask_stats(k, c);
        return 0;
    case TALK_FENCE:
        return tell_fence(k, c);
    case TALK_WAIT:
        if (wait_for(k, c, r->serial, &why) == 0)
            return 0;
        rc = -1;
        break;
    case TALK_KILL:
        rc = kill_job(k, r, &why);
        break;
    case TALK_NETWORK:
        rc = serve_change_network(k, r, fds, &why);
        break;
    case TALK_TOOK:
        rc = taken_put(k, r, fds[TALK_FD_ARGS], &why);
        break;
    case TALK_PAUSE:
    case TALK_RESUME:
        rc = serve_set_paused(k, r->what == TALK_PAUSE, &why);
        break;
    case TALK_DRAIN:
    case TALK_DOWN:
        s->down = true;
        c->until_ms = UINT64_MAX;
        return 0;
    default:
        return serve_drop(k, c, e);
    }
    finish(s, c, rc < 0 ? &why : NULL);
    if (rc == 0 || !k->lost)
        return 0;
    *e = why;
    return -1;
}

static int hear(struct keeper *k, struct client *c, struct err *e)
{
    struct talk_request r;
    int fds[TALK_FDS_MAX];
    size_t n_fds = 0;
    int n = talk_take_request(c->fd, c->exec > 0, &r, fds, &n_fds);
    int rc;

    if (n == 0)
        return 0;
    if (n < 0)
        return serve_drop(k, c, e);
    /* One that waits has nothing more to say. */
    rc = c->waits || c->stats ? serve_drop(k, c, e) : take(k, c, &r, fds, e);
    for (size_t i = 0; i < n_fds; i++)
        close(fds[i]);
    return rc;
}

/* ---- the loop -------------------------------------------------------------------------------- */

static uint64_t next_deadline(const struct keeper *k)
{
    const struct serve *s = k->serve;
    uint64_t first = serve_pool_is_idle(k) ? s->pool_until_ms : UINT64_MAX;

    for (size_t i = 0; i < SERVE_CLIENTS_MAX; i++)
        if (s->clients[i].fd >= 0 && s->clients[i].until_ms < first)
            first = s->clients[i].until_ms;
    for (size_t i = 0; !s->paused && i < WIRE_EXEC_MAX; i++)
        if (k->jobs[i].state != JOB_NONE && k->jobs[i].until_ms < first)
            first = k->jobs[i].until_ms;
    return first;
}

static int turn(struct keeper *k, struct err *e)
{
    struct serve *s = k->serve;
    struct pollfd p[1 + SERVE_CLIENTS_MAX] = {{.fd = s->listener, .events = POLLIN}};

    for (size_t i = 0; i < SERVE_CLIENTS_MAX; i++)
        p[1 + i] = (struct pollfd){.fd = s->clients[i].fd, .events = POLLIN};
    if (keeper_pump(k, next_deadline(k), p, 1 + SERVE_CLIENTS_MAX, e) < 0)
        return -1;
    if (alarm_act(k, e) < 0)
        return -1;
    look_after_stats(k);
    for (size_t i = 0; i < SERVE_CLIENTS_MAX; i++) {
        struct client *c = &s->clients[i];

        if (c->fd >= 0 && p[1 + i].revents && hear(k, c, e) < 0)
            return -1;
        if (c->fd >= 0 && clock_mono_ms() >= c->until_ms)
            serve_forget(c);
    }
    if (p[0].revents)
        accept_all(s);
    for (unsigned exec = 1; exec <= WIRE_EXEC_MAX; exec++)
        if (serve_look_after(k, exec, e) < 0)
            return -1;
    s->down |= serve_pool_is_idle(k) && clock_mono_ms() >= s->pool_until_ms;
    return 0;
}

int serve_prepare(struct keeper *k, struct err *e)
{
    struct serve *s = calloc(1, sizeof(*s));

    if (!s)
        return err_set(e, ERR_HOST, "out of memory");
    s->listener = -1;
    for (size_t i = 0; i < SERVE_CLIENTS_MAX; i++)
        s->clients[i].fd = -1;
    s->marks.max = k->plan->amnesic ? k->plan->marks : MARK_DEFAULT;
    if (k->c->max_marks)
        s->marks.max = k->c->max_marks;
    k->serve = s;
    serve_net_prepare(k);
    return 0;
}

int serve_go(struct keeper *k, struct err *e)
{
    struct serve *s = k->serve;

    if ((k->c->pool_idle_ms && serve_pool_prepare(k, e) < 0) ||
        talk_listen(k->folder->fd, &s->listener, e) < 0)
        return -1;
    k->serving = true;
    if (keeper_tell_begun(k, e) < 0)
        return -1;
    while (!s->down && !k->ending)
        if (turn(k, e) < 0)
            return -1;
    return 0;
}

/* To whoever has asked something and waits, or is about to: why there will be no answer. What was
 * not read would make the socket's end an error there, before the answer is. */
static void tell_why(struct serve *s, struct client *c, const struct err *why)
{
    struct talk_request r;
    int fds[TALK_FDS_MAX];
    size_t n_fds = 0;

    if (talk_take_request(c->fd, false, &r, fds, &n_fds) == 1)
        for (size_t i = 0; i < n_fds; i++)
            close(fds[i]);
    finish(s, c, why);
}

void serve_undo(struct keeper *k)
{
    struct serve *s = k->serve;
    struct run_result last = {.err = k->result.err, .debug = k->plan->debug};

    if (!s)
        return;
    memcpy(last.id, k->folder->id, sizeof(last.id));
    if (k->serving && last.err.class != ERR_NONE)
        accept_all(s);
    if (last.err.class == ERR_NONE)
        err_set(&last.err, ERR_INTERRUPTED, "sandbox '%s' was taken down", k->folder->id);
    for (size_t i = 0; i < SERVE_CLIENTS_MAX; i++) {
        struct client *c = &s->clients[i];

        if (c->fd >= 0 && (c->exec || c->waits))
            serve_tell_result(s, c, &last);
        else if (c->fd >= 0 && k->result.err.class != ERR_NONE)
            tell_why(s, c, &last.err);
        else if (c->fd >= 0)
            serve_forget(c);
    }
    serve_marks_done(s);
    serve_net_done(s);
    if (s->listener >= 0)
        close(s->listener);
    free(s);
    k->serve = NULL;
}
