/* debian: which of two versions of a Debian package is newer, and the names of Debian's releases.
 */
#include "images/debian.h"

#include "base/str.h"

#include <stddef.h>
#include <string.h>

#define DIGITS  "0123456789"
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

#define EPOCH_DIGITS_MAX 9 /* the epoch is an int */

static const struct debian_suite suites[] = {
    {"bullseye", "11", "5.10"},
    {"bookworm", "12", "6.1"},
    {"trixie", "13", "6.12"},
};

/* A part of a version, not NUL-terminated. */
struct part {
    const char *at, *end;
};

struct parts {
    struct part epoch, upstream, revision; /* empty where the version has none */
};

static struct parts split(const char *text)
{
    const char *end = text + strlen(text);
    const char *colon = strchr(text, ':');
    const char *begin = colon ? colon + 1 : text;
    const char *dash = strrchr(begin, '-');

    return (struct parts){.epoch = {text, colon ? colon : text},
                          .upstream = {begin, dash ? dash : end},
                          .revision = {dash ? dash + 1 : end, end}};
}

static bool is_only(struct part p, const char *chars)
{
    return strspn(p.at, chars) >= (size_t)(p.end - p.at);
}

bool debian_version_is_valid(const char *text)
{
    struct parts p = split(text);
    size_t epoch_len = (size_t)(p.epoch.end - p.epoch.at);

    if (p.epoch.end != p.upstream.at && epoch_len == 0)
        return false;
    if (p.upstream.end != p.revision.at && p.revision.at == p.revision.end)
        return false;
    return epoch_len <= EPOCH_DIGITS_MAX && is_only(p.epoch, DIGITS) &&
           p.upstream.at < p.upstream.end && is_only(p.upstream, DIGITS LETTERS ".+~-:") &&
           is_only(p.revision, DIGITS LETTERS ".+~");
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Where the first character of `p` sorts among non-digits: ~, the end of them, letters, others. */
static int weight(struct part p)
{
    if (p.at == p.end || is_digit(*p.at))
        return 0;
    if (*p.at == '~')
        return -1;
    return strchr(LETTERS, *p.at) ? (unsigned char)*p.at : (unsigned char)*p.at + 256;
}

/* Takes the digits off the front of `p`, without leading zeros. */
static struct part take_number(struct part *p)
{
    struct part n;

    while (p->at < p->end && *p->at == '0')
        p->at++;
    n.at = p->at;
    while (p->at < p->end && is_digit(*p->at))
        p->at++;
    n.end = p->at;
    return n;
}

static int compare_numbers(struct part a, struct part b)
{
    ptrdiff_t a_len = a.end - a.at, b_len = b.end - b.at;

    if (a_len != b_len)
        return a_len < b_len ? -1 : 1;
    return memcmp(a.at, b.at, (size_t)a_len);
}

/* Non-digits and numbers in turn, until they differ or both are at their end. */
static int compare_parts(struct part a, struct part b)
{
    while (a.at < a.end || b.at < b.end) {
        struct part a_number, b_number;
        int order;

        for (; weight(a) != 0 || weight(b) != 0; a.at++, b.at++)
            if (weight(a) != weight(b))
                return weight(a) - weight(b);
        a_number = take_number(&a);
        b_number = take_number(&b);
        order = compare_numbers(a_number, b_number);
        if (order != 0)
            return order;
    }
    return 0;
}

int debian_version_compare(const char *a, const char *b)
{
    struct parts pa = split(a), pb = split(b);
    int order = compare_parts(pa.epoch, pb.epoch);

    if (order == 0)
        order = compare_parts(pa.upstream, pb.upstream);
    return order != 0 ? order : compare_parts(pa.revision, pb.revision);
}

const struct debian_suite *debian_suite_by_codename(const char *codename)
{
    for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++)
        if (strcmp(suites[i].codename, codename) == 0)
            return &suites[i];
    return NULL;
}

const struct debian_suite *debian_suite_by_version(const char *version)
{
    for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++)
        if (strcmp(suites[i].version, version) == 0)
            return &suites[i];
    return NULL;
}

/* "6.12" of "6.12.117-1~deb12u1". */
static struct part kernel_series(const char *version)
{
    size_t major = strspn(version, DIGITS);
    size_t minor = version[major] == '.' ? strspn(version + major + 1, DIGITS) : 0;

    return (struct part){version, minor > 0 ? version + major + 1 + minor : version};
}

char *debian_kernel_source(const char *codename, const char *version)
{
    const struct debian_suite *suite = debian_suite_by_codename(codename);
    struct part series = kernel_series(version);
    int len = (int)(series.end - series.at);

    if (!suite || len == 0 ||
        (strncmp(suite->kernel, series.at, (size_t)len) == 0 && suite->kernel[len] == '\0'))
        return str_dup("linux");
    return str_printf("linux-%.*s", len, series.at);
}
