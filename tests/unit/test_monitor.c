/* test_monitor: promises about what QEMU, which a guest may have taken over, answers a question. */
#include "hv/hv_private.h"
#include "tests/unit/suite.h"

#include "base/own.h"

#include <string.h>

static struct err err;

START_TEST(what_qemu_answers_is_bounded_checked_and_escaped)
{
    static const struct {
        const char *answer, *want; /* in the error, NULL: there is none */
    } rows[] = {
        {"{\"return\": {}}", NULL},
        {"", "QEMU's answer"},
        {"{\"return\": ", "QEMU's answer"},
        {"{\"error\": {\"desc\": \"\\u001b[2J no\"}}", "\\x1b[2J no"},
        {"{\"error\": {}}", "no reason given"},
        {"{\"error\": 7}", "no reason given"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int rc = hv_check_reply(rows[i].answer, "ask", NULL, &err);

        ck_assert_msg((rc == 0) == !rows[i].want, "row %zu: %d", i, rc);
        ck_assert_msg(rc == 0 || (err.class == ERR_HOST && strstr(err.text, rows[i].want)),
                      "row %zu: %s", i, err.text);
    }
}
END_TEST

START_TEST(an_answer_that_is_too_long_is_refused_unread)
{
    const size_t len = 1u << 20;
    own_free char *answer = malloc(len + 1);

    ck_assert_ptr_nonnull(answer);
    memset(answer, '[', len);
    answer[len] = '\0';
    ck_assert_int_eq(hv_check_reply(answer, "ask", NULL, &err), -1);
    ck_assert_msg(strstr(err.text, "too long"), "%s", err.text);
    answer[200000] = '\0'; /* so deep */
    ck_assert_int_eq(hv_check_reply(answer, "ask", NULL, &err), -1);
    ck_assert_int_eq(err.class, ERR_HOST);
}
END_TEST

SUITE("monitor", what_qemu_answers_is_bounded_checked_and_escaped,
      an_answer_that_is_too_long_is_refused_unread)
