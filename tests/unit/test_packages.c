/* test_packages: promises about an image's packages: versions, the list, the inventory. */
#include "base/doc.h"
#include "base/own.h"
#include "base/str.h"
#include "images/debian.h"
#include "images/inventory.h"
#include "images/packages.h"
#include "images/sbom.h"
#include "tests/unit/suite.h"

#include <string.h>

static int sign(int n)
{
    return (n > 0) - (n < 0);
}

START_TEST(versions_are_ordered_as_dpkg_orders_them)
{
    /* a, how it compares to b, b: deb-version(7), and what dpkg --compare-versions says */
    static const struct {
        const char *a;
        int order;
        const char *b;
    } rows[] = {
        {"1.0", 0, "1.0"},
        {"1.0", -1, "1.1"},
        {"1.9", -1, "1.10"},
        {"1.0", 0, "1.00"},
        {"1.0", 0, "0:1.0"},
        {"1.0", 0, "1.0-0"},
        {"1.0", -1, "1.0-1"},
        {"1.0-1", -1, "1.0-1+b1"},
        {"1.0-1", -1, "1.0-1.1"},
        {"1.0-9", -1, "1.0-10"},
        {"1:0.1", 1, "2.0"},
        {"2:1", 1, "1:9"},
        {"10:1", 1, "9:1"},
        {"1.0~rc1", -1, "1.0"},
        {"1.0~rc1-1", -1, "1.0-1"},
        {"1.0~~", -1, "1.0~"},
        {"1.0~~a", -1, "1.0~"},
        {"1.0~", -1, "1.0a"},
        {"1.0a", -1, "1.0+"},
        {"1.0a", -1, "1.0b"},
        {"1.0A", -1, "1.0a"},
        {"1.0", -1, "1.0a"},
        {"1.0+dfsg", 1, "1.0"},
        {"1.0.", 1, "1.0-1.0-1"},
        {"2.36-9+deb12u7", -1, "2.36-9+deb12u13"},
        {"2.36-9", -1, "2.36-9+deb12u1"},
        {"3.0.11-1~deb12u2", -1, "3.0.11-1"},
        {"6.12.115-2~deb12u1", -1, "6.12.117-1~deb12u1"},
        {"1.2.3-1~bpo12+1", -1, "1.2.3-1"},
        {"0", -1, "0.1"},
        {"0~", -1, "0"},
        {"99999999999999999999", -1, "100000000000000000000"},
        {"7.4.052-1", -1, "7.4.53-1"},
        {"1.0-1-2", 1, "1.0-1-1"},
        {"1.2a3", 1, "1.2a"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *a = rows[i].a, *b = rows[i].b;

        ck_assert_msg(sign(debian_version_compare(a, b)) == rows[i].order, "%s ? %s", a, b);
        ck_assert_msg(sign(debian_version_compare(b, a)) == -rows[i].order, "%s ? %s", b, a);
    }
}
END_TEST

START_TEST(only_versions_are_valid_versions)
{
    static const char *const good[] = {"0",           "1.0",  "1:1.0-1", "0:1:2-3", "1.0~rc1+b-2.3",
                                       "999999999:1", "v1.2", "1-2-3"};
    static const char *const bad[] = {"",      ":1",           "1:",    "a:1",  "-1:1",
                                      "1.0-",  "-1",           "1 0",   "1_0",  "1/0",
                                      "1.0\n", "1000000000:1", "1-a_b", "1-a:b"};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        ck_assert_msg(debian_version_is_valid(good[i]), "%s", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!debian_version_is_valid(bad[i]), "%s", bad[i]);
}
END_TEST

#define DEB(name, version)                                                                         \
    "{\"type\":\"deb\",\"name\":\"" name "\",\"version\":\"" version                               \
    "\",\"architecture\":\"amd64\",\"source\":\"s\",\"source_version\":\"1\"}"
#define OTHER(type, name, version)                                                                 \
    "{\"type\":\"" type "\",\"name\":\"" name "\",\"version\":\"" version "\"}"

static int parse_list(const char *text, struct packages *ret, struct doc **list, struct err *e)
{
    ck_assert_int_eq(doc_parse(text, strlen(text), "list", list, e), 0);
    return packages_parse(*list, ret, e);
}

START_TEST(a_list_is_read_as_it_was_written)
{
    static const char text[] =
        "[" DEB("a", "1:1.0-1") "," DEB("a", "2") "," OTHER("npm", "@s/n", "1.0.0") "," OTHER(
            "os", "debian", "12") "," OTHER("python", "pip", "1!2") "]";
    own_packages struct packages p = {0};
    own_doc struct doc *list = NULL, *again = doc_new_array();
    own_free char *out = NULL;
    struct err e;

    ck_assert_int_eq(parse_list(text, &p, &list, &e), 0);
    ck_assert_uint_eq(p.n, 5);
    ck_assert_str_eq(p.items[0].version, "1:1.0-1");
    ck_assert_str_eq(p.items[0].source, "s");
    ck_assert_int_eq(p.items[4].type, PACKAGE_PYTHON);
    ck_assert_str_eq(packages_os(&p)->version, "12");
    for (size_t i = 0; i < p.n; i++)
        doc_add(again, package_format(&p.items[i]));
    out = doc_format(again, false);
    ck_assert_str_eq(out, text);
}
END_TEST

START_TEST(a_list_that_is_not_exact_is_refused)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"[1]", "entry 0"},
        {"[null]", "entry 0"},
        {"[{}]", "'type' is missing"},
        {"[" OTHER("rpm", "a", "1") "]", "not a type"},
        {"[" OTHER("deb", "a", "1") "]", "'architecture' is missing"},
        {"[" OTHER("npm", "", "1") "]", "cannot be one"},
        {"[" OTHER("npm", "a b", "1") "]", "cannot be one"},
        {"[" OTHER("npm", "a\\u001b", "1") "]", "cannot be one"},
        {"[" OTHER("npm", "a\\\"", "1") "]", "cannot be one"},
        {"[" OTHER("npm", "\xc3\xa9", "1") "]", "cannot be one"},
        {"[" DEB("a", "1_1") "]", "cannot be one"},
        {"[" DEB("b", "1") "," DEB("a", "1") "]", "entry 1: out of order"},
        {"[" DEB("a", "1") "," DEB("a", "1") "]", "there twice"},
        {"[" OTHER("npm", "a", "1") "," DEB("a", "1") "]", "out of order"},
        {"[{\"type\":\"npm\",\"name\":\"a\",\"version\":\"1\",\"source\":\"a\"}]", "unknown key"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own_packages struct packages p = {0};
        own_doc struct doc *list = NULL;
        struct err e;

        ck_assert_msg(parse_list(rows[i].text, &p, &list, &e) == -1, "%s", rows[i].text);
        ck_assert_msg(e.class == ERR_IMAGE && strstr(e.text, rows[i].says), "%s", e.text);
    }
}
END_TEST

/* One file of an image, and what the list then is; `skipped` entries were left out. */
struct file_row {
    const char *path, *text, *list;
    size_t skipped;
};

static void add(struct inventory *inv, const char *path, const char *text, size_t len)
{
    own_free char *copy = malloc(len + 1);

    ck_assert_ptr_nonnull(copy);
    memcpy(copy, text, len);
    copy[len] = '\0';
    inventory_add(inv, path, copy, len);
}

static void expect(const struct inventory *inv, const char *list, size_t skipped)
{
    own_doc struct doc *d = inventory_format(inv);
    own_free char *text = doc_format(d, false);
    own_packages struct packages p = {0};
    struct err e;

    ck_assert_str_eq(text, list);
    ck_assert_uint_eq(inventory_skipped(inv), skipped);
    ck_assert_int_eq(packages_parse(d, &p, &e), 0);
}

static void check_rows(const struct file_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        own_inventory struct inventory *inv = inventory_new();

        add(inv, rows[i].path, rows[i].text, strlen(rows[i].text));
        expect(inv, rows[i].list, rows[i].skipped);
    }
}

START_TEST(a_kernel_comes_from_the_source_that_its_suite_has)
{
    static const struct {
        const char *suite, *version, *source;
    } rows[] = {
        {"bookworm", "6.1.148-1", "linux"}, {"bookworm", "6.12.117-1~deb12u1", "linux-6.12"},
        {"trixie", "6.12.48-1", "linux"},   {"bullseye", "6.1.1-1", "linux-6.1"},
        {"sid", "6.17.1-1", "linux"},       {"bookworm", "nonsense", "linux"},
        {"bookworm", "6", "linux"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own_free char *source = debian_kernel_source(rows[i].suite, rows[i].version);

        ck_assert_str_eq(source, rows[i].source);
    }
}
END_TEST

#define SHA256_1 "0000000000000000000000000000000000000000000000000000000000000001"
#define SHA256_2 "0000000000000000000000000000000000000000000000000000000000000002"

static char *format_sbom(const char *list_text)
{
    static struct package crun = {.type = PACKAGE_DEB,
                                  .name = "crun",
                                  .version = "1.8-1+b2",
                                  .architecture = "amd64",
                                  .source = "crun",
                                  .source_version = "1.8-1"};
    const struct packages runtime = {.items = &crun, .n = 1};
    own_packages struct packages p = {0};
    own_doc struct doc *list = NULL, *sbom = NULL;
    struct err e;

    ck_assert_int_eq(parse_list(list_text, &p, &list, &e), 0);
    sbom = sbom_cyclonedx(&(struct sbom){.name = "default",
                                         .digest = SHA256_2,
                                         .kernel_release = "6.12.117-1~deb12u1",
                                         .kernel_sha256 = SHA256_1,
                                         .packages = &p,
                                         .runtime = &runtime});
    return doc_format(sbom, false);
}

#define COMPONENT(type, name, version)                                                             \
    "{\"type\":\"" type "\",\"name\":\"" name "\",\"version\":\"" version "\""
#define HASHES(sha256) ",\"hashes\":[{\"alg\":\"SHA-256\",\"content\":\"" sha256 "\"}]"
#define PURL(purl)     ",\"purl\":\"pkg:" purl "\""

/* Of this shape one was validated by bom-1.5.schema.json, which is too large to be kept here. */
START_TEST(an_sbom_is_cyclonedx_with_package_urls)
{
    static const char list[] =
        "[{\"type\":\"deb\",\"name\":\"libstdc++6\",\"version\":\"1:2.4~rc1+b1\","
        "\"architecture\":\"amd64\",\"source\":\"gcc-12\",\"source_version\":\"2\"}," OTHER(
            "npm", "@s/n",
            "1.0.0-rc.1+x") "," OTHER("npm", "a/@b?c#",
                                      "1%") "," OTHER("os", "debian",
                                                      "12") "," OTHER("python", "A_b.C", "1!2") "]";
    static const char *const pieces[] = {
        "{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.5\",\"version\":1,",
        "\"metadata\":{\"tools\":{\"components\":[",
        COMPONENT("application", "lazaret", LZ_VERSION),
        "}]},\"component\":",
        COMPONENT("container", "default", "sha256:" SHA256_2),
        HASHES(SHA256_2),
        "}},\"components\":[",
        COMPONENT("library", "libstdc++6", "1:2.4~rc1+b1"),
        PURL("deb/debian/libstdc%2B%2B6@1:2.4~rc1%2Bb1?arch=amd64&distro=debian-12"),
        ",\"properties\":[{\"name\":\"lazaret:deb:source\",\"value\":\"gcc-12\"},",
        "{\"name\":\"lazaret:deb:source_version\",\"value\":\"2\"}]},",
        COMPONENT("library", "@s/n", "1.0.0-rc.1+x"),
        PURL("npm/%40s/n@1.0.0-rc.1%2Bx"),
        "},",
        COMPONENT("library", "a/@b?c#", "1%"),
        PURL("npm/a%2F%40b%3Fc%23@1%25"),
        "},",
        COMPONENT("operating-system", "debian", "12"),
        "},",
        COMPONENT("library", "A_b.C", "1!2"),
        PURL("pypi/a-b.c@1%212"),
        "},",
        COMPONENT("library", "crun", "1.8-1+b2"),
        PURL("deb/debian/crun@1.8-1%2Bb2?arch=amd64&distro=debian-12"),
        ",\"properties\":[{\"name\":\"lazaret:deb:source\",\"value\":\"crun\"},",
        "{\"name\":\"lazaret:deb:source_version\",\"value\":\"1.8-1\"}]},",
        COMPONENT("operating-system", "linux", "6.12.117-1~deb12u1"),
        HASHES(SHA256_1),
        PURL("deb/debian/linux-6.12@6.12.117-1~deb12u1?arch=source&distro=debian-12"),
        "}]}",
    };
    own_free char *text = format_sbom(list);
    own_str struct str sbom = {0};

    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
        str_add(&sbom, pieces[i]);
    ck_assert_str_eq(text, sbom.data);
}
END_TEST

START_TEST(without_a_known_system_an_sbom_claims_none)
{
    own_free char *text = format_sbom("[" DEB("a", "1") "]");

    ck_assert_ptr_nonnull(strstr(text, "\"pkg:deb/debian/a@1?arch=amd64\""));
}
END_TEST

#define STATUS     "var/lib/dpkg/status"
#define INSTALLED  "Status: install ok installed\n"
#define PARA(name) "Package: " name "\n" INSTALLED "Architecture: amd64\nVersion: 1\n"
#define ROW(n, v, s, sv)                                                                           \
    "{\"type\":\"deb\",\"name\":\"" n "\",\"version\":\"" v                                        \
    "\",\"architecture\":\"amd64\",\"source\":\"" s "\",\"source_version\":\"" sv "\"}"

START_TEST(dpkg_status_names_packages_and_their_sources)
{
    static const struct file_row rows[] = {
        {STATUS, PARA("dash"), "[" ROW("dash", "1", "dash", "1") "]", 0},
        {STATUS, PARA("dash") "Source: src\n", "[" ROW("dash", "1", "src", "1") "]", 0},
        {STATUS, PARA("dash") "Source: src (1:2-3)\n", "[" ROW("dash", "1", "src", "1:2-3") "]", 0},
        /* the last paragraph needs no empty line; the order is the list's own */
        {STATUS, PARA("b") "\n\n \n" PARA("a"),
         "[" ROW("a", "1", "a", "1") "," ROW("b", "1", "b", "1") "]", 0},
        {STATUS, PARA("a") "\n" PARA("a"), "[" ROW("a", "1", "a", "1") "]", 0},
        {STATUS, "Package: a\r\nVersion: 1\r\nArchitecture: amd64\r\n\r\n" PARA("b"),
         "[" ROW("a", "1", "a", "1") "," ROW("b", "1", "b", "1") "]", 0},
        /* removed ones are there by name only; half-installed ones are on disk */
        {STATUS, "Package: a\nStatus: deinstall ok config-files\nVersion: 1\nArchitecture: amd64\n",
         "[]", 0},
        {STATUS, "Package: a\nStatus: unknown ok not-installed\n", "[]", 0},
        {STATUS, "Package: a\nStatus: hold ok unpacked\nVersion: 1\nArchitecture: amd64\n",
         "[" ROW("a", "1", "a", "1") "]", 0},
        /* a value cannot pass for a field, nor a field for another package's */
        {STATUS, PARA("a") "Description: x\n Package: b\n\tPackage: c\n",
         "[" ROW("a", "1", "a", "1") "]", 0},
        {"var/lib/dpkg/status.d/libc6", "Package: a\nVersion: 1\nArchitecture: amd64",
         "[" ROW("a", "1", "a", "1") "]", 0},
    };

    check_rows(rows, sizeof(rows) / sizeof(rows[0]));
}
END_TEST

START_TEST(a_hostile_dpkg_status_costs_its_own_entries_only)
{
    static const struct file_row rows[] = {
        {STATUS, "", "[]", 0},
        {STATUS, "\n\n\n", "[]", 0},
        {STATUS, "garbage", "[]", 1},
        {STATUS, ":\n::\n", "[]", 1},
        {STATUS, "Package: a\n\nVersion: 1\n\n" PARA("b"), "[" ROW("b", "1", "b", "1") "]", 2},
        {STATUS, PARA("a") "Version: 2\n\n" PARA("b"), "[" ROW("b", "1", "b", "1") "]", 1},
        {STATUS, PARA("a\033[2J") "\n" PARA("b"), "[" ROW("b", "1", "b", "1") "]", 1},
        {STATUS, PARA("a b"), "[]", 1},
        {STATUS, PARA("\xff\xfe"), "[]", 1},
        {STATUS, PARA("a") "Source: \n", "[]", 1},
        {STATUS, PARA("a") "Source: x (\n", "[]", 1},
        {STATUS, PARA("a") "Source: x ()\n", "[]", 1},
        {STATUS, PARA("a") "Source: (1)\n", "[]", 1},
        {STATUS, PARA("a") "Source: x (1) y\n", "[]", 1},
        {STATUS, "Package: a\n" INSTALLED "Version: 1_2\nArchitecture: amd64\n", "[]", 1},
    };
    own_inventory struct inventory *inv = inventory_new();
    own_str struct str text = {0};

    check_rows(rows, sizeof(rows) / sizeof(rows[0]));
    add(inv, STATUS, PARA("a") "\0" PARA("b"), sizeof(PARA("a") PARA("b")));
    for (int i = 0; i < 256; i++)
        str_add(&text, "a");
    str_addf(&text, "\n" INSTALLED "Version: 1\nArchitecture: all\n");
    {
        own_free char *paragraph = str_printf("Package: %s", text.data);

        add(inv, STATUS, paragraph, strlen(paragraph));
    }
    expect(inv, "[]", 2);
}
END_TEST

START_TEST(python_and_npm_packages_are_found_by_their_metadata)
{
    static const struct file_row rows[] = {
        {"usr/lib/python3/dist-packages/pip-23.dist-info/METADATA",
         "Metadata-Version: 2.1\nName: pip\nVersion: 23.0\n\nName: not this\nVersion: 1\n",
         "[" OTHER("python", "pip", "23.0") "]", 0},
        {"a/b.egg-info/PKG-INFO", "name: B\nversion: 1!2+x\n",
         "[" OTHER("python", "B", "1!2+x") "]", 0},
        {"a/b-1.egg-info", "Name: b\nVersion: 1\n", "[" OTHER("python", "b", "1") "]", 0},
        {"a/b.egg/EGG-INFO/PKG-INFO", "Name: b\nVersion: 1\n", "[" OTHER("python", "b", "1") "]",
         0},
        {"a.dist-info/METADATA", "Name: b\n\nVersion: 1\n", "[]", 1},
        {"a.dist-info/METADATA", "Name: b\nName: c\nVersion: 1\n", "[]", 1},
        {"a.dist-info/METADATA", "", "[]", 1},
        {"usr/lib/node_modules/npm/package.json",
         "{\"version\":\"9.2.0\",\"name\":\"npm\",\"x\":[]}", "[" OTHER("npm", "npm", "9.2.0") "]",
         0},
        {"node_modules/@s/n/package.json", "{\"name\":\"@s/n\",\"version\":\"1.0.0-rc.1\"}",
         "[" OTHER("npm", "@s/n", "1.0.0-rc.1") "]", 0},
        {"node_modules/a/package.json", "{\"name\":\"a\"}", "[]", 1},
        {"node_modules/a/package.json", "{\"name\":1,\"version\":\"1\"}", "[]", 1},
        {"node_modules/a/package.json", "{\"name\":\"a\",\"version\":\"1\"", "[]", 1},
        {"node_modules/a/package.json", "[[[[[[[[[[[[[[[[[[[[[[[[", "[]", 1},
        {"node_modules/a/package.json", "{\"name\":\"a\\u0000b\",\"version\":\"1\"}", "[]", 1},
        {"node_modules/a/package.json", "{\"name\":\"a\\n\",\"version\":\"1\"}", "[]", 1},
        {"node_modules/a/package.json", "\xef\xbb\xbf{}", "[]", 1},
        {"etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n",
         "[" OTHER("os", "debian", "12") "]", 0},
        {"usr/lib/os-release", "# x\nID='debian'\nVERSION_CODENAME=forky",
         "[" OTHER("os", "debian", "forky") "]", 0},
        {"etc/os-release", "ID=\"\nVERSION_ID=1 2\n", "[]", 1},
    };

    check_rows(rows, sizeof(rows) / sizeof(rows[0]));
}
END_TEST

START_TEST(only_files_where_package_managers_put_them_are_read)
{
    static const char *const no[] = {"",
                                     "status",
                                     "x/var/lib/dpkg/status",
                                     "var/lib/dpkg/status-old",
                                     "var/lib/dpkg/status.d/a.md5sums",
                                     "var/lib/dpkg/status.d/a/b",
                                     "package.json",
                                     "node_modules/package.json",
                                     "node_modules/a/b/package.json",
                                     "x/my_node_modules/a/package.json",
                                     "node_modules/a/package.json5",
                                     "METADATA",
                                     "a/METADATA",
                                     "a.dist-info/x/METADATA",
                                     "opt/etc/os-release"};
    static const char *const yes[] = {STATUS,
                                      "var/lib/dpkg/status.d/a",
                                      "etc/os-release",
                                      "node_modules/a/package.json",
                                      "a/node_modules/b/node_modules/c/package.json",
                                      "a/node_modules/@b/c/package.json",
                                      "a.dist-info/METADATA",
                                      "a/b.egg-info"};

    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        ck_assert_msg(inventory_wants(no[i]) == 0, "%s", no[i]);
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        ck_assert_msg(inventory_wants(yes[i]) > 0, "%s", yes[i]);
}
END_TEST

START_TEST(the_list_is_cut_at_its_limit_and_says_so)
{
    own_inventory struct inventory *inv = inventory_new();
    own_doc struct doc *list = NULL;
    own_free char *text = NULL;
    const size_t n = 20000;

    for (size_t i = 0; i < n; i++) {
        own_free char *json = str_printf("{\"name\":\"n%05zu\",\"version\":\"1\"}", i);

        add(inv, "node_modules/n/package.json", json, strlen(json));
        add(inv, "node_modules/n/package.json", json, strlen(json)); /* not counted twice */
    }
    list = inventory_format(inv);
    ck_assert_uint_gt(inventory_skipped(inv), 0);
    text = doc_format(list, true);
    ck_assert_uint_lt(strlen(text), INVENTORY_LIST_MAX);
    ck_assert_uint_gt(strlen(text), INVENTORY_LIST_MAX / 3);
}
END_TEST

START_TEST(a_file_over_its_limit_is_left_out)
{
    own_inventory struct inventory *inv = inventory_new();
    own_free char *big = malloc(INVENTORY_NPM_MAX + 2);

    ck_assert_ptr_nonnull(big);
    memset(big, ' ', INVENTORY_NPM_MAX + 1);
    memcpy(big, "{\"name\":\"a\",\"version\":\"1\"}", 26);
    add(inv, "node_modules/a/package.json", big, INVENTORY_NPM_MAX + 1);
    expect(inv, "[]", 1);
    add(inv, "node_modules/a/package.json", big, INVENTORY_NPM_MAX);
    inventory_skip(inv);
    expect(inv, "[" OTHER("npm", "a", "1") "]", 2);
}
END_TEST

START_TEST(a_root_is_searched_for_lists_and_a_bad_one_does_not_matter)
{
    static const struct {
        const char *path, *text;
    } files[] = {
        {"var/lib/dpkg/status", PARA("dash")},
        {"usr/lib/os-release", "ID=debian\nVERSION_ID=12\n"},
        {"app/node_modules/a/package.json", "{\"name\":\"a\",\"version\":\"1\"}"},
        {"app/node_modules/b/package.json", "not JSON"},
        {"app/package.json", "{\"name\":\"app\",\"version\":\"1\"}"},
        {"opt/p.dist-info/METADATA", "Name: p\nVersion: 2\n"},
    };
    own_rootfs struct rootfs *r = NULL;
    own_free char *big = calloc(1, INVENTORY_NPM_MAX + 1), *text = NULL;
    own_doc struct doc *list = NULL;
    struct err e;
    size_t skipped = 0;

    ck_assert_ptr_nonnull(big);
    ck_assert_msg(rootfs_new("/tmp", &r, &e) == 0, "%s", e.text);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        ck_assert_msg(rootfs_add_file(r, files[i].path, 0644, 0, 0, files[i].text,
                                      strlen(files[i].text), &e) == 0,
                      "%s", e.text);
    ck_assert_int_eq(rootfs_add_file(r, "app/node_modules/c/package.json", 0644, 0, 0, big,
                                     INVENTORY_NPM_MAX + 1, &e),
                     0);
    /* what is not a file is no list; a link to one is found where it leads */
    ck_assert_int_eq(rootfs_add_dir(r, "x/node_modules/d/package.json", 0755, 0, 0, &e), 0);
    ck_assert_int_eq(rootfs_add_symlink(r, "etc/os-release", "../usr/lib/os-release", &e), 0);
    ck_assert_msg(inventory_read(r, &list, &skipped, &e) == 0, "%s", e.text);
    text = doc_format(list, false);
    ck_assert_str_eq(text, "[" ROW("dash", "1", "dash", "1") "," OTHER("npm", "a", "1") "," OTHER(
                               "os", "debian", "12") "," OTHER("python", "p", "2") "]");
    ck_assert_uint_eq(skipped, 2);
}
END_TEST

SUITE("packages", versions_are_ordered_as_dpkg_orders_them, only_versions_are_valid_versions,
      a_kernel_comes_from_the_source_that_its_suite_has, an_sbom_is_cyclonedx_with_package_urls,
      without_a_known_system_an_sbom_claims_none, a_list_is_read_as_it_was_written,
      a_list_that_is_not_exact_is_refused, dpkg_status_names_packages_and_their_sources,
      a_hostile_dpkg_status_costs_its_own_entries_only,
      python_and_npm_packages_are_found_by_their_metadata,
      only_files_where_package_managers_put_them_are_read, the_list_is_cut_at_its_limit_and_says_so,
      a_file_over_its_limit_is_left_out, a_root_is_searched_for_lists_and_a_bad_one_does_not_matter)
