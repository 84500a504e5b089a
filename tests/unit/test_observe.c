/* test_observe: promises of what a run that learns did, on its way to the manifest. */
#include "base/own.h"
#include "base/str.h"
#include "run/observe.h"
#include "tests/unit/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

START_TEST(what_the_relay_escaped_is_the_same_bytes_again)
{
    static const char *const paths[] = {
        "/a",        "/a b/c\\d",        "/\\x41",        "/\n\x1b[2J/\x7f",
        "/\xc3\xa9", "/\xff\xfe\x80/..", "/ends with \\", "/..."};
    char escaped[CHANNEL_TEXT_MAX], back[CHANNEL_TEXT_MAX], path[WIRE_PATH_MAX + 1] = "/folder/";

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        str_escape(escaped, sizeof(escaped), paths[i], strlen(paths[i]));
        observe_unescape(escaped, back);
        ck_assert_str_eq(back, paths[i]);
    }
    /* A whole one of its longest, and one whose text had to be cut. */
    memset(path + 8, 'x', WIRE_PATH_MAX - 8);
    str_escape(escaped, sizeof(escaped), path, WIRE_PATH_MAX);
    observe_unescape(escaped, back);
    ck_assert_str_eq(back, path);
    for (size_t front = 1; front <= 8; front++) {
        static const char tail[] = "folder/";
        char folder[sizeof("/folder/")];

        snprintf(folder, sizeof(folder), "/%s", &tail[sizeof(tail) - front]);
        memset(path, '\xff', WIRE_PATH_MAX);
        memcpy(path, folder, front);
        str_escape(escaped, sizeof(escaped), path, WIRE_PATH_MAX);
        observe_unescape(escaped, back);
        ck_assert_str_eq(back, folder);
    }
}
END_TEST

START_TEST(a_keeper_that_did_not_come_to_its_end_has_observed_nothing)
{
    own_observed struct observed seen = {0};
    const struct run_result r = {0};
    struct err e;
    int fd = -1;

    ck_assert_int_eq(observe_open(&fd, &e), 0);
    ck_assert_int_lt(observe_read(fd, &r, &seen, &e), 0);
    ck_assert_int_eq(e.class, ERR_HOST);
    ck_assert_int_eq(write(fd, "half", 4), 4);
    ck_assert_int_lt(observe_read(fd, &r, &seen, &e), 0);
    close(fd);
}
END_TEST

SUITE("observe", what_the_relay_escaped_is_the_same_bytes_again,
      a_keeper_that_did_not_come_to_its_end_has_observed_nothing)
