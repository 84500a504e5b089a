/*
 * twin: a program in the place of lazaret-relay, -unpack, -gateway or -look that was taken over by
 * a guest.
 *
 * It goes behind the rights of the program that it replaces and then tries what twin_ask names.
 * What it finds it says in a twin_answer; where the attempt is what kills it there is none.
 * twin.c and twin_tries.c are of all four; twin_relay.c and so on have what is one's own.
 */
#ifndef LZ_TESTS_HOSTILE_TWIN_H
#define LZ_TESTS_HOSTILE_TWIN_H

#include "base/confine.h"

#include <stdint.h>
#include <unistd.h>

enum twin_mode {
    TWIN_TRY = 1, /* one attempt, behind all rights */
    TWIN_BEHIND,  /* the same without the list of calls: does the next layer hold? */
    TWIN_SWEEP,   /* every number of a system call, each in a process of its own */
    TWIN_LIE,     /* records that no honest program sends; `what` is which */
    TWIN_STAY,    /* behind all rights, for ever */
};

struct twin_ask {
    uint32_t mode;
    uint32_t what; /* an index into twin_tries */
    int32_t victim;
    uint32_t rights; /* enum twin_rights */
};

/* Of the program that it replaces: unpack has three lists. */
enum twin_rights { TWIN_RIGHTS_PLAIN, TWIN_RIGHTS_SEALED, TWIN_RIGHTS_QUOTE };

#define TWIN_CALLS 512u /* numbers that are swept; those of x32 beside them */

struct twin_answer {
    int32_t result, errnum;
    uint32_t survived[TWIN_CALLS / 32]; /* SWEEP: a bit each */
    uint32_t survived_x32;              /* how many */
};

/* What each twin has of its own. */
struct confine twin_rights(uint32_t which);            /* enum twin_rights */
int twin_take(const struct confine *r, struct err *e); /* as the program takes them from itself */
/* By some name a twin does something else and does not come back. */
void twin_hear(const char *name, struct twin_ask *ret);
void twin_tell(const struct twin_answer *answer);
void twin_lie(uint32_t what);

static inline void twin_must(int rc)
{
    if (rc < 0)
        _exit(99);
}

enum twin_lie {
    LIE_SHORT,
    LIE_LONG,
    LIE_TYPE,
    LIE_TEXT,
    LIE_NO_NUL,
    LIE_EXEC,
    LIE_NOT_ASKED,
    LIE_FDS,
    LIE_END,
    LIE_FLOOD,
    LIE_FLOOD_OF_FILES,
};

#define TWIN_VICTIM 0x7fee1deadull /* in the place of an argument: the victim's pid */
#define TWIN_INT80  (-1)
struct twin_try {
    const char *name;
    long nr; /* SYS_*, or TWIN_INT80 */
    const void *args[6];
    /* Without the list of calls: who refuses it all the same, NULL: nobody, or not always. */
    const char *behind;
};
/* 0, or -1 and errno. */
int twin_try(uint32_t what, int32_t victim);
extern const struct twin_try twin_tries[];
extern const uint32_t twin_n_tries;

#endif
