/* runs: a walk over the folders of runs or sandboxes, for whoever looks at many. */
#ifndef LZ_RUN_RUNS_H
#define LZ_RUN_RUNS_H

#include "run/folder.h"

/* One of them, as it is found. Borrowed. */
struct runs_found {
    enum folder_kind kind;
    const char *id, *state; /* folder_state() */
    int fd;                 /* of its folder */
};

/* Calls `each` for every one of a kind whose name is in the folder `listed` (NULL: its own place),
 * in their order, until it returns -1; for none if there is no folder. One that ends meanwhile is
 * left out. */
int runs_each(const char *data_dir, enum folder_kind kind, const char *listed,
              int (*each)(void *arg, const struct runs_found *f), void *arg, struct err *e);

#endif
