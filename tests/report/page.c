/* page: writes the page of a record with the first argument as every text in it to the second. */
#include <check.h>

#include "tests/unit/report_make.h"
#include "tests/unit/suite.h"

static const char *text, *path;

/* What makes the record may be called in a test only. */
START_TEST(write_it)
{
    own_free char *page = NULL;

    begin();
    page = page_with(text);
    end();
    OK(file_write(AT_FDCWD, path, page, strlen(page), 0600, &err));
}
END_TEST

int main(int argc, char **argv)
{
    TCase *tc = tcase_create("page");

    if (argc != 3)
        return 2;
    text = argv[1];
    path = argv[2];
    tcase_add_test(tc, write_it);
    return suite_run("page", tc);
}
