/*
 * pread_io: what libext2fs reads a disk through: one fd, pread, nothing else.
 *
 * The library's own unix_io opens paths, takes locks and asks the device; a confined process can do
 * none of it. There is no way to write: every function for that says EXT2_ET_RO_FILSYS.
 */
#ifndef LZ_LOOK_PREAD_IO_H
#define LZ_LOOK_PREAD_IO_H

#include <ext2fs/ext2fs.h>

#define PREAD_IO_NAME_SIZE 12 /* bytes, with the NUL, of an fd in decimal: the name to open */

extern struct struct_io_manager pread_io;

/* errno of the first read that the host could not do, or 0: no fault of the disk's contents. */
int pread_io_errno(io_channel channel);

#endif
