/*
 * audit: hears from the guest's kernel what was refused, and to whom.
 *
 * How it works
 *   The kernel tells the audit multicast group of every call that a seccomp filter refused, from a
 *   thread of its own, some time after the call. Whose it was is told by the login uid, which a
 *   container gets before it starts (audit_name_me()), all its processes inherit, and none can
 *   change. What AppArmor refused comes by the same way, with the name of the profile, which is
 *   the job's own (armor.h). To know that all of a job's have been heard, the agent puts a record
 * of its own into the same queue and waits until that comes by. More than the socket holds is lost,
 * and counted as such.
 */
#ifndef LZ_AGENT_AUDIT_H
#define LZ_AGENT_AUDIT_H

#include "shared/wire.h"

#include <stdbool.h>
#include <stdint.h>

enum audit_what {
    AUDIT_NOTHING,
    AUDIT_DENIED, /* a system call */
    AUDIT_FILE,   /* by AppArmor: a file */
    AUDIT_ARMOR,  /* by AppArmor: what is no file */
    AUDIT_MARKED,
    AUDIT_LOST,
    AUDIT_BROKEN
};

struct audit_event {
    enum audit_what what;
    uint32_t owner;               /* DENIED: as given to audit_name_me() */
    bool foreign;                 /* DENIED: a call of another architecture */
    uint32_t number;              /* DENIED: of the call; MARKED: of the mark */
    uint32_t exec;                /* FILE, ARMOR */
    uint32_t access;              /* FILE: WIRE_FILE_* */
    char name[WIRE_NAME_MAX + 1]; /* FILE: of the file, cut; not empty */
};

struct audit {
    int fd; /* -1: there is none */
    uint32_t last_mark;
};

/* Returns a non-blocking socket, or -1: this kernel has none. */
int audit_open(void);
/* In a child that becomes a container: 0 or -errno. `owner` is not UINT32_MAX. */
int audit_name_me(uint32_t owner);
/* What comes by behind this mark was refused later. A mark that was lost may be set again. 0, or
 * -errno: it will not come by. */
int audit_mark(struct audit *a, uint32_t number);
/* The number of a new mark: not 0. */
uint32_t audit_new_mark(struct audit *a);
/* The next event; NOTHING: none now. LOST: some have been. BROKEN: no mark will come. */
struct audit_event audit_next(struct audit *a);

#endif
