/* tar_blocks: makes what may be a tar archive one that a reader gets to the inside of. */
#ifndef LZ_TESTS_TAR_BLOCKS_H
#define LZ_TESTS_TAR_BLOCKS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Where a header may be, its checksum is made right: no fuzzer finds it. */
static inline void fix_checksums(uint8_t *data, size_t len)
{
    for (size_t at = 0; at + 512 <= len;) {
        uint8_t *h = data + at;
        unsigned sum = 8 * ' ';
        uint64_t size = 0;

        for (size_t i = 0; i < 512; i++)
            sum += i < 148 || i >= 156 ? h[i] : 0;
        if (sum > 8 * ' ')
            snprintf((char *)h + 148, 8, "%06o", sum & 0777777u);
        for (size_t i = 124; i < 136 && h[i] >= '0' && h[i] <= '7'; i++)
            size = size << 3 | (h[i] - '0');
        at += 512 + (size < len ? (size_t)((size + 511) & ~511ull) : 0);
    }
}

#endif
