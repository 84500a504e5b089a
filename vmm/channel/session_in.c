/* session_in: frames from the guest, against the table and our state. UNTRUSTED. See session.h. */
#include "channel/session.h"

#include "base/str.h"

#include <string.h>

static const char *const kind_names[WIRE_KIND_END] = {"control", "stdin", "stdout", "stderr",
                                                      "tree"};

/* Ends the session: a frame that is not legal here. Numbers and names of ours only. */
static void tampered(struct session *s, const struct wire_header *h, const char *why)
{
    session_end(s, CHANNEL_TAMPERED, "%s of exec %u, stream %s, %u bytes: %s",
                wire_type_name(h->type), wire_stream_exec(h->stream),
                kind_names[wire_stream_kind(h->stream)], h->length, why);
}

static enum wire_state state_of(const struct session *s, const struct wire_header *h)
{
    uint32_t exec = wire_stream_exec(h->stream);

    if (exec > 0)
        return s->jobs[exec - 1].state;
    return wire_stream_kind(h->stream) == WIRE_TREE ? s->tree.state : s->state;
}

/* Those that were asked for and are there go on; of the others settle() says that they are gone. */
static void take_kept(struct session *s, uint32_t kept)
{
    for (uint32_t exec = 1; exec <= WIRE_EXEC_MAX; exec++) {
        struct session_job *j = &s->jobs[exec - 1];

        if (!(s->keep & wire_exec_bit(exec)))
            continue;
        if (kept & wire_exec_bit(exec))
            j->state = WIRE_IN_RUNNING;
        else
            j->gone = true;
    }
    s->keep = 0;
}

/* READY, or PARKED where that was asked for. */
static const char *on_ready(struct session *s, const struct wire_header *h, const uint8_t *p)
{
    const bool parked = h->type == WIRE_PARKED;
    struct wire_ready m;

    if (wire_ready_parse(p, h->length, &m) < 0)
        return "not a READY";
    if (!s->greeted || s->failed)
        return "nobody asked";
    if (m.version != WIRE_VERSION)
        return "another protocol version";
    if (memcmp(m.nonce, s->nonce, WIRE_NONCE_SIZE) != 0)
        return "not our nonce";
    if (parked != s->park)
        return "not the answer to what was asked";
    if (m.kept & ~s->keep)
        return "it keeps a job that nobody asked for";
    take_kept(s, m.kept);
    if (!parked)
        s->state = WIRE_IN_READY;
    s->greeted = false;
    session_add_event(s, parked ? CHANNEL_PARKED : CHANNEL_READY, 0)->boot_us = m.boot_us;
    return NULL;
}

static const char *on_failed(struct session *s, const struct wire_header *h, const uint8_t *p)
{
    if (s->failed)
        return "it came twice";
    s->failed = true;
    str_escape(session_add_event(s, CHANNEL_FAILED, 0)->text, CHANNEL_TEXT_MAX, p, h->length);
    return NULL;
}

static const char *on_log(struct session *s, const struct wire_header *h, const uint8_t *p)
{
    if (h->length > WIRE_LOG_TOTAL - s->log_bytes)
        return "more than all of LOG may be";
    s->log_bytes += h->length;
    str_escape(session_add_event(s, CHANNEL_LOG, 0)->text, CHANNEL_TEXT_MAX, p, h->length);
    return NULL;
}

static const char *on_started(struct session *s, uint32_t exec)
{
    struct session_job *j = &s->jobs[exec - 1];

    j->state = WIRE_IN_RUNNING;
    session_add_event(s, CHANNEL_STARTED, exec);
    return NULL;
}

static const char *on_unstarted(struct session *s, const struct wire_header *h, const uint8_t *p)
{
    uint32_t exec = wire_stream_exec(h->stream);
    struct channel_event *ev;
    struct wire_unstarted m;

    if (wire_unstarted_parse(p, h->length, &m) < 0)
        return "not an UNSTARTED";
    ev = session_add_event(s, CHANNEL_UNSTARTED, exec);
    ev->why = m.why;
    str_escape(ev->text, sizeof(ev->text), m.text, m.text_len);
    session_job_done(&s->jobs[exec - 1]);
    return NULL;
}

static const char *on_tree(struct session *s, const struct wire_header *h, const uint8_t *p)
{
    struct session_tree *t = &s->tree;

    if (h->length > t->max_bytes - t->bytes)
        return "the tree is larger than it may be";
    if (!sink_put(&t->sink, p, h->length))
        return "more than its credit";
    t->bytes += h->length;
    return NULL;
}

static const char *on_data(struct session *s, const struct wire_header *h, const uint8_t *p)
{
    struct session_job *j;
    bool is_err = wire_stream_kind(h->stream) == WIRE_STDERR;

    if (wire_stream_kind(h->stream) == WIRE_TREE)
        return on_tree(s, h, p);
    j = &s->jobs[wire_stream_exec(h->stream) - 1];
    if (is_err && j->tty)
        return "a terminal has no stderr";
    if (!sink_put(is_err ? &j->err : &j->out, p, h->length))
        return "more than its credit";
    j->moved += h->length;
    j->wrote += h->length;
    return NULL;
}

static const char *on_credit(struct session *s, const struct wire_header *h, const uint8_t *p)
{
    struct session_job *j = &s->jobs[wire_stream_exec(h->stream) - 1];
    uint32_t bytes;

    if (wire_credit_parse(p, h->length, &bytes) < 0)
        return "not a CREDIT";
    if (bytes > WIRE_WINDOW - j->stdin_credit)
        return "more than was sent";
    j->stdin_credit += bytes;
    return NULL;
}

static const char *on_exit(struct session *s, const struct wire_header *h, const uint8_t *p)
{
    struct session_job *j = &s->jobs[wire_stream_exec(h->stream) - 1];

    if (wire_exit_parse(p, h->length, &j->exit) < 0)
        return "not an EXIT";
    j->state = WIRE_IN_NONE;
    j->exited = true; /* settle() reports it when the output is written */
    return NULL;
}

/* A row comes again when there are twice as many of it, and once if there are more. */
static const char *on_denied(struct session *s, const struct wire_header *h, const uint8_t *p)
{
    uint32_t exec = wire_stream_exec(h->stream), i = 0;
    struct session_job *j = &s->jobs[exec - 1];
    char name[WIRE_NAME_MAX + 1] = "";
    struct wire_denied m;

    if (wire_denied_parse(p, h->length, &m) < 0)
        return "not a DENIED";
    str_escape(name, sizeof(name), m.name, strlen(m.name));
    memcpy(m.name, name, sizeof(m.name));
    while (i < j->n_denied && j->denied[i].what != wire_denied_what(&m))
        i++;
    if (i == WIRE_DENIED_MAX)
        return "more of them than there may be";
    if (i == j->n_denied)
        j->denied[j->n_denied++] = (struct session_denied){.what = wire_denied_what(&m)};
    else if (j->denied[i].last || m.count <= j->denied[i].count)
        return "told already";
    else
        j->denied[i].last = m.count / 2 < j->denied[i].count;
    j->denied[i].count = m.count;
    session_add_event(s, CHANNEL_DENIED, exec)->denied = m;
    return NULL;
}

/* False: it was there. */
static bool add_bit(uint32_t *bits, uint32_t which)
{
    const uint32_t bit = 1u << which;

    if (*bits & bit)
        return false;
    *bits |= bit;
    return true;
}

static const char *take_seen_row(struct session_job *j, uint32_t kind)
{
    const bool learn = j->how.flags & WIRE_EXEC_LEARN;

    if (kind == WIRE_SEEN_WRITTEN ? !(j->how.flags & WIRE_EXEC_WATCH) : !learn)
        return "nobody asked";
    if (j->seen.rows == (learn ? WIRE_SEEN_LEARN_MAX : WIRE_SEEN_MAX))
        return "more of them than there may be";
    j->seen.rows++;
    return NULL;
}

static const char *take_canary(struct session_job *j, const struct wire_seen *m)
{
    const bool touched = m->kind == WIRE_SEEN_CANARY, some = m->detail == WIRE_CANARY_SOME;

    if (j->how.canaries == 0 || (m->detail >= j->how.canaries && !(touched && some)))
        return "no such canary";
    return add_bit(touched ? &j->seen.touched : &j->seen.absent, m->detail) ? NULL : "told already";
}

/* What was asked for, within its bounds, and what comes once, once. */
static const char *on_seen(struct session *s, const struct wire_header *h, const uint8_t *p)
{
    uint32_t exec = wire_stream_exec(h->stream);
    struct session_job *j = &s->jobs[exec - 1];
    struct channel_event *ev;
    struct wire_seen m;
    const char *why;

    if (wire_seen_parse(p, h->length, &m) < 0)
        return "not a SEEN";
    if (wire_seen_has_path(m.kind))
        why = take_seen_row(j, m.kind);
    else if (m.kind >= WIRE_SEEN_CANARY)
        why = take_canary(j, &m);
    else if (!(j->how.flags & (WIRE_EXEC_WATCH | WIRE_EXEC_LEARN)))
        why = "nobody asked";
    else
        why = add_bit(&j->seen.once, m.kind) ? NULL : "told already";
    if (why)
        return why;
    ev = session_add_event(s, CHANNEL_SEEN, exec);
    ev->seen = (struct channel_seen){.kind = m.kind, .detail = m.detail, .size = m.size};
    str_escape(ev->text, sizeof(ev->text), m.path, m.path_len);
    return NULL;
}

static const char *on_collected(struct session *s, const struct wire_header *h, const uint8_t *p)
{
    if (wire_collected_parse(p, h->length, &s->tree.how) < 0)
        return "not a COLLECTED";
    s->tree.state = WIRE_IN_NONE;
    s->tree.collected = true;
    return NULL;
}

static const char *on_synced(struct session *s, const struct wire_header *h, const uint8_t *p)
{
    uint32_t how;

    if (wire_synced_parse(p, h->length, &how) < 0)
        return "not a SYNCED";
    s->state = WIRE_IN_HELD;
    session_add_event(s, CHANNEL_SYNCED, 0)->how = how;
    return NULL;
}

static const char *on_used(struct session *s, const struct wire_header *h, const uint8_t *p)
{
    struct wire_used m;

    if (!s->asked)
        return "nobody asked";
    if (wire_used_parse(p, h->length, &m) < 0)
        return "not a USED";
    s->asked = false;
    session_add_event(s, CHANNEL_USED, 0)->used = m;
    return NULL;
}

/* One frame that the table allows here: NULL, or why it is illegal all the same. */
static const char *dispatch(struct session *s, const struct wire_header *h, const uint8_t *p)
{
    switch (h->type) {
    case WIRE_READY:
    case WIRE_PARKED:
        return on_ready(s, h, p);
    case WIRE_FAILED:
        return on_failed(s, h, p);
    case WIRE_LOG:
        return on_log(s, h, p);
    case WIRE_STARTED:
        return on_started(s, wire_stream_exec(h->stream));
    case WIRE_UNSTARTED:
        return on_unstarted(s, h, p);
    case WIRE_DATA:
        return on_data(s, h, p);
    case WIRE_CREDIT:
        return on_credit(s, h, p);
    case WIRE_DENIED:
        return on_denied(s, h, p);
    case WIRE_SEEN:
        return on_seen(s, h, p);
    case WIRE_EXIT:
        return on_exit(s, h, p);
    case WIRE_COLLECTED:
        return on_collected(s, h, p);
    case WIRE_SYNCED:
        return on_synced(s, h, p);
    case WIRE_USED:
        return on_used(s, h, p);
    default:
        return "no such frame for us";
    }
}

void session_parse(struct session *s)
{
    struct wire_header h;
    const uint8_t *p;

    while (!s->over && session_has_event_room(s)) {
        int r = wire_reader_next(&s->in, &h, &p);
        const char *why = NULL;

        if (r == 0)
            return;
        if (r < 0)
            session_end(s, CHANNEL_TAMPERED, "not a frame");
        else if (wire_check(&h, WIRE_TO_HOST, state_of(s, &h)) < 0)
            why = "not legal now";
        else if (s->state == WIRE_IN_HELD) /* whatever state its job is in */
            why = "it may say nothing between SYNCED and RESUME";
        else
            why = dispatch(s, &h, p);
        if (why)
            tampered(s, &h, why);
    }
}

bool session_takes_input(const struct session *s)
{
    return !s->over && session_has_event_room(s);
}

size_t session_input_space(struct session *s, uint8_t **ret_at)
{
    return wire_reader_space(&s->in, ret_at);
}

void session_input(struct session *s, size_t n)
{
    wire_reader_commit(&s->in, n);
    session_parse(s);
}
