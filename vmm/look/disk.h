/*
 * disk: one state of a scratch disk: an ext4 file system that a guest wrote. UNTRUSTED.
 *
 * Runs in lazaret-look. libext2fs decodes superblock, descriptors, inodes, extents and attributes,
 * and checks their checksums; what bounds our work is checked here:
 *   - the superblock before the library sees it: only the features that our mke2fs makes
 *     (snapshots/scratch.c) and no more blocks than the disk's file has;
 *   - extents come in order, from the disk, at most MAP_DEPTH_MAX deep;
 *   - every block, extent and inode that is read is paid for from a budget;
 *   - names of folders that are open at once take at most DISK_NAMES_BYTES.
 * Reads only: there is no function that could write (pread_io.h).
 */
#ifndef LZ_LOOK_DISK_H
#define LZ_LOOK_DISK_H

#include "base/err.h"
#include "look/row.h"

#include <ext2fs/ext2fs.h>

#define DISK_BLOCK       4096u         /* bytes */
#define DISK_NAMES_BYTES (64ull << 20) /* of one disk, in folders that are open at once */
#define DISK_LINK_MAX    4095u         /* bytes of a symbolic link's target */
#define DISK_ROOT_INODE  2u

struct disk {
    ext2_filsys fs;
    uint64_t blocks; /* in the file system; the last is blocks - 1 */
    uint64_t budget; /* blocks, extents and inodes that may still be read */
    uint64_t names_bytes;
    bool no_memory; /* for names, within their bounds */
};

struct disk_file {
    uint32_t number; /* of the inode; 0: no file */
    uint32_t mode;   /* type and permissions */
    uint32_t uid, gid;
    uint64_t size;
    uint32_t device[2]; /* as the inode has it: old and new encoding */
    struct ext2_inode inode;
};

/* `fd` is a regular file of `size_bytes`; it stays the caller's. ERR_GUEST: not such a disk. */
int disk_open(struct disk *d, int fd, uint64_t size_bytes, const char *what, struct err *e);
void disk_close(struct disk *d);

/* True if the budget is used up: all that is asked for from then on is "damaged". */
bool disk_is_spent(const struct disk *d);

/* errno of what failed for the host's sake, or 0. */
int disk_host_errno(const struct disk *d);

/* 0 or -1: there is no such inode, or it is not in use, or of no known kind. */
int disk_file_read(struct disk *d, uint32_t number, struct disk_file *ret);
bool disk_is_whiteout(const struct disk_file *f); /* overlayfs: what was removed from the image */

/* The target of a symbolic link, `len` bytes into `out`; -1: damaged. */
int disk_link_read(struct disk *d, const struct disk_file *f, char out[DISK_LINK_MAX],
                   size_t *ret_len);

/* What overlayfs keeps in attributes. */
struct disk_marks {
    bool opaque; /* a folder hides what the image has in it */
    bool copied; /* the image had this: it was copied up to be changed */
};
int disk_marks_read(struct disk *d, const struct disk_file *f, struct disk_marks *ret);

/* ---- content (disk_map.c) -------------------------------------------------------------------- */

/* Where the data of a file are, in order. Not to be moved while it is open. */
struct disk_map {
    struct disk *disk;
    struct ext2_inode inode;     /* the handle reads from here */
    ext2_extent_handle_t handle; /* NULL: no more */
    uint64_t next;               /* the first logical block that has not been passed */
    bool begun;
};
struct disk_run {
    uint64_t block, n, place; /* logical, count, on the disk */
};
int disk_map_open(struct disk_map *m, struct disk *d, const struct disk_file *f);
void disk_map_close(struct disk_map *m);
/* 1: the next run of written blocks; 0: there is none; -1: damaged. Between them are zeros. */
int disk_map_next(struct disk_map *m, struct disk_run *ret);

/* True if every block of the file is where data can be. */
bool disk_file_is_sound(struct disk *d, const struct disk_file *f);

/* Reads a file from its beginning to its end; holes are not read. */
struct disk_reader {
    struct disk_map map;
    struct disk_run run; /* n is 0: zeros from here on */
    uint64_t block, end; /* the next block to read, and the first behind the file */
};
int disk_reader_open(struct disk_reader *r, struct disk *d, const struct disk_file *f);
void disk_reader_close(struct disk_reader *r);
/* Blocks from here on that are all zeros, or all data. 0 at the end. */
uint64_t disk_reader_stretch(const struct disk_reader *r, bool *ret_zeros);
/* Reads the next n (at most the stretch) into `out`; NULL passes over them. -1: damaged. */
int disk_reader_take(struct disk_reader *r, uint64_t n, uint8_t *out);

/* ---- folders (disk_dir.c) -------------------------------------------------------------------- */

struct disk_name {
    uint32_t number; /* of the inode */
    uint32_t at;     /* in text */
    uint8_t len;     /* 1 to 255; no '/' and no NUL in it, not "." or ".." */
};
struct disk_dir {
    char *text;
    struct disk_name *names; /* in order, each once */
    size_t n, cap, text_len, text_cap;
};
/* What can be read of the folder; returns a set of 1 << enum look_why: what is wrong with it. */
unsigned disk_dir_read(struct disk *d, const struct disk_file *f, struct disk_dir *ret);
void disk_dir_done(struct disk *d, struct disk_dir *dir);
int disk_name_compare(const struct disk_dir *a, size_t i, const struct disk_dir *b, size_t j);
/* The inode's number, or 0. */
uint32_t disk_dir_find(const struct disk_dir *dir, const char *name);

#endif
