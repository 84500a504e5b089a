/* live: the numbers of sandboxes that are up. */
#ifndef LZ_CLI_LIVE_H
#define LZ_CLI_LIVE_H

#include "base/doc.h"
#include "base/err.h"
#include "run/sandbox.h"

/*
 * Returns new: an array of what sandbox_counts() says, with "state" and "image", of each sandbox
 * of `rows` (run_list()'s) that is up, or of the one. One that goes meanwhile, or whose keeper does
 * not answer, is left out, but not the one that was asked for.
 */
int live_stats(const char *data_dir, const struct doc *rows, const char *only, struct doc **ret,
               struct err *e);

#endif
