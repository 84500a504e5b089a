/* learning: `run --learn FILE`: the manifest of what a run did, or a widened one. */
#ifndef LZ_CLI_LEARNING_H
#define LZ_CLI_LEARNING_H

#include "cli/options.h"

struct learning {
    const char *path; /* as it was given; NULL: it does not learn */
    int fd;           /* what was observed (run/observe.h), or -1 */
    bool written;
};

#define LEARNING_INIT                                                                              \
    {                                                                                              \
        .fd = -1                                                                                   \
    }

/* Says what cannot work before anything runs: a file that is there and cannot be widened, a folder
 * that cannot be written to. */
int learning_begin(const struct options *o, struct learning *ret, struct err *e);
/* The run has ended: writes the manifest, whole or not at all, and says so; or says why not. */
int learning_end(struct learning *l, const struct options *o, const struct plan *p,
                 const struct run_result *r, struct err *e);
void learning_done(struct learning *l);
#define own_learning __attribute__((cleanup(learning_done)))

#endif
