/* test_secret: promises about the files that secrets come from. */
#include "base/own.h"
#include "run/secret.h"
#include "tests/unit/suite.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static struct err err;

static int parse(const char *const *asked, const char *const *env, struct secrets *ret)
{
    own_strv struct strv a = {0}, v = {0};

    while (*asked)
        strv_add(&a, *asked++);
    while (env && *env)
        strv_add(&v, *env++);
    return secrets_parse(&a, &v, ret, &err);
}
#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

START_TEST(files_come_first_and_then_what_is_for_the_environment)
{
    own_secrets struct secrets s = {0};

    ck_assert_int_eq(parse(LIST("A=/a=b", "B=fd:9", "C=-"), LIST("A"), &s), 0);
    ck_assert_uint_eq(s.files.n, 2);
    ck_assert_str_eq(s.files.items[0], "B");
    ck_assert_str_eq(s.env.items[0], "A");
    ck_assert_str_eq(s.sources.items[1], "-");
    ck_assert_str_eq(s.sources.items[2], "/a=b");
    ck_assert(secrets_use_stdin(&s));
}
END_TEST

START_TEST(what_the_plan_has_in_the_environment_goes_there_with_its_file)
{
    own_secrets struct secrets s = {0};
    own_strv struct strv env = {0};
    int fds[4];

    ck_assert_int_eq(parse(LIST("A=/a", "B=/b", "C=/c", "D=/d"), LIST("D"), &s), 0);
    for (size_t i = 0; i < 4; i++)
        s.fds[s.n_fds++] = fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    strv_add(&env, "D");
    strv_add(&env, "A");
    strv_add(&env, "C");
    secrets_follow(&s, &env);
    ck_assert(s.files.n == 1 && s.env.n == 3 && s.sources.n == 4 && s.n_fds == 4);
    ck_assert_str_eq(s.files.items[0], "B");
    ck_assert_str_eq(s.env.items[0], "D");
    ck_assert_str_eq(s.env.items[1], "A");
    ck_assert_str_eq(s.env.items[2], "C");
    ck_assert_str_eq(s.sources.items[0], "/b");
    ck_assert_str_eq(s.sources.items[1], "/d");
    ck_assert_str_eq(s.sources.items[2], "/a");
    ck_assert_str_eq(s.sources.items[3], "/c");
    ck_assert(s.fds[0] == fds[1] && s.fds[1] == fds[3] && s.fds[2] == fds[0] && s.fds[3] == fds[2]);
}
END_TEST

START_TEST(what_is_no_secret_is_refused_without_repeating_it)
{
    static const char *const rows[][3] = {{"hunter2"}, {"A="}, {"=a"}, {"a-b=c"}, {"A=a", "A=b"}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own_secrets struct secrets s = {0};

        ck_assert_int_eq(parse(rows[i], NULL, &s), -1);
        ck_assert_int_eq(err.class, ERR_USAGE);
        ck_assert_ptr_null(strstr(err.text, "hunter2"));
    }
    own_secrets struct secrets s = {0};

    ck_assert_int_eq(parse(LIST("A=a"), LIST("B"), &s), -1);
}
END_TEST

static int open_as(const char *source)
{
    own_secrets struct secrets s = {0};
    own_free char *text = str_printf("A=%s", source);

    ck_assert_int_eq(parse(LIST(text), NULL, &s), 0);
    return secrets_open(&s, &err);
}

START_TEST(only_files_and_pipes_that_nobody_else_reads_are_opened)
{
    char path[] = "/tmp/lz-secret-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    own_free char *by_fd = str_printf("fd:%d", fd);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(open_as(by_fd), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "empty"));
    /* Every fd that is not a secret's was closed, or on its way out here: opened anew. */
    fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(write(fd, "secret", 6), 6);
    ck_assert_int_eq(open_as(path), 0);
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1); /* what the caller left is closed */
    for (mode_t bit = 04; bit <= 040; bit *= 8) {
        ck_assert_int_eq(chmod(path, 0600 | bit), 0);
        ck_assert_int_eq(open_as(path), -1);
        ck_assert_int_eq(err.class, ERR_REFUSED);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        by_fd[3] = (char)('0' + fd); /* whoever opens it themselves knows */
        by_fd[4] = '\0';
        ck_assert_msg(open_as(by_fd) == 0, "%s", err.text);
    }
    ck_assert_int_eq(truncate(path, WIRE_SECRET_MAX + 1), 0);
    ck_assert_int_eq(chmod(path, 0600), 0);
    ck_assert_int_eq(open_as(path), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "over"));
    ck_assert_int_eq(open_as("/dev/zero"), -1);
    ck_assert_int_eq(open_as("/"), -1);
    ck_assert_int_eq(open_as("/nonexistent/file"), -1);
    ck_assert_int_eq(open_as("fd:1"), -1);
    ck_assert_int_eq(open_as("fd:900"), -1);
    unlink(path);
}
END_TEST

SUITE("secret", files_come_first_and_then_what_is_for_the_environment,
      what_the_plan_has_in_the_environment_goes_there_with_its_file,
      what_is_no_secret_is_refused_without_repeating_it,
      only_files_and_pipes_that_nobody_else_reads_are_opened)
