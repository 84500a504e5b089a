/* test_sealed_tar: promises of sealed archives: what is in them passes the checks of a folder. */
#include "base/own.h"
#include "base/spawn.h"
#include "images/sealed_tar.h"
#include "images/tar.h"
#include "seal/age.h"
#include "shared/tree.h"
#include "tests/unit/suite.h"
#include "tests/unit/temp.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_BYTES 65536

static struct err err;
static struct seal_identity *id;
static struct seal_public to;

struct row {
    const char *path;
    enum tar_type type;
    const char *rest; /* a file's content, a link's target */
};

static void begin_with_key(void)
{
    own_free char *path = NULL;
    own_close int fd = -1;

    begin();
    path = in_dir("id");
    ck_assert_msg(seal_identity_make(path, &to, &err) == 0, "%s", err.text);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(seal_identity_read(fd, path, &id, &err), 0);
}

static void end_with_key(void)
{
    seal_identity_free(id);
    id = NULL;
    end();
}

static void add_row(struct str *out, const struct row *r)
{
    static const char zeros[TAR_BLOCK];
    own_tar_entry struct tar_entry en = {.type = r->type, .mode = 0640, .uid = 7};

    str_add(&en.path, r->path);
    if (r->type == TAR_FILE)
        en.size = strlen(r->rest);
    else if (r->rest)
        str_add(&en.link, r->rest);
    tar_format(out, &en);
    if (r->type == TAR_FILE) {
        str_add(out, r->rest);
        str_add_bytes(out, zeros, tar_padding(en.size));
    }
}

/* The last row has no path. Returns the sealed file. */
static int seal_rows(const struct row *rows)
{
    static const char zeros[2 * TAR_BLOCK];
    static struct seal_writer w;
    own_str struct str tar = {0};
    int fd = memfd_create("sealed", MFD_CLOEXEC);

    for (; rows->path; rows++)
        add_row(&tar, rows);
    str_add_bytes(&tar, zeros, sizeof(zeros));
    ck_assert_int_eq(seal_begin(&w, &to, 1, &err), 0);
    w.fd = fd;
    ck_assert_int_eq(seal_put(&w, tar.data, tar.len), 0);
    ck_assert_int_eq(seal_end(&w), 0);
    return fd;
}

static int pack(int sealed, uint64_t max)
{
    own_free char *path = in_dir("disk");

    return sealed_tar_pack(sealed, id, max, path, 1234, 567, &err);
}

static char *list_disk(void)
{
    own_free char *path = in_dir("disk");
    const char *const argv[] = {"unsquashfs", "-n", "-lln", path, NULL};
    struct spawn s = {.argv = argv, .stdio = {SPAWN_NULL, SPAWN_NULL, SPAWN_NULL}};
    char *out = NULL;

    ck_assert_msg(spawn_tool(&s, NULL, 15000, &out, &err) == 0, "%s", err.text);
    return out;
}

static const struct row good[] = {{"./", TAR_DIR, NULL},
                                  {"./a/", TAR_DIR, NULL},
                                  {"./a/file", TAR_FILE, "content"},
                                  {"./a/link", TAR_SYMLINK, "../top"},
                                  {"top", TAR_FILE, "t"},
                                  {0}};

START_TEST(a_sealed_archive_is_packed_like_a_folder)
{
    own_close int sealed = -1;
    own_free char *list = NULL;

    begin_with_key();
    sealed = seal_rows(good);
    ck_assert_msg(pack(sealed, MAX_BYTES) == 0, "%s", err.text);
    list = list_disk();
    ck_assert_msg(strstr(list, "drw-r----- 1234/567") && strstr(list, "squashfs-root/a\n") &&
                      strstr(list, "squashfs-root/a/file\n") &&
                      strstr(list, "squashfs-root/a/link -> ../top\n") &&
                      strstr(list, "squashfs-root/top\n") && !strstr(list, " 7/"),
                  "%s", list);
    end_with_key();
}
END_TEST

START_TEST(what_no_folder_may_have_no_archive_may)
{
    static const struct {
        struct row row;
        const char *says;
    } rows[] = {
        {{"../up", TAR_FILE, ""}, "not a plain UTF-8 name"},
        {{"a/../../up", TAR_FILE, ""}, "not a plain UTF-8 name"},
        {{"/etc/passwd", TAR_FILE, ""}, "not a plain UTF-8 name"},
        {{"bell\a", TAR_FILE, ""}, "'bell\\x07'"},
        {{"link", TAR_SYMLINK, "/etc/shadow"}, "'link': is a link that leads out"},
        {{"a/link", TAR_SYMLINK, "../../x"}, "is a link that leads out"},
        {{"hard", TAR_HARDLINK, "top"}, "hard link"},
    };

    begin_with_key();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row archive[] = {{"top", TAR_FILE, "t"}, rows[i].row, {0}};
        own_close int sealed = seal_rows(archive);

        ck_assert_msg(pack(sealed, MAX_BYTES) < 0, "row %zu", i);
        ck_assert_msg(strstr(err.text, rows[i].says), "row %zu: %s", i, err.text);
        ck_assert_int_eq(err.class, ERR_USAGE);
        ck_assert(!exists("disk"));
    }
    end_with_key();
}
END_TEST

START_TEST(an_archive_that_was_cut_or_is_too_large_leaves_no_disk)
{
    own_close int sealed = -1;
    off_t size;

    begin_with_key();
    sealed = seal_rows(good);
    ck_assert_int_eq(pack(sealed, 100), -1);
    ck_assert_int_eq(err.class, ERR_USAGE);
    ck_assert_ptr_nonnull(strstr(err.text, "over 100 bytes"));
    size = lseek(sealed, 0, SEEK_END);
    ck_assert_int_eq(ftruncate(sealed, size - 1), 0);
    ck_assert_int_eq(pack(sealed, MAX_BYTES), -1);
    ck_assert_int_eq(err.class, ERR_USAGE);
    ck_assert_ptr_nonnull(strstr(err.text, "cut off"));
    ck_assert_int_eq(ftruncate(sealed, 0), 0);
    ck_assert_int_eq(pack(sealed, MAX_BYTES), -1);
    ck_assert(!exists("disk"));
    end_with_key();
}
END_TEST

START_TEST(what_is_sealed_and_no_archive_is_refused)
{
    static struct seal_writer w;
    own_close int sealed = memfd_create("sealed", MFD_CLOEXEC);

    begin_with_key();
    ck_assert_int_eq(seal_begin(&w, &to, 1, &err), 0);
    w.fd = sealed;
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(seal_put(&w, "not a tar archive", 17), 0);
    ck_assert_int_eq(seal_end(&w), 0);
    ck_assert_int_eq(pack(sealed, MAX_BYTES), -1);
    ck_assert_int_eq(err.class, ERR_USAGE);
    ck_assert(!exists("disk"));
    end_with_key();
}
END_TEST

static void expect_tree(const uint8_t **p, size_t *left, uint8_t kind, const char *name)
{
    struct tree_entry en;
    long used = tree_entry_parse(*p, *left, &en);

    ck_assert_int_gt(used, 0);
    ck_assert_uint_eq(en.kind, kind);
    ck_assert_str_eq(en.name, name);
    *p += (size_t)used + en.size;
    *left -= (size_t)used + en.size;
}

START_TEST(as_a_tree_it_has_files_and_folders_and_says_what_it_left_out)
{
    own_close int sealed = -1, tree = memfd_create("tree", MFD_CLOEXEC),
                  plain = memfd_create("plain", MFD_CLOEXEC);
    uint8_t raw[1024];
    const uint8_t *p = raw;
    size_t left;

    begin_with_key();
    sealed = seal_rows(good);
    ck_assert_msg(sealed_tar_to_tree(sealed, id, plain, tree, &err) == 0, "%s", err.text);
    left = (size_t)pread(tree, raw, sizeof(raw), 0);
    expect_tree(&p, &left, TREE_DIR, "a");
    expect_tree(&p, &left, TREE_FILE, "a/file");
    expect_tree(&p, &left, TREE_SKIPPED, "a/link");
    expect_tree(&p, &left, TREE_FILE, "top");
    expect_tree(&p, &left, TREE_END, "");
    ck_assert_uint_eq(left, 0);
    end_with_key();
}
END_TEST

SUITE("sealed_tar", a_sealed_archive_is_packed_like_a_folder,
      what_no_folder_may_have_no_archive_may,
      an_archive_that_was_cut_or_is_too_large_leaves_no_disk,
      what_is_sealed_and_no_archive_is_refused,
      as_a_tree_it_has_files_and_folders_and_says_what_it_left_out)
