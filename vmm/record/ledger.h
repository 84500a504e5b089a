/*
 * ledger: the signed heads of all records of a data folder, one after another, chained.
 *
 * Who adds holds the lock of the file. A line that a crash cut off was never relied on, and goes.
 */
#ifndef LZ_RECORD_LEDGER_H
#define LZ_RECORD_LEDGER_H

#include "base/sign.h"
#include "record/record.h"

#define LEDGER_FORMAT   "lazaret-head"
#define LEDGER_VERSION  1u
#define LEDGER_LINE_MAX 1024u
#define LEDGER_MAX      (1u << 30) /* bytes that are read of one */
#define LEDGER_FILE     "heads.jsonl"
#define LEDGER_DIR      "ledger"   /* in the data folder */
#define LEDGER_KEY      "host.key" /* in it, with host.key.pub */
#define RECORD_DIR      "records"  /* in the data folder */

struct ledger {
    int fd; /* of the file */
    struct sign_key *key;
};

/* Makes folders, key and file where they are not there. */
int ledger_prepare(const char *data_dir, struct err *e);
/* Of one that was prepared. */
int ledger_open(const char *data_dir, struct ledger *ret, struct err *e);
void ledger_done(struct ledger *l);
#define own_ledger __attribute__((cleanup(ledger_done)))

enum ledger_state {
    LEDGER_OPEN,
    LEDGER_CLOSED,  /* the record is whole */
    LEDGER_REMOVED, /* it was removed on purpose */
};
/* Adds a head. */
int ledger_add(const struct ledger *l, const struct record_head *h, enum ledger_state state,
               bool durable, struct err *e);

/* One line of a ledger, read. */
struct ledger_line {
    uint64_t seq, line;
    char time[36], record[RECORD_ID_SIZE];
    char hash[DIGEST_HEX_SIZE], key[DIGEST_HEX_SIZE], prev[DIGEST_HEX_SIZE];
    enum ledger_state state;
    unsigned char signature[SIGN_BYTES];
    size_t signed_bytes; /* of the line, from its beginning */
};
/* UNTRUSTED. ERR_HOST says what is wrong with it. */
int ledger_line_parse(const char *text, size_t len, struct ledger_line *ret, struct err *e);
bool ledger_line_is_signed(const struct ledger_line *h, const char *text,
                           const struct sign_public *by);

/* The public key's file of a data folder; returns new, read. ERR_USAGE: there is none. */
int ledger_public(const char *data_dir, char **ret_pem, struct sign_public *ret, struct err *e);
/* The ledger of a data folder, as it is now; returns new. */
int ledger_read(const char *data_dir, char **ret, size_t *ret_len, struct err *e);

#endif
