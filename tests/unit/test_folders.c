/* test_folders: a folder that a policy has judged by its real path is that one, or none. */
#include "run/keeper.h"

#include "base/own.h"
#include "tests/unit/suite.h"
#include "tests/unit/temp.h"

#include <errno.h>
#include <unistd.h>

static struct err err;

static void link_to(const char *target, const char *name)
{
    own_free char *path = in_dir(name);

    ck_assert_int_eq(symlink(target, path), 0);
}

START_TEST(a_path_with_a_link_anywhere_is_not_opened_as_a_real_one)
{
    static const struct {
        const char *path;
        bool opens;
    } rows[] = {{"a/b", true}, {"a/l", false}, {"la/b", false}, {"a/..", true}, {"none", false}};

    begin();
    make("a");
    make("a/b");
    link_to("b", "a/l");
    link_to("a", "la");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own_free char *path = in_dir(rows[i].path);
        own_close int fd = file_open_real(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);

        ck_assert_msg((fd >= 0) == rows[i].opens, "%s", rows[i].path);
        ck_assert(fd >= 0 || errno == ELOOP || errno == ENOENT);
    }
    end();
}
END_TEST

/* Between the policy's look and the opening somebody puts a link where the folder was. */
START_TEST(an_input_that_became_a_link_does_not_go_in)
{
    struct plan plan = {0};
    struct run_config c = {0};

    begin();
    make("secret");
    make("data");
    c.data_dir = dir;
    for (int i = 0; i < 2; i++) {
        own_free char *path = in_dir(i ? "data" : "up/data"), *sealed = in_dir("key");
        struct keeper k = {.plan = &plan, .c = &c};

        if (i == 0)
            link_to(".", "up");
        else
            ck_assert_int_eq(rmdir(path), 0);
        if (i == 1)
            link_to("secret", "data");
        strv_add(&plan.inputs, path);
        ck_assert_int_eq(keeper_before(&k, &err), -1);
        ck_assert_int_eq(err.class, ERR_USAGE);
        ck_assert_ptr_nonnull(strstr(err.text, path));
        ck_assert_uint_eq(k.n_inputs, 0);
        close(k.data_fd);
        plan.in_identity = sealed; /* of an archive: the same */
        put("real-key", "x");
        if (i == 0)
            link_to("real-key", "key");
        ck_assert_int_eq(keeper_before(&k, &err), -1);
        ck_assert_ptr_nonnull(strstr(err.text, "--in-identity"));
        close(k.data_fd);
        plan.in_identity = NULL;
        strv_done(&plan.inputs);
    }
    end();
}
END_TEST

START_TEST(an_output_that_became_a_link_gets_nothing)
{
    static const char *const names[] = {"up/out", "out", "dangling"};
    int fd = -1;

    begin();
    make("elsewhere");
    link_to(".", "up");
    link_to("elsewhere", "out");
    link_to("new", "dangling");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        own_free char *path = in_dir(names[i]);

        ck_assert_int_eq(run_open_out(path, true, &fd, &err), -1);
        ck_assert_int_eq(err.class, ERR_USAGE);
        ck_assert_ptr_nonnull(strstr(err.text, path));
    }
    ck_assert(!exists("new"));
    end();
}
END_TEST

START_TEST(an_output_is_made_or_taken_if_it_is_empty)
{
    own_free char *path = NULL, *link = NULL;
    int fd = -1;

    begin();
    path = in_dir("out");
    for (int i = 0; i < 2; i++) {
        ck_assert_msg(run_open_out(path, true, &fd, &err) == 0, "%s", err.text);
        close(fd);
    }
    /* What the user names for diff or unseal may be a link. */
    link_to("out", "link");
    link = in_dir("link");
    ck_assert_int_eq(run_open_out(link, false, &fd, &err), 0);
    close(fd);
    put("out/full", "x");
    ck_assert_int_eq(run_open_out(path, true, &fd, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "not empty"));
    end();
}
END_TEST

SUITE("folders", a_path_with_a_link_anywhere_is_not_opened_as_a_real_one,
      an_input_that_became_a_link_does_not_go_in, an_output_that_became_a_link_gets_nothing,
      an_output_is_made_or_taken_if_it_is_empty)
