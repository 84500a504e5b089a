/*
 * dns: the resolver in the guest that resolves nothing: names of clear-side origins and of the
 * loopback lead to it, every other name does not exist, at once. Pure. UNTRUSTED: the job asks.
 *
 * NXDOMAIN, not REFUSED: musl takes REFUSED for no answer and waits 10 s, glibc calls it a
 * temporary failure, which programs try again. To those that can read it (EDNS, RFC 8914) the
 * answer says that the name is prohibited.
 */
#ifndef LZ_AGENT_DNS_H
#define LZ_AGENT_DNS_H

#include <stddef.h>
#include <stdint.h>

#define DNS_ANSWER_MAX 512u /* bytes; of a query too */

/* The length of the answer; 0: it is no query, and gets none. */
size_t dns_answer(const uint8_t *p, size_t len, uint8_t ret[DNS_ANSWER_MAX]);

#endif
