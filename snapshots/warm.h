/*
 * warm: guests that were saved before they were any run's, by everything that a restore depends on.
 *
 * How it works
 *     DIR/                 0700
 *       KEY/               SHA-256 over the whole struct warm_key, in hex
 *         ram              0444: the guest's memory, sparse (memory.h)
 *         state            0400: its devices, QEMU's stream
 *         meta.json        what it is for, sizes and digests
 *       tmp/KEY/           one that is being made, or was when something crashed
 *   Who makes one holds a flock on its folder in tmp/; a second maker is told so, and one whose
 * maker died is begun anew. It gets its name by one rename, when everything in it is on the disk:
 * it is whole or not there. An older one of the same name, damaged perhaps, goes just before.
 * Removing one needs the same lock. Readers take no lock: what they opened stays theirs.
 *
 *   Opening one checks everything that was written down: that it is for this key, field by field,
 * and the digests of both files. Anything else is refused with the reason: the caller boots
 * instead. Nothing is repaired.
 *
 * Must: never hand out a state for another key, or one with a byte that was not saved.
 * Must not: hold anything of a run. The guest was parked (shared/wire.h) before.
 */
#ifndef LZ_SNAPSHOTS_WARM_H
#define LZ_SNAPSHOTS_WARM_H

#include "base/digest.h"
#include "base/doc.h"
#include "base/err.h"
#include "snapshots/memory.h"

#include <stdint.h>

#define WARM_MAX_BYTES (4ull << 30) /* on the disk, of all of them together */

/* Everything that a restored guest depends on. Borrowed; no field may be NULL. */
struct warm_key {
    const char *image;    /* digest of its manifest: kernel, initramfs with the agent, root */
    const char *domain;   /* the template's XML, with fixed names in place of those of a run */
    const char *emulator; /* warm_file_identity() of QEMU */
    const char *libvirt;  /* its version */
    const char *host;     /* warm_host_identity() */
    const char *program;  /* ours: version and protocol */
};

/* The folder's name. */
int warm_key_hex(const struct warm_key *k, char ret_hex[DIGEST_HEX_SIZE], struct err *e);

/* Returns new: what tells this file from the one that an update puts there. */
int warm_file_identity(const char *path, char **ret, struct err *e);
/* Returns new: the kernel, and the CPU with its features and microcode. */
int warm_host_identity(char **ret, struct err *e);

/* One that can be restored. */
struct warm {
    char key[DIGEST_HEX_SIZE];
    int ram_fd, state_fd;  /* read-only */
    struct memory_sum ram; /* as it was saved */
};
#define WARM_INIT                                                                                  \
    {                                                                                              \
        .ram_fd = -1, .state_fd = -1                                                               \
    }
/*
 * 1: found; 0: there is none; -1: there is one that is refused, with the reason. All of it is
 * checked but its memory, which takes as long as QEMU's start: for that there is warm_check().
 */
int warm_find(const char *dir, const struct warm_key *k, struct warm *ret, struct err *e);
/* Is what was read of its memory what was saved? Before that nothing of it may run. */
int warm_check(const struct warm *w, const struct memory_sum *read, struct err *e);
void warm_close(struct warm *w);
#define own_warm __attribute__((cleanup(warm_close)))

/* One that is being made. */
struct warm_save {
    char key[DIGEST_HEX_SIZE];
    int dir_fd, tmp_fd; /* of DIR and of DIR/tmp */
    int fd;             /* of the folder in tmp/, which is ours by its lock */
    int state_fd;       /* read-write, empty: QEMU's stream goes there */
};
#define WARM_SAVE_INIT                                                                             \
    {                                                                                              \
        .dir_fd = -1, .tmp_fd = -1, .fd = -1, .state_fd = -1                                       \
    }
/* Makes the folders. 1: begun; 0: somebody else is making this one; -1: ERR_HOST. */
int warm_begin(const char *dir, const struct warm_key *k, struct warm_save *ret, struct err *e);
/* Copies the memory, syncs, and gives it its name. QEMU must be gone: it could still write. */
int warm_commit(struct warm_save *s, const struct warm_key *k, int ram_fd, struct err *e);
/* Removes what was not committed. */
void warm_save_done(struct warm_save *s);
#define own_warm_save __attribute__((cleanup(warm_save_done)))

/* Array of {"key","image","bytes","created","used"}, least recently used first; one whose meta.json
 * cannot be read has "damaged": true. */
int warm_list(const char *dir, struct doc **ret, struct err *e);
/* By key, or the unique beginning of one (DIGEST_PREFIX_MIN digits). ERR_USAGE if there is none. */
int warm_remove(const char *dir, const char *key, struct err *e);
/* Removes the least recently used until `max_bytes` are left, and what a crash left in tmp/. */
int warm_prune(const char *dir, uint64_t max_bytes, uint64_t *ret_removed, uint64_t *ret_bytes,
               struct err *e);

#endif
