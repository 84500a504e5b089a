/* http: heads of requests, where they go, and where their bodies end. See http.h. UNTRUSTED input.
 */
#include "agent/http.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define EXTRA_MAX   8192u /* bytes of chunk extensions and trailers in one body */
#define DIGITS_MAX  15u   /* of a chunk's size: below NET_BODY_MAX */
#define HTTP_PORT   80u
#define ORIGIN_TAIL "." NET_ORIGIN_DOMAIN

static bool is_visible(const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] <= ' ' || p[i] > '~')
            return false;
    return len > 0;
}

/* Decimal digits, nothing else. */
static bool parse_number(const char *p, size_t len, uint64_t max, uint64_t *ret)
{
    uint64_t n = 0;

    if (len == 0 || len > 19)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(p[i] - '0');
    }
    *ret = n;
    return n <= max;
}

static char lower(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return c;
}

static bool is_text(const char *p, size_t len, const char *text)
{
    return len == strlen(text) && strncasecmp(p, text, len) == 0;
}

/* METHOD TARGET HTTP/1.x */
static int parse_line(const char *p, size_t len, struct http_head *ret)
{
    const char *space = memchr(p, ' ', len), *second;
    size_t left;

    if (!space)
        return -EBADMSG;
    ret->method = p;
    ret->method_len = (size_t)(space - p);
    ret->target = space + 1;
    left = len - ret->method_len - 1;
    second = memchr(ret->target, ' ', left);
    if (!second)
        return -EBADMSG;
    ret->target_len = (size_t)(second - ret->target);
    left -= ret->target_len + 1;
    if (left != 8 || memcmp(second + 1, "HTTP/1.", 7) != 0 ||
        (second[8] != '0' && second[8] != '1'))
        return -EBADMSG;
    ret->old = second[8] == '0';
    return net_is_method(ret->method, ret->method_len) && is_visible(ret->target, ret->target_len)
               ? 0
               : -EBADMSG;
}

/* What the headers say about framing, each at most once. */
struct framing {
    bool host, length, chunked;
};

static int parse_own(const struct net_field *f, struct framing *fr, struct http_head *ret)
{
    if (is_text(f->name, f->name_len, "host")) {
        if (fr->host || f->value_len > HTTP_AUTHORITY_MAX || memchr(f->value, '\0', f->value_len))
            return -EBADMSG;
        fr->host = true;
        memcpy(ret->host, f->value, f->value_len);
        ret->host[f->value_len] = '\0';
    } else if (is_text(f->name, f->name_len, "content-length")) {
        if (fr->length || !parse_number(f->value, f->value_len, NET_BODY_MAX, &ret->body))
            return -EBADMSG;
        fr->length = true;
    } else if (is_text(f->name, f->name_len, "transfer-encoding")) {
        if (fr->chunked || !is_text(f->value, f->value_len, "chunked"))
            return -EBADMSG;
        fr->chunked = true;
    } else if (is_text(f->name, f->name_len, "expect")) {
        ret->expects = is_text(f->value, f->value_len, "100-continue");
    }
    return 0;
}

/* NAME: VALUE, the name in lower case. `name` has NET_HEADER_LIST_MAX bytes. */
static int parse_field(const char *p, size_t len, char *name, struct net_field *ret)
{
    const char *colon = memchr(p, ':', len), *end = p + len;

    if (!colon || colon == p || (size_t)(colon - p) > NET_HEADER_LIST_MAX)
        return -EBADMSG;
    for (size_t i = 0; i < (size_t)(colon - p); i++)
        name[i] = lower(p[i]);
    *ret = (struct net_field){.name = name, .name_len = (size_t)(colon - p), .value = colon + 1};
    while (ret->value < end && (*ret->value == ' ' || *ret->value == '\t'))
        ret->value++;
    while (end > ret->value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    ret->value_len = (size_t)(end - ret->value);
    return 0;
}

static int add_header(const char *p, size_t len, struct net_list *list, struct framing *fr,
                      struct http_head *ret)
{
    static char name[NET_HEADER_LIST_MAX];
    struct net_field f;
    int rc;

    if (parse_field(p, len, name, &f) < 0)
        return -EBADMSG;
    if (net_is_own_header(f.name, f.name_len))
        return parse_own(&f, fr, ret);
    rc = net_list_add(list, &f);
    return rc == -EINVAL ? -EBADMSG : rc;
}

/* Where the line ends, or NULL. */
static const char *line_end(const char *at, const char *end)
{
    return memmem(at, (size_t)(end - at), "\r\n", 2);
}

ssize_t http_head_parse(const char *p, size_t len, uint8_t list[NET_HEADER_LIST_MAX],
                        struct http_head *ret)
{
    const char *end = memmem(p, len, "\r\n\r\n", 4), *line, *next;
    struct net_list headers = {.at = list};
    struct http_head h = {.body = 0};
    struct framing fr = {false};
    int rc;

    if (!end)
        return len < HTTP_HEAD_MAX ? 0 : -E2BIG;
    line = line_end(p, end + 2);
    if (!line || parse_line(p, (size_t)(line - p), &h) < 0)
        return -EBADMSG;
    for (line += 2; line < end + 2; line = next + 2) {
        next = line_end(line, end + 2);
        if (!next) /* the end has one */
            return -EBADMSG;
        rc = add_header(line, (size_t)(next - line), &headers, &fr, &h);
        if (rc < 0)
            return rc;
    }
    if (fr.length && fr.chunked)
        return -EBADMSG;
    if (fr.chunked)
        h.body = NET_BODY_UNKNOWN;
    h.headers = (struct net_headers){.at = list, .len = headers.len, .count = headers.count};
    *ret = h;
    return end + 4 - p;
}

int http_place(const char *name, size_t len, uint16_t port, struct net_open *ret)
{
    const size_t tail = strlen(ORIGIN_TAIL);
    char small[NET_NAME_MAX + 1];

    if (len > 0 && name[len - 1] == '.')
        len--;
    if (len == 0 || len > NET_NAME_MAX || port == 0)
        return -EBADMSG;
    for (size_t i = 0; i < len; i++)
        small[i] = lower(name[i]);
    small[len] = '\0';
    if (!net_is_name(small, len))
        return -EBADMSG;
    ret->kind = NET_TUNNEL;
    ret->port = port;
    if (len > tail && strcmp(small + len - tail, ORIGIN_TAIL) == 0) {
        len -= tail;
        if (!net_is_origin(small, len))
            return -EBADMSG;
        ret->kind = NET_ORIGIN;
        ret->port = 0;
    }
    memcpy(ret->name, small, len);
    ret->name[len] = '\0';
    return ret->kind == NET_ORIGIN && port != HTTP_PORT ? -EPERM : 0;
}

int http_place_of_authority(const char *text, size_t len, uint16_t port, struct net_open *ret)
{
    const char *colon =
        len > 0 && text[0] == '[' ? memmem(text, len, "]:", 2) : memchr(text, ':', len);
    size_t name_len = len;
    uint64_t n = port;

    if (colon && *colon == ']')
        colon++;
    if (colon) {
        name_len = (size_t)(colon - text);
        if (!parse_number(colon + 1, len - name_len - 1, UINT16_MAX, &n))
            return -EBADMSG;
    }
    if (name_len > 2 && text[0] == '[') {
        if (text[name_len - 1] != ']' || !memchr(text, ':', name_len))
            return -EBADMSG;
        text++;
        name_len -= 2;
    } else if (memchr(text, ':', name_len)) {
        return -EBADMSG;
    }
    return http_place(text, name_len, (uint16_t)n, ret);
}

static size_t put(char *out, size_t at, const char *text, size_t len)
{
    if (len > NET_PAYLOAD_MAX - at)
        return at; /* cannot be: the head was shorter */
    if (len > 0)
        memcpy(out + at, text, len);
    return at + len;
}

size_t http_forward_format(char out[NET_PAYLOAD_MAX], const struct http_head *h,
                           const char *authority, const char *path, size_t path_len)
{
    struct net_headers list = h->headers;
    struct net_field f;
    char length[64] = "";
    size_t at = put(out, 0, h->method, h->method_len);

    at = put(out, at, " ", 1);
    if (path_len == 0 || path[0] != '/')
        at = put(out, at, "/", 1);
    at = put(out, at, path, path_len);
    at = put(out, at, " HTTP/1.1\r\nHost: ", 17);
    at = put(out, at, authority, strlen(authority));
    while (net_headers_next(&list, &f)) {
        at = put(out, at, "\r\n", 2);
        at = put(out, at, f.name, f.name_len);
        at = put(out, at, ": ", 2);
        at = put(out, at, f.value, f.value_len);
    }
    if (h->body == NET_BODY_UNKNOWN)
        (void)snprintf(length, sizeof(length), "\r\nTransfer-Encoding: chunked");
    else if (h->body > 0)
        (void)snprintf(length, sizeof(length), "\r\nContent-Length: %llu",
                       (unsigned long long)h->body);
    at = put(out, at, length, strlen(length));
    return put(out, at, "\r\nConnection: close\r\n\r\n", 23);
}

void http_body_init(struct http_body *b, uint64_t body)
{
    *b = (struct http_body){.at = HTTP_BODY_SIZE};
    if (body == NET_BODY_UNKNOWN)
        return;
    b->at = body > 0 ? HTTP_BODY_PLAIN : HTTP_BODY_END;
    b->left = body;
}

bool http_body_is_over(const struct http_body *b)
{
    return b->at == HTTP_BODY_END;
}

static int hex(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int after_size(struct http_body *b, uint8_t c)
{
    if (b->digits == 0 || (c != '\r' && c != ';'))
        return -EBADMSG;
    b->at = c == '\r' ? HTTP_BODY_SIZE_LF : HTTP_BODY_EXTENSION;
    return 0;
}

static int take_size(struct http_body *b, uint8_t c)
{
    int digit = hex(c);

    if (digit < 0)
        return after_size(b, c);
    if (++b->digits > DIGITS_MAX)
        return -EBADMSG;
    b->left = b->left << 4 | (unsigned)digit;
    return 0;
}

/* One byte of what frames the chunks. */
static int take_framing(struct http_body *b, uint8_t c)
{
    switch (b->at) {
    case HTTP_BODY_SIZE:
        return take_size(b, c);
    case HTTP_BODY_EXTENSION:
        if (c == '\r')
            b->at = HTTP_BODY_SIZE_LF;
        return c == '\n' || ++b->extra > EXTRA_MAX ? -EBADMSG : 0;
    case HTTP_BODY_SIZE_LF:
        b->at = b->left > 0 ? HTTP_BODY_CHUNK : HTTP_BODY_TRAILER;
        b->digits = 0;
        b->line = 0;
        return c == '\n' ? 0 : -EBADMSG;
    case HTTP_BODY_CHUNK_CR:
        b->at = HTTP_BODY_CHUNK_LF;
        return c == '\r' ? 0 : -EBADMSG;
    case HTTP_BODY_CHUNK_LF:
        b->at = HTTP_BODY_SIZE;
        return c == '\n' ? 0 : -EBADMSG;
    case HTTP_BODY_TRAILER:
        if (c == '\r')
            b->at = HTTP_BODY_TRAILER_LF;
        else
            b->line++;
        return c == '\n' || ++b->extra > EXTRA_MAX ? -EBADMSG : 0;
    case HTTP_BODY_TRAILER_LF:
        b->at = b->line > 0 ? HTTP_BODY_TRAILER : HTTP_BODY_END;
        b->line = 0;
        return c == '\n' ? 0 : -EBADMSG;
    case HTTP_BODY_PLAIN:
    case HTTP_BODY_CHUNK:
    case HTTP_BODY_END:
    default:
        return -EBADMSG;
    }
}

ssize_t http_body_take(struct http_body *b, const uint8_t *p, size_t len, uint8_t *out,
                       size_t *ret_used)
{
    size_t at = 0, kept = 0;

    while (at < len && !http_body_is_over(b)) {
        bool own = b->at == HTTP_BODY_PLAIN || b->at == HTTP_BODY_CHUNK;
        size_t n = len - at;

        if (!own) {
            if (take_framing(b, p[at++]) < 0)
                return -EBADMSG;
            continue;
        }
        n = n < b->left ? n : (size_t)b->left;
        if (out)
            memmove(out + kept, p + at, n);
        kept += n;
        at += n;
        b->left -= n;
        if (b->left == 0)
            b->at = b->at == HTTP_BODY_PLAIN ? HTTP_BODY_END : HTTP_BODY_CHUNK_CR;
    }
    *ret_used = at;
    return (ssize_t)kept;
}
