/* test_report: promises of the page: all of a record, and no byte of it as markup. */
#include "tests/unit/report_make.h"
#include "tests/unit/suite.h"

static size_t count(const char *page, const char *what)
{
    size_t n = 0;

    for (const char *p = page; (p = strstr(p, what)); p += strlen(what))
        n++;
    return n;
}

START_TEST(text_of_a_record_is_never_markup)
{
    static const char text[] = "<b id='x'>&amp;\"</td></style></pre>";
    own_free char *plain = NULL, *hostile = NULL;

    begin();
    hostile = page_with(text);
    end();
    begin();
    plain = page_with("plain");
    end();
    ck_assert(!strstr(hostile, "<b id"));
    ck_assert_uint_eq(count(hostile, "&lt;b id=&#39;x&#39;&gt;&amp;amp;&quot;&lt;/td&gt;"),
                      count(plain, "plain"));
    /* Not one tag or quote more than with text that has none. */
    ck_assert_uint_eq(count(hostile, "<"), count(plain, "<"));
    ck_assert_uint_eq(count(hostile, ">"), count(plain, ">"));
    ck_assert_uint_eq(count(hostile, "\""), count(plain, "\""));
}
END_TEST

START_TEST(text_that_would_hide_or_turn_what_is_there_is_shown_by_number)
{
    own_free char *page = NULL;

    begin();
    page = page_with("a\u202e\u200b\ufeff\xc2\x85z \u00fc");
    end();
    ck_assert(strstr(page, "a\\u{202e}\\u{200b}\\u{feff}\\u{85}z \u00fc"));
    ck_assert(!strstr(page, "\u202e"));
}
END_TEST

START_TEST(the_page_has_every_part_of_the_record)
{
    static const char *const parts[] = {
        "Commands",
        "What happened",
        "Resources",
        "Refused in the guest",
        "Egress",
        "Alerts",
        "What changed on its disk",
        "What came out",
        "Layers of",
        "What decided it",
        "How this was checked",
        "something-new",
        "CPUs",
        "MiB",
        "incomplete",
    };
    own_free char *page = NULL;

    begin();
    page = page_with("plain");
    end();
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        ck_assert_msg(strstr(page, parts[i]), "'%s' is not in the page", parts[i]);
    ck_assert(!strstr(page, "<script"));
    ck_assert(!strstr(page, "src="));
    ck_assert(!strstr(page, "href="));
}
END_TEST

START_TEST(the_page_of_a_record_that_is_not_the_hosts_says_so)
{
    own_free char *text = NULL, *page = NULL;
    size_t len;

    make_whole(true);
    page = page_of_record();
    ck_assert(strstr(page, "The record is whole"));
    free(page);
    text = get(RECORD, &len);
    text[len - 3] ^= 1;
    set(RECORD, text, len);
    page = page_of_record();
    ck_assert(strstr(page, "The record is refused"));
    ck_assert(!strstr(page, "The record is whole"));
    end();
}
END_TEST

START_TEST(more_rows_than_a_table_may_have_are_counted)
{
    own_ledger struct ledger l = {.fd = -1};
    own_record struct record *r = NULL;
    own_free char *page = NULL;

    begin();
    l = prepare();
    r = start_record(RUN_ID, &l);
    for (unsigned i = 0; i < REPORT_ROWS + 7; i++)
        OK(record_add(r, RECORD_HOST, "output", texts("f", KEYS("guest_name")), &err));
    page = page_of_record();
    end();
    ck_assert(strstr(page, "<p>7 more are in the record.</p>"));
}
END_TEST

SUITE("report", text_of_a_record_is_never_markup,
      text_that_would_hide_or_turn_what_is_there_is_shown_by_number,
      the_page_has_every_part_of_the_record, the_page_of_a_record_that_is_not_the_hosts_says_so,
      more_rows_than_a_table_may_have_are_counted)
