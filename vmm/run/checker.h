/*
 * checker: a process of the keeper's that hashes what a guest begins with while the keeper makes
 * ready what it begins in: the image's kernel and initramfs beside the scratch disk and libvirt's
 * start, a saved guest's memory beside QEMU's, which takes about as long.
 *
 * It is forked before libvirt has its thread, keeps no file but its socket and what it is given
 * once it has read the image, and ends with the keeper.
 *
 * Must not: anything that was asked for be used by a running guest before the answer is there.
 */
#ifndef LZ_RUN_CHECKER_H
#define LZ_RUN_CHECKER_H

#include "images/image.h"
#include "snapshots/memory.h"

#include <sys/types.h>

struct checker {
    pid_t pid; /* 0: there is none */
    int fd;
};

/* It begins with the kernel and initramfs of an image whose parts are open. */
int checker_start(const struct image *im, struct checker *ret, struct err *e);
/* Waits for what it says of them; to be called once. */
int checker_image(const struct checker *c, struct err *e);
/* It goes on with this memory; the fd stays the caller's. */
int checker_ask(const struct checker *c, int fd, struct err *e);
/* Waits for the answer to the last question. */
int checker_answer(const struct checker *c, struct memory_sum *ret, struct err *e);
/* Ends it, whatever it does. */
void checker_end(struct checker *c);

#endif
