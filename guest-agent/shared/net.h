/*
 * net: THE BOUNDARY of egress. Frames between the gateway on the host and the guest's `net`
 * process.
 *
 * Compiled by both sides; needs the C library only; returns 0 or -errno. It is spoken on a port of
 * its own, which a guest has only if its plan allows something. A frame is as in wire.h: a 16-byte
 * little-endian header and a payload:
 *
 *     0        4      6      8        12       16
 *     | magic  | type | zero | stream | length | payload ...
 *
 * Stream 0 is the session, 1 to NET_STREAMS_MAX are the guest's tries to reach something: it opens
 * them. Everything that is not in the table net_rows (type, direction, state of the
 * session, state of what that side may still say on the stream, size) is illegal, and illegal
 * traffic from the guest ends the run as tampering.
 *
 * How it works
 *   host                                        guest
 *   HELLO (nonce)                 ------------>  forgets every stream
 *                                 <------------  READY (the same nonce)
 *                                 <------------  OPEN (tunnel to host and port)
 *   OPENED, or REFUSED (why, JSON) ----------->
 *   DATA, EOF, CREDIT, CLOSE      <----------->  DATA, EOF, CREDIT, CLOSE
 *                                 <------------  OPEN (request for an origin), REQUEST, DATA, EOF
 *   RESPONSE, DATA, EOF, or REFUSED ---------->
 *   HOLD                          ------------>
 *                                 <------------  HELD: it is silent from here on
 *   RESUME                        ------------>
 *
 * The end of a stream: each side has one last word on it, CLOSE or (host only) REFUSED, and says
 * nothing after. Its number is free again when both have said theirs. Whoever hears the other's
 * last word first answers with CLOSE. EOF ends one direction's DATA only, and is no last word:
 * CLOSE with NET_WHY_DONE follows when both directions have ended.
 *
 * Credits: a sender may have NET_WINDOW bytes of DATA under way per stream and direction when the
 * stream begins; CREDIT gives back what the receiver has consumed. In a tunnel, the guest sends no
 * DATA before OPENED; behind REQUEST it may send at once.
 *
 * A living guest is saved between HELD and RESUME: no byte is under way then. Before HELD the guest
 * says what it has begun to say. After HOLD the host says nothing but RESUME (after HELD), or
 * HELLO, which may come at any time and is all that a restored guest hears of its new life.
 *
 * What a request carries in its own fields never is in its headers (net_is_own_header()), so there
 * is one length and one framing of a body, and none that a header could contradict.
 */
#ifndef LZ_SHARED_NET_H
#define LZ_SHARED_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NET_PORT_NAME       "lazaret.net.0" /* the virtio-serial port's name */
#define NET_VERSION         1u              /* matched exactly */
#define NET_MAGIC           0x314e5a4cu     /* "LZN1" read as little-endian */
#define NET_HEADER_SIZE     16u             /* bytes */
#define NET_PAYLOAD_MAX     65536u          /* bytes */
#define NET_WINDOW          131072u         /* bytes of DATA in flight per stream and direction */
#define NET_STREAMS_MAX     256u            /* streams are 1 to 256 */
#define NET_EXEC_MAX        16u             /* exec numbers are 1 to 16, as in wire.h */
#define NET_NONCE_SIZE      16u
#define NET_NAME_MAX        253u       /* bytes of a host's name */
#define NET_ORIGIN_MAX      32u        /* bytes of a clear-side origin's name */
#define NET_TEXT_MAX        2048u      /* bytes of the JSON text in REFUSED */
#define NET_METHOD_MAX      16u        /* bytes */
#define NET_PATH_MAX        8192u      /* bytes, with the query */
#define NET_HEADERS_MAX     100u       /* headers of a REQUEST or RESPONSE */
#define NET_HEADER_LIST_MAX 32768u     /* bytes of all of them, as encoded */
#define NET_BODY_UNKNOWN    UINT64_MAX /* the body ends where EOF says */
#define NET_BODY_MAX        (1ull << 60)
/* The domain of clear-side origins: http://NAME.lazaret/ */
#define NET_ORIGIN_DOMAIN "lazaret"

enum net_type {
    NET_HELLO = 1,
    NET_READY,
    NET_OPEN,
    NET_OPENED,
    NET_REFUSED,
    NET_REQUEST,
    NET_RESPONSE,
    NET_DATA,
    NET_EOF,
    NET_CREDIT,
    NET_CLOSE,
    NET_HOLD,
    NET_HELD,
    NET_RESUME,
    NET_TYPE_END
};

enum net_dir { NET_TO_GUEST = 1, NET_TO_HOST = 2 };

enum net_state {
    /* Of the session. */
    NET_IN_BOOT = 1,    /* no READY for the last HELLO yet */
    NET_IN_READY = 2,   /* met */
    NET_IN_HOLDING = 4, /* HOLD sent, no HELD yet */
    NET_IN_HELD = 8,    /* HELD sent, no RESUME yet */
    /* Of one side's part of a stream: what may it still say? */
    NET_IN_NONE = 16,     /* the stream does not exist (any more) */
    NET_IN_DIALING = 32,  /* OPEN for a tunnel, no OPENED yet */
    NET_IN_ASKING = 64,   /* OPEN for a request, and no REQUEST (guest) or RESPONSE (host) yet */
    NET_IN_FLOWING = 128, /* DATA may come */
    NET_IN_ENDED = 256,   /* it has said EOF */
    NET_IN_CLOSED = 512,  /* it has said its last word, the other has not */
    NET_STATE_END = 1024
};

struct net_header {
    uint16_t type;   /* enum net_type */
    uint32_t stream; /* 0 to NET_STREAMS_MAX */
    uint32_t length; /* bytes of payload */
};

/* One row of legal traffic. A frame is legal if a row of its type matches it in every column. */
struct net_row {
    uint16_t type;
    uint8_t dirs;      /* of enum net_dir */
    uint16_t sessions; /* states of the session */
    uint16_t streams;  /* states of the sender's part of the stream; 0: stream 0, the session */
    uint32_t min, max; /* bytes of payload */
};
extern const struct net_row net_rows[];
extern const size_t net_n_rows;

/* "HELLO", ...; "?" for an unknown type. */
const char *net_type_name(uint16_t type);

/*
 * Is this frame legal in this direction, with the session and (for stream 0: ignored) the sender's
 * part of the stream in these states? 0 or -EPROTO.
 */
int net_check(const struct net_header *h, enum net_dir dir, enum net_state session,
              enum net_state stream);

/* Magic, known type, zero field, stream in range, length within the cap: 0 or -EBADMSG. */
int net_header_parse(const uint8_t raw[NET_HEADER_SIZE], struct net_header *ret);
void net_header_format(uint8_t raw[NET_HEADER_SIZE], const struct net_header *h);

/*
 * A reader collects bytes and hands out whole frames; it never allocates.
 *     while (net_reader_next(r, &h, &payload) == 1) ...;
 *     space = net_reader_space(r, &p); n = read(fd, p, space); net_reader_commit(r, n);
 */
struct net_reader {
    size_t start, end; /* unread bytes in buf */
    uint8_t buf[NET_HEADER_SIZE + NET_PAYLOAD_MAX];
};
void net_reader_init(struct net_reader *r);
size_t net_reader_space(struct net_reader *r, uint8_t **ret_at);
void net_reader_commit(struct net_reader *r, size_t n);
/* 1: a frame (payload is valid until the next net_reader_space()), 0: more bytes needed, -EBADMSG.
 */
int net_reader_next(struct net_reader *r, struct net_header *ret, const uint8_t **ret_payload);

/*
 * The session as one of its two ends sees it: which frames are legal, and who has how much credit.
 * Each end notes every frame that it sends and every frame that it receives, in its own order; the
 * rules above are such that both orders are legal where both ends keep to them.
 */
struct net_part {
    enum net_state state;
    uint32_t credit; /* bytes of DATA that this side may still send */
};
struct net_stream {
    struct net_part guest, host;
};
struct net_session {
    enum net_state state;
    struct net_stream streams[NET_STREAMS_MAX + 1]; /* [0] is not used */
};
void net_session_init(struct net_session *s);
/*
 * A frame that is about to be sent, or was received. 0: it is legal, and noted. -EPROTO: it is not
 * in the table, or more than the credit. -EBADMSG: OPEN or CREDIT cannot be parsed. Nothing changes
 * on failure. Payloads of other types are for their parsers to check.
 */
int net_session_note(struct net_session *s, enum net_dir dir, const struct net_header *h,
                     const uint8_t *payload);
/* Does the stream exist: OPEN was said, and not yet both last words? */
bool net_stream_is_live(const struct net_stream *s);

/* ---- what a try may name --------------------------------------------------------------------- */

/*
 * A host's name: labels of 1 to 63 letters a-z, digits, '-', '_' with dots between, not at the end;
 * or an IPv4 address as four decimal numbers, or an IPv6 address without brackets and zone. What
 * some resolvers take for an address in another spelling (127.1, 0x7f.1, 2130706433) is no name.
 */
bool net_is_name(const char *name, size_t len);
/* The name of a clear-side origin: a-z, 0-9 and '-', 1 to NET_ORIGIN_MAX. */
bool net_is_origin(const char *name, size_t len);
/*
 * Origin-form: '/' and then visible ASCII, no '#', no '\\', up to NET_PATH_MAX. No segment before
 * the '?' may be "." or "..", with dots escaped or not: prefixes of paths must mean what they say.
 */
bool net_is_path(const char *path, size_t len);
/* An HTTP method: 1 to NET_METHOD_MAX letters A-Z. */
bool net_is_method(const char *method, size_t len);

/* ---- messages: fixed layouts, little-endian, no padding ---------------------------------------
 */

/* HELLO and READY. */
struct net_hello {
    uint32_t version;
    uint8_t nonce[NET_NONCE_SIZE];
};
#define NET_HELLO_SIZE (4u + NET_NONCE_SIZE)

enum net_kind {
    NET_TUNNEL = 1, /* bytes to name:port; what they must be is the host's rule's business */
    NET_ORIGIN = 2, /* a request for the clear-side origin `name`; port is 0 */
};
struct net_open {
    uint16_t kind;               /* enum net_kind */
    uint16_t exec;               /* 1 to NET_EXEC_MAX; the guest's word */
    uint16_t port;               /* 1 to 65535; NET_ORIGIN: 0 */
    char name[NET_NAME_MAX + 1]; /* net_is_name(), NET_ORIGIN: net_is_origin() */
};
#define NET_OPEN_HEAD 8u

/* Why something was refused, or ended. */
enum net_why {
    NET_WHY_DONE = 0, /* CLOSE only: both directions have ended as they should */
    NET_WHY_RULE,     /* no rule allows it */
    NET_WHY_ADDRESS,  /* its name leads to an address that is out of bounds */
    NET_WHY_NAME,     /* its name cannot be resolved */
    NET_WHY_CONNECT,  /* the other end does not accept, or cannot be reached */
    NET_WHY_TIMEOUT,  /* it took too long, or was idle for too long */
    NET_WHY_TLS,      /* no TLS where the rule wants it, another name, or a bad certificate */
    NET_WHY_BUDGET,   /* the rule's bytes are used up */
    NET_WHY_LIMIT,    /* too many at once */
    NET_WHY_REQUEST,  /* not a proper request */
    NET_WHY_PEER,     /* the other end broke off, or spoke nonsense */
    NET_WHY_GONE,     /* the rule was taken away */
    NET_WHY_END
};
/* "done", "rule", ...; "?" for an unknown one. Stable: they are in results. */
const char *net_why_name(uint32_t why);

/* REFUSED: a head and the text, a complete JSON body for the client. */
struct net_refused {
    uint16_t why;    /* enum net_why, not DONE */
    uint16_t status; /* of HTTP, 400 to 599 */
    size_t text_len;
    const uint8_t *text; /* borrowed from the payload; printable ASCII and spaces */
};
#define NET_REFUSED_HEAD 4u

/* A list of headers, checked: borrowed from the payload. */
struct net_headers {
    const uint8_t *at; /* each: name length u16, value length u16, name, value */
    size_t len;
    uint16_t count;
};
struct net_field {
    const char *name, *value; /* not terminated */
    size_t name_len, value_len;
};
/* Takes the next one off the list; false: there is none. */
bool net_headers_next(struct net_headers *list, struct net_field *ret);
/*
 * Name: a token of lower-case letters, digits and !#$%&'*+-.^_`|~, and none of our own. Value: any
 * byte but control characters (a tab is allowed), up to NET_HEADER_LIST_MAX.
 */
bool net_is_field(const struct net_field *f);
/* What the frames carry in their own fields, or what is between two hops only: host,
 * content-length, transfer-encoding, connection, keep-alive, proxy-*, te, trailer, upgrade, expect.
 * Lower-case. Whoever makes a list leaves them out. */
bool net_is_own_header(const char *name, size_t len);

struct net_request {
    uint64_t body; /* bytes of DATA that follow, NET_BODY_UNKNOWN: until EOF */
    size_t method_len, path_len;
    const char *method; /* A-Z; borrowed, not terminated; so is path */
    const char *path;   /* net_is_path() */
    struct net_headers headers;
};
struct net_response {
    uint64_t body;   /* of HEAD: what GET would have; no DATA follows then */
    uint16_t status; /* 200 to 599 */
    struct net_headers headers;
};
#define NET_REQUEST_HEAD  16u
#define NET_RESPONSE_HEAD 16u
#define NET_REQUEST_MAX   (NET_REQUEST_HEAD + NET_METHOD_MAX + NET_PATH_MAX + NET_HEADER_LIST_MAX)
#define NET_RESPONSE_MAX  (NET_RESPONSE_HEAD + NET_HEADER_LIST_MAX)

/* Formats a list of headers piece by piece. `at` has NET_HEADER_LIST_MAX bytes. */
struct net_list {
    uint8_t *at;
    size_t len;
    uint16_t count;
};
/* 0, -EINVAL: net_is_field() says no, -E2BIG: no room. */
int net_list_add(struct net_list *l, const struct net_field *f);

/* CREDIT and CLOSE: a u32. EOF, OPENED, HOLD, HELD, RESUME: empty. */
void net_u32_format(uint8_t out[4], uint32_t value);
void net_hello_format(uint8_t out[NET_HELLO_SIZE], const struct net_hello *m);
/* These return the length. */
size_t net_open_format(uint8_t out[NET_OPEN_HEAD + NET_NAME_MAX], const struct net_open *m);
size_t net_refused_format(uint8_t out[NET_REFUSED_HEAD + NET_TEXT_MAX],
                          const struct net_refused *m);
/* `headers.at` may not lie in `out`. */
size_t net_request_format(uint8_t out[NET_REQUEST_MAX], const struct net_request *m);
size_t net_response_format(uint8_t out[NET_RESPONSE_MAX], const struct net_response *m);

/* Parsers: `len` bytes of payload into the struct; 0 or -EBADMSG (size, or a value out of range).
 * They copy; only what is called borrowed points into the payload. */
int net_hello_parse(const uint8_t *p, size_t len, struct net_hello *ret);
int net_open_parse(const uint8_t *p, size_t len, struct net_open *ret);
int net_refused_parse(const uint8_t *p, size_t len, struct net_refused *ret);
int net_request_parse(const uint8_t *p, size_t len, struct net_request *ret);
int net_response_parse(const uint8_t *p, size_t len, struct net_response *ret);
int net_credit_parse(const uint8_t *p, size_t len, uint32_t *ret_bytes); /* 1 to NET_WINDOW */
int net_close_parse(const uint8_t *p, size_t len, uint32_t *ret_why);    /* enum net_why */

#endif
