/*
 * egress: what a guest tried to reach and got, in a result; and the keeper's part in it.
 *
 * How it works
 *   With network rules the launcher has started a gateway (gateway/gateway.h). The keeper connects
 *   to the port in QEMU that only such a guest has, hands it over, and adds up what the gateway
 *   says: one row for each destination and verdict, in the order in which they came, a bounded
 *   number; the rest is counted.
 */
#ifndef LZ_RUN_EGRESS_H
#define LZ_RUN_EGRESS_H

#include "base/doc.h"
#include "base/err.h"
#include "gateway/gateway.h"

#include <poll.h>

#define EGRESS_ROWS_MAX 32
#define EGRESS_SAYS_MAX 5     /* refused destinations that notes name */
#define EGRESS_SOCKET   "net" /* the guest's port, in vm_path */

struct egress_row {
    char host[GATEWAY_HOST_SIZE];
    uint16_t port;
    uint16_t allowed;
    uint32_t why; /* enum net_why, of a refused one */
    uint64_t count, bytes_up, bytes_down;
};

/* Plain data: it crosses from keeper to launcher as it is. */
struct run_egress {
    uint32_t on; /* there is a gateway */
    uint32_t n;
    uint64_t left_out; /* tries that have no row, and bytes */
    uint64_t bytes_left_out;
    struct egress_row rows[EGRESS_ROWS_MAX];
};

/* Takes note of a TRY or CLOSED. True: a refused destination that was not seen before. */
bool egress_add(struct run_egress *x, const struct gateway_event *ev);
/* Sets "egress" and "egress_left_out", where there is a gateway. */
void egress_to_doc(const struct run_egress *x, struct doc *d);

struct keeper;

/* Everything below does nothing for a guest without network rules. */

/* The guest's port, new: of a guest that has not run yet. */
int egress_open(struct keeper *k, struct err *e);
/* The job is over: what it has moved over connections that are still open counts, too. */
void egress_finish(struct keeper *k);
void egress_undo(struct keeper *k);
/* The guest has answered on it, or has none. */
bool egress_is_ready(const struct keeper *k);
/* Before channel_sync(): waits until the guest is silent on its port too; and after. */
int egress_hold(struct keeper *k, uint64_t until_ms, struct err *e);
int egress_resume(struct keeper *k, struct err *e);
/* A secret that rules of a live change need, from a file or pipe; borrowed. */
int egress_secret(struct keeper *k, const char *name, int fd, struct err *e);
/* A live change (gateway_rules()). */
int egress_rules(struct keeper *k, const struct doc *rules, struct err *e);
/* keeper_pump()'s part: -1 when the run cannot go on. */
struct pollfd egress_poll(const struct keeper *k);
int egress_take(struct keeper *k, struct err *e);

#endif
