/* cmd_fork: guests that begin where a sandbox is, for `fork` and `run --fork-from`. */
#ifndef LZ_CLI_CMD_FORK_H
#define LZ_CLI_CMD_FORK_H

#include "run/fork.h"
#include "run/sandbox.h"

struct fork {
    char *name;        /* of the sandbox */
    bool made;         /* the mark was made for this, and goes again */
    struct plan *plan; /* the sandbox's */
    struct run_from from;
};

/* `text` is "NAME" or "NAME:MARK". fork_end() follows in any case. */
int fork_begin(const char *data_dir, const char *text, struct fork *ret, struct err *e);
void fork_end(const char *data_dir, struct fork *f);

#endif
