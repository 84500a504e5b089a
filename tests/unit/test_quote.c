/* test_quote: promises about the output of a job that is captured as JSON. */
#include "base/doc.h"
#include "channel/quote.h"
#include "channel/sink.h"
#include "tests/unit/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What quote_spool() makes of these bytes; borrowed until the next call. */
static const char *quoted(const void *data, size_t len)
{
    static char out[1 << 20];
    int in = memfd_create("in", MFD_CLOEXEC), to = memfd_create("out", MFD_CLOEXEC);
    ssize_t n;

    ck_assert_int_eq(write(in, data, len), (ssize_t)len);
    ck_assert_int_eq(quote_spool(in, to), 0);
    n = pread(to, out, sizeof(out) - 1, 0);
    ck_assert_int_ge(n, 2);
    out[n] = '\0';
    close(in);
    close(to);
    return out;
}

START_TEST(every_byte_that_could_fool_a_reader_is_escaped)
{
    static const struct {
        const char *in;
        size_t len;
        const char *out;
    } rows[] = {
        {"", 0, "\"\""},
        {"plain", 5, "\"plain\""},
        {"\"\\", 2, "\"\\u0022\\u005c\""},
        {"\033[2J", 4, "\"\\u001b[2J\""},
        {"a\0b", 3, "\"a\\u0000b\""},
        {"\xc3\xa9", 2, "\"\\u00e9\""},
        {"\xf0\x9f\x98\x80", 4, "\"\\ud83d\\ude00\""},
        {"\xff", 1, "\"\\ufffd\""},
        {"\xc0\xaf", 2, "\"\\ufffd\\ufffd\""},
        {"\xed\xa0\x80", 3, "\"\\ufffd\\ufffd\\ufffd\""},
        {"\xf0\x9f\x98", 3, "\"\\ufffd\\ufffd\\ufffd\""},
        {"\xf4\x90\x80\x80", 4, "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ck_assert_str_eq(quoted(rows[i].in, rows[i].len), rows[i].out);
}
END_TEST

START_TEST(a_character_across_two_pieces_stays_whole)
{
    static char in[40000];
    size_t len = 0;
    struct doc *d;
    struct err e;
    const char *text;

    in[len++] = 'x'; /* so that no piece of any even size ends between characters */
    while (len + 3 <= sizeof(in)) {
        memcpy(in + len, "\xe2\x82\xac", 3);
        len += 3;
    }
    text = quoted(in, len);
    ck_assert_ptr_null(strstr(text, "fffd"));
    ck_assert_uint_eq(strlen(text), 2 + 1 + (len - 1) / 3 * 6);
    ck_assert_int_eq(doc_parse(text, strlen(text), "t", &d, &e), 0);
    doc_free(d);
}
END_TEST

START_TEST(what_comes_after_the_cap_is_dropped_and_credited)
{
    static struct sink k;
    static uint8_t block[WIRE_WINDOW];
    int fd = memfd_create("out", MFD_CLOEXEC);
    int keep = dup(fd);

    memset(block, 'a', sizeof(block));
    sink_init(&k, fd, RELAY_FD_FILE, WIRE_WINDOW, 1000);
    for (int i = 0; i < 10; i++) {
        ck_assert(sink_put(&k, block, sizeof(block)));
        while (!sink_is_empty(&k))
            sink_write(&k);
        ck_assert_uint_eq(sink_take_credit(&k), sizeof(block));
    }
    ck_assert_int_eq(lseek(keep, 0, SEEK_END), 1000);
    ck_assert(!k.broken);
    ck_assert(sink_put(&k, block, sizeof(block)));
    ck_assert(!sink_put(&k, block, 1)); /* the window binds all the same */
    sink_done(&k);
    close(keep);
}
END_TEST

START_TEST(a_reader_that_went_away_is_no_fault_and_what_else_fails_is_one)
{
    static struct sink k;
    int pair[2];

    ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
    signal(SIGPIPE, SIG_IGN);
    sink_init(&k, dup(pair[0]), RELAY_FD_SHARED, WIRE_WINDOW, 0); /* that end takes nothing */
    ck_assert(sink_put(&k, (const uint8_t *)"x", 1));
    sink_write(&k);
    ck_assert(k.broken && k.failed == EBADF);
    close(pair[0]);
    sink_init(&k, pair[1], RELAY_FD_SHARED, WIRE_WINDOW, 0);
    ck_assert(sink_put(&k, (const uint8_t *)"x", 1));
    sink_write(&k);
    ck_assert(k.broken && k.failed == 0);
}
END_TEST

SUITE("quote", every_byte_that_could_fool_a_reader_is_escaped,
      a_character_across_two_pieces_stays_whole, what_comes_after_the_cap_is_dropped_and_credited,
      a_reader_that_went_away_is_no_fault_and_what_else_fails_is_one)
