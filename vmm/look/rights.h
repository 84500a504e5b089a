/*
 * rights: what lazaret-look may still do when it begins to read a disk.
 *
 * In a file of its own so that tests put other programs behind the same (tests/hostile).
 * Must: name a reason for every call; have none that the program does not make.
 */
#ifndef LZ_LOOK_RIGHTS_H
#define LZ_LOOK_RIGHTS_H

#include "base/confine.h"

/* `tree_bytes`: of content that a tree may have, 0: there is no tree. */
struct confine rights_look(uint64_t tree_bytes);

#endif
