/* net_message: the layouts of net.h, to and from bytes, and what names are. UNTRUSTED input. */
#include "shared/net.h"

#include "shared/bytes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))
#define LABEL_MAX 63u

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* ---- names ------------------------------------------------------------------------------------
 */

static bool is_address(int family, const char *name, size_t len)
{
    char text[INET6_ADDRSTRLEN];
    uint8_t raw[16];

    if (len >= sizeof(text))
        return false;
    memcpy(text, name, len);
    text[len] = '\0';
    return inet_pton(family, text, raw) == 1;
}

static bool is_label(const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!is_lower(p[i]) && !is_digit(p[i]) && p[i] != '-' && p[i] != '_')
            return false;
    return len > 0 && len <= LABEL_MAX && p[0] != '-' && p[len - 1] != '-';
}

/* A number in a resolver's eyes: digits, or 0x and what follows. */
static bool is_number(const char *p, size_t len)
{
    size_t digits = 0;

    while (digits < len && is_digit(p[digits]))
        digits++;
    return digits == len || (len >= 2 && p[0] == '0' && p[1] == 'x');
}

bool net_is_name(const char *name, size_t len)
{
    size_t at = 0, n;

    if (len == 0 || len > NET_NAME_MAX || memchr(name, '\0', len))
        return false;
    if (memchr(name, ':', len)) {
        for (size_t i = 0; i < len; i++)
            if (name[i] >= 'A' && name[i] <= 'Z')
                return false;
        return is_address(AF_INET6, name, len);
    }
    for (;; at += n + 1) {
        const char *dot = memchr(name + at, '.', len - at);

        n = dot ? (size_t)(dot - (name + at)) : len - at;
        if (!is_label(name + at, n))
            return false;
        if (!dot)
            break;
    }
    return !is_number(name + at, n) || is_address(AF_INET, name, len);
}

bool net_is_origin(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!is_lower(name[i]) && !is_digit(name[i]) && name[i] != '-')
            return false;
    return len > 0 && len <= NET_ORIGIN_MAX;
}

/* The length of the dot, plain or escaped, that the text begins with; 0: there is none. */
static size_t dot_len(const char *p, size_t len)
{
    if (len >= 1 && p[0] == '.')
        return 1;
    return len >= 3 && p[0] == '%' && p[1] == '2' && (p[2] == 'e' || p[2] == 'E') ? 3 : 0;
}

static bool is_dot_segment(const char *p, size_t len)
{
    size_t n = dot_len(p, len);

    if (n == 0)
        return false;
    return n == len || n + dot_len(p + n, len - n) == len;
}

bool net_is_path(const char *path, size_t len)
{
    size_t end = 0;

    if (len == 0 || len > NET_PATH_MAX || path[0] != '/')
        return false;
    for (size_t i = 0; i < len; i++)
        if (path[i] <= ' ' || path[i] > '~' || path[i] == '#' || path[i] == '\\')
            return false;
    while (end < len && path[end] != '?')
        end++;
    for (size_t at = 1; at <= end;) {
        size_t n = 0;

        while (at + n < end && path[at + n] != '/')
            n++;
        if (is_dot_segment(path + at, n))
            return false;
        at += n + 1;
    }
    return true;
}

const char *net_why_name(uint32_t why)
{
    static const char *const names[NET_WHY_END] = {
        "done", "rule",   "address", "name",    "connect", "timeout",
        "tls",  "budget", "limit",   "request", "peer",    "gone",
    };

    return why < NET_WHY_END ? names[why] : "?";
}

/* ---- headers ----------------------------------------------------------------------------------
 */

bool net_is_own_header(const char *name, size_t len)
{
    static const char *const own[] = {"host",       "content-length", "transfer-encoding",
                                      "connection", "keep-alive",     "te",
                                      "trailer",    "upgrade",        "expect"};

    if (len >= 6 && memcmp(name, "proxy-", 6) == 0)
        return true;
    for (size_t i = 0; i < COUNT(own); i++)
        if (strlen(own[i]) == len && memcmp(own[i], name, len) == 0)
            return true;
    return false;
}

bool net_is_field(const struct net_field *f)
{
    for (size_t i = 0; i < f->name_len; i++)
        if (!is_lower(f->name[i]) && !is_digit(f->name[i]) &&
            (f->name[i] == '\0' || !strchr("!#$%&'*+-.^_`|~", f->name[i])))
            return false;
    for (size_t i = 0; i < f->value_len; i++)
        if (((uint8_t)f->value[i] < ' ' && f->value[i] != '\t') || f->value[i] == 0x7f)
            return false;
    return f->name_len > 0 && f->name_len <= NET_HEADER_LIST_MAX &&
           f->value_len <= NET_HEADER_LIST_MAX && !net_is_own_header(f->name, f->name_len);
}

/* Whether there was a whole one. */
static bool take_field(const uint8_t **at, size_t *len, struct net_field *ret)
{
    size_t name_len, value_len;

    if (*len < 4)
        return false;
    name_len = bytes_get_u16(*at);
    value_len = bytes_get_u16(*at + 2);
    if (name_len > *len - 4 || value_len > *len - 4 - name_len)
        return false;
    *ret = (struct net_field){.name = (const char *)*at + 4,
                              .name_len = name_len,
                              .value = (const char *)*at + 4 + name_len,
                              .value_len = value_len};
    *at += 4 + name_len + value_len;
    *len -= 4 + name_len + value_len;
    return true;
}

bool net_headers_next(struct net_headers *list, struct net_field *ret)
{
    return list->count > 0 && list->count-- && take_field(&list->at, &list->len, ret);
}

/* All of them, and nothing behind. */
static int parse_headers(const uint8_t *p, size_t len, uint16_t count, struct net_headers *ret)
{
    const uint8_t *at = p;
    size_t left = len;
    struct net_field f;

    if (count > NET_HEADERS_MAX || len > NET_HEADER_LIST_MAX)
        return -EBADMSG;
    for (uint16_t i = 0; i < count; i++)
        if (!take_field(&at, &left, &f) || !net_is_field(&f))
            return -EBADMSG;
    if (left > 0)
        return -EBADMSG;
    *ret = (struct net_headers){.at = p, .len = len, .count = count};
    return 0;
}

int net_list_add(struct net_list *l, const struct net_field *f)
{
    uint8_t *p = l->at + l->len;

    if (!net_is_field(f))
        return -EINVAL;
    if (l->count >= NET_HEADERS_MAX ||
        4 + f->name_len + f->value_len > NET_HEADER_LIST_MAX - l->len)
        return -E2BIG;
    bytes_put_u16(p, (uint16_t)f->name_len);
    bytes_put_u16(p + 2, (uint16_t)f->value_len);
    memcpy(p + 4, f->name, f->name_len);
    if (f->value_len > 0)
        memcpy(p + 4 + f->name_len, f->value, f->value_len);
    l->len += 4 + f->name_len + f->value_len;
    l->count++;
    return 0;
}

/* ---- messages ---------------------------------------------------------------------------------
 */

void net_u32_format(uint8_t out[4], uint32_t value)
{
    bytes_put_u32(out, value);
}

void net_hello_format(uint8_t out[NET_HELLO_SIZE], const struct net_hello *m)
{
    bytes_put_u32(out, m->version);
    memcpy(out + 4, m->nonce, NET_NONCE_SIZE);
}

int net_hello_parse(const uint8_t *p, size_t len, struct net_hello *ret)
{
    if (len != NET_HELLO_SIZE)
        return -EBADMSG;
    ret->version = bytes_get_u32(p);
    memcpy(ret->nonce, p + 4, NET_NONCE_SIZE);
    return 0;
}

size_t net_open_format(uint8_t out[NET_OPEN_HEAD + NET_NAME_MAX], const struct net_open *m)
{
    size_t len = strnlen(m->name, NET_NAME_MAX);

    bytes_put_u16(out, m->kind);
    bytes_put_u16(out + 2, m->exec);
    bytes_put_u16(out + 4, m->port);
    bytes_put_u16(out + 6, 0);
    memcpy(out + NET_OPEN_HEAD, m->name, len);
    return NET_OPEN_HEAD + len;
}

int net_open_parse(const uint8_t *p, size_t len, struct net_open *ret)
{
    struct net_open m = {.name = ""};
    size_t name_len;

    if (len <= NET_OPEN_HEAD || len - NET_OPEN_HEAD > NET_NAME_MAX)
        return -EBADMSG;
    name_len = len - NET_OPEN_HEAD;
    m.kind = bytes_get_u16(p);
    m.exec = bytes_get_u16(p + 2);
    m.port = bytes_get_u16(p + 4);
    memcpy(m.name, p + NET_OPEN_HEAD, name_len);
    if (bytes_get_u16(p + 6) != 0 || m.exec < 1 || m.exec > NET_EXEC_MAX)
        return -EBADMSG;
    if (m.kind == NET_TUNNEL
            ? m.port == 0 || !net_is_name(m.name, name_len)
            : m.kind != NET_ORIGIN || m.port != 0 || !net_is_origin(m.name, name_len))
        return -EBADMSG;
    *ret = m;
    return 0;
}

size_t net_refused_format(uint8_t out[NET_REFUSED_HEAD + NET_TEXT_MAX], const struct net_refused *m)
{
    bytes_put_u16(out, m->why);
    bytes_put_u16(out + 2, m->status);
    memcpy(out + NET_REFUSED_HEAD, m->text, m->text_len);
    return NET_REFUSED_HEAD + m->text_len;
}

int net_refused_parse(const uint8_t *p, size_t len, struct net_refused *ret)
{
    struct net_refused m;

    if (len <= NET_REFUSED_HEAD || len - NET_REFUSED_HEAD > NET_TEXT_MAX)
        return -EBADMSG;
    m.why = bytes_get_u16(p);
    m.status = bytes_get_u16(p + 2);
    m.text = p + NET_REFUSED_HEAD;
    m.text_len = len - NET_REFUSED_HEAD;
    for (size_t i = 0; i < m.text_len; i++)
        if (m.text[i] != '\n' && (m.text[i] < ' ' || m.text[i] > '~'))
            return -EBADMSG;
    if (m.why == NET_WHY_DONE || m.why >= NET_WHY_END || m.status < 400 || m.status > 599)
        return -EBADMSG;
    *ret = m;
    return 0;
}

static bool is_body(uint64_t n)
{
    return n <= NET_BODY_MAX || n == NET_BODY_UNKNOWN;
}

bool net_is_method(const char *method, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (method[i] < 'A' || method[i] > 'Z')
            return false;
    return len > 0 && len <= NET_METHOD_MAX;
}

size_t net_request_format(uint8_t out[NET_REQUEST_MAX], const struct net_request *m)
{
    uint8_t *p = out + NET_REQUEST_HEAD;

    bytes_put_u64(out, m->body);
    bytes_put_u16(out + 8, (uint16_t)m->method_len);
    bytes_put_u16(out + 10, (uint16_t)m->path_len);
    bytes_put_u16(out + 12, m->headers.count);
    bytes_put_u16(out + 14, 0);
    memcpy(p, m->method, m->method_len);
    memcpy(p + m->method_len, m->path, m->path_len);
    p += m->method_len + m->path_len;
    if (m->headers.len > 0)
        memcpy(p, m->headers.at, m->headers.len);
    return (size_t)(p - out) + m->headers.len;
}

int net_request_parse(const uint8_t *p, size_t len, struct net_request *ret)
{
    struct net_request m;
    size_t at = NET_REQUEST_HEAD;

    if (len < NET_REQUEST_HEAD)
        return -EBADMSG;
    m.body = bytes_get_u64(p);
    m.method_len = bytes_get_u16(p + 8);
    m.path_len = bytes_get_u16(p + 10);
    if (!is_body(m.body) || bytes_get_u16(p + 14) != 0 || m.method_len > len - at ||
        m.path_len > len - at - m.method_len)
        return -EBADMSG;
    m.method = (const char *)p + at;
    m.path = m.method + m.method_len;
    at += m.method_len + m.path_len;
    if (!net_is_method(m.method, m.method_len) || !net_is_path(m.path, m.path_len))
        return -EBADMSG;
    if (parse_headers(p + at, len - at, bytes_get_u16(p + 12), &m.headers) < 0)
        return -EBADMSG;
    *ret = m;
    return 0;
}

size_t net_response_format(uint8_t out[NET_RESPONSE_MAX], const struct net_response *m)
{
    bytes_put_u64(out, m->body);
    bytes_put_u16(out + 8, m->status);
    bytes_put_u16(out + 10, m->headers.count);
    bytes_put_u32(out + 12, 0);
    if (m->headers.len > 0)
        memcpy(out + NET_RESPONSE_HEAD, m->headers.at, m->headers.len);
    return NET_RESPONSE_HEAD + m->headers.len;
}

int net_response_parse(const uint8_t *p, size_t len, struct net_response *ret)
{
    struct net_response m;

    if (len < NET_RESPONSE_HEAD)
        return -EBADMSG;
    m.body = bytes_get_u64(p);
    m.status = bytes_get_u16(p + 8);
    if (!is_body(m.body) || m.status < 200 || m.status > 599 || bytes_get_u32(p + 12) != 0)
        return -EBADMSG;
    if (parse_headers(p + NET_RESPONSE_HEAD, len - NET_RESPONSE_HEAD, bytes_get_u16(p + 10),
                      &m.headers) < 0)
        return -EBADMSG;
    *ret = m;
    return 0;
}

int net_credit_parse(const uint8_t *p, size_t len, uint32_t *ret_bytes)
{
    uint32_t n;

    if (len != 4 || (n = bytes_get_u32(p)) < 1 || n > NET_WINDOW)
        return -EBADMSG;
    *ret_bytes = n;
    return 0;
}

int net_close_parse(const uint8_t *p, size_t len, uint32_t *ret_why)
{
    uint32_t why;

    if (len != 4 || (why = bytes_get_u32(p)) >= NET_WHY_END)
        return -EBADMSG;
    *ret_why = why;
    return 0;
}
