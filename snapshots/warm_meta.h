/* warm_meta: what the sources of warm share: meta.json of a saved guest, and claiming its name. */
#ifndef LZ_SNAPSHOTS_WARM_META_H
#define LZ_SNAPSHOTS_WARM_META_H

#include "snapshots/memory.h"
#include "snapshots/warm.h"

#define WARM_META     "meta.json"
#define WARM_RAM      "ram"
#define WARM_STATE    "state"
#define WARM_META_MAX (1u << 20) /* bytes */

struct warm_meta {
    struct memory_sum ram;
    char state_sha256[DIGEST_HEX_SIZE];
    uint64_t state_bytes;
    uint64_t created_s; /* since the epoch */
};

/* Returns new: the text that the key's digest is over. */
char *warm_meta_key_text(const struct warm_key *k);

int warm_meta_write(int folder_fd, const struct warm_key *k, const struct warm_meta *m,
                    struct err *e);
/* Strict; refuses one that is for another key, and says which field differs. `k` NULL: any.
 * ERR_HOST. Returns new, if ret_image is not NULL: the image's digest. */
int warm_meta_read(int folder_fd, const struct warm_key *k, struct warm_meta *ret, char **ret_image,
                   struct err *e);

/* 1: the folder of s->key in tmp/ is ours, and with it the name; 0: it is somebody else's. */
int warm_claim(const char *dir, struct warm_save *s, struct err *e);
/* Removes the saved guest of that name, which is ours; a missing one is fine. */
int warm_discard(const struct warm_save *s, struct err *e);
#define WARM_OLD ".old" /* in tmp/, while it is being removed */

#endif
