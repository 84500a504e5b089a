/*
 * checker: a process of the keeper's that reads and hashes a saved guest's memory while QEMU starts
 * with it, which takes about as long. The guest's CPU does not run before the answer is there.
 *
 * It is forked before libvirt has its thread, keeps no file but its socket and what it is given,
 * and ends with the keeper.
 */
#ifndef LZ_RUN_CHECKER_H
#define LZ_RUN_CHECKER_H

#include "snapshots/memory.h"

#include <sys/types.h>

struct checker {
    pid_t pid; /* 0: there is none */
    int fd;
};

int checker_start(struct checker *ret, struct err *e);
/* It begins with this file; the fd stays the caller's. */
int checker_ask(const struct checker *c, int fd, struct err *e);
/* Waits for the answer to the last question. */
int checker_answer(const struct checker *c, struct memory_sum *ret, struct err *e);
/* Ends it, whatever it does. */
void checker_end(struct checker *c);

#endif
