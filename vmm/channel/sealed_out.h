/*
 * sealed_out: where an output tree goes that nobody on this host shall read: a tar archive, sealed
 * to public keys while it is written. Runs in lazaret-unpack.
 *
 * How it works: what needs memory or randomness is made in sealed_out_begin(), before the process
 * is confined; then the tree's entries become entries of the archive, whose names extract.c has
 * checked. There is no folder to ask whether a name is taken: one that comes twice is in the
 * archive twice, and refused by whoever unpacks it. Half a file has no name: it is given one at the
 * end.
 */
#ifndef LZ_CHANNEL_SEALED_OUT_H
#define LZ_CHANNEL_SEALED_OUT_H

#include "base/err.h"
#include "images/tar.h"
#include "seal/age.h"
#include "shared/tree.h"

/* Beside the content: a file's headers, its padding and its part of the chunks' tags. */
#define SEALED_OUT_ENTRY_MAX 4096u

struct sealed_out {
    struct seal_writer writer;
    struct tar_entry entry;
    struct str header;
};

/* `keys` are public keys as text, n of them. */
int sealed_out_begin(struct sealed_out *s, const char *const *keys, size_t n, struct err *e);
/* How large the sealed file may become with that much content. */
uint64_t sealed_out_max_bytes(uint64_t content_bytes);
/* The header of a file or folder; the content of a file follows. 0, or -1 and errno. */
int sealed_out_entry(struct sealed_out *s, const struct tree_entry *en);
int sealed_out_put(struct sealed_out *s, const void *data, size_t len);
/* Behind the content of a file. */
int sealed_out_pad(struct sealed_out *s, uint64_t size);
/* The end of the archive and of the sealed stream. */
int sealed_out_end(struct sealed_out *s);

#endif
