/*
 * seen: what one job did to files, for the host: a bounded table. How it is watched is in eyes.h.
 *
 * A file is one row for each kind. The host is told of a touched canary at once, of what was opened
 * and executed soon, of what was written at the end, when its size is the last.
 */
#ifndef LZ_AGENT_SEEN_H
#define LZ_AGENT_SEEN_H

#include "shared/wire.h"

struct seen_row {
    uint64_t hash; /* of kind and path */
    uint64_t size;
    uint32_t kind; /* enum wire_seen_kind, one with a path */
    bool told;
    size_t path_len;
    char path[WIRE_PATH_MAX]; /* UNTRUSTED: the job chose it */
};

struct seen {
    size_t max;         /* rows that there may be */
    size_t n, room, at; /* rows; room for; all before `at` need not be told now */
    struct seen_row *rows;
    uint64_t lost;
    uint32_t touched, absent; /* canaries, a bit each; WIRE_CANARY_SOME too */
    uint32_t touched_told, absent_told;
    bool blind, blind_told, lost_told, ended;
};

void seen_init(struct seen *s, size_t max);
/* Frees the rows. */
void seen_done(struct seen *s);
/* A path of `len` bytes, not 0. Where it finds no room it is lost. */
void seen_add(struct seen *s, enum wire_seen_kind kind, const char *path, size_t len,
              uint64_t size);
/* Nothing more comes: all is due. */
void seen_end(struct seen *s);
/* What the host is to be told next; false: nothing now. Borrows. Whoever tells it calls
 * seen_told(). */
bool seen_next(struct seen *s, struct wire_seen *ret);
void seen_told(struct seen *s, const struct wire_seen *m);
/* Another host has been told nothing but of canaries: who looks into a guest that was frozen for
 * one is not stopped by the same once more. */
void seen_untold(struct seen *s);

#endif
