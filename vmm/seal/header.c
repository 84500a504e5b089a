/* header: the text in front of a sealed file. See header.h. UNTRUSTED input. */
#include "seal/header.h"

#include <sodium.h>
#include <string.h>

#define VERSION_LINE "age-encryption.org/v1"
#define MARK         "---"
#define COLUMNS      64
#define BASE64       sodium_base64_VARIANT_ORIGINAL_NO_PADDING

struct line {
    const char *text;
    size_t len;
};

/* The next whole line behind *at, without its end. */
static bool take_line(const char *text, size_t len, size_t *at, struct line *ret)
{
    const char *end = memchr(text + *at, '\n', len - *at);

    if (!end)
        return false;
    ret->text = text + *at;
    ret->len = (size_t)(end - ret->text);
    *at += ret->len + 1;
    return true;
}

static bool starts_with(const struct line *l, const char *what)
{
    return l->len >= strlen(what) && memcmp(l->text, what, strlen(what)) == 0;
}

/* Exactly 32 bytes, and no other way to write them. */
static bool take_bytes(const char *text, size_t len, unsigned char ret[32])
{
    size_t n;

    return sodium_base642bin(ret, 32, text, len, NULL, &n, NULL, BASE64) == 0 && n == 32;
}

/* Arguments of visible characters, one space between. */
static bool arguments_are_sound(const char *text, size_t len)
{
    if (len == 0 || text[0] == ' ' || text[len - 1] == ' ')
        return false;
    for (size_t i = 0; i < len; i++)
        if (text[i] < ' ' || text[i] > '~' || (text[i] == ' ' && text[i + 1] == ' '))
            return false;
    return true;
}

static bool body_line_is_sound(const struct line *l)
{
    unsigned char raw[COLUMNS];
    size_t n;

    return l->len <= COLUMNS &&
           sodium_base642bin(raw, sizeof(raw), l->text, l->len, NULL, &n, NULL, BASE64) == 0;
}

/* The lines of a body; *ret_first is the first, *ret_n how many. */
static bool take_body(const char *text, size_t len, size_t *at, struct line *ret_first,
                      size_t *ret_n)
{
    struct line l;

    for (*ret_n = 0;; ++*ret_n) {
        if (!take_line(text, len, at, &l) || !body_line_is_sound(&l))
            return false;
        if (*ret_n == 0)
            *ret_first = l;
        if (l.len < COLUMNS)
            break;
    }
    ++*ret_n;
    return true;
}

/* `l` is behind "-> ". */
static bool take_stanza(const char *text, size_t len, size_t *at, const struct line *l,
                        struct seal_header *h)
{
    static const char ours[] = "X25519";
    size_t type = strlen(ours), lines;
    struct line body;

    if (!arguments_are_sound(l->text, l->len) || !take_body(text, len, at, &body, &lines))
        return false;
    if (!starts_with(l, ours) || (l->len > type && l->text[type] != ' '))
        return true; /* somebody else's */
    if (h->n == SEAL_STANZAS_MAX || l->len <= type + 1 || lines != 1)
        return false;
    if (!take_bytes(l->text + type + 1, l->len - type - 1, h->stanzas[h->n].share) ||
        !take_bytes(body.text, body.len, h->stanzas[h->n].body))
        return false;
    h->n++;
    return true;
}

bool seal_header_parse(const char *text, size_t len, struct seal_header *ret)
{
    size_t at = 0, stanzas = 0;
    struct line l;

    ret->n = 0;
    if (len > SEAL_HEADER_MAX)
        len = SEAL_HEADER_MAX;
    if (!take_line(text, len, &at, &l) || l.len != strlen(VERSION_LINE) ||
        !starts_with(&l, VERSION_LINE))
        return false;
    for (;; stanzas++) {
        size_t start = at;
        struct line arguments;

        if (!take_line(text, len, &at, &l))
            return false;
        if (starts_with(&l, MARK " ")) {
            ret->mac_at = start + strlen(MARK);
            break;
        }
        if (!starts_with(&l, "-> "))
            return false;
        arguments = (struct line){l.text + 3, l.len - 3};
        if (!take_stanza(text, len, &at, &arguments, ret))
            return false;
    }
    ret->size = at;
    return stanzas > 0 && take_bytes(l.text + strlen(MARK " "), l.len - strlen(MARK " "), ret->mac);
}

static void add(char *out, size_t *len, const char *text)
{
    memcpy(out + *len, text, strlen(text));
    *len += strlen(text);
}

static void add_bytes(char *out, size_t *len, const unsigned char raw[32])
{
    char text[sodium_base64_ENCODED_LEN(32, BASE64)];

    add(out, len, sodium_bin2base64(text, sizeof(text), raw, 32, BASE64));
    add(out, len, "\n");
}

void seal_header_begin(char *out, size_t *len)
{
    *len = 0;
    add(out, len, VERSION_LINE "\n");
}

void seal_header_add(char *out, size_t *len, const struct seal_stanza *s)
{
    add(out, len, "-> X25519 ");
    add_bytes(out, len, s->share);
    add_bytes(out, len, s->body);
}

void seal_header_mark(char *out, size_t *len)
{
    add(out, len, MARK);
}

void seal_header_end(char *out, size_t *len, const unsigned char mac[SEAL_MAC_BYTES])
{
    add(out, len, " ");
    add_bytes(out, len, mac);
}
