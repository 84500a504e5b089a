/*
 * outbox: frames on their way to the host: one bounded buffer in front of the port.
 *
 * Whoever has something to send asks for room first and keeps its data where it is (in the pipe, in
 * the file) while there is none: a slow host slows the job down and costs no memory.
 */
#ifndef LZ_AGENT_OUTBOX_H
#define LZ_AGENT_OUTBOX_H

#include "shared/wire.h"

#define OUTBOX_SIZE (4u * (WIRE_HEADER_SIZE + WIRE_PAYLOAD_MAX)) /* bytes */
/* The kernel sends at most 32 KiB of one write as one buffer: a frame of this payload is two. A
 * third one, of the 16 bytes that are over, would cost as much as each of them. */
#define OUTBOX_PAYLOAD_MAX (65536u - WIRE_HEADER_SIZE)

struct outbox {
    uint32_t magic; /* of its frames: WIRE_MAGIC or NET_MAGIC, their headers are alike */
    size_t head;    /* where the frame starts that `start` lies in */
    size_t start;   /* first byte that the port has not taken */
    size_t end;
    uint8_t buf[OUTBOX_SIZE];
};

void outbox_init(struct outbox *o, uint32_t magic);

/* Bytes of payload that the next frame may have: 0 when there is no room for one. */
size_t outbox_room(struct outbox *o);
/* Where to put the payload of the next frame: outbox_room() bytes; then outbox_commit(). */
uint8_t *outbox_payload(struct outbox *o);
void outbox_commit(struct outbox *o, uint16_t type, uint32_t stream, size_t length);

/* A whole frame; false: no room now. */
bool outbox_put(struct outbox *o, uint16_t type, uint32_t stream, const uint8_t *payload,
                size_t length);

/* Writes what the port takes. 0, also when it takes no more now; or -errno. */
int outbox_flush(struct outbox *o, int fd);

/* Forgets what was not sent, except the rest of a frame that is half sent: the host counts on it.
 */
void outbox_drop(struct outbox *o);

#endif
