/* test_import: promises of image_import: the store gets a whole image, or stays as it was. */
#include "images/import.h"

#include "images/image.h"
#include "tests/unit/bundle_make.h"
#include "tests/unit/make_image.h"
#include "tests/unit/suite.h"
#include "tests/unit/whole.h"

static struct str said; /* by the last import */

static void listen(void *arg, const char *line)
{
    (void)arg;
    ck_assert(str_is_printable(line, 256));
    str_addf(&said, "%s\n", line);
}

static int import(const char *source, const char *tag, const char *base, char *ret_digest,
                  struct err *e)
{
    struct image_import w = {
        .store_dir = dir, .source = source, .tag = tag, .base = base, .progress.line = listen};

    str_done(&said);
    return image_import(&w, ret_digest, e);
}

static size_t entries_in(const char *name)
{
    own_free char *path = in_dir(name);

    return count_entries(path);
}

START_TEST(an_imported_image_is_whole_and_the_same_every_time)
{
    static const struct layout hidden = {.two = "f etc/passwd web:x:33:33::/:\nd work"};
    own_image struct image *im = NULL, *base = NULL;
    own_free char *source = NULL, *untagged = NULL;
    char one[DIGEST_HEX_SIZE], two[DIGEST_HEX_SIZE];
    const char *text;
    struct err e;

    begin();
    make_image("default", "1");
    put_layout(&hidden);
    source = str_printf("oci:%s/layout:v1", dir);
    untagged = str_printf("oci:%s/layout", dir);
    ck_assert_msg(import(source, "x", "default", one, &e) == 0, "%s", e.text);
    ck_assert_ptr_nonnull(strstr(said.data, "layer 2 (sha256:"));
    ck_assert_ptr_nonnull(strstr(said.data, "note: the image has a '/work' of its own"));
    ck_assert_msg(import(untagged, "y", "default", two, &e) == 0, "%s", e.text);
    ck_assert_str_eq(one, two);
    ck_assert_int_eq(image_open(dir, "x", &im, &e), 0);
    ck_assert_str_eq(im->digest, one);
    ck_assert_int_eq(image_verify(im, &e), 0);
    ck_assert_int_eq(image_open(dir, "default", &base, &e), 0);
    ck_assert_str_eq(im->m.parts[IMAGE_KERNEL].sha256, base->m.parts[IMAGE_KERNEL].sha256);
    ck_assert_str_eq(im->m.cmdline, base->m.cmdline);
    ck_assert_str_eq(im->m.config.entrypoint.items[0], "/app/run");
    ck_assert_uint_eq(im->m.config.uid, 33);
    ck_assert_int_eq(doc_get_str(im->m.created_from, "kind", &text, &e), 0);
    ck_assert_str_eq(text, "oci");
    ck_assert_int_eq(doc_get_str(im->m.created_from, "reference", &text, &e), 0);
    ck_assert_str_eq(text, "v1");
    ck_assert_uint_eq(check_whole(dir), 6); /* of the base 4; a root and a manifest */
    ck_assert_uint_eq(entries_in("tmp"), 0);
    end();
}
END_TEST

START_TEST(a_failed_import_leaves_the_store_as_it_was)
{
    static const struct {
        const char *source, *tag, *base; /* source: behind the folder's path */
        enum err_class class;
        const char *says;
        struct layout l;
    } rows[] = {
        {"oci:%s/layout",
         "x",
         "default",
         ERR_IMAGE,
         "image 'x': layer 2 (sha256:",
         {.two = "f ../a x"}},
        {"oci:%s/layout",
         "x",
         "default",
         ERR_IMAGE,
         "image 'x': the image runs as 'web'",
         {.two = "f etc/passwd x"}},
        {"oci:%s/layout", "x", "default", ERR_IMAGE, "image 'x': index.json", {.index = "{"}},
        {"oci:%s/layout", "x", "missing", ERR_IMAGE, "the kernel comes from another image: ", {0}},
        {"oci:%s/layout", "../x", "default", ERR_USAGE, "'../x' is not an image name", {0}},
        {"oci:%s/layout:v2", "x", "default", ERR_IMAGE, "it has no image 'v2'", {0}},
        {"oci:%s/layout:", "x", "default", ERR_USAGE, "no name after ':'", {0}},
        {"oci:%s/missing:v1", "x", "default", ERR_USAGE, "missing:v1': No such file", {0}},
        {"oci:%s/tmp", "x", "default", ERR_IMAGE, "is not an OCI layout", {0}},
        {"docker-archive:%s/layout/index.json",
         "x",
         "default",
         ERR_IMAGE,
         "entry at byte 0 is cut off",
         {0}},
        {"docker-archive:%s/layout", "x", "default", ERR_USAGE, "is not a file", {0}},
        {"%s/layout", "x", "default", ERR_USAGE, "is no source of an image", {0}},
        {"oci:", "x", "default", ERR_USAGE, "is no source of an image", {0}},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *at = strstr(rows[i].source, "%s");
        own_free char *source = NULL;
        char digest[DIGEST_HEX_SIZE] = "";
        size_t blobs;
        struct err e = {0};

        begin();
        source =
            at ? str_printf("%.*s%s%s", (int)(at - rows[i].source), rows[i].source, dir, at + 2)
               : str_dup(rows[i].source);
        make_image("default", "1");
        make_image("x", "2");
        blobs = check_whole(dir);
        put_layout(&rows[i].l);
        ck_assert_msg(import(source, rows[i].tag, rows[i].base, digest, &e) < 0, "%s", source);
        ck_assert_msg(strstr(e.text, rows[i].says), "%s: %s", source, e.text);
        ck_assert_msg(e.class == rows[i].class, "%s: %s", source, e.text);
        ck_assert_str_eq(digest, "");
        ck_assert_uint_eq(check_whole(dir), blobs);
        ck_assert_uint_eq(entries_in("tmp"), 0);
        ck_assert_uint_eq(entries_in("tags"), 2);
        end();
    }
}
END_TEST

START_TEST(colons_in_a_path_are_part_of_it)
{
    own_free char *from = NULL, *to = NULL, *source = NULL;
    char digest[DIGEST_HEX_SIZE];
    struct err e;

    begin();
    make_image("default", "1");
    put_layout(&(struct layout){0});
    from = in_dir("layout");
    to = in_dir("lay:out:v1");
    ck_assert_int_eq(rename(from, to), 0);
    source = str_printf("oci:%s:v1", to);
    ck_assert_msg(import(source, "x", "default", digest, &e) == 0, "%s", e.text);
    end();
}
END_TEST

SUITE("import", an_imported_image_is_whole_and_the_same_every_time,
      a_failed_import_leaves_the_store_as_it_was, colons_in_a_path_are_part_of_it)
