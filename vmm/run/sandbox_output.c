/*
 * sandbox: what a detached command wrote: the files that the relay fills, copied as they are.
 *
 * How it works
 *   The keeper is asked for the command's end first, so that none is missed; until it comes,
 * inotify says when there is more. What was written before the end was told is copied after it.
 *   UNTRUSTED bytes, passed on and not looked at.
 */
#include "run/sandbox_private.h"

#include "base/file.h"
#include "base/own.h"
#include "run/folder.h"
#include "run/signals.h"
#include "run/talk.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>

struct output {
    int files[2]; /* of stdout and stderr */
    int changes;  /* inotify, -1: not followed */
    int fd;       /* to the keeper, -1: not followed */
    struct signals signals;
};

static int open_files(struct output *o, int folder_fd, const char *name, unsigned serial,
                      struct err *e)
{
    static const char *const stream_names[] = {"stdout", "stderr"};

    for (int i = 0; i < 2; i++) {
        own_free char *file = str_printf(FOLDER_DETACHED, serial, stream_names[i]);
        own_free char *path = str_printf("/proc/self/fd/%d/%s", folder_fd, file);

        o->files[i] = openat(folder_fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (o->files[i] < 0 && errno == ENOENT)
            return err_set(e, ERR_USAGE, "sandbox '%s' has no output of a detached command %u",
                           name, serial);
        if (o->files[i] < 0 ||
            (o->changes >= 0 && inotify_add_watch(o->changes, path, IN_MODIFY) < 0))
            return err_sys(e, ERR_HOST, errno, "cannot open '%s'", file);
    }
    return 0;
}

/* All that is there now. */
static int copy_new(const struct output *o, struct err *e)
{
    char buf[65536];
    ssize_t n;

    for (int i = 0; i < 2; i++) {
        while ((n = read(o->files[i], buf, sizeof(buf))) > 0)
            if (file_write_all(STDOUT_FILENO + i, buf, (size_t)n) < 0)
                return err_sys(e, ERR_HOST, errno, "cannot write what the command wrote");
        if (n < 0)
            return err_sys(e, ERR_HOST, errno, "cannot read what the command wrote");
    }
    return 0;
}

/* The signal that ends the following, or 0. */
static int ending_signal(const struct output *o)
{
    int signo;

    while ((signo = signals_next(&o->signals)))
        if (signo != SIGWINCH && signo != SIGCONT)
            break;
    return signo;
}

/* Until the command's end, or a signal. */
static int follow(struct output *o, const char *name, struct run_result *ret, struct err *e)
{
    struct talk_answer a;
    char changes[4096];
    int n = 0;

    while (n == 0) {
        struct pollfd p[3] = {{.fd = o->fd, .events = POLLIN},
                              {.fd = o->changes, .events = POLLIN},
                              {.fd = o->signals.fd, .events = POLLIN}};

        if (copy_new(o, e) < 0)
            return -1;
        if (poll(p, 3, -1) < 0 && errno != EINTR)
            return err_sys(e, ERR_HOST, errno, "cannot wait for the output");
        if (p[1].revents)
            (void)!read(o->changes, changes, sizeof(changes));
        ret->signal = ending_signal(o);
        if (ret->signal) {
            err_set(&ret->err, ERR_INTERRUPTED, "interrupted: the command goes on");
            return 0;
        }
        n = talk_hear(o->fd, false, &a);
    }
    if (n < 0 || (a.said != TALK_RESULT && a.result.err.class == ERR_NONE))
        return sandbox_say_gone(name, e);
    if (a.said != TALK_RESULT) {
        *e = a.result.err;
        return -1;
    }
    *ret = a.result;
    return copy_new(o, e);
}

static int show(struct output *o, const char *data_dir, const char *name, unsigned serial,
                bool following, struct run_result *ret, struct err *e)
{
    const struct talk_request r = {.version = TALK_VERSION, .what = TALK_WAIT, .serial = serial};
    own_close int folder = -1;

    if (sandbox_files(data_dir, name, &folder, e) < 0)
        return -1;
    if (following && (o->changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) < 0)
        return err_sys(e, ERR_HOST, errno, "inotify");
    if (open_files(o, folder, name, serial, e) < 0)
        return -1;
    if (!following)
        return copy_new(o, e);
    if (sandbox_reach(data_dir, name, &o->fd, e) < 0 || talk_ask(o->fd, &r, NULL, 0, e) < 0)
        return -1;
    return follow(o, name, ret, e);
}

int sandbox_output(const char *data_dir, const char *name, unsigned serial, bool following,
                   struct run_result *ret, struct err *e)
{
    struct output o = {.files = {-1, -1}, .changes = -1, .fd = -1, .signals = {.fd = -1}};
    int rc;

    snprintf(ret->id, sizeof(ret->id), "%s", name);
    if (following && signals_hold(&o.signals, e) < 0)
        return -1;
    rc = show(&o, data_dir, name, serial, following, ret, e);
    signals_release(&o.signals);
    own_close_p(&o.files[0]);
    own_close_p(&o.files[1]);
    own_close_p(&o.changes);
    own_close_p(&o.fd);
    return rc;
}
