/*
 * widen: what one manifest allows more than another, key by key.
 *
 * Where nobody can say which of two is more (another image, another command) the second one counts
 * as more. Paths are compared as they are written.
 */
#ifndef LZ_PLAN_WIDEN_H
#define LZ_PLAN_WIDEN_H

#include "base/doc.h"
#include "plan/plan.h"

/* What it comes to without a policy: numbers, network, debug and amnesic of a plan that is empty
 * otherwise; its network is the caller's to free. ERR_USAGE. */
int request_plain(const struct request *r, struct plan *ret, struct err *e);
/* It is one of these, or below one. */
bool request_path_is_within(const struct strv *v, const char *path);
/* All that `to` lets through `from` does, with the same secret or without one. */
bool request_rule_covers(const struct net_rule *from, const struct net_rule *to);
/* Returns new: an array of {"key", "place", "text"} in the order of the table; empty: nothing.
 * ERR_USAGE: a number or rule of one of them is wrong. */
int request_widens(const struct request *from, const struct request *to, struct doc **ret,
                   struct err *e);

#endif
