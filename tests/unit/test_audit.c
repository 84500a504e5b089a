/* test_audit: promises about the security tracker's data and what an audit makes of it. */
#include "base/doc.h"
#include "base/own.h"
#include "base/str.h"
#include "images/audit.h"
#include "images/tracker.h"
#include "tests/unit/suite.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What the tracker said, one line an issue; sources that start with 'x' are not wanted. */
static bool want(void *arg, const char *source)
{
    (void)arg;
    return source[0] != 'x';
}

static int note(void *arg, const struct tracker_issue *issue, struct err *e)
{
    (void)e;
    str_addf(arg, "%s %s %d %s %s\n", issue->source, issue->id, issue->status,
             issue->fixed_version ? issue->fixed_version : "-", issue->urgency);
    return 0;
}

/* Feeds `text` in pieces of `step` bytes. */
static int feed(const char *text, size_t len, size_t step, struct str *said, struct err *e)
{
    struct tracker_query q = {.suite = "bookworm", .want = want, .issue = note, .arg = said};
    own_tracker struct tracker *t = tracker_new(&q);

    for (size_t at = 0; at < len; at += step)
        if (tracker_feed(t, text + at, len - at < step ? len - at : step, e) < 0)
            return -1;
    return tracker_end(t, e);
}

#define ISSUE(release) "{\"releases\":{\"bookworm\":{" release "}}}"
#define OPEN           ISSUE("\"status\":\"open\"")

static const char sample[] =
    " {\"glibc\": {\"CVE-2024-2961\": {\"description\": \"a \\\"}]{ and \\\\\", \"debianbug\": "
    "1069191,"
    "  \"scope\": \"local\", \"releases\": {"
    "    \"bullseye\": {\"status\": \"open\", \"urgency\": \"high\"},"
    "    \"bookworm\": {\"status\": \"resolved\", \"repositories\": {\"bookworm\": \"2.36-9\"},"
    "                   \"fixed_version\": \"2.36-9+deb12u6\", \"urgency\": \"not yet "
    "assigned\"}}},"
    "  \"CVE-2010-4756\": {\"releases\": {\"bookworm\": {\"status\": \"open\","
    "    \"repositories\": {}, \"urgency\": \"unimportant\", \"nodsa\": \"[{\"}}},"
    "  \"TEMP-0000000-ABCDEF\": {\"releases\": {\"sid\": {\"status\": \"open\"}}},"
    "  \"CVE-2024-9\": {\"releases\": {\"bookworm\": {\"status\": \"undetermined\"}}}},\n"
    "\"xorg\": {\"CVE-1\": {\"releases\": {\"bookworm\": 1, \"a\": [[{}], \"]\"]}}},\"zlib\":{}}\n";

START_TEST(issues_of_wanted_sources_are_read_whatever_the_pieces)
{
    for (size_t step = 1; step <= sizeof(sample); step++) {
        own_str struct str said = {0};
        struct err e;

        ck_assert_msg(feed(sample, sizeof(sample) - 1, step, &said, &e) == 0, "%s", e.text);
        ck_assert_str_eq(said.data, "glibc CVE-2024-2961 1 2.36-9+deb12u6 not yet assigned\n"
                                    "glibc CVE-2010-4756 0 - unimportant\n"
                                    "glibc CVE-2024-9 2 - not yet assigned\n");
    }
}
END_TEST

START_TEST(data_that_was_cut_is_refused_wherever_it_was_cut)
{
    for (size_t len = 0; len < sizeof(sample) - 2; len++) {
        own_str struct str said = {0};
        struct err e;

        ck_assert_msg(feed(sample, len, 100, &said, &e) == -1, "%zu", len);
        ck_assert_int_eq(e.class, ERR_HOST);
        ck_assert_msg(strstr(e.text, "empty") || strstr(e.text, "ends in the middle"), "%s",
                      e.text);
    }
}
END_TEST

START_TEST(what_is_not_the_trackers_data_is_refused_and_says_where)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"", "empty"},
        {" \n", "byte 2: ends in the middle"},
        {"<html>", "byte 0: not a JSON object"},
        {"[]", "byte 0: not a JSON object"},
        {"\xef\xbb\xbf{}", "byte 0: not a JSON object"},
        {"\x1f\x8b\x08", "byte 0: not a JSON object"},
        {"{}", "nothing about the suite 'bookworm'"},
        {"{\"a\":{\"C\":{\"releases\":{\"sid\":{}}}}}", "nothing about the suite"},
        /* the suite's name elsewhere is not the suite */
        {"{\"a\":{\"bookworm\":{\"releases\":{\"sid\":{\"bookworm\":1}},\"bookworm\":2}}}",
         "nothing about the suite"},
        {"{\"a\":{\"C\":" OPEN "}} x", "more text after the end"},
        {"{\"a\":{\"C\":" OPEN "},}", "a name in quotes should be here"},
        {"{a:{}}", "byte 1: a name in quotes"},
        {"{\"a\" {}}", "a ':' should be here"},
        {"{\"a\":{} \"b\":{}}", "byte 8: a ',' or '}' should be here"},
        {"{\"\":{}}", "a name is empty"},
        {"{\"a\\u0062\":{}}", "a character that none has"},
        {"{\"a b\":{}}", "a character that none has"},
        {"{\"\xc3\xa9\":{}}", "a character that none has"},
        {"{\"a\":[]}", "not an object"},
        {"{\"x\":[]}", "not an object"},
        {"{\"a\":{\"C\":null}}", "not an object"},
        {"{\"a\":{\"C\":\"open\"}}", "not an object"},
        {"{\"a\":{\"C\":{]}}}", "does not fit"},
        {"{\"x\":{\"C\":[}}}", "does not fit"},
        {"{\"a\":{\"C\":{garbage}}}", "'a': C: not valid JSON at byte 1"},
        {"{\"a\":{\"C\":{\"releases\":1}}}", "'a': C: key 'releases' is not a object"},
        {"{\"a\":{\"C\":{}}}", "'a': C: key 'releases' is missing"},
        {"{\"a\":{\"C\":{\"releases\":{\"bookworm\":[]}}}}", "key 'bookworm' is not a object"},
        {"{\"a\":{\"C\":" ISSUE("") "}}", "'a': C: bookworm: key 'status' is missing"},
        {"{\"a\":{\"C\":" ISSUE("\"status\":1") "}}", "key 'status' is not a string"},
        {"{\"a\":{\"C\":" ISSUE("\"status\":\"new\"") "}}", "'status' is not open"},
        {"{\"a\":{\"C\":" ISSUE("\"status\":\"open\",\"urgency\":2") "}}", "'urgency' is not"},
        {"{\"a\":{\"C\":" ISSUE("\"status\":\"open\",\"urgency\":\"\\u001b\"") "}}",
         "'urgency' is too long or not printable"},
        {"{\"a\":{\"C\":" ISSUE("\"status\":\"resolved\",\"fixed_version\":\"1 2\"") "}}",
         "'fixed_version' is not a version"},
        {"{\"a\":{},\"b\":{},\"a\":{}}", "byte 17: 'a' is there twice"},
        {"{\"x\":{},\"x\":{}}", "'x' is there twice"},
        {"{\"a\":{\"C\":" OPEN ",\"C\":" OPEN "}}", "'C' is there twice"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own_str struct str said = {0};
        struct err e;

        ck_assert_msg(feed(rows[i].text, strlen(rows[i].text), 1, &said, &e) == -1, "%s",
                      rows[i].text);
        ck_assert_int_eq(e.class, ERR_HOST);
        ck_assert_msg(strstr(e.text, rows[i].says), "%s: %s", rows[i].text, e.text);
    }
}
END_TEST

START_TEST(the_same_issue_may_be_in_two_sources)
{
    static const char text[] = "{\"a\":{\"C\":" OPEN "},\"b\":{\"C\":" OPEN "}}";
    own_str struct str said = {0};
    struct err e;

    ck_assert_int_eq(feed(text, sizeof(text) - 1, 7, &said, &e), 0);
    ck_assert_str_eq(said.data, "a C 0 - not yet assigned\nb C 0 - not yet assigned\n");
}
END_TEST

/* {"SOURCE":{"C": and so many of `fill`. */
static void expect_refused(const char *head, const char *fill, size_t n, const char *says)
{
    own_str struct str text = {0}, said = {0};
    struct err e;

    str_add(&text, head);
    for (size_t i = 0; i < n; i++)
        str_add(&text, fill);
    ck_assert_int_eq(feed(text.data, text.len, 4096, &said, &e), -1);
    ck_assert_msg(strstr(e.text, says), "%s", e.text);
}

START_TEST(depth_length_and_count_are_capped)
{
    own_str struct str text = {0}, said = {0};
    struct err e;

    expect_refused("{\"a\":{\"C\":", "{\"k\":", 100, "too many objects or arrays");
    expect_refused("{\"x\":", "{\"k\":", 100, "too many objects or arrays");
    expect_refused("{\"x\":{\"C\":", "[", 100, "too many objects or arrays");
    expect_refused("{\"", "a", TRACKER_KEY_MAX + 1, "a name is too long");
    expect_refused("{\"a\":{\"C\":{\"description\":\"", "z", TRACKER_ISSUE_MAX, "'a': C: over");
    str_add(&text, "{");
    for (size_t i = 0; i <= TRACKER_NAMES_MAX; i++)
        str_addf(&text, "%s\"x%zu\":{}", i ? "," : "", i);
    str_add(&text, "}");
    ck_assert_int_eq(feed(text.data, text.len, 4096, &said, &e), -1);
    ck_assert_msg(strstr(e.text, "too many names"), "%s", e.text);
}
END_TEST

/* An audit of packages given as lines "SOURCE VERSION" against tracker data. */
static int run_audit(const char *const *sources, const char *kernel, const char *suite,
                     const char *data, struct audit *ret, struct err *e)
{
    own_close int fd = memfd_create("tracker", MFD_CLOEXEC);
    static struct package crun = {.type = PACKAGE_DEB,
                                  .name = "crun",
                                  .version = "1.8.1-1+b1",
                                  .architecture = "amd64",
                                  .source = "crun",
                                  .source_version = "1.8.1-1"};
    const struct packages runtime = {.items = &crun, .n = 1};
    own_packages struct packages p = {0};
    size_t n = 0;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, data, strlen(data)), (ssize_t)strlen(data));
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    while (sources[n])
        n += 2;
    p.items = calloc(n / 2 + 1, sizeof(*p.items));
    ck_assert_ptr_nonnull(p.items);
    for (; p.n < n / 2; p.n++)
        p.items[p.n] = (struct package){.type = PACKAGE_DEB,
                                        .name = "binary",
                                        .version = sources[2 * p.n + 1],
                                        .architecture = "amd64",
                                        .source = sources[2 * p.n],
                                        .source_version = sources[2 * p.n + 1]};
    return audit_run(&(struct audit_query){.packages = &p,
                                           .runtime = &runtime,
                                           .kernel_release = kernel,
                                           .suite = suite,
                                           .fd = fd,
                                           .what = "t.json"},
                     ret, e);
}

static char *describe(const struct audit *a)
{
    struct str s = {0};

    for (size_t i = 0; i < a->n_findings; i++) {
        const struct audit_finding *f = &a->findings[i];

        str_addf(&s, "%s %s %s %s %s\n", f->source, f->installed, f->issue,
                 audit_state_name(f->state), f->fixed ? f->fixed : "-");
    }
    return str_steal(&s);
}

#define STATUS(status) ISSUE("\"status\":\"" status "\",\"urgency\":\"low\"")
#define UNIMPORTANT    ISSUE("\"status\":\"open\",\"urgency\":\"unimportant\"")
#define FIXED(version) ISSUE("\"status\":\"resolved\",\"fixed_version\":\"" version "\"")
#define KERNEL         "6.12.115-2~deb12u1"

START_TEST(an_audit_says_what_is_old_and_what_is_open)
{
    static const char *const issues[] = {
        "{\"openssl\":{\"CVE-2024-10\":",
        FIXED("3.0.15-1~deb12u1"),
        ",\"CVE-2024-9\":",
        STATUS("open"),
        ",\"CVE-2024-8\":",
        FIXED("3.0.11-1~deb12u2"),
        ",\"CVE-2024-7\":",
        FIXED("0"),
        ",\"CVE-2024-6\":",
        UNIMPORTANT,
        ",\"CVE-2024-5\":",
        STATUS("undetermined"),
        ",\"CVE-2024-4\":",
        STATUS("resolved"),
        "},\"other\":{\"CVE-1\":",
        STATUS("open"),
        "},\"linux\":{\"CVE-2\":",
        STATUS("open"),
        "},\"linux-6.12\":{\"CVE-3\":",
        FIXED("6.12.117-1~deb12u1"),
        ",\"CVE-4\":",
        FIXED("6.12.9-1"),
        "}}",
    };
    static const char *const sources[] = {
        "openssl", "3.0.11-1~deb12u2", "openssl", "3.0.11-1~deb12u2", "openssl", "3.0.15-1~deb12u1",
        "zlib",    "1:1.2.13.dfsg-1",  NULL};
    own_audit struct audit a = {0};
    own_free char *text = NULL, *json = NULL;
    own_doc struct doc *d = doc_new_object();
    own_str struct str data = {0};
    struct err e;

    for (size_t i = 0; i < sizeof(issues) / sizeof(issues[0]); i++)
        str_add(&data, issues[i]);
    ck_assert_msg(run_audit(sources, KERNEL, "bookworm", data.data, &a, &e) == 0, "%s", e.text);
    text = describe(&a);
    ck_assert_str_eq(text, "linux-6.12 " KERNEL " CVE-3 old 6.12.117-1~deb12u1\n"
                           "openssl 3.0.11-1~deb12u2 CVE-2024-4 undetermined -\n"
                           "openssl 3.0.15-1~deb12u1 CVE-2024-4 undetermined -\n"
                           "openssl 3.0.11-1~deb12u2 CVE-2024-5 undetermined -\n"
                           "openssl 3.0.15-1~deb12u1 CVE-2024-5 undetermined -\n"
                           "openssl 3.0.11-1~deb12u2 CVE-2024-6 open -\n"
                           "openssl 3.0.15-1~deb12u1 CVE-2024-6 open -\n"
                           "openssl 3.0.11-1~deb12u2 CVE-2024-9 open -\n"
                           "openssl 3.0.15-1~deb12u1 CVE-2024-9 open -\n"
                           "openssl 3.0.11-1~deb12u2 CVE-2024-10 old 3.0.15-1~deb12u1\n");
    audit_to_doc(&a, d);
    json = doc_format(d, false);
    ck_assert_ptr_nonnull(strstr(
        json, "{\"sources\":5,\"old\":2,\"open\":2,\"undetermined\":4,"
              "\"unimportant\":2,\"not_covered\":{\"npm\":0,\"python\":0,"
              "\"kernel\":false,\"runtime\":false},\"findings\":[{\"source\":\"linux-6.12\","));
    ck_assert_ptr_nonnull(strstr(json, "\"issue\":\"CVE-3\",\"state\":\"old\",\"fixed\":\""
                                       "6.12.117-1~deb12u1\",\"urgency\":\"not yet assigned\"}"));
}
END_TEST

START_TEST(the_container_runtime_is_looked_up_where_the_suite_is_its_own)
{
    static const char data[] =
        "{\"crun\":{\"CVE-1\":" FIXED("1.8.1-1+deb12u1") ",\"CVE-2\":{\"releases\":{\"trixie\":"
                                                         "{\"status\":\"open\"}}}}}";
    static const char *const sources[] = {"zlib", "1", NULL};
    own_audit struct audit a = {0}, other = {0};
    own_free char *text = NULL;
    struct err e;

    ck_assert_msg(run_audit(sources, "?", "bookworm", data, &a, &e) == 0, "%s", e.text);
    text = describe(&a);
    ck_assert_str_eq(text, "crun 1.8.1-1 CVE-1 old 1.8.1-1+deb12u1\n");
    ck_assert(a.has_runtime);
    ck_assert_msg(run_audit(sources, "?", "trixie", data, &other, &e) == 0, "%s", e.text);
    ck_assert_uint_eq(other.n_findings, 0);
    ck_assert(!other.has_runtime);
}
END_TEST

START_TEST(a_signed_kernel_is_looked_up_by_what_was_signed)
{
    static const char data[] =
        "{\"linux\":{\"CVE-1\":" FIXED("6.1.148-1") "},\"linux-signed-amd64\":{}}";
    static const char *const sources[] = {"linux-signed-amd64", "6.1.140-1", NULL};
    own_audit struct audit a = {0};
    own_free char *text = NULL;
    struct err e;

    ck_assert_msg(run_audit(sources, "?", "bookworm", data, &a, &e) == 0, "%s", e.text);
    text = describe(&a);
    ck_assert_str_eq(text, "linux 6.1.140-1 CVE-1 old 6.1.148-1\n");
}
END_TEST

START_TEST(the_kernel_is_not_looked_up_in_a_suite_that_it_is_not_from)
{
    static const char data[] =
        "{\"linux\":{\"CVE-1\":{\"releases\":{\"trixie\":{\"status\":\"open\"}}}}}";
    static const char *const sources[] = {"zlib", "1", NULL};
    own_audit struct audit a = {0};
    struct err e;

    ck_assert_msg(run_audit(sources, KERNEL, "trixie", data, &a, &e) == 0, "%s", e.text);
    ck_assert_uint_eq(a.n_findings, 0);
    ck_assert(!a.has_kernel);
}
END_TEST

START_TEST(the_suite_is_the_images_own_or_must_be_said)
{
    static const struct {
        const char *os, *version, *kind, *suite, *says;
    } rows[] = {
        {"debian", "12", "oci", "bookworm", NULL},
        {"debian", "13", "oci", "trixie", NULL},
        {NULL, NULL, "recipe", "bookworm", NULL},
        {NULL, NULL, "oci", NULL, "does not say which release"},
        {"ubuntu", "12", "recipe", NULL, "its system is ubuntu 12"},
        {"debian", "forky", "oci", NULL, "--suite"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct package os = {.type = PACKAGE_OS, .name = rows[i].os, .version = rows[i].version};
        const struct packages p = {.items = &os, .n = rows[i].os ? 1 : 0};
        own_manifest struct manifest m = {.created_from = doc_new_object()};
        const char *suite = NULL;
        struct err e;
        int rc;

        doc_set_str(m.created_from, "kind", rows[i].kind);
        rc = audit_find_suite(&m, &p, &suite, &e);
        ck_assert_int_eq(rc, rows[i].suite ? 0 : -1);
        if (rows[i].suite)
            ck_assert_str_eq(suite, rows[i].suite);
        else
            ck_assert_msg(e.class == ERR_IMAGE && strstr(e.text, rows[i].says), "%s", e.text);
    }
}
END_TEST

START_TEST(an_audit_of_nothing_is_an_error_and_not_a_good_result)
{
    static const char *const none[] = {NULL};
    static const char *const some[] = {"zlib", "1", NULL};
    own_audit struct audit a = {0};
    struct err e;

    ck_assert_int_eq(run_audit(none, KERNEL, "trixie", "{}", &a, &e), -1);
    ck_assert_int_eq(e.class, ERR_IMAGE);
    ck_assert_ptr_nonnull(strstr(e.text, "no Debian packages"));
    ck_assert_int_eq(run_audit(some, KERNEL, "bookwurm", sample, &a, &e), -1);
    ck_assert_int_eq(e.class, ERR_HOST);
    ck_assert_str_eq(e.text, "tracker data 't.json': says nothing about the suite 'bookwurm'");
}
END_TEST

SUITE("audit", issues_of_wanted_sources_are_read_whatever_the_pieces,
      data_that_was_cut_is_refused_wherever_it_was_cut,
      what_is_not_the_trackers_data_is_refused_and_says_where, the_same_issue_may_be_in_two_sources,
      depth_length_and_count_are_capped, an_audit_says_what_is_old_and_what_is_open,
      the_container_runtime_is_looked_up_where_the_suite_is_its_own,
      a_signed_kernel_is_looked_up_by_what_was_signed,
      the_kernel_is_not_looked_up_in_a_suite_that_it_is_not_from,
      the_suite_is_the_images_own_or_must_be_said,
      an_audit_of_nothing_is_an_error_and_not_a_good_result)
