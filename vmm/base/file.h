/*
 * file: whole files and folders, by directory fd.
 *
 * State is written whole: temporary name, fsync, rename, fsync of the folder; what means nothing
 * after a power cut without the two fsyncs. Everything is opened O_CLOEXEC; a name that turns out
 * to be a symbolic link is an error. `dirfd` may be AT_FDCWD.
 */
#ifndef LZ_BASE_FILE_H
#define LZ_BASE_FILE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Opens a folder (O_DIRECTORY|O_CLOEXEC); symbolic links in the path are followed. */
int file_open_dir(const char *path, int *ret_fd, struct err *e);
/* Opens a path in which there is no symbolic link at all, or fails with ELOOP: one that was judged
 * as it is written. Returns the fd, or -1 and errno. */
int file_open_real(int dirfd, const char *path, int flags);
/* mkdir -p, new folders get `mode`; an existing one is fine. */
int file_make_dirs(const char *path, mode_t mode, struct err *e);

/* Returns new, NUL-terminated. Refuses files over `max` bytes and anything but a regular file. */
int file_read(int dirfd, const char *name, size_t max, char **ret_data, size_t *ret_len,
              struct err *e);
/* The same for what others must not have a hand in: it belongs to us or to root, and its mode has
 * no bit of `forbidden`. */
int file_read_ours(int dirfd, const char *name, size_t max, mode_t forbidden, char **ret_data,
                   size_t *ret_len, struct err *e);
/* Replaces or creates `name` atomically and durably. */
int file_write(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
               struct err *e);

/* The same, but on the disk when the kernel writes it: after a power cut it may be there, and
 * empty. */
int file_write_brief(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
                     struct err *e);

/* Removes a file or a whole folder, without following links; a missing one is fine. */
int file_remove_tree(int dirfd, const char *name, struct err *e);
/* True if the folder has no entry but . and .. */
int file_dir_is_empty(int dirfd, bool *ret_empty, struct err *e);

/* A file in folder `dir` that has no name and goes with its last fd. Read-write, 0600. */
int file_open_unnamed(const char *dir, int *ret_fd, struct err *e);

/* Writes all bytes to a blocking fd; -1 and errno on failure. */
int file_write_all(int fd, const void *data, size_t len);

/* Copies all of a file to the same places of an empty one, and leaves its holes out. -1 and errno.
 */
int file_copy_sparse(int from, int to);

/* Less room than `min_bytes` on the file system: what a tool says of that is in the user's
 * language. */
bool file_is_full(int fd, uint64_t min_bytes);

/* Takes a flock, exclusive or shared; *ret_taken is false if somebody else's is in the way. */
int file_try_lock(int fd, bool shared, bool *ret_taken, struct err *e);
/* The same, but tries again for `wait_ms`. */
int file_wait_lock(int fd, bool shared, uint64_t wait_ms, bool *ret_taken, struct err *e);

/*
 * Reads on behind what is unread in a buffer (from *start to *end), which moves to its beginning.
 * Bytes that came, 0 at the end of the file, -1 and errno.
 */
ssize_t file_refill(int fd, uint64_t *offset, uint8_t *buf, size_t size, size_t *start,
                    size_t *end);

/* Sets FD_CLOEXEC off (spawn does it for the fds it is told) or on. */
int file_set_cloexec(int fd, bool on);

/* Reads until the end, or `size` bytes: of a file that tells no size, such as those of /proc.
 * Returns how many, or -1 with errno. */
ssize_t file_read_up_to(int fd, void *buf, size_t size);

/* Closes every fd above stderr but these, in any order; those below 0 count as none. */
void file_close_others(const int *keep, size_t n);

#endif
