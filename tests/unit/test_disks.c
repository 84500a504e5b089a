/* test_disks: promises of a run's own disks: the packed input and the scratch disk. */
#include "base/spawn.h"
#include "images/pack.h"
#include "snapshots/scratch.h"
#include "tests/unit/suite.h"
#include "tests/unit/temp.h"

/* Returns new what a tool prints. */
static char *output(const char *const *argv)
{
    struct spawn s = {.argv = argv, .stdio = {SPAWN_NULL, SPAWN_NULL, SPAWN_NULL}};
    struct err e;
    char *out = NULL;

    if (spawn_tool(&s, NULL, 20000, &out, &e) < 0)
        ck_abort_msg("%s", e.text);
    return out;
}

static void make_inputs(void)
{
    own_free char *link = NULL;

    make("in");
    make("in/sub");
    put("in/text", "hello");
    put("in/sub/-dash", "x");
    link = in_dir("in/sub/link");
    ck_assert_int_eq(symlink("../text", link), 0);
    make("more");
    put("more/other", "x");
    {
        own_free char *path = in_dir("in/text");

        ck_assert_int_eq(chmod(path, 0600), 0);
    }
}

static uint64_t max_bytes = 1 << 20; /* of the inputs of a test */

static int pack(const char *const *names, struct err *e)
{
    own_strv struct strv folders = {0};
    own_free char *path = in_dir("disk");

    for (; *names; names++)
        strv_addf(&folders, "%s/%s", dir, *names);
    return pack_folders(&folders, max_bytes, path, 1234, 567, e);
}

static char *list_disk(void)
{
    own_free char *path = in_dir("disk");
    const char *const argv[] = {"unsquashfs", "-n", "-lln", path, NULL};

    return output(argv);
}

START_TEST(one_folder_is_packed_with_its_contents_at_the_top)
{
    static const char *const names[] = {"in", NULL};
    own_free char *path = NULL;
    own_free char *list = NULL;
    struct stat st;
    struct err e;

    begin();
    make_inputs();
    path = in_dir("disk");
    if (pack(names, &e) < 0)
        ck_abort_msg("%s", e.text);
    list = list_disk();
    ck_assert_ptr_nonnull(strstr(list, "-rw------- 1234/567"));
    ck_assert_ptr_nonnull(strstr(list, "squashfs-root/text\n"));
    ck_assert_ptr_nonnull(strstr(list, "squashfs-root/sub/-dash\n"));
    ck_assert_ptr_nonnull(strstr(list, "squashfs-root/sub/link -> ../text\n"));
    ck_assert_ptr_null(strstr(list, " 0/0 "));
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
    end();
}
END_TEST

START_TEST(several_folders_are_packed_by_their_names)
{
    static const char *const names[] = {"in", "more/", NULL};
    own_free char *list = NULL;
    struct err e;

    begin();
    make_inputs();
    if (pack(names, &e) < 0)
        ck_abort_msg("%s", e.text);
    list = list_disk();
    ck_assert_ptr_nonnull(strstr(list, "squashfs-root/in/text\n"));
    ck_assert_ptr_nonnull(strstr(list, "squashfs-root/more/other\n"));
    ck_assert_ptr_null(strstr(list, "drwxrwxrwx"));
    end();
}
END_TEST

static void spoil_fifo(void)
{
    own_free char *path = in_dir("in/sub/pipe");

    ck_assert_int_eq(mkfifo(path, 0600), 0);
}

static void spoil_depth(void)
{
    own_str struct str path = {0};

    str_addf(&path, "%s/in", dir);
    for (int i = 0; i < 200; i++) {
        str_add(&path, "/d");
        ck_assert_int_eq(mkdir(path.data, 0700), 0);
    }
}

static void spoil_with_link(const char *target)
{
    own_free char *path = in_dir("in/sub/away");

    ck_assert_int_eq(symlink(target, path), 0);
}

static void spoil_absolute(void)
{
    spoil_with_link("/etc/shadow");
}

static void spoil_above(void)
{
    spoil_with_link("../../beside");
}

static void spoil_size(void)
{
    own_free char *path = in_dir("in/sub/large");
    own_close int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    ck_assert_int_eq(ftruncate(fd, (off_t)max_bytes - 5), 0); /* in/text and -dash have 6 bytes */
}

static void spoil_nothing(void)
{
}

START_TEST(what_cannot_be_packed_is_named_before_anything_is_written)
{
    static const struct {
        void (*spoil)(void);
        const char *first, *second, *says;
    } rows[] = {
        {spoil_fifo, "in", NULL, "/in/sub/pipe': is a device, socket or pipe"},
        {spoil_fifo, "more", "in", "/in/sub/pipe': is a device, socket or pipe"},
        {spoil_depth, "in", NULL, "nested too deeply"},
        {spoil_absolute, "in", NULL, "/in/sub/away': is a link that leads out of the folder"},
        {spoil_above, "more", "in", "/in/sub/away': is a link that leads out of the folder"},
        {spoil_size, "in", NULL, "the input is too large (raise it with --in-max)"},
        {spoil_nothing, "absent", NULL, "/absent': No such file or directory"},
        {spoil_nothing, "in/text", NULL, "/in/text': cannot read the folder: Not a directory"},
        {spoil_nothing, "in", "in/.", "have the same name"},
    };
    struct err e;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *const names[] = {rows[i].first, rows[i].second, NULL};

        begin();
        make_inputs();
        rows[i].spoil();
        ck_assert_int_eq(pack(names, &e), -1);
        ck_assert_int_eq(e.class, ERR_USAGE);
        ck_assert_msg(strstr(e.text, rows[i].says) != NULL, "row %zu: %s", i, e.text);
        ck_assert(!exists("disk"));
        end();
    }
}
END_TEST

START_TEST(a_link_that_goes_up_further_than_it_is_deep_leaves)
{
    static const struct {
        unsigned depth;
        const char *target;
        bool stays;
    } rows[] = {
        {0, "a", true},          {0, "./a/./b", true},    {0, ".", true},
        {0, "..a/...", true},    {1, "..", true},         {1, "../a", true},
        {2, "./../..//b", true}, {0, "..", false},        {0, "./..", false},
        {1, "../..", false},     {0, "/", false},         {1, "/in/a", false},
        {0, "a/..", false},      {2, "../a/../b", false}, {2, "../../../a", false},
        {0, "a//../..", false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ck_assert_msg(pack_link_stays(rows[i].depth, rows[i].target) == rows[i].stays,
                      "%u levels down: '%s'", rows[i].depth, rows[i].target);
}
END_TEST

START_TEST(inputs_of_exactly_the_cap_go_in)
{
    static const char *const names[] = {"in", "more", NULL};
    struct err e;

    begin();
    make_inputs();
    max_bytes = 7; /* of three files */
    ck_assert_msg(pack(names, &e) == 0, "%s", e.text);
    end();
    begin();
    make_inputs();
    max_bytes = 6;
    ck_assert_int_eq(pack(names, &e), -1);
    ck_assert_int_eq(e.class, ERR_USAGE);
    ck_assert(!exists("disk"));
    end();
}
END_TEST

START_TEST(an_unreadable_input_is_refused_to_who_cannot_read_it)
{
    static const char *const names[] = {"in", NULL};
    own_free char *path = NULL;
    struct err e;

    begin();
    make_inputs();
    path = in_dir("in/text");
    ck_assert_int_eq(chmod(path, 0), 0);
    /* Root reads everything; then the promise is that it goes in. */
    if (geteuid() == 0) {
        ck_assert_int_eq(pack(names, &e), 0);
    } else {
        ck_assert_int_eq(pack(names, &e), -1);
        ck_assert_int_eq(e.class, ERR_USAGE);
        ck_assert_ptr_nonnull(strstr(e.text, "/in/text': cannot read the file: Permission denied"));
        ck_assert(!exists("disk"));
    }
    end();
}
END_TEST

START_TEST(an_existing_disk_is_never_touched)
{
    static const char *const names[] = {"in", NULL};
    own_free char *path = NULL;
    struct stat st;
    struct err e;

    begin();
    make_inputs();
    put("disk", "keep");
    ck_assert_int_eq(pack(names, &e), -1);
    ck_assert_int_eq(e.class, ERR_HOST);
    path = in_dir("disk");
    ck_assert_int_eq(scratch_create(path, 64 << 20, &e), -1);
    ck_assert_int_eq(e.class, ERR_HOST);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_size, 4);
    end();
}
END_TEST

START_TEST(a_scratch_disk_is_an_empty_sparse_ext4_without_journal)
{
    static const uint64_t sizes[] = {16ull << 20, 1ull << 30, 1ull << 40};
    struct stat st;
    struct err e;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        own_free char *path = NULL;
        own_free char *header = NULL;

        begin();
        path = in_dir("scratch");
        if (scratch_create(path, sizes[i], &e) < 0)
            ck_abort_msg("%s", e.text);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_uint_eq((uint64_t)st.st_size, sizes[i]);
        ck_assert_int_eq(st.st_mode & 0777, 0600);
        ck_assert_uint_lt((uint64_t)st.st_blocks * 512, (1ull << 20) + sizes[i] / 2048);
        {
            const char *const argv[] = {"/sbin/dumpe2fs", "-h", path, NULL};

            header = output(argv);
        }
        ck_assert_ptr_nonnull(strstr(header, "Block size:               4096"));
        ck_assert_ptr_nonnull(strstr(header, "Reserved block count:     0"));
        ck_assert_ptr_nonnull(strstr(header, "Filesystem state:         clean"));
        ck_assert_ptr_null(strstr(header, "has_journal"));
        if (sizes[i] < 1ull << 40) {
            const char *const argv[] = {"/sbin/e2fsck", "-fn", path, NULL};

            free(output(argv));
        }
        end();
    }
}
END_TEST

START_TEST(a_scratch_disk_that_cannot_be_made_leaves_no_file)
{
    own_free char *path = NULL;
    own_free char *deep = NULL;
    struct err e;

    begin();
    path = in_dir("scratch");
    ck_assert_int_eq(scratch_create(path, 4096, &e), -1);
    ck_assert_int_eq(e.class, ERR_HOST);
    ck_assert(!exists("scratch"));
    ck_assert_int_eq(scratch_create(path, UINT64_MAX, &e), -1);
    ck_assert(!exists("scratch"));
    deep = in_dir("absent/scratch");
    ck_assert_int_eq(scratch_create(deep, 64 << 20, &e), -1);
    end();
}
END_TEST

SUITE("disks", one_folder_is_packed_with_its_contents_at_the_top,
      several_folders_are_packed_by_their_names,
      what_cannot_be_packed_is_named_before_anything_is_written,
      a_link_that_goes_up_further_than_it_is_deep_leaves, inputs_of_exactly_the_cap_go_in,
      an_unreadable_input_is_refused_to_who_cannot_read_it, an_existing_disk_is_never_touched,
      a_scratch_disk_is_an_empty_sparse_ext4_without_journal,
      a_scratch_disk_that_cannot_be_made_leaves_no_file)
