/* tar_header: a header as it lies in the archive; for tar.c and tar_format.c. */
#ifndef LZ_IMAGES_TAR_HEADER_H
#define LZ_IMAGES_TAR_HEADER_H

#include "images/tar.h"

struct header {
    char name[100];
    char mode[8], uid[8], gid[8];
    char size[12], mtime[12];
    char checksum[8];
    char type;
    char link[100];
    char magic[8]; /* with the version */
    char uname[32], gname[32];
    char major[8], minor[8];
    char prefix[155]; /* ustar only */
    char pad[12];
};
_Static_assert(sizeof(struct header) == TAR_BLOCK, "a header is one block");

#endif
