/* request_private: a request under way, between the sources of request only. */
#ifndef LZ_GATEWAY_REQUEST_PRIVATE_H
#define LZ_GATEWAY_REQUEST_PRIVATE_H

#include "gateway/gate.h"
#include "gateway/strip.h"

#define DOWN_SIZE (4u * CURL_MAX_WRITE_SIZE + GATEWAY_SECRET_MAX)

struct request {
    struct gate_stream *stream;
    CURL *easy; /* NULL: not begun, or over */
    int fd;     /* a connection for libcurl to take; -1: none, or it has it */
    bool wants_fd, dialled;
    struct curl_slist *headers, *resolve;
    char method[NET_METHOD_MAX + 1];
    char *path;
    uint64_t body, sent;
    bool has_body;
    uint32_t why; /* a callback ended it for that; 0: none did */
    bool up_paused, down_paused, complete;

    struct secret *secret; /* of strip; NULL: none */
    struct strip strip;
    long status;
    bool told; /* all headers are there */
    uint64_t length;
    struct net_list list;
    uint8_t fields[NET_HEADER_LIST_MAX];
    uint8_t down[DOWN_SIZE];
    size_t start, end;
};

/* request.c: libcurl goes on; not from its callbacks. */
void request_unpause(struct request *r);
/* request_answer.c: whatever the case of its letters. */
bool request_is_named(const struct net_field *f, const char *name);
/* libcurl's callbacks. */
size_t request_take_header(char *at, size_t size, size_t count, void *arg);
size_t request_take_body(char *at, size_t size, size_t count, void *arg);

#endif
