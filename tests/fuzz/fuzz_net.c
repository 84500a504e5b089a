/* fuzz_net: egress's frames: however they are cut they come out the same, what is noted is legal
 * and within its credit, and what a parser accepts comes out of the formatter unchanged. */
#include "shared/net.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static uint8_t raw[NET_REQUEST_MAX];

static void to_host(const struct net_header *h, const uint8_t *p)
{
    struct net_request request;
    struct net_open open;

    if (h->type == NET_OPEN && net_open_parse(p, h->length, &open) == 0) {
        MUST(open.kind == NET_TUNNEL ? net_is_name(open.name, strlen(open.name)) && open.port > 0
                                     : net_is_origin(open.name, strlen(open.name)));
        MUST(net_open_format(raw, &open) == h->length && memcmp(raw, p, h->length) == 0);
    }
    if (h->type == NET_REQUEST && net_request_parse(p, h->length, &request) == 0) {
        struct net_headers list = request.headers;
        struct net_field f;

        MUST(net_is_path(request.path, request.path_len));
        while (net_headers_next(&list, &f))
            MUST(net_is_field(&f) && !memchr(f.value, '\n', f.value_len));
        MUST(list.count == 0 && list.len == 0);
        MUST(net_request_format(raw, &request) == h->length && memcmp(raw, p, h->length) == 0);
    }
}

static void to_guest(const struct net_header *h, const uint8_t *p)
{
    struct net_response response;
    struct net_refused refused;

    if (h->type == NET_REFUSED && net_refused_parse(p, h->length, &refused) == 0)
        MUST(net_refused_format(raw, &refused) == h->length && memcmp(raw, p, h->length) == 0);
    if (h->type == NET_RESPONSE && net_response_parse(p, h->length, &response) == 0)
        MUST(net_response_format(raw, &response) == h->length && memcmp(raw, p, h->length) == 0);
}

/* A frame is the guest's if it may say it, else the host's. */
static uint64_t frames_of(const uint8_t *data, size_t len, size_t step)
{
    static struct net_session session;
    static struct net_reader r;
    struct net_header h;
    const uint8_t *p;
    uint64_t sum = 0;
    int got = 0;

    net_session_init(&session);
    net_reader_init(&r);
    while (got >= 0 && len > 0) {
        uint8_t *at;
        size_t n = net_reader_space(&r, &at);

        n = n < step ? n : step;
        n = n < len ? n : len;
        MUST(n > 0);
        memcpy(at, data, n);
        net_reader_commit(&r, n);
        data += n;
        len -= n;
        while ((got = net_reader_next(&r, &h, &p)) == 1) {
            const struct net_stream *s = &session.streams[h.stream];
            enum net_dir dir =
                net_session_note(&session, NET_TO_HOST, &h, p) == 0 ? NET_TO_HOST : NET_TO_GUEST;

            if (dir == NET_TO_HOST || net_session_note(&session, NET_TO_GUEST, &h, p) == 0)
                sum = sum * 31 + (uint64_t)dir;
            MUST(s->guest.credit <= NET_WINDOW && s->host.credit <= NET_WINDOW);
            MUST((s->guest.state == NET_IN_NONE) == (s->host.state == NET_IN_NONE));
            to_host(&h, p);
            to_guest(&h, p);
            sum = sum * 31 + h.type + h.stream + h.length + session.state;
        }
    }
    return sum + (got < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    MUST(frames_of(data, len, 7) == frames_of(data, len, NET_PAYLOAD_MAX));
    return 0;
}
