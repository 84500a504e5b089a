/* temp: a temporary folder of one test: begin() makes it, end() removes it. */
#ifndef LZ_TESTS_TEMP_H
#define LZ_TESTS_TEMP_H

#include "base/file.h"
#include "base/own.h"
#include "base/str.h"

#include <check.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static char dir[64]; /* of this test */

static inline void begin(void)
{
    strcpy(dir, "/tmp/lz-test-images-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static inline void end(void)
{
    struct err e;

    ck_assert_int_eq(file_remove_tree(AT_FDCWD, dir, &e), 0);
}

static inline char *in_dir(const char *name)
{
    return str_printf("%s/%s", dir, name);
}

static inline void put(const char *name, const char *text)
{
    own_free char *path = in_dir(name);
    own_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(file_write_all(fd, text, strlen(text)), 0);
}

static inline void make(const char *name)
{
    own_free char *path = in_dir(name);

    ck_assert_int_eq(mkdir(path, 0700), 0);
}

static inline bool exists(const char *name)
{
    own_free char *path = in_dir(name);

    return faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

#endif
