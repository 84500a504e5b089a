/* whole: what holds of an image store at every moment, whatever was killed or failed. */
#ifndef LZ_TESTS_WHOLE_H
#define LZ_TESTS_WHOLE_H

#include "base/digest.h"
#include "base/own.h"
#include "images/store.h"

#include <check.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* Every blob is what its name says, every name leads to a blob. Returns how many blobs there are.
 */
static inline size_t check_whole(const char *store_dir)
{
    own_store struct store s = STORE_INIT;
    own_strv struct strv blobs = {0}, names = {0};
    struct err e;

    ck_assert_int_eq(store_open(store_dir, STORE_READ, &s, &e), 0);
    ck_assert_int_eq(store_blob_list(&s, &blobs, &e), 0);
    for (size_t i = 0; i < blobs.n; i++) {
        char sha256[DIGEST_HEX_SIZE];
        own_close int fd = -1;
        uint64_t size_bytes;
        struct stat st;

        ck_assert_int_eq(store_get(&s, blobs.items[i], &fd, &size_bytes, &e), 0);
        ck_assert_int_eq(digest_fd(fd, sha256, &size_bytes, &e), 0);
        ck_assert_str_eq(sha256, blobs.items[i]);
        ck_assert_int_eq(fstat(fd, &st), 0);
        ck_assert_uint_eq(st.st_mode & 07777, 0444);
    }
    ck_assert_int_eq(store_name_list(&s, STORE_TAGS, &names, &e), 0);
    for (size_t i = 0; i < names.n; i++) {
        char sha256[DIGEST_HEX_SIZE];
        own_close int fd = -1;
        uint64_t size_bytes;

        ck_assert_int_eq(store_name_get(&s, STORE_TAGS, names.items[i], sha256, &e), 0);
        ck_assert_int_eq(store_get(&s, sha256, &fd, &size_bytes, &e), 0);
    }
    return blobs.n;
}

/* Entries of a folder, without "." and "..". */
static inline size_t count_entries(const char *path)
{
    own_closedir DIR *d = opendir(path);
    size_t n = 0;

    ck_assert_ptr_nonnull(d);
    while (readdir(d))
        n++;
    return n - 2;
}

#endif
