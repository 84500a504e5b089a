/* wipe: zeros in the guest's free memory, before it is saved.
 *
 * A third of what is in a guest that has just booted is nobody's any more: the packed kernel, the
 * initramfs. Zeros are not saved; the rest each guest that begins with it would have to read and
 * hash.
 */
#ifndef LZ_AGENT_WIPE_H
#define LZ_AGENT_WIPE_H

#include <stdint.h>

/* How many bytes to fill of so many that are free; 0: not worth it. */
uint64_t wipe_share(uint64_t free_bytes);
/* Best effort. */
void wipe_free_memory(void);

#endif
