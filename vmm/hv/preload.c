/*
 * preload: loaded into QEMU before its own libraries: one file is opened read-only.
 *
 * QEMU 7.2 opens the file behind a guest's memory for writing even when it maps it privately
 * (-object memory-backend-file,share=off; its readonly=on would give the guest read-only memory). A
 * saved memory file is shared by every guest that starts from it, so its place is a read-only
 * mount, where that open would fail. Here it becomes a read-only one, which a private mapping is
 * content with.
 *
 * The mount is what protects the file; this only lets QEMU live with it. If it is not loaded, QEMU
 * does not start. Needs the C library only, and runs in QEMU's process: no state, no allocation.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define VARIABLE "LAZARET_READONLY" /* the absolute path, as QEMU will give it */

static int open_it(const char *path, int flags, mode_t mode)
{
    const char *read_only = getenv(VARIABLE);

    if (read_only && path && strcmp(path, read_only) == 0)
        flags = (flags & ~(O_ACCMODE | O_CREAT | O_TRUNC)) | O_RDONLY;
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

/* One of the C library's functions in our place. The mode is there only where the flags say so. */
#define REPLACE_OPEN(ours, theirs)                                                                 \
    int ours(const char *path, int flags, ...) __asm__(theirs);                                    \
    int ours(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        mode_t mode = 0;                                                                           \
        va_list ap;                                                                                \
                                                                                                   \
        va_start(ap, flags);                                                                       \
        if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE)                                 \
            mode = va_arg(ap, mode_t);                                                             \
        va_end(ap);                                                                                \
        return open_it(path, flags, mode);                                                         \
    }

/* The last two are what the headers make of open() in a program built with _FORTIFY_SOURCE. */
REPLACE_OPEN(preload_open, "open")
REPLACE_OPEN(preload_open64, "open64")
REPLACE_OPEN(preload_open_2, "__open_2")
REPLACE_OPEN(preload_open64_2, "__open64_2")
