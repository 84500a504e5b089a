/* test_checker: what is read beside the start of a guest is told as it is, and a reader that is
 * gone too. */
#include "run/checker.h"

#include "tests/unit/make_image.h"
#include "tests/unit/suite.h"

#include <signal.h>
#include <unistd.h>

static struct err err;

static struct image *open_image(void)
{
    struct image *im;

    make_image("default", "1");
    ck_assert_msg(image_open(dir, "default", &im, &err) == 0, "%s", err.text);
    ck_assert_msg(image_open_unread(im, &err) == 0, "%s", err.text);
    return im;
}

START_TEST(a_kernel_or_initramfs_that_is_damaged_is_told_before_it_is_used)
{
    static const enum image_part parts[] = {IMAGE_KERNEL, IMAGE_INITRAMFS};

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        own_image struct image *im = NULL;
        own_free char *path = NULL;
        own_close int fd = -1;
        struct checker c;

        begin();
        im = open_image();
        ck_assert_int_eq(checker_start(im, &c, &err), 0);
        ck_assert_msg(checker_image(&c, &err) == 0, "%s", err.text);
        checker_end(&c);
        path = store_blob_path(&im->store, im->m.parts[parts[i]].sha256);
        ck_assert_int_eq(chmod(path, 0600), 0);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        ck_assert_int_eq(pwrite(fd, "\xff", 1, 0), 1);
        ck_assert_int_eq(checker_start(im, &c, &err), 0);
        ck_assert_int_eq(checker_image(&c, &err), -1);
        ck_assert_int_eq(err.class, ERR_IMAGE);
        ck_assert_ptr_nonnull(strstr(err.text, im->m.parts[parts[i]].sha256));
        checker_end(&c);
        end();
    }
}
END_TEST

START_TEST(memory_is_read_as_often_as_it_is_asked_for)
{
    own_image struct image *im = NULL;
    own_close int fd = -1;
    own_free char *path = NULL;
    struct memory_sum here, there;
    struct checker c;

    begin();
    im = open_image();
    path = in_dir("ram");
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(ftruncate(fd, 8 * MEMORY_PAGE), 0);
    ck_assert_int_eq(checker_start(im, &c, &err), 0);
    ck_assert_int_eq(checker_image(&c, &err), 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(pwrite(fd, &i, sizeof(i), i * (off_t)MEMORY_PAGE), sizeof(i));
        ck_assert_int_eq(memory_digest(fd, &here, &err), 0);
        ck_assert_int_eq(checker_ask(&c, fd, &err), 0);
        ck_assert_msg(checker_answer(&c, &there, &err) == 0, "%s", err.text);
        ck_assert_str_eq(here.sha256, there.sha256);
        ck_assert_uint_eq(here.used_bytes, there.used_bytes);
    }
    ck_assert_int_eq(ftruncate(fd, 1), 0);
    ck_assert_int_eq(checker_ask(&c, fd, &err), 0);
    ck_assert_int_eq(checker_answer(&c, &there, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "whole pages"));
    checker_end(&c);
    end();
}
END_TEST

START_TEST(a_checker_that_died_is_an_error_and_no_wait)
{
    own_image struct image *im = NULL;
    struct memory_sum sum;
    struct checker c;

    begin();
    im = open_image();
    ck_assert_int_eq(checker_start(im, &c, &err), 0);
    ck_assert_int_eq(checker_image(&c, &err), 0);
    ck_assert_int_eq(kill(c.pid, SIGKILL), 0);
    ck_assert_int_eq(checker_answer(&c, &sum, &err), -1);
    ck_assert_int_eq(err.class, ERR_HOST);
    ck_assert_ptr_nonnull(strstr(err.text, "died"));
    checker_end(&c);
    checker_end(&c);
    end();
}
END_TEST

SUITE("checker", a_kernel_or_initramfs_that_is_damaged_is_told_before_it_is_used,
      memory_is_read_as_often_as_it_is_asked_for, a_checker_that_died_is_an_error_and_no_wait)
