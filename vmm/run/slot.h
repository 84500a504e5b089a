/*
 * slot: guests begin a few at a time.
 *
 * How it works
 *   A guest that begins keeps a processor busy. Of many that begin at once each takes longer than
 *   alone, by what they take from each other's caches, and the first of them is done when the last
 *   one is. So each takes a slot, and has it until its job runs: a lock (fcntl's of the open file)
 *   on a few bytes of a file of the data folder, in which is since when. Whoever finds none waits.
 *   The kernel frees the lock of a process that dies.
 *
 * It is a courtesy, no promise. A slot that somebody has for SLOT_HELD_MS, because its guest boots
 * slowly or its keeper is stopped, holds up nobody any more: the first who waits puts the time of
 * now there and goes on with no slot. So whatever the others do, of those who wait as many as there
 * are slots go on every SLOT_HELD_MS; nobody waits longer than SLOT_PATIENCE_MS; and where there
 * can be no such file nobody waits.
 */
#ifndef LZ_RUN_SLOT_H
#define LZ_RUN_SLOT_H

#include <stdint.h>

#define SLOT_FILE        "starts" /* in cache/ of the data folder */
#define SLOT_HELD_MS     10000u   /* a guest that boots in an emulator is ready by then */
#define SLOT_PATIENCE_MS 30000u

struct slots {
    const char *path;
    unsigned n;
    uint64_t held_ms, patience_ms;
};

/* One for each processor that we may use, and one more for when a guest waits for something. */
unsigned slot_count(void);
/* Waits for a slot. Returns an fd that has it, or -1: begin with none. */
int slot_take(const struct slots *of);
/* Gives it back, also where processes that were forked since have the fd; accepts -1. */
void slot_give(int *fd);

#endif
