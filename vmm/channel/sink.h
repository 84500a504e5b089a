/*
 * sink: one output stream of the guest: its credit, a ring of what has not been written yet, and
 * the fd that it goes to. UNTRUSTED bytes, passed on as they are.
 *
 * How it works: credit + bytes in the ring + bytes written but not yet given back = window, so
 * that what the guest may send always has room. A reader that stops reading fills the ring, the
 * credit runs out, and the guest's job stops. A sink that cannot be written (any more) is broken:
 * the guest is told to close the stream, and the rest is dropped.
 */
#ifndef LZ_CHANNEL_SINK_H
#define LZ_CHANNEL_SINK_H

#include "channel/relay.h"

struct sink {
    int fd; /* -1: none, or broken, or done */
    enum relay_fd_kind kind;
    bool broken;     /* what comes is dropped, no credit is given */
    bool close_due;  /* broke, and the guest has not been told yet */
    int failed;      /* errno of a host that cannot write, not reported yet; else 0 */
    uint32_t window; /* wire_window() of its stream */
    uint64_t room;   /* bytes that are still kept; what comes after them is dropped, not refused */
    uint32_t credit; /* bytes that the guest may still send */
    uint32_t given;  /* bytes written that the guest does not know of yet */
    uint32_t first;  /* where the unwritten bytes begin */
    uint32_t fill;   /* unwritten bytes in the ring */
    uint8_t ring[WIRE_WINDOW];
};

/* Takes fd (-1: a sink that was never there, and accepts nothing). Keeps max_bytes, 0: all. */
void sink_init(struct sink *k, int fd, enum relay_fd_kind kind, uint32_t window,
               uint64_t max_bytes);
void sink_done(struct sink *k);
/* False if this is more than the guest's credit; else the bytes are in the ring or dropped. */
bool sink_put(struct sink *k, const uint8_t *data, uint32_t len);
static inline bool sink_is_empty(const struct sink *k)
{
    return k->fill == 0;
}
/* Nobody wants what comes any more: as if its reader had gone. */
void sink_drop(struct sink *k);
/* One write, which never blocks when poll() has said that fd is writable; and of the kinds of fds,
 * it could on RELAY_FD_SHARED only. */
void sink_write(struct sink *k);
/* Bytes to give back to the guest now, 0: not worth a frame yet. */
uint32_t sink_take_credit(struct sink *k);

#endif
