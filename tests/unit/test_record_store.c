/* test_record_store: promises of bundles, and of records that are found, listed and removed. */
#include "record/bundle.h"
#include "record/statement.h"
#include "record/store.h"
#include "tests/unit/record_make.h"
#include "tests/unit/suite.h"
#include "tests/unit/tar_make.h"

#include <utime.h>

/* A record with a policy on it, that is whole. */
static void make_with_file(const char *id)
{
    own_ledger struct ledger l = prepare();
    own_record struct record *r = start_record(id, &l);

    OK(record_add_file(r, "policy", "/etc/p.json", "{\"a\": 1}", true, &err));
    OK(record_add_file(r, "domain", "domain.xml", "<domain/>", true, &err));
    finish(r, &l);
}

/* A bundle of it in memory. */
static int export(void)
{
    own_free char *ledger = NULL, *pem = NULL;
    int out = memfd_create("bundle", MFD_CLOEXEC);
    own_close int fd = -1;
    struct sign_public key;
    size_t len;

    ledger = get(HEADS, &len);
    OK(ledger_public(dir, &pem, &key, &err));
    OK(record_open(dir, RUN_ID, &fd, &err));
    OK(bundle_write(out, fd, RUN_ID, ledger, len, pem, &err));
    ck_assert_int_eq(lseek(out, 0, SEEK_SET), 0);
    return out;
}

/* Also where the ledger has heads of others between. */
START_TEST(a_bundle_is_checked_by_its_own_key_and_by_one_that_is_named)
{
    own_bundle struct bundle b = {.record_fd = -1};
    own_free char *path = NULL;
    own_close int fd = -1;
    struct sign_public other;
    struct verify_report r;

    begin();
    make_with_file("box.20261127-142215-000001");
    make_with_file(RUN_ID);
    fd = export();
    OK(bundle_open(fd, &b, &err));
    ck_assert_uint_eq(b.n_files, 2);
    OK(bundle_verify(&b, &b.key, &r, &err));
    ck_assert_msg(r.verdict == VERIFY_WHOLE, "%s", r.why);
    ck_assert_str_eq(r.id, RUN_ID);
    ck_assert_uint_eq(r.heads, 2);
    path = in_dir("other");
    OK(sign_key_make(path, &other, &err));
    OK(bundle_verify(&b, &other, &r, &err));
    ck_assert_int_eq(r.verdict, VERIFY_REFUSED);
    end();
}
END_TEST

START_TEST(a_file_beside_the_record_that_is_another_is_refused)
{
    own_bundle struct bundle b = {.record_fd = -1};
    own_close int fd = -1;
    struct verify_report r;
    char text[65536];
    ssize_t n;
    char *at;

    begin();
    make_with_file(RUN_ID);
    fd = export();
    n = pread(fd, text, sizeof(text), 0);
    ck_assert_int_gt(n, 0);
    at = memmem(text, (size_t)n, "{\"a\": 1}", 8); /* not in the record, where it is quoted */
    ck_assert_ptr_nonnull(at);
    ck_assert_int_eq(pwrite(fd, "{\"a\": 2}", 8, at - text), 8);
    OK(bundle_open(fd, &b, &err));
    OK(bundle_verify(&b, &b.key, &r, &err));
    ck_assert_int_eq(r.verdict, VERIFY_REFUSED);
    ck_assert_str_eq(r.why, "'policy-1.json' beside it is not the one on record");
    end();
}
END_TEST

static int tar_of(const char *entry)
{
    own_str struct str tar = {0};
    int fd;

    make_layer(&tar, entry);
    make_end(&tar);
    fd = make_fd(&tar);
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

START_TEST(what_is_no_bundle_is_said)
{
    static const struct {
        const char *entry, *why;
    } rows[] = {
        {"f record.jsonl {}", "it has not all of"},
        {"l record.jsonl /etc/passwd", "an entry that is no file"},
        {"f key.pub no key", "is not a public key"},
    };
    own_close int empty = memfd_create("empty", MFD_CLOEXEC), cut = -1;
    struct bundle b;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own_close int fd = tar_of(rows[i].entry);

        ck_assert_int_eq(bundle_open(fd, &b, &err), -1);
        ck_assert_msg(strstr(err.text, rows[i].why), "%s", err.text);
    }
    ck_assert_int_eq(bundle_open(empty, &b, &err), -1);
    begin();
    make_with_file(RUN_ID);
    cut = export();
    ck_assert_int_eq(ftruncate(cut, 1500), 0);
    ck_assert_int_eq(bundle_open(cut, &b, &err), -1);
    end();
}
END_TEST

static void expect_found(const char *text, const char *want)
{
    char id[RECORD_ID_SIZE];

    if (want) {
        ck_assert_msg(record_find(dir, text, id, &err) == 0, "%s", err.text);
        ck_assert_str_eq(id, want);
    } else {
        ck_assert_int_eq(record_find(dir, text, id, &err), -1);
        ck_assert_int_eq(err.class, ERR_USAGE);
    }
}

START_TEST(records_are_found_by_id_beginning_and_sandbox)
{
    begin();
    expect_found("box", NULL);
    make_with_file("box.20261127-142215-000001");
    make_with_file("box.20261128-142215-000001");
    make_with_file("box2.20261129-142215-000001");
    make_with_file(RUN_ID);
    make_with_file("20261127-142216-abcdef");
    expect_found("box", "box.20261128-142215-000001");
    expect_found("box2", "box2.20261129-142215-000001");
    expect_found("box.20261127-142215-000001", "box.20261127-142215-000001");
    expect_found("20261127-142216", "20261127-142216-abcdef");
    expect_found(RUN_ID, RUN_ID);
    expect_found("20261127", NULL);
    expect_found("bo", NULL);
    expect_found("", NULL);
    expect_found("../heads", NULL);
    end();
}
END_TEST

static void set_age(const char *id, time_t seconds)
{
    own_free char *name = str_printf(RECORD_DIR "/%s" RECORD_SUFFIX, id), *path = in_dir(name);
    const struct utimbuf t = {time(NULL) - seconds, time(NULL) - seconds};

    ck_assert_int_eq(utime(path, &t), 0);
}

START_TEST(what_is_old_or_too_much_is_removed_and_the_ledger_says_so_but_none_that_is_written)
{
    uint64_t removed, bytes;

    begin();
    make_with_file("20261101-000000-000001");
    make_with_file("20261102-000000-000002");
    make_with_file(RUN_ID);
    set_age("20261101-000000-000001", 1000);
    set_age("20261102-000000-000002", 500);
    {
        own_ledger struct ledger l = prepare();
        own_record struct record *live = start_record("20261001-000000-000000", &l);
        own_free char *heads = NULL;
        size_t len;

        set_age("20261001-000000-000000", 5000);
        OK(record_prune(dir, UINT64_MAX, UINT64_MAX, &removed, &bytes, &err));
        ck_assert_uint_eq(removed, 0);
        OK(record_prune(dir, 800 * 1000, UINT64_MAX, &removed, &bytes, &err));
        ck_assert_uint_eq(removed, 1);
        ck_assert(exists(RECORD_DIR "/20261001-000000-000000.jsonl"));
        ck_assert(!exists(RECORD_DIR "/20261101-000000-000001.jsonl"));
        heads = get(HEADS, &len);
        ck_assert_ptr_nonnull(strstr(heads, "\"state\":\"removed\""));
        OK(record_prune(dir, UINT64_MAX, 0, &removed, &bytes, &err));
        ck_assert_uint_eq(removed, 2);
        ck_assert(exists(RECORD_DIR "/20261001-000000-000000.jsonl"));
        (void)live;
    }
    OK(record_prune(dir, UINT64_MAX, 0, &removed, &bytes, &err));
    ck_assert_uint_eq(removed, 1);
    end();
}
END_TEST

/* The ledger is one still: what is left can be verified. */
START_TEST(a_record_is_whole_beside_one_that_was_removed)
{
    uint64_t removed, bytes;

    begin();
    make_with_file("20261101-000000-000001");
    set_age("20261101-000000-000001", 1000);
    make_with_file(RUN_ID);
    OK(record_prune(dir, 800 * 1000, UINT64_MAX, &removed, &bytes, &err));
    ck_assert_uint_eq(removed, 1);
    says(VERIFY_WHOLE, "");
    end();
}
END_TEST

/* Of more bytes than its tail that is looked at. */
static void make_large(const char *id)
{
    own_ledger struct ledger l = prepare();
    own_record struct record *r = start_record(id, &l);
    own_free char *big = malloc(RECORD_LINE_MAX - 1024);

    ck_assert_ptr_nonnull(big);
    memset(big, 'x', RECORD_LINE_MAX - 1024);
    big[RECORD_LINE_MAX - 1025] = '\0';
    for (unsigned i = 0; i < 2; i++)
        OK(record_add_file(r, "policy", "p.json", big, true, &err));
    finish(r, &l);
}

/* Without its last byte, which is a newline. */
static void cut_last(const char *id)
{
    own_free char *name = str_printf(RECORD_DIR "/%s" RECORD_SUFFIX, id), *path = in_dir(name);
    struct stat st;

    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(truncate(path, st.st_size - 1), 0);
}

START_TEST(a_list_says_what_a_record_is_of_and_whether_it_is_closed)
{
    static const struct {
        const char *id, *state;
    } rows[] = {
        {RUN_ID, "closed"},
        {"20261127-142215-abcdf0", "closed"},
        {"20261127-142215-abcdf1", "open"},
        {"20261127-142215-abcdf2", "open"},
        {"box.20261127-142215-000001", "open"},
    };
    own_doc struct doc *list = NULL;
    const char *text;

    begin();
    make_with_file(rows[0].id);
    make_large(rows[1].id);
    make_large(rows[2].id);
    cut_last(rows[2].id);
    make_with_file(rows[3].id);
    cut_last(rows[3].id);
    {
        own_ledger struct ledger l = prepare();

        record_free(start_record(rows[4].id, &l));
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        set_age(rows[i].id, 1000); /* at the same time: by their ids */
    OK(record_list(dir, &list, &err));
    ck_assert_uint_eq(doc_len(list), sizeof(rows) / sizeof(rows[0]));
    for (size_t i = 0; i < doc_len(list); i++) {
        OK(doc_get_str(doc_at(list, i), "id", &text, &err));
        ck_assert_str_eq(text, rows[i].id);
        OK(doc_get_str(doc_at(list, i), "state", &text, &err));
        ck_assert_str_eq(text, rows[i].state);
        OK(doc_get_str(doc_at(list, i), "kind", &text, &err));
        ck_assert_str_eq(text, "run");
    }
    end();
}
END_TEST

/* {"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"record.jsonl */
static const char statement[] =
    "eyJfdHlwZSI6Imh0dHBzOi8vaW4tdG90by5pby9TdGF0ZW1lbnQvdjEiLCJzdWJqZWN0"
    "IjpbeyJuYW1lIjoicmVjb3JkLmpzb25s";

START_TEST(a_statement_has_the_record_among_its_subjects)
{
    own_ledger struct ledger l = {.fd = -1};
    own_doc struct doc *d = NULL;
    own_close int fd = -1;
    const char *type, *payload;

    begin();
    make_with_file(RUN_ID);
    l = prepare();
    OK(record_open(dir, RUN_ID, &fd, &err));
    OK(statement_make(fd, &l, &d, &err));
    OK(doc_get_str(d, "payloadType", &type, &err));
    ck_assert_str_eq(type, "application/vnd.in-toto+json");
    OK(doc_get_str(d, "payload", &payload, &err));
    ck_assert(str_starts_with(payload, statement));
    end();
}
END_TEST

SUITE("record store", a_bundle_is_checked_by_its_own_key_and_by_one_that_is_named,
      a_file_beside_the_record_that_is_another_is_refused, what_is_no_bundle_is_said,
      records_are_found_by_id_beginning_and_sandbox,
      what_is_old_or_too_much_is_removed_and_the_ledger_says_so_but_none_that_is_written,
      a_record_is_whole_beside_one_that_was_removed,
      a_list_says_what_a_record_is_of_and_whether_it_is_closed,
      a_statement_has_the_record_among_its_subjects)
