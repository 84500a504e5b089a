/*
 * link: what the agent and a container's first process say to each other: records over a socketpair
 * (SOCK_SEQPACKET) that the container's first process has as LINK_FD. The command never sees it.
 *
 *     agent -> init: GO, with a memfd of "NAME=VALUE" strings if there are secrets for the
 *                    environment, and the facts (facts.h) for a probe; then KILL (signal number)
 *                    any time
 *     init -> agent: HERE, with its network namespace, at once, and with FACTS_WISH if it is to be
 *                    a probe; then, behind GO,
 *                    BEGUN, or CANNOT (errno) and end, or UNCONFINED (errno, text) and end; then
 *                    ENDED (wait status) and end
 */
#ifndef LZ_AGENT_LINK_H
#define LZ_AGENT_LINK_H

#include "agent/declared.h"

#include <stdint.h>

#define LINK_FD 3

#define LINK_TEXT_MAX DECLARED_TEXT_MAX

enum link_kind {
    LINK_GO = 1,
    LINK_KILL,
    LINK_BEGUN,
    LINK_CANNOT,
    LINK_UNCONFINED,
    LINK_ENDED,
    LINK_HERE
};

struct link_record {
    uint32_t kind; /* enum link_kind */
    int32_t value;
    char text[LINK_TEXT_MAX]; /* of UNCONFINED, HERE and GO */
};

#endif
