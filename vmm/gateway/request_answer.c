/*
 * gateway: what a server answers to a request: headers and body, stripped of the rule's secret.
 * UNTRUSTED: the server may be anybody's, or say what the guest told it.
 */
#include "gateway/request_private.h"

#include "base/own.h"
#include "base/str.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

bool request_is_named(const struct net_field *f, const char *name)
{
    return f->name_len == strlen(name) && strncasecmp(f->name, name, f->name_len) == 0;
}

static void take_status(struct request *r, const char *line, size_t n)
{
    const char *space = memchr(line, ' ', n);

    r->status = space && n - (size_t)(space - line) > 3 ? strtol(space + 1, NULL, 10) : 0;
    r->length = NET_BODY_UNKNOWN;
    r->list.len = r->list.count = 0;
}

/* A header's line, without its end. */
static void take_field(struct request *r, char *line, size_t n)
{
    char *colon = memchr(line, ':', n);
    struct net_field f = {.name = line};
    uint64_t length;
    int rc;

    if (!colon || line[0] == ' ' || line[0] == '\t')
        return;
    f.name_len = (size_t)(colon - line);
    for (size_t i = 0; i < f.name_len; i++)
        if (line[i] >= 'A' && line[i] <= 'Z')
            line[i] = (char)(line[i] + 'a' - 'A');
    f.value = colon + 1;
    f.value_len = n - f.name_len - 1;
    while (f.value_len > 0 && (f.value[0] == ' ' || f.value[0] == '\t')) {
        f.value++;
        f.value_len--;
    }
    if (request_is_named(&f, "content-length") && f.value_len < 20) {
        own_free char *text = str_printf("%.*s", (int)f.value_len, f.value);

        if (str_parse_u64(text, "length", 0, NET_BODY_MAX, &length, &(struct err){0}) == 0)
            r->length = length;
    }
    /* Not asked for, and a secret could hide in it. */
    if (r->strip.secret && request_is_named(&f, "content-encoding") &&
        !(f.value_len == 8 && strncasecmp(f.value, "identity", 8) == 0))
        r->why = NET_WHY_PEER;
    rc = net_list_add(&r->list, &f); /* what only two hops need is left out there */
    if (rc == -E2BIG)
        r->why = NET_WHY_PEER;
}

size_t request_take_header(char *at, size_t size, size_t count, void *arg)
{
    struct request *r = arg;
    size_t n = size * count, len = n;
    own_free uint8_t *line = NULL;
    struct strip strip = r->strip;

    if (r->told) /* trailers */
        return n;
    while (len > 0 && (at[len - 1] == '\r' || at[len - 1] == '\n'))
        len--;
    if (len == 0) {
        r->told = r->status >= 200 && r->status <= 599;
        return r->told || (r->status >= 100 && r->status < 200) ? n : 0;
    }
    line = malloc(len);
    if (!line)
        return 0;
    strip.held = 0;
    strip_finish(&strip, line + strip_feed(&strip, (const uint8_t *)at, len, line));
    if (len >= 6 && memcmp(line, "HTTP/", 5) == 0 && line[5] >= '0' && line[5] <= '9')
        take_status(r, (const char *)line, len);
    else
        take_field(r, (char *)line, len);
    return r->why ? 0 : n;
}

size_t request_take_body(char *at, size_t size, size_t count, void *arg)
{
    struct request *r = arg;
    size_t n = size * count;

    if (r->start == r->end)
        r->start = r->end = 0;
    if (n + r->strip.held > DOWN_SIZE - r->end) {
        memmove(r->down, r->down + r->start, r->end - r->start);
        r->end -= r->start;
        r->start = 0;
    }
    if (n + r->strip.held > DOWN_SIZE - r->end - GATEWAY_SECRET_MAX) {
        r->down_paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    r->end += strip_feed(&r->strip, (const uint8_t *)at, n, r->down + r->end);
    return n;
}

size_t request_response(struct gate_stream *s, uint8_t *at)
{
    struct request *r = s->request;
    struct net_response m;

    if (!r || !r->told)
        return 0;
    m = (struct net_response){
        .body = r->length,
        .status = (uint16_t)r->status,
        .headers = {.at = r->fields, .len = r->list.len, .count = r->list.count}};
    return net_response_format(at, &m);
}

size_t request_read(struct gate_stream *s, uint8_t *at, size_t n)
{
    struct request *r = s->request;

    if (n > r->end - r->start)
        n = r->end - r->start;
    memcpy(at, r->down + r->start, n);
    r->start += n;
    if (r->start == r->end && r->complete)
        s->down_eof = true;
    if (r->down_paused && r->end - r->start < CURL_MAX_WRITE_SIZE)
        request_unpause(r);
    return n;
}
