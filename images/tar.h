/*
 * tar: reads the headers of a tar archive, and writes such headers. UNTRUSTED input.
 *
 * How it works: reads ustar, pax (POSIX.1-2017, pax, "ustar Interchange Format", "pax Extended
 * Header") and GNU's long names with pread, and leaves contents where they are: an entry says at
 * which offset. What it does not know to the last bit it refuses (sparse files, GNU's volumes, a
 * global header with meaning, a wrong checksum), where a general reader would guess: two readers
 * that guess differently see two images under one digest.
 *
 * Names and link targets come out as bytes, unchecked but for NUL; rootfs.h judges them.
 */
#ifndef LZ_IMAGES_TAR_H
#define LZ_IMAGES_TAR_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define TAR_BLOCK      512u
#define TAR_EXTRA_MAX  (1u << 20) /* bytes of one extended header */
#define TAR_EXTRAS_MAX 8          /* extended headers in front of one entry */
#define TAR_XATTRS_MAX 256        /* user.* attributes of one entry */

#define TAR_XATTR      "SCHILY.xattr."
#define TAR_XATTR_KEPT TAR_XATTR "user."

enum tar_type { TAR_FILE, TAR_DIR, TAR_SYMLINK, TAR_HARDLINK, TAR_DEVICE, TAR_FIFO };

/* Attributes that an entry had and that are not passed on. */
struct tar_dropped {
    uint64_t xattrs, acls;
};

struct tar_entry {
    enum tar_type type;
    struct str path; /* never empty */
    struct str link; /* of a symbolic or hard link; never empty */
    mode_t mode;     /* 07777 */
    uint64_t uid, gid;
    uint64_t mtime;    /* seconds; what is before 1970 is 0 */
    uint64_t size;     /* of a file's content, else 0 */
    uint64_t offset;   /* of the content in the archive */
    struct str xattrs; /* user.* attributes, as whole pax records */
    struct tar_dropped dropped;
};
void tar_entry_done(struct tar_entry *en);
#define own_tar_entry __attribute__((cleanup(tar_entry_done)))

struct tar_reader {
    int fd;          /* borrowed; regular file */
    uint64_t size;   /* of the archive */
    uint64_t at;     /* next header */
    struct str body; /* of an extended header */
};
void tar_reader_init(struct tar_reader *t, int fd, uint64_t size);
void tar_reader_done(struct tar_reader *t);
#define own_tar_reader __attribute__((cleanup(tar_reader_done)))

/*
 * The next entry into `en` (zero, or of an earlier call); false when the end mark was reached.
 * ERR_IMAGE, with the entry's name or its offset; ERR_HOST if the file cannot be read.
 */
int tar_next(struct tar_reader *t, struct tar_entry *en, bool *ret_more, struct err *e);

/*
 * Appends the header of `en` (not TAR_DEVICE, TAR_FIFO), with an extended one where it needs it;
 * offset and dropped are not looked at. Equal entries give equal bytes.
 */
void tar_format(struct str *out, const struct tar_entry *en);
/* True if these are whole pax records of user.* attributes, as tar_next() keeps them. */
bool tar_xattrs_are_sound(const struct str *xattrs);
/* How many zero bytes follow a content of that size. */
size_t tar_padding(uint64_t size);

#endif
