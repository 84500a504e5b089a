/*
 * learn_paths: what a job touched as a few paths that may be declared. Internal to learn.h.
 *
 * How it works
 *   Each path that the guest names becomes one that a next run finds when it starts, and that a
 *   manifest can carry:
 *   - what starting needs anyway (shared/guest.h) is left out;
 *   - below /in, /work, /out, /tmp, /dev/shm, /run/secrets and /proc it is that folder, for what is
 *     in it is another thing next time. A program below /in stays as it is;
 *   - with a writable root it is the first folder, for the same reason;
 *   - where a part of it is no plain name (control characters, not UTF-8, "..") it is the folder
 *     above that part; so it is behind LEARN_PARTS parts.
 *   Then what is below another one is left out. More than LEARN_SIBLINGS in one folder become that
 *   folder, and as long as there are more than LEARN_LINES the deepest become theirs. Nothing ever
 *   becomes "/": only who opened that very folder has it.
 *
 *   Of a run that was declared paths it is no more than those: a folder above some of them becomes
 *   them, and what is within none is left out.
 *
 *   Done twice it changes nothing, and what it yields covers what went in and was not left out.
 */
#ifndef LZ_PLAN_LEARN_PATHS_H
#define LZ_PLAN_LEARN_PATHS_H

#include "plan/learn.h"

#define LEARN_SIBLINGS 8u
#define LEARN_LINES    64u
#define LEARN_PARTS    16u

struct learn_line {
    char *path;
    size_t n; /* paths that it stands for */
};

struct learn_lines {
    struct learn_line *items;
    size_t n;
    size_t left_out; /* paths that cannot be declared, were not, or did not fit */
};

void learn_lines_done(struct learn_lines *l);
#define own_learn_lines __attribute__((cleanup(learn_lines_done)))

/* `paths` is UNTRUSTED. `l` is empty. */
void learn_lines_make(const struct plan *p, enum learn_kind kind, const struct strv *paths,
                      struct learn_lines *l);
/* Those of a manifest, or of two: as they are, but for what is below another one. */
void learn_lines_add(struct learn_lines *l, const struct strv *paths);
/* As above; more than LEARN_LINES may be left. */
void learn_lines_tidy(struct learn_lines *l);

#endif
