/* test_cage: promises of the namespaces around a run, and of the init in them. */
#include "base/own.h"
#include "run/cage.h"
#include "tests/unit/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* What a keeper of these tests shares with its test. */
struct scene {
    int say_fd;  /* the keeper writes here */
    int hear_fd; /* the test reads here */
    int life[2]; /* life[0] is the launcher's end */
    int keep_fd;
};

static void on_failed(void *arg, const struct err *e)
{
    const struct scene *s = arg;

    (void)!write(s->say_fd, e->text, strlen(e->text));
}

/* Starts a cage; the test's own writing end is closed, so that reading ends with the last writer.
 */
static pid_t begin(struct scene *s, int (*keeper)(void *arg), bool launcher_is_gone)
{
    int pipefd[2];
    pid_t init;
    struct err e;

    ck_assert_int_eq(pipe2(pipefd, O_CLOEXEC), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s->life), 0);
    s->hear_fd = pipefd[0];
    s->say_fd = pipefd[1];
    s->keep_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (launcher_is_gone)
        close(own_steal_fd(s->life[0]));
    ck_assert_msg(cage_start(&(struct cage){.namespaces = true,
                                            .launcher_fds = {s->life[0], -1, -1, -1, -1},
                                            .life_fd = s->life[1],
                                            .keep_fd = s->keep_fd,
                                            .keeper = keeper,
                                            .failed = on_failed,
                                            .arg = s},
                             &init, &e) == 0,
                  "%s", e.text);
    close(s->say_fd);
    close(s->life[1]);
    return init;
}

/* Everything that was said, once the last process that could speak is gone. */
static const char *heard(const struct scene *s)
{
    static char text[4096];
    size_t len = 0;
    ssize_t n;

    while ((n = read(s->hear_fd, text + len, sizeof(text) - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    return text;
}

static int end_of(pid_t init)
{
    int status;

    while (waitpid(init, &status, 0) < 0)
        ck_assert_int_eq(errno, EINTR);
    return status;
}

static int look_around(void *arg)
{
    const struct scene *s = arg;
    char text[256];
    struct stat st;
    int n = snprintf(text, sizeof(text), "pid %d, /run/lz %s, others in /run %s, umask %03o",
                     getpid(), stat(CAGE_VM, &st) == 0 ? "there" : "missing",
                     stat("/run/lock", &st) == 0 ? "there" : "hidden", umask(0));

    return write(s->say_fd, text, (size_t)n) == n ? 7 : 1;
}

START_TEST(the_keeper_is_alone_in_its_namespaces_and_its_end_is_passed_on)
{
    struct scene s = {0};
    int status = end_of(begin(&s, look_around, false));

    ck_assert_str_eq(heard(&s), "pid 2, /run/lz there, others in /run hidden, umask 022");
    ck_assert_int_eq(WEXITSTATUS(status), 7);
}
END_TEST

START_TEST(a_launcher_that_died_first_gets_no_keeper)
{
    struct scene s = {0};
    int status = end_of(begin(&s, look_around, true));

    ck_assert_str_eq(heard(&s), "the launcher is gone");
    ck_assert_int_ne(WEXITSTATUS(status), 0);
}
END_TEST

/* Leaves a child that would outlive its parents anywhere else. */
static int leave_a_child(void *arg)
{
    const struct scene *s = arg;

    if (fork() == 0) {
        setsid();
        signal(SIGTERM, SIG_IGN);
        for (;;)
            pause();
    }
    if (write(s->say_fd, "up", 2) != 2)
        return 1;
    pause();
    return 0;
}

static int leave_a_child_and_end(void *arg)
{
    const struct scene *s = arg;

    if (fork() == 0) {
        setsid();
        for (;;)
            pause();
    }
    return write(s->say_fd, "up", 2) == 2 ? 0 : 1;
}

START_TEST(killing_init_ends_every_process_of_the_run)
{
    struct scene s = {0};
    pid_t init = begin(&s, leave_a_child, false);
    char two[2];

    ck_assert_int_eq(read(s.hear_fd, two, 2), 2);
    ck_assert_int_eq(kill(init, SIGKILL), 0);
    end_of(init);
    ck_assert_str_eq(heard(&s), ""); /* and no writer is left, or this would wait for ever */
}
END_TEST

START_TEST(the_keepers_end_is_the_end_of_every_process_of_the_run)
{
    struct scene s = {0};

    end_of(begin(&s, leave_a_child_and_end, false));
    ck_assert_str_eq(heard(&s), "up");
}
END_TEST

static int look_for_the_launchers_end(void *arg)
{
    const struct scene *s = arg;
    struct pollfd p = {.fd = s->life[1]};

    /* Hangs up only if no copy of the launcher's end is left in here. */
    ck_assert_int_eq(write(s->say_fd, "up", 2), 2);
    poll(&p, 1, 10000);
    return p.revents & POLLHUP ? 0 : 1;
}

START_TEST(the_keeper_sees_the_launchers_end_close)
{
    struct scene s = {0};
    pid_t init = begin(&s, look_for_the_launchers_end, false);
    char two[2];

    ck_assert_int_eq(read(s.hear_fd, two, 2), 2);
    close(s.life[0]);
    ck_assert_int_eq(WEXITSTATUS(end_of(init)), 0);
}
END_TEST

SUITE("cage", the_keeper_is_alone_in_its_namespaces_and_its_end_is_passed_on,
      a_launcher_that_died_first_gets_no_keeper, killing_init_ends_every_process_of_the_run,
      the_keepers_end_is_the_end_of_every_process_of_the_run,
      the_keeper_sees_the_launchers_end_close)
