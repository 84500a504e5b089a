/* proxy_private: what proxy.c, client.c and talk.c share. See proxy.h. */
#ifndef LZ_AGENT_PROXY_PRIVATE_H
#define LZ_AGENT_PROXY_PRIVATE_H

#include "agent/http.h"
#include "agent/outbox.h"
#include "agent/proxy.h"

#include <poll.h>
#include <sys/types.h>

#define CLIENT_DATA_MAX  32768u /* bytes of one DATA frame: others have their turn, too */
#define CLIENT_LINE_MAX  32u    /* the front of a chunk */
#define CLIENT_ASK_MS    60000  /* for a client to say what it wants */
#define CLIENT_MEET_MS   10000  /* for the host's gateway to be there */
#define CLIENT_LINGER_MS 2000   /* for a client to take its answer before it is hung up on */

enum client_state {
    CLIENT_NONE,    /* nobody; the stream may still wait for the host's last word */
    CLIENT_ASKING,  /* it has not said what it wants */
    CLIENT_CALLING, /* OPEN is to be said */
    CLIENT_WAITING, /* the host has not answered */
    CLIENT_FLOWING,
    CLIENT_LEAVING, /* what it still gets is written, then it is hung up on */
};

enum client_mode {
    CLIENT_CONNECT, /* HTTP CONNECT: bytes */
    CLIENT_SOCKS,   /* SOCKS5: bytes */
    CLIENT_FORWARD, /* HTTP with an absolute address: one request over a tunnel */
    CLIENT_ORIGIN,  /* HTTP for a clear-side origin: one request, as a REQUEST */
};

struct client {
    enum client_state state;
    enum client_mode mode;
    enum proxy_socket from;
    int fd;
    uint32_t exec, stream; /* the stream's number is its place among the clients */
    uint64_t deadline_ms;  /* of ASKING, CALLING and LEAVING */
    bool greeted;          /* SOCKS5: the methods have been settled */
    bool inner;            /* HTTP is expected inside a tunnel to an origin that was granted here */
    bool old;              /* HTTP/1.0 */
    bool head_only;        /* the method is HEAD */
    bool eof;              /* nothing more comes from it, or is wanted of it */
    bool eof_told;         /* ... and the host knows */
    bool answered;         /* the response's head is among what it gets */
    bool over;             /* nothing more comes from the host */
    bool closed;           /* ... and it has said its last word */
    bool head_due;         /* FORWARD: the request's head is to be said */
    bool last_word;        /* CLOSE is to be said on the stream */
    bool chunked;          /* what it gets is framed in chunks */
    bool hung_up;          /* it knows that nothing more comes */
    uint32_t why;          /* of CLOSE */
    struct net_open place;
    struct http_body body; /* FORWARD, ORIGIN: of its request */
    char *head;            /* what it said so far: HTTP_HEAD_MAX bytes, or NULL */
    size_t head_len, head_used;
    char *text; /* goes to it before the ring */
    size_t text_at, text_len;
    char line[CLIENT_LINE_MAX]; /* goes before the ring, too: the front of a chunk */
    size_t line_at, line_len;
    size_t chunk_left;
    uint8_t *ring; /* NET_WINDOW bytes, or NULL */
    size_t at, length;
    uint32_t spent; /* bytes that it took and the host has no credit for yet */
};

struct proxy {
    int port, port_events, control;
    bool ready_due, held_due;
    bool again; /* something could not be said: look again before waiting, if there is room */
    struct net_hello hello;
    uint32_t first; /* whose turn it is */
    struct net_session session;
    struct net_reader reader;
    struct outbox outbox;
    int sockets[NET_EXEC_MAX][PROXY_SOCKETS];
    struct client clients[NET_STREAMS_MAX + 1]; /* [0] is not used */
    uint8_t list[NET_HEADER_LIST_MAX];          /* headers of the one that is being parsed */
};

/* Says it to the host. False: not now (no room, or not met). */
bool proxy_say(struct proxy *p, enum net_type type, uint32_t stream, const void *payload,
               size_t len);
/* Is there room for a payload of `len` bytes, and may the guest speak? */
bool proxy_may_say(struct proxy *p, size_t len);

/* ---- client.c ---- */

void client_init(struct client *c, uint32_t stream);
/* Takes the fd. */
void client_open(struct client *c, int fd, uint32_t exec, enum proxy_socket from);
/* It is gone, at once. The stream's last word is said when it can be. */
void client_drop(struct proxy *p, struct client *c, bool reset);
/* Frames of its stream; already noted. */
void client_frame(struct proxy *p, struct client *c, const struct net_header *h, const uint8_t *b);
/* The session is over, and the stream with it. */
void client_lost(struct client *c);
/* What to wait for; false: nothing. */
bool client_fill(struct proxy *p, const struct client *c, struct pollfd *ret);
/* Moves what can be moved. `revents` of its fd. */
void client_pump(struct proxy *p, struct client *c, short revents);

/* ---- talk.c: what a client wants, and what it is told ---- */

/* Looks at what it has said so far. */
void talk_hear(struct proxy *p, struct client *c);
/* CALLING: says OPEN and REQUEST, if it can. */
void talk_call(struct proxy *p, struct client *c);
/* The host has opened its stream. */
void talk_opened(struct client *c);
/* FORWARD: says the request's head, if it can. */
void talk_forward(struct proxy *p, struct client *c);
void talk_response(struct client *c, const struct net_response *m);
/* It is refused, or failed before there was an answer. `status`: 0, what goes with `why`. `json`:
 * the host's words, or NULL. */
void talk_refuse(struct client *c, uint32_t why, unsigned status, const uint8_t *json, size_t len);
/* A copy of this goes to it. */
void talk_put(struct client *c, const char *text, size_t len);

#endif
