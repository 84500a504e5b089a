/*
 * store: the image store: files by their SHA-256 (blobs), and names for some of them.
 *
 * How it works
 *     DIR/                         0700
 *       blobs/sha256/HEX           0444: a whole file whose SHA-256 is HEX; shared between images
 *       tags/NAME                  "sha256:HEX\n": names the manifest of an image
 *       kernels/NAME               the same: names the record of a kernel that we built
 *       signatures/HEX/KEYID.json  signatures of the manifest HEX (trust.h)
 *       policy.json                whose images may run (trust.h); optional
 *       tmp/                       what is being written
 *       .lock                      flock
 *   Everything is written to tmp/, synced, and gets its name by one rename; a blob only once its
 *   digest is known, so that a name in blobs/ is never that of a half file. A blob that is there
 *   already is replaced: it may be damaged. A crash leaves files in tmp/, which the next one who is
 *   alone in the store removes.
 *
 *   Who adds holds the lock shared, from the first blob to the name that needs it; who removes
 *   holds it alone: nothing can vanish between the two. Readers take no lock; what they opened
 *   stays theirs.
 *
 * Must: give nothing a final name before it is whole and on the disk.
 * Must not: believe that a blob still is what its name says. Readers check (store_read(), image.h).
 */
#ifndef LZ_IMAGES_STORE_H
#define LZ_IMAGES_STORE_H

#include "base/digest.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How long to wait for whoever holds the lock against us: removing is over soon, adding a large
 * image is not. */
#define STORE_ADD_WAIT_MS    60000u
#define STORE_REMOVE_WAIT_MS 2000u

enum store_use {
    STORE_READ,   /* no lock; ERR_IMAGE if there is no such folder */
    STORE_ADD,    /* others may add too */
    STORE_REMOVE, /* nobody else may add or remove */
};

struct store {
    char *dir;                         /* absolute */
    int fd;                            /* of dir */
    int lock_fd;                       /* -1: STORE_READ */
    uint64_t swept_files, swept_bytes; /* what a crash had left in tmp/ */
};
#define STORE_INIT                                                                                 \
    {                                                                                              \
        .fd = -1, .lock_fd = -1                                                                    \
    }

/* STORE_ADD and STORE_REMOVE make the folders and remove what a crash left. ERR_HOST when the lock
 * could not be had in time. */
int store_open(const char *dir, enum store_use use, struct store *ret, struct err *e);
void store_close(struct store *s);
#define own_store __attribute__((cleanup(store_close)))

/* A blob as others refer to it. */
struct store_object {
    char sha256[DIGEST_HEX_SIZE];
    uint64_t size_bytes;
};

/* A blob that is being written (STORE_ADD). Tools that want a path may fill, truncate and rewrite
 * the file, but not put another one in its place. */
struct store_blob {
    int fd;     /* read-write */
    char *name; /* inside tmp/ */
    char *path; /* absolute */
    const struct store *store;
    struct store_object object; /* once sealed; else the digest is "" */
};
#define STORE_BLOB_INIT                                                                            \
    {                                                                                              \
        .fd = -1                                                                                   \
    }
int store_blob_begin(const struct store *s, struct store_blob *ret, struct err *e);
int store_blob_write(const struct store_blob *b, const void *data, size_t len, struct err *e);
/* The file is complete: makes it read-only, syncs and hashes it. ERR_IMAGE if it is not `want` (may
 * be NULL). */
int store_blob_seal(struct store_blob *b, const struct store_object *want, struct err *e);
/* Seals it, unless that was done, and names it by its digest; closes fd. */
int store_blob_commit(struct store_blob *b, struct store_object *ret, struct err *e);
/* Removes what was not committed. */
void store_blob_done(struct store_blob *b);
#define own_store_blob __attribute__((cleanup(store_blob_done)))

/* A blob from memory (STORE_ADD). */
int store_put(const struct store *s, const void *data, size_t len, struct store_object *ret,
              struct err *e);

/* Opens a blob for reading; what is in it is not looked at. ERR_IMAGE, with the blob's name, when
 * it is missing or not a regular file. */
int store_get(const struct store *s, const char *sha256, int *ret_fd, uint64_t *ret_size_bytes,
              struct err *e);
/* Returns new, NUL-terminated: a small blob, whose digest has been checked. ERR_IMAGE. */
int store_read(const struct store *s, const char *sha256, size_t max, char **ret_data,
               size_t *ret_len, struct err *e);
/* Returns new: the absolute path of a blob, there or not. */
char *store_blob_path(const struct store *s, const char *sha256);
/* All blobs, sorted, added to `ret`. */
int store_blob_list(const struct store *s, struct strv *ret, struct err *e);
/* STORE_REMOVE; a missing one is fine. */
int store_blob_remove(const struct store *s, const char *sha256, bool *ret_removed,
                      uint64_t *ret_size_bytes, struct err *e);

/* Names: as str_is_name() has it, and nothing that could be the beginning of a digest. */
enum store_names { STORE_TAGS, STORE_KERNELS };
bool store_is_name(const char *name);
/* Replaces an older one (STORE_ADD). ERR_USAGE for a bad name, ERR_IMAGE for a missing blob. */
int store_name_set(const struct store *s, enum store_names kind, const char *name,
                   const char *sha256, struct err *e);
bool store_has_name(const struct store *s, enum store_names kind, const char *name);
/* ERR_IMAGE when it is not there, with the way to make it, or damaged. */
int store_name_get(const struct store *s, enum store_names kind, const char *name,
                   char ret_sha256[DIGEST_HEX_SIZE], struct err *e);
/* When it was set last (CLOCK_REALTIME); 0 if it is not there. */
uint64_t store_name_time_ns(const struct store *s, enum store_names kind, const char *name);
/* STORE_REMOVE; a missing one is fine. */
int store_name_remove(const struct store *s, enum store_names kind, const char *name,
                      struct err *e);
/* Sorted, added to `ret`. */
int store_name_list(const struct store *s, enum store_names kind, struct strv *ret, struct err *e);

/* What else there is below the store, by relative path. The names of a folder that `wanted`
 * accepts, sorted, added to `ret`; a missing folder has none. */
int store_list(const struct store *s, const char *folder, bool (*wanted)(const char *name),
               struct strv *ret, struct err *e);
/* STORE_ADD; one that is there is fine. */
int store_make_folder(const struct store *s, const char *path, struct err *e);
/* Writes or replaces a small file, whose folder is there; STORE_ADD. */
int store_file_put(const struct store *s, const char *path, const void *data, size_t len,
                   struct err *e);

#endif
