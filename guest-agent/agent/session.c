/* session: the guest's end of the protocol (shared/wire.h). See session.h. */
#include "agent/session.h"

#include "agent/boot.h"
#include "agent/collect.h"
#include "agent/exec.h"
#include "agent/outbox.h"
#include "agent/say.h"
#include "agent/syncer.h"
#include "agent/usage.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SESSION_FAILED_MS 5000 /* for the host to take FAILED */
#define SESSION_RECORDS   64   /* of the kernel's that are read at once */

enum { FD_PORT, FD_CHILDREN, FD_AUDIT, FD_EXECS, FD_COUNT = FD_EXECS + EXEC_SLOTS * WIRE_EXEC_MAX };

struct session {
    const struct session_config *config;
    int port, port_events, children;
    bool full; /* the port took less than there was: port_events says when it has room */
    enum wire_state state; /* WIRE_IN_BOOT, _READY, _SYNCING or _HELD */
    bool failed;           /* FAILED has been told for a bring-up that failed */
    unsigned serial;       /* of the next job: names are never used twice */
    bool collected;        /* a COLLECTED was sent: credit for it may be on its way */
    bool usage_due;        /* USED has not been told yet */
    struct collect collect;
    struct syncer syncer;
    struct audit audit;
    struct exec execs[WIRE_EXEC_MAX];
    struct wire_reader reader;
    struct outbox outbox;
};

static uint64_t boot_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void tell_failed(struct session *s, const char *text)
{
    size_t len = strlen(text);

    (void)outbox_put(&s->outbox, WIRE_FAILED, wire_stream(0, WIRE_CONTROL), (const uint8_t *)text,
                     len < WIRE_TEXT_MAX ? len : WIRE_TEXT_MAX);
}

/* Ends what an older session left, but for the running jobs in `keep`; returns which go on. */
static uint32_t drop_old(struct session *s, uint32_t keep)
{
    uint32_t kept = 0;

    s->state = WIRE_IN_BOOT;
    outbox_drop(&s->outbox);
    for (size_t i = 0; i < WIRE_EXEC_MAX; i++) {
        uint32_t bit = wire_exec_bit((uint32_t)i + 1);

        if (keep & bit && exec_keep(&s->execs[i]))
            kept |= bit;
        else
            exec_abort(&s->execs[i]);
        exec_rearm(&s->execs[i]);
    }
    collect_close(&s->collect);
    s->collected = s->usage_due = false;
    syncer_init(&s->syncer);
    return kept;
}

/* What SYNC stopped. */
static void thaw(const struct session *s)
{
    int rc = container_freeze(&s->config->container, false);

    if (rc < 0)
        say("cannot let the jobs go on: %s", strerror(-rc));
}

static int follow_hello(const struct session_config *c, const struct wire_hello *m,
                        struct boot_fault *f)
{
    if (m->version != WIRE_VERSION) {
        (void)snprintf(f->text, sizeof(f->text), "the agent speaks version %u, the host version %u",
                       WIRE_VERSION, m->version);
        return -1;
    }
    if (c->resync(m, f) < 0)
        return -1;
    return m->flags & WIRE_HELLO_PARK ? c->park(f) : c->arrive(m, f);
}

/* What is not kept of an older session goes; only then the guest is moved to the new moment. */
static int on_hello(struct session *s, const uint8_t *p, size_t len)
{
    struct wire_ready ready = {.version = WIRE_VERSION};
    struct boot_fault fault = {.text = ""};
    uint8_t raw[WIRE_READY_SIZE];
    struct wire_hello m;
    bool park;
    int rc;

    if (wire_hello_parse(p, len, &m) < 0)
        return -EPROTO;
    /* Elsewhere, bytes of the old host end may be under way. */
    if (m.keep && s->state != WIRE_IN_HELD)
        return -EPROTO;
    ready.kept = drop_old(s, m.keep);
    if (s->config->failed) {
        tell_failed(s, s->config->failed);
        s->failed = true;
        return 0;
    }
    rc = follow_hello(s->config, &m, &fault);
    explicit_bzero(m.seed, sizeof(m.seed));
    if (rc < 0) {
        say("%s", fault.text);
        tell_failed(s, fault.text);
        return 0;
    }
    thaw(s);
    park = m.flags & WIRE_HELLO_PARK;
    memcpy(ready.nonce, m.nonce, sizeof(ready.nonce));
    ready.boot_us = boot_us();
    wire_ready_format(raw, &ready);
    (void)outbox_put(&s->outbox, park ? WIRE_PARKED : WIRE_READY, wire_stream(0, WIRE_CONTROL), raw,
                     sizeof(raw));
    if (!park)
        s->state = WIRE_IN_READY;
    return 0;
}

static int on_tree_frame(struct session *s, const struct wire_header *h, const uint8_t *p)
{
    enum wire_state state = s->collect.active ? WIRE_IN_COLLECTING : WIRE_IN_NONE;
    uint64_t cap;
    uint32_t n;

    if (wire_check(h, WIRE_TO_GUEST, state) < 0)
        return s->collected && wire_check(h, WIRE_TO_GUEST, WIRE_IN_COLLECTING) == 0 ? 0 : -EPROTO;
    if (h->type == WIRE_CREDIT)
        return wire_credit_parse(p, h->length, &n) < 0 ? -EPROTO : collect_credit(&s->collect, n);
    if (wire_collect_parse(p, h->length, &cap) < 0)
        return -EPROTO;
    collect_open(&s->collect, s->config->out_dir, cap);
    s->collected = true;
    return 0;
}

/* SYNC and RESUME, which are legal in their states only. */
static int on_sync_frame(struct session *s, const struct wire_header *h)
{
    if (wire_check(h, WIRE_TO_GUEST, s->state) < 0)
        return -EPROTO;
    if (h->type == WIRE_SYNC) {
        syncer_start(&s->syncer, &s->config->container, s->config->scratch);
        s->state = WIRE_IN_SYNCING;
        return 0;
    }
    thaw(s);
    s->state = WIRE_IN_READY;
    for (size_t i = 0; i < WIRE_EXEC_MAX; i++)
        exec_rearm(&s->execs[i]);
    return 0;
}

static void tell_used(struct session *s)
{
    uint8_t raw[WIRE_USED_SIZE];
    struct wire_used used;
    uint32_t running = 0;

    if (!s->usage_due)
        return;
    for (uint32_t exec = 1; exec <= WIRE_EXEC_MAX; exec++)
        if (s->execs[exec - 1].state == WIRE_IN_RUNNING)
            running |= wire_exec_bit(exec);
    usage_take(&s->config->container, s->config->scratch, running, &used);
    wire_used_format(raw, &used);
    if (outbox_put(&s->outbox, WIRE_USED, wire_stream(0, WIRE_CONTROL), raw, sizeof(raw)))
        s->usage_due = false;
}

/* The last word before the session is held. */
static void tell_synced(struct session *s)
{
    uint8_t raw[4];

    if (!s->syncer.ended || s->usage_due)
        return;
    wire_u32_format(raw, s->syncer.how);
    if (!outbox_put(&s->outbox, WIRE_SYNCED, wire_stream(0, WIRE_CONTROL), raw, sizeof(raw)))
        return;
    syncer_init(&s->syncer);
    s->state = WIRE_IN_HELD;
}

static int on_usage(struct session *s, const struct wire_header *h)
{
    if (wire_check(h, WIRE_TO_GUEST, s->state) < 0 || s->usage_due)
        return -EPROTO;
    s->usage_due = true;
    return 0;
}

/* Frames of a running job. */
static int on_job_frame(struct exec *x, const struct wire_header *h, const uint8_t *p)
{
    enum wire_kind kind = wire_stream_kind(h->stream);
    uint16_t rows, cols;
    uint32_t n;

    if (h->type == WIRE_DATA)
        return exec_input(x, p, h->length);
    if (h->type == WIRE_EOF)
        exec_input_end(x);
    else if (h->type == WIRE_CREDIT)
        return wire_credit_parse(p, h->length, &n) < 0 ? -EPROTO : exec_credit(x, kind, n);
    else if (h->type == WIRE_CLOSE)
        exec_close_output(x, kind);
    else if (h->type == WIRE_SIGNAL && wire_signal_parse(p, h->length, &n) == 0)
        exec_signal(x, (int)n);
    else if (h->type == WIRE_RESIZE && wire_resize_parse(p, h->length, &rows, &cols) == 0)
        exec_resize(x, rows, cols);
    else
        return -EPROTO;
    return 0;
}

static int on_exec_frame(struct session *s, const struct wire_header *h, const uint8_t *p)
{
    struct exec *x = &s->execs[wire_stream_exec(h->stream) - 1];
    struct wire_secret secret;
    struct wire_exec ask;

    if (wire_check(h, WIRE_TO_GUEST, x->state) < 0) {
        bool late = x->state == WIRE_IN_NONE && x->known &&
                    wire_check(h, WIRE_TO_GUEST, WIRE_IN_RUNNING) == 0;

        return late ? 0 : -EPROTO;
    }
    if (h->type == WIRE_SECRET)
        return wire_secret_parse(p, h->length, &secret) < 0 ? -EPROTO : exec_secret(x, &secret);
    if (h->type == WIRE_CONFIG)
        return exec_config(x, p, h->length);
    if (h->type != WIRE_EXEC)
        return on_job_frame(x, h, p);
    if (wire_exec_parse(p, h->length, &ask) < 0)
        return -EPROTO;
    exec_open(x, &ask, s->config->run_dir, s->serial++);
    return 0;
}

static int on_frame(struct session *s, const struct wire_header *h, const uint8_t *p)
{
    int rc = -EPROTO;

    if (h->type == WIRE_HELLO)
        rc = wire_check(h, WIRE_TO_GUEST, s->state) < 0 ? -EPROTO : on_hello(s, p, h->length);
    else if (h->type == WIRE_SYNC || h->type == WIRE_RESUME)
        rc = on_sync_frame(s, h);
    else if (h->type == WIRE_USAGE)
        rc = on_usage(s, h);
    else if (s->state == WIRE_IN_READY && wire_stream_exec(h->stream) > 0)
        rc = on_exec_frame(s, h, p);
    else if (s->state == WIRE_IN_READY)
        rc = on_tree_frame(s, h, p);
    if (rc == -EPROTO)
        say("illegal frame of the host: %s, stream %u, %u bytes", wire_type_name(h->type),
            h->stream, h->length);
    return rc;
}

/* Reads all that the port has. */
static int read_port(struct session *s)
{
    for (;;) {
        struct wire_header h;
        const uint8_t *payload;
        uint8_t *at;
        size_t space;
        ssize_t n;
        int rc;

        while ((rc = wire_reader_next(&s->reader, &h, &payload)) == 1) {
            rc = on_frame(s, &h, payload);
            if (rc < 0)
                return rc;
        }
        if (rc < 0) {
            say("the host sent something that is not a frame");
            return -EPROTO;
        }
        space = wire_reader_space(&s->reader, &at);
        n = read(s->port, at, space);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 0 : -errno;
        if (n == 0) {
            /* Nobody is there: what is half received will not be completed. */
            wire_reader_init(&s->reader);
            return 0;
        }
        wire_reader_commit(&s->reader, (size_t)n);
    }
}

static void reap_children(struct session *s)
{
    struct signalfd_siginfo info;
    int status;
    pid_t pid;

    while (read(s->children, &info, sizeof(info)) == sizeof(info))
        ;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        bool known = syncer_reaped(&s->syncer, pid, status);

        for (size_t i = 0; i < WIRE_EXEC_MAX && !known; i++)
            known = exec_reaped(&s->execs[i], pid, status);
    }
}

/* Not without an end: others have their turn, too. */
static void hear_audit(struct session *s)
{
    for (unsigned n = 0; n < SESSION_RECORDS; n++) {
        const struct audit_event ev = audit_next(&s->audit);

        if (ev.what == AUDIT_NOTHING)
            return;
        for (size_t i = 0; i < WIRE_EXEC_MAX; i++)
            exec_take_denial(&s->execs[i], &ev);
    }
}

/* Milliseconds for poll(): -1 without a deadline. */
static int next_timeout(const struct session *s, bool room)
{
    uint64_t now = boot_now_ms(), first = 0;

    if (s->state == WIRE_IN_HELD)
        return -1;
    if (room && collect_is_ready(&s->collect))
        return 0;
    for (size_t i = 0; i < WIRE_EXEC_MAX; i++) {
        uint64_t d = exec_deadline(&s->execs[i]);

        if (d && (!first || d < first))
            first = d;
    }
    if (!first)
        return -1;
    return first <= now ? 0 : (int)(first - now);
}

/* Adds what the jobs wait for behind n entries; `at` is where those of each job are, 0: nowhere.
 * Returns how many there are then. Most jobs are none, and cost nothing. */
static nfds_t fill(const struct session *s, bool room, struct pollfd *fds, nfds_t n,
                   nfds_t at[WIRE_EXEC_MAX])
{
    for (size_t i = 0; i < WIRE_EXEC_MAX; i++) {
        at[i] = 0;
        if (exec_is_idle(&s->execs[i]))
            continue;
        exec_fill(&s->execs[i], room, fds + n);
        at[i] = n;
        n += EXEC_SLOTS;
    }
    return n;
}

/* What the jobs and the collection have for the host, and how their deadlines stand. */
static void pump(struct session *s, const struct pollfd *fds, const nfds_t at[WIRE_EXEC_MAX])
{
    static const struct pollfd none[EXEC_SLOTS]; /* of a job that has just come */

    for (size_t i = 0; i < WIRE_EXEC_MAX; i++)
        if (!exec_is_idle(&s->execs[i]))
            exec_pump(&s->execs[i], at[i] > 0 ? fds + at[i] : none, &s->outbox);
    collect_pump(&s->collect, &s->outbox);
    tell_used(s);
    tell_synced(s);
}

/* Sends what the port takes. It tells of room only when that is waited for: each frame that the
 * host takes would wake us else. */
static int flush(struct session *s)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    int rc = outbox_flush(&s->outbox, s->port);
    bool full = s->outbox.start < s->outbox.end;

    if (rc < 0 || full == s->full)
        return rc;
    if (full)
        event.events |= EPOLLOUT;
    s->full = full;
    return epoll_ctl(s->port_events, EPOLL_CTL_MOD, s->port, &event) < 0 ? -errno : 0;
}

static int turn(struct session *s)
{
    struct pollfd fds[FD_COUNT];
    nfds_t at[WIRE_EXEC_MAX], n;
    struct epoll_event event;
    bool room = outbox_room(&s->outbox) > 0;
    /* A job whose fds are not even looked at does not move. */
    bool held = s->state == WIRE_IN_HELD;
    int rc;

    fds[FD_PORT] = (struct pollfd){.fd = s->port_events, .events = POLLIN};
    fds[FD_CHILDREN] = (struct pollfd){.fd = s->children, .events = POLLIN};
    fds[FD_AUDIT] = (struct pollfd){.fd = s->audit.fd, .events = POLLIN};
    n = fill(s, room, fds, FD_EXECS, at);
    rc = poll(fds, held ? FD_EXECS : n, next_timeout(s, room));
    if (rc < 0)
        return errno == EINTR ? 0 : -errno;
    if (fds[FD_CHILDREN].revents)
        reap_children(s);
    if (fds[FD_AUDIT].revents)
        hear_audit(s);
    if (fds[FD_PORT].revents && epoll_wait(s->port_events, &event, 1, 0) == 1) {
        rc = read_port(s);
        if (rc < 0)
            return rc;
    }
    /* Last, for what the host said may already have an answer. */
    if (!held)
        pump(s, fds, at);
    return flush(s);
}

static int watch(struct session *s)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    sigset_t child;

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &child, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return -errno;
    s->children = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    s->port_events = epoll_create1(EPOLL_CLOEXEC);
    if (s->children < 0 || s->port_events < 0 ||
        epoll_ctl(s->port_events, EPOLL_CTL_ADD, s->port, &event) < 0)
        return -errno;
    return 0;
}

/* The host shall get FAILED before the power goes; but it need not be there. */
static int flush_failed(struct session *s)
{
    uint64_t deadline = boot_now_ms() + SESSION_FAILED_MS;

    while (s->outbox.start < s->outbox.end && boot_now_ms() < deadline) {
        int rc = outbox_flush(&s->outbox, s->port);

        if (rc < 0)
            return rc;
        boot_nap();
    }
    return -ECANCELED;
}

int session_run(int port_fd, const struct session_config *config)
{
    struct session *s = calloc(1, sizeof(*s));
    int rc;

    if (!s)
        return -ENOMEM;
    s->config = config;
    s->port = port_fd;
    s->audit.fd = config->audit_fd;
    s->state = WIRE_IN_BOOT;
    wire_reader_init(&s->reader);
    outbox_init(&s->outbox, WIRE_MAGIC);
    collect_init(&s->collect);
    syncer_init(&s->syncer);
    for (unsigned i = 0; i < WIRE_EXEC_MAX; i++)
        exec_init(&s->execs[i], i + 1, &config->container, &s->audit, &config->secrets,
                  config->egress);
    rc = watch(s);
    while (rc == 0 && !s->failed)
        rc = turn(s);
    if (rc == 0)
        rc = flush_failed(s);
    for (size_t i = 0; i < WIRE_EXEC_MAX; i++)
        exec_abort(&s->execs[i]);
    collect_close(&s->collect);
    close(s->children);
    close(s->port_events);
    free(s);
    return rc;
}
