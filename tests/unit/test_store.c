/* test_store: promises of the image store: whole or not at all, whoever writes, whatever fails. */
#include "base/digest.h"
#include "base/own.h"
#include "base/str.h"
#include "images/store.h"
#include "tests/unit/suite.h"
#include "tests/unit/temp.h"
#include "tests/unit/whole.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 40 /* of what is tried at changing moments */

static void open_store(struct store *s, enum store_use use)
{
    struct err e;

    if (store_open(dir, use, s, &e) < 0)
        ck_abort_msg("%s", e.text);
}

static struct store_object add(const struct store *s, const char *text)
{
    struct store_object o;
    struct err e;

    if (store_put(s, text, strlen(text), &o, &e) < 0)
        ck_abort_msg("%s", e.text);
    return o;
}

START_TEST(a_blob_is_named_by_its_digest_and_never_half)
{
    own_store struct store s = STORE_INIT;
    own_free char *path = NULL;
    own_free char *text = NULL;
    struct store_object o, again;
    struct stat st;
    struct err e;
    size_t len;

    begin();
    open_store(&s, STORE_ADD);
    {
        own_store_blob struct store_blob b = STORE_BLOB_INIT;
        own_strv struct strv names = {0};

        ck_assert_int_eq(store_blob_begin(&s, &b, &e), 0);
        ck_assert_int_eq(write(b.fd, "half", 4), 4);
        ck_assert_int_eq(store_blob_list(&s, &names, &e), 0);
        ck_assert_uint_eq(names.n, 0);
        /* A tool works on the path, in place. */
        ck_assert_int_eq(truncate(b.path, 0), 0);
        ck_assert_int_eq(pwrite(b.fd, "abc", 3, 0), 3);
        ck_assert_int_eq(store_blob_commit(&b, &o, &e), 0);
        ck_assert_int_eq(b.fd, -1);
    }
    ck_assert_str_eq(o.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    ck_assert_uint_eq(o.size_bytes, 3);
    path = store_blob_path(&s, o.sha256);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0444);
    ck_assert_int_eq(store_read(&s, o.sha256, 100, &text, &len, &e), 0);
    ck_assert_str_eq(text, "abc");
    again = add(&s, "abc");
    ck_assert_str_eq(again.sha256, o.sha256);
    ck_assert_uint_eq(check_whole(dir), 1);
    end();
}
END_TEST

START_TEST(what_is_not_committed_is_removed)
{
    own_store struct store s = STORE_INIT;
    own_free char *tmp = NULL;
    struct err e;

    begin();
    open_store(&s, STORE_ADD);
    tmp = in_dir("tmp");
    {
        own_store_blob struct store_blob b = STORE_BLOB_INIT;

        ck_assert_int_eq(store_blob_begin(&s, &b, &e), 0);
        ck_assert_uint_eq(count_entries(tmp), 1);
    }
    ck_assert_uint_eq(count_entries(tmp), 0);
    end();
}
END_TEST

START_TEST(a_file_that_a_tool_put_in_the_place_of_ours_is_refused)
{
    own_store struct store s = STORE_INIT;
    own_store_blob struct store_blob b = STORE_BLOB_INIT;
    own_free char *other = NULL;
    struct store_object o;
    struct err e;

    begin();
    open_store(&s, STORE_ADD);
    ck_assert_int_eq(store_blob_begin(&s, &b, &e), 0);
    put("other", "not what was hashed");
    other = in_dir("other");
    ck_assert_int_eq(rename(other, b.path), 0);
    ck_assert_int_eq(store_blob_commit(&b, &o, &e), -1);
    ck_assert_int_eq(e.class, ERR_HOST);
    ck_assert_ptr_nonnull(strstr(e.text, "was replaced"));
    ck_assert_uint_eq(check_whole(dir), 0);
    end();
}
END_TEST

START_TEST(a_damaged_blob_is_found_and_repaired_by_adding_it_again)
{
    own_store struct store s = STORE_INIT;
    own_free char *path = NULL;
    char *text = NULL;
    struct store_object o;
    own_close int fd = -1;
    struct err e;
    size_t len;

    begin();
    open_store(&s, STORE_ADD);
    o = add(&s, "content");
    path = store_blob_path(&s, o.sha256);
    ck_assert_int_eq(chmod(path, 0644), 0);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    ck_assert_int_eq(pwrite(fd, "X", 1, 3), 1);
    ck_assert_int_eq(store_read(&s, o.sha256, 100, &text, &len, &e), -1);
    ck_assert_int_eq(e.class, ERR_IMAGE);
    ck_assert_ptr_nonnull(strstr(e.text, o.sha256));
    ck_assert_ptr_nonnull(strstr(e.text, "damaged"));
    add(&s, "content");
    ck_assert_int_eq(store_read(&s, o.sha256, 100, &text, &len, &e), 0);
    ck_assert_str_eq(text, "content");
    free(text);
    /* A reader who has the damaged one open keeps it; it is another file now. */
    ck_assert_int_eq(pwrite(fd, "Y", 1, 3), 1);
    ck_assert_uint_eq(check_whole(dir), 1);
    end();
}
END_TEST

START_TEST(a_blob_that_is_missing_or_no_file_is_named)
{
    static const char hex[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    own_store struct store s = STORE_INIT;
    own_free char *path = NULL;
    uint64_t size_bytes;
    struct err e;
    int fd = -1;

    begin();
    open_store(&s, STORE_ADD);
    path = store_blob_path(&s, hex);
    ck_assert_int_eq(store_get(&s, hex, &fd, &size_bytes, &e), -1);
    ck_assert_int_eq(e.class, ERR_IMAGE);
    ck_assert_str_eq(e.text, "blob sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f"
                             "20015ad is missing");
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(store_get(&s, hex, &fd, &size_bytes, &e), -1);
    ck_assert_ptr_nonnull(strstr(e.text, "is not a regular file"));
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(symlink("/etc/passwd", path), 0);
    ck_assert_int_eq(store_get(&s, hex, &fd, &size_bytes, &e), -1);
    ck_assert_int_eq(e.class, ERR_IMAGE);
    ck_assert_int_eq(fd, -1);
    end();
}
END_TEST

START_TEST(names_are_set_replaced_listed_and_removed)
{
    own_store struct store s = STORE_INIT;
    own_strv struct strv names = {0};
    struct store_object a, b;
    char hex[DIGEST_HEX_SIZE];
    struct err e;

    begin();
    open_store(&s, STORE_ADD);
    a = add(&s, "a");
    b = add(&s, "b");
    ck_assert_int_eq(store_name_set(&s, STORE_TAGS, "zeta", a.sha256, &e), 0);
    ck_assert_int_eq(store_name_set(&s, STORE_TAGS, "alpha", a.sha256, &e), 0);
    ck_assert_int_eq(store_name_set(&s, STORE_TAGS, "zeta", b.sha256, &e), 0);
    ck_assert_int_eq(store_name_get(&s, STORE_TAGS, "zeta", hex, &e), 0);
    ck_assert_str_eq(hex, b.sha256);
    ck_assert(!store_has_name(&s, STORE_KERNELS, "zeta"));
    ck_assert_int_eq(store_name_list(&s, STORE_TAGS, &names, &e), 0);
    ck_assert_uint_eq(names.n, 2);
    ck_assert_str_eq(names.items[0], "alpha");
    ck_assert_str_eq(names.items[1], "zeta");
    store_close(&s);
    open_store(&s, STORE_REMOVE);
    ck_assert_int_eq(store_name_remove(&s, STORE_TAGS, "zeta", &e), 0);
    ck_assert_int_eq(store_name_remove(&s, STORE_TAGS, "zeta", &e), 0);
    ck_assert_int_eq(store_name_get(&s, STORE_TAGS, "zeta", hex, &e), -1);
    ck_assert_int_eq(e.class, ERR_IMAGE);
    ck_assert_ptr_nonnull(strstr(e.text, "'zeta' (make it with 'lazaret image build'"));
    ck_assert_uint_eq(check_whole(dir), 2);
    end();
}
END_TEST

START_TEST(names_cannot_leave_the_store_nor_hide_a_digest)
{
    static const char *const names[] = {"",   ".",  "..",           "../x", "a/b", "/etc",
                                        "-x", ".x", "ba7816bf8f01", "a b",  "a\n"};
    own_store struct store s = STORE_INIT;
    struct store_object o;
    char hex[DIGEST_HEX_SIZE];
    struct err e;

    begin();
    open_store(&s, STORE_ADD);
    o = add(&s, "a");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        ck_assert_int_eq(store_name_set(&s, STORE_TAGS, names[i], o.sha256, &e), -1);
        ck_assert_int_eq(e.class, ERR_USAGE);
        ck_assert_int_eq(store_name_get(&s, STORE_TAGS, names[i], hex, &e), -1);
    }
    ck_assert_int_eq(store_name_set(&s, STORE_TAGS, "ba7816bf8f0", o.sha256, &e), 0);
    memset(o.sha256, '0', sizeof(o.sha256) - 1);
    ck_assert_int_eq(store_name_set(&s, STORE_TAGS, "x", o.sha256, &e), -1);
    ck_assert_int_eq(e.class, ERR_IMAGE);
    end();
}
END_TEST

START_TEST(a_damaged_name_is_an_error)
{
    static const char hex[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    static const char *const forms[] = {"",
                                        "%s",
                                        "%s\n",
                                        "sha256:%s",
                                        "sha256:%s\n\n",
                                        "sha256:%.63s\n",
                                        "sha512:%s\n",
                                        "sha256:%.63sG\n",
                                        " sha256:%s\n"};
    own_store struct store s = STORE_INIT;
    char found[DIGEST_HEX_SIZE];
    struct err e;

    begin();
    open_store(&s, STORE_ADD);
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        own_str struct str text = {0};
        const char *mark = strchr(forms[i], '%');
        int digits = mark && mark[1] == '.' ? 63 : 64;

        if (mark)
            str_addf(&text, "%.*s%.*s%s", (int)(mark - forms[i]), forms[i], digits, hex,
                     strchr(mark, 's') + 1);
        put("tags/x", text.data ? text.data : "");
        ck_assert_int_eq(store_name_get(&s, STORE_TAGS, "x", found, &e), -1);
        ck_assert_int_eq(e.class, ERR_IMAGE);
        ck_assert_msg(strstr(e.text, "'x'") != NULL, "%s", e.text);
    }
    end();
}
END_TEST

START_TEST(a_store_that_is_not_there_is_read_as_such_and_not_made)
{
    own_store struct store s = STORE_INIT;
    own_free char *nowhere = NULL;
    struct err e;

    begin();
    nowhere = in_dir("nowhere");
    ck_assert_int_eq(store_open(nowhere, STORE_READ, &s, &e), -1);
    ck_assert_int_eq(e.class, ERR_IMAGE);
    ck_assert(!exists("nowhere"));
    end();
}
END_TEST

/* Runs `work` in a process of its own; returns its pid. */
static pid_t in_child(void (*work)(int arg), int arg)
{
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        work(arg);
        _exit(0);
    }
    return pid;
}

static void wait_good(pid_t pid)
{
    int status;

    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}

/* Adds to the same names as the others, with parts that are shared and parts that are not. */
static void add_often(int arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        own_store struct store s = STORE_INIT;
        own_free char *own = str_printf("content %d of %d", i, arg);
        struct store_object o;
        struct err e;

        if (store_open(dir, STORE_ADD, &s, &e) < 0 || store_put(&s, "shared", 6, &o, &e) < 0 ||
            store_put(&s, own, strlen(own), &o, &e) < 0 ||
            store_name_set(&s, STORE_TAGS, "same", o.sha256, &e) < 0) {
            fprintf(stderr, "%s\n", e.text);
            _exit(1);
        }
    }
}

START_TEST(four_who_add_the_same_name_at_once_leave_one_whole)
{
    own_free char *tmp = NULL;
    pid_t pids[4];

    begin();
    tmp = in_dir("tmp");
    for (int i = 0; i < 4; i++)
        pids[i] = in_child(add_often, i);
    for (int i = 0; i < 4; i++)
        wait_good(pids[i]);
    ck_assert_uint_eq(check_whole(dir), 4 * ROUNDS + 1);
    ck_assert_uint_eq(count_entries(tmp), 0);
    end();
}
END_TEST

/* Says after each step that it is done, on the fd `arg`. */
static void add_and_tell(int arg)
{
    for (unsigned i = 0;; i++) {
        own_store struct store s = STORE_INIT;
        own_store_blob struct store_blob b = STORE_BLOB_INIT;
        char block[4096];
        struct store_object o;
        struct err e;

        memset(block, (int)i, sizeof(block));
        if (store_open(dir, STORE_ADD, &s, &e) < 0 || store_blob_begin(&s, &b, &e) < 0)
            _exit(1);
        for (unsigned k = 0; k < 8; k++)
            if (write(b.fd, block, sizeof(block)) != sizeof(block) || write(arg, "", 1) != 1)
                _exit(1);
        if (store_blob_commit(&b, &o, &e) < 0 || write(arg, "", 1) != 1 ||
            store_name_set(&s, STORE_TAGS, "same", o.sha256, &e) < 0 || write(arg, "", 1) != 1)
            _exit(1);
    }
}

START_TEST(whoever_is_killed_while_adding_leaves_the_store_whole)
{
    own_free char *tmp = NULL;
    size_t left = 0;

    begin();
    tmp = in_dir("tmp");
    for (int round = 1; round <= ROUNDS; round++) {
        own_store struct store s = STORE_INIT;
        int ends[2], status;
        pid_t pid;

        ck_assert_int_eq(pipe(ends), 0);
        pid = in_child(add_and_tell, ends[1]);
        close(ends[1]);
        for (int step = 0; step < round; step++) {
            char byte;

            ck_assert_int_eq(read(ends[0], &byte, 1), 1);
        }
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        close(ends[0]);
        check_whole(dir);
        left += count_entries(tmp);
        open_store(&s, STORE_ADD);
        ck_assert_uint_eq(count_entries(tmp), 0);
    }
    ck_assert_uint_gt(left, 0); /* else nobody was killed in the middle */
    end();
}
END_TEST

/* Once the lock is there: the one who removes is done, and told so through the pipe `arg`. */
static void add_after(int arg)
{
    own_store struct store s = STORE_INIT;
    struct err e;
    char byte;

    /* Not the lock: who inherits it holds it. */
    close_range(STDERR_FILENO + 1, (unsigned)arg - 1, 0);
    close_range((unsigned)arg + 1, ~0u, 0);
    if (store_open(dir, STORE_ADD, &s, &e) < 0 || read(arg, &byte, 1) != 1)
        _exit(1);
}

START_TEST(who_removes_waits_for_who_adds_and_the_other_way_round)
{
    own_store struct store adds = STORE_INIT, removes = STORE_INIT;
    own_store_blob struct store_blob b = STORE_BLOB_INIT;
    own_store struct store another = STORE_INIT;
    struct store_object o;
    struct err e;
    int ends[2];
    pid_t pid;

    begin();
    open_store(&adds, STORE_ADD);
    open_store(&another, STORE_ADD);
    ck_assert_int_eq(store_blob_begin(&adds, &b, &e), 0);
    ck_assert_int_eq(store_open(dir, STORE_REMOVE, &removes, &e), -1);
    ck_assert_int_eq(e.class, ERR_HOST);
    ck_assert_ptr_nonnull(strstr(e.text, "wait for it to end"));
    ck_assert_int_eq(write(b.fd, "x", 1), 1);
    ck_assert_int_eq(store_blob_commit(&b, &o, &e), 0); /* nobody swept it */
    store_close(&adds);
    store_close(&another);
    open_store(&removes, STORE_REMOVE);
    ck_assert_int_eq(pipe2(ends, O_NONBLOCK), 0); /* reading too early fails */
    pid = in_child(add_after, ends[0]);
    for (int i = 0; i < 1000; i++)
        sched_yield();
    ck_assert_int_eq(write(ends[1], "", 1), 1);
    store_close(&removes);
    wait_good(pid);
    end();
}
END_TEST

/* A file system of `size` KiB with `inodes` files at `dir`, seen by this process only. */
static bool mount_small(unsigned size, unsigned inodes)
{
    own_free char *options = str_printf("size=%uk,nr_inodes=%u,mode=700", size, inodes);

    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("lz", dir, "tmpfs", 0, options) == 0;
}

/* Two parts and a name; true if all of it went in. */
static bool add_image(struct err *e)
{
    own_store struct store s = STORE_INIT;
    own_free char *part = malloc(40000);
    struct store_object o;

    memset(part, 'a', 40000);
    if (store_open(dir, STORE_ADD, &s, e) < 0 || store_put(&s, part, 40000, &o, e) < 0)
        return false;
    part[0] = 'b';
    return store_put(&s, part, 40000, &o, e) == 0 &&
           store_name_set(&s, STORE_TAGS, "x", o.sha256, e) == 0;
}

START_TEST(a_full_disk_leaves_the_store_whole_and_says_so)
{
    unsigned full = 0, done = 0;

    if (geteuid() != 0)
        return; /* a small file system takes a mount */
    for (unsigned i = 0; i < ROUNDS; i++) {
        /* First the room grows, then the number of files. */
        unsigned size = i < 25 ? (i + 1) * 4 : 4096, inodes = i < 25 ? 100 : i - 24;
        struct err e = {0};

        begin();
        ck_assert_msg(mount_small(size, inodes), "%s", strerror(errno));
        if (add_image(&e)) {
            done++;
            ck_assert_uint_eq(check_whole(dir), 2);
        } else {
            full++;
            ck_assert_int_eq(e.class, ERR_HOST);
            ck_assert_msg(strstr(e.text, "No space left on device") != NULL, "%s", e.text);
            check_whole(dir);
        }
        ck_assert_int_eq(umount2(dir, MNT_DETACH), 0);
        end();
    }
    ck_assert_uint_ge(full, 15);
    ck_assert_uint_ge(done, 5);
}
END_TEST

SUITE("store", a_blob_is_named_by_its_digest_and_never_half, what_is_not_committed_is_removed,
      a_file_that_a_tool_put_in_the_place_of_ours_is_refused,
      a_damaged_blob_is_found_and_repaired_by_adding_it_again,
      a_blob_that_is_missing_or_no_file_is_named, names_are_set_replaced_listed_and_removed,
      names_cannot_leave_the_store_nor_hide_a_digest, a_damaged_name_is_an_error,
      a_store_that_is_not_there_is_read_as_such_and_not_made,
      four_who_add_the_same_name_at_once_leave_one_whole,
      whoever_is_killed_while_adding_leaves_the_store_whole,
      who_removes_waits_for_who_adds_and_the_other_way_round,
      a_full_disk_leaves_the_store_whole_and_says_so)
