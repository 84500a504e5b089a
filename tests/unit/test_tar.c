/* test_tar: promises of the tar reader, byte by byte, as a layer of a tree meets them. */
#include "tests/unit/suite.h"
#include "tests/unit/tree.h"

/* One archive that is not made of whole good headers. */
static void must_refuse_bytes(const struct str *bytes, const char *says)
{
    own_rootfs struct rootfs *r = NULL;
    struct err e = {0};

    must_be_new(&r);
    ck_assert_msg(add_bytes(r, bytes, true, &e) < 0, "%s", says);
    ck_assert_int_eq(e.class, ERR_IMAGE);
    ck_assert_msg(strstr(e.text, says), "'%s', but: %s", says, e.text);
    end();
}

START_TEST(owners_beyond_the_guests_are_refused)
{
    own_str struct str bytes = {0};
    struct made m = {.path = "a", .type = '0', .mode = 0644, .uid = 65535, .gid = 65536};

    make_header(&bytes, &m);
    make_end(&bytes);
    must_refuse_bytes(&bytes, "entry 'a' has an owner that the guest has not");
}
END_TEST

START_TEST(truncated_archives_are_refused)
{
    own_str struct str whole = {0};

    make_file(&whole, "a", "content");
    make_end(&whole);
    for (size_t len = 0; len < 1024 + 512; len += len % 128 < 2 || len % 128 == 127 ? 1 : 25) {
        struct str cut_off = {.data = whole.data, .len = len};

        if (len == 0)
            must_refuse_bytes(&cut_off, "so is the end mark");
        else if (len < 512)
            must_refuse_bytes(&cut_off, "entry at byte 0 is cut off");
        else if (len < 519)
            must_refuse_bytes(&cut_off, "entry at byte 0 is larger than the archive");
        else if (len <= 1024)
            must_refuse_bytes(&cut_off, "so is the end mark");
        else
            must_refuse_bytes(&cut_off, "entry at byte 1024 is cut off");
    }
}
END_TEST

#define BODY(text) text, sizeof(text) - 1

START_TEST(lying_headers_are_refused)
{
    static const struct {
        const char *body;
        size_t len;
        const char *says;
    } all[] = {
        {BODY("15 size=100000\n"), "is larger than the archive"},
        {BODY("29 size=18446744073709551599\n"), "is larger than the archive"},
        {BODY("29 size=18446744073709551616\n"), "has a number that is not one"},
        {BODY("28 size=9223372036854775807\n"), "is larger than the archive"},
        {BODY("12 size=-10\n"), "has a number that is not one"},
        {BODY("13 size=0x10\n"), "has a number that is not one"},
        {BODY("28 uid=18446744073709551617\n"), "has a number that is not one"},
        {BODY("9 uid=1\0\n"), "has a number that is not one"},
        {BODY("8 uid=1\n8 uid=2\n"), "has a number that is not one, or twice"},
        {BODY("10 path=a\n10 path=b\n"), "has two names"},
        {BODY("8 path=\n"), "has an empty name, or one with a NUL"},
        {BODY("12 path=a\0b\n"), "has an empty name, or one with a NUL"},
        {BODY("22 GNU.sparse.major=1\n"), "is a sparse file"},
        {BODY("26 SCHILY.realsize=100000\n"), "is a sparse file"},
        {BODY("26 SCHILY.xattr.user.a=1\n"), "has a damaged extended header"},
        {BODY("0 a=b\n"), "has a damaged extended header"},
        {BODY("4 =b\n"), "has a damaged extended header"},
        {BODY("5 ab\n"), "has a damaged extended header"},
        {BODY("10 path=ab"), "has a damaged extended header"},
        {BODY("11 path=ab\n9"), "has a damaged extended header"},
        {BODY("99999999 path=a\n"), "has a damaged extended header"},
    };
    own_str struct str twice = {0};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        own_str struct str bytes = {0};

        make_extended(&bytes, 'x', all[i].body, all[i].len);
        make_file(&bytes, "a", "x");
        make_end(&bytes);
        must_refuse_bytes(&bytes, all[i].says);
    }
    str_add(&twice, "25 SCHILY.xattr.user.a=1\n25 SCHILY.xattr.user.a=2\n");
    {
        own_str struct str bytes = {0};

        make_extended(&bytes, 'x', twice.data, twice.len);
        make_file(&bytes, "a", "x");
        make_end(&bytes);
        must_refuse_bytes(&bytes, "has an extended attribute twice");
    }
}
END_TEST

START_TEST(headers_that_readers_take_differently_are_refused)
{
    own_str struct str two = {0}, global = {0}, extra = {0}, link = {0}, sum = {0}, orphan = {0},
                       big = {0};
    struct made m = {.path = "l", .link = "a", .type = '1', .size = 512};
    static const char zeros[513] = "";

    make_extended(&global, 'g', "10 path=b\n", 10);
    make_file(&global, "a", "x");
    must_refuse_bytes(&global, "is a global header that changes entries");
    make_extended(&two, 'L', "gnu", 4);
    make_extended(&two, 'x', "12 path=pax\n", 12);
    make_file(&two, "a", "x");
    must_refuse_bytes(&two, "has two names");
    for (int i = 0; i < 9; i++)
        make_extended(&extra, 'x', "", 0);
    make_file(&extra, "a", "x");
    must_refuse_bytes(&extra, "has too many extended headers");
    make_file(&link, "a", "x");
    make_header(&link, &m);
    make_content(&link, zeros, 512);
    make_end(&link);
    must_refuse_bytes(&link, "is a hard link with a content");
    make_file(&sum, "a", "x");
    sum.data[0] = 'b';
    must_refuse_bytes(&sum, "has a wrong checksum");
    make_extended(&orphan, 'x', "", 0);
    make_end(&orphan);
    must_refuse_bytes(&orphan, "is missing after its extended header");
    m = (struct made){.path = "x", .type = 'x', .size = (1u << 20) + 1};
    make_header(&big, &m);
    make_end(&big);
    must_refuse_bytes(&big, "has an extended header over 1 MiB");
}
END_TEST

START_TEST(what_is_too_long_is_refused)
{
    own_free char *part = malloc(300), *path = malloc(6000), *target = malloc(5000);
    own_str struct str a = {0}, b = {0}, c = {0}, d = {0}, deep = {0};

    memset(part, 'p', 256);
    part[256] = '\0';
    make_extended(&a, 'L', part, 257);
    make_file(&a, "a", "x");
    make_end(&a);
    must_refuse_bytes(&a, "has a name over 255 bytes");
    path[0] = '\0';
    for (int i = 0; i < 21; i++)
        memcpy(path + (size_t)i * 201, part, 200);
    for (int i = 0; i < 20; i++)
        path[i * 201 + 200] = '/';
    path[21 * 201 - 1] = '\0';
    make_extended(&b, 'L', path, strlen(path));
    make_file(&b, "a", "x");
    make_end(&b);
    must_refuse_bytes(&b, "has a path over 4096 bytes");
    memset(target, 't', 4096);
    target[4096] = '\0';
    make_extended(&c, 'K', target, 4096);
    make_layer(&c, "l a b");
    make_end(&c);
    must_refuse_bytes(&c, "is a link to a path over 4095 bytes");
    for (int i = 0; i < 65; i++)
        str_add(&deep, "d/");
    make_extended(&d, 'L', deep.data, deep.len);
    make_layer(&d, "d a");
    make_end(&d);
    must_refuse_bytes(&d, "is nested more than 64 folders deep");
}
END_TEST

/* ---- other tars ------------------------------------------------------------------------------ */

START_TEST(archives_of_another_writer_are_read)
{
    static const int formats[] = {ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FORMAT_TAR_GNUTAR,
                                  ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE};

    for (size_t i = 0; i < 3; i++) {
        own_rootfs struct rootfs *r = NULL;
        own_close int fd = make_by_libarchive(formats[i]);
        const struct rootfs_entry *en;
        struct err e;

        must_be_new(&r);
        ck_assert_msg(rootfs_add_layer(r, fd, "layer", true, &e) == 0, "%zu: %s", i, e.text);
        must_read(r, "d\303\244/e\314\201\377", "not one form, not UTF-8");
        must_read(r, "hard", "not one form, not UTF-8");
        en = rootfs_resolve(r, "hard");
        ck_assert_uint_eq(en->mode, S_IFREG | 0751);
        ck_assert_uint_eq(en->uid, 1000);
        ck_assert_uint_eq(en->gid, 65535);
        must_read(r, "link", i == 0 ? "not one form, not UTF-8" : "long");
        ck_assert_uint_eq(rootfs_dropped(r).set_id, 3);
        /* libarchive writes each attribute twice, in two notations; GNU's header has none */
        ck_assert_uint_eq(rootfs_dropped(r).xattrs, i == 2 ? 2 : 0);
        end();
    }
}
END_TEST

SUITE("tar", owners_beyond_the_guests_are_refused, truncated_archives_are_refused,
      lying_headers_are_refused, headers_that_readers_take_differently_are_refused,
      what_is_too_long_is_refused, archives_of_another_writer_are_read)
