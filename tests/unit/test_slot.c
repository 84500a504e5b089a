/* test_slot: promises of the order in which guests begin. */
#include "run/slot.h"

#include "base/clock.h"
#include "base/own.h"
#include "tests/unit/suite.h"
#include "tests/unit/temp.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_MS 3600000u /* nobody waits for so long: a test that would ends as too late */

static char *path; /* of the file of this test */

static void begin_slots(void)
{
    begin();
    path = in_dir("starts");
}

static void end_slots(void)
{
    free(path);
    end();
}

/* -1 at once where there is none. */
static int try(unsigned n)
{
    return slot_take(&(struct slots){.path = path, .n = n, .held_ms = LONG_MS});
}

static int wait_for(unsigned n, uint64_t held_ms)
{
    return slot_take(
        &(struct slots){.path = path, .n = n, .held_ms = held_ms, .patience_ms = LONG_MS});
}

static uint64_t since(void)
{
    own_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint64_t at = 0;

    ck_assert_int_eq(pread(fd, &at, sizeof(at), 0), sizeof(at));
    return at;
}

static void set_since(uint64_t at)
{
    own_close int fd = open(path, O_WRONLY | O_CLOEXEC);

    ck_assert_int_eq(pwrite(fd, &at, sizeof(at), 0), sizeof(at));
}

/* A process that does nothing but to have what we have open. */
static pid_t start_holder(void)
{
    const pid_t parent = getpid();
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    while (pid == 0 && getppid() == parent)
        pause();
    if (pid == 0)
        _exit(0);
    return pid;
}

static void end_holder(pid_t pid)
{
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

START_TEST(so_many_begin_at_once_and_no_more)
{
    own_close int a = try(2), b = try(2), c = try(2);

    ck_assert_int_ge(a, 0);
    ck_assert_int_ge(b, 0);
    ck_assert_int_eq(c, -1);
    slot_give(&a);
    ck_assert_int_eq(a, -1);
    c = try(2);
    ck_assert_int_ge(c, 0);
    slot_give(&a); /* of nothing */
    ck_assert_int_eq(try(2), -1);
}
END_TEST

START_TEST(what_is_given_back_is_free_although_a_child_has_it_open)
{
    own_close int a = try(1), b = -1;
    pid_t child = start_holder();

    slot_give(&a);
    b = try(1);
    end_holder(child);
    ck_assert_int_ge(b, 0);
}
END_TEST

START_TEST(a_slot_of_a_process_that_died_is_free)
{
    own_close int a = try(1), b = -1;
    pid_t child = start_holder();

    close(own_steal_fd(a)); /* it is the child's alone now */
    ck_assert_int_eq(try(1), -1);
    end_holder(child);
    b = try(1);
    ck_assert_int_ge(b, 0);
}
END_TEST

START_TEST(who_waits_gets_what_is_given_back)
{
    own_close int a = try(1);
    int status;
    pid_t child = fork();

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        close(a);
        _exit(wait_for(1, LONG_MS) < 0);
    }
    slot_give(&a);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(who_holds_one_for_long_holds_up_one_after_the_other_no_more)
{
    own_close int a = try(1);
    uint64_t was;

    ck_assert_int_ge(a, 0);
    set_since(0);
    /* The first goes on at once, with none, and is now who began last. */
    was = clock_mono_ms();
    ck_assert_int_eq(wait_for(1, was), -1);
    ck_assert_uint_ge(since(), was);
    /* The next one waits again: not for as long as it is patient. */
    ck_assert_int_eq(wait_for(1, 20), -1);
    ck_assert_uint_ge(since(), was + 20);
}
END_TEST

START_TEST(a_time_of_before_the_machine_was_started_is_long_ago)
{
    own_close int a = try(1);

    ck_assert_int_ge(a, 0);
    set_since(UINT64_MAX);
    ck_assert_int_eq(wait_for(1, LONG_MS), -1);
    ck_assert_uint_lt(since(), UINT64_MAX);
}
END_TEST

START_TEST(where_there_can_be_no_file_nobody_waits)
{
    free(path);
    path = in_dir("nowhere/starts");
    ck_assert_int_eq(wait_for(1, LONG_MS), -1);
}
END_TEST

START_TEST(there_are_more_slots_than_processors)
{
    ck_assert_uint_ge(slot_count(), 2);
}
END_TEST

SUITE_WITH(begin_slots, end_slots, "slot", so_many_begin_at_once_and_no_more,
           what_is_given_back_is_free_although_a_child_has_it_open,
           a_slot_of_a_process_that_died_is_free, who_waits_gets_what_is_given_back,
           who_holds_one_for_long_holds_up_one_after_the_other_no_more,
           a_time_of_before_the_machine_was_started_is_long_ago,
           where_there_can_be_no_file_nobody_waits, there_are_more_slots_than_processors)
