/* tree: a rootfs in the temporary folder of one test, and what is asked of it. */
#ifndef LZ_TESTS_TREE_H
#define LZ_TESTS_TREE_H

#include "images/rootfs.h"
#include "tests/unit/tar_make.h"
#include "tests/unit/temp.h"

/* Calls begin(). */
static inline void must_be_new(struct rootfs **ret)
{
    struct err e;

    begin();
    ck_assert_int_eq(rootfs_new(dir, ret, &e), 0);
}

static inline int add_bytes(struct rootfs *r, const struct str *bytes, bool whiteouts,
                            struct err *e)
{
    own_close int fd = make_fd(bytes);

    return rootfs_add_layer(r, fd, "layer 1 (sha256:ab)", whiteouts, e);
}

static inline void must_read(struct rootfs *r, const char *path, const char *want)
{
    own_free char *data = NULL;
    size_t len;
    struct err e;

    ck_assert_msg(rootfs_read(r, path, 1000, &data, &len, &e) == 0, "%s: %s", path, e.text);
    ck_assert_str_eq(data, want);
    ck_assert_uint_eq(len, strlen(want));
}

#endif
