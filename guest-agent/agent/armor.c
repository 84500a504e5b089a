/* armor: the AppArmor profile of a job's container, in the guest's kernel. See armor.h. */
#include "agent/armor.h"

#include "agent/container.h"
#include "shared/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARMOR_LOAD   "/sys/kernel/security/apparmor/.replace"
#define ARMOR_REMOVE "/sys/kernel/security/apparmor/.remove"

/* In one piece, as the kernel wants it. 0 or -errno. */
static int tell_kernel(const char *file, const void *data, size_t size)
{
    int fd = open(file, O_WRONLY | O_CLOEXEC);
    int rc = 0;

    if (fd < 0)
        return -errno;
    if (write(fd, data, size) < 0)
        rc = -errno;
    close(fd);
    return rc;
}

int armor_load(const char *bundle)
{
    char path[CONTAINER_PATH_MAX + 16];
    struct stat st;
    void *at;
    int fd, rc;

    (void)snprintf(path, sizeof(path), "%s/" CONTAINER_PROFILE, bundle);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    at = fstat(fd, &st) < 0 ? MAP_FAILED
                            : mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    rc = at == MAP_FAILED ? -errno : tell_kernel(ARMOR_LOAD, at, (size_t)st.st_size);
    if (at != MAP_FAILED)
        (void)munmap(at, (size_t)st.st_size);
    close(fd);
    return rc;
}

void armor_remove(unsigned exec)
{
    char name[32];
    int n = snprintf(name, sizeof(name), GUEST_PROFILE "%u", exec);

    /* One that stays is replaced by the next of its name. */
    (void)tell_kernel(ARMOR_REMOVE, name, (size_t)n);
}
