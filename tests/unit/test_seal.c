/* test_seal: promises of sealed files: age's own format, one key opens them, and no byte is free.
 */
#include "base/own.h"
#include "base/spawn.h"
#include "seal/age.h"
#include "tests/unit/suite.h"
#include "tests/unit/temp.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Made by age 1.1.1: `age -r SOMEBODY -r OURS`. */
static const char their_identity[] =
    "# a comment\n"
    "AGE-SECRET-KEY-1F58945ZT8GWDGFQJUR2J4EUZ0WR49AKNND9JNY2XQT6J7LAF9ANSN9M7TW\n";
static const char their_public[] = "age1aee3gyy2tntz4tku6wmduev9dnh9kmyjqppg32udh98pqqnz4evqrznfg3";
static const char their_text[] = "sealed by age";
static const char their_file[] =
    "age-encryption.org/v1\n"
    "-> X25519 lR9gWGE+0YuLtetMlsi3Ec9u55PzNNrSKDWcnBWThUQ\n"
    "BUTktekF5CjzCO7VOaAX/X9FWb28RAyR2/vJc4J7Bwo\n"
    "-> X25519 oiir009JQlnTOSgR7DTI0tzmGeTDXS0jBvWey4ZjEhA\n"
    "hnAZ3gDs0KqsARieXXxkiSiGJtsIbkZziiTT9ktt9Mo\n"
    "--- JDueBH3NId3hpC9yQikq5y1oldFJsqE4jaAEkVgOyAo\n"
    "\xa0\xc2\x3e\xfb\x32\x97\x56\x20\x9b\x26\xd1\x9e\x6c\xdc\xc1\x9b\x9f\xe8\x0d\x19"
    "\x9f\xf3\x04\x41\x6d\x59\x01\xca\xa8\x4e\x53\x92\x3a\xfb\x40\xab\xbe\x94\x59\x23"
    "\x43\xa0\xda\xc4\x2a";

static struct err err;
static struct seal_writer writer;
static struct seal_reader reader;

static struct seal_identity *identity(const char *text)
{
    struct seal_identity *id = NULL;

    ck_assert_msg(seal_identity_parse(text, strlen(text), "test", &id, &err) == 0, "%s", err.text);
    return id;
}

/* A key of its own. */
static struct seal_identity *fresh(const char *name, struct seal_public *ret)
{
    own_free char *path = in_dir(name);
    own_close int fd = -1;
    struct seal_identity *id = NULL;

    ck_assert_msg(seal_identity_make(path, ret, &err) == 0, "%s", err.text);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_msg(seal_identity_read(fd, path, &id, &err) == 0, "%s", err.text);
    return id;
}

static int memory(const void *data, size_t len)
{
    int fd = memfd_create("sealed", MFD_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(file_write_all(fd, data, len), 0);
    return fd;
}

/* Sealed in parts of odd sizes. */
static int seal(const struct seal_public *to, size_t n, const char *data, size_t len)
{
    int fd = memory("", 0);

    ck_assert_msg(seal_begin(&writer, to, n, &err) == 0, "%s", err.text);
    writer.fd = fd;
    for (size_t at = 0, part = 1; at < len; at += part, part = part * 3 + 1) {
        if (part > len - at)
            part = len - at;
        ck_assert_int_eq(seal_put(&writer, data + at, part), 0);
    }
    ck_assert_int_eq(seal_end(&writer), 0);
    return fd;
}

/* 0 if all of it opens; what came before it did not is in ret all the same. */
static int open_all(int fd, const struct seal_identity *id, char *ret, size_t *ret_len)
{
    const unsigned char *data;
    size_t n;

    *ret_len = 0;
    if (seal_open(&reader, fd, id, &err) < 0)
        return -1;
    do {
        if (seal_next(&reader, &data, &n, &err) < 0)
            return -1;
        memcpy(ret + *ret_len, data, n);
        *ret_len += n;
    } while (n > 0);
    seal_close(&reader);
    return 0;
}

START_TEST(what_is_sealed_opens_and_is_what_it_was)
{
    static const size_t sizes[] = {
        0, 1, SEAL_CHUNK - 1, SEAL_CHUNK, SEAL_CHUNK + 1, 3 * SEAL_CHUNK, 3 * SEAL_CHUNK + 777};
    static char data[4 * SEAL_CHUNK], back[4 * SEAL_CHUNK];
    own_seal_identity struct seal_identity *id = NULL, *second = NULL;
    struct seal_public to[2];

    begin();
    id = fresh("id", &to[0]);
    second = fresh("second", &to[1]);
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 7 + i / 251);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        own_close int fd = seal(to, 2, data, sizes[i]);
        size_t n;

        ck_assert_msg(open_all(fd, id, back, &n) == 0, "%zu: %s", sizes[i], err.text);
        ck_assert_uint_eq(n, sizes[i]);
        ck_assert_mem_eq(back, data, n);
        ck_assert_int_eq(open_all(fd, second, back, &n), 0);
        ck_assert_uint_eq(n, sizes[i]);
    }
    end();
}
END_TEST

START_TEST(another_key_opens_nothing)
{
    own_seal_identity struct seal_identity *id = NULL, *other = NULL;
    struct seal_public to, not_to;
    char back[100];
    size_t n;

    begin();
    id = fresh("id", &to);
    other = fresh("other", &not_to);
    own_close int fd = seal(&to, 1, "text", 4);

    ck_assert_int_eq(open_all(fd, other, back, &n), -1);
    ck_assert_uint_eq(n, 0);
    ck_assert_int_eq(err.class, ERR_USAGE);
    ck_assert_ptr_nonnull(strstr(err.text, "not sealed to this identity"));
    end();
}
END_TEST

START_TEST(every_byte_that_is_changed_is_found)
{
    own_seal_identity struct seal_identity *id = identity(their_identity);
    char copy[sizeof(their_file)], back[100];
    size_t n;

    for (size_t i = 0; i < sizeof(their_file) - 1; i++) {
        memcpy(copy, their_file, sizeof(copy));
        copy[i] = (char)(copy[i] ^ 1 << i % 8);
        own_close int fd = memory(copy, sizeof(copy) - 1);

        ck_assert_msg(open_all(fd, id, back, &n) < 0, "byte %zu", i);
        ck_assert_uint_eq(n, 0);
    }
}
END_TEST

START_TEST(every_cut_is_found)
{
    static char data[2 * SEAL_CHUNK], back[2 * SEAL_CHUNK];
    own_seal_identity struct seal_identity *id = identity(their_identity), *own = NULL;
    struct seal_public to;
    size_t n;

    for (size_t len = 0; len < sizeof(their_file) - 1; len++) {
        own_close int fd = memory(their_file, len);

        ck_assert_msg(open_all(fd, id, back, &n) < 0, "%zu bytes", len);
    }
    /* Between two chunks, and with another behind the last. */
    begin();
    own = fresh("id", &to);
    own_close int fd = seal(&to, 1, data, sizeof(data));
    off_t end_at = lseek(fd, 0, SEEK_END);

    ck_assert_int_eq(open_all(fd, own, back, &n), 0);
    ck_assert_int_eq(file_write_all(fd, data, 20), 0);
    ck_assert_int_eq(open_all(fd, own, back, &n), -1);
    ck_assert_int_eq(ftruncate(fd, end_at - (off_t)(SEAL_CHUNK + SEAL_TAG)), 0);
    ck_assert_int_eq(open_all(fd, own, back, &n), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "cut off"));
    end();
}
END_TEST

START_TEST(opens_what_age_made)
{
    own_seal_identity struct seal_identity *id = identity(their_identity);
    own_close int fd = memory(their_file, sizeof(their_file) - 1);
    char public[SEAL_PUBLIC_SIZE], back[100];
    size_t n;

    seal_public_format(&id->public, public);
    ck_assert_str_eq(public, their_public);
    ck_assert_msg(open_all(fd, id, back, &n) == 0, "%s", err.text);
    ck_assert_uint_eq(n, strlen(their_text));
    ck_assert_mem_eq(back, their_text, n);
}
END_TEST

/* Runs age; its stdout, or NULL if it is not installed. */
static char *age(const char *const *argv, int in)
{
    const struct spawn s = {.argv = argv, .stdio = {in, SPAWN_NULL, SPAWN_NULL}};
    char *out = NULL;

    if (access("/usr/bin/age", X_OK) < 0)
        return NULL;
    ck_assert_msg(spawn_tool(&s, NULL, 15000, &out, &err) == 0, "%s", err.text);
    return out;
}

START_TEST(age_opens_what_we_make_and_the_other_way_round)
{
    own_seal_identity struct seal_identity *id = NULL;
    own_free char *path = NULL, *plain = NULL, *sealed = NULL, *out = NULL, *made = NULL;
    char public[SEAL_PUBLIC_SIZE], back[100];
    struct seal_public to;
    size_t n;

    begin();
    id = fresh("id", &to);
    path = in_dir("id");
    sealed = in_dir("sealed");
    plain = in_dir("plain");
    seal_public_format(&to, public);
    own_close int fd = seal(&to, 1, "for age", 7);

    lseek(fd, 0, SEEK_SET);
    out = age((const char *const[]){"age", "-d", "-i", path, NULL}, fd);
    if (out) {
        ck_assert_str_eq(out, "for age");
        put("plain", "from age");
        made =
            age((const char *const[]){"age", "-r", public, "-o", sealed, plain, NULL}, SPAWN_NULL);
        own_close int theirs = open(sealed, O_RDONLY | O_CLOEXEC);

        ck_assert_msg(open_all(theirs, id, back, &n) == 0, "%s", err.text);
        ck_assert_uint_eq(n, 8);
        ck_assert_mem_eq(back, "from age", 8);
    }
    end();
}
END_TEST

START_TEST(a_public_key_with_a_typing_error_is_refused)
{
    char text[SEAL_PUBLIC_SIZE + 1];
    struct seal_public p;

    ck_assert_int_eq(seal_public_parse(their_public, &p, &err), 0);
    for (size_t i = 0; i < strlen(their_public); i++) {
        memcpy(text, their_public, sizeof(their_public));
        text[i] = text[i] == 'q' ? 'p' : 'q';
        ck_assert_int_eq(seal_public_parse(text, &p, &err), -1);
        ck_assert_int_eq(err.class, ERR_USAGE);
        text[i] = '\0';
        ck_assert_int_eq(seal_public_parse(text, &p, &err), -1);
    }
    snprintf(text, sizeof(text), "%sq", their_public);
    ck_assert_int_eq(seal_public_parse(text, &p, &err), -1);
    ck_assert_int_eq(seal_public_parse("AGE1AEE3", &p, &err), -1);
    /* A point of small order: what is sealed to it, everybody can open. */
    memset(&p, 0, sizeof(p));
    ck_assert_int_eq(seal_begin(&writer, &p, 1, &err), -1);
}
END_TEST

START_TEST(an_identity_that_others_can_read_is_refused)
{
    static const char *const wrong[] = {"", "# nothing\n", "AGE-SECRET-KEY-1QQ\n", "age1\n",
                                        "-----BEGIN OPENSSH PRIVATE KEY-----\n"};
    own_free char *path = NULL;
    struct seal_identity *id = NULL;
    struct seal_public p;
    struct stat st;

    begin();
    path = in_dir("id");
    seal_identity_free(fresh("id", &p));
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0600);
    ck_assert_int_eq(seal_identity_make(path, &p, &err), -1); /* it is there */
    ck_assert_int_eq(chmod(path, 0640), 0);
    own_close int fd = open(path, O_RDONLY | O_CLOEXEC);

    ck_assert_int_eq(seal_identity_read(fd, path, &id, &err), -1);
    ck_assert_int_eq(err.class, ERR_REFUSED);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        ck_assert_int_eq(seal_identity_parse(wrong[i], strlen(wrong[i]), "x", &id, &err), -1);
        ck_assert_int_eq(err.class, ERR_USAGE);
    }
    end();
}
END_TEST

SUITE("seal", what_is_sealed_opens_and_is_what_it_was, another_key_opens_nothing,
      every_byte_that_is_changed_is_found, every_cut_is_found, opens_what_age_made,
      age_opens_what_we_make_and_the_other_way_round, a_public_key_with_a_typing_error_is_refused,
      an_identity_that_others_can_read_is_refused)
