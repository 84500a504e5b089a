/*
 * copy: files and folders into a sandbox and out of it, by an exec of the agent's own binary in the
 * container (shared/guest.h), which speaks the tree format of outputs.
 *
 * How it works
 *   Out: the stream goes to a nameless spool, lazaret-unpack makes it below a new folder beside the
 *   destination, and what is there gets the name that the caller gave: no name of the guest's is
 *   ever used. In: the folder is walked into a spool, which is the exec's stdin.
 *   Only files and folders cross. The copying is done as the sandbox's user.
 *   "-" outside is a tar: stdin, whose entries go into a folder that is there, or stdout. It is
 * read and written by copy_tar.h, from and to a spool, so that a tar that is refused puts nothing
 * in.
 */
#ifndef LZ_RUN_COPY_H
#define LZ_RUN_COPY_H

#include "run/run.h"

#define COPY_TAR "-"

struct copy {
    const char *data_dir, *unpack_path;
    const char *sandbox;
    const char *inside;  /* a path in the sandbox */
    const char *outside; /* a path here, or COPY_TAR */
    uint64_t max_bytes;  /* of what comes out, and of a tar that goes in */
};

/* ret->notes says what was left out; otherwise only the error counts, and ret->signal. */
int copy_out(const struct copy *c, struct run_result *ret, struct err *e);
int copy_in(const struct copy *c, struct run_result *ret, struct err *e);

#endif
