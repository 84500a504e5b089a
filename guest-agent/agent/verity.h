/*
 * verity: the root disk behind dm-verity: only blocks that the root hash stands for are ever read.
 *
 * How it works
 *   The host names the root hash and the layout in one kernel argument (GUEST_ARG_VERITY). Three
 *   ioctls on /dev/mapper/control make a read-only device of it; nothing else of device-mapper is
 *   needed. A block that is not what the tree says panics the guest at the read, whoever reads:
 *   the job never sees it, and neither the agent nor the job can go on with it.
 *
 * Must not: fall back to the bare disk.
 */
#ifndef LZ_AGENT_VERITY_H
#define LZ_AGENT_VERITY_H

#include "agent/boot.h"

#include <stdint.h>

#define VERITY_HEX_SIZE   65  /* bytes, with the NUL: a SHA-256 */
#define VERITY_VALUE_SIZE 192 /* bytes, with the NUL, of the argument's value */
#define VERITY_LINE_SIZE  384 /* bytes, with the NUL, of the table's line */

struct verity_table {
    uint32_t data_blocks, hash_start; /* in GUEST_VERITY_BLOCK bytes */
    char salt[VERITY_HEX_SIZE], root_hash[VERITY_HEX_SIZE];
};

/* The value of GUEST_ARG_VERITY: exactly "BLOCKS:START:SALT:ROOT", else -EINVAL. */
int verity_parse(const char *value, struct verity_table *ret);

/* The parameters of the target "verity" over the disk major:minor. 0 or -ENOSPC. */
int verity_format_line(const struct verity_table *t, unsigned major, unsigned minor, char *out,
                       size_t size);

/* Makes the device over `disk` ("/dev/vda"): its own "/dev/dm-N". 0, or -1 and the fault. */
int verity_open(const char *disk, char *ret_dev, size_t size, struct boot_fault *f);

#endif
