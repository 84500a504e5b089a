/* test_warm: promises of saved guests: whole or not there, for their key only, refused when
 * changed. */
#include "base/clock.h"
#include "base/doc.h"
#include "snapshots/memory.h"
#include "snapshots/warm.h"
#include "tests/unit/suite.h"
#include "tests/unit/temp.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RAM_BYTES (64u * MEMORY_PAGE)
#define STATE     "the devices' state"

static const struct warm_key some_key = {
    .image = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    .domain = "<domain>\n  \"quoted\"\n</domain>",
    .emulator = "/usr/bin/qemu 1",
    .libvirt = "9.0.0",
    .host = "6.12 CPU 1",
    .program = "0.1.0 2",
};

/* A guest's memory: page 3 and the last one are used. Returns its fd. */
static int make_ram(void)
{
    own_free char *path = in_dir("guest.ram");
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, RAM_BYTES), 0);
    ck_assert_int_eq(pwrite(fd, "three", 5, 3 * MEMORY_PAGE + 7), 5);
    ck_assert_int_eq(pwrite(fd, "last", 4, RAM_BYTES - 4), 4);
    return fd;
}

static void save(const struct warm_key *k)
{
    own_warm_save struct warm_save s = WARM_SAVE_INIT;
    own_free char *store = in_dir("warm");
    own_close int ram = make_ram();
    struct err e;

    ck_assert_msg(warm_begin(store, k, &s, &e) == 1, "%s", e.text);
    ck_assert_int_eq(write(s.state_fd, STATE, strlen(STATE)), strlen(STATE));
    ck_assert_msg(warm_commit(&s, k, ram, &e) == 0, "%s", e.text);
}

/* As a run does, which reads the memory beside QEMU's start. */
static int find_and_check(const struct warm_key *k, struct warm *ret, struct err *e)
{
    own_free char *store = in_dir("warm");
    struct memory_sum read;
    int r = warm_find(store, k, ret, e);

    if (r <= 0)
        return r;
    return memory_digest(ret->ram_fd, &read, e) < 0 || warm_check(ret, &read, e) < 0 ? -1 : 1;
}

static int try_open(const struct warm_key *k, struct err *e)
{
    own_warm struct warm w = WARM_INIT;

    e->text[0] = '\0';
    return find_and_check(k, &w, e);
}

/* Returns new: the path of a part of the saved guest. */
static char *part(const struct warm_key *k, const char *name)
{
    char hex[DIGEST_HEX_SIZE];
    struct err e;

    ck_assert_int_eq(warm_key_hex(k, hex, &e), 0);
    return str_printf("%s/warm/%s%s%s", dir, hex, name ? "/" : "", name ? name : "");
}

static size_t entries(const char *name)
{
    own_free char *path = in_dir(name);
    own_closedir DIR *d = opendir(path);
    size_t n = 0;

    if (!d && errno == ENOENT)
        return 0;
    ck_assert_ptr_nonnull(d);
    while (readdir(d))
        n++;
    return n - 2;
}

START_TEST(a_saved_guest_is_found_and_is_what_was_saved)
{
    own_warm struct warm w = WARM_INIT;
    own_close int ram = make_ram();
    static uint8_t was[RAM_BYTES], is[RAM_BYTES];
    char state[64];
    struct stat st;
    struct err e;

    ck_assert_int_eq(try_open(&some_key, &e), 0);
    save(&some_key);
    ck_assert_msg(find_and_check(&some_key, &w, &e) == 1, "%s", e.text);
    ck_assert_uint_eq(w.ram.size_bytes, RAM_BYTES);
    ck_assert_int_eq(pread(ram, was, sizeof(was), 0), sizeof(was));
    ck_assert_int_eq(pread(w.ram_fd, is, sizeof(is), 0), sizeof(is));
    ck_assert_mem_eq(was, is, sizeof(was));
    ck_assert_int_eq(pread(w.state_fd, state, sizeof(state), 0), strlen(STATE));
    ck_assert_mem_eq(state, STATE, strlen(STATE));
    ck_assert_int_eq(fstat(w.ram_fd, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0444);
    ck_assert_int_le(st.st_blocks * 512, 4 * (off_t)MEMORY_PAGE); /* zeros take no room */
    ck_assert_int_lt(pwrite(w.ram_fd, "x", 1, 0), 0);
    ck_assert_uint_eq(entries("warm/tmp"), 0);
}
END_TEST

START_TEST(another_value_of_any_field_is_another_guest)
{
    struct err e;

    save(&some_key);
    for (size_t i = 0; i < sizeof(some_key) / sizeof(char *); i++) {
        struct warm_key k = some_key;

        ((const char **)&k)[i] = "other";
        ck_assert_msg(try_open(&k, &e) == 0, "field %zu: %s", i, e.text);
    }
    ck_assert_int_eq(try_open(&some_key, &e), 1);
}
END_TEST

START_TEST(one_that_was_saved_for_something_else_is_refused_under_any_name)
{
    static const char *const said[] = {"another image",   "another shape", "another QEMU",
                                       "another libvirt", "another CPU",   "another lazaret"};
    struct err e;

    for (size_t i = 0; i < sizeof(some_key) / sizeof(char *); i++) {
        struct warm_key k = some_key;
        own_free char *from = part(&some_key, NULL), *to = NULL;

        ((const char **)&k)[i] = "other";
        to = part(&k, NULL);
        save(&some_key);
        ck_assert_int_eq(rename(from, to), 0);
        ck_assert_msg(try_open(&k, &e) == -1, "field %zu", i);
        ck_assert_msg(strstr(e.text, said[i]), "field %zu: %s", i, e.text);
    }
}
END_TEST

static void flip(const char *path, off_t at)
{
    own_close int fd = -1;
    uint8_t byte;

    ck_assert_int_eq(chmod(path, 0600), 0);
    fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
    byte ^= 0x80;
    ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
}

START_TEST(a_flipped_byte_is_refused_wherever_it_is)
{
    static const struct {
        const char *name;
        off_t step;
    } rows[] = {{"ram", MEMORY_PAGE / 2 - 1}, {"state", 1}, {"meta.json", 1}};
    struct err e;

    save(&some_key);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own_free char *path = part(&some_key, rows[i].name);
        struct stat st;

        ck_assert_int_eq(stat(path, &st), 0);
        for (off_t at = 0; at < st.st_size; at += rows[i].step) {
            flip(path, at);
            ck_assert_msg(try_open(&some_key, &e) == -1, "%s at %jd", path, (intmax_t)at);
            ck_assert_int_eq(e.class, ERR_HOST);
            flip(path, at);
        }
    }
    ck_assert_msg(try_open(&some_key, &e) == 1, "%s", e.text);
}
END_TEST

START_TEST(a_cut_grown_missing_or_swapped_part_is_refused)
{
    static const char *const names[] = {"ram", "state", "meta.json"};
    struct err e;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        for (int how = 0; how < 4; how++) {
            own_free char *path = part(&some_key, names[i]), *other = in_dir("other");
            struct stat st;

            save(&some_key); /* over the damaged one */
            ck_assert_msg(try_open(&some_key, &e) == 1, "%s", e.text);
            ck_assert_int_eq(stat(path, &st), 0);
            ck_assert_int_eq(chmod(path, 0600), 0);
            if (how == 0)
                ck_assert_int_eq(truncate(path, st.st_size - 2), 0); /* not only a line end */
            else if (how == 1)
                ck_assert_int_eq(truncate(path, st.st_size + MEMORY_PAGE), 0);
            else if (how == 2)
                ck_assert_int_eq(unlink(path), 0);
            else
                ck_assert_int_eq(rename(path, other) | symlink(other, path), 0);
            ck_assert_msg(try_open(&some_key, &e) == -1, "%s, %d", names[i], how);
            ck_assert_msg(strstr(e.text, names[i]), "%s, %d: %s", names[i], how, e.text);
            unlink(other);
        }
    }
}
END_TEST

/* Ends in a process that dies with what it holds. */
static void in_a_child_that_dies(void (*body)(void))
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        body();
        kill(getpid(), SIGKILL);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
}

static void begin_and_leave(void)
{
    own_warm_save struct warm_save s = WARM_SAVE_INIT;
    own_free char *store = in_dir("warm");
    struct err e;

    if (warm_begin(store, &some_key, &s, &e) != 1 || write(s.state_fd, "half", 4) != 4)
        _exit(1);
    kill(getpid(), SIGKILL);
}

START_TEST(one_maker_at_a_time_and_a_dead_one_is_in_nobodys_way)
{
    own_warm_save struct warm_save first = WARM_SAVE_INIT, second = WARM_SAVE_INIT;
    own_free char *store = in_dir("warm");
    struct stat st;
    struct err e;

    in_a_child_that_dies(begin_and_leave);
    ck_assert_uint_eq(entries("warm/tmp"), 1);
    ck_assert_int_eq(warm_begin(store, &some_key, &first, &e), 1);
    ck_assert_int_eq(fstat(first.state_fd, &st), 0);
    ck_assert_int_eq(st.st_size, 0);
    ck_assert_int_eq(warm_begin(store, &some_key, &second, &e), 0);
    ck_assert_int_eq(try_open(&some_key, &e), 0);
    warm_save_done(&first);
    ck_assert_uint_eq(entries("warm/tmp"), 0);
    ck_assert_int_eq(warm_begin(store, &some_key, &second, &e), 1);
}
END_TEST

static void save_for_ever(void)
{
    for (;;)
        save(&some_key);
}

START_TEST(killed_at_any_moment_it_is_whole_or_not_there)
{
    own_free char *store = in_dir("warm");
    unsigned whole = 0;
    uint64_t removed, bytes;
    struct err e;

    /* Later and later, until one save was whole: how long that takes is the machine's affair. */
    for (long i = 0; i < 40 || (whole == 0 && i < 1000); i++) {
        const struct timespec nap = {.tv_nsec = 200000 + 731000 * i};
        pid_t pid = fork();
        int r;

        if (pid == 0)
            save_for_ever();
        nanosleep(&nap, NULL); /* not for an order of things: any moment will do */
        kill(pid, SIGKILL);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
        r = try_open(&some_key, &e);
        ck_assert_msg(r >= 0, "%s", e.text);
        whole += r == 1;
        ck_assert_msg(warm_prune(store, 1u << 30, &removed, &bytes, &e) == 0, "%s", e.text);
        ck_assert_uint_eq(removed, 0);
        ck_assert_uint_eq(entries("warm/tmp"), 0);
    }
    ck_assert_uint_gt(whole, 0);
    save(&some_key);
    ck_assert_int_eq(try_open(&some_key, &e), 1);
}
END_TEST

START_TEST(a_save_without_a_state_or_with_half_a_page_is_none)
{
    own_free char *store = in_dir("warm");
    own_close int ram = make_ram();
    struct err e;

    for (int i = 0; i < 2; i++) {
        own_warm_save struct warm_save s = WARM_SAVE_INIT;

        ck_assert_int_eq(warm_begin(store, &some_key, &s, &e), 1);
        if (i == 1) {
            ck_assert_int_eq(write(s.state_fd, STATE, strlen(STATE)), strlen(STATE));
            ck_assert_int_eq(ftruncate(ram, RAM_BYTES - 1), 0);
        }
        ck_assert_int_eq(warm_commit(&s, &some_key, ram, &e), -1);
        warm_save_done(&s);
        ck_assert_int_eq(try_open(&some_key, &e), 0);
        ck_assert_uint_eq(entries("warm/tmp"), 0);
    }
}
END_TEST

static void set_used(const struct warm_key *k, time_t when)
{
    own_free char *path = part(k, NULL);
    const struct timespec times[2] = {{.tv_sec = when}, {.tv_sec = when}};

    ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

START_TEST(prune_keeps_what_was_used_last_and_list_says_so)
{
    own_free char *store = in_dir("warm");
    static const char *const shapes[] = {"a", "b", "c"};
    struct warm_key k[3];
    own_doc struct doc *list = NULL;
    uint64_t bytes, removed, freed;
    const char *image;
    struct err e;

    for (size_t i = 0; i < 3; i++) {
        k[i] = some_key;
        k[i].domain = shapes[i];
        save(&k[i]);
    }
    set_used(&k[0], 3000);
    set_used(&k[1], 1000);
    set_used(&k[2], 2000);
    ck_assert_int_eq(warm_list(store, &list, &e), 0);
    ck_assert_uint_eq(doc_len(list), 3);
    ck_assert_int_eq(doc_get_u64(doc_at(list, 0), "used", &bytes, &e), 0);
    ck_assert_uint_eq(bytes, 1000);
    ck_assert_int_eq(doc_get_str(doc_at(list, 0), "image", &image, &e), 0);
    ck_assert_str_eq(image, some_key.image);
    ck_assert_int_eq(doc_get_u64(doc_at(list, 0), "bytes", &bytes, &e), 0);
    ck_assert_int_eq(warm_prune(store, 2 * bytes, &removed, &freed, &e), 0);
    ck_assert_uint_eq(removed, 1);
    ck_assert_uint_eq(freed, bytes);
    ck_assert_int_eq(try_open(&k[1], &e), 0);
    ck_assert_int_eq(try_open(&k[2], &e), 1); /* used now */
    ck_assert_int_eq(warm_prune(store, bytes, &removed, &freed, &e), 0);
    ck_assert_int_eq(try_open(&k[0], &e), 0);
    ck_assert_int_eq(try_open(&k[2], &e), 1);
    ck_assert_int_eq(warm_prune(store, 0, &removed, &freed, &e), 0);
    ck_assert_int_eq(try_open(&k[2], &e), 0);
}
END_TEST

START_TEST(remove_takes_a_key_or_its_beginning_and_damaged_ones_too)
{
    own_free char *store = in_dir("warm"), *meta = part(&some_key, "meta.json");
    own_doc struct doc *list = NULL;
    char hex[DIGEST_HEX_SIZE];
    bool damaged;
    struct err e;

    ck_assert_int_eq(warm_key_hex(&some_key, hex, &e), 0);
    save(&some_key);
    ck_assert_int_eq(warm_remove(store, "", &e), -1);
    ck_assert_int_eq(e.class, ERR_USAGE);
    ck_assert_int_eq(warm_remove(store, "../../../../etc", &e), -1);
    ck_assert_int_eq(warm_remove(store, "000000000000", &e), -1);
    ck_assert_ptr_nonnull(strstr(e.text, "there is no saved guest"));
    ck_assert_int_eq(unlink(meta), 0);
    ck_assert_int_eq(warm_list(store, &list, &e), 0);
    ck_assert_int_eq(doc_get_bool(doc_at(list, 0), "damaged", &damaged, &e), 0);
    hex[DIGEST_PREFIX_MIN] = '\0';
    ck_assert_msg(warm_remove(store, hex, &e) == 0, "%s", e.text);
    ck_assert_int_eq(try_open(&some_key, &e), 0);
    ck_assert_uint_eq(entries("warm"), 1); /* tmp */
    ck_assert_uint_eq(entries("warm/tmp"), 0);
}
END_TEST

START_TEST(zeros_make_no_difference_to_the_digest_and_anything_else_does)
{
    own_close int sparse = make_ram(), dense = -1;
    own_free char *path = in_dir("dense");
    struct memory_sum a, b;
    static uint8_t bytes[RAM_BYTES];
    struct err e;

    dense = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(pread(sparse, bytes, sizeof(bytes), 0), sizeof(bytes));
    ck_assert_int_eq(write(dense, bytes, sizeof(bytes)), sizeof(bytes));
    ck_assert_int_eq(memory_digest(sparse, &a, &e), 0);
    ck_assert_int_eq(memory_digest(dense, &b, &e), 0);
    ck_assert_str_eq(a.sha256, b.sha256);
    ck_assert_uint_eq(a.used_bytes, 2 * MEMORY_PAGE);
    ck_assert_uint_eq(b.used_bytes, 2 * MEMORY_PAGE);
    /* The same page elsewhere, and more zeros behind. */
    ck_assert_int_eq(pwrite(dense, bytes + 3 * MEMORY_PAGE, MEMORY_PAGE, 4 * MEMORY_PAGE),
                     MEMORY_PAGE);
    ck_assert_int_eq(pwrite(dense, bytes, MEMORY_PAGE, 3 * MEMORY_PAGE), MEMORY_PAGE);
    ck_assert_int_eq(memory_digest(dense, &b, &e), 0);
    ck_assert_str_ne(a.sha256, b.sha256);
    ck_assert_int_eq(ftruncate(sparse, RAM_BYTES + MEMORY_PAGE), 0);
    ck_assert_int_eq(memory_digest(sparse, &b, &e), 0);
    ck_assert_str_ne(a.sha256, b.sha256);
}
END_TEST

START_TEST(an_updated_program_and_this_host_have_an_identity)
{
    own_free char *a = NULL, *b = NULL, *c = NULL, *host = NULL, *again = NULL;
    own_free char *path = in_dir("program");
    own_free char *newer = str_printf("%s.new", path);
    struct err e;

    put("program", "one");
    ck_assert_int_eq(warm_file_identity(path, &a, &e), 0);
    ck_assert_int_eq(warm_file_identity(path, &b, &e), 0);
    ck_assert_str_eq(a, b);
    put("program.new", "two");
    ck_assert_int_eq(rename(newer, path), 0);
    ck_assert_int_eq(warm_file_identity(path, &c, &e), 0);
    ck_assert_str_ne(a, c);
    ck_assert_int_eq(warm_host_identity(&host, &e), 0);
    ck_assert_int_eq(warm_host_identity(&again, &e), 0);
    ck_assert_str_eq(host, again);
    free(a);
    a = NULL;
    ck_assert_int_eq(warm_file_identity("/nonexistent", &a, &e), -1);
}
END_TEST

SUITE_WITH(begin, end, "warm", a_saved_guest_is_found_and_is_what_was_saved,
           another_value_of_any_field_is_another_guest,
           one_that_was_saved_for_something_else_is_refused_under_any_name,
           a_flipped_byte_is_refused_wherever_it_is, a_cut_grown_missing_or_swapped_part_is_refused,
           one_maker_at_a_time_and_a_dead_one_is_in_nobodys_way,
           killed_at_any_moment_it_is_whole_or_not_there,
           a_save_without_a_state_or_with_half_a_page_is_none,
           prune_keeps_what_was_used_last_and_list_says_so,
           remove_takes_a_key_or_its_beginning_and_damaged_ones_too,
           zeros_make_no_difference_to_the_digest_and_anything_else_does,
           an_updated_program_and_this_host_have_an_identity)
