/* test_record: promises of records: what was written is accepted, and nothing else. */
#include "base/clock.h"
#include "record/read.h"
#include "record/redact.h"
#include "tests/unit/record_make.h"
#include "tests/unit/suite.h"

/* ---- what others may do to it ---------------------------------------------------------------- */

START_TEST(a_record_as_it_was_written_is_whole)
{
    struct verify_report r;

    make_whole(true);
    r = look();
    ck_assert_msg(r.verdict == VERIFY_WHOLE, "%s", r.why);
    ck_assert_uint_eq(r.lines, 7);
    ck_assert_uint_eq(r.signed_lines, 7);
    ck_assert_uint_eq(r.heads, 3);
    ck_assert_str_eq(r.id, RUN_ID);
    end();
}
END_TEST

/* Each in turn; what is not UTF-8 or no JSON afterwards is wrong too. */
START_TEST(one_flipped_bit_is_refused_wherever_it_is)
{
    own_files struct files f = {0};
    struct sign_public key;

    make_whole(false);
    key = our_key();
    f = get_files();
    for (size_t i = 0; i < f.record_len; i++) {
        f.record[i] = (char)(f.record[i] ^ 1 << i % 8);
        ck_assert_int_eq(judge(&f, &key).verdict, VERIFY_REFUSED);
        f.record[i] = (char)(f.record[i] ^ 1 << i % 8);
    }
    ck_assert_int_eq(judge(&f, &key).verdict, VERIFY_WHOLE);
    end();
}
END_TEST

/* The offset of line `n`, which begins with 0. */
static size_t at(const char *text, unsigned n)
{
    const char *p = text;

    while (n-- > 0)
        p = strchr(p, '\n') + 1;
    return (size_t)(p - text);
}

/* Writes the record's lines in this order; 'x' is one that somebody made up. */
static void reorder(const char *name, const char *text, const char *order)
{
    static const char made_up[] = "{\"seq\":3,\"time\":\"2026-11-27T14:22:15.000000000Z\",\"by\":"
                                  "\"host\",\"type\":\"exec\",\"prev\":\"" RECORD_NO_HASH "\"}\n";
    own_str struct str out = {0};

    for (; *order; order++) {
        unsigned n = (unsigned)(*order - '0');

        if (*order == 'x')
            str_add(&out, made_up);
        else
            str_add_bytes(&out, text + at(text, n), at(text, n + 1) - at(text, n));
    }
    set(name, out.data ? out.data : "", out.len);
}

START_TEST(lines_swapped_dropped_inserted_or_cut_are_refused)
{
    static const struct {
        const char *order, *why;
    } rows[] = {
        {"0132456", "line 3 has number 3"},
        {"1023456", "line 1 has number 1"},
        {"0123465", "line 6 has number 6"},
        {"012456", "line 4 has number 4"},
        {"123456", "line 1 has number 1"},
        {"0123356", "line 5 has number 3"},
        {"012x3456", "line 4 does not follow"},
        {"0123456x", "line 8 has number 3"},
        {"01234566", "line 8 has number 6"},
        {"012345", "ends with line 6, and line 7 was signed"},
        {"01234", "ends with line 5, and line 7 was signed"},
        {"0", "ends with line 1, and line 2 was signed"},
        {"", "it is empty"},
    };
    own_free char *text = NULL;
    size_t len;

    make_whole(true);
    text = get(RECORD, &len);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        reorder(RECORD, text, rows[i].order);
        says(VERIFY_REFUSED, rows[i].why);
    }
    end();
}
END_TEST

START_TEST(every_cut_is_refused)
{
    own_files struct files f = {0};
    struct sign_public key;

    make_whole(false);
    key = our_key();
    f = get_files();
    while (f.record_len-- > 0)
        ck_assert_int_eq(judge(&f, &key).verdict, VERIFY_REFUSED);
    f.record_len = 0;
    end();
}
END_TEST

START_TEST(an_older_one_in_its_place_is_refused)
{
    own_ledger struct ledger l = {.fd = -1};
    own_record struct record *r = NULL;
    own_free char *older = NULL, *oldest = NULL;
    size_t len, oldest_len;

    begin();
    l = prepare();
    r = start_record(RUN_ID, &l);
    oldest = get(RECORD, &oldest_len);
    go_on(r, &l);
    older = get(RECORD, &len);
    says(VERIFY_INCOMPLETE, "5 of its 5 lines are signed");
    finish(r, &l);
    says(VERIFY_WHOLE, "");
    set(RECORD, older, len);
    says(VERIFY_REFUSED, "lines are missing, or it is an older one");
    set(RECORD, oldest, oldest_len);
    says(VERIFY_REFUSED, "lines are missing, or it is an older one");
    end();
}
END_TEST

/* With the ledger cut back too there is nothing left that knows more; it is no whole one, though.
 */
START_TEST(one_cut_back_with_its_ledger_is_never_whole)
{
    own_free char *text = NULL, *heads = NULL;
    size_t len, heads_len;

    make_whole(true);
    text = get(RECORD, &len);
    heads = get(HEADS, &heads_len);
    reorder(RECORD, text, "01234");
    reorder(HEADS, heads, "01");
    says(VERIFY_INCOMPLETE, "");
    reorder(RECORD, text, "0123456");
    says(VERIFY_INCOMPLETE, "5 of its 7 lines are signed");
    end();
}
END_TEST

START_TEST(a_line_behind_the_end_is_refused)
{
    own_ledger struct ledger l = {.fd = -1};
    own_record struct record *r = NULL;
    own_close int records = -1;
    own_free char *text = NULL;
    size_t len;

    make_whole(true);
    text = get(RECORD, &len);
    OK(ledger_open(dir, &l, &err));
    records = open_records();
    OK(record_resume(records, RUN_ID, "destroyed", &r, &err));
    OK(record_add(r, RECORD_HOST, "exec", NULL, &err));
    says(VERIFY_REFUSED, "goes on behind its end");
    OK(record_sign(r, &l, RECORD_SIGN_CLOSED, &err));
    says(VERIFY_REFUSED, "contradict");
    end();
}
END_TEST

START_TEST(another_key_is_refused)
{
    own_free char *path = NULL;
    struct sign_public other;
    struct verify_report r;

    make_whole(true);
    path = in_dir("other");
    OK(sign_key_make(path, &other, &err));
    r = look_with(&other, RUN_ID);
    ck_assert_int_eq(r.verdict, VERIFY_REFUSED);
    ck_assert_ptr_nonnull(strstr(r.why, "another key"));
    end();
}
END_TEST

/* Made anew from its first line, by one who can write everything but has another key. */
START_TEST(one_that_was_forged_with_another_key_is_refused)
{
    struct sign_public key;
    struct verify_report r;

    make_whole(true);
    key = our_key();
    end();
    make_whole(true);
    r = look_with(&key, RUN_ID);
    ck_assert_int_eq(r.verdict, VERIFY_REFUSED);
    ck_assert_ptr_nonnull(strstr(r.why, "another key"));
    end();
}
END_TEST

START_TEST(the_record_of_another_run_is_refused)
{
    struct sign_public key;
    struct verify_report r;

    make_whole(true);
    key = our_key();
    r = look_with(&key, "20261127-142215-000000");
    ck_assert_int_eq(r.verdict, VERIFY_REFUSED);
    ck_assert_ptr_nonnull(strstr(r.why, "not of '20261127-142215-000000'"));
    end();
}
END_TEST

START_TEST(a_ledger_that_was_changed_is_refused)
{
    static const char *const orders[] = {"1", "10", "00", "0x1", "011"};
    own_files struct files f = {0};
    struct sign_public key;

    make_whole(false);
    key = our_key();
    f = get_files();
    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        reorder(HEADS, f.heads, orders[i]);
        ck_assert_int_eq(look().verdict, VERIFY_REFUSED);
    }
    for (size_t i = 0; i < f.heads_len; i++) {
        bool newline = i == f.heads_len - 1;

        f.heads[i] = (char)(f.heads[i] ^ 1 << i % 8);
        /* Without its newline the last line is not there yet. */
        ck_assert_int_eq(judge(&f, &key).verdict, newline ? VERIFY_INCOMPLETE : VERIFY_REFUSED);
        f.heads[i] = (char)(f.heads[i] ^ 1 << i % 8);
    }
    f.heads_len = 0;
    ck_assert_int_eq(judge(&f, &key).verdict, VERIFY_REFUSED);
    end();
}
END_TEST

/* ---- how it is written ----------------------------------------------------------------------- */

START_TEST(one_whose_writer_was_killed_is_incomplete)
{
    own_ledger struct ledger l = {.fd = -1};
    own_record struct record *r = NULL;
    own_free char *text = NULL;
    size_t len;

    begin();
    l = prepare();
    r = start_record(RUN_ID, &l);
    says(VERIFY_INCOMPLETE, "the last is 'image'");
    OK(record_add(r, RECORD_HOST, "exec", one_number(1), &err));
    says(VERIFY_INCOMPLETE, "2 of its 3 lines are signed");
    /* In the middle of a line. */
    text = get(RECORD, &len);
    set(RECORD, text, len - 9);
    says(VERIFY_INCOMPLETE, "2 of its 2 lines are signed");
    end();
}
END_TEST

START_TEST(a_record_goes_on_where_it_was_and_not_after_a_change)
{
    own_close int records = -1;
    own_free char *text = NULL;
    struct record *r;
    size_t len;

    begin();
    {
        own_ledger struct ledger l = prepare();
        own_record struct record *first = start_record(RUN_ID, &l);
        own_record struct record *second = NULL;

        OK(record_add(first, RECORD_HOST, "end", NULL, &err));
        records = open_records();
        /* One at a time. */
        ck_assert_int_eq(record_resume(records, RUN_ID, "end", &second, &err), -1);
        record_free(own_steal_ptr(first));
        OK(record_resume(records, RUN_ID, "end", &second, &err));
        OK(record_add(second, RECORD_HOST, "destroyed", NULL, &err));
        OK(record_sign(second, &l, RECORD_SIGN_CLOSED, &err));
    }
    says(VERIFY_WHOLE, "");
    ck_assert_int_eq(record_resume(records, RUN_ID, "end", &r, &err), -1);
    text = get(RECORD, &len);
    text[len / 2] ^= 1;
    set(RECORD, text, len);
    ck_assert_int_eq(record_resume(records, RUN_ID, "destroyed", &r, &err), -1);
    end();
}
END_TEST

START_TEST(the_ledger_goes_on_after_a_line_that_was_cut_off)
{
    own_free char *text = NULL, *cut = NULL;
    size_t len;

    begin();
    {
        own_ledger struct ledger l = prepare();
        own_record struct record *r = start_record(RUN_ID, &l);

        text = get(HEADS, &len);
        cut = str_printf("%s%.*s", text, (int)len / 2, text);
        put(HEADS, cut);
        go_on(r, &l);
        finish(r, &l);
    }
    says(VERIFY_WHOLE, "");
    end();
}
END_TEST

struct count {
    uint64_t by_type[3], dropped; /* words, exec, dropped */
    bool long_line;
};

static int count_line(const struct record_line *line, void *arg, struct err *e)
{
    struct count *c = arg;
    uint64_t n = 0;

    (void)e;
    c->by_type[0] += strcmp(line->type, "words") == 0;
    c->by_type[1] += strcmp(line->type, "exec") == 0;
    c->by_type[2] += strcmp(line->type, "dropped") == 0;
    if (strcmp(line->type, "dropped") == 0) {
        OK(doc_get_u64(line->d, "guest", &n, e));
        c->dropped += n;
        OK(doc_get_u64(line->d, "host", &n, e));
        c->dropped += n;
    }
    return 0;
}

static struct count count_lines(void)
{
    own_free char *path = in_dir(RECORD);
    own_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct count c = {0};
    enum record_ends ends;
    char why[128];

    OK(record_read(fd, count_line, &c, &ends, why, sizeof(why), &err));
    ck_assert_int_eq(ends, RECORD_ENDS_WELL);
    return c;
}

START_TEST(a_flood_of_the_guests_is_capped_and_counted)
{
    const uint64_t sent = 10000;
    uint64_t began = clock_mono_ms(), took;
    struct count c;

    begin();
    {
        own_ledger struct ledger l = prepare();
        own_record struct record *r = start_record(RUN_ID, &l);

        for (uint64_t i = 0; i < sent; i++)
            OK(record_add(r, RECORD_GUEST, "words", one_number(i), &err));
        took = clock_mono_ms() - began;
        finish(r, &l);
    }
    c = count_lines();
    ck_assert_uint_eq(c.by_type[0] + c.dropped, sent);
    ck_assert_uint_ge(c.by_type[0], RECORD_BURST);
    ck_assert_uint_le(c.by_type[0], RECORD_BURST + (took + 1) * RECORD_RATE / 1000 + 1);
    ck_assert_uint_eq(c.by_type[2], 1);
    says(VERIFY_WHOLE, "");
    end();
}
END_TEST

START_TEST(a_record_that_is_full_still_says_how_it_ended)
{
    const uint64_t sent = 1000, most = 50000;
    own_free char *path = NULL;
    struct count c;
    struct stat st;

    begin();
    {
        own_ledger struct ledger l = prepare();
        own_record struct record *r = start_record(RUN_ID, &l);

        record_bound(r, most);
        for (uint64_t i = 0; i < sent; i++)
            OK(record_add(r, RECORD_HOST, "exec", one_number(i), &err));
        finish(r, &l);
    }
    c = count_lines();
    ck_assert_uint_eq(c.by_type[1] + c.dropped, sent);
    ck_assert_uint_gt(c.dropped, 0);
    ck_assert_uint_eq(c.by_type[2], 1);
    path = in_dir(RECORD);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_le((uint64_t)st.st_size, most + 3 * 512);
    says(VERIFY_WHOLE, "");
    end();
}
END_TEST

START_TEST(a_line_that_is_too_long_is_cut_and_said)
{
    own_free char *big = malloc(RECORD_LINE_MAX + 1), *text = NULL;
    size_t len;

    ck_assert_ptr_nonnull(big);
    memset(big, 'x', RECORD_LINE_MAX);
    big[RECORD_LINE_MAX] = '\0';
    begin();
    {
        own_ledger struct ledger l = prepare();
        own_record struct record *r = start_record(RUN_ID, &l);
        struct doc *d = doc_new_object();

        doc_set_str(d, "text", big);
        OK(record_add(r, RECORD_HOST, "exec", d, &err));
        finish(r, &l);
    }
    text = get(RECORD, &len);
    ck_assert_ptr_nonnull(
        strstr(text, "\"type\":\"exec\",\"cut\":{\"bytes\":262153,\"sha256\":\""));
    says(VERIFY_WHOLE, "");
    end();
}
END_TEST

START_TEST(what_a_policy_does_not_want_is_out_before_the_line_is_hashed)
{
    struct strv patterns = {0};
    own_free char *text = NULL;
    size_t len;

    strv_add(&patterns, "sk-*");
    strv_add(&patterns, "my own name");
    strv_add(&patterns, "lazaret*");
    strv_add(&patterns, "2026*");
    begin();
    {
        own_ledger struct ledger l = prepare();
        own_close int records = open_records();
        own_record struct record *r = NULL;
        struct doc *d = doc_new_object();
        const char *argv[] = {"curl", "-H", "Bearer sk-0123/xyz yes", NULL};

        OK(record_create(records, RUN_ID, &patterns, &r, &err));
        OK(record_add(r, RECORD_HOST, "begin", begin_members(), &err));
        doc_set_strv(d, "argv", argv);
        OK(record_add(r, RECORD_HOST, "exec", d, &err));
        OK(record_add_file(r, "policy", "p.json", "{\"a\": \"my own name\"}", true, &err));
        OK(record_add_file(r, "policy", "q.json", "my own name", false, &err));
        finish(r, &l);
    }
    text = get(RECORD, &len);
    ck_assert_ptr_nonnull(strstr(text, "\"Bearer [redacted] yes\""));
    ck_assert_ptr_nonnull(strstr(text, "{\\\"a\\\": \\\"[redacted]\\\"}"));
    ck_assert_ptr_nonnull(strstr(text, "\"redacted\":true"));
    ck_assert_ptr_nonnull(
        strstr(text, "\"q.json\",\"bytes\":11,\"sha256\":"
                     "\"b9c26ab30b5e6ca6b7bc3dc4c3702d1294eba3e80f90aa4d00f4ddcf126272d1\""
                     ",\"prev\":"));
    ck_assert_ptr_null(strstr(text, "0123/xyz"));
    ck_assert_ptr_null(strstr(text, "my own"));
    says(VERIFY_WHOLE, "");
    strv_done(&patterns);
    end();
}
END_TEST

START_TEST(a_pattern_takes_what_it_names)
{
    static const struct {
        const char *pattern, *text, *want; /* NULL: nothing is found */
    } rows[] = {
        {"abc", "xabcx abc", "x[redacted]x [redacted]"},
        {"abc", "ab c", NULL},
        {"ab*", "abcd ef", "[redacted] ef"},
        {"ab*", "ab", "[redacted]"},
        {"ab*z", "abyz z", "[redacted] z"},
        {"ab*z", "aby z", NULL},
        {"ab*\"x", "ab12\"x", "[redacted]"},
        {"ab*c*e", "ab1c2e3", "[redacted]3"},
        {"k=*", "\"k=1\"", "\"[redacted]\""},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct strv one = {0};
        own_free char *got = NULL;

        OK(redact_check(rows[i].pattern, &err));
        strv_add(&one, rows[i].pattern);
        got = redact_text(&one, rows[i].text);
        if (rows[i].want)
            ck_assert_str_eq(got, rows[i].want);
        else
            ck_assert_ptr_null(got);
        strv_done(&one);
    }
    ck_assert_int_eq(redact_check("*", &err), -1);
    ck_assert_int_eq(redact_check("a*", &err), -1);
    ck_assert_int_eq(redact_check("", &err), -1);
}
END_TEST

START_TEST(names_that_are_no_records_make_none)
{
    static const char *const names[] = {"", ".", "..", "../x", "a/b", "-x", "a b", "a\nb"};
    own_ledger struct ledger l = {.fd = -1};
    own_close int records = -1;
    struct record *r;

    begin();
    l = prepare();
    records = open_records();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        ck_assert_int_eq(record_create(records, names[i], NULL, &r, &err), -1);
    end();
}
END_TEST

SUITE("record", a_record_as_it_was_written_is_whole, one_flipped_bit_is_refused_wherever_it_is,
      lines_swapped_dropped_inserted_or_cut_are_refused, every_cut_is_refused,
      an_older_one_in_its_place_is_refused, one_cut_back_with_its_ledger_is_never_whole,
      a_line_behind_the_end_is_refused, another_key_is_refused,
      one_that_was_forged_with_another_key_is_refused, the_record_of_another_run_is_refused,
      a_ledger_that_was_changed_is_refused, one_whose_writer_was_killed_is_incomplete,
      a_record_goes_on_where_it_was_and_not_after_a_change,
      the_ledger_goes_on_after_a_line_that_was_cut_off, a_flood_of_the_guests_is_capped_and_counted,
      a_record_that_is_full_still_says_how_it_ended, a_line_that_is_too_long_is_cut_and_said,
      what_a_policy_does_not_want_is_out_before_the_line_is_hashed, a_pattern_takes_what_it_names,
      names_that_are_no_records_make_none)
