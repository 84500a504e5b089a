/*
 * session_secret: secrets of the user, from their fds to the guest. See session.h.
 *
 * Must: keep a value in session.values and session.out only, which are locked and not in a core
 * file, and wipe it there when it has been sent. Must not: put one into an event.
 */
#include "channel/session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void session_lock(struct session *s)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t at = (uintptr_t)s->values & ~(page - 1);
    const size_t size = (uintptr_t)s->out + sizeof(s->out) - at;

    s->unlocked = 0;
    /* Pages that no secret needs are not there at all. */
    if (mlock2((const void *)at, size, MLOCK_ONFAULT) < 0 ||
        madvise((void *)at, size, MADV_DONTDUMP) < 0)
        s->unlocked = errno;
}

void session_secrets_done(struct session_job *j)
{
    for (uint32_t i = 0; i < j->n_secrets; i++)
        if (j->secrets[i].fd >= 0)
            close(j->secrets[i].fd);
    j->n_secrets = j->secrets_sent = 0;
}

void session_add_secret(struct session *s, const struct relay_command *c, int fd)
{
    struct session_job *j = &s->jobs[c->exec - 1];
    struct session_secret *k;

    if (c->index == 0) /* an older list that no EXEC followed */
        session_secrets_done(j);
    if (c->index != j->n_secrets || c->index >= WIRE_SECRETS_MAX) {
        close(fd);
        return;
    }
    k = &j->secrets[j->n_secrets++];
    k->fd = fd;
    k->flags = c->secret_flags;
    memcpy(k->name, c->name, sizeof(k->name));
}

static void forget_value(struct session_value *v)
{
    explicit_bzero(v->bytes, v->len);
    v->whole = false;
    v->len = 0;
}

void session_no_secrets(struct session *s, uint32_t exec)
{
    if (s->jobs[exec - 1].state != WIRE_IN_SECRETS)
        return;
    s->jobs[exec - 1].no_secrets = true;
    forget_value(&s->values[exec - 1]);
}

static void __attribute__((format(printf, 3, 4)))
fail(struct session *s, uint32_t exec, const char *fmt, ...)
{
    const struct session_job *j = &s->jobs[exec - 1];
    struct channel_event *ev = session_add_event(s, CHANNEL_HOST_FAILED, exec);
    char why[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    snprintf(ev->text, sizeof(ev->text), "secret '%s' %s", j->secrets[j->secrets_sent].name, why);
    session_no_secrets(s, exec);
}

bool session_wants_secret(const struct session *s, uint32_t exec)
{
    const struct session_job *j = &s->jobs[exec - 1];

    return j->state == WIRE_IN_SECRETS && !j->exec_due && !j->no_secrets &&
           !s->values[exec - 1].whole && session_has_event_room(s) && !session_is_holding(s);
}

static void take_end(struct session *s, uint32_t exec)
{
    const struct session_job *j = &s->jobs[exec - 1];
    struct session_value *v = &s->values[exec - 1];

    if (v->len == 0)
        fail(s, exec, "is empty");
    else if (j->secrets[j->secrets_sent].flags & WIRE_SECRET_ENV && memchr(v->bytes, 0, v->len))
        fail(s, exec, "has a NUL byte and cannot be in an environment");
    else
        v->whole = true;
}

void session_read_secret(struct session *s, uint32_t exec)
{
    const struct session_job *j = &s->jobs[exec - 1];
    struct session_value *v = &s->values[exec - 1];
    ssize_t n;

    if (!session_wants_secret(s, exec))
        return;
    if (s->unlocked) {
        fail(s, exec, "cannot be kept in locked memory: %s (see 'ulimit -l')",
             strerrordesc_np(s->unlocked));
        return;
    }
    n = read(j->secrets[j->secrets_sent].fd, v->bytes + v->len, sizeof(v->bytes) - v->len);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0) {
        fail(s, exec, "cannot be read: %s", strerrordesc_np(errno));
        return;
    }
    v->len += (size_t)n;
    if (v->len > WIRE_SECRET_MAX)
        fail(s, exec, "is over %u bytes", WIRE_SECRET_MAX);
    else if (n == 0)
        take_end(s, exec);
}

/* One frame: the head, and the value if there is one. */
static bool put(struct session *s, uint32_t exec, const struct session_secret *k)
{
    const struct session_job *j = &s->jobs[exec - 1];
    struct wire_secret m = {.flags = k->flags, .uid = j->uid, .gid = j->gid};
    uint8_t head[WIRE_SECRET_HEAD];

    memcpy(m.name, k->name, sizeof(m.name));
    wire_secret_format(head, &m);
    return session_put_two(s, WIRE_SECRET, wire_stream(exec, WIRE_CONTROL), head, sizeof(head),
                           s->values[exec - 1].bytes,
                           j->no_secrets ? 0 : (uint32_t)s->values[exec - 1].len);
}

void session_fill_secrets(struct session *s, uint32_t exec)
{
    struct session_job *j = &s->jobs[exec - 1];

    while (j->secrets_sent < j->n_secrets) {
        struct session_secret *k = &j->secrets[j->secrets_sent];

        if (!j->no_secrets && !s->values[exec - 1].whole)
            return;
        if (!put(s, exec, k))
            return;
        if (!j->no_secrets)
            forget_value(&s->values[exec - 1]);
        close(k->fd);
        k->fd = -1;
        j->secrets_sent++;
    }
    j->state = WIRE_IN_CONFIG;
}
