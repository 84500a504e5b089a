/* fork: a guest that begins where another sandbox was at a mark. See fork.h. */
#include "run/fork.h"

#include "base/own.h"
#include "run/amnesia.h"
#include "run/cage.h"
#include "run/folder.h"
#include "snapshots/disk_extract.h"
#include "snapshots/qcow2.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

static char *parent_path(const char *data, const struct run_from *from, const char *file)
{
    if (from->in_memory)
        return str_printf("/proc/self/fd/%d/%s", from->state_fd, file);
    return str_printf("%s/%s/%s/%s", data, folder_place(FOLDER_SANDBOX), from->sandbox, file);
}

static char *mark_path(const char *data, const struct run_from *from, const char *suffix)
{
    own_free char *file = str_printf(MARK_FILE "%s", from->mark.id, suffix);

    if (from->in_memory && suffix[0])
        return str_printf("/proc/self/fd/%d/" MARK_SHARED "%s", from->share_fd, suffix);
    return parent_path(data, from, file);
}

void fork_let_go(struct run_from *from)
{
    if (!from->in_memory)
        return;
    close(from->state_fd);
    close(from->share_fd);
    from->in_memory = false;
}

int fork_attach(const struct run_from *from, const char *path, struct err *e)
{
    if (!from->in_memory)
        return err_set(e, ERR_HOST, "sandbox '%s' is not amnesic", from->sandbox);
    return amnesia_attach(from->share_fd, path, e);
}

char *fork_saved_dir(const char *data, const struct run_from *from)
{
    return mark_path(data, from, MARK_SAVED);
}

int fork_open_state(const char *data, const struct run_from *from, int *ret_fd, struct err *e)
{
    own_free char *path = mark_path(data, from, "");

    return mark_open_checked(&from->mark, AT_FDCWD, path, ret_fd, e);
}

/* By one at a time: whoever comes second finds it. */
static int make_base(const char *data, const struct run_from *from, const char *base, struct err *e)
{
    own_free char *disk = parent_path(data, from, FOLDER_DISK);
    own_free char *below = parent_path(data, from, FOLDER_BASE);
    own_free char *half = mark_path(data, from, ".tmp");
    own_free char *name = str_printf(MARK_DISK, from->mark.id);
    own_free char *state = mark_path(data, from, "");
    own_close int lock = -1;

    if (mark_open(&from->mark, AT_FDCWD, state, &lock, e) < 0)
        return -1;
    if (flock(lock, LOCK_EX) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot lock mark '%s'", from->mark.name);
    if (access(base, F_OK) == 0)
        return 0;
    unlink(half); /* of one that died */
    if (disk_extract(disk, access(below, F_OK) == 0 ? below : NULL, name, half, e) < 0)
        return -1;
    if (chmod(half, 0444) == 0 && rename(half, base) == 0)
        return 0;
    err_sys(e, ERR_HOST, errno, "cannot make '%s'", base);
    unlink(half);
    return -1;
}

int fork_open_base(const char *data, const struct run_from *from, int *ret_fd, struct err *e)
{
    own_free char *base = mark_path(data, from, MARK_BASE);

    if (make_base(data, from, base, e) < 0)
        return -1;
    *ret_fd = open(base, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return *ret_fd < 0 ? err_sys(e, ERR_HOST, errno, "cannot open '%s'", base) : 0;
}

static int bind_base(const char *base, const char *ours, struct err *e)
{
    own_close int fd = open(base, O_PATH | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open '%s'", base);
    return cage_bind(fd, ours, true, e);
}

int fork_disk(const char *data, const struct run_from *from, const char *dir, struct err *e)
{
    own_free char *base = mark_path(data, from, MARK_BASE);
    own_free char *ours = str_printf("%s/" FOLDER_BASE, dir);
    own_free char *overlay = str_printf("%s/" FOLDER_DISK, dir);

    if (make_base(data, from, base, e) < 0)
        return -1;
    if (from->in_memory ? bind_base(base, ours, e) < 0 : link(base, ours) < 0)
        return from->in_memory ? -1
                               : err_sys(e, ERR_HOST, errno, "cannot link the disk of mark '%s'",
                                         from->mark.name);
    return qcow2_overlay(FOLDER_BASE, overlay, e);
}

static int copy(const char *from, const char *to, struct err *e)
{
    own_close int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    own_close int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    ssize_t n = in < 0 || out < 0 ? -1 : 1;

    while (n > 0)
        n = sendfile(out, in, NULL, 1u << 30);
    return n < 0 ? err_sys(e, ERR_HOST, errno, "cannot copy the input disk") : 0;
}

int fork_input(const char *data, const struct run_from *from, const char *dir, struct err *e)
{
    own_free char *input = parent_path(data, from, FOLDER_INPUT);
    own_free char *ours = str_printf("%s/" FOLDER_INPUT, dir);

    if (from->in_memory)
        return copy(input, ours, e);
    if (link(input, ours) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot link the input disk of sandbox '%s'",
                       from->sandbox);
    return 0;
}
