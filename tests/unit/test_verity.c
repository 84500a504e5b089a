/* test_verity: promises of the hash tree: reproducible, as the kernel defines it, and checked. */
#include "base/str.h"
#include "images/verity.h"
#include "tests/unit/suite.h"
#include "tests/unit/temp.h"

#define BLOCK 4096u

/* A file of `size` bytes that differ from block to block; returns it open for reading and writing.
 */
static int data_file(const char *name, size_t size)
{
    own_free char *path = in_dir(name);
    own_free char *data = malloc(size + 1);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    ck_assert_int_ge(fd, 0);
    for (size_t i = 0; i < size; i++)
        data[i] = (char)(i * 31 + i / BLOCK * 7 + 1);
    ck_assert_int_eq(file_write_all(fd, data, size), 0);
    return fd;
}

static void append(int fd, struct verity *v)
{
    struct err e;

    ck_assert_msg(verity_append(fd, v, &e) == 0, "%s", e.text);
}

static uint64_t size_of(int fd)
{
    struct stat st;

    ck_assert_int_eq(fstat(fd, &st), 0);
    return (uint64_t)st.st_size;
}

static void flip(int fd, uint64_t at)
{
    unsigned char byte;

    ck_assert_int_eq(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= 1;
    ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)at), 1);
}

static void from_hex(const char *hex, unsigned char *out, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char two[3] = {hex[2 * i], hex[2 * i + 1], '\0'};

        out[i] = (unsigned char)strtoul(two, NULL, 16);
    }
}

/* SHA-256 of salt and block, as the kernel's device-mapper/verity.rst has it for hash type 1. */
static void hash_block(const unsigned char salt[32], const unsigned char *block,
                       unsigned char out[32], char ret_hex[DIGEST_HEX_SIZE])
{
    unsigned char both[32 + BLOCK];
    struct err e;

    memcpy(both, salt, 32);
    memcpy(both + 32, block, BLOCK);
    ck_assert_int_eq(digest_bytes(both, sizeof(both), ret_hex, &e), 0);
    from_hex(ret_hex, out, 32);
}

/* The root hash by the definition: levels of hashes until one block is left; then its hash. */
static void root_by_definition(int fd, const struct verity *v, char ret_hex[DIGEST_HEX_SIZE])
{
    size_t n = v->data_blocks;
    unsigned char *level = calloc(n, BLOCK);
    unsigned char salt[32], hash[32];

    ck_assert_int_eq(pread(fd, level, n * BLOCK, 0), (ssize_t)(n * BLOCK));
    from_hex(v->salt, salt, sizeof(salt));
    while (n > 1) {
        size_t above = (n + 127) / 128;
        unsigned char *up = calloc(above, BLOCK);

        for (size_t i = 0; i < n; i++)
            hash_block(salt, level + i * BLOCK, up + i * 32, ret_hex);
        free(level);
        level = up;
        n = above;
    }
    hash_block(salt, level, hash, ret_hex);
    free(level);
}

/* Around the borders of blocks and of the tree's levels (128 hashes a block). */
static const size_t sizes[] = {
    1, 4095, 4096, 4097, BLOCK * 128, BLOCK * 128 + 1, BLOCK * 129, BLOCK * 128 * 128 + 5};

START_TEST(the_root_hash_is_the_one_that_the_kernel_defines)
{
    own_close int fd = -1;
    struct verity v;
    char want[DIGEST_HEX_SIZE];

    begin();
    fd = data_file("a", sizes[_i]);
    append(fd, &v);
    root_by_definition(fd, &v, want);
    ck_assert_str_eq(v.root_hash, want);
    end();
}
END_TEST

START_TEST(data_and_tree_are_all_that_is_in_the_file_and_pass_the_check)
{
    own_close int fd = -1;
    struct verity v;
    struct err e;
    char salt[DIGEST_HEX_SIZE];
    uint64_t size;

    begin();
    fd = data_file("a", sizes[_i]);
    ck_assert_int_eq(digest_fd(fd, salt, &size, &e), 0);
    append(fd, &v);
    ck_assert_str_eq(v.salt, salt);
    ck_assert_uint_eq(v.data_blocks, (sizes[_i] + BLOCK - 1) / BLOCK);
    ck_assert_uint_eq(v.hash_start, v.data_blocks);
    ck_assert_msg(verity_check_layout(&v, size_of(fd), &e) == 0, "%s", e.text);
    ck_assert_msg(verity_check(fd, &v, &e) == 0, "%s", e.text);
    end();
}
END_TEST

START_TEST(the_same_bytes_give_the_same_file_and_others_another)
{
    static const size_t size = BLOCK * 130 + 9;
    own_close int a = -1, b = -1, c = -1;
    struct verity va, vb, vc;
    char one[DIGEST_HEX_SIZE], two[DIGEST_HEX_SIZE];
    uint64_t n;
    struct err e;

    begin();
    a = data_file("a", size);
    b = data_file("b", size);
    c = data_file("c", size);
    flip(c, size - 1);
    append(a, &va);
    append(b, &vb);
    append(c, &vc);
    ck_assert_str_eq(va.root_hash, vb.root_hash);
    ck_assert_str_eq(va.salt, vb.salt);
    ck_assert_int_eq(digest_fd(a, one, &n, &e), 0);
    ck_assert_int_eq(digest_fd(b, two, &n, &e), 0);
    ck_assert_str_eq(one, two);
    ck_assert_str_ne(va.root_hash, vc.root_hash);
    ck_assert_str_ne(va.salt, vc.salt);
    end();
}
END_TEST

START_TEST(one_flipped_byte_anywhere_is_found)
{
    static const size_t data_size = BLOCK * 130 + 9;
    own_close int fd = -1;
    struct verity v;
    uint64_t end_at;

    begin();
    fd = data_file("a", data_size);
    append(fd, &v);
    end_at = size_of(fd);
    {
        /* data: first, inner, last byte, padding; tree: top block, its unused part, last block */
        const uint64_t at[] = {0,
                               BLOCK * 64 + 100,
                               data_size - 1,
                               BLOCK * 131 - 1,
                               v.hash_start * BLOCK,
                               v.hash_start * BLOCK + BLOCK - 1,
                               (v.hash_start + 1) * BLOCK + 7,
                               (v.hash_start + 2) * BLOCK + 3,
                               end_at - 1};

        for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
            struct err e = {0};

            flip(fd, at[i]);
            ck_assert_msg(verity_check(fd, &v, &e) == -1, "byte %zu", (size_t)at[i]);
            ck_assert_int_eq(e.class, ERR_IMAGE);
            flip(fd, at[i]);
        }
    }
    {
        struct err e;

        ck_assert_msg(verity_check(fd, &v, &e) == 0, "%s", e.text);
    }
    end();
}
END_TEST

START_TEST(fields_that_do_not_fit_the_file_are_found)
{
    own_close int fd = -1;
    struct verity good, v;
    struct err e;

    begin();
    fd = data_file("a", BLOCK * 300);
    append(fd, &good);
#define BAD(change, says)                                                                          \
    do {                                                                                           \
        v = good;                                                                                  \
        change;                                                                                    \
        ck_assert_int_eq(verity_check(fd, &v, &e), -1);                                            \
        ck_assert_int_eq(e.class, ERR_IMAGE);                                                      \
        ck_assert_msg(strstr(e.text, says) != NULL, "%s", e.text);                                 \
    } while (0)
    BAD(v.root_hash[0] ^= 1, "do not fit each other");
    BAD(v.salt[63] ^= 1, "do not fit each other");
    BAD(v.root_hash[0] = 'A', "not a digest");
    BAD(v.root_hash[63] = '\0', "not a digest");
    BAD(v.salt[5] = ':', "not a digest");
    BAD(v.data_blocks = 0, "out of range");
    BAD(v.data_blocks = UINT64_MAX, "out of range");
    BAD(v.data_blocks = (1ull << 28) + 1, "out of range");
    BAD(v.data_blocks--, "does not follow");
    BAD(v.hash_start++, "does not follow");
    BAD(v.hash_start = UINT64_MAX, "does not follow");
    BAD((v.data_blocks--, v.hash_start--), "do not make a file");
#undef BAD
    ck_assert_int_eq(ftruncate(fd, (off_t)size_of(fd) + 1), 0);
    ck_assert_int_eq(verity_check(fd, &good, &e), -1);
    ck_assert_ptr_nonnull(strstr(e.text, "do not make a file"));
    end();
}
END_TEST

START_TEST(what_is_no_file_system_is_refused)
{
    own_close int empty = -1, huge = -1, folder = -1, pipe_end = -1, other = -1;
    struct verity v;
    struct err e;
    int ends[2];

    begin();
    empty = data_file("empty", 0);
    ck_assert_int_eq(verity_append(empty, &v, &e), -1);
    ck_assert_ptr_nonnull(strstr(e.text, "0 bytes"));
    huge = data_file("huge", 0);
    if (ftruncate(huge, (off_t)VERITY_DATA_BYTES_MAX + 1) == 0) {
        ck_assert_int_eq(verity_append(huge, &v, &e), -1);
        ck_assert_ptr_nonnull(strstr(e.text, "is not a size"));
        ck_assert_uint_eq(size_of(huge), VERITY_DATA_BYTES_MAX + 1);
    }
    folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_eq(verity_append(folder, &v, &e), -1);
    ck_assert_ptr_nonnull(strstr(e.text, "not a regular file"));
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    pipe_end = ends[0];
    other = ends[1];
    ck_assert_int_eq(verity_append(pipe_end, &v, &e), -1);
    ck_assert_ptr_nonnull(strstr(e.text, "not a regular file"));
    end();
}
END_TEST

START_TEST(a_tool_that_fails_is_named_and_not_taken_for_damage)
{
    own_close int fd = -1;
    struct verity v;
    struct err e;
    own_free char *bin = NULL;

    begin();
    make("bin");
    bin = in_dir("bin");
    fd = data_file("a", 100);
    append(fd, &v);
    ck_assert_int_eq(setenv("PATH", bin, 1), 0);
    put("bin/veritysetup", "#!/bin/sh\necho out; echo 'Cannot do it.' >&2; exit 4\n");
    {
        own_free char *path = in_dir("bin/veritysetup");

        ck_assert_int_eq(chmod(path, 0755), 0);
    }
    ck_assert_int_eq(verity_check(fd, &v, &e), -1);
    ck_assert_int_eq(e.class, ERR_HOST);
    ck_assert_ptr_nonnull(strstr(e.text, "Cannot do it."));
    ck_assert_int_eq(verity_append(fd, &v, &e), -1);
    ck_assert_int_eq(e.class, ERR_HOST);
    put("bin/veritysetup", "#!/bin/sh\necho; echo 'Root hash: abc'\n");
    ck_assert_int_eq(verity_append(fd, &v, &e), -1);
    ck_assert_ptr_nonnull(strstr(e.text, "no root hash"));
    end();
}
END_TEST

int main(void)
{
    const int n = sizeof(sizes) / sizeof(sizes[0]);
    TCase *tc = tcase_create("verity");

    tcase_add_loop_test(tc, the_root_hash_is_the_one_that_the_kernel_defines, 0, n);
    tcase_add_loop_test(tc, data_and_tree_are_all_that_is_in_the_file_and_pass_the_check, 0, n);
    tcase_add_test(tc, the_same_bytes_give_the_same_file_and_others_another);
    tcase_add_test(tc, one_flipped_byte_anywhere_is_found);
    tcase_add_test(tc, fields_that_do_not_fit_the_file_are_found);
    tcase_add_test(tc, what_is_no_file_system_is_refused);
    tcase_add_test(tc, a_tool_that_fails_is_named_and_not_taken_for_damage);
    return suite_run("verity", tc);
}
