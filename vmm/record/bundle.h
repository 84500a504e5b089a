/*
 * bundle: a record with everything that it takes to check it elsewhere, as one tar archive.
 *
 * record.jsonl, heads.jsonl (the ledger's lines about it), key.pub, and the texts of its `file`
 * lines under names of their own, for people. Reading one: UNTRUSTED; nothing is written but to
 * memory, under names that are looked up and never used.
 */
#ifndef LZ_RECORD_BUNDLE_H
#define LZ_RECORD_BUNDLE_H

#include "record/verify.h"

#define BUNDLE_FILES_MAX 64         /* files beside the three */
#define BUNDLE_FILE_MAX  (1u << 20) /* bytes of each */
#define BUNDLE_HEADS_MAX (64u << 20)

/* Writes one: the record of `record_fd`, its lines of `ledger`, and the key in PEM. */
int bundle_write(int out_fd, int record_fd, const char *id, const char *ledger, size_t ledger_len,
                 const char *key_pem, struct err *e);

struct bundle_file {
    char name[128], sha256[DIGEST_HEX_SIZE];
};
struct bundle {
    int record_fd; /* in memory */
    char *heads, *key_pem;
    size_t heads_len;
    struct sign_public key;
    struct bundle_file files[BUNDLE_FILES_MAX];
    size_t n_files;
};
/* ERR_USAGE: it is no bundle. */
int bundle_open(int fd, struct bundle *ret, struct err *e);
void bundle_done(struct bundle *b);
#define own_bundle __attribute__((cleanup(bundle_done)))

/* As verify_record(), by the key `trusted`; and its other files are those of the record. */
int bundle_verify(const struct bundle *b, const struct sign_public *trusted,
                  struct verify_report *ret, struct err *e);

#endif
