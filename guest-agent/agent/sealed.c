/* sealed: a program in memory that nobody can change any more. */
#include "agent/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK (1u << 20) /* bytes */

static int copy(int from, int to)
{
    ssize_t n;

    do
        n = sendfile(to, from, NULL, CHUNK);
    while (n > 0);
    return n < 0 ? -1 : 0;
}

/* What is open for writing cannot be executed. */
static int open_again(int fd)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, O_RDONLY | O_CLOEXEC);
}

int sealed_copy(const char *path, int *ret_fd, struct boot_fault *f)
{
    int from = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int to = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int fd = -1;

    if (from < 0 || to < 0 || copy(from, to) < 0 || fchmod(to, 0555) < 0 ||
        fcntl(to, F_ADD_SEALS, SEALED_SEALS) < 0 || (fd = open_again(to)) < 0)
        (void)boot_fail(f, "seal a copy of '%s'", path);
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    if (fd < 0)
        return -1;
    *ret_fd = fd;
    return 0;
}
