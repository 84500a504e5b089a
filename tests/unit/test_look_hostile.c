/* test_look_hostile: file systems that lie, and rows that lie: the real program, the real library.
 */
#include "tests/unit/look_rig.h"
#include "tests/unit/suite.h"

#include "channel/program.h"
#include "look/differ.h"
#include "look/look.h"
#include "look/look_fds.h"
#include "shared/bytes.h"

#include <signal.h>
#include <sys/wait.h>

#define PLACES "mkdir upper\nmkdir ovl\nmkdir work\nmkdir out\n"

static void start(void)
{
    begin();
    put("one", "one\n");
    ck_assert_int_eq(chdir(dir), 0);
}

static void finish(void)
{
    ck_assert_int_eq(chdir("/"), 0);
    end();
}

START_TEST(an_entry_that_lies_is_named_and_those_beside_it_are_listed)
{
    static const struct {
        const char *commands, *want;
    } rows[] = {
        {"cd work\nmknod a/b p\nmknod ../c p\n", "? /work has a name that is none\n"},
        {"mkdir work/d\nln work work/d/loop\n",
         "A /work/d\nA /work/d/loop\n? /work/d/loop is a folder in itself\n"},
        {"ln . work/loop\nmkdir work/z\n",
         "A /work/loop\n? /work/loop is a folder in itself\nA /work/z\n"},
        {"mkdir work/d\nln work/d work/d/d\nwrite one work/e\n",
         "A /work/d\nA /work/d/d\n? /work/d/d is a folder in itself\nA /work/e\n"},
        {"write one work/a\nwrite one work/b\nclri work/a\n", "? /work/a is no file\nA /work/b\n"},
        {"write one work/a\nsif work/a mode 0\n", "? /work/a is no file\n"},
        {"write one work/a\nsif work/a mode 0170644\n", "? /work/a is no file\n"},
        {"write one work/a\nsif work/a links_count 0\n", "? /work/a is no file\n"},
        {"ln <7> work/a\n", "? /work/a is no file\n"},
        {"write one work/a\nsif work/a mode 040755\n",
         "A /work/a\n? /work/a is a damaged folder\n"},
        {"mkdir work/a\nsif work/a block[5] 0xfffffff0\n",
         "A /work/a\n? /work/a is a damaged folder\n"},
        {"mkdir work/a\nsif work/a block[5] 0\n", "A /work/a\n? /work/a is a damaged folder\n"},
        {"mkdir work/a\nsif work/a block[4] 0x8000\n",
         "A /work/a\n? /work/a is a damaged folder\n"}, /* 32768 blocks, on a disk of 4096 */
        {"mkdir work/a\nsif work/a block[0] 0\n", "A /work/a\n? /work/a is a damaged folder\n"},
        {"mkdir work/a\nsif work/a block[1] 0x00090004\n",
         "A /work/a\n? /work/a is a damaged folder\n"}, /* nine levels of extents */
        {"mkdir work/a\nsif work/a flags 0\n", "A /work/a\n? /work/a is a damaged folder\n"},
        {"mkdir work/a\nsif work/a size 0x7fffffffffffffff\nwrite one work/a/b\n",
         "A /work/a\nA /work/a/b\n"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct look_result r;
        own_free char *got = NULL;

        start();
        make_disk("b", PLACES);
        copy_disk("b", "a");
        change("b", rows[i].commands);
        got = diff_with("a", "b", -1, 0, &r);
        ck_assert_msg(got != NULL, "row %zu: %s", i, err.text);
        ck_assert_msg(strcmp(got, rows[i].want) == 0, "row %zu: %s", i, got);
        finish();
    }
}
END_TEST

START_TEST(contents_that_lie_are_named_on_the_disk_that_lies)
{
    static const char *const lies[] = {
        "sif work/a block[0] 0\n",          "sif work/a block[5] 0xfffffff0\n",
        "sif work/a block[1] 0x00060004\n", "sif work/a flags 0\n",
        "sif work/a block[4] 0x00010001\n", /* a place beyond 32 bits */
    };

    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
        for (int liar = 0; liar < 2; liar++) {
            struct look_result r;
            own_free char *got = NULL;

            start();
            make_disk("a", PLACES "write one work/a\nwrite one work/b\n");
            copy_disk("a", "b");
            change(liar ? "b" : "a", lies[i]);
            got = diff_with("a", "b", -1, 0, &r);
            ck_assert_msg(got != NULL, "row %zu: %s", i, err.text);
            ck_assert_msg(strcmp(got, "? /work/a has damaged contents\n") == 0, "row %zu: %s", i,
                          got);
            finish();
        }
}
END_TEST

START_TEST(names_that_debugfs_does_not_write_are_refused_too)
{
    start();
    make_bare_disk("b", PLACES "write one work/XXnul\nwrite one work/XXdot\nwrite one work/XXtwo\n"
                               "write one work/XYtwo\nwrite one work/ok\nwrite one work/XXesc\n");
    patch("b", "XXnul", "XX\0ul", 5);
    patch("b", "XYtwo", "XXtwo", 5);
    patch("b", "XXesc", "\033[31m", 5);
    patch("b", "XXdot", "...\xff/", 5);
    expect(NULL, "b", "? /work has a name that is none\n? /work has a name twice\n");
    patch("b", "XX\0ul", "XXnul", 5);
    patch("b", "...\xff/", "...\xff.", 5);
    patch("b", "XXtwo", "XXTWO", 5);
    expect(NULL, "b", "? /work has a name twice\n");
    finish();
}
END_TEST

START_TEST(a_file_of_any_size_takes_no_time_and_is_not_sent)
{
    own_close int tree = memfd_create("tree", MFD_CLOEXEC);
    struct look_result r;
    own_free char *got = NULL;

    start();
    make_disk("a", PLACES "write one work/a\nsif work/a size 0x3fffffffffff\n");
    copy_disk("a", "b");
    change("b", "write one work/b\nsif work/b size 0x7fffffffffffffff\n");
    got = diff_with("a", "b", tree, 1 << 20, &r);
    ck_assert_msg(got != NULL, "%s", err.text);
    ck_assert_str_eq(got, "A /work/b\n");
    ck_assert(r.over && !r.spent);
    finish();
}
END_TEST

START_TEST(folders_are_entered_down_to_a_depth_that_is_said)
{
    own_str struct str commands = {0}, path = {0}, want = {0};

    start();
    str_add(&commands, PLACES);
    str_add(&path, "work");
    for (unsigned i = 1; i <= LOOK_DEPTH_MAX + 6; i++) {
        str_add(&path, "/d");
        str_addf(&commands, "mkdir %s\n", path.data);
        if (i <= LOOK_DEPTH_MAX)
            str_addf(&want, "A /%s\n", path.data);
        if (i == LOOK_DEPTH_MAX)
            str_addf(&want, "? /%s is too deep or has too long a path\n", path.data);
    }
    make_disk("b", commands.data);
    expect(NULL, "b", want.data);
    finish();
}
END_TEST

START_TEST(a_path_of_its_longest_is_listed_and_one_byte_more_is_said)
{
    own_str struct str commands = {0}, want = {0}, path = {0};
    char name[256] = {0};

    start();
    memset(name, 'n', 255);
    str_add(&commands, PLACES "cd work\n");
    for (unsigned depth = 1; depth <= 4; depth++) {
        /* 3 * 255 + 254 with what is between them: below it "x" is at 1024 */
        if (depth == 4)
            name[254] = '\0';
        str_addf(&path, "%s%s", depth > 1 ? "/" : "", name);
        str_addf(&want, "A /work/%s\n", path.data);
        str_addf(&commands, "mkdir %s\ncd %s\n", name, name);
    }
    ck_assert_uint_eq(path.len, LOOK_PATH_MAX - 1);
    str_addf(&want, "? /work/%s is too deep or has too long a path\n", path.data);
    str_addf(&commands, "mknod x p\ncd ..\nmknod %so p\n", name);
    str_addf(&want, "A /work/%so\n", path.data);
    make_disk("b", commands.data);
    expect(NULL, "b", want.data);
    finish();
}
END_TEST

/* A folder of 310 files under 331 names, by links that no kernel makes. */
START_TEST(more_differences_than_a_list_may_have_are_cut_and_it_says_so)
{
    own_str struct str commands = {0};
    own_close int tree = memfd_create("tree", MFD_CLOEXEC);
    own_free char *got = NULL;
    struct look_result r;

    start();
    str_add(&commands, PLACES "mkdir work/d\ncd work/d\n");
    for (int i = 0; i < 310; i++)
        str_addf(&commands, "mknod %d p\n", i);
    str_add(&commands, "cd ..\n");
    for (int i = 0; i < 330; i++)
        str_addf(&commands, "ln d l%d\n", i);
    make_disk("b", commands.data);
    got = diff_with(NULL, "b", tree, 1, &r);
    ck_assert_msg(got != NULL, "%s", err.text);
    ck_assert_uint_eq(r.added, LOOK_ROWS_MAX);
    ck_assert(r.cut && r.over && !r.spent);
    finish();
}
END_TEST

START_TEST(whoever_makes_us_read_without_end_is_cut_off)
{
    static struct spool rows;
    static struct tree_out tree;
    static struct differ d;
    static struct look_rows back;
    struct look_row row = {0};
    struct disk disk;
    int fd;

    start();
    make_disk("b", PLACES "write one work/a\nwrite one work/b\nwrite one work/c\n");
    fd = open_disk("b");
    rows.fd = memfd_create("rows", MFD_CLOEXEC);
    ck_assert_int_eq(disk_open(&disk, fd, 16 << 20, "the disk", &err), 0);
    ck_assert_uint_gt(disk.budget, 4096);
    ck_assert_uint_lt(disk.budget, 100u << 20);
    disk.budget = 10; /* the root, three places, and the first of the files */
    d.disk[1] = &disk;
    d.rows = &rows;
    d.tree = &tree;
    ck_assert_int_eq(differ_run(&d, &err), 0);
    disk_close(&disk);
    back.fd = rows.fd;
    for (bool more = true; more;)
        ck_assert_int_eq(look_rows_next(&back, &row, &more, &err), 0);
    ck_assert_uint_eq(row.change, LOOK_END);
    ck_assert_uint_eq(row.what, LOOK_END_SPENT);
    close(fd);
    close(rows.fd);
    finish();
}
END_TEST

START_TEST(what_is_no_disk_of_ours_is_refused_whole)
{
    static const struct {
        const char *commands, *want;
    } rows[] = {
        {"feature inline_data\n", "the later disk has no file system of the kind"},
        {"feature encrypt\n", "the later disk has no file system of the kind"},
        {"feature -extents\n", "the later disk has no file system of the kind"},
        {"feature has_journal\n", "the later disk has no file system of the kind"},
        {"ssv log_block_size 6\n", "the later disk has no file system of the kind"},
        {"ssv inode_size 128\n", "the later disk has no file system of the kind"},
        {"ssv blocks_per_group 8\n", "the later disk has no file system of the kind"},
        {"ssv blocks_count 4097\n", "larger than the disk"},
        {"ssv inodes_per_group 0\n", "the later disk has a damaged file system"},
        {"clri <2>\n", "the later disk has a file system without a root"},
        {"sif <2> block[5] 0\n", "the later disk has a damaged root folder"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct look_result r = {.added = 77};

        start();
        make_disk("a", PLACES);
        copy_disk("a", "b");
        change("b", rows[i].commands);
        ck_assert_msg(!diff_with("a", "b", -1, 0, &r), "row %zu", i);
        ck_assert_msg(err.class == ERR_GUEST && strstr(err.text, rows[i].want), "row %zu: %s", i,
                      err.text);
        ck_assert_uint_eq(r.added, 77);
        finish();
    }
}
END_TEST

START_TEST(a_disk_that_is_cut_or_none_is_refused)
{
    static const off_t sizes[] = {0, 1500, 4096, (16 << 20) - 1, 16 << 20};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct look_result r;

        start();
        make_disk("b", PLACES);
        ck_assert_int_eq(truncate("b", sizes[i]), 0);
        if (sizes[i] == 16 << 20)
            patch("b", "\x53\xef\1\0\1\0", "\0\0\1\0\1\0", 6); /* the magic number */
        ck_assert(!diff_with(NULL, "b", -1, 0, &r));
        ck_assert_msg(err.class == ERR_GUEST, "%s", err.text);
        finish();
    }
}
END_TEST

/* With /bin/true in the program's place: what it finds in the spool is what we put there. */
START_TEST(rows_are_not_believed)
{
    static const struct {
        struct look_row row;
        enum err_class class; /* NONE: it is a row */
    } rows[] = {
        {{.change = LOOK_ADDED, .place = LOOK_WORK, .kind = {0, LOOK_FILE}}, ERR_NONE},
        {{.change = LOOK_ADDED, .place = LOOK_WORK, .kind = {0, 0}}, ERR_PROTOCOL},
        {{.change = LOOK_ADDED, .place = LOOK_WORK, .kind = {0, 99}}, ERR_PROTOCOL},
        {{.change = LOOK_ADDED, .place = 0, .kind = {0, LOOK_FILE}}, ERR_PROTOCOL},
        {{.change = LOOK_ADDED, .place = 4, .kind = {0, LOOK_FILE}}, ERR_PROTOCOL},
        {{.change = 0, .place = LOOK_WORK, .kind = {0, LOOK_FILE}}, ERR_PROTOCOL},
        {{.change = 7, .place = LOOK_WORK, .kind = {0, LOOK_FILE}}, ERR_PROTOCOL},
        {{.change = LOOK_ADDED, .place = 1, .kind = {0, 1}, .path_len = 1, .path = "/"},
         ERR_PROTOCOL},
        {{.change = LOOK_ADDED, .place = 1, .kind = {0, 1}, .path_len = 4, .path = "a/.."},
         ERR_PROTOCOL},
        {{.change = LOOK_ADDED, .place = 1, .kind = {0, 1}, .path_len = 1, .path = "."},
         ERR_PROTOCOL},
        {{.change = LOOK_ADDED, .place = 1, .kind = {0, 1}, .path_len = 2, .path = "a/"},
         ERR_PROTOCOL},
        {{.change = LOOK_ADDED, .place = 1, .kind = {0, 1}, .path_len = 3, .path = "a\0b"},
         ERR_PROTOCOL},
        {{.change = LOOK_ADDED, .place = 1, .kind = {0, 1}, .path_len = 4, .path = "..\xff."},
         ERR_NONE},
        {{.change = LOOK_CHANGED, .place = 1, .kind = {1, 1}}, ERR_PROTOCOL},
        {{.change = LOOK_CHANGED, .place = 1, .kind = {1, 1}, .what = 0x100}, ERR_PROTOCOL},
        {{.change = LOOK_CHANGED, .place = 1, .kind = {LOOK_IMAGE, 1}}, ERR_NONE},
        {{.change = LOOK_UNREAD, .place = 1, .side = 2, .why = 1}, ERR_PROTOCOL},
        {{.change = LOOK_UNREAD, .place = 1, .side = 1, .why = LOOK_WHY_END}, ERR_PROTOCOL},
        {{.change = LOOK_UNREAD, .place = 1, .side = 1, .why = LOOK_WHY_NONE}, ERR_PROTOCOL},
        {{.change = LOOK_END, .what = 8}, ERR_PROTOCOL},
        {{.change = LOOK_ERROR, .why = ERR_GUEST, .path_len = 4, .path = "text"}, ERR_GUEST},
        {{.change = LOOK_ERROR, .why = ERR_GUEST, .path_len = 4, .path = "\033[2J"}, ERR_PROTOCOL},
        {{.change = LOOK_ERROR, .why = ERR_USAGE, .path_len = 4, .path = "text"}, ERR_PROTOCOL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own_close int fd = memfd_create("rows", MFD_CLOEXEC);
        const struct look_row end = {.change = LOOK_END};
        uint8_t raw[LOOK_HEADER_SIZE + LOOK_PATH_MAX];
        struct look_result r;
        int rc;

        ck_assert_int_gt(write(fd, raw, look_row_format(raw, &rows[i].row)), 0);
        ck_assert_int_gt(write(fd, raw, look_row_format(raw, &end)), 0);
        rc = look_diff("/bin/true", -1, fd, fd, -1, 0, 15000, &r, &err);
        ck_assert_msg((rc == 0) == (rows[i].class == ERR_NONE), "row %zu: %s", i, err.text);
        ck_assert_msg(rc == 0 || err.class == rows[i].class, "row %zu: %s", i, err.text);
    }
}
END_TEST

START_TEST(a_row_with_a_path_one_byte_over_its_bound_is_none)
{
    uint8_t raw[LOOK_HEADER_SIZE + LOOK_PATH_MAX + 1];
    struct look_row back,
        row = {.change = LOOK_ADDED, .place = 1, .kind = {0, 1}, .path_len = LOOK_PATH_MAX};

    memset(row.path, 'x', LOOK_PATH_MAX);
    ck_assert_uint_eq(look_row_format(raw, &row), sizeof(raw) - 1);
    ck_assert_int_eq(look_row_parse(raw, sizeof(raw) - 1, &back), sizeof(raw) - 1);
    raw[sizeof(raw) - 1] = 'x';
    bytes_put_u16(raw + 6, LOOK_PATH_MAX + 1);
    ck_assert_int_eq(look_row_parse(raw, sizeof(raw), &back), -EBADMSG);
}
END_TEST

START_TEST(a_program_that_says_nothing_or_fails_is_an_error)
{
    static const struct {
        const char *program, *want;
    } rows[] = {{"/bin/true", "ends before its end"},
                {"/bin/false", "status 1"},
                {"/nonexistent", "/nonexistent"}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own_close int fd = memfd_create("rows", MFD_CLOEXEC);
        struct look_result r;

        ck_assert_int_eq(look_diff(rows[i].program, -1, fd, fd, -1, 0, 15000, &r, &err), -1);
        ck_assert_msg(strstr(err.text, rows[i].want) != NULL, "%s", err.text);
    }
}
END_TEST

static void expect_line(const char *status, const char *line)
{
    ck_assert_msg(strstr(status, line) != NULL, "no '%s' in %s", line, status);
}

/* It is stopped by a pipe that is full, in the place of the spool, after all that it does. */
START_TEST(the_program_has_no_rights_left)
{
    static char fill[1 << 16];
    own_free char *status = NULL, *path = NULL;
    const char *const argv[] = {LOOK_PATH, LOOK_ARG_LATER, "0", NULL};
    int pipe_fds[2], disk, n = 0;
    const struct dirent *en;
    pid_t pid;
    DIR *d;

    start();
    make_disk("b", PLACES);
    disk = open_disk("b");
    ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
    ck_assert_int_eq(write(pipe_fds[1], fill, sizeof(fill)), sizeof(fill));
    const int fds[] = {disk, pipe_fds[1], disk};
    const struct spawn s = program_spawn(argv, fds, 3);
    ck_assert_int_eq(spawn_start(&s, &pid, &err), 0);
    path = str_printf("/proc/%d", pid);
    for (;;) { /* until it waits for the pipe; if it never does, the suite's deadline ends this */
        own_free char *file = str_printf("%s/status", path);
        own_close int fd = open(file, O_RDONLY | O_CLOEXEC);

        free(status);
        status = calloc(1, 65536);
        ck_assert(fd >= 0 && read(fd, status, 65535) > 0);
        if (strstr(status, "Seccomp:\t2") && strstr(status, "State:\tS"))
            break;
        ck_assert_msg(!strstr(status, "State:\tZ"), "it ended");
    }
    expect_line(status, "NoNewPrivs:\t1");
    expect_line(status, "CapEff:\t0000000000000000");
    expect_line(status, "CapPrm:\t0000000000000000");
    free(path);
    path = str_printf("/proc/%d/fd", pid);
    d = opendir(path);
    while (d && (en = readdir(d)))
        n += en->d_name[0] != '.';
    if (d) {
        ck_assert_int_eq(n, 6);
        closedir(d);
    }
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    close(disk);
    finish();
}
END_TEST

SUITE("look_hostile", an_entry_that_lies_is_named_and_those_beside_it_are_listed,
      contents_that_lie_are_named_on_the_disk_that_lies,
      names_that_debugfs_does_not_write_are_refused_too,
      a_file_of_any_size_takes_no_time_and_is_not_sent,
      more_differences_than_a_list_may_have_are_cut_and_it_says_so,
      whoever_makes_us_read_without_end_is_cut_off,
      folders_are_entered_down_to_a_depth_that_is_said,
      a_path_of_its_longest_is_listed_and_one_byte_more_is_said,
      what_is_no_disk_of_ours_is_refused_whole, a_disk_that_is_cut_or_none_is_refused,
      rows_are_not_believed, a_row_with_a_path_one_byte_over_its_bound_is_none,
      a_program_that_says_nothing_or_fails_is_an_error, the_program_has_no_rights_left)
