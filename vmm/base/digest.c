/* digest: SHA-256 of files and buffers, by OpenSSL, as lower-case hex. */
#include "base/digest.h"

#include "base/own.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

static void free_ctx(EVP_MD_CTX **ctx)
{
    EVP_MD_CTX_free(*ctx);
}

static int finish(EVP_MD_CTX *ctx, char ret_hex[DIGEST_HEX_SIZE], struct err *e)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    if (!EVP_DigestFinal_ex(ctx, md, &n) || n != 32)
        return err_set(e, ERR_HOST, "sha256 failed");
    for (unsigned i = 0; i < n; i++)
        snprintf(ret_hex + (size_t)i * 2, 3, "%02x", md[i]);
    return 0;
}

/* Hashes from *at until `end`, or the end of the file if that comes first; *at is where it was. */
static int hash(int fd, uint64_t *at, uint64_t end, char ret_hex[DIGEST_HEX_SIZE], struct err *e)
{
    __attribute__((cleanup(free_ctx))) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const size_t chunk = 1 << 20;
    own_free unsigned char *buf = malloc(chunk);

    if (!buf || !ctx || !EVP_DigestInit_ex(ctx, EVP_sha256(), NULL))
        return err_set(e, ERR_HOST, "sha256 failed");
    while (*at < end) {
        ssize_t n = pread(fd, buf, end - *at < chunk ? (size_t)(end - *at) : chunk, (off_t)*at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, ERR_HOST, errno, "cannot read");
        if (n == 0)
            break;
        if (!EVP_DigestUpdate(ctx, buf, (size_t)n))
            return err_set(e, ERR_HOST, "sha256 failed");
        *at += (uint64_t)n;
    }
    return finish(ctx, ret_hex, e);
}

int digest_fd(int fd, char ret_hex[DIGEST_HEX_SIZE], uint64_t *ret_size_bytes, struct err *e)
{
    uint64_t at = 0;

    if (hash(fd, &at, UINT64_MAX, ret_hex, e) < 0)
        return -1;
    *ret_size_bytes = at;
    return 0;
}

int digest_range(int fd, uint64_t offset, uint64_t size, char ret_hex[DIGEST_HEX_SIZE],
                 struct err *e)
{
    uint64_t at = offset, end = offset + size;
    char hex[DIGEST_HEX_SIZE];

    if (hash(fd, &at, end, hex, e) < 0)
        return -1;
    if (at != end)
        return err_set(e, ERR_HOST, "the file became shorter while it was read");
    memcpy(ret_hex, hex, sizeof(hex));
    return 0;
}

int digest_bytes(const void *data, size_t len, char ret_hex[DIGEST_HEX_SIZE], struct err *e)
{
    __attribute__((cleanup(free_ctx))) EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    if (!ctx || !EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) || !EVP_DigestUpdate(ctx, data, len))
        return err_set(e, ERR_HOST, "sha256 failed");
    return finish(ctx, ret_hex, e);
}

struct digest {
    EVP_MD_CTX *ctx;
};

int digest_new(struct digest **ret, struct err *e)
{
    own_digest struct digest *d = calloc(1, sizeof(*d));

    if (d)
        d->ctx = EVP_MD_CTX_new();
    if (!d || !d->ctx || !EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL))
        return err_set(e, ERR_HOST, "sha256 failed");
    *ret = own_steal_ptr(d);
    /* cppcheck-suppress memleak ; cleanup frees it */
    return 0;
}

int digest_add(struct digest *d, const void *data, size_t len, struct err *e)
{
    if (!EVP_DigestUpdate(d->ctx, data, len))
        return err_set(e, ERR_HOST, "sha256 failed");
    return 0;
}

int digest_restart(struct digest *d, struct err *e)
{
    if (!EVP_DigestInit_ex(d->ctx, NULL, NULL))
        return err_set(e, ERR_HOST, "sha256 failed");
    return 0;
}

int digest_finish(struct digest *d, char ret_hex[DIGEST_HEX_SIZE], struct err *e)
{
    return finish(d->ctx, ret_hex, e);
}

void digest_free(struct digest *d)
{
    if (!d)
        return;
    EVP_MD_CTX_free(d->ctx);
    free(d);
}

bool digest_is_prefix(const char *text)
{
    size_t len = strspn(text, "0123456789abcdef");

    return text[len] == '\0' && len >= DIGEST_PREFIX_MIN && len < DIGEST_HEX_SIZE;
}

bool digest_is_hex(const char *text)
{
    return digest_is_prefix(text) && strlen(text) == DIGEST_HEX_SIZE - 1;
}
