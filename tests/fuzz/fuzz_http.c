/* fuzz_http: what a job says to its proxy: heads of requests, bodies in chunks, DNS queries. What
 * is understood is within bounds, and what goes on is understood the same again. */
#include "agent/dns.h"
#include "agent/http.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void head(const char *p, size_t len)
{
    static uint8_t list[NET_HEADER_LIST_MAX], again[NET_HEADER_LIST_MAX], raw[NET_REQUEST_MAX];
    static char out[NET_PAYLOAD_MAX];
    struct http_head h, h2;
    struct net_request m;
    struct net_open place;
    ssize_t n = http_head_parse(p, len, list, &h);
    size_t made;

    if (n <= 0)
        return;
    MUST((size_t)n <= len && h.target_len > 0 && strlen(h.host) <= HTTP_AUTHORITY_MAX);
    if (http_place_of_authority(h.target, h.target_len, 80, &place) == 0)
        MUST(place.kind == NET_TUNNEL ? net_is_name(place.name, strlen(place.name))
                                      : net_is_origin(place.name, strlen(place.name)));
    made = http_forward_format(out, &h, "a", "/", 1);
    MUST(http_head_parse(out, made, again, &h2) == (ssize_t)made);
    MUST(h2.body == h.body && h2.headers.len == h.headers.len && strcmp(h2.host, "a") == 0);
    MUST(memcmp(list, again, h.headers.len) == 0);
    if (!net_is_path(h.target, h.target_len))
        return;
    m = (struct net_request){.body = h.body,
                             .method = h.method,
                             .method_len = h.method_len,
                             .path = h.target,
                             .path_len = h.target_len,
                             .headers = h.headers};
    MUST(net_request_parse(raw, net_request_format(raw, &m), &m) == 0);
}

/* However it is cut, the same bytes are the body's own. */
static uint64_t body(const uint8_t *p, size_t len, size_t step)
{
    static uint8_t copy[4096];
    struct http_body b, still;
    uint64_t sum = 0;

    http_body_init(&b, NET_BODY_UNKNOWN);
    for (size_t at = 0; at < len && !http_body_is_over(&b);) {
        size_t n = len - at < step ? len - at : step, used, still_used = 0;
        ssize_t own;

        still = b;
        memcpy(copy, p + at, n);
        own = http_body_take(&b, copy, n, copy, &used);
        MUST(http_body_take(&still, p + at, n, NULL, &still_used) == own);
        if (own < 0)
            return 1; /* how far it went before that is another matter */
        MUST(still_used == used && still.at == b.at && still.left == b.left);
        MUST((size_t)own <= used && used <= n && (used == n || http_body_is_over(&b)));
        for (ssize_t i = 0; i < own; i++)
            sum = sum * 31 + copy[i] + 2;
        at += used;
    }
    return sum + 2;
}

/* The first byte chooses. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t answer[DNS_ANSWER_MAX];
    size_t n;

    if (len == 0)
        return 0;
    if (data[0] == 'h')
        head((const char *)data + 1, len - 1);
    else if (data[0] == 'b')
        MUST(body(data + 1, len - 1, 1) == body(data + 1, len - 1, 4096));
    else if ((n = dns_answer(data + 1, len - 1, answer)) > 0)
        MUST(n <= sizeof(answer) && (answer[2] & 0x80) && memcmp(answer, data + 1, 2) == 0);
    return 0;
}
