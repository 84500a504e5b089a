/*
 * gate: what lazaret-gateway does with the guest's frames, the rules, and sockets. UNTRUSTED input
 * on both sides: the guest's port, and what servers answer.
 *
 * How it works
 *   One thread, one poll loop (gateway_main.c). Frames of the guest come in through gate_input();
 *   shared/net.h says which are legal, and the first that is not ends everything as tampering. A
 *   try to reach something is a stream:
 *
 *     tunnel:  OPEN -> a rule? -> RESOLVING -> addresses in bounds? -> DIALING -> OPENED, FLOWING
 *              (https: the first bytes must be a ClientHello that names the same host)
 *     request: OPEN -> ASKING -> REQUEST: a rule? -> WAITING: its secret? -> GREETING (libcurl): a
 *              connection that was used before, or RESOLVING -> in bounds? -> DIALING -> GREETING
 *              -> FLOWING
 *
 *   Where rules_proxy_to() says so, RESOLVING and DIALING are of the host's proxy, and CALLING,
 *   which comes next, asks it for the connection (parent.h).
 *
 *   Frames to the guest are made only where they find room, one stream after another
 *   (gate_speak()), so there is one buffer for all of them, and none before HOLD is over. What the
 *   guest sends is kept per stream, within the window that the protocol gives it.
 *   Events for the keeper have a queue; while it has no room for what a frame may cause, none is
 *   taken.
 *
 * Must: connect to no address that net_address_ok() did not see, and look no name up that no rule
 * allows, but those of the host's proxy; answer every try. Must not: open a file, follow a
 * redirect, say a secret to the guest.
 */
#ifndef LZ_GATEWAY_GATE_H
#define LZ_GATEWAY_GATE_H

#include "gateway/names.h"
#include "gateway/parent.h"
#include "gateway/record.h"
#include "gateway/rules.h"
#include "shared/net.h"

#include <curl/curl.h>
#include <openssl/x509.h>

#define GATE_OUT_SIZE   (4u * (NET_HEADER_SIZE + NET_PAYLOAD_MAX))
#define GATE_EVENTS     2048u
#define GATE_DIALS      3u  /* of one stream at once */
#define GATE_REQUESTS   64u /* at once: libcurl has about 200 KB for each */
#define GATE_CURL_POLLS (GATE_REQUESTS * 4u)
#define GATE_POLLS_MAX                                                                             \
    (NAMES_POLLS_MAX + GATE_CURL_POLLS + RULES_SECRETS_MAX + NET_STREAMS_MAX * GATE_DIALS)

#define GATE_STAGGER_MS 250u    /* from one address of a host to the next */
#define GATE_DIAL_MS    15000u  /* name and connection together */
#define GATE_HELLO_MS   15000u  /* for the ClientHello */
#define GATE_REQUEST_MS 30000u  /* from OPEN to a whole REQUEST and its rule's secret */
#define GATE_IDLE_MS    900000u /* without a byte in either direction */
#define GATE_TOTAL_MS   86400000u

enum gate_stage {
    GATE_FREE,
    GATE_ASKING,
    GATE_WAITING, /* a request: the secret of its rule is on its way */
    GATE_RESOLVING,
    GATE_DIALING,
    GATE_CALLING,  /* connected to the host's proxy, which is asked */
    GATE_GREETING, /* a request: libcurl looks for a connection, or begins TLS on ours */
    GATE_FLOWING,
    GATE_OVER, /* nothing is left of it but its last words */
};

#define GATE_CERTIFICATES "/etc/ssl/certs/ca-certificates.crt"

struct request;

struct gate_stream {
    struct gate *gate;
    uint32_t id;
    enum gate_stage stage;
    struct net_open open;
    struct rule *rule;
    uint64_t began_ms, moved_ms;
    uint64_t until_ms; /* UINT64_MAX: idle and total limits only */
    uint64_t rate_ms;  /* its rule lets bytes go again then; UINT64_MAX: it does now */
    bool tried;        /* TRY was said */
    uint32_t why;      /* how it ends */
    uint64_t bytes_up, bytes_down;
    char address[GATEWAY_ADDRESS_SIZE];

    bool by_proxy;               /* what is resolved and dialled is the host's proxy */
    struct parent_answer answer; /* of it */
    uint32_t proxy_said;         /* struct gateway_event's `proxy` */

    struct names_query *query;
    struct names_answer found; /* in bounds, with the port */
    size_t next;               /* of found, to be dialled */
    uint64_t next_ms;          /* when */
    int dials[GATE_DIALS];     /* -1: none */
    size_t dialled[GATE_DIALS];
    bool no_socket; /* was left to dial with */

    int fd; /* FLOWING tunnel; CALLING */
    bool readable, writable, hello_seen, shut;
    size_t hello_end; /* of up, when it was last looked at: nothing goes up before hello_seen */
    struct request *request;

    uint8_t *up; /* NET_WINDOW bytes, from the guest */
    size_t up_start, up_end;
    bool up_eof;         /* the guest's EOF */
    uint32_t credit;     /* to be given back */
    bool opened, ending; /* OPENED, or the last word, is to be said */
    bool down_eof;       /* the server's end: EOF is to be said, or was */
    char *refusal;       /* JSON, for REFUSED */
    uint16_t status;
};

struct gate {
    struct names *names;
    char *login; /* a header for the host's proxy, or NULL */
    CURLM *multi;
    X509_STORE *store;
    uint64_t curl_ms; /* libcurl wants to be called then; UINT64_MAX: no */
    struct pollfd curl_polls[GATE_CURL_POLLS];
    size_t n_curl_polls, n_requests;
    struct rules rules;

    bool met; /* a HELLO was sent, and the port is there */
    uint32_t guest;
    bool over;         /* nothing is taken any more */
    bool hold, resume; /* to be said */
    struct net_hello hello;
    struct net_session session;
    struct net_reader in;
    uint8_t out[GATE_OUT_SIZE];
    size_t out_start, out_end;
    struct gate_stream streams[NET_STREAMS_MAX]; /* stream N is at N - 1 */
    size_t turn;                                 /* whose it is to speak first */

    struct gateway_event events[GATE_EVENTS];
    size_t first_event, n_events;

    struct gate_stream *polled[GATE_POLLS_MAX]; /* whose each fd is */
    size_t n_name_polls, n_library_polls, n_polled;
};

/* `servers`: see names_open(); `certificates`: a file, NULL: the host's; `login`: for the host's
 * proxy, or NULL. Before it is confined. */
int gate_open(struct gate *g, const char *servers, const char *certificates, const char *login,
              struct err *e);
void gate_close(struct gate *g);

/* A command of the keeper; takes fd (-1: none). *ret_port is the new port, or -1. */
void gate_command(struct gate *g, const struct gateway_command *c, int fd, int *ret_port);
/* Ends it: nothing more is taken from the guest, and the event is the last one. */
void gate_end(struct gate *g, enum gateway_event_type type, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The port is gone, and every stream with it; there may be another one. */
void gate_lose_port(struct gate *g);
bool gate_takes_input(const struct gate *g);
size_t gate_input_space(struct gate *g, uint8_t **ret_at);
void gate_input(struct gate *g, size_t n);
size_t gate_output(struct gate *g, const uint8_t **ret_at);
void gate_sent(struct gate *g, size_t n);

size_t gate_poll(struct gate *g, struct pollfd *p); /* at most GATE_POLLS_MAX */
uint64_t gate_deadline_ms(struct gate *g);
/* What poll() said of them, before anything else is done. */
void gate_take(struct gate *g, const struct pollfd *p, size_t n);
/* What the time, new frames and new room ask for. */
void gate_turn(struct gate *g);

const struct gateway_event *gate_event(const struct gate *g); /* NULL: none */
void gate_event_taken(struct gate *g);

/* ---- between the sources of gate ------------------------------------------------------------- */

/* gate_speak.c: makes frames while there is room. */
void gate_speak(struct gate *g);

/* gate.c. Says no, or ends what has begun: `why` is of enum net_why. */
void stream_refuse(struct gate_stream *s, uint32_t why);
/* Both directions have ended, or the guest does not want it any more. */
void stream_done(struct gate_stream *s);
/* A TRY that is allowed. */
void stream_allowed(struct gate_stream *s);
/* Its rule, or NULL when it was refused. */
bool stream_take_rule(struct gate_stream *s, struct rule *r);
/* Bytes went, up or down: against its limits. False: it was ended. */
bool stream_count(struct gate_stream *s, uint64_t up, uint64_t down);

/* tunnel.c: connections, of requests too. The address without its port. */
void tunnel_format_address(const struct sockaddr_storage *a, char out[GATEWAY_ADDRESS_SIZE]);
void tunnel_resolve(struct gate_stream *s);
void tunnel_work(struct gate_stream *s); /* what time and flags ask for */
size_t tunnel_poll(struct gate_stream *s, struct pollfd *p);
void tunnel_take(struct gate_stream *s, const struct pollfd *p);
/* Up to `n` bytes from the server: how many, 0: none now, or its end. */
size_t tunnel_read(struct gate_stream *s, uint8_t *at, size_t n);
void tunnel_close(struct gate_stream *s);

/* request.c */
int request_open_all(struct gate *g, struct err *e);
void request_close_all(struct gate *g);
void request_begin(struct gate_stream *s, const struct net_request *m);
void request_go_on(struct gate_stream *s); /* WAITING: if its secret has come, or never will */
void request_connected(struct gate_stream *s, int fd); /* takes fd, a connection to its host */
void request_fed(struct gate_stream *s);               /* more of the body is there, or its end */
/* The RESPONSE's payload (NET_RESPONSE_MAX bytes) once it is there; 0: not yet. */
size_t request_response(struct gate_stream *s, uint8_t *at);
size_t request_read(struct gate_stream *s, uint8_t *at, size_t n);
void request_work(struct gate *g, const struct pollfd *p, size_t n);
void request_close(struct gate_stream *s);

#endif
