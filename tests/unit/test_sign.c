/* test_sign: promises of signatures: those of the RFC, and no key that others could have seen. */
#include "base/own.h"
#include "base/sign.h"
#include "base/str.h"
#include "tests/unit/suite.h"
#include "tests/unit/temp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* RFC 8032, 7.1, test 1, in the form of `openssl pkey`. */
static const char private_pem[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
    "-----END PRIVATE KEY-----\n";
static const char public_pem[] = "-----BEGIN PUBLIC KEY-----\n"
                                 "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
                                 "-----END PUBLIC KEY-----\n";
static const char key_id[] = "21fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9";
static const char empty_signature[] =
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b4"
    "6bd25bf5f0595bbe24655141438e7a100b";

static const char encrypted_pem[] =
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
    "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAhOoLKaxI78yAICCAAw\n"
    "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEBy9E+F/AUed1QqAZE2VKIYEQDUh\n"
    "lzNa4IygY6M29JvzUTJ7t6wml0uzXA8qydN8N5Fnn7aoqZdRN3nSf7d9Gy0H4Zyx\n"
    "7aHSFIF46BarUlzGI+g=\n"
    "-----END ENCRYPTED PRIVATE KEY-----\n";
static const char x25519_pem[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VuBCIEIFgodpDp6zm7baUV/3lbfPo+OBa0dFUio51KPM47KWNz\n"
    "-----END PRIVATE KEY-----\n";
static const char x25519_public_pem[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VuAyEA6DGnhmN51n33Q5ZB3cUzKLQ9DADFEeMUPi1MJ0A0nlo=\n"
    "-----END PUBLIC KEY-----\n";

static char *put_key(const char *text, mode_t mode)
{
    char *path = in_dir("key");

    put("key", text);
    ck_assert_int_eq(chmod(path, mode), 0);
    return path;
}

START_TEST(signs_as_the_rfc_has_it)
{
    own_sign_key struct sign_key *k = NULL;
    own_free char *path = NULL;
    unsigned char signature[SIGN_BYTES];
    char hex[2 * SIGN_BYTES + 1];
    struct sign_public p, same;
    struct err e;

    begin();
    path = put_key(private_pem, 0600);
    ck_assert_int_eq(sign_key_open(path, &k, &e), 0);
    sign_key_public(k, &p);
    ck_assert_str_eq(p.id, key_id);
    ck_assert_int_eq(sign_public_parse(public_pem, strlen(public_pem), "t", &same, &e), 0);
    ck_assert_mem_eq(&p, &same, sizeof(p));
    ck_assert_int_eq(sign_bytes(k, "", 0, signature, &e), 0);
    for (size_t i = 0; i < SIGN_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", signature[i]);
    ck_assert_str_eq(hex, empty_signature);
    ck_assert(sign_is_good(&p, "", 0, signature));
    end();
}
END_TEST

START_TEST(one_bit_makes_a_signature_wrong)
{
    own_sign_key struct sign_key *k = NULL;
    own_free char *path = NULL;
    unsigned char signature[SIGN_BYTES];
    char text[] = "what is signed";
    struct sign_public p;
    struct err e;

    begin();
    path = put_key(private_pem, 0600);
    ck_assert_int_eq(sign_key_open(path, &k, &e), 0);
    sign_key_public(k, &p);
    ck_assert_int_eq(sign_bytes(k, text, strlen(text), signature, &e), 0);
    ck_assert(sign_is_good(&p, text, strlen(text), signature));
    for (unsigned bit = 0; bit < SIGN_BYTES * 8; bit++) {
        signature[bit / 8] ^= (unsigned char)(1u << bit % 8);
        ck_assert(!sign_is_good(&p, text, strlen(text), signature));
        signature[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    for (unsigned bit = 0; bit < strlen(text) * 8; bit++) {
        text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
        ck_assert(!sign_is_good(&p, text, sizeof(text) - 1, signature));
        text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
    }
    for (unsigned bit = 0; bit < SIGN_PUBLIC_BYTES * 8; bit++) {
        p.raw[bit / 8] ^= (unsigned char)(1u << bit % 8);
        ck_assert(!sign_is_good(&p, text, strlen(text), signature));
        p.raw[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    ck_assert(!sign_is_good(&p, text, strlen(text) - 1, signature));
    ck_assert(sign_is_good(&p, text, strlen(text), signature));
    end();
}
END_TEST

START_TEST(a_key_that_others_could_have_read_is_refused)
{
    struct err e;

    begin();
    for (unsigned mode = 0; mode < 0100; mode++) {
        own_sign_key struct sign_key *k = NULL;
        own_free char *path = put_key(private_pem, 0600 | mode);

        ck_assert_int_eq(sign_key_open(path, &k, &e), mode ? -1 : 0);
        ck_assert(!mode || strstr(e.text, "too open (chmod 600)"));
    }
    if (geteuid() == 0) {
        struct sign_key *k = NULL;
        own_free char *path = put_key(private_pem, 0600);

        ck_assert_int_eq(chown(path, 12345, 0), 0);
        ck_assert_int_eq(sign_key_open(path, &k, &e), -1);
        ck_assert_ptr_nonnull(strstr(e.text, "belongs to uid 12345"));
    }
    end();
}
END_TEST

START_TEST(a_link_to_a_key_and_a_pipe_are_refused)
{
    own_free char *path = NULL;
    own_free char *link = NULL;
    own_free char *fifo = NULL;
    struct sign_key *k = NULL;
    struct err e;

    begin();
    path = put_key(private_pem, 0600);
    link = in_dir("link");
    fifo = in_dir("fifo");
    ck_assert_int_eq(symlink(path, link), 0);
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    ck_assert_int_eq(sign_key_open(link, &k, &e), -1);
    ck_assert_int_eq(sign_key_open(fifo, &k, &e), -1);
    ck_assert_ptr_nonnull(strstr(e.text, "not a regular file"));
    end();
}
END_TEST

START_TEST(what_is_no_key_is_refused)
{
    static const struct {
        const char *text;
        bool private, public;
    } rows[] = {
        {private_pem, true, false},
        {public_pem, false, true},
        {"", false, false},
        {"garbage", false, false},
        {encrypted_pem, false, false},
        {x25519_pem, false, false},
        {x25519_public_pem, false, false},
        {"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n", false, false},
        {"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1h\n-----END PRIVATE KEY-----\n",
         false, false},
        {"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKx\n-----END PUBLIC KEY-----\n", false,
         false},
        {"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo",
         false, false},
        {"-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----\n", false, false},
    };
    struct err e;

    begin();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own_sign_key struct sign_key *k = NULL;
        own_free char *path = put_key(rows[i].text, 0600);
        struct sign_public p;

        if (sign_key_open(path, &k, &e) != (rows[i].private ? 0 : -1) ||
            sign_public_parse(rows[i].text, strlen(rows[i].text), "t", &p, &e) !=
                (rows[i].public ? 0 : -1))
            ck_abort_msg("row %zu", i);
    }
    {
        own_free char *huge = malloc(SIGN_FILE_MAX + 2);
        own_free char *path = NULL;
        struct sign_key *k = NULL;

        memset(huge, '\n', SIGN_FILE_MAX + 1);
        huge[SIGN_FILE_MAX + 1] = '\0';
        memcpy(huge, private_pem, strlen(private_pem));
        path = put_key(huge, 0600);
        ck_assert_int_eq(sign_key_open(path, &k, &e), -1);
        ck_assert_ptr_nonnull(strstr(e.text, "over 4096 bytes"));
    }
    end();
}
END_TEST

START_TEST(a_cut_key_is_refused_at_every_byte)
{
    struct err e;

    begin();
    for (size_t len = 0; len + 1 < strlen(public_pem); len++) {
        own_free char *copy = malloc(len + 1);
        struct sign_public p;

        memcpy(copy, public_pem, len);
        copy[len] = '\0';
        ck_assert_int_eq(sign_public_parse(copy, len, "t", &p, &e), -1);
    }
    end();
}
END_TEST

START_TEST(a_new_key_is_closed_to_others_and_replaces_none)
{
    own_sign_key struct sign_key *k = NULL;
    own_free char *path = NULL;
    own_free char *pub = NULL;
    own_free char *text = NULL;
    struct sign_public made, opened, read, another;
    struct stat st;
    struct err e;
    size_t len;

    begin();
    path = in_dir("new");
    pub = in_dir("new.pub");
    ck_assert_int_eq(sign_key_make(path, &made, &e), 0);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    ck_assert_int_eq(sign_key_open(path, &k, &e), 0);
    sign_key_public(k, &opened);
    ck_assert_int_eq(file_read(AT_FDCWD, pub, SIGN_FILE_MAX, &text, &len, &e), 0);
    ck_assert_int_eq(sign_public_parse(text, len, pub, &read, &e), 0);
    ck_assert_mem_eq(&made, &opened, sizeof(made));
    ck_assert_mem_eq(&made, &read, sizeof(made));
    /* Neither half is overwritten, and nothing is left of the other one. */
    ck_assert_int_eq(sign_key_make(path, &another, &e), -1);
    ck_assert_ptr_nonnull(strstr(e.text, "is there already"));
    ck_assert_int_eq(unlink(pub), 0);
    ck_assert_int_eq(sign_key_make(path, &another, &e), -1);
    ck_assert(!exists("new.pub"));
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(symlink("/nowhere", path), 0);
    ck_assert_int_eq(sign_key_make(path, &another, &e), -1);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(sign_key_make(path, &another, &e), 0);
    ck_assert_str_ne(made.id, another.id);
    end();
}
END_TEST

SUITE("sign", signs_as_the_rfc_has_it, one_bit_makes_a_signature_wrong,
      a_key_that_others_could_have_read_is_refused, a_link_to_a_key_and_a_pipe_are_refused,
      what_is_no_key_is_refused, a_cut_key_is_refused_at_every_byte,
      a_new_key_is_closed_to_others_and_replaces_none)
