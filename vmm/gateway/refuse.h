/* refuse: why a try was refused, in words that a client in the guest, or a person, can act on. */
#ifndef LZ_GATEWAY_REFUSE_H
#define LZ_GATEWAY_REFUSE_H

#include <stdint.h>

struct gate_stream;

/* Returns new: {"denied": true, "destination": ..., "rule": ..., "reason": ..., "how_to_allow":
 * ...} of at most NET_TEXT_MAX printable bytes. It tells nothing of the host but the rule,
 * and what a proxy of the host's answered. */
char *refuse_text(const struct gate_stream *s);
/* struct gateway_event's `secret`; before the stream lets go of its rule. */
uint32_t refuse_secret(const struct gate_stream *s);
/* The HTTP status that goes with it. */
uint16_t refuse_status(uint32_t why);

#endif
