/*
 * verify: is a record whole, and what its host wrote? Reads files only. UNTRUSTED input.
 *
 * How it works
 *   Every line is checked against the hash in the next, every head of the ledger about this record
 *   against the line that it names, its signature and its key. The last head must be closed and be
 *   the last line: then the record is whole. With no closed head it is incomplete: whoever wrote it
 *   was killed, or works still. Anything else is refused, with the first thing that is wrong.
 */
#ifndef LZ_RECORD_VERIFY_H
#define LZ_RECORD_VERIFY_H

#include "record/ledger.h"

enum verify_verdict {
    VERIFY_WHOLE,
    VERIFY_REFUSED,    /* 1: not what the host wrote */
    VERIFY_INCOMPLETE, /* 2: what the host wrote, without its end */
};

struct verify_report {
    enum verify_verdict verdict;
    char id[RECORD_ID_SIZE];
    uint64_t lines, bytes, heads;
    uint64_t signed_lines;     /* of `lines`: those up to the last head */
    char key[DIGEST_HEX_SIZE]; /* of the heads */
    char why[512];             /* printable; what is refused, or where it ends */
};

struct verify_from {
    int record_fd;
    const char *ledger; /* its text */
    size_t ledger_len;
    bool proof; /* it has lines of this record only */
    const struct sign_public *trusted;
    const char *id; /* what the record must be of; NULL: what it says */
};
/* -1: it could not be looked at. */
int verify_record(const struct verify_from *from, struct verify_report *ret, struct err *e);
/* One of a data folder, by its own ledger and key. */
int verify_own(const char *data_dir, int record_fd, const char *id, struct verify_report *ret,
               struct err *e);

#endif
