/*
 * armor: the AppArmor profile of one exec, compiled on this host for the guest's kernel.
 */
#ifndef LZ_RUN_ARMOR_H
#define LZ_RUN_ARMOR_H

#include "base/err.h"
#include "plan/plan.h"

/* Appends the profile of `exec` to the file. Runs apparmor_parser (5 ms of CPU time), confined:
 * what it reads has paths of a manifest in it. */
int armor_compile(const struct plan *p, unsigned exec, int to_fd, struct err *e);

#endif
