/* syncer: brings the jobs to rest and writes the scratch disk out, for SYNC. See syncer.h. */
#include "agent/syncer.h"

#include "agent/boot.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define SYNCER_REST_MS 10000 /* for the last system call of each process */

void syncer_init(struct syncer *y)
{
    y->pid = 0;
    y->ended = false;
    y->how = WIRE_SYNC_ERROR;
}

static _Noreturn void write_out(const struct container_paths *p, const char *dir)
{
    uint64_t deadline = boot_now_ms() + SYNCER_REST_MS;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    /* A job's pipe that stayed open in here would not end for the job. */
    if (fd < 0 || dup2(fd, STDIN_FILENO) < 0 || close_range(STDIN_FILENO + 1, ~0u, 0) < 0)
        _exit(EXIT_FAILURE);
    while (!container_is_frozen(p)) {
        if (boot_now_ms() >= deadline)
            _exit(EXIT_FAILURE);
        boot_nap();
    }
    _exit(syncfs(STDIN_FILENO) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

void syncer_start(struct syncer *y, const struct container_paths *p, const char *dir)
{
    pid_t pid = container_freeze(p, true) < 0 ? -1 : fork();

    if (pid == 0)
        write_out(p, dir);
    syncer_init(y);
    y->ended = pid < 0;
    y->pid = pid < 0 ? 0 : pid;
}

bool syncer_reaped(struct syncer *y, pid_t pid, int status)
{
    if (y->pid == 0 || pid != y->pid)
        return false;
    y->pid = 0;
    y->ended = true;
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS)
        y->how = WIRE_SYNC_DONE;
    return true;
}
