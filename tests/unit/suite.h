/*
 * suite: main() of a Check program: SUITE("name", test, ...), at most 40 tests; or suite_run(). And
 * what many of them ask about their own process.
 *
 * Prints TAP where CK_TAP_LOG_FILE_NAME=- is set, as meson does.
 */
#ifndef LZ_TESTS_SUITE_H
#define LZ_TESTS_SUITE_H

#include <check.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How many fds this process has open. */
static inline size_t suite_count_fds(void)
{
    size_t n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Whether a test is in the file that LZ_SKIPPED names, where this run has one (scripts/valgrind):
 * its name is the first word of a line. Says so. */
static inline bool suite_is_skipped(const char *test)
{
    const char *path = getenv("LZ_SKIPPED");
    FILE *f = path ? fopen(path, "re") : NULL;
    char line[256];
    bool found = false;

    while (f && !found && fgets(line, sizeof(line), f)) {
        line[strcspn(line, " \n")] = '\0';
        found = strcmp(line, test) == 0;
    }
    if (f)
        (void)fclose(f);
    if (found)
        printf("# skipped: %s\n", test);
    return found;
}

/* Whether programs run under valgrind, which has memory of its own in each. */
static inline bool suite_is_under_valgrind(void)
{
    return getenv("LZ_SKIPPED") != NULL;
}

/* Runs the tests of `tc` as the suite `name`; takes `tc`. Returns the status for main(). */
static inline int suite_run(const char *name, TCase *tc)
{
    Suite *s = suite_create(name);
    SRunner *sr;
    int failed;

    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, getenv("CK_TAP_LOG_FILE_NAME") ? CK_SILENT : CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* before() and after() each of the tests, or NULL. */
static inline int suite_main(const char *name, void (*before)(void), void (*after)(void),
                             const TTest *const *tests, size_t n)
{
    TCase *tc = tcase_create(name);

    tcase_add_checked_fixture(tc, before, after);
    for (size_t i = 0; i < n; i++)
        if (!suite_is_skipped(tests[i]->name))
            tcase_add_test(tc, tests[i]);
    return suite_run(name, tc);
}

#define SUITE_WITH(before, after, name, ...)                                                       \
    int main(void)                                                                                 \
    {                                                                                              \
        const TTest *const all[] = {__VA_ARGS__};                                                  \
        return suite_main(name, before, after, all, sizeof(all) / sizeof(all[0]));                 \
    }
#define SUITE(name, ...) SUITE_WITH(NULL, NULL, name, __VA_ARGS__)

#endif
