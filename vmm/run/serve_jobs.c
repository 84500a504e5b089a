/* serve: the jobs of a sandbox's clients: begun, looked after, remembered. See serve.h. */
#include "run/serve_private.h"

#include "base/clock.h"
#include "base/own.h"
#include "run/recording.h"
#include "run/seen.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static const char *const stream_names[] = {"stdout", "stderr"};

char *serve_detached_name(uint32_t serial, int stream)
{
    return str_printf(FOLDER_DETACHED, serial, stream_names[stream]);
}

static void remove_detached(const struct keeper *k, uint32_t serial)
{
    for (int i = 0; i < 2; i++) {
        own_free char *name = serve_detached_name(serial, i);

        unlinkat(k->state_fd, name, 0);
    }
}

static int open_detached(const struct keeper *k, uint32_t serial, int ret_fds[2], struct err *e)
{
    for (int i = 0; i < 2; i++) {
        own_free char *name = serve_detached_name(serial, i);

        ret_fds[i] =
            openat(k->state_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (ret_fds[i] < 0)
            return err_sys(e, ERR_HOST, errno, "cannot make '%s'", name);
    }
    return 0;
}

/* The oldest one that is kept goes. */
void serve_keep_ended(struct keeper *k, const struct task *t)
{
    struct serve *s = k->serve;
    struct ended *place = &s->ended[s->n_ended++ % SERVE_ENDED_MAX];

    if (place->serial)
        remove_detached(k, place->serial);
    place->serial = t->serial;
    place->result = t->result;
    for (size_t i = 0; i < SERVE_CLIENTS_MAX; i++) {
        struct client *c = &s->clients[i];

        if (c->fd >= 0 && c->waits == t->serial)
            serve_tell_result(s, c, &t->result);
    }
}

static unsigned free_number(const struct keeper *k)
{
    for (unsigned i = 0; i < WIRE_EXEC_MAX; i++)
        if (k->jobs[i].state == JOB_NONE)
            return i + 1;
    return 0;
}

static int derive(const struct keeper *k, const struct talk_request *r, int args_fd,
                  struct plan **ret, struct err *e)
{
    own_command struct talk_command c = {0};

    if (talk_unpack(args_fd, r, &c, e) < 0 || serve_check_secrets(k->serve, &c, e) < 0)
        return -1;
    return plan_derive(k->plan,
                       &(struct plan_exec){.argv = &c.argv,
                                           .env = &c.env,
                                           .secrets = &c.secrets,
                                           .secret_env = &c.secret_env,
                                           .workdir = c.workdir,
                                           .user = c.user,
                                           .timeout_ms = r->timeout_ms,
                                           .interactive = r->flags & TALK_STDIN,
                                           .tty = r->flags & TALK_TTY},
                       ret, e);
}

/* Where its streams go: to the client's fds, or to files of its own (`files`, to be closed). */
static int choose_io(const struct keeper *k, const struct talk_request *r, const int *fds,
                     uint32_t serial, int files[2], struct job_io *ret, struct err *e)
{
    bool tty = r->flags & TALK_TTY, detach = r->flags & TALK_DETACH;

    *ret = (struct job_io){
        .stdin_fd = -1, .max_bytes = r->max_bytes, .rows = r->rows, .cols = r->cols};
    ret->secret_fds = fds + (detach ? 1 : 3 - tty + !!(r->flags & TALK_STDIN));
    if (detach) {
        if (open_detached(k, serial, files, e) < 0)
            return -1;
        ret->stdout_fd = files[0];
        ret->stderr_fd = files[1];
        ret->max_bytes = SERVE_DETACHED_MAX;
        return 0;
    }
    ret->stdout_fd = fds[TALK_FD_STDOUT];
    ret->stderr_fd = tty ? -1 : fds[TALK_FD_STDERR];
    if (r->flags & TALK_STDIN)
        ret->stdin_fd = fds[tty ? TALK_FD_STDIN - 1 : TALK_FD_STDIN];
    return 0;
}

static int begin_job(struct keeper *k, unsigned n, uint32_t serial, const struct plan *plan,
                     const struct talk_request *r, const int *fds, struct err *e)
{
    int files[2] = {-1, -1};
    struct job_io io;
    int rc = choose_io(k, r, fds, serial, files, &io, e);

    recording_exec(k, serial, plan);
    if (rc == 0)
        rc = recording_check(k, e);
    if (rc == 0) {
        k->secret_delivered |= r->n_secrets || r->n_secret_env;
        rc =
            job_start(&k->jobs[n - 1], n, plan, &io, &k->serve->tasks[n - 1].result, k->channel, e);
    }
    own_close_p(&files[0]);
    own_close_p(&files[1]);
    if (rc < 0 && r->flags & TALK_DETACH)
        remove_detached(k, serial);
    return rc;
}

/* The mark before a job; *ret_name (MARK_NAME_SIZE bytes) is "" without one. */
static int mark_before(struct keeper *k, const struct talk_request *r, uint32_t serial,
                       char *ret_name, struct err *e)
{
    char name[MARK_NAME_SIZE];
    const struct mark *m;

    ret_name[0] = '\0';
    if (!(r->flags & TALK_MARK) && !k->c->mark_each_exec)
        return 0;
    snprintf(name, sizeof(name), "before-%u", serial);
    if (mark_take(k, &k->serve->marks, r->name[0] ? r->name : name,
                  r->flags & TALK_BACK ? MARK_HELD : MARK_KEPT, &m, e) < 0)
        return -1;
    memcpy(ret_name, m->name, MARK_NAME_SIZE);
    return 0;
}

/* It was made for a command only. */
static void forget_mark(struct keeper *k, const char *mark)
{
    mark_release(&k->serve->marks, mark);
    if (mark[0])
        mark_forget(k, &k->serve->marks, mark, &(struct err){0});
}

static int start_job(struct keeper *k, struct client *c, const struct talk_request *r,
                     const int *fds, struct err *e)
{
    unsigned n = free_number(k);
    uint32_t serial = k->serve->job_serial + 1;
    own_plan struct plan *plan = NULL;
    char mark[MARK_NAME_SIZE];
    struct timing timing = {0};
    struct task *t;

    if (r->flags & TALK_TAKE && serve_pool_take(k, &timing, e) < 0)
        return -1;
    if (serve_check_going(k, e) < 0)
        return -1;
    if (n == 0)
        return err_set(e, ERR_HOST, "sandbox '%s' runs %u commands already, the most at once",
                       k->folder->id, WIRE_EXEC_MAX);
    if (derive(k, r, fds[TALK_FD_ARGS], &plan, e) < 0 || mark_before(k, r, serial, mark, e) < 0)
        return -1;
    if ((r->flags & TALK_TAKE && serve_pool_tell(k, c, e) < 0) ||
        begin_job(k, n, serial, plan, r, fds, e) < 0) {
        forget_mark(k, mark);
        return -1;
    }
    k->serve->job_serial = serial;
    t = &k->serve->tasks[n - 1];
    *t = (struct task){.plan = own_steal_ptr(plan),
                       .client = c,
                       .serial = serial,
                       .detached = r->flags & TALK_DETACH,
                       .began_real_ns = clock_real_ns(),
                       .after = r->flags & (TALK_BACK | TALK_DISCARD),
                       .keep_mark = r->name[0] || k->c->mark_each_exec};
    memcpy(t->mark, mark, sizeof(t->mark));
    memcpy(t->result.id, k->folder->id, sizeof(t->result.id));
    t->result.timing = timing;
    t->result.debug = k->plan->debug;
    t->result.egress.on = k->plan->egress;
    c->exec = n;
    c->until_ms = UINT64_MAX;
    return 0;
}

int serve_start_job(struct keeper *k, struct client *c, const struct talk_request *r,
                    const int *fds, struct err *e)
{
    int rc = start_job(k, c, r, fds, e);

    /* One that was taken is nobody else's. */
    if (rc < 0 && r->flags & TALK_TAKE)
        k->serve->down = true;
    return rc;
}

/* Tells the client what is new. */
static int tell(struct keeper *k, unsigned exec, enum talk_said said, struct err *e)
{
    struct task *t = &k->serve->tasks[exec - 1];
    struct talk_answer *a = serve_answer(k->serve, said);

    if (!t->client)
        return 0;
    a->result = t->result;
    a->serial = t->serial;
    if (talk_answer(t->client->fd, a) < 0)
        return serve_drop(k, t->client, e);
    /* A detached job goes on without it. */
    if (said == TALK_RESULT || t->detached) {
        serve_forget(t->client);
        t->client = NULL;
    }
    return 0;
}

/* The job is at its end, and the sandbox goes where it was to go then. */
static int follow(struct keeper *k, unsigned exec, struct err *e)
{
    struct task *t = &k->serve->tasks[exec - 1];
    struct err why;

    if (t->after & TALK_DISCARD)
        k->serve->down = true;
    if (!(t->after & TALK_BACK))
        return 0;
    if (serve_go_back(k, t->mark, exec, &why) == 0) {
        k->jobs[exec - 1].over = true;
        mark_release(&k->serve->marks, t->mark);
        if (!t->keep_mark)
            forget_mark(k, t->mark);
        return 0;
    }
    mark_release(&k->serve->marks, t->mark);
    run_note(&t->result, "the sandbox did not go back to mark '%s': %s", t->mark, why.text);
    if (!k->lost)
        return 0;
    *e = why;
    return -1;
}

/* Its result is told once, and what is left of it in the guest goes. */
static int end_job(struct keeper *k, unsigned exec, struct err *e)
{
    struct task *t = &k->serve->tasks[exec - 1];
    int rc = follow(k, exec, e);

    recording_exit(k, t->serial, &t->result);
    t->told_result = true;
    if (t->detached && t->told_started)
        serve_keep_ended(k, t);
    else if (t->detached)
        remove_detached(k, t->serial);
    if (rc < 0 || tell(k, exec, TALK_RESULT, e) < 0)
        return -1;
    return k->jobs[exec - 1].over ? 0 : serve_end_job(k, exec, e);
}

/* What is new goes into the journal at once. A client that does not read does not hear of it before
 * the result: its job must not end for that. */
static int tell_denied(struct keeper *k, unsigned exec, struct err *e)
{
    struct task *t = &k->serve->tasks[exec - 1];
    const struct wire_denied *row;
    bool is_new;

    while ((row = job_next_denied(&k->jobs[exec - 1], &is_new))) {
        if (keeper_note_denied(k, t->serial, row, is_new, e) < 0)
            return -1;
        t->denied_due |= is_new;
    }
    if (!t->denied_due || !t->client || !t->told_started || !talk_is_read(t->client->fd))
        return 0;
    t->denied_due = false;
    return tell(k, exec, TALK_DENIED, e);
}

uint32_t serve_serial(const struct keeper *k, uint32_t exec)
{
    return k->serve ? k->serve->tasks[exec - 1].serial : 1;
}

int serve_look_after(struct keeper *k, unsigned exec, struct err *e)
{
    struct task *t = &k->serve->tasks[exec - 1];
    struct job *j = &k->jobs[exec - 1];

    if (j->state == JOB_NONE)
        return 0;
    if (!k->serve->paused && job_tick(j, k->channel, k->hv, e) < 0)
        return -1;
    if (j->started_ms && !t->told_started) {
        t->told_started = true;
        if (tell(k, exec, TALK_STARTED, e) < 0)
            return -1;
    }
    if (tell_denied(k, exec, e) < 0)
        return -1;
    if (j->state == JOB_ENDED && !t->told_result && end_job(k, exec, e) < 0)
        return -1;
    if (j->state == JOB_ENDED && j->over) {
        seen_end(k, exec); /* what came behind its end */
        serve_drop_plan(k, t);
        j->state = JOB_NONE;
    }
    return 0;
}
