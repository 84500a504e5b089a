/*
 * start: how a run's guest begins: restored where one of its shape was saved, else by its kernel.
 *
 * How it works
 *   The shape is everything that a restored guest depends on (snapshots/warm.h). The first run of a
 *   shape boots a template, saves it, and restores its own copy; later ones restore at once. Every
 *   guest of a shape has the same devices, so a warm one has an input disk even without --in: a
 * blank one that nobody mounts. Whatever is wrong with a saved guest, the run boots instead and
 * says so, also when a restored one does not become ready; while somebody else makes the template,
 * it boots and says nothing.
 *
 *   A saved guest's memory is read by a process of its own while QEMU starts with it (checker.h).
 *
 * Must: hand a saved memory file to QEMU on a read-only mount only.
 * Must not: run a guest that took in half a state, or whose memory was not checked.
 */
#ifndef LZ_RUN_START_H
#define LZ_RUN_START_H

#include "run/keeper.h"

/* The domain is there, paused; its sockets can be connected. k->hv is open and has none before. */
int start_guest(struct keeper *k, int console_log_fd, struct err *e);
/* The input disk that a guest like this one must have without being given one, or NULL. */
const char *start_input(const struct keeper *k);
/* Did a saved guest that did not become ready fail by its own doing, so that a boot may help? */
bool start_may_boot(const struct keeper *k, const struct err *why);
/* Removes that saved guest, and begins with its kernel what start_guest() began. */
int start_again(struct keeper *k, const struct err *why, struct err *e);

#endif
