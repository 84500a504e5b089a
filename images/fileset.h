/*
 * fileset: some files of a package or an initramfs, in memory, by path.
 *
 * Paths are relative to the root, without "./" in front, "." or "..". For a symbolic link the data
 * is its target.
 */
#ifndef LZ_IMAGES_FILESET_H
#define LZ_IMAGES_FILESET_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define FILESET_FILE_MAX (64u << 20) /* bytes of one file */

struct fileset_entry {
    char *path;
    mode_t mode; /* type and permissions */
    char *data;  /* NUL-terminated beyond len */
    size_t len;
};

struct fileset {
    struct fileset_entry *items;
    size_t n;
};

void fileset_done(struct fileset *s);
#define own_fileset __attribute__((cleanup(fileset_done)))

/* Copies `path`, takes `data` (malloc'd, may be NULL when len is 0). */
void fileset_add(struct fileset *s, const char *path, mode_t mode, char *data, size_t len);
/* Borrows; NULL if it is not there. */
const struct fileset_entry *fileset_find(const struct fileset *s, const char *path);
/* The regular file that `path` leads to through symbolic links (at most 8), or NULL. Borrows. */
const struct fileset_entry *fileset_resolve(const struct fileset *s, const char *path);

/*
 * Reads from the .deb at `path` the files and links that `want` accepts. `temp_dir` is a folder
 * for an unnamed temporary file.
 */
int fileset_read_deb(struct fileset *s, const char *path, const char *temp_dir,
                     bool (*want)(const char *path), struct err *e);

/* Unpacks one xz-compressed buffer. Returns new. */
int fileset_unxz(const struct fileset_entry *f, char **ret_data, size_t *ret_len, struct err *e);

#endif
