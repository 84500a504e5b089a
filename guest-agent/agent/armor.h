/*
 * armor: the AppArmor profile of a job's container, in the guest's kernel.
 *
 * The host wrote and compiled it, and named it GUEST_PROFILE and the number of the exec; nobody
 * reads it here but the kernel. The runtime puts it on the container's first process (the
 * configuration names it), and all of the job's inherit it.
 */
#ifndef LZ_AGENT_ARMOR_H
#define LZ_AGENT_ARMOR_H

/* Loads the one that is in that bundle (container.h), in place of one of its name: 0 or -errno. */
int armor_load(const char *bundle);
/* When no process of the container is left: any that were would be without one. */
void armor_remove(unsigned exec);

#endif
