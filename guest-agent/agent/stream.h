/* stream: the bytes of one job: its pipes or its terminal, against the host's credit. See exec.h.
 */
#ifndef LZ_AGENT_STREAM_H
#define LZ_AGENT_STREAM_H

#include "agent/exec.h"

void stream_init(struct exec *x);
void stream_done(struct exec *x);
/* Makes the pipes (the container's ends are x->stdio), or the socket that the terminal comes by.
 * 0, or -1 and errno. */
int stream_open(struct exec *x);
/* Receives the terminal from the runtime and sets its size. 0, or -1 and errno. */
int stream_take_console(struct exec *x);

/* The streams of a job that goes on with another host end, for exec_keep(). */
void stream_keep(struct exec *x);

/* What is on stderr now, up to its first line end; "" if nothing is. */
void stream_first_line(struct exec *x, char *ret_line, size_t size);

void stream_fill(const struct exec *x, bool room, struct pollfd fds[EXEC_SLOTS]);
void stream_pump(struct exec *x, const struct pollfd fds[EXEC_SLOTS], struct outbox *o);
/* No output will come any more. */
bool stream_is_drained(const struct exec *x);

#endif
