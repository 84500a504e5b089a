/*
 * unpack_record: the records from lazaret-unpack to the keeper, over SOCK_SEQPACKET, one a packet.
 *
 * Both ends come from one build. The keeper checks every field: the program read a hostile tree.
 */
#ifndef LZ_CHANNEL_UNPACK_RECORD_H
#define LZ_CHANNEL_UNPACK_RECORD_H

#include "base/digest.h"
#include "base/err.h"
#include "shared/tree.h"

#include <stdint.h>

/* The program's fds; argv[1] is max_bytes, argv[2] UNPACK_LIST or UNPACK_NO_LIST, and what follows
 * are public keys to seal to. */
enum { UNPACK_SPOOL = 3, UNPACK_DIR, UNPACK_RESULT };

#define UNPACK_TEXT_MAX    512u   /* bytes, with the NUL */
#define UNPACK_LIST        "list" /* each file that was made is told */
#define UNPACK_NO_LIST     "no-list"
#define UNPACK_MADE_MAX    1000u /* files that are told */
#define UNPACK_REFUSED_MAX 1000u /* names that are listed; the rest is counted */

enum unpack_record_type {
    UNPACK_REFUSED = 1, /* why, by_guest, text: the name, escaped */
    UNPACK_MADE,        /* bytes, sha256, text: a file's name, escaped */
    UNPACK_DONE,        /* the counts; the last record */
    UNPACK_ERROR,       /* class, text; the last record */
};

struct unpack_record {
    uint32_t type;
    uint32_t why;      /* enum tree_why */
    uint32_t by_guest; /* 1: the agent left it out, 0: we refused it */
    uint32_t class;    /* enum err_class: ERR_PROTOCOL, ERR_LIMIT or ERR_HOST */
    uint64_t files, folders, bytes, refused;
    char sha256[DIGEST_HEX_SIZE];
    char text[UNPACK_TEXT_MAX]; /* printable ASCII */
};

#endif
