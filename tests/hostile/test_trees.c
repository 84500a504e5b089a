/*
 * test_trees: output trees that lie, given to the real lazaret-unpack; and folders that lie, walked
 * as the agent walks them and then unpacked.
 *
 * Each row must end as it says, within 4 MiB more than a tree of one file takes, with nothing in
 * the folder but whole files and folders of our making, and with nothing beside it.
 */
#include "tests/hostile/rows.h"
#include "tests/unit/suite.h"

#include "base/file.h"
#include "base/own.h"
#include "channel/unpack.h"
#include "shared/bytes.h"
#include "shared/walk.h"

#include <dirent.h>
#include <ftw.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#define MAX_BYTES 100000u

static struct err err;
static char top[32], out_path[64];
static int spool, out_fd;
#define ck_ok(call) ck_assert_msg((call) == 0, "%s: %s", #call, err.text)

static void put(const void *data, size_t len)
{
    ck_assert_int_eq(file_write_all(spool, data, len), 0);
}

/* An entry with whatever there is in its fields. */
static void put_raw(uint8_t kind, uint8_t why, uint16_t mode, const char *name, size_t name_len,
                    uint16_t zero, uint64_t size)
{
    uint8_t head[TREE_HEADER_SIZE] = {kind, why};

    bytes_put_u16(head + 2, mode);
    bytes_put_u16(head + 4, (uint16_t)name_len);
    bytes_put_u16(head + 6, zero);
    bytes_put_u64(head + 8, size);
    put(head, sizeof(head));
    put(name, name_len);
}

static void put_file(const char *name)
{
    put_raw(TREE_FILE, 0, 0600, name, strlen(name), 0, 4);
    put("evil", 4);
}

static void put_end(void)
{
    put_raw(TREE_END, 0, 0, "", 0, 0, 0);
}

/* ---- streams --------------------------------------------------------------------------------- */

static void a_million_entries(void)
{
    const size_t n = 1000000;
    own_free uint8_t *all = calloc(n, TREE_HEADER_SIZE + 1);

    ck_assert_ptr_nonnull(all);
    for (size_t i = 0; i < n; i++) {
        uint8_t *p = all + i * (TREE_HEADER_SIZE + 1);

        p[0] = TREE_SKIPPED;
        p[1] = TREE_WHY_LINK;
        p[4] = 1;
        p[16] = 'x';
    }
    put(all, n * (TREE_HEADER_SIZE + 1));
    put_end();
}

static void one_name_a_thousand_times(void)
{
    for (int i = 0; i < 1000; i++)
        put_raw(TREE_FILE, 0, 0600, "same", 4, 0, 0);
    put_end();
}

static void folders_as_deep_as_they_may_be_and_deeper(void)
{
    static const char path[] = "d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d"
                               "/d/d/d/d/d/d/d/d";

    for (size_t len = 1; len < sizeof(path); len += 2)
        put_raw(TREE_DIR, 0, 0700, path, len, 0, 0);
    put_end();
}

static void a_sparse_terabyte(void)
{
    put_raw(TREE_FILE, 0, 0600, "big", 3, 0, 1ull << 40);
    ck_assert_int_eq(ftruncate(spool, 1ll << 40), 0);
}

static void a_file_of_all_ones_bytes(void)
{
    put_raw(TREE_FILE, 0, 0600, "big", 3, 0, UINT64_MAX);
    put("x", 1);
}

static void a_file_that_takes_the_end_for_content(void)
{
    put_raw(TREE_FILE, 0, 0600, "big", 3, 0, TREE_HEADER_SIZE + 1);
    put_end();
}

static void refused_content_counts_too(void)
{
    put_raw(TREE_FILE, 0, 0600, "../big", 6, 0, MAX_BYTES + 1);
    ck_assert_int_eq(ftruncate(spool, MAX_BYTES + 100), 0);
}

static void half_a_header(void)
{
    put("\1\0\0", 3);
}

static void half_a_name(void)
{
    put_raw(TREE_FILE, 0, 0600, "name", 4, 0, 0);
    ck_assert_int_eq(ftruncate(spool, TREE_HEADER_SIZE + 2), 0);
}

static void half_a_file(void)
{
    put_raw(TREE_FILE, 0, 0600, "half", 4, 0, 100);
    put("half", 4);
}

static void nothing_at_all(void)
{
}

static void no_end(void)
{
    put_file("a");
}

static void an_end_twice(void)
{
    put_end();
    put_end();
}

static void something_after_the_end(void)
{
    put_end();
    put_file("late");
}

static void a_file_before_its_folder(void)
{
    put_file("folder/file");
    put_end();
}

static void a_file_below_a_file(void)
{
    put_file("file");
    put_file("file/below");
    put_end();
}

/* ---- entries --------------------------------------------------------------------------------- */

#define LONG_PART "ppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp" /* 63 */
#define NAME(s)   s, sizeof(s) - 1

/* One entry and an end. Refused: the run goes on without it; else the stream is not legal. */
static const struct entry {
    const char *name;
    uint8_t kind, why;
    uint16_t mode;
    const char *text;
    size_t len;
    uint16_t zero;
    uint64_t size;
    bool refused;
} entries[] = {
    {"kind_0", 0, 0, 0600, NAME("x"), 0, 0, false},
    {"kind_after_the_last", TREE_END + 1, 0, 0600, NAME("x"), 0, 0, false},
    {"kind_255", 255, 0, 0600, NAME("x"), 0, 0, false},
    {"a_link_by_its_mode", TREE_FILE, 0, (S_IFLNK | 0777) & 0xffff, NAME("x"), 0, 0, false},
    {"a_device_by_its_mode", TREE_FILE, 0, (S_IFBLK | 0600) & 0xffff, NAME("x"), 0, 0, false},
    {"a_fifo_by_its_mode", TREE_FILE, 0, (S_IFIFO | 0600) & 0xffff, NAME("x"), 0, 0, false},
    {"a_socket_by_its_mode", TREE_FILE, 0, (S_IFSOCK | 0600) & 0xffff, NAME("x"), 0, 0, false},
    {"set_user_id", TREE_FILE, 0, 04755, NAME("x"), 0, 0, false},
    {"set_group_id", TREE_FILE, 0, 02755, NAME("x"), 0, 0, false},
    {"sticky", TREE_DIR, 0, 01777, NAME("x"), 0, 0, false},
    {"a_file_with_a_reason", TREE_FILE, TREE_WHY_LINK, 0600, NAME("x"), 0, 0, false},
    {"skipped_without_a_reason", TREE_SKIPPED, 0, 0, NAME("x"), 0, 0, false},
    {"skipped_for_a_reason_that_is_none", TREE_SKIPPED, TREE_WHY_END, 0, NAME("x"), 0, 0, false},
    {"skipped_with_content", TREE_SKIPPED, TREE_WHY_LINK, 0, NAME("x"), 0, 4, false},
    {"a_folder_with_content", TREE_DIR, 0, 0700, NAME("x"), 0, 4, false},
    {"an_end_with_content", TREE_END, 0, 0, NULL, 0, 0, 4, false},
    {"an_end_with_a_name", TREE_END, 0, 0, NAME("x"), 0, 0, false},
    {"zero_that_is_none", TREE_FILE, 0, 0600, NAME("x"), 1, 0, false},
    {"no_name", TREE_FILE, 0, 0600, NULL, 0, 0, 0, false},
    {"name_with_nul", TREE_FILE, 0, 0600, NAME("a\0b"), 0, 0, false},
    {"name_of_nul", TREE_FILE, 0, 0600, NAME("\0"), 0, 0, false},
    {"name_up", TREE_FILE, 0, 0600, NAME("../secret"), 0, 0, true},
    {"name_up_from_within", TREE_FILE, 0, 0600, NAME("a/../../secret"), 0, 0, true},
    {"name_dot", TREE_FILE, 0, 0600, NAME("."), 0, 0, true},
    {"name_dot_dot", TREE_DIR, 0, 0700, NAME(".."), 0, 0, true},
    {"name_absolute", TREE_FILE, 0, 0600, NAME("/etc/passwd"), 0, 0, true},
    {"name_slash", TREE_DIR, 0, 0700, NAME("/"), 0, 0, true},
    {"name_two_slashes", TREE_FILE, 0, 0600, NAME("a//b"), 0, 0, true},
    {"name_slash_at_the_end", TREE_DIR, 0, 0700, NAME("a/"), 0, 0, true},
    {"name_newline", TREE_FILE, 0, 0600, NAME("a\nb"), 0, 0, true},
    {"name_escapes", TREE_FILE, 0, 0600, NAME("\033]0;owned\007\033[2J"), 0, 0, true},
    {"name_c1_control", TREE_FILE, 0, 0600,
     NAME("a\xc2\x9b"
          "2J"),
     0, 0, true},
    {"name_del", TREE_FILE, 0, 0600, NAME("a\x7f"), 0, 0, true},
    {"name_not_utf8", TREE_FILE, 0, 0600, NAME("a\xff"), 0, 0, true},
    {"name_overlong", TREE_FILE, 0, 0600, NAME("\xc0\xaf"), 0, 0, true},
    {"name_surrogate", TREE_FILE, 0, 0600, NAME("\xed\xa0\x80"), 0, 0, true},
    {"name_beyond_unicode", TREE_FILE, 0, 0600, NAME("\xf4\x90\x80\x80"), 0, 0, true},
    {"name_cut_in_a_character", TREE_FILE, 0, 0600, NAME("a\xe2\x82"), 0, 0, true},
    {"name_of_our_own_part", TREE_FILE, 0, 0600, NAME(".lazaret-part"), 0, 0, true},
    {"name_part_over_255", TREE_FILE, 0, 0600, NAME(LONG_PART LONG_PART LONG_PART LONG_PART "pppp"),
     0, 0, true},
    {"name_33_deep", TREE_DIR, 0, 0700,
     NAME("d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d"), 0, 0, true},
};

static void put_entry(const struct entry *en)
{
    put_raw(en->kind, en->why, en->mode, en->text, en->len, en->zero, en->size);
    put("eviltext", en->size);
    put_end();
}

static void name_of_4096_bytes(void)
{
    static char name[4096];

    memset(name, 'n', sizeof(name));
    put_raw(TREE_FILE, 0, 0600, name, sizeof(name), 0, 0);
    put_end();
}

static void name_one_byte_over_its_bound(void)
{
    static char name[TREE_NAME_MAX + 1];

    memset(name, 'n', sizeof(name));
    put_raw(TREE_FILE, 0, 0600, name, sizeof(name), 0, 0);
    put_end();
}

static void name_of_65535_bytes(void)
{
    static char name[65535];

    memset(name, 'n', sizeof(name));
    put_raw(TREE_FILE, 0, 0600, name, sizeof(name), 0, 0);
    put_end();
}

/* ---- folders --------------------------------------------------------------------------------- */

static int in_dir;

static void make_file(const char *name, mode_t mode, off_t size)
{
    own_close int fd = openat(in_dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, size), 0);
    ck_assert_int_eq(fchmod(fd, mode), 0);
}

static void make_links(void)
{
    ck_assert_int_eq(symlinkat("/etc/passwd", in_dir, "file"), 0);
    ck_assert_int_eq(symlinkat("/", in_dir, "folder"), 0);
    ck_assert_int_eq(symlinkat("loop", in_dir, "loop"), 0);
    ck_assert_int_eq(symlinkat("../secret", in_dir, "up"), 0);
}

static void make_specials(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    own_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(at.sun_path, sizeof(at.sun_path), "/proc/self/fd/%d/socket", in_dir);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(mkfifoat(in_dir, "fifo", 0666), 0);
    /* Who may not make devices tries with one more fifo. */
    if (mknodat(in_dir, "zero", S_IFCHR | 0666, makedev(1, 5)) < 0)
        ck_assert_int_eq(mkfifoat(in_dir, "zero", 0666), 0);
    if (mknodat(in_dir, "disk", S_IFBLK | 0666, makedev(8, 0)) < 0)
        ck_assert_int_eq(mkfifoat(in_dir, "disk", 0666), 0);
}

static void make_setids(void)
{
    make_file("user", 04755, 0);
    make_file("group", 02755, 0);
}

static void make_names(void)
{
    make_file("a\nb", 0600, 1);
    make_file("\033[2J", 0600, 1);
    make_file("\xff\xfe", 0600, 1);
}

static void make_depth(void)
{
    own_close int fd = dup(in_dir);

    for (int i = 0; i < 300; i++) {
        int next;

        ck_assert_int_eq(mkdirat(fd, "d", 0700), 0);
        next = openat(fd, "d", O_PATH | O_DIRECTORY | O_CLOEXEC);
        ck_assert_int_ge(next, 0);
        close(fd);
        fd = next;
    }
}

static void make_terabyte(void)
{
    make_file("a-first", 0600, 100);
    make_file("sparse", 0600, 1ll << 40);
}

/* Walked as the agent does it, from a folder that an enemy filled. */
static enum walk_how walk(void)
{
    static struct walk w;
    static uint8_t buf[65536];
    enum walk_how how;
    char path[64];
    size_t n;

    (void)snprintf(path, sizeof(path), "%s/in", top);
    walk_init(&w);
    walk_open(&w, path, NULL, MAX_BYTES);
    while (!walk_is_over(&w) && (n = walk_read(&w, buf, sizeof(buf))) > 0)
        put(buf, n);
    how = w.how;
    walk_close(&w);
    return how;
}

static const struct {
    const char *name;
    void (*make)(void);
    enum walk_how how;
    uint64_t refused;
    const char *why; /* of each that is refused */
} folders[] = {
    {"a_folder_of_links", make_links, WALK_DONE, 4, "symbolic link"},
    {"a_folder_of_devices_fifos_and_sockets", make_specials, WALK_DONE, 4, "device"},
    {"a_folder_of_set_ids", make_setids, WALK_DONE, 2, "set-"},
    {"a_folder_of_bad_names", make_names, WALK_DONE, 3, "name is not plain"},
    {"a_folder_300_deep", make_depth, WALK_DONE, 1, "too deep"},
    {"a_folder_with_a_sparse_terabyte", make_terabyte, WALK_OVER, 0, NULL},
};

/* ---- how each is told ------------------------------------------------------------------------ */

static void begin(void)
{
    char path[64];

    (void)snprintf(top, sizeof(top), "/tmp/lazaret-trees-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(top));
    (void)snprintf(out_path, sizeof(out_path), "%s/out", top);
    ck_assert_int_eq(mkdir(out_path, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/in", top);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    in_dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    out_fd = open(out_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    spool = memfd_create("spool", MFD_CLOEXEC);
    ck_assert(in_dir >= 0 && out_fd >= 0 && spool >= 0);
    own_close int fd = openat(out_fd, "../secret", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    ck_assert_int_eq(file_write_all(fd, "secret", 6), 0);
}

static int is_ours(const char *path, const struct stat *st, int flag, struct FTW *where)
{
    (void)where;
    ck_assert_msg(flag == FTW_F || flag == FTW_D, "%s: %d", path, flag);
    ck_assert_msg(S_ISREG(st->st_mode) || S_ISDIR(st->st_mode), "%s: %o", path, st->st_mode);
    ck_assert_msg(!(st->st_mode & 07022), "%s: %o", path, st->st_mode);
    ck_assert_msg(!strstr(path, ".lazaret-part"), "%s", path);
    return 0;
}

/* Nothing but what may be, and nothing beside the folder that was not there. */
static void end(void)
{
    own_free char *text = NULL;
    struct dirent *de;
    size_t len, n = 0;
    DIR *d = opendir(top);

    ck_assert_int_eq(nftw(out_path, is_ours, 16, FTW_PHYS), 0);
    ck_ok(file_read(out_fd, "../secret", 100, &text, &len, &err));
    ck_assert_str_eq(text, "secret");
    while ((de = readdir(d)))
        n += de->d_name[0] != '.';
    closedir(d);
    ck_assert_uint_eq(n, 3); /* in, out, secret */
    close(in_dir);
    close(out_fd);
    close(spool);
    ck_ok(file_remove_tree(AT_FDCWD, top, &err));
}

static int unpack(struct unpack_result *ret)
{
    return unpack_run(UNPACK_PATH, spool, out_fd, MAX_BYTES, 15000, ret, &err);
}

/* What a tree of one file takes. */
static long plain_kib(void)
{
    struct unpack_result res;
    struct rusage u;

    begin();
    put_file("plain");
    put_end();
    ck_ok(unpack(&res));
    doc_free(res.refused_list);
    end();
    ck_assert_int_eq(getrusage(RUSAGE_CHILDREN, &u), 0);
    return u.ru_maxrss;
}

/* `want` is the error's class, and `why` a part of its text; ERR_NONE: it must do, without what is
 * refused, each for `why`. */
static uint64_t unpack_and_check(enum err_class want, const char *why)
{
    struct unpack_result res = {0};
    int rc = unpack(&res);

    if (want != ERR_NONE) {
        ck_assert_int_eq(rc, -1);
        ck_assert_msg(err.class == want, "class %d: %s", err.class, err.text);
        ck_assert_msg(!why || strstr(err.text, why), "%s", err.text);
        return 0;
    }
    ck_assert_msg(rc == 0, "%s", err.text);
    for (size_t i = 0; i < doc_len(res.refused_list); i++) {
        const char *text;

        ck_ok(doc_get_str(doc_at(res.refused_list, i), "name", &text, &err));
        ck_assert(str_is_printable(text, strlen(text) + 1));
        ck_ok(doc_get_str(doc_at(res.refused_list, i), "why", &text, &err));
        ck_assert_msg(!why || strstr(text, why), "%s", text);
    }
    doc_free(res.refused_list);
    return res.refused;
}

static const struct {
    const char *name;
    void (*put)(void);
    enum err_class want;
    uint64_t refused;
    const char *why; /* of the error */
} streams[] = {
#define ROW(name, want, refused, why)                                                              \
    {                                                                                              \
#name, name, want, refused, why                                                            \
    }
    ROW(a_million_entries, ERR_PROTOCOL, 0, "has more than 100000 entries"),
    ROW(one_name_a_thousand_times, ERR_NONE, 999, NULL),
    ROW(folders_as_deep_as_they_may_be_and_deeper, ERR_NONE, 8, NULL),
    ROW(a_sparse_terabyte, ERR_LIMIT, 0, "is larger than 100000 bytes"),
    ROW(a_file_of_all_ones_bytes, ERR_LIMIT, 0, "is larger than 100000 bytes"),
    ROW(a_file_that_takes_the_end_for_content, ERR_PROTOCOL, 0, "ends within a file"),
    ROW(refused_content_counts_too, ERR_LIMIT, 0, "is larger than 100000 bytes"),
    ROW(half_a_header, ERR_PROTOCOL, 0, "ends before its end"),
    ROW(half_a_name, ERR_PROTOCOL, 0, "ends before its end"),
    ROW(half_a_file, ERR_PROTOCOL, 0, "ends within a file"),
    ROW(nothing_at_all, ERR_PROTOCOL, 0, "ends before its end"),
    ROW(no_end, ERR_PROTOCOL, 0, "ends before its end"),
    ROW(an_end_twice, ERR_PROTOCOL, 0, "goes on after its end"),
    ROW(something_after_the_end, ERR_PROTOCOL, 0, "goes on after its end"),
    ROW(a_file_before_its_folder, ERR_PROTOCOL, 0, "has an entry before its folder"),
    ROW(a_file_below_a_file, ERR_NONE, 1, NULL),
    ROW(name_of_4096_bytes, ERR_PROTOCOL, 0, "an entry that is not one"),
    ROW(name_one_byte_over_its_bound, ERR_PROTOCOL, 0, "an entry that is not one"),
    ROW(name_of_65535_bytes, ERR_PROTOCOL, 0, "an entry that is not one"),
};

static void tell_stream(int row)
{
    long kib = plain_kib();

    begin();
    streams[row].put();
    ck_assert_uint_eq(unpack_and_check(streams[row].want, streams[row].why), streams[row].refused);
    end();
    rows_check_children(kib);
}

static void tell_entry(int row)
{
    long kib = plain_kib();
    bool refused = entries[row].refused;

    begin();
    put_entry(&entries[row]);
    ck_assert_uint_eq(unpack_and_check(refused ? ERR_NONE : ERR_PROTOCOL,
                                       refused ? NULL : "an entry that is not one"),
                      refused);
    end();
    rows_check_children(kib);
}

static void tell_folder(int row)
{
    long kib = plain_kib();

    begin();
    folders[row].make();
    ck_assert_int_eq(walk(), folders[row].how);
    ck_assert_uint_eq(unpack_and_check(ERR_NONE, folders[row].why), folders[row].refused);
    end();
    rows_check_children(kib);
}

int main(void)
{
    TCase *tc = tcase_create("trees");

    for (size_t i = 0; i < COUNT(streams); i++)
        rows_add(tc, streams[i].name, tell_stream, (int)i);
    for (size_t i = 0; i < COUNT(entries); i++)
        rows_add(tc, entries[i].name, tell_entry, (int)i);
    for (size_t i = 0; i < COUNT(folders); i++)
        rows_add(tc, folders[i].name, tell_folder, (int)i);
    return suite_run("trees", tc);
}
