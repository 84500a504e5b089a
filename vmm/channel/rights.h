/*
 * rights: what lazaret-relay and lazaret-unpack may still do when they begin to read guest bytes.
 *
 * In a file of its own so that tests put other programs behind the same lists (tests/hostile).
 * Must: name a reason for every call; have none that the program does not make.
 */
#ifndef LZ_CHANNEL_RIGHTS_H
#define LZ_CHANNEL_RIGHTS_H

#include "base/confine.h"

#include <stdbool.h>

/* More than the programs map when they begin. */
#define RIGHTS_ADDRESS_MAX (64u << 20)

/* The relay: no file, no memory, no process; the fds that it was handed and those of jobs. */
struct confine rights_relay(void);
/* Files and folders below dir_fd only; `sealed` makes one file of them. */
struct confine rights_unpack(int dir_fd, uint64_t max_file_bytes, bool sealed);
/* Two fds, and nothing else. */
struct confine rights_quote(void);

#endif
