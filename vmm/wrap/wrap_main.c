/*
 * lazaret-qemu: libvirt's <emulator>: takes from itself what QEMU does not need, and becomes QEMU.
 *
 * How it works
 *   libvirt starts it in QEMU's place, as QEMU's user, with QEMU's arguments, in two situations. A
 *   guest's QEMU gets its sockets as fds, starts threads only, and opens files of its cage. A QEMU
 *   that libvirt asks what it can do ("-daemonize") forks, and makes a socket and a file with its
 *   pid in libvirt's root; no guest ever runs in it. Nothing else is read from the arguments.
 *   In this order: rlimits, no new privileges, Landlock, seccomp, execve.
 *   It is on top of libvirt's "-sandbox" of QEMU, which begins only when QEMU loads it. The
 * caller's namespaces and libvirt's change of the user have happened before.
 *
 * PR_SET_DUMPABLE is not set: it does not outlive execve.
 *
 * Must: end when a step fails, but for Landlock where the kernel has none: wrap_look() says so.
 * Must not: stay. Nor link a sanitizer: LD_PRELOAD in its environment is meant for QEMU.
 */
#include "wrap/wrap.h"

#include "wrap/wrap_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static int set_limits(struct err *e)
{
    static const struct {
        int what;
        rlim_t max;
    } limits[] = {
        /* Not 0: a core that is piped to a program ignores 0, and is refused by 1 (core(5) of the
         * kernel: fs/coredump.c). No file is that small either. */
        {RLIMIT_CORE, 1},     {RLIMIT_NOFILE, 256}, /* a guest of ours has about 30 */
        {RLIMIT_MEMLOCK, 0},                        /* nothing is locked into memory */
        {RLIMIT_MSGQUEUE, 0},                       /* has none */
        {RLIMIT_RTPRIO, 0},                         /* no real time */
        {RLIMIT_NICE, 0},                           /* no better than others */
    };

    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        struct rlimit r;

        if (getrlimit((__rlimit_resource_t)limits[i].what, &r) < 0)
            return err_sys(e, ERR_HOST, errno, "getrlimit");
        if (limits[i].max < r.rlim_max)
            r.rlim_max = limits[i].max;
        if (r.rlim_cur > r.rlim_max)
            r.rlim_cur = r.rlim_max;
        if (setrlimit((__rlimit_resource_t)limits[i].what, &r) < 0)
            return err_sys(e, ERR_HOST, errno, "setrlimit");
    }
    return 0;
}

static bool asks_only(char **argv)
{
    for (char **arg = argv + 1; *arg; arg++)
        if (strcmp(*arg, "-daemonize") == 0)
            return true;
    return false;
}

static int become_qemu(char **argv, struct err *e)
{
    enum wrap_kind kind = asks_only(argv) ? WRAP_ASKED : WRAP_GUEST;
    char name[] = WRAP_QEMU;

    if (set_limits(e) < 0)
        return -1;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_sys(e, ERR_HOST, errno, "prctl");
    if (wrap_files(kind, e) < 0 || wrap_calls(kind, e) < 0)
        return -1;
    argv[0] = name;
    execv(WRAP_QEMU, argv);
    return err_sys(e, ERR_HOST, errno, "cannot execute '" WRAP_QEMU "'");
}

int main(int argc, char **argv)
{
    struct err e;

    if (argc < 1)
        return 1;
    (void)become_qemu(argv, &e);
    fprintf(stderr, "lazaret-qemu: %s\n", e.text);
    return 1;
}
