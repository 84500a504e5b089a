/*
 * widen: what one manifest allows more than another, key by key.
 *
 * Where nobody can say which of two is more (another image, another command) the second one counts
 * as more. Paths are compared as they are written.
 */
#ifndef LZ_PLAN_WIDEN_H
#define LZ_PLAN_WIDEN_H

#include "base/doc.h"
#include "plan/request.h"

/* Returns new: an array of {"key", "place", "text"} in the order of the table; empty: nothing.
 * ERR_USAGE: a number or rule of one of them is wrong. */
int request_widens(const struct request *from, const struct request *to, struct doc **ret,
                   struct err *e);

#endif
