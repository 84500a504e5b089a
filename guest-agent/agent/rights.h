/* rights: what of root's rights the agent, and whatever it starts, goes without. */
#ifndef LZ_AGENT_RIGHTS_H
#define LZ_AGENT_RIGHTS_H

#include "agent/boot.h"

/* After bring-up: drops every capability that is not needed from here on, for good, and gives up
 * gaining any. */
int rights_drop(struct boot_fault *f);

#endif
