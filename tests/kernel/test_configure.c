/*
 * test_configure: the kernel's own makefiles, given our lists, make a configuration that holds what
 * it must. Needs the source package in the cache, where `lazaret image kernel build` left it, and
 * what a kernel build needs; nothing is compiled. GOLDEN_UPDATE=1 writes the configurations that
 * the unit tests read.
 */
#include "images/kernel_config.h"
#include "images/kernel_make.h"
#include "images/kernel_source.h"
#include "tests/unit/suite.h"
#include "tests/unit/temp.h"

#include <glob.h>

#define CONFIG_SIZE_MAX (256 * 1024)

static char *deb;

/* Returns new: the newest source package in the cache, or NULL. */
static char *find_package(void)
{
    own_free char *pattern =
        str_printf("%s/cache/kernel/apt/archives/" KERNEL_SOURCE_PACKAGE "_*.deb",
                   getenv("LAZARET_DATA_DIR") ? getenv("LAZARET_DATA_DIR") : "/nonexistent");
    char *path = NULL;
    glob_t found;

    if (glob(pattern, 0, NULL, &found) == 0) {
        path = str_dup(found.gl_pathv[found.gl_pathc - 1]);
        globfree(&found);
    }
    return path;
}

static void configure(const char *flavour, const char *source)
{
    own_free char *objects = in_dir(flavour);
    own_free char *list = str_printf("%s/" KERNEL_MAKE_CONFIG, flavour);
    own_free char *wanted = kernel_config_wanted(flavour);
    own_free char *path = str_printf("%s/.config", objects);
    own_free char *golden = str_printf(GOLDEN_DIR "/kernel/%s.config", flavour);
    own_free char *config = NULL;
    struct kernel_make m = {
        .source = source, .objects = objects, .jobs = 1, .target = "allnoconfig"};
    struct err e;

    make(flavour);
    put(list, wanted);
    ck_assert_msg(kernel_make_run(&m, &e) == 0, "%s", e.text);
    ck_assert_msg(file_read(AT_FDCWD, path, CONFIG_SIZE_MAX, &config, NULL, &e) == 0, "%s", e.text);
    ck_assert_msg(kernel_config_check(flavour, config, &e) == 0, "%s", e.text);
    if (getenv("GOLDEN_UPDATE"))
        ck_assert_int_eq(file_write(AT_FDCWD, golden, config, strlen(config), 0644, &e), 0);
}

START_TEST(debians_source_takes_our_lists_whole)
{
    own_free char *source = NULL;
    struct err e;

    begin();
    ck_assert_msg(kernel_source_unpack(deb, dir, "source", &e) == 0, "%s", e.text);
    source = in_dir("source");
    for (size_t i = 0; kernel_flavours[i]; i++)
        configure(kernel_flavours[i], source);
    end();
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("configure");
    struct err e;
    int status;

    deb = find_package();
    if (!deb || kernel_make_check_tools(&e) < 0) {
        printf("1..0 # SKIP %s\n", deb ? e.text : "no " KERNEL_SOURCE_PACKAGE " in the cache");
        return EXIT_SUCCESS;
    }
    tcase_set_timeout(tc, 600);
    tcase_add_test(tc, debians_source_takes_our_lists_whole);
    status = suite_run("kernel", tc);
    free(deb);
    return status;
}
