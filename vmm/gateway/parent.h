/*
 * parent: how the host's own proxy is asked for a connection, and what it answers. UNTRUSTED: what
 * answers may be anything.
 *
 * RFC 9110 section 9.3.6. No byte of a guest's goes to it but the host and port of a try that a
 * rule allows, and none comes from it before it said yes. Of the answer nothing is kept but its
 * status.
 */
#ifndef LZ_GATEWAY_PARENT_H
#define LZ_GATEWAY_PARENT_H

#include <stddef.h>
#include <stdint.h>

#define PARENT_HEAD_MAX 8192u /* bytes of an answer's head */

/* Zero at first. */
struct parent_answer {
    size_t len;        /* bytes of the head so far */
    unsigned status;   /* 100 to 599, once its first line is there */
    unsigned newlines; /* one after another, at its end */
};

/* Returns new: the question. `login`: see parent_login(), or NULL. */
char *parent_question(const char *host, uint16_t port, const char *login);
/* Returns new: "USER:PASSWORD" as the header that says it, with its line's end. */
char *parent_login(const char *login);
/*
 * More of the answer: *ret_used bytes of it are the head's, the rest are the connection's. 1: the
 * head is whole, and its status there; 0: not yet; -1: it is no answer.
 */
int parent_feed(struct parent_answer *a, const uint8_t *data, size_t n, size_t *ret_used);

#endif
