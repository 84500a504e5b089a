/*
 * test_twin: promises about relay and unpack that a guest has taken over: what the process can do,
 * and what the manager believes of it. The twin (twin.c) stands behind the rights of the program
 * that it replaces.
 */
#include "tests/hostile/twin.h"
#include "tests/unit/relay_rig.h"

#include "base/file.h"
#include "base/landlock.h"
#include "channel/program.h"
#include "channel/rights.h"
#include "channel/unpack.h"
#include "channel/unpack_record.h"

#include <errno.h>
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
    o.answered = recv(fd, &o.a, sizeof(o.a), MSG_DONTWAIT) == sizeof(o.a);
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

/* A folder to unpack into; "secret" lies beside it. */
static int open_out(char top[32])
{
    char path[64];
    int fd;

    (void)snprintf(top, 32, "/tmp/lazaret-twin-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(top));
    snprintf(path, sizeof(path), "%s/secret", top);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
    snprintf(path, sizeof(path), "%s/out", top);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int spool_of(struct twin_ask ask)
{
    int spool = memfd_create("spool", MFD_CLOEXEC);

    ck_assert_int_eq(write(spool, &ask, sizeof(ask)), sizeof(ask));
    return spool;
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

static const struct {
    const char *name;
    struct outcome (*ask)(struct twin_ask ask);
} twins[] = {{"relay", ask_relay}, {"unpack", ask_unpack}};
enum { RELAY, UNPACK, TWINS };

static bool is_listed(const struct confine *r, long nr)
{
    for (size_t i = 0; i < r->n_calls; i++)
        if (r->calls[i].nr == nr)
            return true;
    return false;
}

static struct confine rights_of(int twin, uint32_t which)
{
    if (twin == RELAY)
        return rights_relay();
    return which == TWIN_RIGHTS_QUOTE ? rights_quote()
                                      : rights_unpack(-1, 0, which == TWIN_RIGHTS_SEALED);
}

static bool is_refusal(int errnum)
{
    return errnum == EACCES || errnum == EPERM || errnum == EMFILE || errnum == ENOMEM ||
           errnum == ENOSYS || /* a kernel without it */
           errnum == EINVAL || /* F_DUPFD beyond the limit */
           errnum == ENOTDIR;  /* a relay has no folder to begin at */
}

/* ---- what the process can do ----------------------------------------------------------------- */

START_TEST(whatever_a_taken_over_program_tries_ends_it)
{
    for (int t = 0; t < TWINS; t++) {
        const struct confine r = rights_of(t, TWIN_RIGHTS_PLAIN);

        for (uint32_t i = 0; i < twin_n_tries; i++) {
            struct outcome o = twins[t].ask((struct twin_ask){TWIN_TRY, i, getpid()});
            const char *name = twin_tries[i].name;

            if (o.signal == SIGSYS)
                continue;
            /* A call that it needs: with these arguments it is refused by the next layer. */
            ck_assert_msg(is_sanitized() || is_listed(&r, twin_tries[i].nr), "%s: %s was not fatal",
                          twins[t].name, name);
            if (twin_tries[i].behind && landlock_abi() > 0 && !is_sanitized())
                ck_assert_msg(o.answered && o.a.result < 0 && is_refusal(o.a.errnum),
                              "%s: %s was done", twins[t].name, name);
        }
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
    } lists[] = {{RELAY, TWIN_RIGHTS_PLAIN},
                 {UNPACK, TWIN_RIGHTS_PLAIN},
                 {UNPACK, TWIN_RIGHTS_SEALED},
                 {UNPACK, TWIN_RIGHTS_QUOTE}};

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
    long abi = landlock_abi();

    for (int t = 0; t < TWINS; t++) {
        for (uint32_t i = 0; i < twin_n_tries; i++) {
            const char *behind = twin_tries[i].behind;
            struct outcome o;

            if (!behind || (strstr(behind, "Landlock") && abi < (strchr(behind, '6') ? 6 : 1)) ||
                (is_sanitized() && strcmp(behind, "limits") == 0))
                continue;
            o = twins[t].ask((struct twin_ask){TWIN_BEHIND, i, getpid()});
            ck_assert_msg(o.answered && o.a.result < 0 && is_refusal(o.a.errnum),
                          "%s: %s is not refused by %s: signal %d, %d, %s", twins[t].name,
                          twin_tries[i].name, behind, o.signal, o.a.result, strerror(o.a.errnum));
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

/* ---- what the manager believes --------------------------------------------------------------- */

static void open_twin(struct rig *r, uint32_t what)
{
    struct twin_ask ask = {.mode = TWIN_LIE, .what = what};
    own_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct channel_config c = {
        .relay_path = TWIN_RELAY_PATH, .console_fd = null, .console_log_fd = null};
    int channel[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel), 0);
    c.channel_fd = channel[0];
    ck_ok(channel_open(&c, &r->ch, &rig_err));
    close(channel[0]);
    r->guest = channel[1];
    guest_raw(r, &ask, sizeof(ask));
}

START_TEST(a_relay_that_lies_is_not_believed)
{
    static const enum twin_lie lies[] = {LIE_SHORT,  LIE_LONG, LIE_TYPE,     LIE_TEXT,
                                         LIE_NO_NUL, LIE_EXEC, LIE_NOT_ASKED};

    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct channel_event ev;

        open_twin(&rig, lies[i]);
        expect_event(&rig, CHANNEL_TAMPERED);
        ck_assert_int_eq(channel_next(rig.ch, &ev), 0);
        channel_close(rig.ch);
        close(rig.guest);
    }
}
END_TEST

START_TEST(fds_that_a_relay_sends_are_dropped)
{
    size_t before = suite_count_fds();

    open_twin(&rig, LIE_FDS);
    expect_event(&rig, CHANNEL_LOG);
    expect_event(&rig, CHANNEL_LOG);
    ck_assert_uint_eq(suite_count_fds(), before + 2); /* the two of the rig */
    channel_close(rig.ch);
    close(rig.guest);
}
END_TEST

START_TEST(a_relay_that_ends_or_takes_no_command_is_told)
{
    struct channel_event ev;

    open_twin(&rig, LIE_END);
    expect_event(&rig, CHANNEL_LOG);
    for (int i = 0; i < 100000 && channel_hello(rig.ch, &(struct channel_hello){0}, &rig_err) == 0;)
        i++;
    ck_assert_int_eq(rig_err.class, ERR_GUEST); /* after its deadline */
    kill(channel_relay_pid(rig.ch), SIGKILL);
    expect_event(&rig, CHANNEL_LOST);
    ck_assert_int_eq(channel_next(rig.ch, &ev), 0);
    channel_close(rig.ch);
    close(rig.guest);
}
END_TEST

START_TEST(an_unpack_that_lies_is_not_believed)
{
    static const enum twin_lie lies[] = {LIE_SHORT,  LIE_LONG, LIE_TYPE,      LIE_TEXT,
                                         LIE_NO_NUL, LIE_EXEC, LIE_NOT_ASKED, LIE_FLOOD};

    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        own_close int spool = spool_of((struct twin_ask){TWIN_LIE, lies[i], 0});
        struct unpack_result res;
        char top[32];
        own_close int out = open_out(top);

        ck_assert_int_eq(unpack_run(TWIN_UNPACK_PATH, spool, out, 4096, 10000, &res, &rig_err), -1);
        ck_assert_msg(rig_err.class == ERR_PROTOCOL, "lie %d: %s", lies[i], rig_err.text);
        ck_ok(file_remove_tree(AT_FDCWD, top, &rig_err));
    }
}
END_TEST

START_TEST(an_unpack_that_ends_at_once_is_told)
{
    own_close int spool = spool_of((struct twin_ask){TWIN_TRY, 0, getpid()});
    struct unpack_result res;
    char top[32];
    own_close int out = open_out(top);

    ck_assert_int_eq(unpack_run(TWIN_UNPACK_PATH, spool, out, 4096, 10000, &res, &rig_err), -1);
    ck_assert_int_eq(rig_err.class, ERR_HOST);
    ck_assert_int_eq(waitpid(-1, NULL, 0), -1); /* nobody is left */
    ck_ok(file_remove_tree(AT_FDCWD, top, &rig_err));
}
END_TEST

SUITE("twin", whatever_a_taken_over_program_tries_ends_it, every_call_that_is_not_listed_is_fatal,
      without_the_list_of_calls_the_next_layer_refuses,
      a_program_inherits_the_fds_that_are_listed_and_no_other, a_relay_that_was_stopped_goes_on,
      unpack_dies_with_its_keeper, a_relay_that_lies_is_not_believed,
      fds_that_a_relay_sends_are_dropped, a_relay_that_ends_or_takes_no_command_is_told,
      an_unpack_that_lies_is_not_believed, an_unpack_that_ends_at_once_is_told)
