/* probe: is it under its AppArmor profile, and does that refuse? See probe.c. */
#include "agent/probe_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MINE "/proc/self/attr/apparmor/"

/* "NAME (MODE)", or "unconfined"; "": this kernel has no AppArmor. */
static void read_label(char *ret, size_t size)
{
    int fd = open(MINE "current", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, ret, size - 1);

    ret[n > 0 ? n : 0] = '\0';
    ret[strcspn(ret, "\n")] = '\0';
    if (fd >= 0)
        (void)close(fd);
}

bool probe_look_armor(struct probe *p)
{
    char is[PROBE_TEXT_SIZE];
    size_t n;
    int fd;

    read_label(is, sizeof(is));
    if (!p->profile)
        return probe_holds(p, "%.60s", is[0] ? is : "none");
    n = strlen(p->profile);
    if (strncmp(is, p->profile, n) != 0 ||
        strcmp(is + n + strspn(is + n, "0123456789"), " (enforce)") != 0)
        return probe_broken(p, "it is '%.60s'", is);
    /* Nothing but a profile stands between a process and this file of its own. */
    fd = open(MINE "exec", O_WRONLY | O_CLOEXEC);
    if (fd >= 0)
        (void)close(fd);
    if (fd >= 0 || errno != EACCES)
        return probe_broken(p, "it does not refuse what it has to");
    return probe_holds(p, "%.60s, and it refuses", is);
}
