/* identity: by what a guest could be told from another one, or taken for one. */
#include "agent/identity.h"

#include "shared/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ID_FILE   "machine-id"
#define HOST_NAME "lazaret-"
#define HOST_SIZE (sizeof(HOST_NAME) + 8) /* and 8 digits of the id */

/* The container's /etc. It may be the job's own by now, so no link in it leads out of its root. */
static int open_etc(void)
{
    const struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                                 .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    int root = open(GUEST_ROOTFS, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd;

    if (root < 0)
        return -1;
    fd = (int)syscall(SYS_openat2, root, "etc", &how, sizeof(how));
    close(root);
    return fd;
}

static int put_machine_id(const char *text, size_t len, struct boot_fault *f)
{
    int etc = open_etc(), fd, rc = -1;

    if (etc < 0) /* an image without one has no use for it */
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP
                   ? 0
                   : boot_fail(f, "the container's /etc");
    if (unlinkat(etc, ID_FILE, 0) < 0 && errno != ENOENT) {
        (void)boot_fail(f, "the container's machine id");
        close(etc);
        return -1;
    }
    fd = openat(etc, ID_FILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0444);
    if (fd >= 0 && fchown(fd, GUEST_ID_BASE, GUEST_ID_BASE) == 0 &&
        write(fd, text, len) == (ssize_t)len)
        rc = 0;
    else
        (void)boot_fail(f, "the container's machine id");
    if (fd >= 0)
        close(fd);
    close(etc);
    return rc;
}

int identity_apply(const struct wire_hello *m, struct boot_fault *f)
{
    char id[2 * WIRE_NONCE_SIZE + 2], host[HOST_SIZE];

    for (size_t i = 0; i < WIRE_NONCE_SIZE; i++)
        (void)snprintf(id + 2 * i, 3, "%02x", m->nonce[i]);
    (void)snprintf(host, sizeof(host), HOST_NAME "%.8s", id);
    if (sethostname(host, strlen(host)) < 0)
        return boot_fail(f, "set the host name");
    id[sizeof(id) - 2] = '\n';
    return put_machine_id(id, sizeof(id) - 1, f);
}
