/* test_timing: promises of the trace of a run. */
#include "run/timing.h"

#include "base/clock.h"
#include "base/own.h"
#include "base/str.h"
#include "tests/unit/suite.h"

#include <string.h>

START_TEST(what_nobody_names_is_in_the_step_after_it)
{
    const uint64_t began = clock_mono_us() - 5000000;
    struct timing t;

    timing_begin(&t, began);
    timing_note(&t, TIMING_PARSE);
    ck_assert_uint_ge(t.us[TIMING_PARSE], 5000000);
    timing_note(&t, TIMING_JOB);
    timing_note(&t, TIMING_PARSE);
    ck_assert_uint_eq(timing_whole_us(&t), t.at_us - began);
    ck_assert_uint_eq(t.us[TIMING_PARSE] + t.us[TIMING_JOB], t.at_us - began);
}
END_TEST

START_TEST(where_nothing_began_nothing_is_noted)
{
    struct timing t = {0};

    timing_note(&t, TIMING_DOWN);
    ck_assert_uint_eq(t.at_us, 0);
    ck_assert_uint_eq(timing_whole_us(&t), 0);
}
END_TEST

START_TEST(every_step_has_a_name_and_a_line)
{
    struct timing t = {.at_us = 1};
    own_free char *text = NULL, *json = NULL;
    own_doc struct doc *d = NULL;
    uint64_t sum = 0;

    for (int i = 0; i < TIMING_STEPS; i++)
        sum += t.us[i] = (uint64_t)(i + 1) * 1100;
    d = timing_to_doc(&t);
    json = doc_format(d, false);
    text = timing_to_text(&t);
    for (int i = 0; i < TIMING_STEPS; i++) {
        own_free char *line = str_printf("%-10s %9.1f ms\n", timing_step_name((enum timing_step)i),
                                         (double)t.us[i] / 1000);
        own_free char *pair =
            str_printf("\"%s\":%u", timing_step_name((enum timing_step)i), (unsigned)t.us[i]);

        ck_assert_msg(strstr(text, line) != NULL, "%s in %s", line, text);
        ck_assert_msg(strstr(json, pair) != NULL, "%s in %s", pair, json);
    }
    own_free char *whole = str_printf("\"whole\":%u}", (unsigned)sum);

    ck_assert_ptr_nonnull(strstr(json, whole));
}
END_TEST

SUITE("timing", what_nobody_names_is_in_the_step_after_it, where_nothing_began_nothing_is_noted,
      every_step_has_a_name_and_a_line)
