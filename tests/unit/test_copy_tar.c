/* test_copy_tar: promises of `cp` with a tar: hostile tars, and hostile trees. */
#include "base/err.h"
#include "base/own.h"
#include "images/tar.h"
#include "run/copy_tar.h"
#include "shared/tree.h"
#include "tests/unit/suite.h"
#include "tests/unit/tar_make.h"

#include <fcntl.h>
#include <sys/stat.h>

static struct err err;

/* ---- a tar becomes a tree -------------------------------------------------------------------- */

/* "f NAME CONTENT" and "d NAME" lines of a tree. */
static char *tell_tree(int fd)
{
    struct str out = {0};
    struct stat st;
    own_free uint8_t *all = NULL;
    size_t at = 0, size;
    struct tree_entry en;
    long n;

    ck_assert_int_eq(fstat(fd, &st), 0);
    size = (size_t)st.st_size;
    all = malloc(size + 1);
    ck_assert_int_eq(pread(fd, all, size, 0), st.st_size);
    while ((n = tree_entry_parse(all + at, size - at, &en)) > 0 && en.kind != TREE_END) {
        at += (size_t)n;
        str_addf(&out, "%c%04o %s%s%.*s\n", en.kind == TREE_DIR ? 'd' : 'f', en.mode, en.name,
                 en.size ? " " : "", (int)en.size, (const char *)all + at);
        at += en.size;
    }
    ck_assert_int_gt(n, 0);
    ck_assert_uint_eq(at + (size_t)n, size);
    return out.data ? out.data : strdup("");
}

static int intake_bytes(const struct str *tar, struct run_result *notes, char **ret_tree)
{
    own_close int in = make_fd(tar), out = memfd_create("tree", MFD_CLOEXEC);
    int rc;

    memset(&err, 0, sizeof(err));
    rc = copy_tar_to_tree(in, out, notes, &err);
    *ret_tree = rc == 0 ? tell_tree(out) : NULL;
    return rc;
}

static int intake(const char *spec, struct run_result *notes, char **ret_tree)
{
    own_str struct str tar = {0};

    make_layer(&tar, spec);
    make_end(&tar);
    return intake_bytes(&tar, notes, ret_tree);
}

START_TEST(a_tar_becomes_the_tree_that_it_is)
{
    struct run_result notes = {0};
    own_free char *tree = NULL;

    ck_assert_int_eq(intake("d ./ 0700\nd ./a/ 0750\nf ./a/x one\nf deep/er/y two\nf a/z\nf top t",
                            &notes, &tree),
                     0);
    ck_assert_str_eq(tree,
                     "d0750 a\nf0644 a/x one\nd0755 deep\nd0755 deep/er\nf0644 deep/er/y two\n"
                     "d0755 a\nf0644 a/z\nf0644 top t\n");
    ck_assert_str_eq(notes.notes, "");
}
END_TEST

START_TEST(tars_of_other_tools_are_taken)
{
    static const int formats[] = {ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE,
                                  ARCHIVE_FORMAT_TAR_GNUTAR};

    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        own_close int tar = make_by_libarchive(formats[i]);
        own_close int out = memfd_create("tree", MFD_CLOEXEC);
        struct run_result notes = {0};

        /* It has a name that is not UTF-8. */
        ck_assert_int_eq(copy_tar_to_tree(tar, out, &notes, &err), -1);
        ck_assert_ptr_nonnull(strstr(err.text, "UTF-8"));
    }
}
END_TEST

START_TEST(links_devices_and_set_id_files_are_left_out_and_said)
{
    own_str struct str tar = {0};
    own_free char *tree = NULL;
    struct run_result notes = {0};
    struct made setid = {.path = "su", .type = '0', .mode = 04755};

    make_layer(&tar, "l out /etc/passwd\nl in a\n3 dev\n4 block\n6 pipe\nf a x");
    make_header(&tar, &setid);
    make_end(&tar);
    ck_assert_int_eq(intake_bytes(&tar, &notes, &tree), 0);
    ck_assert_str_eq(tree, "f0644 a x\n");
    ck_assert_ptr_nonnull(strstr(notes.notes, "'out': symbolic link"));
    ck_assert_ptr_nonnull(strstr(notes.notes, "'in': symbolic link"));
    ck_assert_ptr_nonnull(strstr(notes.notes, "'dev': device"));
    ck_assert_ptr_nonnull(strstr(notes.notes, "'block': device"));
    ck_assert_ptr_nonnull(strstr(notes.notes, "'pipe': device, fifo"));
    ck_assert_ptr_nonnull(strstr(notes.notes, "'su': set-user-id"));
}
END_TEST

START_TEST(a_hostile_tar_is_refused_with_the_reason)
{
    static const struct {
        const char *spec, *said;
    } rows[] = {
        {"f ../x y", "'../x': name is not plain"},
        {"f a/../../x y", "name is not plain"},
        {"f /etc/passwd y", "'/etc/passwd': name is not plain"},
        {"f .. y", "name is not plain"},
        {"f a//b y", "name is not plain"},
        {"f a/./b y", "name is not plain"},
        {"f a\x1b[2Jb y", "name is not plain"},
        {"f a y\nh b a", "'b' is a hard link"},
        {"S sparse", "sparse"},
        {"V volume", "unknown kind"},
        {"f 1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1/1 y", "too deep"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct run_result notes = {0};
        own_free char *tree = NULL;

        ck_assert_msg(intake(rows[i].spec, &notes, &tree) == -1, "taken: %s", rows[i].spec);
        ck_assert_msg(strstr(err.text, rows[i].said) && err.class == ERR_REFUSED, "%s: %s",
                      rows[i].spec, err.text);
    }
}
END_TEST

START_TEST(what_is_no_whole_tar_is_refused)
{
    own_str struct str tar = {0}, large = {0};
    struct made m = {.path = "x", .type = '0', .mode = 0644, .size = 1ull << 30};
    struct run_result notes = {0};
    own_free char *tree = NULL;

    ck_assert_int_eq(intake_bytes(&(struct str){.data = (char[]){""}}, &notes, &tree), -1);
    ck_assert_int_eq(err.class, ERR_REFUSED);
    make_layer(&tar, "f a one");
    ck_assert_int_eq(intake_bytes(&tar, &notes, &tree), -1); /* no end mark */
    tar.data[100] ^= 1;
    make_end(&tar);
    ck_assert_int_eq(intake_bytes(&tar, &notes, &tree), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "checksum"));
    make_header(&large, &m);
    make_end(&large);
    ck_assert_int_eq(intake_bytes(&large, &notes, &tree), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "larger than the archive"));
}
END_TEST

START_TEST(too_many_entries_are_refused)
{
    own_str struct str tar = {0};
    struct run_result notes = {0};
    own_free char *tree = NULL;

    for (unsigned i = 0; i <= TREE_ENTRIES_MAX; i++)
        make_file(&tar, "same", "");
    make_end(&tar);
    ck_assert_int_eq(intake_bytes(&tar, &notes, &tree), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "more than 100000 entries"));
}
END_TEST

/* ---- a tree becomes a tar -------------------------------------------------------------------- */

static void put_entry(int fd, uint8_t kind, uint16_t mode, const char *name, const char *content)
{
    struct tree_entry en = {.kind = kind, .mode = mode, .name_len = strlen(name)};
    uint8_t raw[TREE_HEADER_SIZE + TREE_NAME_MAX];
    size_t len;

    memcpy(en.name, name, en.name_len);
    en.size = content ? strlen(content) : 0;
    en.why = kind == TREE_SKIPPED ? TREE_WHY_LINK : TREE_WHY_NONE;
    len = tree_entry_format(raw, &en);
    ck_assert_int_eq(write(fd, raw, len), (ssize_t)len);
    if (content)
        ck_assert_int_eq(write(fd, content, en.size), (ssize_t)en.size);
}

/* "d NAME", "f NAME CONTENT", "s NAME" (left out), a line each. */
static int tree_of(const char *spec)
{
    int fd = memfd_create("tree", MFD_CLOEXEC);

    while (*spec) {
        size_t len = strcspn(spec, "\n");
        own_free char *line = strndup(spec, len);
        char *name = line + 2, *content = strchr(name, ' ');

        if (content)
            *content++ = '\0';
        if (line[0] == 'f')
            put_entry(fd, TREE_FILE, 0777, name, content ? content : "");
        else
            put_entry(fd, line[0] == 'd' ? TREE_DIR : TREE_SKIPPED, 0, name, NULL);
        spec += len + (spec[len] == '\n');
    }
    put_entry(fd, TREE_END, 0, "", NULL);
    return fd;
}

static char *tell_tar(int fd)
{
    own_tar_reader struct tar_reader t;
    own_tar_entry struct tar_entry en = {0};
    struct str out = {0};
    struct stat st;
    bool more;

    ck_assert_int_eq(fstat(fd, &st), 0);
    tar_reader_init(&t, fd, (uint64_t)st.st_size);
    for (;;) {
        char content[100] = "";

        ck_assert_msg(tar_next(&t, &en, &more, &err) == 0, "%s", err.text);
        if (!more)
            return out.data ? out.data : strdup("");
        ck_assert_uint_eq(en.uid, geteuid());
        ck_assert_uint_lt(en.size, sizeof(content));
        ck_assert_int_eq(pread(fd, content, en.size, (off_t)en.offset), (ssize_t)en.size);
        str_addf(&out, "%c%04o %s%s%s\n", en.type == TAR_DIR ? 'd' : 'f', en.mode, en.path.data,
                 en.size ? " " : "", content);
    }
}

START_TEST(a_tree_becomes_a_tar_under_our_name)
{
    own_close int in = tree_of("d guest\nf guest/a one\nd guest/b\nf guest/b/c two\ns guest/link");
    own_close int out = memfd_create("tar", MFD_CLOEXEC);
    struct copy_tar_made made;
    struct run_result notes = {0};
    char sha256[DIGEST_HEX_SIZE];
    own_free char *seen = NULL;
    uint64_t bytes;

    ck_assert_int_eq(copy_tree_to_tar(in, "mine", 100, out, &made, &notes, &err), 0);
    ck_assert_int_eq(digest_fd(out, sha256, &bytes, &err), 0);
    ck_assert_str_eq(made.sha256, sha256);
    ck_assert_uint_eq(made.bytes, bytes);
    seen = tell_tar(out);
    ck_assert_str_eq(seen, "d0700 mine/\nf0755 mine/a one\nd0700 mine/b/\nf0755 mine/b/c two\n");
    ck_assert_ptr_nonnull(strstr(notes.notes, "'guest/link': symbolic link"));
}
END_TEST

START_TEST(a_hostile_tree_becomes_no_whole_tar)
{
    static const struct {
        const char *spec;
        enum err_class class;
        const char *said;
    } rows[] = {
        {"d a\nf b x", ERR_PROTOCOL, "more than it was asked for"},
        {"f a/x y", ERR_PROTOCOL, "before its folder"},
        {"f a x\nf a/b y", ERR_PROTOCOL, "before its folder"},
        {"f a 0123456789", ERR_PROTOCOL, "more than it was asked for"}, /* the cap is 9 */
        {"", ERR_REFUSED, "neither a file nor a folder"},
        {"s a", ERR_REFUSED, "neither a file nor a folder"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own_close int in = tree_of(rows[i].spec), out = memfd_create("tar", MFD_CLOEXEC);
        struct copy_tar_made made;
        struct run_result notes = {0};

        ck_assert_int_eq(copy_tree_to_tar(in, "t", 9, out, &made, &notes, &err), -1);
        ck_assert_msg(strstr(err.text, rows[i].said) && err.class == rows[i].class, "%s: %s",
                      rows[i].spec, err.text);
    }
}
END_TEST

START_TEST(names_of_the_guest_that_lead_out_or_come_twice_stay_out_of_the_tar)
{
    own_close int in = tree_of("d a\nf a/../x 1\nf /etc/passwd 2\nf a/b 3\nf a/b 4\nd a/b");
    own_close int out = memfd_create("tar", MFD_CLOEXEC);
    struct copy_tar_made made;
    struct run_result notes = {0};
    own_free char *seen = NULL;

    ck_assert_int_eq(copy_tree_to_tar(in, "t", 9, out, &made, &notes, &err), 0);
    seen = tell_tar(out);
    ck_assert_str_eq(seen, "d0700 t/\nf0755 t/b 3\n");
    ck_assert_ptr_nonnull(strstr(notes.notes, "'a/../x'"));
    ck_assert_ptr_nonnull(strstr(notes.notes, "'/etc/passwd'"));
    ck_assert_ptr_nonnull(strstr(notes.notes, "'a/b': name came twice"));
}
END_TEST

SUITE("copy_tar", a_tar_becomes_the_tree_that_it_is, tars_of_other_tools_are_taken,
      links_devices_and_set_id_files_are_left_out_and_said,
      a_hostile_tar_is_refused_with_the_reason, what_is_no_whole_tar_is_refused,
      too_many_entries_are_refused, a_tree_becomes_a_tar_under_our_name,
      a_hostile_tree_becomes_no_whole_tar,
      names_of_the_guest_that_lead_out_or_come_twice_stay_out_of_the_tar)
