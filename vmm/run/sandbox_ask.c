/* sandbox: what its keeper is asked for while it is up. See sandbox.h and talk.h. */
#include "run/sandbox_private.h"

#include "base/clock.h"
#include "base/own.h"
#include "run/amnesia.h"
#include "run/carry.h"
#include "run/folder.h"
#include "run/job.h"
#include "run/signals.h"
#include "run/talk.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

int sandbox_reach(const char *data_dir, const char *name, int *ret_fd, struct err *e)
{
    own_close int folder = -1;
    const char *state;

    if (sandbox_open(data_dir, name, &folder, &state, e) < 0)
        return -1;
    if (strcmp(state, "dead") == 0)
        return err_set(e, ERR_HOST, "sandbox '%s' is dead (see 'lazaret show %s')", name, name);
    if (strcmp(state, "starting") == 0)
        return err_set(e, ERR_HOST, "sandbox '%s' is not up yet", name);
    if (talk_connect(folder, ret_fd, e) < 0)
        return err_wrap(e, "sandbox '%s'", name);
    return 0;
}

int sandbox_say_gone(const char *name, struct err *e)
{
    return err_set(e, ERR_HOST,
                   "the keeper of sandbox '%s' is gone, does not answer, or is another version's "
                   "(see 'lazaret ls')",
                   name);
}

int sandbox_ask_fds(const char *data_dir, const char *name, struct talk_request *r, const int *give,
                    size_t n_give, unsigned patience_s, struct talk_answer *ret,
                    int fds[TALK_GIVEN_MAX], struct err *e)
{
    const struct timeval patience = {.tv_sec = patience_s};
    own_close int fd = -1;

    r->version = TALK_VERSION;
    if (sandbox_reach(data_dir, name, &fd, e) < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
        return err_sys(e, ERR_HOST, errno, "setsockopt");
    if (talk_ask(fd, r, give, n_give, e) < 0 || talk_hear_fds(fd, ret, fds) != 1)
        return sandbox_say_gone(name, e);
    if (ret->said == TALK_DONE && ret->result.err.class == ERR_NONE)
        return 0;
    for (size_t i = 0; i < TALK_GIVEN_MAX; i++)
        own_close_p(&fds[i]);
    if (ret->said != TALK_DONE)
        return sandbox_say_gone(name, e);
    *e = ret->result.err;
    return -1;
}

int sandbox_ask(const char *data_dir, const char *name, struct talk_request *r, unsigned patience_s,
                struct talk_answer *ret, struct err *e)
{
    int fds[TALK_GIVEN_MAX];

    if (sandbox_ask_fds(data_dir, name, r, NULL, 0, patience_s, ret, fds, e) < 0)
        return -1;
    for (size_t i = 0; i < TALK_GIVEN_MAX; i++)
        own_close_p(&fds[i]);
    return 0;
}

int sandbox_files(const char *data_dir, const char *name, int *ret_fd, struct err *e)
{
    own_close int folder = -1;
    int fds[TALK_GIVEN_MAX];
    struct talk_answer a;
    bool amnesic = false;
    const char *state;

    if (sandbox_open(data_dir, name, &folder, &state, e) < 0 ||
        folder_is_amnesic(folder, &amnesic, e) < 0)
        return -1;
    if (!amnesic) {
        *ret_fd = own_steal_fd(folder);
        return 0;
    }
    if (amnesia_no_cores(e) < 0 ||
        sandbox_ask_fds(data_dir, name, &(struct talk_request){.what = TALK_FILES}, NULL, 0,
                        SANDBOX_ANSWER_S, &a, fds, e) < 0)
        return -1;
    own_close_p(&fds[TALK_GIVEN_SHARE]);
    if (fds[TALK_GIVEN_STATE] < 0)
        return sandbox_say_gone(name, e);
    *ret_fd = fds[TALK_GIVEN_STATE];
    return 0;
}

static int ask(const char *data_dir, const char *name, struct talk_request *r,
               struct talk_answer *ret, struct err *e)
{
    return sandbox_ask(data_dir, name, r, SANDBOX_ANSWER_S, ret, e);
}

int sandbox_pause(const char *data_dir, const char *name, struct err *e)
{
    struct talk_answer a;

    return ask(data_dir, name, &(struct talk_request){.what = TALK_PAUSE}, &a, e);
}

int sandbox_resume(const char *data_dir, const char *name, struct err *e)
{
    struct talk_answer a;

    return ask(data_dir, name, &(struct talk_request){.what = TALK_RESUME}, &a, e);
}

int sandbox_signal(const char *data_dir, const char *name, unsigned serial, unsigned signo,
                   struct err *e)
{
    struct talk_answer a;

    return ask(data_dir, name,
               &(struct talk_request){.what = TALK_KILL, .serial = serial, .signo = signo}, &a, e);
}

int sandbox_list(const char *data_dir, const char *name, struct doc **ret, struct err *e)
{
    static const char *const states[] = {
        [JOB_NONE] = "none",     [JOB_STARTING] = "starting", [JOB_RUNNING] = "running",
        [JOB_KILLED] = "killed", [JOB_ENDED] = "ending",
    };
    struct talk_answer a;
    struct doc *list;

    if (ask(data_dir, name, &(struct talk_request){.what = TALK_LIST}, &a, e) < 0)
        return -1;
    list = doc_new_array();
    for (size_t i = 0; i < a.n_jobs && i < WIRE_EXEC_MAX; i++) {
        const struct talk_job *j = &a.jobs[i];
        struct doc *row = doc_new_object();
        char when[32];

        doc_set_u64(row, "exec", j->serial);
        doc_set_str(row, "state", j->state <= JOB_ENDED ? states[j->state] : "?");
        doc_set_str(row, "started", clock_format_utc(when, j->began_real_ns));
        doc_set_bool(row, "tty", j->tty);
        doc_set_bool(row, "detached", j->detached);
        doc_set_str(row, "command", j->command);
        doc_add(list, row);
    }
    *ret = list;
    return 0;
}

static struct doc *disk_to_doc(const struct hv_disk_stats *s)
{
    struct doc *d = doc_new_object();

    doc_set_str(d, "target", s->target);
    doc_set_u64(d, "capacity_bytes", s->capacity_bytes);
    doc_set_u64(d, "physical_bytes", s->physical_bytes);
    doc_set_u64(d, "read_bytes", s->read_bytes);
    doc_set_u64(d, "read_requests", s->read_requests);
    doc_set_u64(d, "written_bytes", s->written_bytes);
    doc_set_u64(d, "write_requests", s->write_requests);
    return d;
}

/* Not to be mixed with what the host counts: the guest may say anything. */
static struct doc *guest_to_doc(const struct talk_answer *a)
{
    static const char *const why[] = {"?", "told", "silent", "paused"};
    const struct wire_used *u = &a->used;
    struct doc *d = doc_new_object(), *list;

    doc_set_str(d, "state", why[a->guest <= TALK_GUEST_PAUSED ? a->guest : 0]);
    if (a->guest != TALK_GUEST_TOLD)
        return d;
    doc_set_u64(d, "memory_total_bytes", u->memory_total_bytes);
    doc_set_u64(d, "memory_free_bytes", u->memory_free_bytes);
    doc_set_u64(d, "disk_total_bytes", u->disk_total_bytes);
    doc_set_u64(d, "disk_free_bytes", u->disk_free_bytes);
    list = doc_new_array();
    for (size_t i = 0; i < a->n_jobs && i < WIRE_EXEC_MAX; i++) {
        struct doc *row = doc_new_object();

        doc_set_u64(row, "exec", a->jobs[i].serial);
        doc_set_u64(row, "cpu_us", u->execs[i].cpu_us);
        doc_set_u64(row, "memory_bytes", u->execs[i].memory_bytes);
        doc_set_u64(row, "peak_bytes", u->execs[i].peak_bytes);
        doc_set_u64(row, "pids", u->execs[i].pids);
        doc_add(list, row);
    }
    doc_set(d, "execs", list);
    return d;
}

static int stats(const char *data_dir, const char *name, enum talk_what what, struct doc **ret,
                 struct err *e)
{
    struct talk_answer a;
    struct doc *d, *disks;

    if (ask(data_dir, name, &(struct talk_request){.what = what}, &a, e) < 0)
        return -1;
    d = doc_new_object();
    doc_set_str(d, "name", name);
    doc_set_u64(d, "cpu_ns", a.stats.cpu_ns);
    doc_set_u64(d, "user_ns", a.stats.user_ns);
    doc_set_u64(d, "system_ns", a.stats.system_ns);
    doc_set_u64(d, "vcpus", a.stats.vcpus);
    doc_set_u64(d, "memory_bytes", a.stats.memory_bytes);
    doc_set_u64(d, "resident_bytes", a.stats.resident_bytes);
    disks = doc_new_array();
    for (unsigned i = 0; i < a.stats.n_disks && i < HV_DISKS_MAX; i++)
        doc_add(disks, disk_to_doc(&a.stats.disks[i]));
    doc_set(d, "disks", disks);
    if (what == TALK_STATS)
        doc_set(d, "guest", guest_to_doc(&a));
    *ret = d;
    return 0;
}

int sandbox_stats(const char *data_dir, const char *name, struct doc **ret, struct err *e)
{
    return stats(data_dir, name, TALK_STATS, ret, e);
}

int sandbox_counts(const char *data_dir, const char *name, struct doc **ret, struct err *e)
{
    return stats(data_dir, name, TALK_COUNTS, ret, e);
}

/* ---- one command ----------------------------------------------------------------------------- */

struct attend {
    const struct sandbox_exec *x;
    const char *name;
    int fd; /* to the keeper; closing it ends the job */
    struct signals signals;
    struct carry carry; /* of the user's terminal to the job's stdin */
    bool taken;         /* of x->take: it is ours, and from here on what fails is a failure */
    bool started;
    int last_signal; /* 0: none */
    bool over;
    uint32_t n_denied; /* rows that were shown */
    struct run_result *result;
};

static void take_signal(struct attend *a, int signo)
{
    struct talk_request r = {.version = TALK_VERSION, .what = TALK_SIGNAL};
    struct err gone;

    /* Back in the foreground: the shell may have left the terminal otherwise. */
    if (signo == SIGCONT) {
        if (a->started && a->x->on_started)
            a->x->on_started(a->x->arg);
        return;
    }
    if (signo == SIGWINCH) {
        r.what = TALK_RESIZE;
        if (a->started && a->x->on_resize) {
            a->x->on_resize(a->x->arg, &r.rows, &r.cols);
            talk_ask(a->fd, &r, NULL, 0, &gone);
        }
        return;
    }
    if (a->last_signal || !a->started) {
        a->result->signal = signo;
        err_set(&a->result->err, ERR_INTERRUPTED,
                a->started ? "interrupted twice: the command was killed" : "interrupted");
        a->over = true;
    } else {
        r.signo = (uint32_t)signo;
        talk_ask(a->fd, &r, NULL, 0, &gone);
    }
    a->last_signal = signo;
}

static void show_denied(struct attend *a, const struct run_result *r)
{
    for (; a->n_denied < r->denied.n && a->n_denied < WIRE_DENIED_MAX; a->n_denied++)
        if (a->x->on_denied)
            a->x->on_denied(&r->denied.rows[a->n_denied], r->debug);
}

static void note_time(const struct attend *a, enum timing_step step)
{
    if (a->x->timing)
        timing_note(a->x->timing, step);
}

static int take_answer(struct attend *a, struct err *e)
{
    struct talk_answer m;
    int n;

    while (!a->over && (n = talk_hear(a->fd, false, &m)) != 0) {
        if (n < 0)
            return sandbox_say_gone(a->name, e);
        if (m.said == TALK_STARTED && a->x->detach) {
            *a->x->ret_serial = m.serial;
            a->over = true;
        } else if (m.said == TALK_STARTED) {
            a->started = true;
            note_time(a, TIMING_CONTAINER);
            if (a->x->on_started)
                a->x->on_started(a->x->arg);
        } else if (m.said == TALK_TAKEN) {
            a->taken = true;
            secrets_close(a->x->secrets);
        } else if (m.said == TALK_DENIED) {
            show_denied(a, &m.result);
        } else if (m.said == TALK_RESULT) {
            note_time(a, a->started ? TIMING_JOB : TIMING_CONTAINER);
            *a->result = m.result;
            a->over = true;
        } else if (m.result.err.class != ERR_NONE) {
            *e = m.result.err;
            return -1;
        }
    }
    return 0;
}

static int watch(struct attend *a, struct err *e)
{
    while (!a->over) {
        struct pollfd p[2 + CARRY_POLLS] = {
            {.fd = a->fd, .events = POLLIN},
            {.fd = a->signals.fd, .events = POLLIN},
            {.fd = -1},
            {.fd = -1},
        };
        int signo;

        if (a->started)
            carry_polls(&a->carry, p + 2);
        if (poll(p, 2 + CARRY_POLLS, -1) < 0) {
            if (errno != EINTR)
                return err_sys(e, ERR_HOST, errno, "cannot wait for the sandbox");
            continue;
        }
        if (p[0].revents && take_answer(a, e) < 0)
            return -1;
        while (!a->over && (signo = signals_next(&a->signals)))
            take_signal(a, signo);
        carry_work(&a->carry, p + 2);
    }
    return 0;
}

/* Where its streams go, and what of our own was opened for that. */
static int choose_streams(struct attend *a, int streams[3], int *ret_own, struct err *e)
{
    const struct sandbox_exec *x = a->x;

    if (x->streams) {
        memcpy(streams, x->streams, 3 * sizeof(int));
        return 0;
    }
    streams[0] = x->interactive ? STDIN_FILENO : -1;
    streams[1] = STDOUT_FILENO;
    streams[2] = STDERR_FILENO;
    if (x->capture) {
        if (run_capture_open(x->capture, e) < 0)
            return -1;
        streams[1] = x->capture->stdout_fd;
        streams[2] = x->capture->stderr_fd;
    }
    if (x->interactive && isatty(STDIN_FILENO)) {
        if (carry_open(&a->carry, STDIN_FILENO, ret_own, e) < 0)
            return -1;
        streams[0] = *ret_own;
    }
    return 0;
}

static uint32_t after_flags(const struct sandbox_exec *x)
{
    switch (x->after) {
    case SANDBOX_REVERT:
        return TALK_MARK | TALK_BACK;
    case SANDBOX_DISCARD:
        return TALK_DISCARD | (x->take ? TALK_TAKE : 0);
    case SANDBOX_KEEP:
        break;
    }
    return x->mark ? TALK_MARK : 0;
}

/* Asks for the job. The fds are the keeper's then too, and not needed here any more. */
static int begin(struct attend *a, const char *data_dir, struct err *e)
{
    const struct sandbox_exec *x = a->x;
    own_close int args = -1, typed = -1;
    const struct talk_words words = {.argv = x->argv,
                                     .env = x->env,
                                     .secrets = x->secrets ? &x->secrets->files : NULL,
                                     .secret_env = x->secrets ? &x->secrets->env : NULL,
                                     .workdir = x->workdir,
                                     .user = x->user};
    int fds[TALK_FDS_MAX], streams[3], rc;
    size_t n = 0;
    struct talk_request r = {
        .version = TALK_VERSION,
        .what = TALK_EXEC,
        .flags = (x->tty ? TALK_TTY : 0) | (x->detach ? TALK_DETACH : 0) | after_flags(x),
        .rows = x->rows,
        .cols = x->cols,
        .n_args = (uint32_t)x->argv->n,
        .n_env = (uint32_t)x->env->n,
        .n_secrets = x->secrets ? (uint32_t)x->secrets->files.n : 0,
        .n_secret_env = x->secrets ? (uint32_t)x->secrets->env.n : 0,
        .timeout_ms = x->timeout_ms,
        .max_bytes = x->capture ? RUN_CAPTURE_MAX + 1 : x->max_bytes,
    };

    if (x->argv->n > TALK_STRINGS_MAX || x->env->n > TALK_STRINGS_MAX)
        return err_set(e, ERR_USAGE, "more than %u arguments or variables", TALK_STRINGS_MAX);
    if (sandbox_reach(data_dir, a->name, &a->fd, e) < 0 || talk_pack(&words, &args, e) < 0 ||
        choose_streams(a, streams, &typed, e) < 0)
        return -1;
    fds[n++] = args;
    if (!x->detach)
        fds[n++] = streams[1];
    if (!x->detach && !x->tty)
        fds[n++] = streams[2];
    if (!x->detach && streams[0] >= 0) {
        r.flags |= TALK_STDIN;
        fds[n++] = streams[0];
    }
    for (size_t i = 0; x->secrets && i < x->secrets->n_fds; i++)
        fds[n++] = x->secrets->fds[i];
    rc = talk_ask(a->fd, &r, fds, n, e);
    if (!x->take)
        secrets_close(x->secrets);
    return rc;
}

int sandbox_exec(const char *data_dir, const char *name, const struct sandbox_exec *x,
                 struct run_result *ret, struct err *e)
{
    struct run_result result = {0};
    struct attend a = {.x = x,
                       .name = name,
                       .fd = -1,
                       .signals = {.fd = -1},
                       .carry = {.from = -1, .to = -1},
                       .result = &result};
    int rc;

    snprintf(result.id, sizeof(result.id), "%s", name);
    if (signals_hold(&a.signals, e) < 0)
        return -1;
    rc = begin(&a, data_dir, e);
    if (rc == 0)
        rc = watch(&a, e);
    if (a.fd >= 0)
        close(a.fd);
    /* It goes by itself; who asked for that is told when nothing is left. */
    if (x->ret_taken)
        *x->ret_taken = a.taken;
    if (rc == 0 && x->after == SANDBOX_DISCARD && (a.taken || !x->take)) {
        sandbox_down(data_dir, name, false, &(struct err){0});
        note_time(&a, TIMING_DOWN);
    }
    if (x->on_ended)
        x->on_ended(x->arg);
    carry_close(&a.carry);
    signals_release(&a.signals);
    if (rc == 0)
        *ret = result;
    return rc;
}
