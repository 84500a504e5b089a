/* way: the proxy that this host goes out through, as the caller's environment says. */
#ifndef LZ_CLI_WAY_H
#define LZ_CLI_WAY_H

#include "plan/plan.h"

struct way {
    struct net_proxy proxy;
    char *login; /* "USER:PASSWORD", or NULL; for the gateway only */
};

void way_done(struct way *w);
#define own_way __attribute__((cleanup(way_done)))

/* Says what of no_proxy is not understood. ERR_USAGE: no variable names a proxy. `ret` is empty. */
int way_find(struct way *ret, struct err *e);
/* For a guest that begins with another one's plan: if that one's way is through a proxy, then the
 * environment must name the same one; its login is not in the plan. */
int way_follow(const struct plan *plan, struct way *ret, struct err *e);

#endif
