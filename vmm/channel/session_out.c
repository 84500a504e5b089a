/* session_out: the keeper's commands and the frames for the guest. See session.h. */
#include "channel/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Kept free of DATA and CONFIG, so that small frames pass while bulk waits. */
#define OUT_RESERVE 4096u
/* The largest frame that a command makes. */
#define COMMAND_ROOM (WIRE_HEADER_SIZE + WIRE_HELLO_SIZE)
/* Bulk frames below this are not worth it unless they are the last. */
#define DATA_ROOM_MIN 1024u

static size_t out_room(const struct session *s)
{
    return SESSION_OUT_SIZE - (s->out_end - s->out_start);
}

/* Moves what is unsent to the front. */
static void compact(struct session *s)
{
    size_t left = s->out_end - s->out_start;

    if (s->out_start == 0)
        return;
    memmove(s->out, s->out + s->out_start, left);
    explicit_bzero(s->out + left, s->out_end - left); /* it may have been a secret */
    s->out_end = left;
    s->out_start = 0;
}

uint32_t session_data_room(const struct session *s)
{
    size_t room = out_room(s);

    if (room < OUT_RESERVE + WIRE_HEADER_SIZE + DATA_ROOM_MIN)
        return 0;
    room -= OUT_RESERVE + WIRE_HEADER_SIZE;
    return room < WIRE_PAYLOAD_MAX ? (uint32_t)room : WIRE_PAYLOAD_MAX;
}

/* Where the payload of the next frame goes; put_header() after it is there. */
static uint8_t *payload_at(struct session *s)
{
    compact(s);
    return s->out + s->out_end + WIRE_HEADER_SIZE;
}

static void put_header(struct session *s, uint16_t type, uint32_t stream, uint32_t len)
{
    struct wire_header h = {.type = type, .stream = stream, .length = len};

    wire_header_format(s->out + s->out_end, &h);
    s->out_end += WIRE_HEADER_SIZE + len;
}

bool session_put_two(struct session *s, uint16_t type, uint32_t stream, const void *head,
                     uint32_t head_len, const void *data, uint32_t len)
{
    uint8_t *at;

    if (out_room(s) < WIRE_HEADER_SIZE + head_len + len)
        return false;
    at = payload_at(s);
    if (head_len > 0)
        memcpy(at, head, head_len);
    if (len > 0)
        memcpy(at + head_len, data, len);
    put_header(s, type, stream, head_len + len);
    return true;
}

bool session_put(struct session *s, uint16_t type, uint32_t stream, const void *data, uint32_t len)
{
    return session_put_two(s, type, stream, data, len, NULL, 0);
}

size_t session_output(const struct session *s, const uint8_t **ret_at)
{
    *ret_at = s->out + s->out_start;
    return s->out_end - s->out_start;
}

void session_sent(struct session *s, size_t n)
{
    explicit_bzero(s->out + s->out_start, n);
    s->out_start += n;
    if (s->out_start == s->out_end)
        s->out_start = s->out_end = 0;
}

/* ---- commands -------------------------------------------------------------------------------- */

bool session_takes_command(const struct session *s)
{
    return !s->over && out_room(s) >= COMMAND_ROOM;
}

static void command_hello(struct session *s, const struct wire_hello *m)
{
    uint8_t raw[WIRE_HELLO_SIZE];

    memcpy(s->nonce, m->nonce, sizeof(s->nonce));
    s->state = WIRE_IN_BOOT;
    s->greeted = true;
    s->park = m->flags & WIRE_HELLO_PARK;
    s->failed = s->asked = false;
    s->keep = m->keep;
    s->log_bytes = 0;
    wire_hello_format(raw, m);
    session_put(s, WIRE_HELLO, wire_stream(0, WIRE_CONTROL), raw, sizeof(raw));
}

/* Returns the fd of this role, or -1; the fds of a command come without gaps. */
static int next_fd(bool present, const int *fds, int n_fds, int *at)
{
    return present && *at < n_fds ? fds[(*at)++] : -1;
}

static void take_sinks(struct session_job *j, const struct relay_command *c, const int *fds,
                       int n_fds, int *at)
{
    j->busy = true;
    j->tty = c->how.flags & WIRE_EXEC_TTY;
    sink_init(&j->out, next_fd(true, fds, n_fds, at), (enum relay_fd_kind)c->kinds[RELAY_FD_STDOUT],
              wire_window(WIRE_STDOUT), c->cap_bytes);
    sink_init(&j->err, next_fd(!j->tty, fds, n_fds, at),
              (enum relay_fd_kind)c->kinds[RELAY_FD_STDERR], wire_window(WIRE_STDERR),
              c->cap_bytes);
    /* Without a stdin, nothing was sent and there is nothing to give back. */
    j->stdin_credit = WIRE_WINDOW;
}

static void command_exec(struct session *s, const struct relay_command *c, const int *fds,
                         int n_fds)
{
    struct session_job *j = &s->jobs[c->exec - 1];
    int at = 0;

    j->exec_due = true;
    j->how = c->how;
    if (j->n_secrets != c->how.secrets) /* of an exec that was not asked for in the end */
        session_secrets_done(j);
    j->how.secrets = j->n_secrets;
    j->uid = c->uid;
    j->gid = c->gid;
    j->state = j->n_secrets ? WIRE_IN_SECRETS : WIRE_IN_CONFIG;
    j->config_size = c->how.config_size + c->how.profile_size;
    j->config_fd = next_fd(true, fds, n_fds, &at);
    take_sinks(j, c, fds, n_fds, &at);
    j->stdin_fd = next_fd(c->how.flags & WIRE_EXEC_STDIN, fds, n_fds, &at);
    j->stdin_kind = (enum relay_fd_kind)c->kinds[RELAY_FD_STDIN];
}

static void command_adopt(struct session *s, const struct relay_command *c, const int *fds,
                          int n_fds)
{
    struct session_job *j = &s->jobs[c->exec - 1];
    int at = 0;

    /* What it is watched for was another's wish: whatever it says of that is within the bounds. */
    j->how = (struct wire_exec){.flags = WIRE_EXEC_WATCH | WIRE_EXEC_LEARN,
                                .canaries = WIRE_CANARIES_MAX};
    take_sinks(j, c, fds, n_fds, &at);
}

static void command_collect(struct session *s, const struct relay_command *c, int fd)
{
    sink_init(&s->tree.sink, fd, RELAY_FD_FILE, wire_window(WIRE_TREE), 0);
    s->tree.state = WIRE_IN_COLLECTING;
    s->tree.collect_due = true;
    s->tree.cap_bytes = c->cap_bytes;
    s->tree.bytes = 0;
    s->tree.max_bytes = c->cap_bytes > UINT64_MAX - RELAY_TREE_OVERHEAD
                            ? UINT64_MAX
                            : c->cap_bytes + RELAY_TREE_OVERHEAD;
}

/* SYNC or RESUME: from one state of the session to the next. */
static void command_hold(struct session *s, enum wire_state from, uint16_t type, enum wire_state to)
{
    if (s->state == from && session_put(s, type, wire_stream(0, WIRE_CONTROL), NULL, 0))
        s->state = to;
}

static void command_usage(struct session *s)
{
    if (s->state == WIRE_IN_READY && !s->asked &&
        session_put(s, WIRE_USAGE, wire_stream(0, WIRE_CONTROL), NULL, 0))
        s->asked = true;
}

static bool is_exec(const struct session *s, const struct relay_command *c, bool busy)
{
    return c->exec >= 1 && c->exec <= WIRE_EXEC_MAX && s->jobs[c->exec - 1].busy == busy;
}

void session_command(struct session *s, const struct relay_command *c, const int *fds, int n_fds)
{
    if (!s->over) {
        if (c->type == RELAY_HELLO) {
            command_hello(s, &c->hello);
        } else if (c->type == RELAY_SECRET && n_fds == 1 && is_exec(s, c, false)) {
            session_add_secret(s, c, fds[0]);
            return;
        } else if (c->type == RELAY_EXEC && is_exec(s, c, false)) {
            command_exec(s, c, fds, n_fds);
            return;
        } else if (c->type == RELAY_ADOPT && is_exec(s, c, false)) {
            command_adopt(s, c, fds, n_fds);
            return;
        } else if (c->type == RELAY_COLLECT && n_fds == 1 && s->tree.state == WIRE_IN_NONE &&
                   !s->tree.collected) {
            command_collect(s, c, fds[0]);
            return;
        } else if (c->type == RELAY_SIGNAL && is_exec(s, c, true)) {
            s->jobs[c->exec - 1].held_signal = c->signo;
        } else if (c->type == RELAY_RESIZE && is_exec(s, c, true)) {
            s->jobs[c->exec - 1].held_rows = c->how.rows;
            s->jobs[c->exec - 1].held_cols = c->how.cols;
        } else if (c->type == RELAY_DROP && is_exec(s, c, true)) {
            sink_drop(&s->jobs[c->exec - 1].out);
            sink_drop(&s->jobs[c->exec - 1].err);
            session_no_secrets(s, c->exec);
        } else if (c->type == RELAY_SYNC) {
            command_hold(s, WIRE_IN_READY, WIRE_SYNC, WIRE_IN_SYNCING);
        } else if (c->type == RELAY_RESUME) {
            command_hold(s, WIRE_IN_HELD, WIRE_RESUME, WIRE_IN_READY);
        } else if (c->type == RELAY_USAGE) {
            command_usage(s);
        } else if (c->type == RELAY_MOVED && is_exec(s, c, true)) {
            s->jobs[c->exec - 1].moved_asked = s->jobs[c->exec - 1].moved_due = true;
        }
    }
    for (int i = 0; i < n_fds; i++)
        close(fds[i]);
}

/* ---- frames that are owed -------------------------------------------------------------------- */

/* EXEC, its secrets and its configuration. */
static void fill_config(struct session *s, uint32_t exec)
{
    struct session_job *j = &s->jobs[exec - 1];
    uint8_t raw[WIRE_EXEC_SIZE];

    if (j->exec_due) {
        wire_exec_format(raw, &j->how);
        if (!session_put(s, WIRE_EXEC, wire_stream(exec, WIRE_CONTROL), raw, sizeof(raw)))
            return;
        j->exec_due = false;
    }
    if (j->state == WIRE_IN_SECRETS)
        session_fill_secrets(s, exec);
    while (j->state == WIRE_IN_CONFIG) {
        uint32_t left = j->config_size - j->config_sent, room = session_data_room(s);
        uint32_t len = left < room ? left : room;
        ssize_t n;

        if (len == 0)
            return;
        n = pread(j->config_fd, payload_at(s), len, j->config_sent);
        if (n <= 0) {
            session_end(s, CHANNEL_HOST_FAILED, "cannot read the container's configuration: %s",
                        n < 0 ? strerrordesc_np(errno) : "it became shorter");
            return;
        }
        put_header(s, WIRE_CONFIG, wire_stream(exec, WIRE_CONTROL), (uint32_t)n);
        j->config_sent += (uint32_t)n;
        if (j->config_sent == j->config_size) {
            j->state = WIRE_IN_STARTING;
            close(j->config_fd);
            j->config_fd = -1;
        }
    }
}

/* As if it had ended: a terminal or a peer that is gone, and what nohup(1) puts there. */
static bool is_end(enum relay_fd_kind kind, int errnum)
{
    return errnum == ECONNRESET || errnum == EBADF || (errnum == EIO && kind != RELAY_FD_FILE);
}

void session_read_stdin(struct session *s, uint32_t exec)
{
    struct session_job *j = &s->jobs[exec - 1];
    uint32_t room = session_data_room(s);
    uint32_t len = j->stdin_credit < room ? j->stdin_credit : room;
    ssize_t n;

    if (len == 0 || j->stdin_fd < 0 || j->state != WIRE_IN_RUNNING || session_is_holding(s))
        return;
    if (j->stdin_kind == RELAY_FD_SOCKET)
        n = recv(j->stdin_fd, payload_at(s), len, MSG_DONTWAIT);
    else
        n = read(j->stdin_fd, payload_at(s), len);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0 && !is_end(j->stdin_kind, errno)) {
        if (!session_has_event_room(s))
            return;
        snprintf(session_add_event(s, CHANNEL_HOST_FAILED, exec)->text, CHANNEL_TEXT_MAX,
                 "cannot read standard input: %s", strerrordesc_np(errno));
    }
    if (n <= 0) {
        close(j->stdin_fd);
        j->stdin_fd = -1;
        j->eof_due = true;
        return;
    }
    j->stdin_credit -= (uint32_t)n;
    j->moved += (uint64_t)n;
    put_header(s, WIRE_DATA, wire_stream(exec, WIRE_STDIN), (uint32_t)n);
}

/* CREDIT or CLOSE of one output stream. */
static void fill_sink(struct session *s, struct sink *k, uint32_t stream)
{
    uint8_t raw[4];
    uint32_t bytes;

    if (out_room(s) < WIRE_HEADER_SIZE + sizeof(raw))
        return;
    /* The tree has no CLOSE: a spool that failed ends the collection in the keeper. */
    if (k->close_due && wire_stream_kind(stream) != WIRE_TREE)
        k->close_due = !session_put(s, WIRE_CLOSE, stream, NULL, 0);
    bytes = sink_take_credit(k);
    if (bytes == 0)
        return;
    wire_u32_format(raw, bytes);
    session_put(s, WIRE_CREDIT, stream, raw, sizeof(raw));
}

static void fill_running(struct session *s, uint32_t exec)
{
    struct session_job *j = &s->jobs[exec - 1];
    uint8_t raw[4];

    fill_sink(s, &j->out, wire_stream(exec, WIRE_STDOUT));
    fill_sink(s, &j->err, wire_stream(exec, WIRE_STDERR));
    if (j->held_signal) {
        wire_u32_format(raw, j->held_signal);
        if (session_put(s, WIRE_SIGNAL, wire_stream(exec, WIRE_CONTROL), raw, sizeof(raw)))
            j->held_signal = 0;
    }
    if (j->held_rows || j->held_cols) {
        wire_resize_format(raw, j->held_rows, j->held_cols);
        if (session_put(s, WIRE_RESIZE, wire_stream(exec, WIRE_CONTROL), raw, sizeof(raw)))
            j->held_rows = j->held_cols = 0;
    }
    if (j->eof_due && session_put(s, WIRE_EOF, wire_stream(exec, WIRE_STDIN), NULL, 0))
        j->eof_due = false;
}

static void fill_tree(struct session *s)
{
    uint8_t raw[8];

    wire_u64_format(raw, s->tree.cap_bytes);
    if (s->tree.collect_due)
        s->tree.collect_due =
            !session_put(s, WIRE_COLLECT, wire_stream(0, WIRE_TREE), raw, sizeof(raw));
    else
        fill_sink(s, &s->tree.sink, wire_stream(0, WIRE_TREE));
}

void session_fill(struct session *s)
{
    if (s->over || session_is_holding(s))
        return;
    if (s->tree.state == WIRE_IN_COLLECTING)
        fill_tree(s);
    for (uint32_t exec = 1; exec <= WIRE_EXEC_MAX && !s->over; exec++) {
        if (s->jobs[exec - 1].state == WIRE_IN_RUNNING)
            fill_running(s, exec);
        else if (s->jobs[exec - 1].state & (WIRE_IN_SECRETS | WIRE_IN_CONFIG))
            fill_config(s, exec);
    }
}
