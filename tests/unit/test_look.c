/* test_look: promises of a diff, with the real program and real file systems. */
#include "tests/unit/look_rig.h"
#include "tests/unit/suite.h"

#include "channel/unpack.h"
#include "look/look.h"

#define PLACES "mkdir upper\nmkdir ovl\nmkdir work\nmkdir out\nmkdir ovl/work\n"

/* Files to write, and the folder that debugfs reads them in. */
static void start(void)
{
    begin();
    put("one", "one\n");
    put("two", "two\n");
    put("longer", "longer\n");
    put("empty", "");
    ck_assert_int_eq(chdir(dir), 0);
}

static void finish(void)
{
    ck_assert_int_eq(chdir("/"), 0);
    end();
}

START_TEST(what_was_added_changed_and_removed_is_listed_by_the_sandboxs_paths)
{
    start();
    make_disk("a", PLACES "mkdir work/d\nmkdir work/gone\nwrite one work/d/same\n"
                          "write one work/d/content\nwrite one work/d/size\n"
                          "write one work/d/removed\nwrite one work/gone/x\n"
                          "write one out/report\nwrite one work/d/kind\n"
                          "symlink work/d/link /etc/passwd\ncd work/d\nmknod pipe p\ncd /\n"
                          "write one work/d/mode\nwrite one work/d/owner\n");
    copy_disk("a", "b");
    change("b", "rm work/d/content\nwrite two work/d/content\nrm work/d/size\n"
                "write longer work/d/size\nrm work/d/removed\nrm work/gone/x\nrmdir work/gone\n"
                "mkdir work/new\nwrite empty work/new/empty\nrm work/d/kind\nmkdir work/d/kind\n"
                "rm work/d/link\nsymlink work/d/link /etc/shadow\n"
                "sif work/d/mode mode 0100755\nsif work/d/owner uid 7\nsif work/d/same mtime 1\n"
                "rm out/report\nwrite two out/report\nwrite two ovl/work/hidden\n");
    expect("a", "b",
           "C /work/d/content\nC /work/d/kind\nC /work/d/link\nC /work/d/mode\nC /work/d/owner\n"
           "R /work/d/removed\nC /work/d/size\nR /work/gone\nR /work/gone/x\nA /work/new\n"
           "A /work/new/empty\nC /out/report\n");
    expect("a", "a", "");
    expect("b", "b", "");
    finish();
}
END_TEST

START_TEST(the_root_is_what_lies_over_the_image)
{
    start();
    make_disk("a", PLACES
              "mkdir upper/etc\nwrite one upper/etc/first\n"
              "ea_set upper/etc trusted.overlay.origin x\n"
              "mkdir upper/.lazaret\nwrite one upper/.lazaret/init\n"
              "cd upper/etc\nmknod back c 0 0\ncd /\ncd upper/etc\nmknod again c 0 0\ncd /\n");
    copy_disk("a", "b");
    change("b", "cd upper/etc\nmknod gone c 0 0\ncd /\nrm upper/etc/first\ncd upper/etc\nmknod "
                "first c 0 0\ncd /\n"
                "write two upper/etc/passwd\nea_set upper/etc/passwd trusted.overlay.origin x\n"
                "write two upper/etc/new\nrm upper/etc/again\nwrite two upper/etc/again\n"
                "rm upper/etc/back\nrm upper/.lazaret/init\n"
                "mkdir upper/srv\nea_set upper/srv trusted.overlay.opaque y\n"
                "cd upper\nmknod real c 1 3\ncd /\n");
    expect("a", "b",
           "A /etc/again\nA /etc/back\nR /etc/first\nR /etc/gone\nA /etc/new\nC /etc/passwd\n"
           "A /real\nA /srv\n");
    /* An empty disk, and one that no guest has had yet, are as good as each other. */
    make_disk("empty-disk", NULL);
    for (int i = 0; i < 2; i++)
        expect(i ? "empty-disk" : NULL, "a", "C /etc\nR /etc/again\nR /etc/back\nA /etc/first\n");
    change("b", "ea_set upper/etc trusted.overlay.opaque y\n");
    expect("a", "b",
           "C /etc\nA /etc/again\nR /etc/first\nR /etc/gone\nA /etc/new\nC /etc/passwd\n"
           "A /real\nA /srv\n");
    finish();
}
END_TEST

/* Files that no buffer holds, with holes: only the bytes count, not how they lie there. */
START_TEST(contents_are_compared_to_the_last_byte_and_holes_are_zeros)
{
    static char big[3 << 20];
    own_close int fd = -1;

    start();
    memset(big, 'x', sizeof(big));
    memset(big + (1 << 20), 0, 1 << 20);
    for (int i = 0; i < 5; i++) {
        static const char *const names[] = {"sparse", "whole", "first", "last", "4k"};

        big[0] = i == 2 ? 'y' : 'x';
        big[sizeof(big) - 3] = i == 3 ? 'y' : 'x';
        fd = open(names[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        ck_assert_int_eq(file_write_all(fd, big, i == 4 ? 4096 : sizeof(big) - 2), 0);
        if (i == 0)
            ck_assert_int_eq(
                fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1 << 20, 1 << 20), 0);
        close(own_steal_fd(fd));
    }
    /* A hole is as good as blocks that were never written (f), or with zeros (k). */
    put("k", "");
    ck_assert_int_eq(truncate("k", 4096), 0);
    make_disk("a", PLACES "write sparse work/f\nwrite sparse work/g\nwrite sparse work/h\n"
                          "write k work/k\n");
    make_disk("b", PLACES "write whole work/f\nfallocate work/f 256 511\nwrite first work/g\n"
                          "write last work/h\nwrite 4k work/k\nzap_block -f work/k 0\n");

    expect("a", "b", "C /work/g\nC /work/h\n");
    finish();
}
END_TEST

START_TEST(changed_files_come_out_as_those_of_a_run_do)
{
    struct look_result r;
    struct unpack_result u;
    own_close int tree = memfd_create("tree", MFD_CLOEXEC), out = -1;
    own_free char *got = NULL, *text = NULL, *path = NULL;
    size_t len;

    start();
    make_disk("a", PLACES "mkdir work/same\nmkdir work/same/deep\nwrite one work/same/deep/old\n"
                          "mkdir upper/etc\n");
    copy_disk("a", "b");
    change("b", "write two work/same/deep/new\nsymlink work/same/link /etc/shadow\n"
                "cd work\nmknod pipe p\ncd /\nmkdir work/empty\nwrite longer upper/etc/conf\n"
                "sif upper/etc/conf mode 0100777\nwrite one upper/etc/suid\n"
                "sif upper/etc/suid mode 0104755\ncd upper/etc\nmknod gone c 0 0\ncd /\n"
                "rm work/same/deep/old\nmkdir \"work/\x1b[2J\"\nwrite one \"work/\x1b[2J/x\"\n");
    got = diff_with("a", "b", tree, 100, &r);
    ck_assert_msg(got != NULL, "%s", err.text);
    ck_assert_str_eq(got, "A /etc/conf\nR /etc/gone\nA /etc/suid\nA /work/\\x1b[2J\n"
                          "A /work/\\x1b[2J/x\nA /work/empty\nA /work/pipe\n"
                          "A /work/same/deep/new\nR /work/same/deep/old\nA /work/same/link\n");
    make("result");
    path = in_dir("result");
    out = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_msg(unpack_run(UNPACK_PATH, tree, out, 100, 15000, &u, &err) == 0, "%s", err.text);
    doc_free(u.refused_list);
    ck_assert_uint_eq(u.files, 2);
    ck_assert_uint_eq(u.folders, 6); /* root root/etc work work/empty work/same work/same/deep */
    ck_assert_uint_eq(u.refused, 5); /* suid, two bad names, pipe, link */
    ck_assert_uint_eq(u.bytes, 11);
    ck_assert_int_eq(file_read(out, "work/same/deep/new", 100, &text, &len, &err), 0);
    ck_assert_str_eq(text, "two\n");
    ck_assert(exists("result/root/etc/conf") && exists("result/work/empty"));
    finish();
}
END_TEST

START_TEST(a_tree_over_its_cap_says_so_and_is_still_a_tree)
{
    for (uint64_t max = 8; max < 12; max++) {
        struct look_result r;
        struct unpack_result u;
        own_close int tree = memfd_create("tree", MFD_CLOEXEC), out = -1;
        own_free char *got = NULL, *path = NULL;

        start();
        make_disk("b", PLACES "write one work/a\nwrite two work/b\nwrite one work/c\n");
        got = diff_with(NULL, "b", tree, max, &r);
        ck_assert_msg(got != NULL, "%s", err.text);
        ck_assert_str_eq(got, "A /work/a\nA /work/b\nA /work/c\n");
        ck_assert(r.over);
        make("result");
        path = in_dir("result");
        out = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ck_assert_int_eq(unpack_run(UNPACK_PATH, tree, out, max, 15000, &u, &err), 0);
        doc_free(u.refused_list);
        ck_assert_uint_eq(u.files, 2);
        finish();
    }
}
END_TEST

START_TEST(json_has_the_exact_bytes_of_a_path)
{
    struct look_row row = {.change = LOOK_CHANGED,
                           .place = LOOK_WORK,
                           .kind = {LOOK_LINK, LOOK_FILE},
                           .what = LOOK_WHAT_KIND,
                           .size = {3, 4},
                           .path_len = 4,
                           .path = "a\n\xc3\xa9"};
    own_doc struct doc *d = look_row_doc(&row), *bad = NULL;
    own_free char *text = doc_format(d, false), *other = NULL;

    ck_assert_str_eq(text, "{\"change\":\"changed\",\"path\":\"/work/a\\n\xc3\xa9\",\"kind\":"
                           "\"file\",\"size\":4,\"old_kind\":\"link\",\"old_size\":3,"
                           "\"what\":[\"kind\"]}");
    row = (struct look_row){.change = LOOK_UNREAD,
                            .place = LOOK_ROOT,
                            .side = 1,
                            .why = LOOK_WHY_DIR,
                            .path_len = 1,
                            .path = "\xff"};
    bad = look_row_doc(&row);
    other = doc_format(bad, false);
    ck_assert_str_eq(other, "{\"change\":\"unread\",\"path\":\"/\\\\xff\",\"path_hex\":\"2fff\","
                            "\"disk\":\"later\",\"why\":\"is a damaged folder\"}");
}
END_TEST

SUITE("look", what_was_added_changed_and_removed_is_listed_by_the_sandboxs_paths,
      the_root_is_what_lies_over_the_image,
      contents_are_compared_to_the_last_byte_and_holes_are_zeros,
      changed_files_come_out_as_those_of_a_run_do, a_tree_over_its_cap_says_so_and_is_still_a_tree,
      json_has_the_exact_bytes_of_a_path)
