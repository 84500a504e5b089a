/* test_probe: the probe tells what does not hold: here nothing confines it. The good case is e2e's.
 */
#include "agent/probe.h"
#include "base/own.h"
#include "shared/probe.h"
#include "tests/unit/suite.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct probe_row rows[PROBE_LOOKS + 1];
static char calls[PROBE_CALLS / 4 + 7]; /* "calls=...": all but one may be made */

static void allow_all_but(unsigned number)
{
    strcpy(calls, "calls=");
    memset(calls + 6, 'f', PROBE_CALLS / 4);
    calls[6 + number / 4] = "7bde"[number % 4];
}

/* Runs it in a child, after `prepare`; returns its status and leaves what it said in `rows`. */
static int probe(void (*prepare)(void), char *const argv[])
{
    int out = memfd_create("rows", 0), status = 0;
    pid_t pid = fork();
    ssize_t n;

    if (pid == 0) {
        if (prepare)
            prepare();
        dup2(out, STDOUT_FILENO);
        _exit(probe_main(argv));
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFEXITED(status), "status %d", status);
    memset(rows, 0, sizeof(rows));
    n = pread(out, rows, sizeof(rows), 0);
    close(out);
    ck_assert_int_eq(n, WEXITSTATUS(status) == 2 ? 0 : PROBE_LOOKS * sizeof(rows[0]));
    for (uint32_t i = 0; n && i < PROBE_LOOKS; i++)
        ck_assert_uint_eq(rows[i].look, i);
    return WEXITSTATUS(status);
}

START_TEST(what_does_not_hold_is_named)
{
    static const enum probe_look as_anybody[] = {
        PROBE_SECCOMP, PROBE_CAPABILITIES, PROBE_PRIVILEGES, PROBE_PROCESSES,
        PROBE_MEMORY,  PROBE_TMP,          PROBE_USER,
    };
    static const enum probe_look as_root[] = {PROBE_NAMESPACES, PROBE_MOUNTS, PROBE_WINDOWS};
    static char uid[] = "uid=54321", gid[] = "gid=54321", pids[] = "pids=4", root[] = "root=ro",
                memory[] = "memory=1048576", tmp[] = "tmp=4096";

    ck_assert_int_eq(probe(NULL, (char *[]){uid, gid, pids, memory, tmp, root, NULL}), 1);
    for (size_t i = 0; i < sizeof(as_anybody) / sizeof(as_anybody[0]); i++)
        ck_assert_msg(rows[as_anybody[i]].verdict == PROBE_BROKEN, "%u: %s", as_anybody[i],
                      rows[as_anybody[i]].text);
    for (size_t i = 0; geteuid() == 0 && i < sizeof(as_root) / sizeof(as_root[0]); i++)
        ck_assert_msg(rows[as_root[i]].verdict == PROBE_BROKEN, "%u: %s", as_root[i],
                      rows[as_root[i]].text);
}
END_TEST

static void allow_everything(void)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);

    seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(getppid), 0);
    seccomp_load(ctx);
}

START_TEST(a_system_call_that_is_not_refused_is_named)
{
    char said[64];

    allow_all_but(SYS_getpgrp);
    ck_assert_int_eq(probe(allow_everything, (char *[]){calls, NULL}), 1);
    ck_assert_uint_eq(rows[PROBE_SECCOMP].verdict, PROBE_BROKEN);
    snprintf(said, sizeof(said), "system call %d was not refused", SYS_getpgrp);
    ck_assert_str_eq(rows[PROBE_SECCOMP].text, said);

    allow_all_but(SYS_getppid);
    probe(allow_everything, (char *[]){calls, NULL});
    ck_assert_uint_eq(rows[PROBE_SECCOMP].verdict, PROBE_HOLDS);
    ck_assert_str_eq(rows[PROBE_SECCOMP].text, "1 system calls that are not listed were refused");
}
END_TEST

#define BREACHED 97 /* of a child that could not break what it was to */

static void must(bool done)
{
    if (!done)
        _exit(BREACHED);
}

/* A sysctl that is laxer, as this process and its probe see it. */
static void lay_over_sysctl(void)
{
    char path[] = "/tmp/lz-probe-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);

    must(fd >= 0 && write(fd, "1\n", 2) == 2);
    must(mount(path, "/proc/sys/kernel/kptr_restrict", NULL, MS_BIND, NULL) == 0);
    unlink(path);
}

/* The one interface has another name, and an address of the internet. */
static void open_network(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq r = {.ifr_name = "lo", .ifr_newname = "breach"};
    struct sockaddr_in at = {.sin_family = AF_INET};

    must(fd >= 0 && ioctl(fd, SIOCSIFNAME, &r) == 0);
    strcpy(r.ifr_name, "breach");
    inet_pton(AF_INET, "1.1.1.1", &at.sin_addr);
    memcpy(&r.ifr_addr, &at, sizeof(at));
    must(ioctl(fd, SIOCSIFADDR, &r) == 0);
    r.ifr_flags = IFF_UP;
    must(ioctl(fd, SIOCSIFFLAGS, &r) == 0);
}

static void break_what_root_can(void)
{
    struct rlimit core;

    must(unshare(CLONE_NEWNS | CLONE_NEWNET) == 0);
    must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    lay_over_sysctl();
    open_network();
    must(mount("tmpfs", "/dev", "tmpfs", 0, NULL) == 0 && creat("/dev/vda", 0600) >= 0);
    if (getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0)
        setrlimit(RLIMIT_CORE, &(struct rlimit){1, 1});
}

START_TEST(a_kernel_network_or_device_that_was_opened_is_named)
{
    static const struct {
        enum probe_look look;
        const char *said;
    } want[] = {
        {PROBE_KERNEL, "kernel/kptr_restrict is 1"},
        {PROBE_DEVICES, "/dev has 'vda'"},
        {PROBE_INTERFACES, "it has 'breach'"},
        {PROBE_ADDRESSES, "1.1.1.1 has a route"},
        {PROBE_LIMITS, "core dumps of "},
    };

    if (geteuid() != 0)
        return;
    ck_assert_int_eq(probe(break_what_root_can, (char *[]){NULL}), 1);
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
        ck_assert_msg(rows[want[i].look].verdict == PROBE_BROKEN &&
                          strncmp(rows[want[i].look].text, want[i].said, strlen(want[i].said)) == 0,
                      "%u: %s", want[i].look, rows[want[i].look].text);
}
END_TEST

/* The runtime of a sanitizer needs addresses without end. */
#ifdef __SANITIZE_ADDRESS__
#define FEW_ADDRESSES 0
#else
#define FEW_ADDRESSES 1
#endif

static void allow_few_addresses(void)
{
    const struct rlimit r = {64u << 20, 64u << 20};

    setrlimit(RLIMIT_AS, &r);
}

START_TEST(the_row_of_memory_says_which_limit_held)
{
    static char memory[] = "memory=1073741824";

    if (!FEW_ADDRESSES)
        return;
    probe(allow_few_addresses, (char *[]){memory, NULL});
    ck_assert_uint_eq(rows[PROBE_MEMORY].verdict, PROBE_HOLDS);
    ck_assert_str_eq(rows[PROBE_MEMORY].text,
                     "a process may have 64 MiB of addresses at most: not reached");
}
END_TEST

START_TEST(what_it_cannot_read_is_an_error)
{
    static char bad[][12] = {"uid", "uid=", "uid=1x", "color=blue", "=1", "uidd=1"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_int_eq(probe(NULL, (char *[]){bad[i], NULL}), 2);
}
END_TEST

SUITE("probe", what_does_not_hold_is_named, a_system_call_that_is_not_refused_is_named,
      a_kernel_network_or_device_that_was_opened_is_named, the_row_of_memory_says_which_limit_held,
      what_it_cannot_read_is_an_error)
