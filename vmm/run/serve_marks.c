/*
 * serve: marks of a sandbox, and what becomes of its jobs when it goes back to one.
 *
 * How it works
 *   A job that ran at a mark runs on after the guest is back, so its plan is kept as long as a mark
 *   needs it. It has no client then: what it writes goes to its files if it was detached, else
 *   nowhere. What runs when the guest goes back has ended with that, and its clients are told.
 */
#include "run/serve_private.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/own.h"
#include "run/fork.h"
#include "run/recording.h"
#include "run/seen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- plans that are kept --------------------------------------------------------------------- */

static struct kept_plan *find_kept(const struct serve *s, uint32_t serial)
{
    for (size_t i = 0; i < s->n_kept; i++)
        if (s->kept[i].serial == serial)
            return &s->kept[i];
    return NULL;
}

static void keep(struct serve *s, const struct task *t)
{
    if (find_kept(s, t->serial))
        return;
    s->kept = reallocarray(s->kept, s->n_kept + 1, sizeof(*s->kept));
    if (!s->kept)
        abort();
    s->kept[s->n_kept++] = (struct kept_plan){.serial = t->serial,
                                              .plan = t->plan,
                                              .began_real_ns = t->began_real_ns,
                                              .detached = t->detached};
}

static bool is_needed(const struct serve *s, uint32_t serial)
{
    for (size_t i = 0; i < s->marks.n; i++)
        for (size_t j = 0; j < WIRE_EXEC_MAX; j++)
            if (s->marks.items[i].jobs[j].serial == serial)
                return true;
    for (size_t i = 0; i < WIRE_EXEC_MAX; i++)
        if (s->tasks[i].plan && s->tasks[i].serial == serial)
            return true;
    return false;
}

static void free_unneeded(struct serve *s)
{
    for (size_t i = s->n_kept; i-- > 0;) {
        if (is_needed(s, s->kept[i].serial))
            continue;
        plan_free(s->kept[i].plan);
        s->kept[i] = s->kept[--s->n_kept];
    }
}

void serve_drop_plan(struct keeper *k, struct task *t)
{
    struct plan *plan = own_steal_ptr(t->plan);

    if (!plan)
        return;
    if (find_kept(k->serve, t->serial))
        free_unneeded(k->serve);
    else
        plan_free(plan);
}

void serve_marks_done(struct serve *s)
{
    for (size_t i = 0; i < WIRE_EXEC_MAX; i++)
        if (s->tasks[i].plan && !find_kept(s, s->tasks[i].serial))
            plan_free(s->tasks[i].plan);
    for (size_t i = 0; i < s->n_kept; i++)
        plan_free(s->kept[i].plan);
    free(s->kept);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static uint64_t bytes_in(const struct keeper *k, uint32_t serial, int stream)
{
    own_free char *name = serve_detached_name(serial, stream);
    struct stat st;

    return fstatat(k->state_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? (uint64_t)st.st_size : 0;
}

void serve_note_jobs(struct keeper *k, struct mark *ret)
{
    for (size_t i = 0; i < WIRE_EXEC_MAX; i++) {
        const struct task *t = &k->serve->tasks[i];

        if (!job_is_running(&k->jobs[i]))
            continue;
        keep(k->serve, t);
        ret->jobs[i].serial = t->serial;
        ret->jobs[i].tty = t->plan->tty;
        for (int n = 0; n < 2; n++)
            ret->jobs[i].written[n] = bytes_in(k, t->serial, n);
    }
}

/* What it wrote since is of a time that has not been. */
static int open_sinks(const struct keeper *k, const struct mark_job *j, bool detached, int ret[2],
                      struct err *e)
{
    for (int i = 0; i < 2; i++) {
        own_free char *name = serve_detached_name(j->serial, i);

        ret[i] = detached ? openat(k->state_fd, name,
                                   O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600)
                          : open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (ret[i] < 0)
            return err_sys(e, ERR_HOST, errno, "cannot open '%s'", detached ? name : "/dev/null");
        if (detached && ftruncate(ret[i], (off_t)j->written[i]) < 0)
            return err_sys(e, ERR_HOST, errno, "cannot cut '%s'", name);
    }
    return 0;
}

/* The plan of a job that another sandbox began, which nobody here knows more of. */
static int make_foreign(struct keeper *k, const struct mark_job *j, struct kept_plan *ret,
                        struct err *e)
{
    own_strv struct strv argv = {0};
    struct strv none = {0};

    strv_addf(&argv, "(command %u of sandbox '%s')", j->serial, k->c->from->sandbox);
    *ret = (struct kept_plan){.serial = j->serial, .began_real_ns = clock_real_ns()};
    return plan_derive(k->plan, &(struct plan_exec){.argv = &argv, .env = &none, .tty = j->tty},
                       &ret->plan, e);
}

/* It runs again: that it ended since is of a time that has not been. */
static void forget_end(struct serve *s, uint32_t serial)
{
    for (size_t i = 0; i < SERVE_ENDED_MAX; i++)
        if (s->ended[i].serial == serial)
            s->ended[i] = (struct ended){0};
}

static int adopt(struct keeper *k, unsigned n, const struct mark_job *j, struct err *e)
{
    const struct kept_plan *known = find_kept(k->serve, j->serial);
    struct task *t = &k->serve->tasks[n - 1];
    own_close int out = -1, errout = -1;
    int sinks[2] = {-1, -1}, rc;
    struct kept_plan p;

    if (known)
        p = *known;
    else if (make_foreign(k, j, &p, e) < 0)
        return -1;
    *t = (struct task){.plan = p.plan,
                       .serial = p.serial,
                       .began_real_ns = p.began_real_ns,
                       .detached = true,
                       .told_started = true};
    memcpy(t->result.id, k->folder->id, sizeof(t->result.id));
    t->result.debug = k->plan->debug;
    t->result.egress.on = k->plan->egress;
    rc = open_sinks(k, j, p.detached, sinks, e);
    out = sinks[0];
    errout = sinks[1];
    if (rc < 0)
        return -1;
    job_go_on(&k->jobs[n - 1], n, p.plan, &t->result);
    forget_end(k->serve, p.serial);
    if (k->serve->job_serial < p.serial)
        k->serve->job_serial = p.serial;
    return channel_adopt(k->channel, n, out, p.plan->tty ? -1 : errout, p.plan->tty,
                         p.detached ? SERVE_DETACHED_MAX : 0, e);
}

int serve_adopt_jobs(struct keeper *k, const struct mark *m, struct err *e)
{
    for (unsigned i = 0; i < WIRE_EXEC_MAX; i++)
        if (m->jobs[i].serial && adopt(k, i + 1, &m->jobs[i], e) < 0)
            return -1;
    return 0;
}

/* Its guest is about to be of another time. */
static void undo_job(struct keeper *k, unsigned exec, const char *mark)
{
    struct task *t = &k->serve->tasks[exec - 1];

    mark_release(&k->serve->marks, t->mark);
    seen_end(k, exec);
    /* One whose result is told has no client any more. */
    if (!t->told_result) {
        err_set(&t->result.err, ERR_INTERRUPTED, "sandbox '%s' went back to mark '%s'",
                k->folder->id, mark);
        recording_exit(k, t->serial, &t->result);
        if (t->detached && t->told_started)
            serve_keep_ended(k, t);
        if (t->client)
            serve_tell_result(k->serve, t->client, &t->result);
    }
    serve_drop_plan(k, t);
    *t = (struct task){0};
    k->jobs[exec - 1] = (struct job){0};
}

/* ---- going back ------------------------------------------------------------------------------ */

int serve_go_back(struct keeper *k, const char *name, unsigned but, struct err *e)
{
    const struct mark *m;
    struct mark to;
    own_free char *path = NULL;
    own_close int state = -1;

    if (mark_find(&k->serve->marks, name, &m, e) < 0)
        return -1;
    path = str_printf(MARK_FILE, m->id);
    if (mark_open_checked(m, k->state_fd, path, &state, e) < 0)
        return -1;
    to = *m;
    for (unsigned i = 1; i <= WIRE_EXEC_MAX; i++)
        if (i != but && k->jobs[i - 1].state != JOB_NONE)
            undo_job(k, i, to.name);
    if (mark_return(k, &k->serve->marks, &to, state, e) < 0) {
        k->lost = true;
        return -1;
    }
    recording_mark(k, "revert", to.name, NULL);
    k->serve->asked_pause = false;
    if (k->held)
        return 0; /* already again: it is said by who asks next */
    k->serve->paused = false;
    return file_remove_tree(k->folder->fd, FOLDER_PAUSED, e);
}

/* ---- requests -------------------------------------------------------------------------------- */

static void fill(const struct marks *all, const struct mark *m, struct talk_mark *ret)
{
    memcpy(ret->name, m->name, sizeof(ret->name));
    for (size_t i = 0; i < all->n; i++)
        if (all->items[i].id == m->parent)
            memcpy(ret->parent, all->items[i].name, sizeof(ret->parent));
    ret->here = all->at == m->id;
    ret->made_real_ns = m->made_real_ns;
    ret->state_bytes = m->state_bytes;
}

void serve_tell_marks(struct keeper *k, struct client *c)
{
    const struct marks *all = &k->serve->marks;
    struct talk_answer *a = serve_answer(k->serve, TALK_DONE);

    for (size_t i = 0; i < all->n; i++)
        fill(all, &all->items[i], &a->marks[i]);
    a->n_marks = (uint32_t)all->n;
    mark_usage(k, all, &a->marks_bytes, &a->disk_bytes);
    talk_answer(c->fd, a);
    serve_forget(c);
}

static int work(struct keeper *k, const struct talk_request *r, const struct mark **ret,
                struct err *e)
{
    struct marks *all = &k->serve->marks;

    *ret = NULL;
    if (r->what == TALK_FORGET)
        return mark_forget(k, all, r->name, e);
    if (r->what == TALK_REVERT) {
        if (serve_go_back(k, r->name, 0, e) < 0)
            return -1;
        for (size_t i = 0; i < all->n; i++)
            if (all->items[i].id == all->at)
                *ret = &all->items[i];
        return 0;
    }
    if (r->what == TALK_FORK && r->name[0])
        return mark_find(all, r->name, ret, e);
    if (serve_check_going(k, e) < 0)
        return -1;
    return mark_take(k, all, r->name, r->what == TALK_FORK ? MARK_FOR_NOW : MARK_KEPT, ret, e);
}

void serve_tell_files(struct keeper *k, struct client *c)
{
    struct talk_answer *a = serve_answer(k->serve, TALK_DONE);

    if (k->plan->amnesic)
        talk_answer_fds(c->fd, a, &k->state_fd, 1);
    else
        talk_answer(c->fd, a); /* they are in its folder */
    serve_forget(c);
}

/* What others are handed to begin there; a mark that was made for them goes if that fails. */
static int hand_out(struct keeper *k, const struct talk_request *r, const struct mark *m,
                    int fds[TALK_GIVEN_MAX], struct err *e)
{
    char name[MARK_NAME_SIZE];

    if (mark_hand_out(k, m, &fds[TALK_GIVEN_STATE], &fds[TALK_GIVEN_SHARE], e) == 0)
        return 0;
    memcpy(name, m->name, sizeof(name));
    if (!r->name[0])
        mark_forget(k, &k->serve->marks, name, &(struct err){0});
    return -1;
}

int serve_take_mark(struct keeper *k, struct client *c, const struct talk_request *r, struct err *e)
{
    const bool forks = r->what == TALK_FORK;
    const struct mark *m = NULL;
    int fds[TALK_GIVEN_MAX] = {-1, -1};
    struct err why = {0};
    int rc = work(k, r, &m, &why);
    struct talk_answer *a = serve_answer(k->serve, TALK_DONE);

    if (rc == 0 && forks && m && k->plan->amnesic)
        rc = hand_out(k, r, m, fds, &why);
    free_unneeded(k->serve);
    if (rc == 0 && m)
        fill(&k->serve->marks, m, &a->marks[a->n_marks++]);
    if (rc == 0 && forks && m) {
        struct record_head at;

        recording_mark(k, "fork", m->name, NULL);
        if (recording_where(k, &at)) {
            memcpy(a->record, at.id, sizeof(a->record));
            a->record_seq = at.seq;
        }
        a->forked = *m;
        a->blank_input = k->blank_input;
    }
    if (rc < 0)
        a->result.err = why;
    talk_answer_fds(c->fd, a, fds, fds[0] >= 0 ? TALK_GIVEN_MAX : 0);
    own_close_p(&fds[TALK_GIVEN_STATE]);
    own_close_p(&fds[TALK_GIVEN_SHARE]);
    serve_forget(c);
    if (rc < 0 && k->lost) {
        *e = why;
        return -1;
    }
    return 0;
}
