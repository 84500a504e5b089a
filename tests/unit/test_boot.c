/* test_boot: promises of the agent's bring-up that need no guest: what it takes from the host. */
#include "agent/cmdline.h"
#include "agent/prefetch.h"
#include "agent/sealed.h"
#include "agent/verity.h"
#include "agent/wipe.h"
#include "tests/unit/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(an_argument_is_a_whole_word_named_once)
{
    static const struct {
        const char *line;
        int rc;
        const char *value;
    } rows[] = {
        {"quiet lazaret.owner=1:2 panic=-1\n", 0, "1:2"},
        {"lazaret.owner=1:2", 0, "1:2"},
        {"\t lazaret.owner=1:2\t", 0, "1:2"},
        {"lazaret.owner=", 0, ""},
        {"lazaret.owner=1234567", 0, "1234567"},
        {"lazaret.owner=12345678", -EINVAL, NULL},
        {"lazaret.owner=1 lazaret.owner=1", -EINVAL, NULL},
        {"lazaret.owner= lazaret.owner=1", -EINVAL, NULL},
        {"", -ENODATA, NULL},
        {"\n", -ENODATA, NULL},
        {"lazaret.owner", -ENODATA, NULL},
        {"lazaret.owners=1", -ENODATA, NULL},
        {"xlazaret.owner=1", -ENODATA, NULL},
        {"x=lazaret.owner=1", -ENODATA, NULL},
        {"\"lazaret.owner=1\"", -ENODATA, NULL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char value[8] = "before";

        ck_assert_msg(cmdline_value(rows[i].line, "lazaret.owner=", value, sizeof(value)) ==
                          rows[i].rc,
                      "row %zu", i);
        ck_assert_str_eq(value, rows[i].value ? rows[i].value : "before");
    }
}
END_TEST

START_TEST(a_number_is_decimal_digits_up_to_its_limit)
{
    static const struct {
        const char *text;
        uint32_t max;
        int rc;
        uint32_t value;
        const char *rest;
    } rows[] = {
        {"0", 9, 0, 0, ""},
        {"0:1", 9, 0, 0, ":1"},
        {"65535 ", 65535, 0, 65535, " "},
        {"4294967295x", UINT32_MAX, 0, UINT32_MAX, "x"},
        {"65536", 65535, -EINVAL, 0, "65536"},
        {"4294967296", UINT32_MAX, -EINVAL, 0, "4294967296"},
        {"18446744073709551617", UINT32_MAX, -EINVAL, 0, "18446744073709551617"},
        {"", 9, -EINVAL, 0, ""},
        {"+1", 9, -EINVAL, 0, "+1"},
        {"-1", 9, -EINVAL, 0, "-1"},
        {" 1", 9, -EINVAL, 0, " 1"},
        {"01", 9, -EINVAL, 0, "01"},
        {"00", 9, -EINVAL, 0, "00"},
        {"x1", 9, -EINVAL, 0, "x1"},
        {"\xb2", 9, -EINVAL, 0, "\xb2"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *p = rows[i].text;
        uint32_t value = 0;

        ck_assert_msg(cmdline_take_number(&p, rows[i].max, &value) == rows[i].rc, "row %zu", i);
        ck_assert_uint_eq(value, rows[i].value);
        ck_assert_str_eq(p, rows[i].rest);
    }
}
END_TEST

#define SALT "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define ROOT "f0e1d2c3b4a5968778695a4b3c2d1e0f0f1e2d3c4b5a69788796a5b4c3d2e1f0"

START_TEST(verity_takes_exactly_what_the_host_writes)
{
    struct verity_table t;
    char line[VERITY_LINE_SIZE];

    ck_assert_int_eq(verity_parse("14863:14864:" SALT ":" ROOT, &t), 0);
    ck_assert_uint_eq(t.data_blocks, 14863);
    ck_assert_uint_eq(t.hash_start, 14864);
    ck_assert_str_eq(t.salt, SALT);
    ck_assert_str_eq(t.root_hash, ROOT);
    ck_assert_int_eq(verity_format_line(&t, 254, 16, line, sizeof(line)), 0);
    ck_assert_str_eq(line, "1 254:16 254:16 4096 4096 14863 14864 sha256 " ROOT " " SALT
                           " 1 panic_on_corruption");
}
END_TEST

START_TEST(the_longest_table_fits_and_a_short_buffer_is_refused)
{
    struct verity_table t;
    char line[VERITY_LINE_SIZE], value[VERITY_VALUE_SIZE];
    const char *longest = "4294967295:4294967295:" SALT ":" ROOT;

    ck_assert_uint_lt(strlen(longest), sizeof(value));
    ck_assert_int_eq(verity_parse(longest, &t), 0);
    ck_assert_int_eq(verity_format_line(&t, UINT32_MAX, UINT32_MAX, line, sizeof(line)), 0);
    ck_assert_ptr_nonnull(strstr(line, " 1 panic_on_corruption"));
    ck_assert_int_eq(verity_format_line(&t, 1, 1, line, 100), -ENOSPC);
}
END_TEST

START_TEST(verity_refuses_everything_else)
{
    static const char *const bad[] = {
        "",
        ":",
        "1",
        "1:1",
        "1:1:" SALT,
        "1:1:" SALT ":",
        "1:1::" ROOT,
        "1:1:-:" ROOT, /* the kernel's word for no salt */
        "0:0:" SALT ":" ROOT,
        "0:1:" SALT ":" ROOT,
        "2:1:" SALT ":" ROOT, /* a tree inside the data */
        "+1:1:" SALT ":" ROOT,
        "-1:1:" SALT ":" ROOT,
        "1:-1:" SALT ":" ROOT,
        " 1:1:" SALT ":" ROOT,
        "1 :1:" SALT ":" ROOT,
        "01:1:" SALT ":" ROOT,
        "0x1:1:" SALT ":" ROOT,
        "1.0:1:" SALT ":" ROOT,
        "4294967296:4294967296:" SALT ":" ROOT,
        "1:18446744073709551617:" SALT ":" ROOT,
        "1:1:" SALT "0:" ROOT,
        "1:1:" SALT ":" ROOT "0",
        "1:1:" SALT ":" ROOT ":",
        "1:1:" SALT ":" ROOT " ",
        "1:1:" SALT ":" ROOT "\n",
        "1:1:" SALT ":" ROOT " 1 ignore_corruption",
        "1:1:0" SALT ":" ROOT,
        "1:1:G0112233445566778899aabbccddeeff00112233445566778899aabbccddeeff:" ROOT,
        "1:1:A0112233445566778899aabbccddeeff00112233445566778899aabbccddeeff:" ROOT,
        "1:1:0112233445566778899aabbccddeeff00112233445566778899aabbccddeeff:" ROOT,
        "1:1:" SALT ":f0e1d2c3b4a5968778695a4b3c2d1e0f0f1e2d3c4b5a69788796a5b4c3d2e1f",
        "1:1:" SALT ":f0e1d2c3b4a5968778695a4b3c2d1e0f0f1e2d3c4b5a69788796a5b4c3d2e1f\xf0",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct verity_table t = {.data_blocks = 77};

        ck_assert_msg(verity_parse(bad[i], &t) == -EINVAL, "'%s'", bad[i]);
        ck_assert_uint_eq(t.data_blocks, 77);
    }
}
END_TEST

/* With other seals, or an fd that can write, crun would copy itself once more at each start. */
START_TEST(a_sealed_program_runs_and_nobody_changes_it)
{
    static const char *const argv[] = {"true", NULL};
    char *const env[] = {NULL};
    struct boot_fault f = {.text = ""};
    char path[64];
    int fd = -1, status;
    pid_t pid;

    ck_assert_int_eq(sealed_copy("/bin/true", &fd, &f), 0);
    ck_assert_int_eq(fcntl(fd, F_GET_SEALS),
                     F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    ck_assert_int_lt(open(path, O_WRONLY | O_TRUNC), 0);
    pid = fork();
    if (pid == 0) {
        fexecve(fd, (char *const *)(uintptr_t)argv, env);
        _exit(99);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    close(fd);
    ck_assert_int_eq(sealed_copy("/no/such/program", &fd, &f), -1);
    ck_assert_ptr_nonnull(strstr(f.text, "/no/such/program"));
}
END_TEST

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

/* Links lead nowhere out of the image, and what is no file is left alone. */
START_TEST(what_is_read_ahead_is_the_images_own)
{
    char dir[] = "/tmp/lz-test-boot-XXXXXX", path[128];
    const char *const folders[] = {"usr", "usr/lib64", "lib"};
    const char *const links[][2] = {{"usr/lib64", "lib64"},
                                    {"/proc/version", "lib/ld-musl-x86_64.so.1"},
                                    {"/libc", "usr/lib64/libc.so.6"}};

    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_uint_eq(prefetch_read("/no/such/image"), 0);
    ck_assert_uint_eq(prefetch_read(dir), 0);
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", dir, folders[i]);
        ck_assert_int_eq(mkdir(path, 0755), 0);
    }
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", dir, links[i][1]);
        ck_assert_int_eq(symlink(links[i][0], path), 0);
    }
    (void)snprintf(path, sizeof(path), "%s/lib64/ld-linux-x86-64.so.2", dir);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    (void)snprintf(path, sizeof(path), "%s/libc", dir);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);

    ck_assert_int_eq(write(fd, "library", 7), 7);
    close(fd);
    ck_assert_uint_eq(prefetch_read(dir), 7);
    ck_assert_int_eq(nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}
END_TEST

START_TEST(free_memory_is_wiped_but_for_a_rest_and_not_where_there_is_much)
{
    const uint64_t mib = 1 << 20;

    ck_assert_uint_eq(wipe_share(0), 0);
    ck_assert_uint_eq(wipe_share(8 * mib), 0);
    ck_assert_uint_eq(wipe_share(9 * mib), mib);
    ck_assert_uint_eq(wipe_share(768 * mib), 760 * mib);
    ck_assert_uint_eq(wipe_share(769 * mib), 0);
    ck_assert_uint_eq(wipe_share(UINT64_MAX), 0);
}
END_TEST

SUITE("boot", an_argument_is_a_whole_word_named_once, a_number_is_decimal_digits_up_to_its_limit,
      verity_takes_exactly_what_the_host_writes,
      the_longest_table_fits_and_a_short_buffer_is_refused, verity_refuses_everything_else,
      a_sealed_program_runs_and_nobody_changes_it, what_is_read_ahead_is_the_images_own,
      free_memory_is_wiped_but_for_a_rest_and_not_where_there_is_much)
