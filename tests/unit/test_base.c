/* test_base: promises of vmm/base. */
#include "base/digest.h"
#include "base/doc.h"
#include "base/err.h"
#include "base/file.h"
#include "base/landlock.h"
#include "base/own.h"
#include "base/spawn.h"
#include "base/str.h"
#include "tests/unit/suite.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

START_TEST(wrapping_an_error_keeps_its_class_and_cuts_its_text)
{
    struct err e;
    char big[3000];

    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    ck_assert_int_eq(err_set(&e, ERR_IMAGE, "%s", big), -1);
    err_wrap(&e, "image 'a'");
    ck_assert_int_eq(e.class, ERR_IMAGE);
    ck_assert(strncmp(e.text, "image 'a': xxx", 14) == 0);
    ck_assert_uint_lt(strlen(e.text), ERR_TEXT_MAX);
}
END_TEST

START_TEST(escapes_everything_that_is_not_plain)
{
    static const struct {
        const char *in;
        size_t len;
        const char *out;
    } rows[] = {
        {"plain text", 10, "plain text"},      {"\033[2J\n", 5, "\\x1b[2J\\x0a"},
        {"back\\slash", 10, "back\\x5cslash"}, {"a\0b", 3, "a\\x00b"},
        {"\xc3\xa9", 2, "\\xc3\\xa9"},
    };
    char out[64], tight[8];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        str_escape(out, sizeof(out), rows[i].in, rows[i].len);
        ck_assert_str_eq(out, rows[i].out);
        ck_assert(str_is_printable(out, sizeof(out)));
    }
    str_escape(tight, sizeof(tight), "abcdefghijk", 11);
    ck_assert_str_eq(tight, "abcd...");
    str_escape(tight, sizeof(tight), "abcdefg", 7);
    ck_assert_str_eq(tight, "abcdefg");
}
END_TEST

START_TEST(parses_sizes_and_refuses_what_is_not_one)
{
    static const struct {
        const char *text;
        uint64_t bytes; /* 0: refused */
    } rows[] = {
        {"1", 1},
        {"512M", 536870912},
        {"1g", 1073741824},
        {"2MiB", 2097152},
        {"", 0},
        {"-1", 0},
        {" 1", 0},
        {"1.5M", 0},
        {"1X", 0},
        {"1MM", 0},
        {"0", 0},
        {"99999999999999999999", 0},
        {"17179869184T", 0},
    };
    struct err e;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t bytes = 0;
        int rc = str_parse_size(rows[i].text, "--memory", 1, UINT64_MAX, &bytes, &e);

        ck_assert_msg(rc == (rows[i].bytes ? 0 : -1), "'%s'", rows[i].text);
        ck_assert_msg(bytes == rows[i].bytes, "'%s'", rows[i].text);
        if (rc < 0)
            ck_assert_int_eq(e.class, ERR_USAGE);
    }
}
END_TEST

START_TEST(parses_durations)
{
    struct err e;
    uint64_t ms = 0;

    ck_assert_int_eq(str_parse_duration("3", "--timeout", 100000, &ms, &e), 0);
    ck_assert_uint_eq(ms, 3000);
    ck_assert_int_eq(str_parse_duration("1.5s", "--timeout", 100000, &ms, &e), 0);
    ck_assert_uint_eq(ms, 1500);
    ck_assert_int_eq(str_parse_duration("250ms", "--timeout", 100000, &ms, &e), 0);
    ck_assert_uint_eq(ms, 250);
    ck_assert_int_eq(str_parse_duration("0", "--timeout", 100000, &ms, &e), -1);
    ck_assert_int_eq(str_parse_duration("2h", "--timeout", 100000, &ms, &e), -1);
    ck_assert_int_eq(str_parse_duration("soon", "--timeout", 100000, &ms, &e), -1);
}
END_TEST

START_TEST(json_readers_name_the_key_that_is_wrong)
{
    struct err e;
    own_doc struct doc *d = NULL;
    const char *text = "{\"a\": 1, \"b\": \"x\", \"n\": -1}";
    const char *only[] = {"a", "b", NULL};
    const char *s;
    uint64_t n = 0;

    ck_assert_int_eq(doc_parse(text, strlen(text), "t", &d, &e), 0);
    ck_assert_int_eq(doc_get_u64(d, "a", &n, &e), 0);
    ck_assert_uint_eq(n, 1);
    ck_assert_int_eq(doc_get_str(d, "a", &s, &e), -1);
    ck_assert(strstr(e.text, "'a'"));
    ck_assert_int_eq(doc_get_u64(d, "n", &n, &e), -1);
    ck_assert_int_eq(doc_get_str(d, "missing", &s, &e), -1);
    ck_assert(strstr(e.text, "'missing'"));
    ck_assert_int_eq(doc_only_keys(d, only, &e), -1);
    ck_assert(strstr(e.text, "'n'"));
}
END_TEST

START_TEST(refuses_text_that_is_not_one_json_value)
{
    static const char *const bad[] = {"",
                                      "{",
                                      "{}x",
                                      "{a:1}",
                                      "[1,]",
                                      "{\"a\":\"\xff\"}",
                                      "[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]"};
    struct err e;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct doc *d = NULL;

        ck_assert_msg(doc_parse(bad[i], strlen(bad[i]), "t", &d, &e) == -1, "%s", bad[i]);
    }
    for (size_t nul = 0; nul < 9; nul++) {
        char text[] = "{\"a\":1} \n";
        struct doc *d = NULL;

        text[nul] = '\0';
        ck_assert_int_eq(doc_parse(text, sizeof(text) - 1, "t", &d, &e), -1);
    }
}
END_TEST

START_TEST(writes_files_whole_and_reads_no_links)
{
    char dir[] = "/tmp/lz-test-XXXXXX";
    struct err e;
    own_close int fd = -1;
    own_free char *data = NULL;
    size_t len = 0;
    bool empty = false;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(file_open_dir(dir, &fd, &e), 0);
    ck_assert_int_eq(file_write(fd, "a", "one", 3, 0600, &e), 0);
    ck_assert_int_eq(file_write_brief(fd, "a", "three", 5, 0600, &e), 0);
    ck_assert_int_eq(file_read(fd, "a", 100, &data, &len, &e), 0);
    ck_assert_str_eq(data, "three");
    ck_assert_int_eq(symlinkat("a", fd, "link"), 0);
    own_free char *never = NULL;
    ck_assert_int_eq(file_read(fd, "link", 100, &never, NULL, &e), -1);
    ck_assert_int_eq(file_read(fd, "a", 4, &never, NULL, &e), -1);
    ck_assert_int_eq(mkdirat(fd, "d", 0700), 0);
    ck_assert_int_eq(file_write(fd, "d/b", "x", 1, 0600, &e), 0);
    ck_assert_int_eq(file_remove_tree(fd, "d", &e), 0);
    ck_assert_int_eq(file_remove_tree(fd, "d", &e), 0);
    ck_assert_int_eq(file_remove_tree(fd, "link", &e), 0);
    ck_assert_int_eq(file_remove_tree(fd, "a", &e), 0);
    ck_assert_int_eq(file_dir_is_empty(fd, &empty, &e), 0);
    ck_assert(empty);
    ck_assert_int_eq(file_remove_tree(AT_FDCWD, dir, &e), 0);
}
END_TEST

/* Between file systems, too: one of the files is in memory. */
START_TEST(a_copy_has_the_data_in_its_places_and_the_holes)
{
    char dir[] = "/tmp/lz-test-XXXXXX";
    const off_t places[] = {0, 1 << 20, (64 << 20) - 4096};
    own_close int fd = -1, from = memfd_create("from", MFD_CLOEXEC);
    struct err e;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(file_open_dir(dir, &fd, &e), 0);
    ck_assert_int_eq(ftruncate(from, 64 << 20), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pwrite(from, "data", 4, places[i]), 4);
    for (int i = 0; i < 2; i++) { /* out of memory, then beside it */
        const char *name = i ? "b" : "a";
        own_close int to = openat(fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        char buf[8] = "";
        struct stat st;

        ck_assert_int_eq(file_copy_sparse(from, to), 0);
        ck_assert_int_eq(fstat(to, &st), 0);
        ck_assert_int_eq(st.st_size, 64 << 20);
        ck_assert_int_lt(st.st_blocks * 512, 16 << 20);
        for (int j = 0; j < 3; j++) {
            ck_assert_int_eq(pread(to, buf, 4, places[j]), 4);
            ck_assert_str_eq(buf, "data");
        }
        close(from);
        from = own_steal_fd(to);
    }
    ck_assert_int_eq(file_remove_tree(AT_FDCWD, dir, &e), 0);
}
END_TEST

START_TEST(a_child_gets_the_fds_that_it_was_told_and_no_other)
{
    const char *argv[] = {"sh", "-c", "ls /proc/self/fd | tr '\\n' ' '; cat <&3", NULL};
    own_close int extra = open("/dev/zero", O_RDONLY);
    int empty = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct spawn s = {.argv = argv, .stdio = {-1, -1, -1}, .fds = &empty, .n_fds = 1};
    own_free char *out = NULL;
    struct err e;

    ck_assert_msg(spawn_tool(&s, NULL, 10000, &out, &e) == 0, "%s", e.text);
    ck_assert_str_eq(out, "0 1 2 3 4 "); /* 4 is the folder that ls reads */
    close(empty);
    (void)extra;
}
END_TEST

START_TEST(a_tool_that_fails_or_hangs_or_is_missing_is_told_apart)
{
    const char *fails[] = {"sh", "-c", "echo first >&2; echo why >&2; exit 3", NULL};
    const char *hangs[] = {"sleep", "100", NULL};
    const char *missing[] = {"no-such-tool-at-all", NULL};
    struct spawn s = {.argv = fails, .stdio = {-1, -1, -1}};
    struct err e;

    ck_assert_int_eq(spawn_tool(&s, NULL, 10000, NULL, &e), -1);
    ck_assert_str_eq(e.text, "'sh' failed with status 3: why");
    s.argv = hangs;
    ck_assert_int_eq(spawn_tool(&s, NULL, 100, NULL, &e), -1);
    ck_assert(strstr(e.text, "did not end in time"));
    s.argv = missing;
    ck_assert_int_eq(spawn_tool(&s, "some-package", 100, NULL, &e), -1);
    ck_assert(strstr(e.text, "install Debian's package 'some-package'"));
}
END_TEST

START_TEST(a_tool_of_others_has_no_rights_and_reads_what_it_is_told)
{
    /* dash's own words: no other program could be executed. */
    static const char script[] =
        "while read key value; do case $key in CapBnd:|CapEff:|NoNewPrivs:) echo $key $value;; "
        "esac; done </proc/self/status; ulimit -t; ulimit -v; "
        "read x </etc/passwd && echo read; echo x >/tmp/lazaret-test-confined && echo wrote; "
        "/bin/true && echo ran; exit 0";
    static const char *const argv[] = {"/bin/dash", "-c", script, NULL};
    static const char *const only[] = {
        "/bin/dash", "/lib/x86_64-linux-gnu", "/lib64", "/etc/ld.so.cache", "/proc", "/no/such",
        NULL};
    struct spawn s = {.argv = argv, .stdio = {-1, -1, -1}, .only = only};
    own_free char *out = NULL;
    const char *tail;
    struct err e;

    ck_assert_msg(spawn_tool(&s, NULL, 10000, &out, &e) == 0, "%s", e.text);
    ck_assert_ptr_nonnull(strstr(out, "CapEff: 0000000000000000\n"));
    ck_assert(geteuid() != 0 || strstr(out, "CapBnd: 0000000000000000\n"));
    ck_assert_ptr_nonnull(strstr(out, "NoNewPrivs: 1\n"));
    tail = strstr(out, "\n10\n524288\n");
    ck_assert_msg(tail, "%s", out);
    if (landlock_abi() > 0)
        ck_assert_str_eq(tail, "\n10\n524288\n");
    (void)unlink("/tmp/lazaret-test-confined");
}
END_TEST

START_TEST(formatted_json_moves_no_cursor)
{
    own_doc struct doc *d = doc_new_object();
    own_free char *text = NULL;

    doc_set_str(d, "k", "\x1b \x7f \xc2\x9b \xc2\xa0 \xc3\x9b \xe2\x80\xa6");
    text = doc_format(d, false);
    ck_assert_str_eq(text, "{\"k\":\"\\u001b \\u007f \\u009b \xc2\xa0 \xc3\x9b \xe2\x80\xa6\"}");
}
END_TEST

START_TEST(members_are_listed_in_their_order)
{
    own_doc struct doc *d = doc_new_object();
    struct doc *same;

    doc_set_u64(d, "b", 1);
    doc_set_u64(d, "a", 2);
    same = doc_ref(d);
    ck_assert_str_eq(doc_key_at(same, 0), "b");
    ck_assert_str_eq(doc_key_at(same, 1), "a");
    ck_assert_ptr_null(doc_key_at(same, 2));
    doc_free(same);
    ck_assert(doc_has(d, "a"));
}
END_TEST

START_TEST(a_digest_is_64_lower_case_digits_and_its_beginning_12)
{
    static const struct {
        const char *text;
        bool prefix, whole;
    } rows[] = {
        {"", false, false},
        {"0123456789a", false, false},
        {"0123456789ab", true, false},
        {"0123456789aB", false, false},
        {"0123456789ab ", false, false},
        {"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", true, true},
        {"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0", false, false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ck_assert_int_eq(digest_is_prefix(rows[i].text), rows[i].prefix);
        ck_assert_int_eq(digest_is_hex(rows[i].text), rows[i].whole);
    }
}
END_TEST

static int fill(void *arg, struct spawn_feed *f, struct err *e)
{
    size_t *left = arg;
    static char zeros[65536];

    for (; *left > 0; *left -= *left < sizeof(zeros) ? *left : sizeof(zeros))
        if (spawn_feed(f, zeros, *left < sizeof(zeros) ? *left : sizeof(zeros), e) < 0)
            return -1;
    return 0;
}

static int fill_and_fail(void *arg, struct spawn_feed *f, struct err *e)
{
    (void)arg;
    ck_assert_int_eq(spawn_feed(f, "x", 1, e), 0);
    return err_set(e, ERR_IMAGE, "nothing more to say");
}

START_TEST(a_tool_is_fed_to_its_end)
{
    const char *reads[] = {"sh", "-c", "test $(wc -c) -eq 3000000", NULL};
    const char *fails[] = {"sh", "-c", "head -c 10; echo why >&2; exit 3", NULL};
    const char *content[] = {"true", NULL};
    const char *hangs[] = {"sleep", "600", NULL};
    struct spawn s = {.argv = reads, .stdio = {-1, -1, -1}};
    size_t left = 3000000;
    struct err e;

    ck_assert_msg(spawn_feed_tool(&s, NULL, 10000, fill, &left, &e) == 0, "%s", e.text);
    s.argv = fails;
    left = 3000000;
    ck_assert_int_eq(spawn_feed_tool(&s, NULL, 10000, fill, &left, &e), -1);
    ck_assert_str_eq(e.text, "'sh' failed with status 3: why");
    s.argv = content;
    left = 3000000;
    ck_assert_int_eq(spawn_feed_tool(&s, NULL, 10000, fill, &left, &e), -1);
    ck_assert_ptr_nonnull(strstr(e.text, "cannot write to 'true'"));
    s.argv = hangs;
    left = 1;
    ck_assert_int_eq(spawn_feed_tool(&s, NULL, 100, fill, &left, &e), -1);
    ck_assert_ptr_nonnull(strstr(e.text, "did not end in time"));
    ck_assert_int_eq(spawn_feed_tool(&s, NULL, 10000, fill_and_fail, NULL, &e), -1);
    ck_assert_int_eq(e.class, ERR_IMAGE);
    ck_assert_str_eq(e.text, "nothing more to say");
}
END_TEST

START_TEST(what_a_child_said_last_is_heard_though_it_read_nothing)
{
    char said[8];
    int pair[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    ck_assert_int_eq(spawn_tell(pair[0], "unread", 6, NULL, 0), 0);
    ck_assert_int_eq(send(pair[1], "last", 4, 0), 4);
    close(pair[1]);
    ck_assert_int_eq(spawn_hear(pair[0], said, sizeof(said)), 4);
    ck_assert_int_eq(memcmp(said, "last", 4), 0);
    ck_assert_int_eq(spawn_hear(pair[0], said, sizeof(said)), 0);
    close(pair[0]);
}
END_TEST

SUITE("base", formatted_json_moves_no_cursor, members_are_listed_in_their_order,
      a_digest_is_64_lower_case_digits_and_its_beginning_12,
      wrapping_an_error_keeps_its_class_and_cuts_its_text, escapes_everything_that_is_not_plain,
      parses_sizes_and_refuses_what_is_not_one, parses_durations,
      json_readers_name_the_key_that_is_wrong, refuses_text_that_is_not_one_json_value,
      writes_files_whole_and_reads_no_links, a_copy_has_the_data_in_its_places_and_the_holes,
      a_child_gets_the_fds_that_it_was_told_and_no_other,
      a_tool_that_fails_or_hangs_or_is_missing_is_told_apart,
      a_tool_of_others_has_no_rights_and_reads_what_it_is_told, a_tool_is_fed_to_its_end,
      what_a_child_said_last_is_heard_though_it_read_nothing)
