/*
 * tell: what the host is told of one job, beside its streams. Of exec.c only.
 *
 * False: the outbox has no room for all of it now.
 */
#ifndef LZ_AGENT_TELL_H
#define LZ_AGENT_TELL_H

#include "agent/exec.h"

bool tell_unstarted(struct exec *x, struct outbox *o);
bool tell_denials(struct exec *x, bool last, struct outbox *o);
/* `looks`: there may be something new to see. False too: more may come. */
bool tell_seen(struct exec *x, bool looks, bool last, struct outbox *o);
bool tell_exit(struct exec *x, struct outbox *o);

#endif
