/*
 * cage: the namespaces around keeper and QEMU, and the init that reaps there.
 *
 * How it works
 *   cage_start() clones init straight into new pid, mount, network, ipc and uts namespaces, and
 *   into a user namespace that maps only the caller's own id unless that is root. Init makes the
 *   mounts private, puts a fresh /proc and a tmpfs over /run (no socket of the host is reachable
 *   from inside), forks the keeper, and reaps until the keeper ends; then it ends itself, and with
 *   it the kernel kills everything in the pid namespace. So: init gone means every QEMU is gone.
 *   Init dies with the launcher (PR_SET_PDEATHSIG, and a look at `life_fd` for one that died
 * first). Nobody execs: libvirt as an ordinary user must find its mounts, and capabilities in the
 * user namespace would be lost.
 *
 *   With a local libvirt daemon (no isolation possible here: QEMU belongs to the daemon) init and
 *   keeper run without new namespaces, and init is a subreaper.
 */
#ifndef LZ_RUN_CAGE_H
#define LZ_RUN_CAGE_H

#include "base/err.h"
#include "wrap/wrap.h" /* the places inside */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct cage {
    bool namespaces;     /* false: with a daemon */
    bool kvm;            /* QEMU will want /dev/kvm */
    int launcher_fds[5]; /* the launcher's own, closed in init: one is the other end of `life_fd` */
    int life_fd;         /* hangs up when the launcher is gone */
    int keep_fd;         /* stays open in init: the lock that says that the run lives */
    /* Runs in init, after the new mount namespace and before /run is covered: opens what it needs
     * from the old tree (cage_bind() takes the fds). Returns 0, or -1 with the error. */
    int (*before)(void *arg, struct err *e);
    /* Runs in the keeper; its return value is the keeper's exit status. */
    int (*keeper)(void *arg);
    /* Runs in init when it cannot get as far as the keeper. */
    void (*failed)(void *arg, const struct err *e);
    void *arg;
};

/* Returns init's pid in the caller's namespace: a child; kill -9 it to end everything. */
int cage_start(const struct cage *c, pid_t *ret_init, struct err *e);

/*
 * Keeper only: bind-mounts the file or folder behind `fd` (opened in `before` or later) on `path`
 * inside CAGE_DIR, which is made as the same type first.
 */
int cage_bind(int fd, const char *path, bool read_only, struct err *e);

/* Keeper only: mounts a new tmpfs for at most that much on `path`, which is made. */
int cage_memory(const char *path, uint64_t bytes, struct err *e);

#endif
