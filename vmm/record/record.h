/*
 * record: what a run or sandbox did: JSON lines, each with the hash of the one before. The writer.
 *
 * How it works
 *   A line is formatted once, redacted, hashed and written with one write(); its hash is in the
 *   next (lazaret-record.5). record_sign() puts the last hash under a signature into the ledger
 *   (ledger.h), which is apart from the file. A record is whole when its last line is `destroyed`
 *   and the ledger's last head of it, that line, is closed.
 *   What the guest can cause is bounded: lines by RECORD_GUEST pass a bucket, the file has a cap,
 *   and what was dropped is counted and said.
 *
 * Must: be written to by the host only. Must not: hold a byte of the guest that is not escaped and
 * capped by who adds it.
 */
#ifndef LZ_RECORD_RECORD_H
#define LZ_RECORD_RECORD_H

#include "base/digest.h"
#include "base/doc.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define RECORD_FORMAT  "lazaret-record"
#define RECORD_VERSION 1u

#define RECORD_ID_SIZE    96 /* bytes, with the NUL */
#define RECORD_LINE_MAX   (256u << 10)
#define RECORD_BYTES_MAX  (64u << 20)
#define RECORD_TAIL_BYTES (1u << 20) /* above that, for the last lines */
#define RECORD_FILE_MAX   (RECORD_BYTES_MAX + RECORD_TAIL_BYTES)
#define RECORD_BURST      500u /* lines by the guest at once ... */
#define RECORD_RATE       50u  /* ... and a second */
#define RECORD_SUFFIX     ".jsonl"
#define RECORD_SEALED     RECORD_SUFFIX ".age"
#define RECORD_NO_HASH    "0000000000000000000000000000000000000000000000000000000000000000"

enum record_by { RECORD_HOST, RECORD_GUEST };

/* The line that a record ends with by now. */
struct record_head {
    char id[RECORD_ID_SIZE];
    uint64_t seq; /* of the line */
    char hash[DIGEST_HEX_SIZE];
};

/* True for what can be a record's id: the name of its file without the suffix. */
bool record_is_id(const char *id);
/* True for a life of the sandbox `name`: NAME.ID, with an ID that has no dot. */
bool record_is_life(const char *id, const char *name);
/* The id in a file's name, with RECORD_SUFFIX or RECORD_SEALED; false: it is no such file's. */
bool record_id_of(const char *file, const char *suffix, char ret_id[RECORD_ID_SIZE]);

struct record;

/* Makes the file ID.jsonl (0600) in the folder `dir_fd`, without a line yet. Returns new. `redact`
 * (redact.h, may be NULL) is borrowed. */
int record_create(int dir_fd, const char *id, const struct strv *redact, struct record **ret,
                  struct err *e);
/* Opens one to go on with it: its chain is checked, and its last line is of the type `last`. */
int record_resume(int dir_fd, const char *id, const char *last, struct record **ret, struct err *e);
/* The most that it may be, less than RECORD_BYTES_MAX. */
void record_bound(struct record *r, uint64_t bytes);
/* Each line from here on is of a guest that is not confined as others are. */
void record_mark_debug(struct record *r);
void record_free(struct record *r); /* accepts NULL */
static inline void record_free_p(struct record **r)
{
    record_free(*r);
}
#define own_record __attribute__((cleanup(record_free_p)))

/* Adds one line, the first one a `begin`, which gets format, version and id; takes `members` (an
 * object, or NULL), whose keys are none of those of every line. 0 also if it was dropped. */
int record_add(struct record *r, enum record_by by, const char *type, struct doc *members,
               struct err *e);
/* A file that decided something: a `file` line with its text, redacted first. Without `content`
 * only its size and hash, as it is. */
int record_add_file(struct record *r, const char *role, const char *name, const char *text,
                    bool content, struct err *e);
/* False: no line yet. */
bool record_head(const struct record *r, struct record_head *ret);
/* It has lines that no head was signed for. */
bool record_has_new(const struct record *r);

struct ledger;
enum record_sign {
    RECORD_SIGN,         /* on the disk when the kernel writes it */
    RECORD_SIGN_DURABLE, /* on the disk now: two fdatasync(), of the record and the ledger */
    RECORD_SIGN_CLOSED,  /* the same, and there will be no more lines */
};
/* Signs the head. */
int record_sign(struct record *r, const struct ledger *l, enum record_sign how, struct err *e);

#endif
