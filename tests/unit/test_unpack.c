/* test_unpack: promises of lazaret-unpack, with the real program and hostile trees. */
#include "base/confine.h"
#include "tests/unit/unpack_rig.h"

#include <errno.h>
#include <seccomp.h>
#include <sys/syscall.h>
#include <sys/wait.h>

START_TEST(a_tree_becomes_files_and_folders)
{
    own_doc struct doc *list = NULL;
    struct rig r = rig_new();
    struct unpack_result res;

    umask(0);
    put_file(&r, "report.txt", 0666, "hello");
    put_entry(&r, TREE_DIR, 0000, "a", 0);
    put_entry(&r, TREE_DIR, 0777, "a/b", 0);
    put_file(&r, "a/b/tool", 0777, "#!");
    put_file(&r, "a/none", 0000, "");
    put_file(&r, "a/b/caf\xc3\xa9", 0444, "x");
    put_entry(&r, TREE_SKIPPED, 0, "a/link", 0);
    put_entry(&r, TREE_END, 0, "", 0);
    ck_assert_msg(run(&r, 1000, &res) == 0, "%s", err.text);
    list = res.refused_list;
    ck_assert_uint_eq(res.files, 4);
    ck_assert_uint_eq(res.folders, 2);
    ck_assert_uint_eq(res.bytes, 8);
    ck_assert_uint_eq(res.refused, 1);
    expect_file(&r, "report.txt", "hello", 0644);
    expect_file(&r, "a/b/tool", "#!", 0755);
    expect_file(&r, "a/none", "", 0600);
    expect_file(&r, "a/b/caf\xc3\xa9", "x", 0644);
    rig_free(&r);
}
END_TEST

struct told {
    unsigned n;
    char last[100], sha256[65];
    uint64_t bytes;
};

static void tell(void *arg, const char *name, uint64_t bytes, const char *sha256)
{
    struct told *t = arg;

    t->n++;
    t->bytes += bytes;
    snprintf(t->last, sizeof(t->last), "%s", name);
    snprintf(t->sha256, sizeof(t->sha256), "%s", sha256);
}

START_TEST(each_file_that_was_made_is_told_with_its_digest_up_to_a_cap)
{
    const struct strv nobody = {0};
    struct rig r = rig_new();
    struct unpack_result res;
    struct told t = {0};
    const struct unpack_list list = {tell, &t};

    for (unsigned i = 0; i < 998; i++) {
        char name[16];

        snprintf(name, sizeof(name), "f%u", i);
        put_file(&r, name, 0644, "x");
    }
    put_file(&r, "../up", 0644, "no");
    put_entry(&r, TREE_DIR, 0755, "d", 0);
    put_file(&r, "empty", 0644, "");
    put_file(&r, "f0", 0644, "taken");
    put_file(&r, "d/caf\xc3\xa9", 0644, "abc");
    put_file(&r, "more", 0644, "x");
    put_entry(&r, TREE_END, 0, "", 0);
    ck_assert_msg(
        unpack_listed(UNPACK_PATH, r.spool, r.out, &nobody, 100000, 15000, &list, &res, &err) == 0,
        "%s", err.text);
    doc_free(res.refused_list);
    ck_assert_uint_eq(res.files, 1001);
    ck_assert_uint_eq(res.refused, 2);
    ck_assert_uint_eq(t.n, 1000);
    ck_assert_uint_eq(t.bytes, 998 + 3);
    ck_assert_str_eq(t.last, "d/caf\\xc3\\xa9");
    /* FIPS 180-4: "abc" */
    ck_assert_str_eq(t.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    rig_free(&r);
}
END_TEST

START_TEST(names_that_leave_the_folder_are_refused_and_listed)
{
    static const struct {
        const char *name, *listed, *why;
    } rows[] = {
        {"../secret", "../secret", "name is not plain UTF-8 below the folder"},
        {"/etc/passwd", "/etc/passwd", "name is not plain UTF-8 below the folder"},
        {"a/../../secret", "a/../../secret", "name is not plain UTF-8 below the folder"},
        {".", ".", "name is not plain UTF-8 below the folder"},
        {"a//b", "a//b", "name is not plain UTF-8 below the folder"},
        {"a/", "a/", "name is not plain UTF-8 below the folder"},
        {"\033[2Jx\n", "\\x1b[2Jx\\x0a", "name is not plain UTF-8 below the folder"},
        {"bad\xff", "bad\\xff", "name is not plain UTF-8 below the folder"},
        {".lazaret-part", ".lazaret-part", "name is not plain UTF-8 below the folder"},
        {"a/.lazaret-part/b", "a/.lazaret-part/b", "name is not plain UTF-8 below the folder"},
        {"x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x",
         "x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x",
         "path too deep or too long"},
    };
    const size_t n = sizeof(rows) / sizeof(rows[0]);
    own_doc struct doc *list = NULL;
    struct rig r = rig_new();
    struct unpack_result res;

    put_entry(&r, TREE_DIR, 0700, "a", 0);
    for (size_t i = 0; i < n; i++)
        put_file(&r, rows[i].name, 0600, "evil");
    put_file(&r, "good", 0600, "good");
    put_entry(&r, TREE_END, 0, "", 0);
    ck_assert_msg(run(&r, 1000, &res) == 0, "%s", err.text);
    list = res.refused_list;
    ck_assert_uint_eq(res.files, 1);
    ck_assert_uint_eq(res.refused, n);
    ck_assert_uint_eq(doc_len(list), n);
    for (size_t i = 0; i < n; i++) {
        const char *name, *why, *by;

        ck_assert_int_eq(doc_get_str(doc_at(list, i), "name", &name, &err), 0);
        ck_assert_int_eq(doc_get_str(doc_at(list, i), "why", &why, &err), 0);
        ck_assert_int_eq(doc_get_str(doc_at(list, i), "by", &by, &err), 0);
        ck_assert_str_eq(name, rows[i].listed);
        ck_assert_str_eq(why, rows[i].why);
        ck_assert_str_eq(by, "host");
    }
    expect_file(&r, "good", "good", 0600);
    rig_free(&r);
}
END_TEST

START_TEST(nothing_that_is_there_is_replaced_or_followed)
{
    own_doc struct doc *list = NULL;
    struct rig r = rig_new();
    struct unpack_result res;

    ck_assert_int_eq(symlinkat("..", r.out, "up"), 0);
    ck_assert_int_eq(symlinkat("../secret", r.out, "link"), 0);
    ck_assert_int_eq(mkfifoat(r.out, "fifo", 0600), 0);
    put_file(&r, "up/secret", 0600, "evil");
    put_file(&r, "link", 0600, "evil");
    put_file(&r, "fifo", 0600, "evil");
    put_entry(&r, TREE_DIR, 0700, "up", 0);
    put_file(&r, "twice", 0600, "first");
    put_file(&r, "twice", 0600, "second");
    put_entry(&r, TREE_DIR, 0700, "twice", 0);
    put_file(&r, "twice/below", 0600, "evil");
    put_entry(&r, TREE_DIR, 0700, "dir", 0);
    put_entry(&r, TREE_DIR, 0700, "dir", 0);
    put_file(&r, "dir", 0600, "evil");
    put_entry(&r, TREE_END, 0, "", 0);
    ck_assert_msg(run(&r, 1000, &res) == 0, "%s", err.text);
    list = res.refused_list;
    ck_assert_uint_eq(res.files, 1);
    ck_assert_uint_eq(res.folders, 1);
    ck_assert_uint_eq(res.refused, 9);
    for (size_t i = 0; i < 9; i++) {
        const char *why;

        ck_assert_int_eq(doc_get_str(doc_at(list, i), "why", &why, &err), 0);
        ck_assert_str_eq(why, "name came twice");
    }
    expect_file(&r, "twice", "first", 0600);
    ck_assert(!is_there(&r, ".lazaret-part"));
    rig_free(&r);
}
END_TEST

/* Streams that are not legal: what is whole before that stays, nothing else appears. */
static void after_whole(struct rig *r, int row)
{
    static const uint8_t junk[64] = {9, 9, 9};

    switch (row) {
    case 0: /* no end */
        return;
    case 1: /* half a header */
        put_raw(r, "\1\0\0", 3);
        return;
    case 2: /* half a file */
        put_entry(r, TREE_FILE, 0600, "part", 100);
        put_raw(r, junk, sizeof(junk));
        return;
    case 3: /* something behind the end */
        put_entry(r, TREE_END, 0, "", 0);
        put_raw(r, "x", 1);
        return;
    case 4: /* an unknown kind */
        put_raw(r, junk, sizeof(junk));
        return;
    case 5: /* a file before its folder */
        put_file(r, "nowhere/part", 0600, "evil");
        put_entry(r, TREE_END, 0, "", 0);
        return;
    case 6: /* bits that are none */
        put_entry(r, TREE_FILE, 04755, "part", 0);
        put_entry(r, TREE_END, 0, "", 0);
        return;
    case 7: /* a folder with content */
        put_entry(r, TREE_DIR, 0700, "part", 4);
        put_entry(r, TREE_END, 0, "", 0);
        return;
    case 8: /* a size that takes the end for content */
        put_entry(r, TREE_FILE, 0600, "part", 900);
        put_entry(r, TREE_END, 0, "", 0);
        return;
    default:
        ck_abort_msg("no such row");
    }
}

START_TEST(an_illegal_stream_leaves_only_whole_files)
{
    for (int row = 0; row < 9; row++) {
        struct rig r = rig_new();
        struct unpack_result res = {.files = 77};

        put_file(&r, "whole", 0600, "whole");
        after_whole(&r, row);
        ck_assert_msg(run(&r, 1000, &res) == -1, "row %d", row);
        ck_assert_msg(err.class == ERR_PROTOCOL, "row %d: %s", row, err.text);
        ck_assert_uint_eq(res.files, 77);
        expect_file(&r, "whole", "whole", 0600);
        ck_assert_msg(!is_there(&r, "part") && !is_there(&r, ".lazaret-part"), "row %d", row);
        rig_free(&r);
    }
}
END_TEST

START_TEST(an_empty_spool_is_not_a_tree)
{
    struct rig r = rig_new();
    struct unpack_result res;

    ck_assert_int_eq(run(&r, 1000, &res), -1);
    ck_assert_int_eq(err.class, ERR_PROTOCOL);
    rig_free(&r);
}
END_TEST

START_TEST(content_is_capped_before_it_is_written)
{
    static const uint64_t lies[] = {6, 1ull << 40, UINT64_MAX};

    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct rig r = rig_new();
        struct unpack_result res;

        put_file(&r, "../refused", 0600, "12345"); /* counts all the same */
        put_entry(&r, TREE_FILE, 0600, "big", lies[i]);
        put_raw(&r, "123456", 6);
        put_entry(&r, TREE_END, 0, "", 0);
        ck_assert_int_eq(run(&r, 10, &res), -1);
        ck_assert_int_eq(err.class, ERR_LIMIT);
        ck_assert(!is_there(&r, "big") && !is_there(&r, ".lazaret-part"));
        rig_free(&r);
    }
}
END_TEST

START_TEST(content_of_exactly_the_cap_is_fine)
{
    own_doc struct doc *list = NULL;
    struct rig r = rig_new();
    struct unpack_result res;

    put_file(&r, "five", 0600, "12345");
    put_entry(&r, TREE_END, 0, "", 0);
    ck_assert_msg(run(&r, 5, &res) == 0, "%s", err.text);
    list = res.refused_list;
    ck_assert_uint_eq(res.bytes, 5);
    rig_free(&r);
}
END_TEST

START_TEST(entries_are_capped_and_the_list_of_the_refused_too)
{
    for (uint32_t more = 0; more < 2; more++) {
        own_doc struct doc *list = NULL;
        struct rig r = rig_new();
        struct unpack_result res;
        own_free uint8_t *all = malloc((TREE_ENTRIES_MAX + 2) * (TREE_HEADER_SIZE + 4));
        size_t len = 0;
        struct tree_entry en = {.kind = TREE_SKIPPED, .why = TREE_WHY_LINK, .name_len = 4};

        memcpy(en.name, "link", 5);
        for (uint32_t i = 0; i < TREE_ENTRIES_MAX + more; i++)
            len += tree_entry_format(all + len, &en);
        en = (struct tree_entry){.kind = TREE_END};
        len += tree_entry_format(all + len, &en);
        put_raw(&r, all, len);
        if (more) {
            ck_assert_int_eq(run(&r, 10, &res), -1);
            ck_assert_int_eq(err.class, ERR_PROTOCOL);
        } else {
            ck_assert_msg(run(&r, 10, &res) == 0, "%s", err.text);
            list = res.refused_list;
            ck_assert_uint_eq(res.refused, TREE_ENTRIES_MAX);
            ck_assert_uint_eq(doc_len(list), 1000);
        }
        rig_free(&r);
    }
}
END_TEST

START_TEST(a_long_name_is_listed_cut)
{
    own_doc struct doc *list = NULL;
    char name[TREE_NAME_MAX + 1];
    struct rig r = rig_new();
    struct unpack_result res;
    const char *listed;

    memset(name, '\1', sizeof(name) - 1);
    name[TREE_NAME_MAX] = '\0';
    put_entry(&r, TREE_SKIPPED, 0, name, 0);
    put_entry(&r, TREE_END, 0, "", 0);
    ck_assert_msg(run(&r, 10, &res) == 0, "%s", err.text);
    list = res.refused_list;
    ck_assert_int_eq(doc_get_str(doc_at(list, 0), "name", &listed, &err), 0);
    ck_assert_uint_lt(strlen(listed), 512);
    ck_assert_ptr_nonnull(strstr(listed, "\\x01..."));
    rig_free(&r);
}
END_TEST

START_TEST(outside_of_the_folder_nothing_opens)
{
    static const struct confine_call calls[] = {{SCMP_SYS(openat), CONFINE_ANY_ARG, "the test"},
                                                {SCMP_SYS(exit_group), CONFINE_ANY_ARG, "end"}};
    struct rig r = rig_new();
    const struct confine rights = {.calls = calls, .n_calls = 2, .dir_fd = r.out, .max_fds = 64};
    int status;
    pid_t pid;

    if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 1) {
        fprintf(stderr, "no Landlock in this kernel: not tested\n");
        rig_free(&r);
        return;
    }
    pid = fork();
    if (pid == 0) {
        if (confine_self(&rights, &err) < 0)
            _exit(1);
        if (openat(r.out, "../secret", O_RDONLY) >= 0 || errno != EACCES)
            _exit(2);
        if (openat(r.out, "../new", O_WRONLY | O_CREAT, 0600) >= 0 || errno != EACCES)
            _exit(3);
        if (openat(r.out, "/etc/passwd", O_RDONLY) >= 0 || errno != EACCES)
            _exit(4);
        _exit(openat(r.out, "new", O_WRONLY | O_CREAT, 0600) >= 0 ? 0 : 5);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    rig_free(&r);
}
END_TEST

START_TEST(files_belong_to_the_owner_of_the_folder)
{
    own_doc struct doc *list = NULL;
    struct rig r = rig_new();
    struct unpack_result res;
    struct stat st, dir;

    if (geteuid() == 0) {
        ck_assert_int_eq(chmod(top, 0755), 0);
        ck_assert_int_eq(fchown(r.out, 12345, 12346), 0);
    }
    put_file(&r, "mine", 0600, "x");
    put_entry(&r, TREE_END, 0, "", 0);
    ck_assert_msg(run(&r, 10, &res) == 0, "%s", err.text);
    list = res.refused_list;
    ck_assert_int_eq(fstatat(r.out, "mine", &st, 0), 0);
    ck_assert_int_eq(fstat(r.out, &dir), 0);
    ck_assert_uint_eq(st.st_uid, dir.st_uid);
    ck_assert_uint_eq(st.st_gid, dir.st_gid);
    rig_free(&r);
}
END_TEST

START_TEST(a_host_that_cannot_write_says_so)
{
    struct rig r = rig_new();
    struct unpack_result res;

    /* A file where our temporary file goes stands for every reason that the host may have. */
    ck_assert_int_eq(file_write(r.out, ".lazaret-part", "x", 1, 0600, &err), 0);
    put_file(&r, "a", 0600, "a");
    put_entry(&r, TREE_END, 0, "", 0);
    ck_assert_int_eq(run(&r, 10, &res), -1);
    ck_assert_int_eq(err.class, ERR_HOST);
    rig_free(&r);
}
END_TEST

START_TEST(a_spool_that_never_ends_meets_the_deadline)
{
    struct rig r = rig_new();
    struct unpack_result res;

    /* A sparse spool of one huge file: zeros for longer than the deadline. */
    put_entry(&r, TREE_FILE, 0600, "../refused", 1ull << 44);
    ck_assert_int_eq(ftruncate(r.spool, 1ll << 44), 0);
    ck_assert_int_eq(unpack_run(UNPACK_PATH, r.spool, r.out, UINT64_MAX, 200, &res, &err), -1);
    ck_assert_int_eq(err.class, ERR_HOST);
    rig_free(&r);
}
END_TEST

SUITE("unpack", a_tree_becomes_files_and_folders,
      each_file_that_was_made_is_told_with_its_digest_up_to_a_cap,
      names_that_leave_the_folder_are_refused_and_listed,
      nothing_that_is_there_is_replaced_or_followed, an_illegal_stream_leaves_only_whole_files,
      an_empty_spool_is_not_a_tree, content_is_capped_before_it_is_written,
      content_of_exactly_the_cap_is_fine, entries_are_capped_and_the_list_of_the_refused_too,
      a_long_name_is_listed_cut, outside_of_the_folder_nothing_opens,
      files_belong_to_the_owner_of_the_folder, a_host_that_cannot_write_says_so,
      a_spool_that_never_ends_meets_the_deadline)
