/* policy_private: the parts of reading a policy. Internal. */
#ifndef LZ_PLAN_POLICY_PRIVATE_H
#define LZ_PLAN_POLICY_PRIVATE_H

#include "plan/policy.h"
#include "plan/text.h"

int policy_take_alerts(const struct text *t, struct policy *p, struct err *e);
int policy_take_retention(const struct text *t, struct policy *p, struct err *e);

#endif
