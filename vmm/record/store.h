/* store: the records of a data folder: found, listed, removed. */
#ifndef LZ_RECORD_STORE_H
#define LZ_RECORD_STORE_H

#include "record/ledger.h"

#include <stdbool.h>

/* `text`: an id, the beginning of just one, or a sandbox's name, whose newest it is. ERR_USAGE. */
int record_find(const char *data_dir, const char *text, char ret_id[RECORD_ID_SIZE], struct err *e);
/* Opens it. ERR_USAGE: it is sealed. */
int record_open(const char *data_dir, const char *id, int *ret_fd, struct err *e);
/* Returns new: array of {"id", "kind", "name", "began", "state", "command", "bytes"}, oldest first.
 * The state is `closed`, `open` or `sealed`, as the file has it: nothing is verified. */
int record_list(const char *data_dir, struct doc **ret, struct err *e);

/* Removes what is older than `older_ms` (UINT64_MAX: nothing is), and then the oldest until
 * the rest fits into `max_bytes`; none that is written to. The ledger says so of each. */
int record_prune(const char *data_dir, uint64_t older_ms, uint64_t max_bytes, uint64_t *ret_removed,
                 uint64_t *ret_bytes, struct err *e);

#endif
