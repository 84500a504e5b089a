/* test_expand: promises of unpacking what is compressed, and of finding an image's user. */
#include "images/expand.h"
#include "images/passwd.h"
#include "tests/unit/bundle_make.h"
#include "tests/unit/suite.h"

#include <sched.h>
#include <sys/mount.h>

/* ---- compression ------------------------------------------------------------------------------
 */

static int expand_bytes(const struct str *in, int *ret_out, uint64_t max, bool *over, struct err *e)
{
    own_close int fd = make_fd(in);

    *ret_out = memfd_create("out", MFD_CLOEXEC);
    return expand(fd, 0, in->len, *ret_out, max, over, e);
}

START_TEST(every_cut_of_a_compressed_layer_is_refused_or_shorter)
{
    static const int filters[] = {ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_ZSTD};

    for (size_t f = 0; f < 2; f++) {
        own_str struct str plain = {0}, small = {0};
        struct err e;
        bool over;

        for (int i = 0; i < 3000; i++)
            str_addf(&plain, "%d ", i * i);
        squeeze(filters[f], &plain, &small);
        for (size_t len = 4; len < small.len; len += 97) {
            struct str cut = {.data = small.data, .len = len};
            own_close int out = -1;

            if (expand_bytes(&cut, &out, UINT64_MAX, &over, &e) < 0) {
                ck_assert_int_eq(e.class, ERR_IMAGE);
                ck_assert_ptr_nonnull(strstr(e.text, "(it is damaged; get it again)"));
            } else {
                ck_assert_int_lt(lseek(out, 0, SEEK_END), (off_t)plain.len);
            }
        }
    }
}
END_TEST

START_TEST(bombs_are_stopped_by_size_and_by_growth)
{
    own_str struct str zeros = {0}, gzip = {0}, zstd = {0};
    own_close int a = -1, b = -1, c = -1;
    struct err e = {0};
    bool over;

    zeros.len = 96u << 20;
    zeros.data = calloc(zeros.len, 1);
    ck_assert_ptr_nonnull(zeros.data);
    squeeze(ARCHIVE_FILTER_GZIP, &zeros, &gzip);
    ck_assert_int_lt(expand_bytes(&gzip, &a, 80u << 20, &over, &e), 0);
    ck_assert(over);
    ck_assert_str_eq(e.text, "holds more than 83886080 bytes");
    ck_assert_int_le(lseek(a, 0, SEEK_END), 80 << 20);
    ck_assert_msg(expand_bytes(&gzip, &b, UINT64_MAX, &over, &e) == 0, "%s", e.text);
    squeeze(ARCHIVE_FILTER_ZSTD, &zeros, &zstd);
    ck_assert_int_lt(expand_bytes(&zstd, &c, UINT64_MAX, &over, &e), 0);
    ck_assert(!over);
    ck_assert_ptr_nonnull(strstr(e.text, "grows more than 1100 times"));
    ck_assert_int_le(lseek(c, 0, SEEK_END), 80 << 20);
    ck_assert_int_eq(e.class, ERR_IMAGE);
}
END_TEST

START_TEST(a_disk_that_would_fill_is_said_before_it_is_full)
{
    own_str struct str zeros = {.data = calloc(1, 48u << 20), .len = 48u << 20}, gzip = {0};
    own_close int in = -1;
    int out = -1;
    struct err e = {0};

    if (geteuid() != 0)
        return; /* a small file system takes a mount */
    begin();
    ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
    ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    ck_assert_int_eq(mount("lz", dir, "tmpfs", 0, "size=100m,mode=700"), 0);
    squeeze(ARCHIVE_FILTER_GZIP, &zeros, &gzip);
    in = make_fd(&gzip);
    ck_assert_int_lt(expand_to_temp(in, 0, gzip.len, dir, UINT64_MAX, &out, &e), 0);
    ck_assert_int_eq(e.class, ERR_HOST);
    ck_assert_ptr_nonnull(strstr(e.text, "there is no room for it in '"));
    ck_assert_int_eq(umount(dir), 0);
    end();
}
END_TEST

START_TEST(pieces_of_gzip_behind_each_other_are_one_layer)
{
    own_str struct str a = {0}, b = {0}, both = {0};
    own_close int out = -1;
    char text[16] = "";
    struct err e;
    bool over;

    str_add(&a, "first ");
    str_add(&b, "second");
    squeeze(ARCHIVE_FILTER_GZIP, &a, &both);
    squeeze(ARCHIVE_FILTER_GZIP, &b, &both);
    ck_assert_msg(expand_bytes(&both, &out, UINT64_MAX, &over, &e) == 0, "%s", e.text);
    ck_assert_int_eq(pread(out, text, 15, 0), 12);
    ck_assert_str_eq(text, "first second");
}
END_TEST

/* ---- users ------------------------------------------------------------------------------------
 */

START_TEST(users_are_found_as_docker_finds_them)
{
    static const struct {
        const char *spec;
        int uid, gid; /* -1: refused */
    } rows[] = {
        {"", 0, 0},
        {"root", 0, 0},
        {"web", 33, 34},
        {"33", 33, 34},
        {"web:staff", 33, 50},
        {"web:7", 33, 7},
        {"34", 34, 0},
        {"34:staff", 34, 50},
        {"4000", 77, 78},
        {":staff", 0, 50},
        {"nobody", -1, -1},
        {"web:nobody", -1, -1},
        {"65535", 65535, 0},
        {"65536", -1, -1},
        {"-1", -1, -1},
        {"99999999999", -1, -1},
        {"short", -1, -1},
        {"web:99999", -1, -1},
        {"we", -1, -1},
        {"many", 5, 0},
        {"bad", -1, -1},
        {"web:", 33, 34},
        {"0", 0, 0},
        {"odd", 9, 0},
    };
    static const char passwd[] = "root:x:0:0:root:/:/bin/sh\nshort\nweb:x:33:34:::\nbad:x:-5:1::\n"
                                 "4000:x:77:78::\nmany:x:5:99999999999999999999::\nodd:x:9";
    own_rootfs struct rootfs *r = NULL;
    struct err e;

    begin();
    ck_assert_int_eq(rootfs_new(dir, &r, &e), 0);
    ck_assert_int_eq(rootfs_add_file(r, "etc/passwd", 0644, 0, 0, passwd, sizeof(passwd) - 1, &e),
                     0);
    ck_assert_int_eq(rootfs_add_file(r, "etc/group", 0644, 0, 0, "staff:x:50:", 11, &e), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uid_t uid = 0;
        gid_t gid = 0;
        int got = passwd_resolve(r, rows[i].spec, &uid, &gid, &e);

        ck_assert_msg(got == (rows[i].uid < 0 ? -1 : 0), "%s", rows[i].spec);
        if (got == 0)
            ck_assert_msg((int)uid == rows[i].uid && (int)gid == rows[i].gid, "%s: %u:%u",
                          rows[i].spec, uid, gid);
        else
            ck_assert_int_eq(e.class, ERR_IMAGE);
    }
    end();
}
END_TEST

SUITE("expand", a_disk_that_would_fill_is_said_before_it_is_full,
      every_cut_of_a_compressed_layer_is_refused_or_shorter,
      bombs_are_stopped_by_size_and_by_growth, pieces_of_gzip_behind_each_other_are_one_layer,
      users_are_found_as_docker_finds_them)
