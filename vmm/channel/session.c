/* session: life cycle, events and the jobs' fds. See session.h. */
#include "channel/session.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Where the fds of an exec are in the poll array; the tree's spool is in front. */
enum { AT_TREE, AT_JOBS };
enum { AT_STDIN, AT_STDOUT, AT_STDERR, AT_JOB_SIZE };

static void job_init(struct session_job *j)
{
    j->state = WIRE_IN_NONE;
    j->busy = j->gone = j->exec_due = j->tty = j->exited = j->eof_due = false;
    j->config_fd = j->stdin_fd = -1;
    j->config_size = j->config_sent = j->stdin_credit = j->held_signal = 0;
    j->held_rows = j->held_cols = 0;
    j->moved_asked = j->moved_due = false;
    j->moved = j->wrote = 0;
    j->n_denied = 0;
    j->seen = (struct session_seen){0};
    j->n_secrets = j->secrets_sent = 0;
    j->no_secrets = false;
    sink_init(&j->out, -1, RELAY_FD_FILE, wire_window(WIRE_STDOUT), 0);
    sink_init(&j->err, -1, RELAY_FD_FILE, wire_window(WIRE_STDERR), 0);
}

void session_init(struct session *s)
{
    s->state = WIRE_IN_BOOT;
    s->greeted = s->park = s->asked = s->failed = s->over = false;
    s->keep = s->log_bytes = 0;
    s->tree.state = WIRE_IN_NONE;
    s->tree.collect_due = s->tree.collected = false;
    sink_init(&s->tree.sink, -1, RELAY_FD_FILE, wire_window(WIRE_TREE), 0);
    for (uint32_t i = 0; i < WIRE_EXEC_MAX; i++)
        job_init(&s->jobs[i]);
    s->event_first = s->n_events = 0;
    s->out_start = s->out_end = 0;
    s->unlocked = 0;
    for (uint32_t i = 0; i < WIRE_EXEC_MAX; i++) {
        s->values[i].len = 0;
        s->values[i].whole = false;
    }
    wire_reader_init(&s->in);
}

void session_job_done(struct session_job *j)
{
    sink_done(&j->out);
    sink_done(&j->err);
    session_secrets_done(j);
    if (j->config_fd >= 0)
        close(j->config_fd);
    if (j->stdin_fd >= 0)
        close(j->stdin_fd);
    job_init(j);
}

void session_done(struct session *s)
{
    sink_done(&s->tree.sink);
    for (uint32_t i = 0; i < WIRE_EXEC_MAX; i++)
        session_job_done(&s->jobs[i]);
}

struct channel_event *session_add_event(struct session *s, enum channel_event_type type,
                                        uint32_t exec)
{
    struct channel_event *ev = &s->events[(s->event_first + s->n_events++) % SESSION_EVENTS];

    memset(ev, 0, sizeof(*ev));
    ev->type = type;
    ev->exec = exec;
    return ev;
}

const struct channel_event *session_event(const struct session *s)
{
    return s->n_events > 0 ? &s->events[s->event_first] : NULL;
}

void session_event_taken(struct session *s)
{
    s->event_first = (s->event_first + 1) % SESSION_EVENTS;
    s->n_events--;
}

static void write_writable(struct sink *k)
{
    struct pollfd p = {.fd = k->fd, .events = POLLOUT};

    while (!sink_is_empty(k) && k->fd >= 0 && poll(&p, 1, 0) == 1) {
        uint32_t before = k->fill;

        sink_write(k);
        if (k->fill == before)
            break;
    }
}

void session_end(struct session *s, enum channel_event_type type, const char *fmt, ...)
{
    struct channel_event *ev;
    va_list ap;

    if (s->over)
        return;
    /* What the guest said before this is still the user's. */
    for (uint32_t i = 0; i < WIRE_EXEC_MAX; i++) {
        write_writable(&s->jobs[i].out);
        write_writable(&s->jobs[i].err);
    }
    s->over = true;
    ev = session_add_event(s, type, 0);
    va_start(ap, fmt);
    vsnprintf(ev->text, sizeof(ev->text), fmt, ap);
    va_end(ap);
}

static void poll_sink(const struct sink *k, struct pollfd *p)
{
    p->fd = sink_is_empty(k) ? -1 : k->fd;
    p->events = POLLOUT;
}

void session_poll(const struct session *s, struct pollfd p[SESSION_POLL_MAX])
{
    bool room = session_data_room(s) > 0 && !session_is_holding(s);

    poll_sink(&s->tree.sink, &p[AT_TREE]);
    for (uint32_t i = 0; i < WIRE_EXEC_MAX; i++) {
        const struct session_job *j = &s->jobs[i];
        struct pollfd *at = &p[AT_JOBS + AT_JOB_SIZE * i];

        at[AT_STDIN].fd =
            room && j->state == WIRE_IN_RUNNING && j->stdin_credit > 0 ? j->stdin_fd : -1;
        if (session_wants_secret(s, i + 1))
            at[AT_STDIN].fd = j->secrets[j->secrets_sent].fd;
        at[AT_STDIN].events = POLLIN;
        poll_sink(&j->out, &at[AT_STDOUT]);
        poll_sink(&j->err, &at[AT_STDERR]);
    }
}

/* Says once that the host could not write a sink. */
static void report_failed(struct session *s, struct sink *k, uint32_t exec, const char *what)
{
    if (!k->failed || !session_has_event_room(s))
        return;
    snprintf(session_add_event(s, CHANNEL_HOST_FAILED, exec)->text, CHANNEL_TEXT_MAX,
             "cannot write %s: %s", what, strerrordesc_np(k->failed));
    k->failed = 0;
}

static bool is_written(const struct session_job *j)
{
    return sink_is_empty(&j->out) && sink_is_empty(&j->err) && !j->out.failed && !j->err.failed;
}

/* Reports the ends that waited for output to be written. */
static void settle(struct session *s)
{
    struct session_tree *t = &s->tree;

    report_failed(s, &t->sink, 0, "the output tree's spool");
    if (t->collected && sink_is_empty(&t->sink) && !t->sink.failed && session_has_event_room(s)) {
        if (!t->sink.broken) {
            struct channel_event *ev = session_add_event(s, CHANNEL_COLLECTED, 0);

            ev->how = t->how;
            ev->bytes = t->bytes;
        }
        t->collected = false;
        sink_done(&t->sink);
    }
    for (uint32_t i = 0; i < WIRE_EXEC_MAX; i++) {
        struct session_job *j = &s->jobs[i];

        report_failed(s, &j->out, i + 1, "standard output");
        report_failed(s, &j->err, i + 1, "standard error");
        if (j->moved_asked && j->exited && is_written(j))
            j->moved_due = true;
        if (j->moved_due && session_has_event_room(s)) {
            struct channel_event *ev = session_add_event(s, CHANNEL_MOVED, i + 1);

            ev->bytes = j->moved;
            ev->wrote = j->wrote;
            j->moved_due = false;
        }
        if (j->gone && session_has_event_room(s)) {
            session_add_event(s, CHANNEL_GONE, i + 1);
            session_job_done(j);
        }
        if (j->exited && is_written(j) && !j->moved_due && session_has_event_room(s)) {
            struct channel_event *ev = session_add_event(s, CHANNEL_EXIT, i + 1);

            ev->exit = j->exit;
            ev->bytes = j->moved;
            ev->wrote = j->wrote;
            session_job_done(j);
        }
    }
}

/* What came since poll() was asked need not wait for the next one where a write cannot block. */
static void write_sink(struct sink *k, const struct pollfd *p)
{
    if (p->fd >= 0 ? p->revents != 0 : k->kind != RELAY_FD_SHARED)
        sink_write(k);
}

void session_io(struct session *s, const struct pollfd p[SESSION_POLL_MAX])
{
    if (s->over)
        return;
    write_sink(&s->tree.sink, &p[AT_TREE]);
    for (uint32_t i = 0; i < WIRE_EXEC_MAX; i++) {
        const struct pollfd *at = &p[AT_JOBS + AT_JOB_SIZE * i];

        if (at[AT_STDIN].fd >= 0 && at[AT_STDIN].revents) {
            session_read_secret(s, i + 1);
            session_read_stdin(s, i + 1);
        }
        write_sink(&s->jobs[i].out, &at[AT_STDOUT]);
        write_sink(&s->jobs[i].err, &at[AT_STDERR]);
    }
    session_parse(s);
    settle(s);
    session_fill(s);
}
