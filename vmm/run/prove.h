/*
 * prove: every promise about a sandbox that is up, read from outside and tried from inside.
 *
 * From outside its keeper reads the live processes and the live domain (fence.h). From inside a
 * probe in a container of its own tries what a job would (shared/probe.h): what it says is a fact
 * about the plan, and evidence only as long as nothing hostile has run in that sandbox.
 */
#ifndef LZ_RUN_PROVE_H
#define LZ_RUN_PROVE_H

#include "base/doc.h"
#include "base/err.h"

#include <stdbool.h>

/* Returns new: array of {"layer","name","verdict": holds|broken|absent,"seen","by": host|guest}. */
int prove_sandbox(const char *data_dir, const char *name, struct doc **ret, struct err *e);

/* As a job of the plan; and as one that may use declared paths and programs only. */
enum prove_probe { PROVE_JOB, PROVE_DECLARED };
/* Of it, what that probe wrote (UNTRUSTED): appends a row for each look, in their order, or it was
 * none. `armor`: the sandbox's plan has AppArmor. For tests too. */
int prove_take_rows(int fd, enum prove_probe probe, bool armor, struct doc *list, struct err *e);

#endif
