/* test_budget: when a job is idle for too long, or has used too much, by the host's numbers. */
#include "run/budget.h"
#include "tests/unit/suite.h"

#define MS 1000000u /* ns */

/* Looks when it is told to until `until_ms`; each millisecond QEMU uses `cpu_ns`, and every
 * `moves_ms` a byte is moved. Returns the verdict and when. */
static enum budget_over watch(struct budget *b, uint64_t until_ms, uint64_t cpu_ns,
                              uint64_t moves_ms, uint64_t *ret_ms)
{
    uint64_t now = 1000;
    enum budget_over over = BUDGET_FINE;

    while (over == BUDGET_FINE && now - 1000 < until_ms) {
        over = budget_look(b, now, now * cpu_ns, moves_ms ? now / moves_ms : 0);
        *ret_ms = now - 1000;
        ck_assert_uint_gt(budget_next_ms(b, now), now);
        now = budget_next_ms(b, now);
    }
    return over;
}

START_TEST(a_job_is_idle_only_if_it_moves_nothing_and_qemu_is_still)
{
    static const struct {
        uint64_t cpu_ns, moves_ms;
        enum budget_over over;
    } rows[] = {
        {0, 0, BUDGET_IDLE},
        {MS / 100, 0, BUDGET_IDLE}, /* what a guest uses that does nothing */
        {MS / 10, 0, BUDGET_FINE},  /* works */
        {0, 900, BUDGET_FINE},      /* says something now and then */
        {0, 5000, BUDGET_IDLE},     /* but too seldom */
        {MS / 100, 900, BUDGET_FINE},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct budget b;
        uint64_t at = 0;

        budget_begin(&b, 2000, 0, 1);
        ck_assert_int_eq(watch(&b, 60000, rows[i].cpu_ns, rows[i].moves_ms, &at), rows[i].over);
        if (rows[i].over == BUDGET_IDLE && rows[i].moves_ms == 0)
            ck_assert_msg(at >= 2000 && at <= 2600, "row %zu: after %ju ms", i, (uintmax_t)at);
    }
}
END_TEST

START_TEST(what_a_kernel_does_now_and_then_is_no_work)
{
    struct budget b;
    uint64_t now = 0, cpu = 0;
    enum budget_over over = BUDGET_FINE;

    budget_begin(&b, 60000, 0, 1);
    for (; over == BUDGET_FINE && now < 100000; now += 1000, cpu += 10ull * MS)
        over = budget_look(&b, now, cpu += now % 20000 ? 0 : 90ull * MS, 0);
    ck_assert_int_eq(over, BUDGET_IDLE);
    ck_assert_uint_le(now, 63000);
}
END_TEST

START_TEST(a_look_that_comes_late_is_not_taken_for_idle_time)
{
    struct budget b;

    budget_begin(&b, 4000, 0, 1);
    ck_assert_int_eq(budget_look(&b, 1000, 0, 0), BUDGET_FINE);
    /* Paused for an hour, twice: two steps each. */
    ck_assert_int_eq(budget_look(&b, 3601000, 0, 0), BUDGET_FINE);
    ck_assert_int_eq(budget_look(&b, 7201000, 0, 0), BUDGET_FINE);
    ck_assert_uint_le(b.idle_ms, 2000);
}
END_TEST

START_TEST(what_was_written_just_now_counts_though_the_relay_says_so_later)
{
    struct budget b;
    uint64_t now = 0;

    budget_begin(&b, 800, 0, 1); /* steps of 100 */
    for (; now <= 700; now += 100)
        ck_assert_int_eq(budget_look(&b, now, 0, 0), BUDGET_FINE);
    /* It writes at 750: told at 900. */
    ck_assert_int_eq(budget_look(&b, 800, 0, 0), BUDGET_FINE);
    ck_assert_int_eq(budget_look(&b, 900, 0, 7), BUDGET_FINE);
    ck_assert_uint_eq(b.idle_ms, 0);
}
END_TEST

START_TEST(cpu_time_is_counted_from_the_jobs_start_and_looked_at_in_time)
{
    for (uint64_t cpus = 1; cpus <= 4; cpus++) {
        struct budget b;
        uint64_t at = 0;

        budget_begin(&b, 0, 3000, cpus);
        /* All CPUs work, since long before. */
        ck_assert_int_eq(watch(&b, 60000, cpus * MS, 0, &at), BUDGET_CPU);
        ck_assert_msg(at >= 3000 / cpus && at <= 3000 / cpus + 30, "%ju CPUs: after %ju ms",
                      (uintmax_t)cpus, (uintmax_t)at);
    }
}
END_TEST

START_TEST(a_qemu_that_is_a_new_one_begins_at_nothing)
{
    struct budget b;

    budget_begin(&b, 0, 1000, 1);
    budget_look(&b, 0, 5000ull * MS, 0);
    ck_assert_int_eq(budget_look(&b, 1000, 5400ull * MS, 0), BUDGET_FINE);
    ck_assert_int_eq(budget_look(&b, 2000, 300ull * MS, 0), BUDGET_FINE);
    ck_assert_int_eq(budget_look(&b, 3000, 600ull * MS, 0), BUDGET_CPU);
}
END_TEST

START_TEST(without_a_limit_nobody_looks)
{
    struct budget b;

    budget_begin(&b, 0, 0, 1);
    ck_assert(budget_next_ms(&b, 1) == UINT64_MAX);
}
END_TEST

SUITE("budget", a_job_is_idle_only_if_it_moves_nothing_and_qemu_is_still,
      what_a_kernel_does_now_and_then_is_no_work, a_look_that_comes_late_is_not_taken_for_idle_time,
      what_was_written_just_now_counts_though_the_relay_says_so_later,
      cpu_time_is_counted_from_the_jobs_start_and_looked_at_in_time,
      a_qemu_that_is_a_new_one_begins_at_nothing, without_a_limit_nobody_looks)
