/* sni: the server's name in a TLS ClientHello. See sni.h. */
#include "gateway/sni.h"

#include <stdbool.h>
#include <string.h>

#define RECORD_HANDSHAKE 22
#define RECORD_MAX       16384u
#define CLIENT_HELLO     1
#define EXT_SERVER_NAME  0
#define NAME_HOST        0

/* The handshake's bytes, whatever records they are cut into. */
struct at {
    const uint8_t *data;
    size_t len, pos;
    size_t record;    /* bytes left in this record */
    size_t hello;     /* bytes left in the ClientHello; SIZE_MAX: not known yet */
    enum sni trouble; /* SNI_MORE or SNI_BAD once a byte could not be had; else SNI_NAME */
};

static bool fail(struct at *a, enum sni trouble)
{
    if (a->trouble == SNI_NAME)
        a->trouble = trouble;
    return false;
}

static bool next_record(struct at *a)
{
    const uint8_t *h = a->data + a->pos;
    size_t left = a->len - a->pos;

    /* As early as it can be told: what is no TLS is not waited for. */
    if ((left > 0 && h[0] != RECORD_HANDSHAKE) || (left > 1 && h[1] != 3))
        return fail(a, SNI_BAD);
    if (left < 5)
        return fail(a, SNI_MORE);
    a->record = (size_t)h[3] << 8 | h[4];
    if (a->record == 0 || a->record > RECORD_MAX)
        return fail(a, SNI_BAD);
    a->pos += 5;
    return true;
}

static bool get_u8(struct at *a, unsigned *ret)
{
    if (a->trouble != SNI_NAME)
        return false;
    if (a->hello == 0)
        return fail(a, SNI_BAD);
    if (a->record == 0 && !next_record(a))
        return false;
    if (a->pos == a->len)
        return fail(a, SNI_MORE);
    *ret = a->data[a->pos++];
    a->record--;
    if (a->hello != SIZE_MAX)
        a->hello--;
    return true;
}

static bool get_u16(struct at *a, unsigned *ret)
{
    unsigned high, low;

    if (!get_u8(a, &high) || !get_u8(a, &low))
        return false;
    *ret = high << 8 | low;
    return true;
}

static bool skip(struct at *a, size_t n)
{
    unsigned ignored;

    while (n-- > 0)
        if (!get_u8(a, &ignored))
            return false;
    return true;
}

static bool is_of_a_name(unsigned c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

/* The one entry of a server_name extension of `size` bytes. */
static bool read_name(struct at *a, size_t size, char *ret)
{
    unsigned list, type, len;

    if (!get_u16(a, &list) || !get_u8(a, &type) || !get_u16(a, &len))
        return false;
    if (size != (size_t)len + 5 || list != len + 3 || type != NAME_HOST || len == 0 ||
        len >= SNI_NAME_SIZE)
        return fail(a, SNI_BAD);
    for (unsigned i = 0; i < len; i++) {
        unsigned c;

        if (!get_u8(a, &c))
            return false;
        if (c >= 'A' && c <= 'Z')
            c += 'a' - 'A';
        if (!is_of_a_name(c))
            return fail(a, SNI_BAD);
        ret[i] = (char)c;
    }
    ret[len] = '\0';
    return true;
}

/* Sets *ret_named when there was one. */
static bool read_extensions(struct at *a, char *ret, bool *ret_named)
{
    unsigned total, type, size;

    *ret_named = false;
    if (a->hello == 0) /* TLS 1.2 without any */
        return true;
    if (!get_u16(a, &total))
        return false;
    if (total != a->hello)
        return fail(a, SNI_BAD);
    while (a->hello > 0) {
        if (!get_u16(a, &type) || !get_u16(a, &size))
            return false;
        if (size > a->hello)
            return fail(a, SNI_BAD);
        if (type != EXT_SERVER_NAME) {
            if (!skip(a, size))
                return false;
            continue;
        }
        if (*ret_named)
            return fail(a, SNI_BAD);
        if (!read_name(a, size, ret))
            return false;
        *ret_named = true;
    }
    return true;
}

static bool read_hello(struct at *a, char *ret, bool *ret_named)
{
    unsigned type, high, low, n;

    if (!get_u8(a, &type) || !get_u8(a, &high) || !get_u16(a, &low))
        return false;
    if (type != CLIENT_HELLO || high != 0)
        return fail(a, SNI_BAD);
    a->hello = low;
    if (!skip(a, 2 + 32) || !get_u8(a, &n) || !skip(a, n)) /* version, random, session */
        return false;
    if (!get_u16(a, &n) || !skip(a, n) || !get_u8(a, &n) || !skip(a, n)) /* ciphers, compression */
        return false;
    return read_extensions(a, ret, ret_named);
}

enum sni sni_read(const uint8_t *data, size_t len, char *ret)
{
    struct at a = {.data = data, .len = len, .hello = SIZE_MAX, .trouble = SNI_NAME};
    char name[SNI_NAME_SIZE];
    bool named;

    if (!read_hello(&a, name, &named))
        return a.trouble == SNI_MORE && len >= SNI_HELLO_MAX ? SNI_BAD : a.trouble;
    if (!named)
        return SNI_NONE;
    memcpy(ret, name, strlen(name) + 1);
    return SNI_NAME;
}
