/* policy_private: the parts of reading a policy. Internal. */
#ifndef LZ_PLAN_POLICY_PRIVATE_H
#define LZ_PLAN_POLICY_PRIVATE_H

#include "plan/policy.h"
#include "plan/text.h"

/* Returns the new last one of those that it owns, empty. */
struct policy *policies_grow(struct policies *ps);
int policy_take_alerts(const struct text *t, struct policy *p, struct err *e);
int policy_take_retention(const struct text *t, struct policy *p, struct err *e);

#endif
