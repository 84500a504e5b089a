/*
 * wire: THE BOUNDARY. Frames and messages between the host's relay and the guest agent.
 *
 * Compiled by both sides; needs the C library only; returns 0 or -errno. One byte stream (a
 * virtio-serial port) carries frames; a frame is a 16-byte little-endian header and a payload:
 *
 *     0        4      6      8        12       16
 *     | magic  | type | zero | stream | length | payload ...
 *
 * `stream` is exec << 3 | kind. Exec 0 is the session itself; an exec number is chosen by the host.
 * Everything that is not in the table wire_rules (type, direction, kind of stream, state, size) is
 * illegal, and illegal traffic from the guest ends the run as tampering.
 *
 * How it works
 *   host                                        guest
 *   HELLO (nonce, time, entropy)  ------------>  resets its parser, seeds the kernel, sets the
 *                                                clock, takes the run's disks
 *                                 <------------  READY (the same nonce) or FAILED
 *   EXEC (flags, lengths)         ------------>
 *   SECRET ... (as many as EXEC says) ------->  files on a tmpfs of this job, or its environment
 *   CONFIG ... (canaries,         ------------>  loads the profile, starts the container
 *     OCI config.json,
 *     and an AppArmor profile)
 *                                 <------------  STARTED, or UNSTARTED (why)
 *   DATA stdin, EOF, SIGNAL, RESIZE, CREDIT, CLOSE ->
 *                                 <------------  DATA stdout/stderr, CREDIT
 *                                 <------------  DENIED ... (what was refused, soon after it was)
 *                                 <------------  SEEN ... (what it did to files: a canary at once,
 *                                                what it opened soon, what it wrote at its end)
 *                                 <------------  EXIT (after the last DATA; the streams are over)
 *   COLLECT (cap), CREDIT         ------------>
 *                                 <------------  DATA tree ..., COLLECTED
 *   SYNC                          ------------>  stops the jobs, writes the scratch disk
 *                                 <------------  SYNCED (how); it is silent from here on
 *   RESUME                        ------------>  lets the jobs go on
 *   USAGE                         ------------>
 *                                 <------------  USED (what the guest says it uses), before SYNCED
 *   LOG may come from the guest unless it is silent; its total is bounded.
 *
 * A guest that is to be saved for later runs is greeted with WIRE_HELLO_PARK: it lets go of the
 * disks that will be others then, and answers PARKED in place of READY. Nothing is under way after
 * that, in either direction, until the next HELLO: the saved guest's first, with all of it new.
 *
 * A living guest is saved between SYNCED and RESUME. After SYNC the host sends nothing, after
 * SYNCED the guest sends nothing: no byte is under way then, so that a restored guest can be met by
 * another host end, with HELLO, and the one that lives on loses nothing. That HELLO names the jobs
 * that shall go on, and READY those of them that do. Such a job has no stdin any more, and its
 * output streams begin anew, with a whole window; every other job is ended without a word. Any
 * other HELLO ends all of them.
 *
 * Credits: a sender may have wire_window() bytes of DATA under way when a stream begins; CREDIT
 * gives back what the receiver has consumed. More DATA than credit is tampering.
 */
#ifndef LZ_SHARED_WIRE_H
#define LZ_SHARED_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_PORT_NAME       "lazaret.0" /* the virtio-serial port's name */
#define WIRE_VERSION         9u          /* matched exactly; also in the image's descriptor */
#define WIRE_MAGIC           0x315a414cu /* "LAZ1" read as little-endian */
#define WIRE_HEADER_SIZE     16u         /* bytes */
#define WIRE_PAYLOAD_MAX     65536u      /* bytes */
#define WIRE_WINDOW          163840u     /* bytes of DATA in flight per stream, .. */
#define WIRE_WINDOW_STDERR   49152u      /* .. of stderr: all of them are memory of the host */
#define WIRE_EXEC_MAX        16u         /* exec numbers are 1 to 16 */
#define WIRE_EXEC_ALL        0xffffu     /* a bit each: wire_exec_bit() */
#define WIRE_CONFIG_MAX      1048576u    /* bytes of OCI config.json */
#define WIRE_PROFILE_MAX     524288u     /* bytes of a compiled AppArmor profile */
#define WIRE_TEXT_MAX        512u        /* bytes of text in FAILED, UNSTARTED, LOG */
#define WIRE_LOG_TOTAL       65536u      /* bytes of LOG text in one session */
#define WIRE_NONCE_SIZE      16u
#define WIRE_SEED_SIZE       64u
#define WIRE_SECRETS_MAX     32u    /* of one exec */
#define WIRE_SECRET_MAX      61440u /* bytes of each */
#define WIRE_SECRET_NAME_MAX 64u
#define WIRE_PATH_MAX        512u /* bytes of a path in the container, in SEEN and of a canary */
#define WIRE_CANARIES_MAX    16u  /* of one exec */

enum wire_type {
    WIRE_HELLO = 1,
    WIRE_READY,
    WIRE_FAILED,
    WIRE_LOG,
    WIRE_EXEC,
    WIRE_CONFIG,
    WIRE_STARTED,
    WIRE_UNSTARTED,
    WIRE_DATA,
    WIRE_EOF,
    WIRE_CREDIT,
    WIRE_CLOSE,
    WIRE_SIGNAL,
    WIRE_RESIZE,
    WIRE_EXIT,
    WIRE_COLLECT,
    WIRE_COLLECTED,
    WIRE_PARKED,
    WIRE_SYNC,
    WIRE_SYNCED,
    WIRE_RESUME,
    WIRE_DENIED,
    WIRE_SECRET,
    WIRE_USAGE,
    WIRE_USED,
    WIRE_SEEN,
    WIRE_TYPE_END
};

/* The kind of a stream: the low three bits of `stream`. */
enum wire_kind {
    WIRE_CONTROL = 0, /* exec 0: the session; else the exec itself */
    WIRE_STDIN = 1,
    WIRE_STDOUT = 2, /* the terminal's output too */
    WIRE_STDERR = 3,
    WIRE_TREE = 4, /* exec 0 only: the output tree (tree.h) */
    WIRE_KIND_END
};

enum wire_dir { WIRE_TO_GUEST = 1, WIRE_TO_HOST = 2 };

/* The state of what a frame speaks about: of the session, of one exec, or of the collection. */
enum wire_state {
    WIRE_IN_BOOT = 1,        /* session: no READY for the last HELLO yet */
    WIRE_IN_READY = 2,       /* session: met */
    WIRE_IN_NONE = 4,        /* exec or collection: does not exist (any more) */
    WIRE_IN_CONFIG = 8,      /* exec: EXEC sent and its secrets, config not complete */
    WIRE_IN_STARTING = 16,   /* exec: config complete */
    WIRE_IN_RUNNING = 32,    /* exec: STARTED, no EXIT yet */
    WIRE_IN_COLLECTING = 64, /* collection: COLLECT sent, no COLLECTED yet */
    WIRE_IN_SYNCING = 128,   /* session: SYNC sent, no SYNCED yet */
    WIRE_IN_HELD = 256,      /* session: SYNCED sent, no RESUME yet */
    WIRE_IN_SECRETS = 512,   /* exec: EXEC sent, not all secrets that it announced */
    WIRE_STATE_END = 1024
};

struct wire_header {
    uint16_t type;   /* enum wire_type */
    uint32_t stream; /* wire_stream() */
    uint32_t length; /* bytes of payload */
};

static inline uint32_t wire_stream(uint32_t exec, enum wire_kind kind)
{
    return exec << 3 | (uint32_t)kind;
}
static inline uint32_t wire_stream_exec(uint32_t stream)
{
    return stream >> 3;
}
static inline enum wire_kind wire_stream_kind(uint32_t stream)
{
    return (enum wire_kind)(stream & 7u);
}

static inline uint32_t wire_window(enum wire_kind kind)
{
    return kind == WIRE_STDERR ? WIRE_WINDOW_STDERR : WIRE_WINDOW;
}

/* The bit of an exec in `keep` and `kept`. */
static inline uint32_t wire_exec_bit(uint32_t exec)
{
    return 1u << (exec - 1);
}

/* One row of legal traffic. A frame is legal if a row of its type matches it in every column. */
struct wire_rule {
    uint16_t type;
    uint8_t dirs;      /* of enum wire_dir */
    uint8_t kinds;     /* bits 1 << enum wire_kind */
    bool session;      /* exec must be 0 (true) or 1 to WIRE_EXEC_MAX (false) */
    uint16_t states;   /* of enum wire_state */
    uint32_t min, max; /* bytes of payload */
};
extern const struct wire_rule wire_rules[];
extern const size_t wire_n_rules;

/* "HELLO", ...; "?" for an unknown type. */
const char *wire_type_name(uint16_t type);

/* Is this frame legal in this direction and state? 0 or -EPROTO. */
int wire_check(const struct wire_header *h, enum wire_dir dir, enum wire_state state);

/* Magic, known type, zero field, exec and kind in range, length within the cap: 0 or -EBADMSG. */
int wire_header_parse(const uint8_t raw[WIRE_HEADER_SIZE], struct wire_header *ret);
void wire_header_format(uint8_t raw[WIRE_HEADER_SIZE], const struct wire_header *h);
/* The same of a protocol with another magic: net.h's headers are laid out alike. */
void wire_header_put(uint8_t raw[WIRE_HEADER_SIZE], uint32_t magic, uint16_t type, uint32_t stream,
                     uint32_t length);

/*
 * A reader collects bytes and hands out whole frames; it never allocates. What was handed out is
 * wiped by the next wire_reader_space(): it may have been a secret.
 *     while (wire_reader_next(r, &h, &payload) == 1) ...;
 *     space = wire_reader_space(r, &p); n = read(fd, p, space); wire_reader_commit(r, n);
 */
struct wire_reader {
    size_t start, end; /* unread bytes in buf */
    uint8_t buf[WIRE_HEADER_SIZE + WIRE_PAYLOAD_MAX];
};
void wire_reader_init(struct wire_reader *r);
size_t wire_reader_space(struct wire_reader *r, uint8_t **ret_at);
void wire_reader_commit(struct wire_reader *r, size_t n);
/* 1: a frame (payload is valid until the next call), 0: more bytes needed, -EBADMSG: not a frame.
 */
int wire_reader_next(struct wire_reader *r, struct wire_header *ret, const uint8_t **ret_payload);

/* A letter or '_', then letters, digits and '_'; 1 to WIRE_SECRET_NAME_MAX. */
bool wire_is_secret_name(const char *name, size_t len);

/* ---- messages: fixed layouts, little-endian, no padding ------------------------------------ */

#define WIRE_HELLO_PARK  1u /* no run yet: answer PARKED */
#define WIRE_HELLO_INPUT 2u /* the run has an input disk; not with PARK */
struct wire_hello {
    uint32_t version;
    uint32_t flags;                 /* WIRE_HELLO_* */
    uint8_t nonce[WIRE_NONCE_SIZE]; /* also the guest's machine id from now on */
    uint64_t time_ns;               /* CLOCK_REALTIME of the host */
    uint8_t seed[WIRE_SEED_SIZE];   /* for RNDADDENTROPY */
    uint32_t uid, gid;              /* of the job in its container, below GUEST_ID_COUNT */
    uint32_t keep;                  /* running jobs that go on; only in IN_HELD, not with PARK */
};
#define WIRE_HELLO_SIZE (8u + WIRE_NONCE_SIZE + 8u + WIRE_SEED_SIZE + 12u)

/* READY and PARKED. */
struct wire_ready {
    uint32_t version;
    uint8_t nonce[WIRE_NONCE_SIZE];
    uint64_t boot_us; /* guest monotonic time since its boot; the guest's word */
    uint32_t kept;    /* of HELLO's `keep` */
};
#define WIRE_READY_SIZE (4u + WIRE_NONCE_SIZE + 12u)

#define WIRE_EXEC_STDIN 1u  /* stdin is connected; else it is /dev/null */
#define WIRE_EXEC_TTY   2u  /* a terminal: stdout carries it, there is no stderr stream */
#define WIRE_EXEC_TRACE 4u  /* its system calls are told on the console */
#define WIRE_EXEC_WATCH 8u  /* SEEN: what it writes */
#define WIRE_EXEC_LEARN 16u /* SEEN: what it opens and executes, too */
struct wire_exec {
    uint32_t flags;
    uint16_t rows, cols;  /* of the terminal; 0 without one */
    uint32_t config_size; /* bytes of CONFIG but the profile, 2 to WIRE_CONFIG_MAX */
    uint32_t secrets;     /* SECRET frames before them, up to WIRE_SECRETS_MAX */
    uint32_t canaries;    /* that CONFIG begins with, up to WIRE_CANARIES_MAX; of config_size: */
    /* Bytes behind the configuration, in CONFIG too: the profile GUEST_PROFILE and the number of
     * the exec, as apparmor_parser writes it; 0: there is none. */
    uint32_t profile_size;
};
#define WIRE_EXEC_SIZE 24u
/* Each is an absolute path in the container, filled up with NULs, at least one. */
#define WIRE_CANARY_SIZE WIRE_PATH_MAX

/* SECRET is a head of this size and the value. An empty one is none: the host could not read it,
 * and the job must not start. A receiver keeps no copy of the payload. */
#define WIRE_SECRET_ENV 1u /* into the job's environment; else a file */
struct wire_secret {
    uint32_t flags;
    uint32_t uid, gid;                   /* whose file it is, below GUEST_ID_COUNT */
    char name[WIRE_SECRET_NAME_MAX + 1]; /* wire_is_secret_name(); no two of an exec are the same */
    size_t value_len;
    const uint8_t *value; /* borrowed from the payload */
};
#define WIRE_SECRET_HEAD (12u + WIRE_SECRET_NAME_MAX)

enum wire_unstarted_why {
    WIRE_WHY_NOT_FOUND = 1, /* no such command in the container's root */
    WIRE_WHY_NOT_EXEC = 2,  /* there, but not executable */
    WIRE_WHY_RUNTIME = 3,   /* the container could not be made */
};
/* UNSTARTED is a u32 (why) and text of 0 to WIRE_TEXT_MAX bytes. FAILED and LOG are text. */
struct wire_unstarted {
    uint32_t why;
    size_t text_len;
    const uint8_t *text; /* UNTRUSTED, borrowed from the payload */
};

struct wire_exit {
    uint32_t signaled; /* 0: `code` is the exit status (0-255); 1: `code` is the signal (1-64) */
    uint32_t code;
    uint32_t oom;        /* processes that the memory limit killed, as far as the guest says */
    uint64_t cpu_us;     /* CPU time of the container; the guest's word */
    uint64_t peak_bytes; /* peak memory of the container; the guest's word */
    uint32_t peak_pids;  /* the most processes and threads at once; the same */
};
#define WIRE_EXIT_SIZE 32u

/* Kinds of what a job was refused. */
enum wire_denied_kind {
    WIRE_DENIED_CALL = 1, /* system calls of x86_64; detail: which */
    WIRE_DENIED_FOREIGN,  /* system calls of other architectures */
    WIRE_DENIED_MORE,     /* system calls for which there was no row left */
    WIRE_DENIED_UNHEARD,  /* the guest's kernel told of some that were missed or of unknown owner */
    WIRE_DENIED_MEMORY,   /* times that the job was at its memory limit */
    WIRE_DENIED_PIDS,     /* times that it was at its limit of processes */
    WIRE_DENIED_FILES,    /* by AppArmor: files for which there was no row left */
    WIRE_DENIED_ARMOR,    /* by AppArmor: what is no file (capabilities, mounts, signals, ...) */
    WIRE_DENIED_FILE,     /* by AppArmor: one file; detail: WIRE_FILE_* and a number of its own */
    WIRE_DENIED_KIND_END
};
#define WIRE_DENIED_MAX 40u    /* rows of one job */
#define WIRE_CALL_MAX   65535u /* number of a system call */
#define WIRE_FILES_MAX  8u     /* WIRE_DENIED_FILE of one job, numbered from 1 */
#define WIRE_FILE_READ  256u   /* what was refused, one or more of these */
#define WIRE_FILE_WRITE 512u
#define WIRE_FILE_EXEC  1024u
#define WIRE_NAME_MAX   255u /* bytes of its name: what is longer is cut */
/* One row. It may come twice while the job runs: when the first one was refused, and with a higher
 * count before EXIT. The guest's word. */
struct wire_denied {
    uint32_t kind;
    uint32_t detail; /* 0 but for WIRE_DENIED_CALL and _FILE */
    uint64_t count;  /* not 0 */
    /* Of WIRE_DENIED_FILE, else empty: UNTRUSTED, any bytes but NUL; escaped in a channel_event and
     * behind it. */
    char name[WIRE_NAME_MAX + 1];
};
/* DENIED is a head of this size and the name. */
#define WIRE_DENIED_HEAD 16u
#define WIRE_DENIED_SIZE (WIRE_DENIED_HEAD + WIRE_NAME_MAX)
/* Is `detail` one that `kind` can have? */
bool wire_denied_is_detail(uint32_t kind, uint32_t detail);
/* What was refused as a number, above 0. */
static inline uint64_t wire_denied_what(const struct wire_denied *m)
{
    return (uint64_t)m->kind << 32 | m->detail;
}

/* Kinds of what a job did to files. */
enum wire_seen_kind {
    WIRE_SEEN_WRITTEN = 1, /* size, path: it was open for writing; only with WIRE_EXEC_WATCH */
    WIRE_SEEN_OPENED,      /* path, of a folder with '/' at its end; only with WIRE_EXEC_LEARN */
    WIRE_SEEN_EXECUTED,    /* path; the same */
    WIRE_SEEN_LOST,        /* size: at least how often there was more than rows can tell */
    WIRE_SEEN_BLIND,       /* the guest cannot watch: none of the above */
    WIRE_SEEN_CANARY,      /* detail: which one was opened */
    WIRE_SEEN_NO_CANARY,   /* detail: which one is not watched: there was no such file */
    WIRE_SEEN_KIND_END
};
/* Rows with a path, of one job: without and with WIRE_EXEC_LEARN. */
#define WIRE_SEEN_MAX       256u
#define WIRE_SEEN_LEARN_MAX 2048u
/* A detail: one of the job's canaries, but it is not known which. */
#define WIRE_CANARY_SOME WIRE_CANARIES_MAX
/* SEEN is a head of this size and the path. One row; each of LOST, BLIND and of a canary comes
 * once. The guest's word. */
struct wire_seen {
    uint32_t kind;
    uint32_t detail;     /* 0 but for canaries */
    uint64_t size;       /* 0 but for WRITTEN, where it is the file's at last, and LOST */
    size_t path_len;     /* 1 to WIRE_PATH_MAX where there is one, else 0 */
    const uint8_t *path; /* UNTRUSTED: absolute, without NUL; borrowed from the payload */
};
#define WIRE_SEEN_HEAD 16u
static inline bool wire_seen_has_path(uint32_t kind)
{
    return kind <= WIRE_SEEN_EXECUTED;
}

enum wire_collected_how {
    WIRE_COLLECT_DONE = 0,
    WIRE_COLLECT_OVER = 1,  /* the tree is larger than the cap: what came before is whole files */
    WIRE_COLLECT_ERROR = 2, /* the agent could not read it */
};
enum wire_synced_how {
    WIRE_SYNC_DONE = 0,
    WIRE_SYNC_ERROR = 1, /* the guest could not stop its jobs or write its disk; it is held */
};

/* USED: all of it the guest's word; 0 is also what it cannot tell. Execs that are not there are 0.
 */
#define WIRE_BYTES_MAX (1ull << 60) /* of every number but: */
#define WIRE_PIDS_MAX  (1u << 22)   /* the kernel's PID_MAX_LIMIT */
struct wire_used_exec {
    uint64_t cpu_us, memory_bytes, peak_bytes, pids;
};
struct wire_used {
    uint64_t memory_total_bytes, memory_free_bytes;
    uint64_t disk_total_bytes, disk_free_bytes; /* of the scratch disk's file system */
    struct wire_used_exec execs[WIRE_EXEC_MAX];
};
#define WIRE_USED_SIZE (32u + WIRE_EXEC_MAX * 32u)
/* CREDIT, SIGNAL, COLLECTED, SYNCED: a u32. RESIZE: rows u16, cols u16. COLLECT: cap u64 in bytes.
 */

void wire_hello_format(uint8_t out[WIRE_HELLO_SIZE], const struct wire_hello *m);
void wire_ready_format(uint8_t out[WIRE_READY_SIZE], const struct wire_ready *m);
void wire_exec_format(uint8_t out[WIRE_EXEC_SIZE], const struct wire_exec *m);
/* The head only. */
void wire_secret_format(uint8_t out[WIRE_SECRET_HEAD], const struct wire_secret *m);
void wire_exit_format(uint8_t out[WIRE_EXIT_SIZE], const struct wire_exit *m);
/* These two return how many bytes it is. */
size_t wire_denied_format(uint8_t out[WIRE_DENIED_SIZE], const struct wire_denied *m);
size_t wire_seen_format(uint8_t out[WIRE_SEEN_HEAD + WIRE_PATH_MAX], const struct wire_seen *m);
void wire_used_format(uint8_t out[WIRE_USED_SIZE], const struct wire_used *m);
void wire_u32_format(uint8_t out[4], uint32_t value);
void wire_u64_format(uint8_t out[8], uint64_t value);
void wire_resize_format(uint8_t out[4], uint16_t rows, uint16_t cols);

/*
 * Parsers: `len` bytes of payload into the struct; 0 or -EBADMSG (wrong size, value out of range).
 * They copy; nothing but `text`, `value` and `path` points into the payload.
 */
int wire_hello_parse(const uint8_t *p, size_t len, struct wire_hello *ret);
int wire_ready_parse(const uint8_t *p, size_t len, struct wire_ready *ret);
int wire_exec_parse(const uint8_t *p, size_t len, struct wire_exec *ret);
int wire_secret_parse(const uint8_t *p, size_t len, struct wire_secret *ret);
int wire_unstarted_parse(const uint8_t *p, size_t len, struct wire_unstarted *ret);
int wire_exit_parse(const uint8_t *p, size_t len, struct wire_exit *ret);
int wire_denied_parse(const uint8_t *p, size_t len, struct wire_denied *ret);
int wire_seen_parse(const uint8_t *p, size_t len, struct wire_seen *ret);
int wire_used_parse(const uint8_t *p, size_t len, struct wire_used *ret);
int wire_credit_parse(const uint8_t *p, size_t len, uint32_t *ret_bytes); /* 1 to WIRE_WINDOW */
int wire_signal_parse(const uint8_t *p, size_t len, uint32_t *ret_signo); /* 1 to 64 */
int wire_collected_parse(const uint8_t *p, size_t len, uint32_t *ret_how);
int wire_synced_parse(const uint8_t *p, size_t len, uint32_t *ret_how);
int wire_resize_parse(const uint8_t *p, size_t len, uint16_t *ret_rows, uint16_t *ret_cols);
int wire_collect_parse(const uint8_t *p, size_t len, uint64_t *ret_cap_bytes);

#endif
