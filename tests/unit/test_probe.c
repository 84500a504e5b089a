/* test_probe: the probe tells what does not hold: here nothing confines it. The good case is e2e's.
 */
#include "agent/declared.h"
#include "agent/probe.h"
#include "base/own.h"
#include "shared/probe.h"
#include "tests/unit/suite.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
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
#include <sys/prctl.h>
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
        {PROBE_LIMITS, "core dumps"},
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

static struct rlimit_of {
    int resource;
    struct rlimit value;
} as_planned[] = {
    {RLIMIT_CORE, {0, 0}},
    {RLIMIT_NOFILE, {90, 90}},
    {RLIMIT_CPU, {7, 8}},
    {RLIMIT_FSIZE, {65536, 65536}},
    {RLIMIT_AS, {256u << 20, 256u << 20}}, /* the last: see FEW_ADDRESSES */
};
#define PLANNED (sizeof(as_planned) / sizeof(as_planned[0]) - !FEW_ADDRESSES)

static void limit_as_planned(void)
{
    for (size_t i = 0; i < PLANNED; i++)
        must(setrlimit(as_planned[i].resource, &as_planned[i].value) == 0);
}

START_TEST(a_limit_is_compared_exactly_and_hit)
{
    static char cpu[] = "cpu=7", files[] = "files=90", file[] = "file=65536",
                addresses[] = "addresses=268435456";
    static char wrong[][32] = {"cpu=6", "files=91", "file=65537",
                               "cpu=0", "file=0",   "addresses=268435455"};
    const char *const said[] = {"CPU seconds: 7, at most 8", "open files: 90, at most 90",
                                "bytes of a file: 65536",    "CPU seconds: 7",
                                "bytes of a file: 65536",    "bytes of addresses: 268435456"};
    size_t n = sizeof(wrong) / sizeof(wrong[0]) - !FEW_ADDRESSES;

    probe(limit_as_planned, (char *[]){cpu, files, file, FEW_ADDRESSES ? addresses : NULL, NULL});
    ck_assert_msg(rows[PROBE_LIMITS].verdict == PROBE_HOLDS, "%s", rows[PROBE_LIMITS].text);
    ck_assert_str_eq(rows[PROBE_LIMITS].text,
                     FEW_ADDRESSES
                         ? "no core dumps, files 90, CPU seconds 7, addresses 268435456, file 65536"
                         : "no core dumps, files 90, CPU seconds 7, file 65536");
    for (size_t i = 0; i < n; i++) {
        probe(limit_as_planned, (char *[]){wrong[i], NULL});
        ck_assert_msg(rows[PROBE_LIMITS].verdict == PROBE_BROKEN &&
                          strncmp(rows[PROBE_LIMITS].text, said[i], strlen(said[i])) == 0,
                      "%s: %s", wrong[i], rows[PROBE_LIMITS].text);
    }
}
END_TEST

static void tell(const char *facts)
{
    must(setenv("LAZARET_FACTS", facts, 1) == 0);
}

static void tell_good(void)
{
    tell("memory=1048576 swap=0 pids=5 weight=25 settings=24 wrong=");
}

static void tell_setting(void)
{
    tell("memory=1048576 swap=0 pids=5 weight=25 settings=3 wrong=kernel/sysrq:1");
}

static void tell_swap(void)
{
    tell("memory=1048576 swap=4096 pids=5 weight=25 settings=24 wrong=");
}

static void tell_no_pids(void)
{
    tell("memory=1048576 swap=0 pids=18446744073709551615 weight=25 settings=24 wrong=");
}

static void tell_weight(void)
{
    tell("memory=1048576 swap=0 pids=5 weight=100 settings=24 wrong=");
}

static void tell_memory(void)
{
    tell("memory=1048577 swap=0 pids=5 weight=25 settings=24 wrong=");
}

static void tell_nonsense(void)
{
    tell("memory=x");
}

START_TEST(what_the_guests_root_tells_of_a_cgroup_is_compared)
{
    static const struct {
        void (*tell)(void);
        const char *said; /* NULL: it holds */
    } told[] = {{tell_good, NULL},
                {tell_swap, "it may swap"},
                {tell_no_pids, "18446744073709551615 processes in place of"},
                {tell_weight, "its CPU weight is 100"},
                {tell_memory, "memory: 1048577 bytes in place of"},
                {tell_nonsense, "nobody told"},
                {NULL, "nobody told"}};
    static char memory[] = "memory=1048576", pids[] = "pids=4";

    for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
        probe(told[i].tell, (char *[]){memory, pids, NULL});
        ck_assert_uint_eq(rows[PROBE_CGROUP].verdict, told[i].said ? PROBE_BROKEN : PROBE_HOLDS);
        ck_assert_msg(!told[i].said ||
                          strncmp(rows[PROBE_CGROUP].text, told[i].said, strlen(told[i].said)) == 0,
                      "%zu: %s", i, rows[PROBE_CGROUP].text);
    }
    probe(tell_setting, (char *[]){NULL});
    ck_assert_uint_eq(rows[PROBE_KERNEL].verdict, PROBE_BROKEN);
}
END_TEST

/* ---- what is declared ------------------------------------------------------------------------ */

static char *const *held_to; /* what hold() declares */

static void hold(void)
{
    char why[DECLARED_TEXT_MAX];

    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    must(!held_to || declared_apply(held_to, NULL, why) == 0);
}

static int probe_declared(char *const declared[], char *const argv[])
{
    int out = memfd_create("rows", 0), status = 0;
    pid_t pid = fork();

    held_to = declared;
    if (pid == 0) {
        hold();
        dup2(out, STDOUT_FILENO);
        _exit(probe_declared_main(argv));
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFEXITED(status), "status %d", status);
    memset(rows, 0, sizeof(rows));
    ck_assert_int_eq(pread(out, rows, sizeof(rows), 0), PROBE_DECLARED_LOOKS * sizeof(rows[0]));
    close(out);
    return WEXITSTATUS(status);
}

START_TEST(declared_paths_that_are_not_held_are_named)
{
    static char three[] = "3", two[] = "2", end[] = "--", r[] = "--read", w[] = "--write",
                x[] = "--exec", passwd[] = "/etc/passwd", tmp[] = "/tmp", env[] = "/usr/bin/env",
                etc[] = "/etc", usr[] = "/usr/bin", all[] = "/";
    char *good[] = {three, r, passwd, w, tmp, x, env, end, NULL};
    char *more[] = {three, r, etc, w, all, x, usr, end, NULL};
    char *only[] = {three, w, tmp, x, env, r, tmp, end, NULL};
    static const char *const said[] = {"' is not declared and can be read",
                                       "' is not declared and can be written",
                                       "' is not declared and can be executed"};

    if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 3)
        return;
    probe_declared(good + 1, good);
    for (size_t i = 0; i < PROBE_DECLARED_LOOKS; i++)
        ck_assert_msg(rows[i].verdict == PROBE_HOLDS && rows[i].look == i, "%s", rows[i].text);
    /* Nothing holds it; it is held to more; to less; it was told of less. */
    for (int k = 0; k < 2; k++) {
        ck_assert_int_eq(probe_declared(k ? more + 1 : NULL, good), 1);
        for (size_t i = 0; i < PROBE_DECLARED_LOOKS; i++)
            if (i != PROBE_WRITES || geteuid() == 0 || !k)
                ck_assert_msg(rows[i].verdict == PROBE_BROKEN && strstr(rows[i].text, said[i]),
                              "%s", rows[i].text);
    }
    ck_assert_int_eq(probe_declared(only + 1, good), 1);
    ck_assert_str_eq(rows[PROBE_READS].text,
                     "'/etc/passwd' is declared and cannot be read: Permission denied");
    ck_assert_int_eq(
        probe_declared(good + 1, (char *[]){two, r, passwd, w, tmp, x, env, end, NULL}), 1);
    ck_assert_str_eq(rows[PROBE_PROGRAMS].text, "of 2 declared paths it is held to 3");
    ck_assert_int_eq(probe_declared(good + 1, (char *[]){three, end, NULL}), 1);
    ck_assert_str_eq(rows[PROBE_READS].text, "of 3 declared paths it is held to 0");
}
END_TEST

/* Nothing of it runs: else there is a file. */
START_TEST(a_program_is_tried_without_being_run)
{
    char dir[] = "/tmp/lz-probe-XXXXXX", script[64], ran[64], text[160];
    static char one[] = "1", x[] = "--exec", end[] = "--";
    int fd;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(script, sizeof(script), "%s/script", dir);
    snprintf(ran, sizeof(ran), "%s/ran", dir);
    snprintf(text, sizeof(text), "#!/bin/sh\n: > %s\n", ran);
    fd = open(script, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    ck_assert_int_eq(write(fd, text, strlen(text)), (int)strlen(text));
    close(fd);
    probe_declared(NULL, (char *[]){one, x, script, end, NULL});
    ck_assert_int_ne(access(ran, F_OK), 0);
    ck_assert_int_eq(unlink(script), 0);
    ck_assert_int_eq(rmdir(dir), 0);
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
      a_limit_is_compared_exactly_and_hit, what_the_guests_root_tells_of_a_cgroup_is_compared,
      declared_paths_that_are_not_held_are_named, a_program_is_tried_without_being_run,
      what_it_cannot_read_is_an_error)
