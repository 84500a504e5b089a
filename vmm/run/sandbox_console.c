/*
 * sandbox: what its guest wrote to the console: the file that the relay fills, which has escaped
 * what is no text.
 *
 * How it works
 *   To follow, the supervisor is held first, so that the sandbox's end is not missed; until it
 * comes, inotify says when there is more. What was written before the end is copied after it.
 */
#include "run/sandbox_private.h"

#include "base/file.h"
#include "base/own.h"
#include "run/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>

static int copy_new(int fd, struct err *e)
{
    char buf[65536];
    ssize_t n;

    while ((n = read(fd, buf, sizeof(buf))) > 0)
        if (file_write_all(STDOUT_FILENO, buf, (size_t)n) < 0)
            return err_sys(e, ERR_HOST, errno, "cannot write the console");
    return n < 0 ? err_sys(e, ERR_HOST, errno, "cannot read the console") : 0;
}

/* Until the supervisor's end. */
static int follow(int fd, int changes, int supervisor, struct err *e)
{
    struct pollfd p[2] = {{.fd = supervisor, .events = POLLIN}, {.fd = changes, .events = POLLIN}};
    char dropped[4096];

    while (!p[0].revents) {
        if (copy_new(fd, e) < 0)
            return -1;
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return err_sys(e, ERR_HOST, errno, "cannot wait for the console");
        if (p[1].revents)
            (void)!read(changes, dropped, sizeof(dropped));
    }
    return copy_new(fd, e);
}

int sandbox_console(const char *data_dir, const char *name, bool following, struct err *e)
{
    own_close int folder = -1, files = -1, fd = -1, changes = -1, supervisor = -1;
    own_free char *path = NULL;
    const char *state;

    if (sandbox_open(data_dir, name, &folder, &state, e) < 0 ||
        sandbox_files(data_dir, name, &files, e) < 0)
        return -1;
    fd = openat(files, FOLDER_CONSOLE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open '" FOLDER_CONSOLE "'");
    if (!following || strcmp(state, "dead") == 0)
        return copy_new(fd, e);
    supervisor = sandbox_hold_supervisor(folder);
    if (supervisor < 0)
        return copy_new(fd, e); /* it has ended meanwhile */
    path = str_printf("/proc/self/fd/%d", fd);
    changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (changes < 0 || inotify_add_watch(changes, path, IN_MODIFY) < 0)
        return err_sys(e, ERR_HOST, errno, "inotify");
    return follow(fd, changes, supervisor, e);
}
