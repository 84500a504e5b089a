/*
 * armor: plan -> AppArmor profile of the nested container, as text for apparmor_parser. Pure.
 *
 * It is a second lock on doors that namespaces, seccomp, read-only mounts and Landlock hold shut,
 * and the one whose refusals are told with the name of the file. See apparmor.d(5).
 */
#ifndef LZ_OCI_ARMOR_H
#define LZ_OCI_ARMOR_H

#include "plan/plan.h"

/* Bytes of rules with declared paths. With more, where compiling takes seconds, the profile is that
 * of a container without any, and Landlock alone holds them. */
#define ARMOR_RULES_MAX 24576u

/* Returns new: the profile GUEST_PROFILE and `exec` (1 to WIRE_EXEC_MAX). */
char *armor_profile(const struct plan *p, unsigned exec);

/* What the guest's kernel can hold, as apparmor_parser wants to be told (--policy-features). */
extern const char armor_features[];

#endif
