/* wipe: zeros in the guest's free memory, before it is saved. See wipe.h. */
#include "agent/wipe.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#define LEAVE    (8u << 20)   /* or the kernel drops what has been read ahead */
#define FREE_MAX (768u << 20) /* of more the part that is not zeros is small */

uint64_t wipe_share(uint64_t free_bytes)
{
    return free_bytes <= LEAVE || free_bytes > FREE_MAX ? 0 : free_bytes - LEAVE;
}

/* The kernel gives nobody a page that is not zeros. If there is too little, it is for this process
 * to die, not for init. */
static _Noreturn void take(uint64_t bytes)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd >= 0 && write(fd, "1000", 4) == 4)
        (void)mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
                   -1, 0);
    _exit(0);
}

void wipe_free_memory(void)
{
    struct sysinfo now;
    uint64_t bytes = sysinfo(&now) < 0 ? 0 : wipe_share((uint64_t)now.freeram * now.mem_unit);
    pid_t pid = bytes > 0 ? fork() : -1;

    if (pid == 0)
        take(bytes);
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}
