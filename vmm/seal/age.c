/* age: seals bytes to public keys, and opens what was sealed. See age.h. */
#include "seal/age.h"

#include "base/file.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#define FILE_KEY    16u
#define LABEL_WRAP  "age-encryption.org/v1/X25519"
#define LABEL_MAC   "header"
#define LABEL_BYTES "payload"

_Static_assert(crypto_aead_chacha20poly1305_IETF_ABYTES == SEAL_TAG, "the tag of a chunk");
_Static_assert(SEAL_BODY_BYTES == FILE_KEY + SEAL_TAG, "a wrapped file key");
_Static_assert(SEAL_HEADER_MAX > (SEAL_RECIPIENTS_MAX + 2) * SEAL_STANZA_CHARS, "ours fit");

/* HKDF-SHA-256 (RFC 5869) of one block; libsodium has it from 1.0.19 on only. */
static void derive(const unsigned char *key, size_t key_len, const unsigned char *salt,
                   size_t salt_len, const char *label, unsigned char ret[32])
{
    static const unsigned char one = 1;
    crypto_auth_hmacsha256_state s;
    unsigned char prk[32];

    crypto_auth_hmacsha256_init(&s, salt, salt_len);
    crypto_auth_hmacsha256_update(&s, key, key_len);
    crypto_auth_hmacsha256_final(&s, prk);
    crypto_auth_hmacsha256_init(&s, prk, sizeof(prk));
    crypto_auth_hmacsha256_update(&s, (const unsigned char *)label, strlen(label));
    crypto_auth_hmacsha256_update(&s, &one, 1);
    crypto_auth_hmacsha256_final(&s, ret);
    sodium_memzero(prk, sizeof(prk));
    sodium_memzero(&s, sizeof(s));
}

/* The key that wraps the file key between an ephemeral share and a recipient; false if what one
 * side sent is a point that leaves no secret. */
static bool wrap_key(const unsigned char *secret, const unsigned char *theirs,
                     const unsigned char *share, const unsigned char *recipient,
                     unsigned char ret[32])
{
    unsigned char shared[32], salt[64];
    bool good = crypto_scalarmult(shared, secret, theirs) == 0;

    memcpy(salt, share, 32);
    memcpy(salt + 32, recipient, 32);
    if (good)
        derive(shared, sizeof(shared), salt, sizeof(salt), LABEL_WRAP, ret);
    sodium_memzero(shared, sizeof(shared));
    return good;
}

static void make_mac(const unsigned char *file_key, const char *head, size_t len,
                     unsigned char ret[SEAL_MAC_BYTES])
{
    static const unsigned char none[1];
    unsigned char key[32];
    crypto_auth_hmacsha256_state s;

    derive(file_key, FILE_KEY, none, 0, LABEL_MAC, key);
    crypto_auth_hmacsha256_init(&s, key, sizeof(key));
    crypto_auth_hmacsha256_update(&s, (const unsigned char *)head, len);
    crypto_auth_hmacsha256_final(&s, ret);
    sodium_memzero(key, sizeof(key));
    sodium_memzero(&s, sizeof(s));
}

/* 88 bits of the chunk's number, and whether it is the last. */
static void chunk_nonce(uint64_t chunk, bool last, unsigned char ret[12])
{
    memset(ret, 0, 12);
    for (unsigned i = 0; i < 8; i++)
        ret[10 - i] = (unsigned char)(chunk >> 8 * i);
    ret[11] = last;
}

/* ---- sealing --------------------------------------------------------------------------------- */

static bool add_recipient(struct seal_writer *w, const unsigned char *file_key,
                          const struct seal_public *to)
{
    static const unsigned char zero[12];
    unsigned char secret[32], key[32];
    struct seal_stanza s;
    bool good;

    randombytes_buf(secret, sizeof(secret));
    crypto_scalarmult_base(s.share, secret);
    good = wrap_key(secret, to->raw, s.share, to->raw, key);
    if (good) {
        crypto_aead_chacha20poly1305_ietf_encrypt(s.body, NULL, file_key, FILE_KEY, NULL, 0, NULL,
                                                  zero, key);
        seal_header_add(w->head, &w->head_len, &s);
    }
    sodium_memzero(secret, sizeof(secret));
    sodium_memzero(key, sizeof(key));
    return good;
}

int seal_begin(struct seal_writer *w, const struct seal_public *to, size_t n, struct err *e)
{
    unsigned char file_key[FILE_KEY], mac[SEAL_MAC_BYTES], nonce[SEAL_NONCE_BYTES];
    bool good = n > 0 && n <= SEAL_RECIPIENTS_MAX;

    if (sodium_init() < 0)
        return err_set(e, ERR_HOST, "libsodium cannot be used here");
    memset(w, 0, sizeof(*w));
    w->fd = -1;
    randombytes_buf(file_key, sizeof(file_key));
    seal_header_begin(w->head, &w->head_len);
    for (size_t i = 0; i < n && good; i++)
        good = add_recipient(w, file_key, &to[i]);
    if (good) {
        seal_header_mark(w->head, &w->head_len);
        make_mac(file_key, w->head, w->head_len, mac);
        seal_header_end(w->head, &w->head_len, mac);
        randombytes_buf(nonce, sizeof(nonce));
        memcpy(w->head + w->head_len, nonce, sizeof(nonce));
        w->head_len += sizeof(nonce);
        derive(file_key, sizeof(file_key), nonce, sizeof(nonce), LABEL_BYTES, w->stream.key);
    }
    sodium_memzero(file_key, sizeof(file_key));
    return good ? 0 : err_set(e, ERR_USAGE, "that is a key that nobody can have, or too many");
}

static int write_chunk(struct seal_writer *w, bool last)
{
    unsigned char nonce[12];

    if (w->head_len > 0 && file_write_all(w->fd, w->head, w->head_len) < 0)
        return -1;
    w->head_len = 0;
    chunk_nonce(w->stream.chunk++, last, nonce);
    crypto_aead_chacha20poly1305_ietf_encrypt(w->sealed, NULL, w->plain, w->fill, NULL, 0, NULL,
                                              nonce, w->stream.key);
    if (file_write_all(w->fd, w->sealed, w->fill + SEAL_TAG) < 0)
        return -1;
    w->fill = 0;
    return 0;
}

int seal_put(struct seal_writer *w, const void *data, size_t len)
{
    const unsigned char *p = data;

    while (len > 0) {
        size_t n = SEAL_CHUNK - w->fill < len ? SEAL_CHUNK - w->fill : len;

        /* A full one waits: it may be the last. */
        if (n == 0) {
            if (write_chunk(w, false) < 0)
                return -1;
            continue;
        }
        memcpy(w->plain + w->fill, p, n);
        w->fill += n;
        p += n;
        len -= n;
    }
    return 0;
}

int seal_end(struct seal_writer *w)
{
    int rc = write_chunk(w, true), errnum = errno;

    sodium_memzero(&w->stream, sizeof(w->stream));
    sodium_memzero(w->plain, sizeof(w->plain));
    errno = errnum;
    return rc;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* As much as there is, up to `len`; -1 and errno. */
static ssize_t read_at(int fd, void *to, size_t len, uint64_t at)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = pread(fd, (char *)to + done, len - done, (off_t)(at + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

static bool unwrap(const struct seal_header *h, const struct seal_identity *id,
                   unsigned char file_key[FILE_KEY])
{
    static const unsigned char zero[12];
    unsigned char key[32];
    bool good = false;

    for (size_t i = 0; i < h->n && !good; i++)
        good =
            wrap_key(id->secret, h->stanzas[i].share, h->stanzas[i].share, id->public.raw, key) &&
            crypto_aead_chacha20poly1305_ietf_decrypt(file_key, NULL, NULL, h->stanzas[i].body,
                                                      SEAL_BODY_BYTES, NULL, 0, zero, key) == 0;
    sodium_memzero(key, sizeof(key));
    return good;
}

/* With the file key: is the header as it was made, and what is the stream's key? */
static bool take_file_key(struct seal_reader *r, const unsigned char *file_key)
{
    const struct seal_header *h = &r->header;
    unsigned char mac[SEAL_MAC_BYTES];

    make_mac(file_key, r->head, h->mac_at, mac);
    if (sodium_memcmp(mac, h->mac, sizeof(mac)) != 0)
        return false;
    derive(file_key, FILE_KEY, (const unsigned char *)r->head + h->size, SEAL_NONCE_BYTES,
           LABEL_BYTES, r->stream.key);
    return true;
}

int seal_open(struct seal_reader *r, int fd, const struct seal_identity *id, struct err *e)
{
    unsigned char file_key[FILE_KEY];
    ssize_t n;
    bool good;

    if (sodium_init() < 0)
        return err_set(e, ERR_HOST, "libsodium cannot be used here");
    memset(r, 0, sizeof(*r));
    r->fd = fd;
    n = read_at(fd, r->head, sizeof(r->head), 0);
    if (n < 0)
        return err_sys(e, ERR_HOST, errno, "cannot read the sealed file");
    if (!seal_header_parse(r->head, (size_t)n, &r->header) ||
        (size_t)n - r->header.size < SEAL_NONCE_BYTES)
        return err_set(e, ERR_USAGE, "it is not sealed in the format age v1 (binary, not armored)");
    if (!unwrap(&r->header, id, file_key))
        return err_set(e, ERR_USAGE, "it is not sealed to this identity");
    good = take_file_key(r, file_key);
    sodium_memzero(file_key, sizeof(file_key));
    if (!good)
        return err_set(e, ERR_USAGE, "its header was changed");
    r->offset = r->header.size + SEAL_NONCE_BYTES;
    return 0;
}

int seal_next(struct seal_reader *r, const unsigned char **ret, size_t *ret_len, struct err *e)
{
    unsigned char nonce[12];
    unsigned long long len = 0;
    ssize_t n;
    bool last;

    *ret_len = 0;
    *ret = r->plain;
    if (r->ended)
        return 0;
    n = read_at(r->fd, r->sealed, sizeof(r->sealed), r->offset);
    if (n < 0)
        return err_sys(e, ERR_HOST, errno, "cannot read the sealed file");
    last = (size_t)n < sizeof(r->sealed); /* one byte more than a chunk shows that there is more */
    if (!last)
        n--;
    chunk_nonce(r->stream.chunk, last, nonce);
    if ((size_t)n < SEAL_TAG || crypto_aead_chacha20poly1305_ietf_decrypt(
                                    r->plain, &len, NULL, r->sealed, (unsigned long long)n, NULL, 0,
                                    nonce, r->stream.key) != 0)
        return err_set(e, ERR_USAGE, "it was changed or cut off (at byte %llu)",
                       (unsigned long long)r->offset);
    if (len == 0 && r->stream.chunk > 0)
        return err_set(e, ERR_USAGE, "it ends with an empty chunk, which nobody writes");
    r->stream.chunk++;
    r->offset += (uint64_t)n;
    r->ended = last;
    *ret_len = (size_t)len;
    return 0;
}

void seal_close(struct seal_reader *r)
{
    sodium_memzero(r, sizeof(*r));
}
