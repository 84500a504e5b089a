/* unpack_rig: the real lazaret-unpack, with a spool to fill and a folder that it unpacks into. */
#ifndef LZ_TESTS_UNPACK_RIG_H
#define LZ_TESTS_UNPACK_RIG_H

#include "base/file.h"
#include "base/own.h"
#include "channel/unpack.h"
#include "shared/tree.h"
#include "tests/unit/suite.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct err err;
static char top[] =
    "/tmp/lazaret-unpack-XXXXXX"; /* out/ is the output folder, secret is beside it */

struct rig {
    int spool, out;
};

static inline struct rig rig_new(void)
{
    struct rig r = {.spool = memfd_create("spool", MFD_CLOEXEC)};
    char path[64];

    ck_assert_ptr_nonnull(mkdtemp(top));
    snprintf(path, sizeof(path), "%s/out", top);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    r.out = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_ge(r.out, 0);
    ck_assert_int_eq(file_write(r.out, "../secret", "secret", 6, 0600, &err), 0);
    return r;
}

static inline void rig_free(struct rig *r)
{
    char *text = NULL;
    size_t len;

    /* Whatever was tried: what is outside is as it was. */
    ck_assert_int_eq(file_read(r->out, "../secret", 100, &text, &len, &err), 0);
    ck_assert_str_eq(text, "secret");
    free(text);
    close(r->spool);
    close(r->out);
    ck_assert_int_eq(file_remove_tree(AT_FDCWD, top, &err), 0);
    memcpy(top + strlen(top) - 6, "XXXXXX", 6);
}

static inline void put_raw(struct rig *r, const void *data, size_t len)
{
    ck_assert_int_eq(write(r->spool, data, len), len);
}

static inline void put_entry(struct rig *r, uint8_t kind, uint16_t mode, const char *name,
                             uint64_t size)
{
    uint8_t raw[TREE_HEADER_SIZE + TREE_NAME_MAX];
    struct tree_entry en = {.kind = kind, .mode = mode, .size = size, .name_len = strlen(name)};

    en.why = kind == TREE_SKIPPED ? TREE_WHY_LINK : TREE_WHY_NONE;
    memcpy(en.name, name, en.name_len);
    put_raw(r, raw, tree_entry_format(raw, &en));
}

static inline void put_file(struct rig *r, const char *name, uint16_t mode, const char *text)
{
    put_entry(r, TREE_FILE, mode, name, strlen(text));
    put_raw(r, text, strlen(text));
}

static inline int run(struct rig *r, uint64_t max, struct unpack_result *ret)
{
    return unpack_run(UNPACK_PATH, r->spool, r->out, max, 15000, ret, &err);
}

static inline void expect_file(struct rig *r, const char *name, const char *want, mode_t mode)
{
    own_free char *text = NULL;
    struct stat st;
    size_t len;

    ck_assert_msg(file_read(r->out, name, 1000, &text, &len, &err) == 0, "%s", err.text);
    ck_assert_str_eq(text, want);
    ck_assert_int_eq(fstatat(r->out, name, &st, AT_SYMLINK_NOFOLLOW), 0);
    ck_assert_msg((st.st_mode & 07777) == mode, "%s: mode %o", name, st.st_mode);
}

static inline bool is_there(struct rig *r, const char *name)
{
    struct stat st;

    return fstatat(r->out, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

#endif
