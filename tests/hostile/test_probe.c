/*
 * test_probe: what the guest may say in place of the probe of `lazaret prove`, a row each: all of
 * it must be refused, but a text, which is shown escaped and cut.
 */
#include "run/prove.h"
#include "shared/probe.h"
#include "tests/hostile/rows.h"

#include "base/own.h"

#include <sys/mman.h>

static struct probe_row said[PROBE_LOOKS + 2]; /* the rows of a probe, and more */

static enum prove_probe probe = PROVE_JOB;

/* Hands over as many bytes; the result, and what became of it. */
static int hand_over(size_t len, bool armor, struct doc *list, struct err *e)
{
    own_close int fd = memfd_create("probe", MFD_CLOEXEC);

    ck_assert_int_eq(write(fd, said, len), (ssize_t)len);
    return prove_take_rows(fd, probe, armor, list, e);
}

static void refuse(size_t len)
{
    own_doc struct doc *list = doc_new_array();
    struct err e;

    ck_assert_int_eq(hand_over(len, true, list, &e), -1);
    ck_assert_int_eq(e.class, ERR_GUEST);
    ck_assert_str_eq(e.text, "the probe did not say what it saw");
}

static void probe_that_says_nothing(void)
{
    refuse(0);
}

static void probe_with_a_byte_missing(void)
{
    refuse(PROBE_LOOKS * sizeof(said[0]) - 1);
}

static void probe_with_a_row_missing(void)
{
    refuse((PROBE_LOOKS - 1) * sizeof(said[0]));
}

static void probe_with_a_byte_more(void)
{
    refuse(PROBE_LOOKS * sizeof(said[0]) + 1);
}

static void probe_with_a_row_more(void)
{
    refuse((PROBE_LOOKS + 1) * sizeof(said[0]));
}

static void probe_with_rows_without_end(void)
{
    refuse(sizeof(said));
}

static void probe_that_answers_for_another(void)
{
    probe = PROVE_DECLARED;
    refuse(PROBE_LOOKS * sizeof(said[0]));
}

static void declared_probe_with_a_row_missing(void)
{
    probe = PROVE_DECLARED;
    refuse((PROBE_DECLARED_LOOKS - 1) * sizeof(said[0]));
}

static void look_that_is_none(void)
{
    said[0].look = PROBE_LOOKS;
    refuse(PROBE_LOOKS * sizeof(said[0]));
}

static void look_of_all_ones(void)
{
    said[PROBE_LOOKS - 1].look = ~0u;
    refuse(PROBE_LOOKS * sizeof(said[0]));
}

static void look_twice(void)
{
    said[1].look = 0;
    refuse(PROBE_LOOKS * sizeof(said[0]));
}

static void looks_in_another_order(void)
{
    said[PROBE_SECCOMP].look = PROBE_MEMORY;
    said[PROBE_MEMORY].look = PROBE_SECCOMP;
    refuse(PROBE_LOOKS * sizeof(said[0]));
}

static void verdict_0(void)
{
    said[3].verdict = 0;
    refuse(PROBE_LOOKS * sizeof(said[0]));
}

static void verdict_after_the_last(void)
{
    said[3].verdict = PROBE_BROKEN + 1;
    refuse(PROBE_LOOKS * sizeof(said[0]));
}

static void verdict_of_all_ones(void)
{
    said[3].verdict = ~0u;
    refuse(PROBE_LOOKS * sizeof(said[0]));
}

/* What is shown of that row's text: the guest's word, and no byte of it raw. */
static void show(uint32_t row, char *shown, size_t size)
{
    own_doc struct doc *list = doc_new_array();
    const char *seen, *by;
    struct err e;

    ck_assert_msg(hand_over(PROBE_LOOKS * sizeof(said[0]), true, list, &e) == 0, "%s", e.text);
    ck_assert_uint_eq(doc_len(list), PROBE_LOOKS);
    ck_assert_int_eq(doc_get_str(doc_at(list, row), "seen", &seen, &e), 0);
    ck_assert_int_eq(doc_get_str(doc_at(list, row), "by", &by, &e), 0);
    ck_assert_str_eq(by, "guest");
    ck_assert_int_lt(snprintf(shown, size, "%s", seen), (int)size);
}

static void text_that_never_ends(void)
{
    char want[PROBE_TEXT_SIZE + 1] = {0}, shown[5 * PROBE_TEXT_SIZE];

    memset(said[5].text, 'a', sizeof(said[5].text)); /* and what comes next is a number */
    memset(want, 'a', PROBE_TEXT_SIZE);
    show(5, shown, sizeof(shown));
    ck_assert_str_eq(shown, want);
}

static void text_that_is_all_escapes(void)
{
    char shown[5 * PROBE_TEXT_SIZE];

    memset(said[5].text, '\033', sizeof(said[5].text));
    show(5, shown, sizeof(shown));
    ck_assert_uint_eq(strspn(shown, "\\x1b."), strlen(shown));
    ck_assert_ptr_nonnull(strstr(shown, "\\x1b\\x1b"));
}

static void text_of_two_lines(void)
{
    char shown[5 * PROBE_TEXT_SIZE];

    (void)strcpy(said[5].text, "no\nholds   2  all");
    show(5, shown, sizeof(shown));
    ck_assert_ptr_null(strchr(shown, '\n'));
    ck_assert_int_eq(strncmp(shown, "no\\", 3), 0);
}

/* This host gave the sandbox none: the guest does not say that it holds. */
static void armor_that_is_not_there_holds(void)
{
    own_doc struct doc *list = doc_new_array();
    const char *verdict;
    struct err e;

    ck_assert_int_eq(hand_over(PROBE_LOOKS * sizeof(said[0]), false, list, &e), 0);
    ck_assert_int_eq(doc_get_str(doc_at(list, PROBE_ARMOR), "verdict", &verdict, &e), 0);
    ck_assert_str_eq(verdict, "absent");
}

#define ROW(name)                                                                                  \
    {                                                                                              \
#name, name                                                                                \
    }

static const struct {
    const char *name;
    void (*go)(void);
} rows[] = {
    ROW(probe_that_says_nothing),
    ROW(probe_with_a_byte_missing),
    ROW(probe_with_a_row_missing),
    ROW(probe_with_a_byte_more),
    ROW(probe_with_a_row_more),
    ROW(probe_with_rows_without_end),
    ROW(probe_that_answers_for_another),
    ROW(declared_probe_with_a_row_missing),
    ROW(look_that_is_none),
    ROW(look_of_all_ones),
    ROW(look_twice),
    ROW(looks_in_another_order),
    ROW(verdict_0),
    ROW(verdict_after_the_last),
    ROW(verdict_of_all_ones),
    ROW(text_that_never_ends),
    ROW(text_that_is_all_escapes),
    ROW(text_of_two_lines),
    ROW(armor_that_is_not_there_holds),
};

static void tell(int row)
{
    for (uint32_t i = 0; i < COUNT(said); i++)
        said[i] = (struct probe_row){.look = i, .verdict = PROBE_HOLDS, .text = "so it is"};
    rows[row].go();
}

int main(void)
{
    TCase *tc = tcase_create("probe");

    for (size_t i = 0; i < COUNT(rows); i++)
        rows_add(tc, rows[i].name, tell, (int)i);
    return suite_run("probe", tc);
}
