/* outbox: frames on their way to the host: one bounded buffer in front of the port. */
#include "agent/outbox.h"

#include "shared/bytes.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void empty(struct outbox *o)
{
    o->head = o->start = o->end = 0;
}

void outbox_init(struct outbox *o, uint32_t magic)
{
    o->magic = magic;
    empty(o);
}

size_t outbox_room(struct outbox *o)
{
    size_t room;

    if (o->head > 0) {
        memmove(o->buf, o->buf + o->head, o->end - o->head);
        o->start -= o->head;
        o->end -= o->head;
        o->head = 0;
    }
    room = sizeof(o->buf) - o->end;
    if (room <= WIRE_HEADER_SIZE)
        return 0;
    room -= WIRE_HEADER_SIZE;
    return room < OUTBOX_PAYLOAD_MAX ? room : OUTBOX_PAYLOAD_MAX;
}

uint8_t *outbox_payload(struct outbox *o)
{
    return o->buf + o->end + WIRE_HEADER_SIZE;
}

void outbox_commit(struct outbox *o, uint16_t type, uint32_t stream, size_t length)
{
    wire_header_put(o->buf + o->end, o->magic, type, stream, (uint32_t)length);
    o->end += WIRE_HEADER_SIZE + length;
}

bool outbox_put(struct outbox *o, uint16_t type, uint32_t stream, const uint8_t *payload,
                size_t length)
{
    if (o->end + WIRE_HEADER_SIZE + length > sizeof(o->buf) &&
        (outbox_room(o) == 0 || outbox_room(o) < length))
        return false;
    if (length > 0)
        memcpy(outbox_payload(o), payload, length);
    outbox_commit(o, type, stream, length);
    return true;
}

/* Where the frame at `head` ends. */
static size_t frame_end(const struct outbox *o)
{
    return o->head + WIRE_HEADER_SIZE + bytes_get_u32(o->buf + o->head + 12);
}

int outbox_flush(struct outbox *o, int fd)
{
    while (o->start < o->end) {
        ssize_t n = write(fd, o->buf + o->start, o->end - o->start);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 0 : -errno;
        o->start += (size_t)n;
        while (o->head < o->start && frame_end(o) <= o->start)
            o->head = frame_end(o);
    }
    if (o->start == o->end)
        empty(o);
    return 0;
}

void outbox_drop(struct outbox *o)
{
    o->end = o->start == o->head ? o->head : frame_end(o);
}
