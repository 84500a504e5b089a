/*
 * fence: what confines a guest, read from its live processes and its live domain.
 *
 * How it works
 *   One row a promise. What a row says was read just now, from /proc or from libvirt; the plan and
 *   the configuration say only what it has to be. A promise that this host cannot keep (no cgroup,
 *   no label) is absent, which is no breach; one that is kept elsewhere and not here is broken.
 *   Nothing that the guest can write is looked at.
 */
#ifndef LZ_RUN_FENCE_H
#define LZ_RUN_FENCE_H

#include "base/err.h"
#include "hv/hv.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define FENCE_ROWS_MAX  32
#define FENCE_NAME_SIZE 24
#define FENCE_TEXT_SIZE 160

enum fence_verdict { FENCE_HOLDS = 1, FENCE_BROKEN, FENCE_ABSENT };

struct fence_row {
    char name[FENCE_NAME_SIZE];
    uint32_t layer; /* of confinement, as README numbers them: 5 QEMU, 4 virtual machine, ... */
    uint32_t verdict;
    char text[FENCE_TEXT_SIZE]; /* printable: what was seen */
};

struct fence {
    uint32_t n;
    int32_t gateway; /* its pid, where the launcher is; 0: it has none. Seen from there only. */
    struct fence_row rows[FENCE_ROWS_MAX];
};

/* "holds", "broken", "absent". */
const char *fence_verdict_name(uint32_t verdict);

/* The namespaces of whoever starts a guest, noted before it makes others. */
#define FENCE_NAMESPACES 5
struct fence_host {
    ino_t namespaces[FENCE_NAMESPACES]; /* pid, mnt, net, ipc, uts; 0: unknown */
};
void fence_note_host(struct fence_host *ret);

void fence_add(struct fence *f, unsigned layer, const char *name, enum fence_verdict verdict,
               const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* What may be open in QEMU beside pipes, sockets and the like: paths that begin so. */
struct fence_process {
    const char *who;  /* begins the rows' names: "qemu", "relay" */
    pid_t pid;        /* in our pid namespace */
    uid_t not_uid;    /* must not be its user; (uid_t)-1: any may be */
    unsigned filters; /* of seccomp, at least */
    const struct fence_host *host;
    const char *const *files; /* NULL-terminated; NULL: no file at all */
    bool any_file;            /* it was given files by those who may: not looked at */
};
/* User, privileges, seccomp, tracer, namespaces, network, core dumps and open files of a process.
 */
void fence_read_process(const struct fence_process *p, struct fence *f);
/* User, privileges, seccomp and core dumps only: of a process that has a network by duty. */
void fence_read_rights(const struct fence_process *p, struct fence *f);
/* Has a signal stopped it? */
bool fence_is_stopped(pid_t pid);
/* Does it run no more, of one thread, though it may not be waited for yet? What it had, namespaces
 * and files, goes before that. */
bool fence_is_ending(pid_t pid);
/* What only QEMU may have: a cgroup of its own, a label, and Landlock, which no process shows: it
 * is tried by asking QEMU, where `h` is not NULL. */
void fence_read_guards(pid_t qemu, struct hv *h, struct fence *f);
/* The devices of a live domain, by its XML now, are those of `xml`, which was written for it. */
void fence_compare_devices(const char *live, const char *xml, struct fence *f);
/* And everything else that is in them, beside what libvirt adds: in the row "shape". */
void fence_compare_shape(const char *live, const char *xml, struct fence *f);
/* `shape`: that too, which another libvirt may add to. */
void fence_read_devices(struct hv *h, const char *xml, bool shape, struct fence *f);

#endif
