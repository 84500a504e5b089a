/*
 * reader: a child process without rights, in which bytes that others made are read.
 *
 * How it works: fork. The child keeps the fds that it is told and a pipe, forgets the environment,
 * gives up everything but reading, writing and memory (confine.h), and runs one function; what that
 * finds goes through the pipe. A child that breaks, or is broken, ends with it, and the import is
 * refused. It is forked and not another program, because it does one thing once and needs no more
 * than the code that is there.
 *
 * Must: hand out no fd that is not needed. Must not: believe what comes through the pipe; whoever
 * takes it checks it as if the archive itself had said it.
 */
#ifndef LZ_IMAGES_READER_H
#define LZ_IMAGES_READER_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define READER_MEMORY_MAX (1ull << 30) /* bytes: RLIMIT_DATA */
#define READER_CPU_S_MAX  3600u        /* RLIMIT_CPU */
#define READER_QUIET_S    3600u        /* for which it may say nothing */

struct reader {
    pid_t pid; /* 0: none */
    int fd;    /* what it says */
    size_t at, len;
    char buf[16384];
};

/* Runs in the child; writes to the pipe `to_fd`, and leaves its errors there, too. */
typedef void reader_fn(void *arg, int to_fd);

/* The child gets `fds` (at most 4, under the same numbers) and may write at most `max_file_bytes`
 * to a file. */
int reader_start(struct reader *r, reader_fn *fn, void *arg, const int *fds, size_t n_fds,
                 uint64_t max_file_bytes, struct err *e);
/* Takes exactly `len` bytes. ERR_IMAGE when it ended before, with how. */
int reader_take(struct reader *r, void *to, size_t len, struct err *e);
/* Ends it, if it has not ended. */
void reader_done(struct reader *r);
#define own_reader_child __attribute__((cleanup(reader_done)))

/* An error on its way through the pipe: for the child, and, escaped and with a class that there is,
 * for the parent; 0 when it is none. */
void reader_put_err(int to_fd, const struct err *e); /* NULL: none */
int reader_take_err(struct reader *r, struct err *e);

#endif
