/* test_unpack_sealed: promises of lazaret-unpack where a tree becomes one sealed file. */
#include "images/tar.h"
#include "seal/age.h"
#include "tests/unit/unpack_rig.h"

/* The identity of tests/unit/test_seal.c's kind, made anew. */
static struct seal_identity *make_identity(const char *path, char ret_public[SEAL_PUBLIC_SIZE])
{
    struct seal_identity *id = NULL;
    struct seal_public p;
    own_close int fd = -1;

    ck_assert_msg(seal_identity_make(path, &p, &err) == 0, "%s", err.text);
    seal_public_format(&p, ret_public);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(seal_identity_read(fd, path, &id, &err), 0);
    return id;
}

static int run_sealed(struct rig *r, const char *public, struct unpack_result *ret)
{
    own_strv struct strv to = {0};

    strv_add(&to, public);
    return unpack_listed(UNPACK_PATH, r->spool, r->out, &to, 100000, 15000, NULL, ret, &err);
}

/* What is in the sealed file, as an archive in memory. */
static int open_sealed(struct rig *r, const struct seal_identity *id, uint64_t *ret_size)
{
    static struct seal_reader reader;
    own_close int sealed = openat(r->out, UNPACK_SEALED, O_RDONLY | O_CLOEXEC);
    int fd = memfd_create("tar", MFD_CLOEXEC);
    const unsigned char *data;
    size_t n;

    ck_assert_int_ge(sealed, 0);
    ck_assert_msg(seal_open(&reader, sealed, id, &err) == 0, "%s", err.text);
    for (*ret_size = 0;; *ret_size += n) {
        ck_assert_msg(seal_next(&reader, &data, &n, &err) == 0, "%s", err.text);
        if (n == 0)
            return fd;
        ck_assert_int_eq(file_write_all(fd, data, n), 0);
    }
}

static void expect_entry(struct tar_reader *t, struct tar_entry *en, const char *path, mode_t mode,
                         const char *text)
{
    char buf[64] = "";
    bool more = false;

    ck_assert_msg(tar_next(t, en, &more, &err) == 0, "%s", err.text);
    ck_assert(more);
    ck_assert_str_eq(en->path.data, path);
    ck_assert_uint_eq(en->mode, mode);
    ck_assert_int_eq(en->type, text ? TAR_FILE : TAR_DIR);
    if (text) {
        ck_assert_uint_eq(en->size, strlen(text));
        ck_assert_int_eq(pread(t->fd, buf, strlen(text), (off_t)en->offset), strlen(text));
        ck_assert_str_eq(buf, text);
    }
}

START_TEST(a_sealed_tree_is_one_file_that_its_key_opens)
{
    own_seal_identity struct seal_identity *id = NULL;
    own_tar_reader struct tar_reader t = {0};
    own_tar_entry struct tar_entry en = {0};
    own_doc struct doc *list = NULL;
    char public[SEAL_PUBLIC_SIZE], path[64], name[301];
    struct rig r = rig_new();
    struct unpack_result res;
    uint64_t size;
    bool more = true;

    memset(name, 'n', 300);
    name[100] = name[200] = '/';
    name[300] = '\0';
    snprintf(path, sizeof(path), "%s/id", top);
    id = make_identity(path, public);
    put_file(&r, "report", 0666, "marker-in-the-clear");
    put_entry(&r, TREE_DIR, 0700, "a", 0);
    put_file(&r, "../up", 0600, "refused");
    put_entry(&r, TREE_SKIPPED, 0, "link", 0);
    put_file(&r, name, 0755, "");
    put_entry(&r, TREE_END, 0, "", 0);
    ck_assert_msg(run_sealed(&r, public, &res) == 0, "%s", err.text);
    list = res.refused_list;
    ck_assert_uint_eq(res.files, 2);
    ck_assert_uint_eq(res.folders, 1);
    ck_assert_uint_eq(res.bytes, strlen("marker-in-the-clear"));
    ck_assert_uint_eq(res.refused, 2);
    own_close int fd = open_sealed(&r, id, &size);

    tar_reader_init(&t, fd, size);
    expect_entry(&t, &en, "report", 0644, "marker-in-the-clear");
    expect_entry(&t, &en, "a", 0700, NULL);
    expect_entry(&t, &en, name, 0755, "");
    ck_assert_int_eq(tar_next(&t, &en, &more, &err), 0);
    ck_assert(!more);
    /* Nothing else is there, and what is there says nothing. */
    own_free char *text = NULL;
    size_t len;

    ck_assert_int_eq(file_read(r.out, UNPACK_SEALED, 100000, &text, &len, &err), 0);
    ck_assert_ptr_null(memmem(text, len, "marker", 6));
    ck_assert_ptr_null(memmem(text, len, "report", 6));
    ck_assert_int_eq(unlinkat(r.out, UNPACK_SEALED, 0), 0);
    ck_assert_int_eq(file_dir_is_empty(r.out, &more, &err), 0);
    ck_assert(more);
    rig_free(&r);
}
END_TEST

START_TEST(of_an_illegal_stream_nothing_is_sealed)
{
    char public[SEAL_PUBLIC_SIZE], path[64];
    struct rig r = rig_new();
    struct unpack_result res;
    bool empty = false;

    snprintf(path, sizeof(path), "%s/id", top);
    seal_identity_free(make_identity(path, public));
    put_file(&r, "whole", 0600, "whole");
    put_entry(&r, TREE_FILE, 0600, "half", 100);
    put_raw(&r, "cut", 3);
    ck_assert_int_eq(run_sealed(&r, public, &res), -1);
    ck_assert_int_eq(err.class, ERR_PROTOCOL);
    ck_assert_int_eq(file_dir_is_empty(r.out, &empty, &err), 0);
    ck_assert(empty);
    rig_free(&r);
}
END_TEST

SUITE("unpack_sealed", a_sealed_tree_is_one_file_that_its_key_opens,
      of_an_illegal_stream_nothing_is_sealed)
