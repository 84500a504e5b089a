/*
 * collect: sends a folder to the host as a tree stream (shared/walk.h): each step fills one DATA
 * frame, if there is room and credit.
 */
#ifndef LZ_AGENT_COLLECT_H
#define LZ_AGENT_COLLECT_H

#include "agent/outbox.h"
#include "shared/walk.h"

struct collect {
    bool active;
    size_t credit;
    struct walk walk;
};

void collect_init(struct collect *c);
/* Begins. What cannot be opened is told as WIRE_COLLECT_ERROR. */
void collect_open(struct collect *c, const char *dir, uint64_t cap_bytes);
void collect_close(struct collect *c);
/* -EPROTO: more credit than was spent. */
int collect_credit(struct collect *c, uint32_t bytes);
/* Is there something to send that only wants room in the outbox? */
bool collect_is_ready(const struct collect *c);
/* Sends at most one frame; COLLECTED ends it. */
void collect_pump(struct collect *c, struct outbox *o);

#endif
