/*
 * preload: loaded into a QEMU whose guest's memory is a saved file, before its own libraries: the
 * file is opened read-only, and no huge pages are taken.
 *
 * QEMU 7.2 opens the file behind a guest's memory for writing even when it maps it privately
 * (-object memory-backend-file,share=off; its readonly=on would give the guest read-only memory). A
 * saved memory file is shared by every guest that starts from it, so its place is a read-only
 * mount, where that open would fail. Here it becomes a read-only one, which a private mapping is
 * content with.
 *
 * The mount is what protects the file; this only lets QEMU live with it. If it is not loaded, QEMU
 * does not start. Needs the C library only, and runs in QEMU's process: no state, no allocation.
 *
 * There are no huge pages in such a memory. All that QEMU would get of them is 2 MiB for each small
 * block that it asks for, and a program compiled into steps of 2 MiB.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define VARIABLE "LAZARET_READONLY" /* the absolute path, as QEMU will give it */

/* A kernel that cannot costs memory only. */
__attribute__((constructor)) static void take_small_pages(void)
{
    (void)prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
}

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
