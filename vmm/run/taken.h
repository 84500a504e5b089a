/*
 * taken: what was taken out of a sandbox by who asked its keeper for it: onto its record.
 *
 * How it works
 *   The bytes of a copy come through a file of the client's, and lazaret-unpack or the maker of the
 *   tar says what became of them here. The client tells the keeper before it gives the copy its
 *   name (of a tar, which streams, behind it), and fails if that does not take it.
 */
#ifndef LZ_RUN_TAKEN_H
#define LZ_RUN_TAKEN_H

#include "base/err.h"
#include "base/str.h"
#include "channel/unpack.h"

enum taken_how {
    TAKEN_COPY, /* lazaret cp */
    TAKEN_TAR,  /* the same, to stdout: one file, without a name */
    TAKEN_DIFF, /* lazaret diff --out */
    TAKEN_HOWS
};

/* ---- the client's end ------------------------------------------------------------------------ */

struct taken {
    uint64_t files, folders, bytes, refused; /* all of it */
    struct strv rows;                        /* of the files that are named */
    size_t size;                             /* bytes of the rows */
};
void taken_done(struct taken *t);
#define own_taken __attribute__((cleanup(taken_done)))

/* One more file, of a struct taken: as struct unpack_list wants it. Beyond what a request can have
 * it is not named. */
void taken_add(void *taken, const char *name, uint64_t bytes, const char *sha256);
/* How much it was in all. */
void taken_sum(struct taken *t, const struct unpack_result *u);
int taken_tell(const char *data_dir, const char *sandbox, enum taken_how how, const struct taken *t,
               struct err *e);

/* ---- the keeper's ---------------------------------------------------------------------------- */

struct keeper;
struct talk_request;

/* TALK_TOOK, whose words are in `fd`. ERR_USAGE: they are not what they must be. */
int taken_put(struct keeper *k, const struct talk_request *r, int fd, struct err *e);

#endif
