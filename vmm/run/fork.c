/* fork: a guest that begins where another sandbox was at a mark. See fork.h. */
#include "run/fork.h"

#include "base/own.h"
#include "run/folder.h"
#include "snapshots/disk_extract.h"
#include "snapshots/qcow2.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static char *parent_path(const char *data, const struct run_from *from, const char *file)
{
    return str_printf("%s/%s/%s/%s", data, folder_place(FOLDER_SANDBOX), from->sandbox, file);
}

static char *mark_path(const char *data, const struct run_from *from, const char *suffix)
{
    own_free char *file = str_printf(MARK_FILE "%s", from->mark.id, suffix);

    return parent_path(data, from, file);
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

int fork_disk(const char *data, const struct run_from *from, const char *dir, struct err *e)
{
    own_free char *base = mark_path(data, from, MARK_BASE);
    own_free char *ours = str_printf("%s/" FOLDER_BASE, dir);
    own_free char *overlay = str_printf("%s/" FOLDER_DISK, dir);

    if (make_base(data, from, base, e) < 0)
        return -1;
    if (link(base, ours) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot link the disk of mark '%s'", from->mark.name);
    return qcow2_overlay(FOLDER_BASE, overlay, e);
}

int fork_input(const char *data, const struct run_from *from, const char *dir, struct err *e)
{
    own_free char *input = parent_path(data, from, FOLDER_INPUT);
    own_free char *ours = str_printf("%s/" FOLDER_INPUT, dir);

    if (link(input, ours) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot link the input disk of sandbox '%s'",
                       from->sandbox);
    return 0;
}
