/*
 * unpack: the caller's end of lazaret-unpack, which turns a spooled output tree (shared/tree.h)
 * into files and folders under one directory, and spooled text into a JSON string.
 */
#ifndef LZ_CHANNEL_UNPACK_H
#define LZ_CHANNEL_UNPACK_H

#include "base/doc.h"
#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

struct unpack_result {
    uint64_t files, folders, bytes, refused;
    struct doc *refused_list; /* array of {"name": escaped, "why": text, "by": "host"|"guest"}; at
                                 most 1000 of them; free with doc_free() */
};

/*
 * Runs lazaret-unpack on `spool_fd` (read from offset 0) into `out_dir_fd`. What was written before
 * an error stays, each file whole or not at all; one that was killed may leave the file that it was
 * at in a folder, as ".lazaret-part". ERR_PROTOCOL: the tree is not a legal stream;
 * ERR_LIMIT: more than max_bytes; ERR_HOST: the host could not write.
 * Started by root it works as the owner of out_dir_fd; files belong to whoever it works as.
 */
int unpack_run(const char *unpack_path, int spool_fd, int out_dir_fd, uint64_t max_bytes,
               uint64_t timeout_ms, struct unpack_result *ret, struct err *e);

/* Is told of each file that was made, but for those of a sealed archive: its name, escaped, and
 * what was written; of the first 1000 of them. */
struct unpack_list {
    void (*made)(void *arg, const char *name, uint64_t bytes, const char *sha256);
    void *arg;
};
/*
 * The same, and with `to` not empty nobody here can read what comes out: it becomes the one file
 * UNPACK_SEALED, a tar archive sealed to the public keys `to` (seal/age.h). When it fails there is
 * none. `list` may be NULL.
 */
#define UNPACK_SEALED "out.tar.age"
int unpack_listed(const char *unpack_path, int spool_fd, int out_dir_fd, const struct strv *to,
                  uint64_t max_bytes, uint64_t timeout_ms, const struct unpack_list *list,
                  struct unpack_result *ret, struct err *e);

/*
 * Writes what is in `spool_fd` to `out_fd` as one JSON string, quotes included, in ASCII only:
 * what is not UTF-8 becomes U+FFFD. By lazaret-unpack, confined, so that the caller need not read
 * it.
 */
int unpack_print_json(const char *unpack_path, int spool_fd, int out_fd, struct err *e);

#endif
