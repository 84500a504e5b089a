/* key: X25519 keys of age, as text and as files. See key.h. */
#include "seal/key.h"

#include "base/file.h"
#include "base/own.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#define PUBLIC_PREFIX "age"
#define SECRET_PREFIX "age-secret-key-" /* in lower case, as it enters the checksum */
#define SECRET_START  "AGE-SECRET-KEY-"
#define FILE_MAX      4096 /* bytes of an identity file */

/* ---- Bech32, of 32 bytes --------------------------------------------------------------------- */

#define GROUPS   52 /* of 5 bits: 32 bytes and 4 bits that are zero */
#define CHECKSUM 6

static const char charset[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

static uint32_t polymod(uint32_t sum, unsigned value)
{
    static const uint32_t generator[] = {0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd,
                                         0x2a1462b3};
    uint32_t top = sum >> 25;

    sum = (sum & 0x1ffffff) << 5 ^ value;
    for (unsigned i = 0; i < 5; i++)
        if (top >> i & 1)
            sum ^= generator[i];
    return sum;
}

static uint32_t polymod_prefix(const char *prefix)
{
    uint32_t sum = 1;

    for (const char *p = prefix; *p; p++)
        sum = polymod(sum, (unsigned)*p >> 5);
    sum = polymod(sum, 0);
    for (const char *p = prefix; *p; p++)
        sum = polymod(sum, (unsigned)*p & 31);
    return sum;
}

/* Appends '1', data and checksum. `out` has room for 1 + 52 + 6 and a NUL. */
static void encode(const char *prefix, const unsigned char raw[SEAL_KEY_BYTES], char *out)
{
    uint32_t sum = polymod_prefix(prefix);

    *out++ = '1';
    for (unsigned i = 0; i < GROUPS; i++) {
        unsigned bit = 5 * i, at = bit / 8;
        unsigned two = (unsigned)raw[at] << 8 | (at + 1 < SEAL_KEY_BYTES ? raw[at + 1] : 0u);
        unsigned value = two >> (11 - bit % 8) & 31;

        sum = polymod(sum, value);
        *out++ = charset[value];
    }
    for (unsigned i = 0; i < CHECKSUM; i++)
        sum = polymod(sum, 0);
    sum ^= 1;
    for (unsigned i = 0; i < CHECKSUM; i++)
        *out++ = charset[sum >> (25 - 5 * i) & 31];
    *out = '\0';
}

/* All of one case, which `upper` says; a character's value, or -1. */
static int value_of(char c, bool upper)
{
    const char *at;

    if (upper ? (c >= 'a' && c <= 'z') : (c >= 'A' && c <= 'Z'))
        return -1;
    if (upper && c >= 'A' && c <= 'Z')
        c = (char)(c - 'A' + 'a');
    at = c ? strchr(charset, c) : NULL;
    return at ? (int)(at - charset) : -1;
}

/* `text` begins behind the prefix. False if it is not exactly '1', 32 bytes and their checksum. */
static bool decode(const char *prefix, const char *text, size_t len, bool upper,
                   unsigned char ret[SEAL_KEY_BYTES])
{
    uint32_t sum = polymod_prefix(prefix), bits = 0;
    unsigned have = 0, bytes = 0;

    if (len != 1 + GROUPS + CHECKSUM || text[0] != '1')
        return false;
    for (unsigned i = 0; i < GROUPS + CHECKSUM; i++) {
        int value = value_of(text[1 + i], upper);

        if (value < 0)
            return false;
        sum = polymod(sum, (unsigned)value);
        if (i >= GROUPS)
            continue;
        bits = bits << 5 | (unsigned)value;
        have += 5;
        if (have >= 8) {
            have -= 8;
            ret[bytes++] = (unsigned char)(bits >> have & 0xff);
        }
    }
    return sum == 1 && (bits & ((1u << have) - 1)) == 0;
}

/* ---- public keys ----------------------------------------------------------------------------- */

int seal_public_parse(const char *text, struct seal_public *ret, struct err *e)
{
    size_t prefix = strlen(PUBLIC_PREFIX), len = strlen(text);
    struct seal_public p = {0};

    if (len < prefix || strncmp(text, PUBLIC_PREFIX, prefix) != 0 ||
        !decode(PUBLIC_PREFIX, text + prefix, len - prefix, false, p.raw))
        return err_set(e, ERR_USAGE,
                       "is not a public key (age1..., as 'lazaret keygen' or age-keygen print it)");
    *ret = p;
    return 0;
}

void seal_public_format(const struct seal_public *p, char ret[SEAL_PUBLIC_SIZE])
{
    memcpy(ret, PUBLIC_PREFIX, strlen(PUBLIC_PREFIX));
    encode(PUBLIC_PREFIX, p->raw, ret + strlen(PUBLIC_PREFIX));
}

/* ---- identities ------------------------------------------------------------------------------ */

void seal_identity_free(struct seal_identity *id)
{
    sodium_free(id); /* wipes */
}

static struct seal_identity *new_identity(struct err *e)
{
    struct seal_identity *id = sodium_init() < 0 ? NULL : sodium_malloc(sizeof(*id));

    if (!id)
        err_set(e, ERR_HOST, "no memory for a key");
    return id;
}

/* The line `text`, "AGE-SECRET-KEY-1...". */
static bool parse_secret(const char *text, size_t len, struct seal_identity *id)
{
    size_t prefix = strlen(SECRET_START);

    return len >= prefix && memcmp(text, SECRET_START, prefix) == 0 &&
           decode(SECRET_PREFIX, text + prefix, len - prefix, true, id->secret) &&
           crypto_scalarmult_base(id->public.raw, id->secret) == 0;
}

int seal_identity_parse(const char *text, size_t len, const char *what, struct seal_identity **ret,
                        struct err *e)
{
    own_seal_identity struct seal_identity *id = new_identity(e);
    unsigned keys = 0;

    if (!id)
        return -1;
    for (size_t at = 0; at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t n = end ? (size_t)(end - (text + at)) : len - at, next = at + n + 1;

        if (n > 0 && text[at + n - 1] == '\r')
            n--;
        if (n > 0 && text[at] != '#') {
            if (!parse_secret(text + at, n, id))
                return err_set(e, ERR_USAGE,
                               "'%s' is not an identity (AGE-SECRET-KEY-1..., as 'lazaret keygen' "
                               "and age-keygen make it)",
                               what);
            keys++;
        }
        at = next;
    }
    if (keys != 1)
        return err_set(e, ERR_USAGE, "'%s' has %u keys (an identity file has one)", what, keys);
    *ret = own_steal_ptr(id);
    return 0;
}

/* Whose it is, and who can read it. */
static int check_mode(int fd, const char *what, struct err *e)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot look at '%s'", what);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_USAGE, "'%s' is not a file", what);
    if ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & 077))
        return err_set(e, ERR_REFUSED,
                       "'%s' is open to others: it must be yours, and its mode 0600 (mode is %04o)",
                       what, st.st_mode & 07777);
    if (st.st_size > FILE_MAX)
        return err_set(e, ERR_USAGE, "'%s' is over %d bytes", what, FILE_MAX);
    return 0;
}

int seal_identity_read(int fd, const char *what, struct seal_identity **ret, struct err *e)
{
    char *text;
    size_t len = 0;
    int rc = 0;

    if (check_mode(fd, what, e) < 0)
        return -1;
    text = sodium_init() < 0 ? NULL : sodium_malloc(FILE_MAX);
    if (!text)
        return err_set(e, ERR_HOST, "no memory for a key");
    while (len < FILE_MAX) {
        ssize_t n = pread(fd, text + len, FILE_MAX - len, (off_t)len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = err_sys(e, ERR_HOST, errno, "cannot read '%s'", what);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    if (rc == 0)
        rc = seal_identity_parse(text, len, what, ret, e);
    sodium_free(text);
    return rc;
}

/* The text of an identity file; at most FILE_MAX bytes, in memory that is wiped. */
static size_t format_identity(const struct seal_identity *id, char *text)
{
    char public[SEAL_PUBLIC_SIZE];
    size_t n;

    seal_public_format(&id->public, public);
    n = (size_t)snprintf(text, FILE_MAX, "# public key: %s\n", public);
    memcpy(text + n, SECRET_PREFIX, strlen(SECRET_PREFIX));
    encode(SECRET_PREFIX, id->secret, text + n + strlen(SECRET_PREFIX));
    for (char *p = text + n; *p; p++)
        if (*p >= 'a' && *p <= 'z')
            *p = (char)(*p - 'a' + 'A');
    n += strlen(text + n);
    text[n++] = '\n';
    return n;
}

static int write_new(const char *path, const char *text, size_t len, struct err *e)
{
    own_close int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0 && errno == EEXIST)
        return err_set(e, ERR_USAGE, "'%s' is there already", path);
    if (fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot make '%s'", path);
    if (file_write_all(fd, text, len) < 0 || fsync(fd) < 0) {
        int errnum = errno;

        unlink(path);
        return err_sys(e, ERR_HOST, errnum, "cannot write '%s'", path);
    }
    return 0;
}

int seal_identity_make(const char *path, struct seal_public *ret, struct err *e)
{
    own_seal_identity struct seal_identity *id = new_identity(e);
    char *text = id ? sodium_malloc(FILE_MAX) : NULL;
    int rc;

    if (!text)
        return err_set(e, ERR_HOST, "no memory for a key");
    randombytes_buf(id->secret, sizeof(id->secret));
    crypto_scalarmult_base(id->public.raw, id->secret);
    rc = write_new(path, text, format_identity(id, text), e);
    sodium_free(text);
    if (rc == 0)
        *ret = id->public;
    return rc;
}
