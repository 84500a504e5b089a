/*
 * wrap_calls: the system calls that QEMU has no business with: a row each, and why.
 *
 * A list of what is refused, not of what is allowed: which calls QEMU and its libraries need
 * differs between their versions. It is on top of libvirt's "-sandbox", which refuses more of some
 * kinds (new programs, other users, priorities). EPERM, not death: libraries try calls and go on
 * without.
 */
#include "wrap/wrap_private.h"

#include <asm/sockios.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <sys/socket.h>
#include <unistd.h>

#define NEW_NAMESPACES                                                                             \
    {                                                                                              \
        CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID,     \
            CLONE_NEWNET                                                                           \
    }

/*
 * Calls that are newer than what QEMU 7.2 and its libraries know, by number: fchmodat2, setxattrat,
 * file_setattr and whatever comes. Landlock does not see those, nor do the rows below.
 */
#define NEWER_FIRST 451
#define NEWER_LAST  511

struct row {
    int nr;
    const char *why; /* for the reader */
};

/* clang-format off */
static const struct row never[] = {
    {SCMP_SYS(ptrace), "other processes: their memory"},
    {SCMP_SYS(process_vm_readv), "the same"},
    {SCMP_SYS(process_vm_writev), "the same"},
    {SCMP_SYS(process_madvise), "the same"},
    {SCMP_SYS(process_mrelease), "the same"},
    {SCMP_SYS(kcmp), "other processes: what they have open"},
    {SCMP_SYS(pidfd_getfd), "the same"},
    {SCMP_SYS(pidfd_open), "the same, and signals"},
    {SCMP_SYS(pidfd_send_signal), "other processes: signals"},
    {SCMP_SYS(tkill), "the same; nobody uses it"},
    {SCMP_SYS(rt_sigqueueinfo), "the same"},
    {SCMP_SYS(rt_tgsigqueueinfo), "the same"},
    {SCMP_SYS(connect), "sockets of other processes, and networks"},
    {SCMP_SYS(execveat), "programs: a file without a path is none to Landlock"},
    {SCMP_SYS(memfd_create), "such files"},
    {SCMP_SYS(memfd_secret), "such files"},
    {SCMP_SYS(chmod), "what Landlock does not see: the user's files"},
    {SCMP_SYS(fchmod), "the same"},
    {SCMP_SYS(fchmodat), "the same"},
    {SCMP_SYS(chown), "the same"},
    {SCMP_SYS(fchown), "the same"},
    {SCMP_SYS(lchown), "the same"},
    {SCMP_SYS(fchownat), "the same"},
    {SCMP_SYS(setxattr), "the same"},
    {SCMP_SYS(lsetxattr), "the same"},
    {SCMP_SYS(fsetxattr), "the same"},
    {SCMP_SYS(removexattr), "the same"},
    {SCMP_SYS(lremovexattr), "the same"},
    {SCMP_SYS(fremovexattr), "the same"},
    {SCMP_SYS(utime), "the same"},
    {SCMP_SYS(utimes), "the same"},
    {SCMP_SYS(futimesat), "the same"},
    {SCMP_SYS(utimensat), "the same"},
    {SCMP_SYS(truncate), "the same, before its ABI 3; ftruncate() is enough"},
    {SCMP_SYS(name_to_handle_at), "files by number"},
    {SCMP_SYS(open_by_handle_at), "the same"},
    {SCMP_SYS(shmget), "what processes of the cage could share"},
    {SCMP_SYS(semget), "the same"},
    {SCMP_SYS(msgget), "the same"},
    {SCMP_SYS(mq_open), "the same"},
    {SCMP_SYS(add_key), "the kernel's keys are the user's"},
    {SCMP_SYS(request_key), "the same"},
    {SCMP_SYS(keyctl), "the same"},
    {SCMP_SYS(mount), "mounts and namespaces: none are made or entered"},
    {SCMP_SYS(umount2), "the same"},
    {SCMP_SYS(pivot_root), "the same"},
    {SCMP_SYS(chroot), "the same"},
    {SCMP_SYS(open_tree), "the same"},
    {SCMP_SYS(move_mount), "the same"},
    {SCMP_SYS(fsopen), "the same"},
    {SCMP_SYS(fsconfig), "the same"},
    {SCMP_SYS(fsmount), "the same"},
    {SCMP_SYS(fspick), "the same"},
    {SCMP_SYS(mount_setattr), "the same"},
    {SCMP_SYS(unshare), "the same"},
    {SCMP_SYS(setns), "the same"},
    {SCMP_SYS(bpf), "large parts of the kernel with a history of flaws"},
    {SCMP_SYS(perf_event_open), "the same"},
    {SCMP_SYS(userfaultfd), "the same"},
    {SCMP_SYS(io_uring_setup), "the same; QEMU goes on with ppoll()"},
    {SCMP_SYS(io_uring_enter), "the same"},
    {SCMP_SYS(io_uring_register), "the same"},
    {SCMP_SYS(modify_ldt), "the same"},
    {SCMP_SYS(personality), "how addresses are laid out"},
    {SCMP_SYS(fanotify_init), "what others open"},
    {SCMP_SYS(inotify_init), "the same; Landlock does not see it"},
    {SCMP_SYS(inotify_init1), "the same"},
    {SCMP_SYS(inotify_add_watch), "the same"},
    {SCMP_SYS(quotactl), "the host's business"},
    {SCMP_SYS(acct), "the same"},
    {SCMP_SYS(swapon), "the same"},
    {SCMP_SYS(swapoff), "the same"},
    {SCMP_SYS(reboot), "the same"},
    {SCMP_SYS(syslog), "the same"},
    {SCMP_SYS(init_module), "the same"},
    {SCMP_SYS(finit_module), "the same"},
    {SCMP_SYS(delete_module), "the same"},
    {SCMP_SYS(kexec_load), "the same"},
    {SCMP_SYS(kexec_file_load), "the same"},
    {SCMP_SYS(settimeofday), "the same"},
    {SCMP_SYS(clock_settime), "the same"},
    {SCMP_SYS(adjtimex), "the same"},
    {SCMP_SYS(clock_adjtime), "the same"},
    {SCMP_SYS(iopl), "the same"},
    {SCMP_SYS(ioperm), "the same"},
};

/* Of a guest's QEMU: libvirt hands its sockets over, and it starts threads only. */
static const struct row never_with_guest[] = {
    {SCMP_SYS(socket), "a network, or another process"},
    {SCMP_SYS(socketpair), "it has no other process to talk to"},
    {SCMP_SYS(bind), "names of sockets are made by libvirt"},
    {SCMP_SYS(fork), "no other process"},
    {SCMP_SYS(vfork), "the same"},
};
/* clang-format on */

static int refuse(scmp_filter_ctx ctx, const struct row *rows, size_t n)
{
    int r = 0;

    for (size_t i = 0; i < n && r >= 0; i++)
        r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), rows[i].nr, 0);
    return r;
}

static int refuse_newer(scmp_filter_ctx ctx)
{
    int r = 0;

    for (int nr = NEWER_FIRST; nr <= NEWER_LAST && r >= 0; nr++)
        r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), nr, 0);
    return r;
}

/* A signal that the kernel sends in its name, at a file's event. */
static int refuse_events(scmp_filter_ctx ctx)
{
    static const unsigned commands[] = {F_SETOWN, F_SETOWN_EX, F_SETSIG};
    static const unsigned requests[] = {FIOSETOWN, SIOCSPGRP};
    /* KVM_RUN is an ioctl, and one with a rule for its arguments is decided by the filter each
     * time: it is looked for first. */
    int r = seccomp_syscall_priority(ctx, SCMP_SYS(ioctl), UINT8_MAX);

    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]) && r >= 0; i++)
        r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(fcntl), 1,
                             SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, commands[i]));
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]) && r >= 0; i++)
        r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                             SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, requests[i]));
    return r;
}

/* Threads are fine. What has its flags in memory cannot be looked at: the C library goes on. */
static int refuse_namespaces(scmp_filter_ctx ctx)
{
    static const unsigned kinds[] = NEW_NAMESPACES;
    int r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && r >= 0; i++)
        r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, kinds[i], kinds[i]));
    return r;
}

/* Who becomes QEMU keeps this pid: it may signal its own threads, and no other process. */
static int refuse_others(scmp_filter_ctx ctx)
{
    const uint64_t self = (uint64_t)getpid();
    int r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));

    if (r >= 0)
        r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(kill), 1,
                             SCMP_A0(SCMP_CMP_NE, self));
    if (r >= 0)
        r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(tgkill), 1,
                             SCMP_A0(SCMP_CMP_NE, self));
    if (r >= 0)
        r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prlimit64), 1,
                             SCMP_A0(SCMP_CMP_NE, 0));
    return r;
}

int wrap_calls(enum wrap_kind kind, struct err *e)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    int r = ctx ? refuse(ctx, never, sizeof(never) / sizeof(never[0])) : -ENOMEM;

    if (r >= 0)
        r = refuse_newer(ctx);
    if (r >= 0)
        r = refuse_namespaces(ctx);
    if (r >= 0)
        r = refuse_events(ctx);
    if (r >= 0 && kind == WRAP_GUEST)
        r = refuse(ctx, never_with_guest, sizeof(never_with_guest) / sizeof(never_with_guest[0]));
    if (r >= 0 && kind == WRAP_GUEST)
        r = refuse_others(ctx);
    if (r >= 0 && kind == WRAP_ASKED)
        r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
                             SCMP_A0(SCMP_CMP_NE, AF_UNIX));
    if (r >= 0)
        r = seccomp_load(ctx);
    seccomp_release(ctx);
    return r < 0 ? err_sys(e, ERR_HOST, -r, "seccomp") : 0;
}
