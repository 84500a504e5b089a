/*
 * record: what goes between the keeper and lazaret-gateway, over SOCK_SEQPACKET, one record a
 * packet.
 *
 * Both ends come from one build and run on one host, so a record is the struct itself; the events
 * are struct gateway_event. The gateway checks no more of a command than its size: the keeper is
 * trusted. The keeper checks everything in an event: a gateway may have been taken over by a guest,
 * or by a server.
 */
#ifndef LZ_GATEWAY_RECORD_H
#define LZ_GATEWAY_RECORD_H

#include "gateway/gateway.h"
#include "shared/net.h"

#define GATEWAY_CONTROL 3 /* the gateway's fd */

enum gateway_command_type {
    GATEWAY_SECRET = 1, /* name; one fd, read to its end */
    GATEWAY_RULES,      /* one fd: JSON, read from its beginning */
    GATEWAY_PORT,       /* nonce; one fd: a stream socket */
    GATEWAY_HOLD,
    GATEWAY_RESUME,
};

struct gateway_command {
    uint32_t type;
    uint32_t guest; /* PORT: said again in READY and HELD */
    char name[GATEWAY_NAME_SIZE];
    uint8_t nonce[NET_NONCE_SIZE];
};

#endif
