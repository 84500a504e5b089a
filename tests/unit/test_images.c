/* test_images: promises of images: found by name and digest, whole or named as damaged. */
#include "base/digest.h"
#include "base/doc.h"
#include "base/own.h"
#include "base/str.h"
#include "images/image.h"
#include "images/store.h"
#include "shared/wire.h"
#include "tests/unit/make_image.h"
#include "tests/unit/suite.h"
#include "tests/unit/temp.h"
#include "tests/unit/whole.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static const char way_out[] =
    "(make it again with 'lazaret image build' or 'lazaret image import')";

START_TEST(an_opened_image_holds_open_what_was_hashed)
{
    own_image struct image *im = NULL;
    own_free char *path = NULL;
    char buf[16] = "";
    struct err e;

    begin();
    make_image("default", "1");
    ck_assert_int_eq(image_open(dir, "default", &im, &e), 0);
    ck_assert_uint_eq(im->m.protocol, WIRE_VERSION);
    ck_assert_str_eq(im->m.cmdline, "quiet");
    ck_assert(digest_is_hex(im->digest));
    for (int i = 0; i < IMAGE_PARTS; i++)
        ck_assert_int_eq(im->fds[i], -1);
    ck_assert_int_eq(image_open_parts(im, &e), 0);
    path = store_blob_path(&im->store, im->m.parts[IMAGE_KERNEL].sha256);
    ck_assert_int_eq(path[0], '/');
    put("other", "liar");
    {
        own_free char *from = in_dir("other");

        ck_assert_int_eq(rename(from, path), 0);
    }
    ck_assert_int_eq(pread(im->fds[IMAGE_KERNEL], buf, sizeof(buf) - 1, 0), 8);
    ck_assert_str_eq(buf, "kernel 1");
    end();
}
END_TEST

START_TEST(an_image_is_found_by_name_by_digest_and_by_its_beginning)
{
    own_image struct image *im = NULL;
    char digest[DIGEST_HEX_SIZE];
    struct err e;

    begin();
    make_image("one", "1");
    make_image("two", "2");
    ck_assert_int_eq(image_open(dir, "two", &im, &e), 0);
    memcpy(digest, im->digest, sizeof(digest));
    for (int digits = 12; digits <= 64; digits++)
        for (int with = 0; with < 2; with++) {
            own_free char *ref = str_printf("%s%.*s", with ? "sha256:" : "", digits, digest);
            own_image struct image *same = NULL;

            ck_assert_msg(image_open(dir, ref, &same, &e) == 0, "%s", e.text);
            ck_assert_str_eq(same->digest, digest);
            ck_assert_str_eq(same->ref, ref);
        }
    end();
}
END_TEST

START_TEST(what_is_no_reference_or_leads_nowhere_is_said)
{
    static const struct {
        const char *ref;
        enum err_class class;
        const char *says;
    } rows[] = {
        {"", ERR_USAGE, "no image"},
        {"..", ERR_USAGE, "no image"},
        {"../x", ERR_USAGE, "no image"},
        {"a/b", ERR_USAGE, "no image"},
        {"-x", ERR_USAGE, "no image"},
        {"sha256:", ERR_USAGE, "no image"},
        {"sha256:0123456789a", ERR_USAGE, "no image"},
        {"sha256:../../../../etc/passwd", ERR_USAGE, "no image"},
        {"sha256:0123456789ab", ERR_IMAGE, "see 'lazaret image ls'"},
        {"0123456789ab", ERR_IMAGE, "see 'lazaret image ls'"},
        {"0123456789a", ERR_IMAGE, "there is no image '0123456789a' (make it with"},
        {"default", ERR_IMAGE, "there is no image 'default' (make it with 'lazaret image build'"},
        {"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", ERR_IMAGE,
         "is missing (make it again"},
    };
    struct image *im = NULL;
    own_free char *nowhere = NULL;
    struct err e;

    begin();
    make_image("one", "1");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ck_assert_int_eq(image_open(dir, rows[i].ref, &im, &e), -1);
        ck_assert_int_eq(e.class, rows[i].class);
        ck_assert_msg(strstr(e.text, rows[i].says) != NULL, "%s", e.text);
    }
    nowhere = in_dir("nowhere");
    ck_assert_int_eq(image_open(nowhere, "default", &im, &e), -1);
    ck_assert_int_eq(e.class, ERR_IMAGE);
    ck_assert_ptr_nonnull(strstr(e.text, "image 'default'"));
    ck_assert_ptr_nonnull(strstr(e.text, "lazaret image build"));
    end();
}
END_TEST

START_TEST(a_beginning_of_two_digests_is_refused)
{
    own_image struct image *im = NULL;
    own_free char *twin = NULL;
    own_free char *ref = NULL;
    struct image *none = NULL;
    struct err e;

    begin();
    make_image("one", "1");
    ck_assert_int_eq(image_open(dir, "one", &im, &e), 0);
    twin = str_printf("blobs/sha256/%.20s%044d", im->digest, 0);
    put(twin, "");
    ref = str_printf("%.20s", im->digest);
    ck_assert_int_eq(image_open(dir, ref, &none, &e), -1);
    ck_assert_int_eq(e.class, ERR_USAGE);
    ck_assert_ptr_nonnull(strstr(e.text, "more than one"));
    end();
}
END_TEST

START_TEST(an_image_for_another_lazaret_can_be_looked_at_and_not_used)
{
    own_image struct image *im = NULL;
    struct image *none = NULL;
    char said[64];
    struct err e;

    begin();
    (void)snprintf(said, sizeof(said), "speaks protocol 99, this lazaret %u", WIRE_VERSION);
    make_image_of("default", "1", 99);
    ck_assert_int_eq(image_open(dir, "default", &none, &e), -1);
    ck_assert_int_eq(e.class, ERR_IMAGE);
    ck_assert_ptr_nonnull(strstr(e.text, said));
    ck_assert_ptr_nonnull(strstr(e.text, way_out));
    ck_assert_int_eq(image_look(dir, "default", &im, &e), 0);
    ck_assert_uint_eq(im->m.protocol, 99);
    end();
}
END_TEST

START_TEST(a_damaged_manifest_is_refused_whatever_it_says)
{
    own_image struct image *im = NULL;
    struct image *none = NULL;
    own_free char *path = NULL;
    own_free char *text = NULL;
    struct err e;

    begin();
    make_image("default", "1");
    ck_assert_int_eq(image_open(dir, "default", &im, &e), 0);
    path = store_blob_path(&im->store, im->digest);
    text = manifest_format(&im->m);
    /* Still a good manifest, but not this one. */
    strstr(text, "quiet")[0] = 'Q';
    ck_assert_int_eq(unlink(path), 0);
    put(path + strlen(dir) + 1, text);
    ck_assert_int_eq(image_open(dir, "default", &none, &e), -1);
    ck_assert_int_eq(e.class, ERR_IMAGE);
    ck_assert_ptr_nonnull(strstr(e.text, im->digest));
    ck_assert_ptr_nonnull(strstr(e.text, "is damaged"));
    ck_assert_ptr_nonnull(strstr(e.text, way_out));
    end();
}
END_TEST

static void damage_flip(const char *path)
{
    own_close int fd = -1;

    ck_assert_int_eq(chmod(path, 0644), 0);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    ck_assert_int_eq(pwrite(fd, "X", 1, 0), 1);
}

static void damage_cut(const char *path)
{
    ck_assert_int_eq(truncate(path, 3), 0);
}

static void damage_remove(const char *path)
{
    ck_assert_int_eq(unlink(path), 0);
}

static void damage_link(const char *path)
{
    own_free char *moved = str_printf("%s.moved", path);

    ck_assert_int_eq(rename(path, moved), 0);
    ck_assert_int_eq(symlink(moved, path), 0);
}

static void damage_fifo(const char *path)
{
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
}

static void damage_folder(const char *path)
{
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(mkdir(path, 0700), 0);
}

START_TEST(a_damaged_blob_is_named_with_the_way_out)
{
    static const struct {
        void (*damage)(const char *path);
        const char *says;
    } rows[] = {
        {damage_flip, "is damaged: its SHA-256 differs"},
        {damage_cut, "has 3 bytes, the manifest says"},
        {damage_remove, "is missing"},
        {damage_link, "Too many levels of symbolic links"},
        {damage_fifo, "is not a regular file"},
        {damage_folder, "is not a regular file"},
    };
    struct err e;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (int part = 0; part < IMAGE_PARTS; part++) {
            own_image struct image *im = NULL;
            own_free char *path = NULL;
            own_free char *says = NULL;

            begin();
            make_image("default", "1");
            ck_assert_int_eq(image_open(dir, "default", &im, &e), 0);
            path = store_blob_path(&im->store, im->m.parts[part].sha256);
            rows[i].damage(path);
            ck_assert_int_eq(image_verify(im, &e), -1);
            ck_assert_int_eq(e.class, ERR_IMAGE);
            says = str_printf("image 'default': %s: ", image_part_name((enum image_part)part));
            if (!str_starts_with(e.text, says) || !strstr(e.text, im->m.parts[part].sha256) ||
                !strstr(e.text, rows[i].says) || !strstr(e.text, way_out))
                ck_abort_msg("%s", e.text);
            /* A run leaves the root's blocks to the guest, and nothing else. */
            ck_assert_int_eq(image_open_parts(im, &e),
                             part == IMAGE_ROOT && rows[i].damage == damage_flip ? 0 : -1);
            end();
        }
}
END_TEST

START_TEST(a_blob_that_is_damaged_after_it_was_opened_is_named_and_a_new_one_is_not)
{
    struct err e;

    for (int part = 0; part < IMAGE_PARTS; part++) {
        own_image struct image *im = NULL;
        own_free char *path = NULL;
        own_free char *says = NULL;

        begin();
        make_image("default", "1");
        ck_assert_int_eq(image_open(dir, "default", &im, &e), 0);
        ck_assert_int_eq(image_open_parts(im, &e), 0);
        ck_assert_int_eq(image_recheck(im, &e), 0);
        path = store_blob_path(&im->store, im->m.parts[part].sha256);
        damage_flip(path);
        /* The file that is open counts, not the one that has its name. */
        make_image("default", "1");
        ck_assert_int_eq(image_recheck(im, &e), -1);
        ck_assert_int_eq(e.class, ERR_IMAGE);
        says =
            str_printf("image 'default': %s: blob sha256:%s is damaged: its SHA-256 differs %s",
                       image_part_name((enum image_part)part), im->m.parts[part].sha256, way_out);
        ck_assert_str_eq(e.text, says);
        ck_assert_int_eq(image_open_parts(im, &e), 0);
        ck_assert_int_eq(image_recheck(im, &e), 0);
        damage_cut(path);
        ck_assert_int_eq(image_recheck(im, &e), -1);
        end();
    }
}
END_TEST

START_TEST(lists_images_by_name_and_damaged_ones_with_their_error)
{
    own_doc struct doc *list = NULL;
    own_free char *nowhere = NULL;
    struct doc *none = NULL;
    const char *text;
    uint64_t size;
    struct err e;

    begin();
    make_image("zeta", "1");
    make_image("alpha", "2");
    put("tags/broken", "sha256:");
    put("tags/.hidden", "sha256:");
    ck_assert_int_eq(image_list(dir, &list, &e), 0);
    ck_assert_uint_eq(doc_len(list), 3);
    ck_assert_int_eq(doc_get_str(doc_at(list, 0), "name", &text, &e), 0);
    ck_assert_str_eq(text, "alpha");
    ck_assert_int_eq(doc_get_u64(doc_at(list, 0), "size", &size, &e), 0);
    ck_assert_uint_eq(size, strlen("kernel 2") + strlen("initramfs 2") + MAKE_ROOT_BYTES);
    ck_assert_int_eq(doc_get_str(doc_at(list, 0), "tagged", &text, &e), 0);
    ck_assert_int_ge(strcmp(text, "2026"), 0);
    ck_assert(!doc_has(doc_at(list, 0), "error"));
    ck_assert_int_eq(doc_get_str(doc_at(list, 1), "name", &text, &e), 0);
    ck_assert_str_eq(text, "broken");
    ck_assert(doc_has(doc_at(list, 1), "error"));
    ck_assert_int_eq(doc_get_str(doc_at(list, 2), "name", &text, &e), 0);
    ck_assert_str_eq(text, "zeta");
    nowhere = in_dir("nowhere");
    ck_assert_int_eq(image_list(nowhere, &none, &e), 0);
    ck_assert_uint_eq(doc_len(none), 0);
    doc_free(none);
    end();
}
END_TEST

START_TEST(a_new_image_takes_the_name_and_the_older_one_stays_open)
{
    own_image struct image *old = NULL, *new = NULL;
    char buf[16] = "";
    struct err e;

    begin();
    make_image("default", "1");
    ck_assert_int_eq(image_open(dir, "default", &old, &e), 0);
    make_image("default", "2");
    ck_assert_int_eq(image_open_parts(old, &e), 0);
    ck_assert_int_eq(pread(old->fds[IMAGE_KERNEL], buf, sizeof(buf) - 1, 0), 8);
    ck_assert_str_eq(buf, "kernel 1");
    ck_assert_int_eq(image_open(dir, "default", &new, &e), 0);
    ck_assert_str_ne(old->digest, new->digest);
    check_whole(dir);
    end();
}
END_TEST

START_TEST(the_same_image_twice_is_one_with_two_names)
{
    own_image struct image *a = NULL, *b = NULL;
    char digest[DIGEST_HEX_SIZE];
    struct err e;
    size_t blobs;

    begin();
    make_image("a", "1");
    blobs = check_whole(dir);
    make_image("b", "1");
    ck_assert_uint_eq(check_whole(dir), blobs);
    ck_assert_int_eq(image_tag(dir, "a", "c", digest, &e), 0);
    ck_assert_int_eq(image_tag(dir, "a", "../c", digest, &e), -1);
    ck_assert_int_eq(e.class, ERR_USAGE);
    ck_assert_int_eq(image_tag(dir, "nope", "d", digest, &e), -1);
    ck_assert_int_eq(e.class, ERR_IMAGE);
    ck_assert_int_eq(image_open(dir, "b", &a, &e), 0);
    ck_assert_int_eq(image_open(dir, "c", &b, &e), 0);
    ck_assert_str_eq(a->digest, b->digest);
    end();
}
END_TEST

SUITE("images", an_opened_image_holds_open_what_was_hashed,
      an_image_is_found_by_name_by_digest_and_by_its_beginning,
      what_is_no_reference_or_leads_nowhere_is_said, a_beginning_of_two_digests_is_refused,
      an_image_for_another_lazaret_can_be_looked_at_and_not_used,
      a_damaged_manifest_is_refused_whatever_it_says, a_damaged_blob_is_named_with_the_way_out,
      a_blob_that_is_damaged_after_it_was_opened_is_named_and_a_new_one_is_not,
      lists_images_by_name_and_damaged_ones_with_their_error,
      a_new_image_takes_the_name_and_the_older_one_stays_open,
      the_same_image_twice_is_one_with_two_names)
