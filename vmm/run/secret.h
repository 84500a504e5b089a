/*
 * secret: what the user gives to one job and to nobody else: its name, and the file that it is in.
 *
 * How it works
 *   The file is opened here and read by the relay alone: what lies between passes the fd on and
 *   closes its own. Values are in no argument, variable, plan or file of ours.
 */
#ifndef LZ_RUN_SECRET_H
#define LZ_RUN_SECRET_H

#include "base/err.h"
#include "base/str.h"
#include "shared/wire.h"

/* In the order in which the job gets them: files, then those for its environment. */
struct secrets {
    struct strv files, env; /* names, as in struct plan */
    struct strv sources;    /* of both */
    int fds[WIRE_SECRETS_MAX];
    size_t n_fds;
};

/* `asked`: "NAME=FILE", "NAME=fd:N" or "NAME=-"; those named in `env` go into the environment.
 * Opens nothing. ERR_USAGE. */
int secrets_parse(const struct strv *asked, const struct strv *env, struct secrets *ret,
                  struct err *e);
/* Is one of them read from stdin? */
bool secrets_use_stdin(const struct secrets *s);
/* Opens all: regular files and pipes. What others may read is ERR_REFUSED, unless it came as an fd.
 * What fds the caller left beside them are closed: nothing of ours may be open before. */
int secrets_open(struct secrets *s, struct err *e);
/* Takes those with these names, which are files, out of `s` into `ret`, in the order of `names`:
 * they are for the gateway (struct plan). */
void secrets_split(struct secrets *s, const struct strv *names, struct secrets *ret);
/* The fds only; whoever has passed them on. NULL is fine. */
void secrets_close(struct secrets *s);
void secrets_done(struct secrets *s);
#define own_secrets __attribute__((cleanup(secrets_done)))

#endif
