/* spool: what lazaret-look writes, through a buffer: bytes to one fd, in order. */
#ifndef LZ_LOOK_SPOOL_H
#define LZ_LOOK_SPOOL_H

#include <stddef.h>
#include <stdint.h>

struct spool {
    int fd;
    int failed; /* errno of the first write that did; nothing is written from then on */
    size_t n;
    uint8_t buf[65536];
};

void spool_put(struct spool *s, const void *data, size_t len);
/* Writes what is in the buffer; 0, or -1 if anything failed ever. */
int spool_flush(struct spool *s);

#endif
