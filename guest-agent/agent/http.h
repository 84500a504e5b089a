/*
 * http: what a client of the guest's proxy says in HTTP/1: the head of a request, where it goes,
 * and where its body ends. Pure. UNTRUSTED: the client is the job.
 *
 * Strict on purpose (RFC 9112): CRLF ends lines, no folded ones, one length of a body. What is
 * passed on is formatted anew from what was understood.
 */
#ifndef LZ_AGENT_HTTP_H
#define LZ_AGENT_HTTP_H

#include "shared/net.h"

#include <sys/types.h>

#define HTTP_HEAD_MAX      49152u /* bytes of a request's head */
#define HTTP_AUTHORITY_MAX 262u   /* bytes of NAME:PORT or [ADDRESS]:PORT */

struct http_head {
    const char *method, *target; /* borrowed; visible ASCII */
    size_t method_len, target_len;
    bool old;                          /* HTTP/1.0: it does not understand chunks */
    bool expects;                      /* 100-continue */
    uint64_t body;                     /* bytes; NET_BODY_UNKNOWN: in chunks */
    char host[HTTP_AUTHORITY_MAX + 1]; /* of the Host header; "" without */
    struct net_headers headers;        /* all that are not net_is_own_header(); in `list` */
};

/* The length of the head that `p` begins with; 0: its end is not there yet; -EBADMSG: it is none;
 * -E2BIG: more headers or bytes than a REQUEST has room for. */
ssize_t http_head_parse(const char *p, size_t len, uint8_t list[NET_HEADER_LIST_MAX],
                        struct http_head *ret);

/*
 * Where a try goes: kind, port and name of `ret`. A name below NET_ORIGIN_DOMAIN is that origin's.
 * -EBADMSG: net_is_name() says no; -EPERM: an origin at another port than 80.
 */
int http_place(const char *name, size_t len, uint16_t port, struct net_open *ret);
/* The same of NAME[:PORT] or [ADDRESS][:PORT]. `port`: where none is named; 0: one must be. */
int http_place_of_authority(const char *text, size_t len, uint16_t port, struct net_open *ret);

/* The request's line and headers as the server of a tunnel gets them. `authority` is its Host, and
 * it is asked to close after its answer. Returns the length. */
size_t http_forward_format(char out[NET_PAYLOAD_MAX], const struct http_head *h,
                           const char *authority, const char *path, size_t path_len);

/* The body of a request: its bytes between what frames them. */
enum http_body_at {
    HTTP_BODY_PLAIN,
    HTTP_BODY_SIZE,
    HTTP_BODY_EXTENSION,
    HTTP_BODY_SIZE_LF,
    HTTP_BODY_CHUNK,
    HTTP_BODY_CHUNK_CR,
    HTTP_BODY_CHUNK_LF,
    HTTP_BODY_TRAILER,
    HTTP_BODY_TRAILER_LF,
    HTTP_BODY_END
};
struct http_body {
    enum http_body_at at;
    uint64_t left;   /* of the plain body or the chunk */
    unsigned digits; /* of a chunk's size */
    size_t line;     /* bytes of a line of the trailer */
    size_t extra;    /* bytes of extensions and trailer so far */
};
void http_body_init(struct http_body *b, uint64_t body);
bool http_body_is_over(const struct http_body *b);
/*
 * Goes on over `len` bytes: the bytes that are the body's own are moved to `out` (it may be `p`;
 * NULL: nowhere). Returns how many there are; *ret_used is how far it went: less than `len` only
 * where the body is over. -EBADMSG: these are no chunks.
 */
ssize_t http_body_take(struct http_body *b, const uint8_t *p, size_t len, uint8_t *out,
                       size_t *ret_used);

#endif
