/*
 * rights: what lazaret-gateway may still do when it begins to read guests and servers.
 *
 * In a file of its own so that tests put other programs behind the same (tests/hostile).
 * Must: name a reason for every call; have none that hands an fd on, takes one from anybody but the
 * keeper, or reaches another process.
 */
#ifndef LZ_GATEWAY_RIGHTS_H
#define LZ_GATEWAY_RIGHTS_H

#include "base/confine.h"

struct confine rights_gateway(void);
/* An empty root, no user that owns anything, no dump of its memory; then confine_self(). */
int rights_take(const struct confine *rights, struct err *e);

#endif
