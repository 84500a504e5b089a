/* sign: Ed25519 signatures, by OpenSSL, with keys in PEM files. */
#include "base/sign.h"

#include "base/file.h"
#include "base/own.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>
#include <sys/stat.h>

struct sign_key {
    EVP_PKEY *pkey;
    struct sign_public public;
};

static void free_pkey(EVP_PKEY **k)
{
    EVP_PKEY_free(*k);
}
static void free_bio(BIO **b)
{
    BIO_free_all(*b);
}
static void free_md(EVP_MD_CTX **c)
{
    EVP_MD_CTX_free(*c);
}
#define own_pkey __attribute__((cleanup(free_pkey)))
#define own_bio  __attribute__((cleanup(free_bio)))
#define own_md   __attribute__((cleanup(free_md)))

/* What OpenSSL has to say stays in its queue otherwise, for whoever asks next. */
static int failed(const char *what, const char *problem, struct err *e)
{
    ERR_clear_error();
    return err_set(e, ERR_HOST, "'%s' %s", what, problem);
}

void sign_key_free(struct sign_key *k)
{
    if (!k)
        return;
    EVP_PKEY_free(k->pkey);
    free(k);
}

void sign_key_public(const struct sign_key *k, struct sign_public *ret)
{
    *ret = k->public;
}

/* The public half of either kind of key. */
static int read_public(const EVP_PKEY *pkey, const char *what, struct sign_public *ret,
                       struct err *e)
{
    struct sign_public p = {0};
    size_t len = sizeof(p.raw);

    if (EVP_PKEY_get_id(pkey) != EVP_PKEY_ED25519)
        return failed(what, "is not an Ed25519 key", e);
    if (EVP_PKEY_get_raw_public_key(pkey, p.raw, &len) != 1 || len != sizeof(p.raw))
        return failed(what, "has no public key", e);
    if (digest_bytes(p.raw, sizeof(p.raw), p.id, e) < 0)
        return -1;
    *ret = p;
    return 0;
}

/* No key of ours has a passphrase, and nobody is asked for one. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

int sign_public_parse(const char *text, size_t len, const char *what, struct sign_public *ret,
                      struct err *e)
{
    own_bio BIO *bio = len > INT_MAX ? NULL : BIO_new_mem_buf(text, (int)len);
    own_pkey EVP_PKEY *pkey = bio ? PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL) : NULL;

    if (!pkey)
        return failed(what, "is not a public key in PEM", e);
    return read_public(pkey, what, ret, e);
}

#define SEED_BYTES 32
/* What every key of ours has in front of them (RFC 8410, section 7). */
static const unsigned char pkcs8_head[] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                                           0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};

/* Returns new, or NULL: it is written in another way. OpenSSL's readers, which ask each of their
 * decoders, take longer than all else that a record needs. */
static EVP_PKEY *read_short(BIO *bio)
{
    const size_t head = sizeof(pkcs8_head);
    unsigned char *der = NULL;
    EVP_PKEY *k = NULL;
    long len = 0;

    if (PEM_bytes_read_bio(&der, &len, NULL, PEM_STRING_PKCS8INF, bio, no_passphrase, NULL) == 1 &&
        (size_t)len == head + SEED_BYTES && memcmp(der, pkcs8_head, head) == 0)
        k = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, der + head, SEED_BYTES);
    OPENSSL_clear_free(der, (size_t)len);
    ERR_clear_error();
    return k;
}

static int parse_private(const char *text, size_t len, const char *path, struct sign_key *ret,
                         struct err *e)
{
    own_bio BIO *bio = BIO_new_mem_buf(text, (int)len);

    ret->pkey = bio ? read_short(bio) : NULL;
    if (bio && !ret->pkey && BIO_reset(bio) == 1)
        ret->pkey = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    if (!ret->pkey)
        return failed(path, "is not a private key in PEM without a passphrase", e);
    return read_public(ret->pkey, path, &ret->public, e);
}

int sign_key_open(const char *path, struct sign_key **ret, struct err *e)
{
    own_sign_key struct sign_key *k = calloc(1, sizeof(*k));
    own_free char *text = NULL;
    size_t len;
    int rc;

    if (!k)
        return err_set(e, ERR_HOST, "out of memory");
    if (file_read_ours(AT_FDCWD, path, SIGN_FILE_MAX, 077, &text, &len, e) < 0)
        /* cppcheck-suppress memleak ; cleanup frees it */
        return -1;
    rc = parse_private(text, len, path, k, e);
    OPENSSL_cleanse(text, len);
    if (rc < 0)
        return -1;
    *ret = own_steal_ptr(k);
    return 0;
}

/* A new file, synced; the caller removes it when that fails. */
static int write_new(const char *path, mode_t mode, const char *data, size_t len, struct err *e)
{
    own_close int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);

    if (fd < 0 && errno == EEXIST)
        return err_set(e, ERR_HOST, "'%s' is there already", path);
    if (fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot make '%s'", path);
    if (file_write_all(fd, data, len) < 0 || fsync(fd) < 0) {
        int errnum = errno;

        unlink(path);
        return err_sys(e, ERR_HOST, errnum, "cannot write '%s'", path);
    }
    return 0;
}

int sign_key_make(const char *path, struct sign_public *ret, struct err *e)
{
    own_free char *pub_path = str_printf("%s.pub", path);
    own_pkey EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    own_bio BIO *private = BIO_new(BIO_s_secmem());
    own_bio BIO *public = BIO_new(BIO_s_mem());
    char *private_text, *public_text;
    long private_len, public_len;
    struct sign_public p;

    if (!pkey || !private || !public ||
        PEM_write_bio_PKCS8PrivateKey(private, pkey, NULL, NULL, 0, NULL, NULL) != 1 ||
        PEM_write_bio_PUBKEY(public, pkey) != 1)
        return failed(path, "cannot be made: OpenSSL has no Ed25519", e);
    if (read_public(pkey, path, &p, e) < 0)
        return -1;
    private_len = BIO_get_mem_data(private, &private_text);
    public_len = BIO_get_mem_data(public, &public_text);
    if (write_new(pub_path, 0644, public_text, (size_t)public_len, e) < 0)
        return -1;
    if (write_new(path, 0600, private_text, (size_t)private_len, e) < 0) {
        unlink(pub_path);
        return -1;
    }
    *ret = p;
    return 0;
}

int sign_bytes(const struct sign_key *k, const void *data, size_t len,
               unsigned char ret[SIGN_BYTES], struct err *e)
{
    own_md EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char signature[SIGN_BYTES];
    size_t n = sizeof(signature);

    if (!ctx || EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->pkey) != 1 ||
        EVP_DigestSign(ctx, signature, &n, data, len) != 1 || n != sizeof(signature))
        return failed(k->public.id, "cannot sign", e);
    memcpy(ret, signature, sizeof(signature));
    return 0;
}

bool sign_is_good(const struct sign_public *p, const void *data, size_t len,
                  const unsigned char signature[SIGN_BYTES])
{
    own_md EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    own_pkey EVP_PKEY *pkey =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, p->raw, sizeof(p->raw));
    bool good = ctx && pkey && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
                EVP_DigestVerify(ctx, signature, SIGN_BYTES, data, len) == 1;

    ERR_clear_error();
    return good;
}
