/* twin_tries: what somebody would try who has taken over a program of ours. See twin.h. */
#include "tests/hostile/twin.h"

#include <asm/sockios.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

/* What calls point at. */
static char scratch[4096], one_byte[1];
static char *const no_args[] = {NULL};
static const struct open_how how = {.flags = O_RDONLY};
static const struct sockaddr_un somebody = {AF_UNIX, "/dev/log"}, place = {AF_UNIX, "/tmp/twin"};
static const struct rlimit none, all = {RLIM_INFINITY, RLIM_INFINITY}, core = {1 << 30, 1 << 30};
static const struct __user_cap_header_struct cap_head = {_LINUX_CAPABILITY_VERSION_3, 0};
static const struct __user_cap_data_struct caps[2] = {{~0u, ~0u, 0}, {~0u, ~0u, 0}};
/* With an fd of ours, and with room for one of another's. */
static struct {
    size_t len; /* a struct cmsghdr */
    int level, type, fd;
} rights = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS, 3};
static struct iovec into = {one_byte, 1}, from = {(void *)4096, 1};
static struct msghdr with_fd = {
    .msg_iov = &into, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof(rights)};
static struct msghdr room = {.msg_iov = &into, .msg_iovlen = 1};

/* A number as an argument. */
#define N(x)   ((const void *)(uintptr_t)(x))
#define HERE   N(AT_FDCWD)
#define VICTIM N(TWIN_VICTIM)

/* clang-format off: a table */
const struct twin_try twin_tries[] = {
    /* files */
    {"open", SYS_open, {"/etc/passwd", N(O_RDONLY)}, "Landlock"},
    {"openat", SYS_openat, {HERE, "/etc/passwd", N(O_RDONLY)}, "Landlock"},
    {"openat2", SYS_openat2, {HERE, "/etc/passwd", &how, N(sizeof(how))}, "Landlock"},
    {"open_beside_its_folder", SYS_openat, {N(4), "../secret", N(O_RDONLY)}, "Landlock"},
    {"make_a_file", SYS_openat, {HERE, "/tmp/twin", N(O_WRONLY | O_CREAT), N(0600)}, "Landlock"},
    {"list_the_root", SYS_openat, {HERE, "/", N(O_RDONLY | O_DIRECTORY)}, "Landlock"},
    {"open_its_own_memory", SYS_openat, {HERE, "/proc/self/mem", N(O_RDWR)}, "Landlock"},
    {"open_anothers_environment", SYS_openat, {HERE, "/proc/1/environ", N(O_RDONLY)}, "Landlock"},
    {"list_where_data_folders_are",
     SYS_openat,
     {HERE, "/var/lib", N(O_RDONLY | O_DIRECTORY)},
     "Landlock"},
    {"open_a_device", SYS_openat, {HERE, "/dev/null", N(O_RDWR)}, "Landlock"},
    {"creat", SYS_creat, {"/tmp/twin", N(0600)}, "Landlock"},
    {"mkdir", SYS_mkdir, {"/tmp/twin-dir", N(0700)}, "Landlock"},
    {"mknod", SYS_mknod, {"/tmp/twin-fifo", N(S_IFIFO | 0600), N(0)}, "Landlock"},
    {"symlink", SYS_symlink, {"/etc/passwd", "/tmp/twin-link"}, "Landlock"},
    {"truncate", SYS_truncate, {"/tmp/twin", N(0)}, NULL},
    {"unlink", SYS_unlink, {"/tmp/twin"}, NULL},
    {"rename", SYS_rename, {"/tmp/twin-a", "/tmp/twin-b"}, NULL},
    {"stat", SYS_stat, {"/etc/passwd", scratch}, NULL},
    {"readlink", SYS_readlink, {"/proc/self/exe", scratch, N(8)}, NULL},
    {"chmod", SYS_chmod, {"/tmp/twin", N(0777)}, NULL},
    {"setxattr", SYS_setxattr, {"/tmp/twin", "user.x", "x", N(1), N(0)}, NULL},
    {"chdir", SYS_chdir, {"/tmp"}, NULL},
    {"chroot", SYS_chroot, {"/"}, "no capabilities"},
    {"mount", SYS_mount, {"none", "/tmp", "none", N(0), N(0)}, NULL},
    {"umount", SYS_umount2, {"/proc", N(0)}, NULL},
    {"pivot_root", SYS_pivot_root, {"/", "/"}, "no capabilities"},
    {"open_by_handle", SYS_open_by_handle_at, {HERE, scratch, N(0)}, "no capabilities"},
    {"inotify", SYS_inotify_init1, {N(0)}, NULL},
    {"fanotify", SYS_fanotify_init, {N(0), N(0)}, NULL},
    /* sockets; 4 is one where there is one */
    {"inet", SYS_socket, {N(AF_INET), N(SOCK_STREAM), N(0)}, NULL},
    {"inet6", SYS_socket, {N(AF_INET6), N(SOCK_DGRAM), N(0)}, NULL},
    {"unix", SYS_socket, {N(AF_UNIX), N(SOCK_STREAM), N(0)}, NULL},
    {"netlink", SYS_socket, {N(AF_NETLINK), N(SOCK_RAW), N(0)}, NULL},
    {"packet", SYS_socket, {N(AF_PACKET), N(SOCK_RAW), N(0)}, "no capabilities"},
    {"raw", SYS_socket, {N(AF_INET), N(SOCK_RAW), N(1)}, "no capabilities"},
    {"sctp", SYS_socket, {N(AF_INET), N(SOCK_SEQPACKET), N(0)}, NULL},
    {"vsock", SYS_socket, {N(AF_VSOCK), N(SOCK_STREAM), N(0)}, NULL},
    {"socketpair", SYS_socketpair, {N(AF_UNIX), N(SOCK_STREAM), N(0), scratch}, NULL},
    {"a_pair_that_sends_to_anybody",
     SYS_socketpair,
     {N(AF_UNIX), N(SOCK_DGRAM), N(0), scratch},
     NULL},
    {"connect", SYS_connect, {N(4), &somebody, N(sizeof(somebody))}, NULL},
    {"bind", SYS_bind, {N(4), &place, N(sizeof(place))}, NULL},
    {"listen", SYS_listen, {N(4), N(1)}, NULL},
    {"accept", SYS_accept4, {N(4), N(0), N(0), N(0)}, NULL},
    {"send_to_an_address",
     SYS_sendto,
     {N(4), "x", N(1), N(MSG_DONTWAIT), &somebody, N(sizeof(somebody))},
     NULL},
    {"give_an_fd_away", SYS_sendmsg, {N(4), &with_fd, N(MSG_DONTWAIT)}, NULL},
    {"take_an_fd_from_the_guests_end", SYS_recvmsg, {N(4), &room, N(MSG_DONTWAIT)}, NULL},
    {"setsockopt", SYS_setsockopt, {N(4), N(SOL_SOCKET), N(SO_PASSCRED), "\1\0\0", N(4)}, NULL},
    {"a_filter_on_a_socket",
     SYS_setsockopt,
     {N(4), N(SOL_SOCKET), N(SO_ATTACH_FILTER), scratch, N(16)},
     NULL},
    {"tls_in_the_kernel", SYS_setsockopt, {N(4), N(IPPROTO_TCP), N(31), "tls", N(4)}, NULL},
    /* processes */
    {"fork", SYS_fork, {N(0)}, NULL},
    {"vfork", SYS_vfork, {N(0)}, NULL},
    {"clone", SYS_clone, {N(SIGCHLD)}, NULL},
    {"clone3", SYS_clone3, {N(0), N(0)}, NULL},
    {"exec", SYS_execve, {"/usr/bin/true", no_args, no_args}, "Landlock"},
    {"execveat", SYS_execveat, {HERE, "/usr/bin/true", no_args, no_args, N(0)}, "Landlock"},
    {"trace_the_keeper", SYS_ptrace, {N(PTRACE_SEIZE), VICTIM, N(0), N(0)}, "Landlock"},
    {"be_traced", SYS_ptrace, {N(PTRACE_TRACEME), N(0), N(0), N(0)}, NULL},
    {"read_the_keepers_memory",
     SYS_process_vm_readv,
     {VICTIM, &into, N(1), &from, N(1), N(0)},
     "Landlock"},
    {"write_the_keepers_memory",
     SYS_process_vm_writev,
     {VICTIM, &into, N(1), &from, N(1), N(0)},
     "Landlock"},
    {"signal_the_keeper", SYS_kill, {VICTIM, N(0)}, "Landlock 6"},
    {"signal_a_thread_of_the_keeper", SYS_tgkill, {VICTIM, VICTIM, N(0)}, "Landlock 6"},
    {"queue_a_signal", SYS_rt_sigqueueinfo, {VICTIM, N(SIGUSR1), scratch}, NULL},
    {"signal_by_an_event", SYS_fcntl, {N(3), N(F_SETOWN), VICTIM}, NULL},
    {"choose_the_events_signal", SYS_fcntl, {N(3), N(F_SETSIG), N(SIGKILL)}, NULL},
    {"signal_by_a_sockets_event", SYS_ioctl, {N(3), N(FIOSETOWN), scratch}, NULL},
    {"pidfd_send_signal", SYS_pidfd_send_signal, {N(4), N(SIGKILL), N(0), N(0)}, NULL},
    {"pidfd_open", SYS_pidfd_open, {VICTIM, N(0)}, NULL},
    {"pidfd_getfd", SYS_pidfd_getfd, {N(4), N(0), N(0)}, NULL},
    {"kcmp", SYS_kcmp, {VICTIM, VICTIM, N(0), N(0), N(0)}, "Landlock"},
    {"limit_the_keeper", SYS_prlimit64, {VICTIM, N(RLIMIT_NPROC), N(0), scratch}, NULL},
    {"setpriority", SYS_setpriority, {N(PRIO_PROCESS), VICTIM, N(19)}, NULL},
    {"affinity", SYS_sched_setaffinity, {VICTIM, N(8), scratch}, NULL},
    {"setpgid", SYS_setpgid, {N(0), N(0)}, NULL},
    {"setsid", SYS_setsid, {N(0)}, NULL},
    {"wait", SYS_wait4, {N(-1), N(0), N(0), N(0)}, NULL},
    /* memory */
    {"mmap",
     SYS_mmap,
     {N(0), N(128u << 20), N(PROT_READ), N(MAP_PRIVATE | MAP_ANONYMOUS), N(-1), N(0)},
     "RLIMIT_AS"},
    {"more_memory",
     SYS_mmap,
     {N(0), N(2ull << 30), N(PROT_READ | PROT_WRITE), N(MAP_PRIVATE | MAP_ANONYMOUS), N(-1), N(0)},
     "limits"},
    {"mmap_to_execute",
     SYS_mmap,
     {N(0), N(4096), N(PROT_READ | PROT_EXEC), N(MAP_PRIVATE | MAP_ANONYMOUS), N(-1), N(0)},
     NULL},
    {"mprotect", SYS_mprotect, {N(0), N(4096), N(PROT_READ | PROT_EXEC)}, NULL},
    {"mremap", SYS_mremap, {N(0), N(4096), N(8192), N(0)}, NULL},
    {"brk", SYS_brk, {N(0)}, NULL},
    {"memfd", SYS_memfd_create, {"x", N(0)}, NULL},
    {"memfd_secret", SYS_memfd_secret, {N(0)}, NULL},
    {"mlockall", SYS_mlockall, {N(1)}, NULL},
    {"madvise", SYS_madvise, {N(0), N(4096), N(MADV_DODUMP)}, NULL},
    {"userfaultfd", SYS_userfaultfd, {N(0)}, NULL},
    {"shmget", SYS_shmget, {N(0), N(4096), N(0600)}, NULL},
    {"msgget", SYS_msgget, {N(0), N(0600)}, NULL},
    {"semget", SYS_semget, {N(0), N(1), N(0600)}, NULL},
    {"mq_open", SYS_mq_open, {"x", N(O_RDWR), N(0600), N(0)}, NULL},
    /* the kernel's larger doors */
    {"io_uring", SYS_io_uring_setup, {N(1), scratch}, NULL},
    {"aio", SYS_io_setup, {N(1), scratch}, NULL},
    {"bpf", SYS_bpf, {N(0), scratch, N(128)}, NULL},
    {"perf", SYS_perf_event_open, {scratch, N(0), N(-1), N(-1), N(0)}, NULL},
    {"keyctl", SYS_keyctl, {N(0), N(-3), N(0)}, NULL},
    {"add_key", SYS_add_key, {"user", "x", "x", N(1), N(-3)}, NULL},
    {"request_key", SYS_request_key, {"user", "x", N(0), N(0)}, NULL},
    {"a_mount_namespace", SYS_unshare, {N(CLONE_NEWNS)}, "no capabilities"},
    {"a_network_namespace", SYS_unshare, {N(CLONE_NEWNET)}, "no capabilities"},
    {"a_pid_namespace", SYS_unshare, {N(CLONE_NEWPID)}, "no capabilities"},
    {"a_user_namespace", SYS_unshare, {N(CLONE_NEWUSER)}, NULL},
    {"setns", SYS_setns, {N(4), N(0)}, NULL},
    {"another_user", SYS_setresuid, {N(12345), N(12345), N(12345)}, "no capabilities"},
    {"capset", SYS_capset, {&cap_head, caps}, "no capabilities"},
    {"raise_a_limit", SYS_setrlimit, {N(RLIMIT_NOFILE), &all}, "limits"},
    {"a_core", SYS_setrlimit, {N(RLIMIT_CORE), &core}, "limits"},
    {"no_limit_of_addresses", SYS_setrlimit, {N(RLIMIT_AS), &all}, "RLIMIT_AS"},
    {"no_limit_of_data", SYS_setrlimit, {N(RLIMIT_DATA), &all}, "RLIMIT_DATA"},
    {"no_limit_of_processes", SYS_setrlimit, {N(RLIMIT_NPROC), &all}, "limits"},
    {"lower_a_limit", SYS_setrlimit, {N(RLIMIT_CPU), &none}, NULL},
    {"prctl", SYS_prctl, {N(4), N(1), N(0), N(0), N(0)}, NULL},
    {"seccomp", SYS_seccomp, {N(2), N(0), N(0)}, NULL},
    {"landlock",
     SYS_landlock_create_ruleset,
     {N(0), N(0), N(LANDLOCK_CREATE_RULESET_VERSION)},
     NULL},
    {"ioctl", SYS_ioctl, {N(3), N(0x541B), scratch}, NULL},
    {"type_into_a_terminal", SYS_ioctl, {N(0), N(0x5412), "x"}, NULL},
    {"fcntl", SYS_fcntl, {N(3), N(F_GETFL), N(0)}, NULL},
    {"dup", SYS_dup, {N(3)}, NULL},
    {"an_fd_too_many", SYS_fcntl, {N(3), N(F_DUPFD), N(4096)}, "limits"},
    {"pipe", SYS_pipe2, {scratch, N(0)}, NULL},
    {"epoll", SYS_epoll_create1, {N(0)}, NULL},
    {"eventfd", SYS_eventfd2, {N(0), N(0)}, NULL},
    {"timerfd", SYS_timerfd_create, {N(1), N(0)}, NULL},
    {"signalfd", SYS_signalfd4, {N(-1), scratch, N(8), N(0)}, NULL},
    {"sigaction", SYS_rt_sigaction, {N(SIGTERM), N(0), N(0), N(8)}, NULL},
    {"getrandom", SYS_getrandom, {scratch, N(1), N(0)}, NULL},
    {"set_the_clock", SYS_clock_settime, {N(0), scratch}, NULL},
    {"sethostname", SYS_sethostname, {"x", N(1)}, NULL},
    {"reboot", SYS_reboot, {N(0), N(0), N(0), N(0)}, "no capabilities"},
    {"kexec", SYS_kexec_load, {N(0), N(0), N(0), N(0)}, "no capabilities"},
    {"module", SYS_init_module, {"", N(0), ""}, "no capabilities"},
    {"swapon", SYS_swapon, {"/x", N(0)}, "no capabilities"},
    {"acct", SYS_acct, {"/x"}, "no capabilities"},
    {"iopl", SYS_iopl, {N(3)}, "no capabilities"},
    {"syslog", SYS_syslog, {N(3), scratch, N(1)}, NULL},
    {"modify_ldt", SYS_modify_ldt, {N(0), scratch, N(16)}, NULL},
    {"int80", TWIN_INT80, {N(0)}, NULL},
};
/* clang-format on */
const uint32_t twin_n_tries = sizeof(twin_tries) / sizeof(twin_tries[0]);

/* By the door of 32-bit programs, where numbers mean other calls: 5 is open there. */
static int int80(void)
{
    long r;

    __asm__ volatile("int $0x80" : "=a"(r) : "0"(5L), "b"(0L), "c"(0L), "d"(0L) : "memory");
    errno = r < 0 ? (int)-r : 0;
    return r < 0 ? -1 : 0;
}

int twin_try(uint32_t what, int32_t victim)
{
    const struct twin_try *t = &twin_tries[what];
    long a[6];

    if (t->nr == TWIN_INT80)
        return int80();
    for (int i = 0; i < 6; i++)
        a[i] = t->args[i] == VICTIM ? victim : (long)(intptr_t)t->args[i];
    return syscall(t->nr, a[0], a[1], a[2], a[3], a[4], a[5]) < 0 ? -1 : 0;
}
