/*
 * net_rig: a real lazaret-gateway between a guest that the test plays and the keeper's own end, at
 * the point where a lie would hurt. No name is looked up and nothing is reached but a socket of the
 * test's own.
 */
#ifndef LZ_TESTS_NET_RIG_H
#define LZ_TESTS_NET_RIG_H

#include "gateway/gateway.h"
#include "shared/net.h"
#include "tests/hostile/rows.h"

#define REQUEST(method, path, n_headers) U64(0), U16(method), U16(path), U16(n_headers), U16(0)

/* How far guest and gateway are; from DIALING on it is about stream 1. */
enum stage { UNMET, MET, DIALING, ASKING, FLOWING, ENDED, CLOSED, HOLDING, HELD };

extern struct gateway *rig_gateway;
extern int rig_port;         /* the guest's end */
extern uint16_t rig_at_port; /* of 127.0.0.1: it accepts nothing */
extern struct net_hello rig_hello;

/* What was there when a row began. */
struct rig_before {
    size_t fds;
    long mine, its; /* KiB */
};

/* A gateway that takes nothing more is no error here. */
void rig_send_raw(const void *data, size_t len);
void rig_send_frame(uint16_t type, uint32_t stream, const void *data, size_t len);
/* The next frame must be of this type. */
const uint8_t *rig_expect_frame(uint16_t type);
void rig_open_stream(uint32_t stream, uint16_t kind, const char *name, uint16_t to);
void rig_send_ready(uint32_t version, unsigned wrong_bit);
struct gateway_event rig_next_event(void);
void rig_expect_event(enum gateway_event_type type);
/* Behind what the stage itself causes, and it is the last. */
void rig_expect_tampered(void);
void rig_greet(void);
struct rig_before rig_begin(enum stage stage);
/* `more_kib`: that the gateway may have taken beside. */
void rig_end(const struct rig_before *b, long more_kib);
void rig_lie(enum stage stage, const struct net_header *h, const void *data);

#endif
