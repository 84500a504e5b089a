/* run: one job in a guest of its own, from the launcher's side: its folder, its streams, its end.
 */
#include "run/run.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/own.h"
#include "run/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Made and opened below the same parent: one of a real path has no link in it. */
static int open_real_out(const char *path, int *ret_fd, struct err *e)
{
    const char *name = strrchr(path, '/') + 1;
    own_free char *parent = str_printf("%.*s", (int)(name - path), path);
    own_close int dir = file_open_real(AT_FDCWD, parent, O_PATH | O_DIRECTORY);

    if (dir < 0 || (name[0] && mkdirat(dir, name, 0777) < 0 && errno != EEXIST))
        return err_sys(e, ERR_USAGE, errno, "--out: cannot make folder '%s'", path);
    *ret_fd = file_open_real(dir, name[0] ? name : ".", O_RDONLY | O_DIRECTORY);
    return 0;
}

int run_open_out(const char *path, bool real, int *ret_fd, struct err *e)
{
    own_close int fd = -1;
    bool empty = false;

    if (real && open_real_out(path, &fd, e) < 0)
        return -1;
    if (!real && mkdir(path, 0777) < 0 && errno != EEXIST)
        return err_sys(e, ERR_USAGE, errno, "--out: cannot make folder '%s'", path);
    if (!real)
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, ERR_USAGE, errno, "--out: cannot open folder '%s'", path);
    if (faccessat(fd, ".", W_OK, AT_EACCESS) < 0)
        return err_sys(e, ERR_USAGE, errno, "--out: cannot write to '%s'", path);
    if (file_dir_is_empty(fd, &empty, e) < 0)
        return err_wrap(e, "--out '%s'", path);
    if (!empty)
        return err_set(e, ERR_USAGE, "--out: folder '%s' is not empty (give an empty or a new one)",
                       path);
    *ret_fd = own_steal_fd(fd);
    return 0;
}

int run_capture_open(struct run_capture *ret, struct err *e)
{
    own_close int out = memfd_create("lazaret-output", MFD_CLOEXEC);
    own_close int errout = memfd_create("lazaret-output", MFD_CLOEXEC);

    if (out < 0 || errout < 0)
        return err_sys(e, ERR_HOST, errno, "memfd_create");
    ret->stdout_fd = own_steal_fd(out);
    ret->stderr_fd = own_steal_fd(errout);
    return 0;
}

/* Every process is gone: the last word, and the end of the folder. */
static int finish(struct launch *l, const struct folder *folder, struct err *e)
{
    struct err late;

    if (folder_sweep(l->c->data_dir, FOLDER_RUN, folder->id, l->c->keep_logs, &late) < 0)
        return err_set(e, ERR_HOST, "%s (finish with 'lazaret gc')", late.text);
    launch_close_record(l, folder, l->c->keep_logs);
    timing_note(&l->result.timing, TIMING_DOWN);
    return l->c->keep_logs ? folder_write_result(folder->fd, &l->result, e) : 0;
}

/* From the first process to the last. Where it could not even begin, nothing is kept. */
static int run_in(struct launch *l, struct keeper *k, struct err *e)
{
    if (launch_all(l, k, e) < 0) {
        folder_sweep(l->c->data_dir, FOLDER_RUN, k->folder->id, false, &(struct err){0});
        return -1;
    }
    return finish(l, k->folder, e);
}

/* What the job reads: nothing, the caller's stdin, or what is carried from their terminal. */
static int open_stdin(struct launch *l, const struct plan *plan, int *ret_fd, int *ret_own,
                      struct err *e)
{
    *ret_fd = plan->interactive ? STDIN_FILENO : -1;
    if (!plan->interactive || !isatty(STDIN_FILENO))
        return 0;
    if (carry_open(&l->carry, STDIN_FILENO, ret_own, e) < 0)
        return -1;
    *ret_fd = *ret_own;
    return 0;
}

int run_job(const struct plan *plan, const struct run_config *c, struct run_result *ret,
            struct err *e)
{
    own_folder struct folder folder = {.fd = -1, .lock_fd = -1};
    own_close int out_fd = -1, typed_fd = -1; /* the relay's end of the carried terminal */
    struct keeper k = {.plan = plan, .c = c, .folder = &folder, .data_fd = -1};
    struct launch l = LAUNCH_INIT(c);
    int rc;

    timing_begin(&k.result.timing, c->began_us ? c->began_us : clock_mono_us());
    timing_note(&k.result.timing, TIMING_PARSE);
    if (launch_check(plan, c, e) < 0 || signals_hold(&l.signals, e) < 0)
        return -1;
    rc = plan->out ? run_open_out(plan->out, true, &out_fd, e) : 0;
    k.out_fd = out_fd;
    k.umask = umask(022);
    umask(k.umask);
    if (rc == 0 && c->capture)
        rc = run_capture_open(c->capture, e);
    if (rc == 0)
        rc = open_stdin(&l, plan, &k.stdin_fd, &typed_fd, e);
    if (rc == 0)
        rc = folder_create(c->data_dir, NULL, plan, c, &folder, e);
    if (rc == 0)
        rc = run_in(&l, &k, e);
    if (rc == 0)
        *ret = l.result;
    if (c->on_ended)
        c->on_ended(c->arg);
    launch_done(&l);
    return rc;
}
