/* test_trust: promises of signatures of images and of the policy: only what a trusted key signed.
 */
#include "base/digest.h"
#include "base/own.h"
#include "base/str.h"
#include "images/image.h"
#include "images/trust.h"
#include "tests/unit/make_image.h"
#include "tests/unit/suite.h"
#include "tests/unit/temp.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A key in files `name` and `name`.pub of the test's folder. */
static struct sign_public make_key(const char *name, struct sign_key **ret)
{
    own_free char *path = in_dir(name);
    struct sign_public p;
    struct err e;

    if (sign_key_make(path, &p, &e) < 0 || sign_key_open(path, ret, &e) < 0)
        ck_abort_msg("%s", e.text);
    return p;
}

static void sign_image(const char *ref, const struct sign_key *k)
{
    own_store struct store s = STORE_INIT;
    own_image struct image *im = NULL;
    struct err e;

    if (store_open(dir, STORE_ADD, &s, &e) < 0 || image_look(dir, ref, &im, &e) < 0 ||
        trust_sign(&s, im->digest, k, &e) < 0)
        ck_abort_msg("%s", e.text);
}

/* Whether one of the keys signed the image; e says why not. */
static int check_image(const char *ref, const struct sign_public *keys, size_t n, struct err *e)
{
    own_trust_keys struct trust_keys trusted = {0};
    own_image struct image *im = NULL;
    char found[DIGEST_HEX_SIZE];
    struct err other;

    for (size_t i = 0; i < n; i++)
        trust_keys_add(&trusted, &keys[i]);
    ck_assert_int_eq(image_look(dir, ref, &im, &other), 0);
    return trust_check(&im->store, im->digest, &trusted, found, e);
}

/* Returns new: the path, below the test's folder, of the signature of an image by a key. */
static char *signature_path(const char *ref, const struct sign_public *p)
{
    own_image struct image *im = NULL;
    struct err e;

    ck_assert_int_eq(image_look(dir, ref, &im, &e), 0);
    return str_printf("signatures/%s/%s.json", im->digest, p->id);
}

static char *read_signature(const char *name)
{
    own_free char *path = in_dir(name);
    char *text;
    struct err e;

    ck_assert_int_eq(file_read(AT_FDCWD, path, TRUST_SIGNATURE_MAX, &text, NULL, &e), 0);
    return text;
}

/* Another text in the place of a signature, which cannot be written to. */
static void replace(const char *name, const char *text)
{
    own_free char *path = in_dir(name);

    ck_assert_int_eq(unlink(path), 0);
    put(name, text);
}

static void is_refused(const char *ref, const struct sign_public *keys, size_t n, const char *says)
{
    struct err e;

    ck_assert_int_eq(check_image(ref, keys, n, &e), -1);
    ck_assert_int_eq(e.class, ERR_REFUSED);
    ck_assert_msg(strstr(e.text, says) != NULL, "%s", e.text);
}

START_TEST(a_signature_of_a_trusted_key_is_found)
{
    own_sign_key struct sign_key *a = NULL, *b = NULL;
    struct sign_public keys[2];
    own_strv struct strv ids = {0};
    own_image struct image *im = NULL;
    struct err e;

    begin();
    make_image("x", "1");
    keys[0] = make_key("a", &a);
    keys[1] = make_key("b", &b);
    is_refused("x", keys, 2, "no signature of one");
    sign_image("x", b);
    ck_assert_int_eq(check_image("x", keys, 2, &e), 0);
    is_refused("x", keys, 1, "no signature of one");
    is_refused("x", keys, 0, "no key is trusted");
    sign_image("x", a);
    sign_image("x", a); /* once more is the same */
    ck_assert_int_eq(check_image("x", keys, 1, &e), 0);
    ck_assert_int_eq(image_look(dir, "x", &im, &e), 0);
    ck_assert_int_eq(trust_list(&im->store, im->digest, &ids, &e), 0);
    ck_assert_uint_eq(ids.n, 2);
    ck_assert_int_lt(strcmp(ids.items[0], ids.items[1]), 0);
    end();
}
END_TEST

START_TEST(a_signature_of_another_image_or_key_is_worth_nothing)
{
    own_sign_key struct sign_key *a = NULL, *b = NULL;
    own_free char *x_by_a = NULL;
    own_free char *y_by_a = NULL;
    own_free char *x_by_b = NULL;
    own_free char *text = NULL;
    struct sign_public keys[2];

    begin();
    make_image("x", "1");
    make_image("y", "2");
    keys[0] = make_key("a", &a);
    keys[1] = make_key("b", &b);
    sign_image("x", a);
    sign_image("x", b);
    sign_image("y", a);
    x_by_a = signature_path("x", &keys[0]);
    x_by_b = signature_path("x", &keys[1]);
    y_by_a = signature_path("y", &keys[0]);
    text = read_signature(y_by_a);
    replace(x_by_a, text);
    is_refused("x", keys, 1, "another manifest");
    {
        /* The names are made to fit, the signature is still that of y. */
        own_free char *now = read_signature(x_by_a);
        own_free char *digest = str_printf("%.64s", x_by_a + strlen("signatures/"));

        memcpy(strstr(now, "sha256:") + strlen("sha256:"), digest, DIGEST_HEX_SIZE - 1);
        replace(x_by_a, now);
        is_refused("x", keys, 1, "is wrong");
    }
    {
        own_free char *of_b = read_signature(x_by_b);

        replace(x_by_a, of_b);
        is_refused("x", keys, 1, "another key");
        memcpy(strstr(of_b, keys[1].id), keys[0].id, DIGEST_HEX_SIZE - 1);
        replace(x_by_a, of_b);
        is_refused("x", keys, 1, "is wrong");
    }
    /* A wrong one beside a good one does no harm. */
    {
        struct err e;

        ck_assert_int_eq(check_image("x", keys, 2, &e), 0);
    }
    end();
}
END_TEST

START_TEST(a_signature_with_one_other_digit_is_refused)
{
    own_sign_key struct sign_key *a = NULL;
    own_free char *path = NULL;
    own_free char *text = NULL;
    struct sign_public p;
    struct err e;
    char *hex;

    begin();
    make_image("x", "1");
    p = make_key("a", &a);
    sign_image("x", a);
    path = signature_path("x", &p);
    text = read_signature(path);
    hex = strstr(text, "\"signature\": \"") + strlen("\"signature\": \"");
    for (size_t i = 0; i < (size_t)2 * SIGN_BYTES; i++) {
        char old = hex[i];

        hex[i] = old == '0' ? '1' : '0';
        replace(path, text);
        is_refused("x", &p, 1, "is wrong");
        hex[i] = old;
    }
    replace(path, text);
    ck_assert_int_eq(check_image("x", &p, 1, &e), 0);
    end();
}
END_TEST

START_TEST(a_signature_file_that_is_not_exact_is_refused)
{
    static const struct {
        const char *from, *to, *says;
    } rows[] = {
        {"lazaret-signature", "other", "not a 'lazaret-signature'"},
        {"\"version\": 1", "\"version\": 2", "version 1"},
        {"\"version\": 1", "\"version\": 1, \"x\": 1", "unknown key 'x'"},
        {"\"version\": 1,", "", "version"},
        {"\"signature\": \"", "\"signature\": \"0", "128 hex digits"},
        {"\"signature\": \"", "\"signature\": \"\\u0000", "signature"},
        {"sha256:", "sha512:", "another manifest"},
        {"{", "[", "signature of key"},
        {"{", "", "signature of key"},
    };
    own_sign_key struct sign_key *a = NULL;
    own_free char *path = NULL;
    own_free char *good = NULL;
    own_free char *full = NULL;
    struct sign_public p;

    begin();
    make_image("x", "1");
    p = make_key("a", &a);
    sign_image("x", a);
    path = signature_path("x", &p);
    good = read_signature(path);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *at = strstr(good, rows[i].from);
        own_str struct str text = {0};

        ck_assert_ptr_nonnull(at);
        str_add_bytes(&text, good, (size_t)(at - good));
        str_add(&text, rows[i].to);
        str_add(&text, at + strlen(rows[i].from));
        replace(path, text.data);
        is_refused("x", &p, 1, rows[i].says);
    }
    for (size_t len = 0; len + 2 < strlen(good); len++) {
        own_free char *cut = str_printf("%.*s", (int)len, good);

        replace(path, cut);
        is_refused("x", &p, 1, p.id);
    }
    {
        own_free char *huge = malloc(TRUST_SIGNATURE_MAX + 2);

        memset(huge, ' ', TRUST_SIGNATURE_MAX + 1);
        huge[TRUST_SIGNATURE_MAX + 1] = '\0';
        memcpy(huge, good, strlen(good));
        replace(path, huge);
        is_refused("x", &p, 1, "over 4096 bytes");
    }
    full = in_dir(path);
    ck_assert_int_eq(unlink(full), 0);
    ck_assert_int_eq(symlink("/dev/zero", full), 0);
    is_refused("x", &p, 1, p.id);
    ck_assert_int_eq(unlink(full), 0);
    ck_assert_int_eq(mkfifo(full, 0600), 0);
    is_refused("x", &p, 1, "not a regular file");
    end();
}
END_TEST

START_TEST(only_a_signature_of_the_right_form_is_taken_from_elsewhere)
{
    own_sign_key struct sign_key *a = NULL;
    own_store struct store s = STORE_INIT;
    own_image struct image *im = NULL;
    own_free char *path = NULL;
    own_free char *text = NULL;
    struct sign_public p;
    struct err e;

    begin();
    make_image("x", "1");
    p = make_key("a", &a);
    sign_image("x", a);
    path = signature_path("x", &p);
    text = read_signature(path);
    ck_assert_int_eq(image_look(dir, "x", &im, &e), 0);
    ck_assert_int_eq(store_open(dir, STORE_ADD, &s, &e), 0);
    ck_assert_int_eq(trust_put(&s, im->digest, p.id, text, strlen(text), &e), 0);
    ck_assert_int_eq(trust_put(&s, p.id, p.id, text, strlen(text), &e), -1);
    ck_assert_int_eq(e.class, ERR_IMAGE);
    ck_assert_int_eq(trust_put(&s, im->digest, im->digest, text, strlen(text), &e), -1);
    ck_assert_int_eq(trust_put(&s, im->digest, p.id, "{}", 2, &e), -1);
    end();
}
END_TEST

/* The image can be opened, or not, and why. */
static void can_open(const char *ref, enum err_class class, const char *says)
{
    own_image struct image *im = NULL;
    struct err e = {0};
    int rc = image_open(dir, ref, &im, &e);

    ck_assert_msg(rc == (class == ERR_NONE ? 0 : -1), "%s: %s", ref, e.text);
    ck_assert_int_eq(e.class, class);
    ck_assert_msg(!says || strstr(e.text, says), "%s", e.text);
}

#define POLICY(required, trusted)                                                                  \
    "{\"format\":\"lazaret-image-policy\",\"version\":1,\"require_signature\":" required           \
    ",\"trusted\":[" trusted "]}"

START_TEST(a_policy_lets_only_signed_images_run)
{
    own_sign_key struct sign_key *a = NULL, *b = NULL;
    own_image struct image *im = NULL, *made = NULL;
    own_free char *absolute = NULL;
    struct err e;

    begin();
    make_image("signed", "1");
    make_image("unsigned", "2");
    make_image("by-another", "3");
    make_key("a", &a);
    make_key("b", &b);
    sign_image("signed", a);
    sign_image("by-another", b);
    can_open("unsigned", ERR_NONE, NULL);
    put("policy.json", POLICY("true", "\"a.pub\""));
    can_open("signed", ERR_NONE, NULL);
    can_open("unsigned", ERR_REFUSED, "image 'unsigned': policy");
    can_open("unsigned", ERR_REFUSED, "lazaret image sign");
    can_open("by-another", ERR_REFUSED, "no signature of one");
    ck_assert_int_eq(image_look(dir, "unsigned", &im, &e), 0);
    ck_assert_int_eq(image_open_unsigned(dir, "unsigned", &made, &e), 0);
    /* The way out. */
    sign_image("unsigned", a);
    can_open("unsigned", ERR_NONE, NULL);
    absolute = str_printf(POLICY("true", "\"a.pub\",\"%s/b.pub\""), dir);
    put("policy.json", absolute);
    can_open("by-another", ERR_NONE, NULL);
    put("policy.json", POLICY("true", ""));
    can_open("signed", ERR_REFUSED, "no key is trusted");
    put("policy.json", POLICY("false", ""));
    can_open("by-another", ERR_NONE, NULL);
    end();
}
END_TEST

START_TEST(a_policy_that_cannot_be_read_lets_nothing_run)
{
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{}",
        POLICY("true", "\"nowhere.pub\""),
        POLICY("true", "\"a\""), /* the private half */
        POLICY("true", "1"),
        POLICY("1", "\"a.pub\""),
        POLICY("\"false\"", "\"a.pub\""),
        "{\"format\":\"lazaret-image-policy\",\"version\":2,\"require_signature\":false,"
        "\"trusted\":[]}",
        "{\"format\":\"lazaret-image-policy\",\"version\":1,\"trusted\":[]}",
        "{\"format\":\"lazaret-image-policy\",\"version\":1,\"require_signature\":false,"
        "\"trusted\":[],\"requires\":1}",
    };
    own_sign_key struct sign_key *a = NULL;
    own_free char *policy = NULL;
    own_free char *pub = NULL;

    begin();
    make_image("signed", "1");
    make_key("a", &a);
    sign_image("signed", a);
    policy = in_dir("policy.json");
    pub = in_dir("a.pub");
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        put("policy.json", texts[i]);
        can_open("signed", ERR_HOST, "policy.json'");
    }
    put("policy.json", POLICY("true", "\"a.pub\""));
    can_open("signed", ERR_NONE, NULL);
    ck_assert_int_eq(chmod(policy, 0664), 0);
    can_open("signed", ERR_HOST, "too open");
    ck_assert_int_eq(chmod(policy, 0646), 0);
    can_open("signed", ERR_HOST, "too open");
    ck_assert_int_eq(chmod(policy, 0644), 0);
    ck_assert_int_eq(chmod(pub, 0666), 0);
    can_open("signed", ERR_HOST, "too open");
    ck_assert_int_eq(chmod(pub, 0644), 0);
    can_open("signed", ERR_NONE, NULL);
    if (geteuid() == 0) {
        ck_assert_int_eq(chown(pub, 12345, 0), 0);
        can_open("signed", ERR_HOST, "belongs to uid 12345");
    }
    ck_assert_int_eq(unlink(policy), 0);
    ck_assert_int_eq(symlink("nowhere", policy), 0);
    can_open("signed", ERR_HOST, "policy.json'");
    end();
}
END_TEST

SUITE("trust", a_signature_of_a_trusted_key_is_found,
      a_signature_of_another_image_or_key_is_worth_nothing,
      a_signature_with_one_other_digit_is_refused, a_signature_file_that_is_not_exact_is_refused,
      only_a_signature_of_the_right_form_is_taken_from_elsewhere,
      a_policy_lets_only_signed_images_run, a_policy_that_cannot_be_read_lets_nothing_run)
