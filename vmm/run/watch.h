/*
 * watch: the fence around a guest that runs, read again and again; it holds, or the guest stops.
 *
 * How it works
 *   From the moment that the guest is met, and then every WATCH_MS, the keeper reads what confines
 *   it (fence.h) from the live processes and the live domain. A row that is broken, or that says
 *   something else than the first reading did, is a breach: QEMU is stopped by the kernel, at once
 *   and without being asked. A run ends then (ERR_FENCE). A sandbox is held: nothing in it runs,
 *   and `resume` lets it go on only when the fence holds again. What cannot be stopped is
 * destroyed. A QEMU that somebody else has stopped answers nothing: seen so in two readings, it is
 * an end too, also before the guest is met. One of a libvirt daemon (runs only) is asked instead,
 * and has its time for the answer.
 */
#ifndef LZ_RUN_WATCH_H
#define LZ_RUN_WATCH_H

#include "run/keeper.h"

#define WATCH_AGAIN_MS 50    /* for a file that may be open for a moment only */
#define WATCH_MS       1000u /* a reading takes 0.9 ms of a processor */

/* When the next reading is due, or UINT64_MAX. */
uint64_t watch_due_ms(const struct keeper *k);
/* Reads, if it is due. 0: it holds, or the sandbox is held now; -1: the guest has to end. */
int watch_turn(struct keeper *k, struct err *e);
/* Pure: the first row of `now` that is broken or says what `first` (n 0: there is none) did not,
 * with the words for it; else NULL. */
const struct fence_row *watch_compare(const struct fence *first, const struct fence *now,
                                      struct err *ret_why);
/* Reads now. 0: it holds; -1: ERR_FENCE, which row does not. Nothing else happens. */
int watch_read(struct keeper *k, struct err *e);

#endif
