/* dns: the resolver in the guest that resolves nothing. See dns.h. UNTRUSTED input. */
#include "agent/dns.h"

#include "shared/net.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

enum { /* RFC 1035, 4.1 */
       HEAD = 12,
       FLAG_QR = 0x80, /* first byte of the flags */
       FLAG_OPCODE = 0x78,
       FLAG_RD = 0x01,
       FLAG_RA = 0x80, /* second */
       NO_ERROR = 0,
       FORMAT_ERROR = 1,
       NO_SUCH_NAME = 3,
       TYPE_A = 1,
       TYPE_OPT = 41,
       CLASS_IN = 1,
       TTL = 60,
       NAME_MAX_LABELS = 253,
};

static unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

/* The question's name as text, "" for the root. Returns where it ends, 0: it is none. */
static size_t parse_name(const uint8_t *p, size_t len, char ret[NAME_MAX_LABELS + 1])
{
    size_t at = HEAD, out = 0;

    while (at < len && p[at] != 0) {
        size_t n = p[at];

        if (n > 63 || n >= len - at || out + n + 1 > NAME_MAX_LABELS)
            return 0;
        if (out > 0)
            ret[out++] = '.';
        memcpy(ret + out, p + at + 1, n);
        out += n;
        at += n + 1;
    }
    ret[out] = '\0';
    return at < len ? at + 1 : 0;
}

static bool is_below(const char *name, const char *domain)
{
    size_t len = strlen(name), tail = strlen(domain);

    if (len < tail || strcasecmp(name + len - tail, domain) != 0)
        return false;
    return len == tail || name[len - tail - 1] == '.';
}

static size_t add_loopback(uint8_t *ret, size_t at)
{
    static const uint8_t record[] = {0xc0, HEAD, 0, TYPE_A, 0,   CLASS_IN, 0, 0,
                                     0,    TTL,  0, 4,      127, 0,        0, 1};

    memcpy(ret + at, record, sizeof(record));
    ret[7] = 1; /* answers */
    return at + sizeof(record);
}

/* An OPT record with the extended error 18, prohibited. */
static size_t add_reason(uint8_t *ret, size_t at)
{
    static const uint8_t record[] = {
        0, 0, TYPE_OPT, DNS_ANSWER_MAX >> 8, DNS_ANSWER_MAX & 0xff, 0, 0, 0, 0, 0, 6, 0, 15, 0,
        2, 0, 18};

    memcpy(ret + at, record, sizeof(record));
    ret[11] = 1; /* additional */
    return at + sizeof(record);
}

size_t dns_answer(const uint8_t *p, size_t len, uint8_t ret[DNS_ANSWER_MAX])
{
    char name[NAME_MAX_LABELS + 1];
    size_t end;
    bool ours, edns;

    if (len < HEAD || len > DNS_ANSWER_MAX || (p[2] & FLAG_QR))
        return 0;
    memset(ret, 0, HEAD);
    memcpy(ret, p, 2);
    ret[2] = FLAG_QR | (p[2] & (FLAG_OPCODE | FLAG_RD));
    ret[3] = FLAG_RA | FORMAT_ERROR;
    end = (p[2] & FLAG_OPCODE) == 0 && get16(p + 4) == 1 ? parse_name(p, len, name) : 0;
    if (end == 0 || len - end < 4)
        return HEAD;
    edns = get16(p + 10) == 1 && get16(p + 6) == 0 && get16(p + 8) == 0 && len - end - 4 >= 11 &&
           p[end + 4] == 0 && get16(p + end + 5) == TYPE_OPT;
    ours = is_below(name, NET_ORIGIN_DOMAIN) || is_below(name, "localhost");
    memcpy(ret + HEAD, p + HEAD, end + 4 - HEAD);
    ret[5] = 1; /* questions */
    ret[3] = FLAG_RA | (ours ? NO_ERROR : NO_SUCH_NAME);
    if (ours)
        return get16(p + end) == TYPE_A && get16(p + end + 2) == CLASS_IN
                   ? add_loopback(ret, end + 4)
                   : end + 4;
    /* A name of 253 bytes and this are below DNS_ANSWER_MAX. */
    return edns ? add_reason(ret, end + 4) : end + 4;
}
