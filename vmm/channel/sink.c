/* sink: one output stream of the guest, with credit, ring and fd. See sink.h. */
#include "channel/sink.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Below this, a CREDIT frame costs more than it helps; the guest still has the rest of its window.
 */
#define GIVE_BACK_MIN(window) ((window) / 4)

void sink_init(struct sink *k, int fd, enum relay_fd_kind kind, uint32_t window, uint64_t max_bytes)
{
    k->fd = fd;
    k->kind = kind;
    k->broken = k->close_due = false;
    k->failed = 0;
    k->room = max_bytes ? max_bytes : UINT64_MAX;
    k->window = window;
    k->credit = fd >= 0 ? window : 0;
    k->given = k->first = k->fill = 0;
}

void sink_done(struct sink *k)
{
    if (k->fd >= 0)
        close(k->fd);
    sink_init(k, -1, RELAY_FD_FILE, k->window, 0);
}

bool sink_put(struct sink *k, const uint8_t *data, uint32_t len)
{
    uint32_t at, part;

    if (len > k->credit)
        return false;
    k->credit -= len;
    if (k->broken)
        return true;
    if (len > k->room) {
        k->given += len - (uint32_t)k->room; /* dropped: as good as written */
        len = (uint32_t)k->room;
    }
    k->room -= len;
    at = (k->first + k->fill) % k->window;
    part = len < k->window - at ? len : k->window - at;
    memcpy(k->ring + at, data, part);
    memcpy(k->ring, data + part, len - part);
    k->fill += len;
    return true;
}

static void sink_break(struct sink *k, int errnum)
{
    /* A reader that went away is the user's wish, a terminal's too; nothing else is. */
    if (k->kind == RELAY_FD_FILE || (errnum != EPIPE && errnum != ECONNRESET && errnum != EIO))
        k->failed = errnum;
    k->broken = k->close_due = true;
    k->fill = 0;
    close(k->fd);
    k->fd = -1;
}

void sink_drop(struct sink *k)
{
    if (k->fd < 0)
        return;
    sink_break(k, 0);
}

void sink_write(struct sink *k)
{
    uint32_t len = k->fill < k->window - k->first ? k->fill : k->window - k->first;
    ssize_t n;

    if (k->fd < 0 || len == 0)
        return;
    /* A pipe that is writable takes PIPE_BUF bytes at once; more would wait for its reader. */
    if (k->kind == RELAY_FD_SHARED && len > PIPE_BUF)
        len = PIPE_BUF;
    if (k->kind == RELAY_FD_SOCKET)
        n = send(k->fd, k->ring + k->first, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    else
        n = write(k->fd, k->ring + k->first, len);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0) {
        sink_break(k, errno);
        return;
    }
    k->fill -= (uint32_t)n;
    k->given += (uint32_t)n;
    /* Starting over keeps the pages of an idle ring untouched. */
    k->first = k->fill == 0 ? 0 : (k->first + (uint32_t)n) % k->window;
}

uint32_t sink_take_credit(struct sink *k)
{
    uint32_t n = k->given;

    if (k->broken || n < GIVE_BACK_MIN(k->window))
        return 0;
    k->given = 0;
    k->credit += n;
    return n;
}
