/*
 * test_twin: promises about relay, unpack, gateway and look that a guest has taken over: what the
 * process can do. What the manager believes of it is in test_twin_lies.c. The twin (twin.c) stands
 * behind the rights of the program that it replaces.
 */
#include "tests/hostile/twin_rig.h"

#include "base/file.h"
#include "base/landlock.h"
#include "base/str.h"
#include "channel/program.h"
#include "channel/rights.h"
#include "channel/unpack.h"
#include "channel/unpack_record.h"
#include "gateway/gateway.h"
#include "gateway/rights.h"
#include "look/look.h"
#include "look/look_fds.h"
#include "look/rights.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* How a twin ended: killed by this signal, or its answer. */
struct outcome {
    int signal;
    bool answered;
    struct twin_answer a;
};

static bool is_sanitized(void)
{
#ifdef CONFINE_SANITIZED
    return true; /* its runtime has calls of its own in the list, and limits are left out */
#else
    return false;
#endif
}

static struct outcome end_of(pid_t pid, int fd)
{
    own_close int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct outcome o = {0};
    int status;

    wait_readable(pidfd);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status)) {
        o.signal = WTERMSIG(status);
        return o;
    }
    ck_assert_msg(WEXITSTATUS(status) == 0, "a twin ended with %d", WEXITSTATUS(status));
    /* A look's is in its file of rows. */
    o.answered = recv(fd, &o.a, sizeof(o.a), MSG_DONTWAIT) == sizeof(o.a) ||
                 (errno == ENOTSOCK && pread(fd, &o.a, sizeof(o.a), 0) == sizeof(o.a));
    return o;
}

/* With the fds of a relay, and one more of ours that is open and must not get there. */
static struct outcome ask_relay(struct twin_ask ask)
{
    const char *const argv[] = {TWIN_RELAY_PATH, "0", NULL};
    own_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int control[2], channel[2];
    struct outcome o;
    pid_t pid;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel), 0);
    const int fds[] = {control[1], channel[1], null, null};
    const struct spawn s = program_spawn(argv, fds, 4);

    ck_ok(spawn_start(&s, &pid, &rig_err));
    ck_assert_int_eq(send(channel[0], &ask, sizeof(ask), MSG_NOSIGNAL), sizeof(ask));
    o = end_of(pid, channel[0]);
    for (int i = 0; i < 2; i++) {
        close(control[i]);
        close(channel[i]);
    }
    return o;
}

static struct outcome ask_unpack(struct twin_ask ask)
{
    const char *const argv[] = {TWIN_UNPACK_PATH, "4096", NULL};
    own_close int spool = spool_of(ask);
    char top[32];
    own_close int out = open_out(top);
    struct outcome o;
    int result[2];
    pid_t pid;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, result), 0);
    const int fds[] = {spool, out, result[1]};
    const struct spawn s = program_spawn(argv, fds, 3);

    ck_ok(spawn_start(&s, &pid, &rig_err));
    o = end_of(pid, result[0]);
    close(result[0]);
    close(result[1]);
    ck_ok(file_remove_tree(AT_FDCWD, top, &rig_err));
    return o;
}

static struct outcome ask_gateway(struct twin_ask ask)
{
    struct outcome o;
    int control;
    pid_t pid;

    ck_ok(gateway_start(TWIN_GATEWAY_PATH, NULL, &control, &pid, &rig_err));
    ck_assert_int_eq(send(control, &ask, sizeof(ask), MSG_NOSIGNAL), sizeof(ask));
    o = end_of(pid, control);
    close(control);
    return o;
}

static struct outcome ask_look(struct twin_ask ask)
{
    const char *const argv[] = {TWIN_LOOK_PATH, LOOK_ARG_LATER, "0", NULL};
    own_close int disk = spool_of(ask), rows = memfd_create("rows", MFD_CLOEXEC);
    const int fds[] = {disk, rows, disk};
    const struct spawn s = program_spawn(argv, fds, 3);
    pid_t pid;

    ck_ok(spawn_start(&s, &pid, &rig_err));
    return end_of(pid, rows);
}

static const struct {
    struct outcome (*ask)(struct twin_ask ask);
    const char *name;
    const char *without; /* a limit that it does not have */
    const char *goes; /* tries that the list of calls lets through: harmless, or refused behind */
} twins[] = {{ask_relay, "relay", "RLIMIT_DATA", ""},
             {ask_unpack, "unpack", "RLIMIT_DATA",
              "openat open_beside_its_folder make_a_file list_the_root open_its_own_memory "
              "open_anothers_environment list_where_data_folders_are open_a_device "},
             {ask_gateway, "gateway", "RLIMIT_AS",
              /* to dial is its duty: connections go anywhere, and nothing listens */
              "inet inet6 connect send_to_an_address more_memory mremap brk "
              "madvise fcntl "
              "sigaction getrandom "},
             {ask_look, "look", "RLIMIT_AS", "more_memory mremap brk madvise "}};
enum { RELAY, UNPACK, GATEWAY, LOOK, TWINS };

static struct confine rights_of(int twin, uint32_t which)
{
    if (twin == RELAY)
        return rights_relay();
    if (twin == GATEWAY)
        return rights_gateway();
    if (twin == LOOK)
        return rights_look(0);
    return which == TWIN_RIGHTS_QUOTE ? rights_quote()
                                      : rights_unpack(-1, 0, which == TWIN_RIGHTS_SEALED);
}

/* Is there somebody behind the list of calls who refuses this to every program here? */
static bool is_refused_behind(int twin, const struct twin_try *t)
{
    const char *by = t->behind;
    long abi = landlock_abi();

    if (!by || strcmp(by, twins[twin].without) == 0)
        return false;
    if (strstr(by, "Landlock"))
        return abi >= (strchr(by, '6') ? 6 : 1);
    return !is_sanitized() || (!strstr(by, "limits") && !strstr(by, "RLIMIT"));
}

static bool is_refusal(int twin, int errnum)
{
    if (twin == GATEWAY && errnum == ENOENT) /* its root is empty */
        return true;
    return errnum == EACCES || errnum == EPERM || errnum == EMFILE || errnum == ENOMEM ||
           errnum == ENOSYS || /* a kernel without it */
           errnum == EINVAL || /* F_DUPFD beyond the limit */
           errnum == ENOTDIR;  /* a relay has no folder to begin at */
}

/* ---- what the process can do ----------------------------------------------------------------- */

START_TEST(whatever_a_taken_over_program_tries_ends_it)
{
    for (int t = 0; t < TWINS; t++) {
        own_str struct str goes = {0};

        for (uint32_t i = 0; i < twin_n_tries; i++) {
            struct outcome o = twins[t].ask((struct twin_ask){TWIN_TRY, i, getpid()});

            if (o.signal == SIGSYS)
                continue;
            str_addf(&goes, "%s ", twin_tries[i].name);
            if (is_refused_behind(t, &twin_tries[i]) && !is_sanitized())
                ck_assert_msg(o.answered && o.a.result < 0 && is_refusal(t, o.a.errnum),
                              "%s: %s was done", twins[t].name, twin_tries[i].name);
        }
        if (!is_sanitized())
            ck_assert_msg(strcmp(goes.data ? goes.data : "", twins[t].goes) == 0,
                          "%s: not fatal: %s", twins[t].name, goes.data);
    }
}
END_TEST

/* The kernel's own, for processes that somebody probes: no filter sees it. */
#define NR_UPROBE 336u

/* The numbers that a call may have with zeros for arguments. */
static bool may_be(const struct confine *r, uint32_t nr)
{
    for (size_t i = 0; i < r->n_calls; i++)
        if (r->calls[i].nr == (int)nr &&
            (r->calls[i].arg == CONFINE_ANY_ARG || r->calls[i].value == 0))
            return true;
    return false;
}

START_TEST(every_call_that_is_not_listed_is_fatal)
{
    static const struct {
        int twin;
        uint32_t rights;
    } lists[] = {{RELAY, TWIN_RIGHTS_PLAIN},   {UNPACK, TWIN_RIGHTS_PLAIN},
                 {UNPACK, TWIN_RIGHTS_SEALED}, {UNPACK, TWIN_RIGHTS_QUOTE},
                 {GATEWAY, TWIN_RIGHTS_PLAIN}, {LOOK, TWIN_RIGHTS_PLAIN}};

    for (size_t l = 0; l < sizeof(lists) / sizeof(lists[0]) && !is_sanitized(); l++) {
        const struct confine r = rights_of(lists[l].twin, lists[l].rights);
        struct outcome o = twins[lists[l].twin].ask(
            (struct twin_ask){.mode = TWIN_SWEEP, .rights = lists[l].rights});

        ck_assert(o.answered);
        ck_assert_uint_eq(o.a.survived_x32, 0);
        for (uint32_t nr = 0; nr < TWIN_CALLS; nr++) {
            bool survived = o.a.survived[nr / 32] >> nr % 32 & 1;

            if (nr != NR_UPROBE && survived != may_be(&r, nr))
                ck_abort_msg("list %zu: call %u: %s", l, nr, survived ? "goes" : "is fatal");
        }
    }
}
END_TEST

/* The list of calls is the last layer: those before it hold on their own. */
START_TEST(without_the_list_of_calls_the_next_layer_refuses)
{
    for (int t = 0; t < TWINS; t++) {
        for (uint32_t i = 0; i < twin_n_tries; i++) {
            struct outcome o;

            if (!is_refused_behind(t, &twin_tries[i]))
                continue;
            o = twins[t].ask((struct twin_ask){TWIN_BEHIND, i, getpid()});
            ck_assert_msg(o.answered && o.a.result < 0 && is_refusal(t, o.a.errnum),
                          "%s: %s is not refused by %s: signal %d, %d, %s", twins[t].name,
                          twin_tries[i].name, twin_tries[i].behind, o.signal, o.a.result,
                          strerror(o.a.errnum));
        }
    }
}
END_TEST

/* Everything that is open here but what is listed is gone there. */
START_TEST(a_program_inherits_the_fds_that_are_listed_and_no_other)
{
    const char *const argv[] = {"/bin/sh", "-c", "ls /proc/self/fd >&3; env >&3", NULL};
    own_close int extra = dup2(STDERR_FILENO, 77);
    char text[512] = "";
    int out[2];
    ssize_t n;
    pid_t pid;

    ck_assert_int_eq(extra, 77); /* no O_CLOEXEC */
    ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
    const struct spawn s = program_spawn(argv, &out[1], 1);

    ck_ok(spawn_start(&s, &pid, &rig_err));
    close(out[1]);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    n = read(out[0], text, sizeof(text) - 1);
    ck_assert_int_gt(n, 0);
    /* 4 is ls itself with the folder open; PWD and the like are sh's own */
    ck_assert_ptr_nonnull(strstr(text, "0\n1\n2\n3\n4\n"));
    ck_assert_ptr_null(strstr(text, "77"));
    ck_assert_ptr_null(strstr(text, "LAZARET"));
    ck_assert_ptr_null(strstr(text, "PATH="));
    close(out[0]);
}
END_TEST

/* A stop is no end: what was waiting goes on, without a call that is not listed. */
START_TEST(a_relay_that_was_stopped_goes_on)
{
    int status;

    rig_open(&rig, 0);
    meet(&rig);
    kill(channel_relay_pid(rig.ch), SIGSTOP);
    ck_assert_int_eq(waitpid(channel_relay_pid(rig.ch), &status, WUNTRACED),
                     channel_relay_pid(rig.ch));
    ck_assert(WIFSTOPPED(status));
    kill(channel_relay_pid(rig.ch), SIGCONT);
    expect_nothing_before_log(&rig);
    rig_close(&rig);
}
END_TEST

/* The first child of a process, 0: none yet. */
static pid_t child_of(pid_t pid)
{
    char path[64], text[16] = "";
    own_close int fd = -1;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_ge(read(fd, text, sizeof(text) - 1), 0);
    return (pid_t)strtol(text, NULL, 10);
}

/* It has work for hours: only its keeper's death can be what ends it. */
START_TEST(unpack_dies_with_its_keeper)
{
    struct pollfd p = {.events = POLLIN};
    struct unpack_result res;
    char top[32];
    own_close int out = open_out(top);
    own_close int spool = memfd_create("spool", MFD_CLOEXEC);
    uint8_t head[TREE_HEADER_SIZE + TREE_NAME_MAX];
    const struct tree_entry en = {
        .kind = TREE_FILE, .size = 1ull << 44, .name_len = 10, .name = "../refused"};
    pid_t keeper, unpack = 0;

    ck_assert_int_gt(write(spool, head, tree_entry_format(head, &en)), 0);
    ck_assert_int_eq(ftruncate(spool, 1ll << 44), 0);
    keeper = fork();
    if (keeper == 0)
        _exit(unpack_run(UNPACK_PATH, spool, out, UINT64_MAX, UINT32_MAX, &res, &rig_err));
    while (unpack == 0)
        unpack = child_of(keeper);
    p.fd = (int)syscall(SYS_pidfd_open, unpack, 0);
    ck_assert_int_ge(p.fd, 0);
    ck_assert_int_eq(kill(keeper, SIGKILL), 0);
    ck_assert_int_eq(waitpid(keeper, NULL, 0), keeper);
    wait_readable(p.fd);
    close(p.fd);
    ck_ok(file_remove_tree(AT_FDCWD, top, &rig_err));
}
END_TEST

/* The list of calls is what a program takes last. */
static bool is_confined(pid_t pid)
{
    char path[64], text[4096] = "";
    own_close int fd = -1;

    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_gt(read(fd, text, sizeof(text) - 1), 0);
    ck_assert_ptr_null(strstr(text, "State:\tZ"));
    return strstr(text, "Seccomp:\t2") != NULL;
}

START_TEST(whoever_was_taken_over_dies_with_its_keeper)
{
    for (int t = 0; t < TWINS; t++) {
        pid_t keeper = fork(), twin = 0;
        own_close int pidfd = -1;

        if (keeper == 0) {
            (void)twins[t].ask((struct twin_ask){.mode = TWIN_STAY});
            _exit(1);
        }
        while (twin == 0)
            twin = child_of(keeper);
        pidfd = (int)syscall(SYS_pidfd_open, twin, 0);
        ck_assert_int_ge(pidfd, 0);
        while (!is_confined(twin))
            sched_yield(); /* until the suite's deadline */
        ck_assert_int_eq(kill(keeper, SIGKILL), 0);
        ck_assert_int_eq(waitpid(keeper, NULL, 0), keeper);
        wait_readable(pidfd);
    }
}
END_TEST

SUITE("twin", whatever_a_taken_over_program_tries_ends_it, every_call_that_is_not_listed_is_fatal,
      without_the_list_of_calls_the_next_layer_refuses,
      a_program_inherits_the_fds_that_are_listed_and_no_other, a_relay_that_was_stopped_goes_on,
      unpack_dies_with_its_keeper, whoever_was_taken_over_dies_with_its_keeper)
