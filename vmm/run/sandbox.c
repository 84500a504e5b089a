/* sandbox: brought up and left in the background, and taken down again. See sandbox.h. */
#include "run/sandbox_private.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/own.h"
#include "base/spawn.h"
#include "run/changes.h"
#include "run/control.h"
#include "run/fork.h"
#include "run/launch.h"
#include "run/pool.h"
#include "run/talk.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define DOWN_MS 10000u /* for the keeper to take it down; then it is killed */
#define GONE_MS 15000u /* for its processes to end after that */

int sandbox_check_name(const char *name, struct err *e)
{
    if (str_is_name(name) && strlen(name) < RUN_ID_SIZE)
        return 0;
    return err_set(e, ERR_USAGE,
                   "'%.64s' is no name for a sandbox (1 to %d letters, digits, '.', '_' or '-')",
                   str_is_printable(name, 4096) ? name : "?", RUN_ID_SIZE - 1);
}

int sandbox_open(const char *data_dir, const char *name, int *ret_fd, const char **ret_state,
                 struct err *e)
{
    own_free char *path = str_printf("%s/%s/%s", data_dir, folder_place(FOLDER_SANDBOX), name);
    own_close int fd = -1;

    if (sandbox_check_name(name, e) < 0)
        return -1;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return err_set(e, ERR_USAGE, "there is no sandbox '%s' (see 'lazaret ls')", name);
    if (fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open '%s'", path);
    if (folder_state(fd, FOLDER_SANDBOX, ret_state, e) < 0)
        return -1;
    *ret_fd = own_steal_fd(fd);
    return 0;
}

/* ---- up: the supervisor ---------------------------------------------------------------------- */

static int leave_caller(const struct launch *l, struct err *e)
{
    const struct run_from *from = l->c->from;
    const bool given = from && from->in_memory; /* what its guest begins with */
    const struct secrets *secrets = l->c->gateway_secrets;
    int keep[3 + WIRE_SECRETS_MAX] = {l->starter_fd, given ? from->state_fd : -1,
                                      given ? from->share_fd : -1};
    size_t n = 3;

    for (size_t i = 0; secrets && i < secrets->n_fds; i++)
        keep[n++] = secrets->fds[i];
    return spawn_leave_caller(keep, n, e);
}

/* What the guest said is none of what an amnesic sandbox leaves. */
static void forget_words(struct run_result *r)
{
    r->notes[0] = '\0';
    if (r->err.class == ERR_GUEST || r->err.class == ERR_PROTOCOL)
        err_set(&r->err, r->err.class, "the guest failed (what it said is not kept: --amnesic)");
}

/* Every process is gone. One that was taken down leaves nothing, and so does one that never was up;
 * else the folder says why it is dead. */
static void clean_up(struct launch *l, const struct plan *plan, const struct folder *f)
{
    struct run_result last;
    enum err_class class = l->result.err.class;
    bool wanted = class == ERR_NONE || class == ERR_INTERRUPTED;
    bool keep = l->started ? !wanted : l->c->keep_logs && !wanted;
    struct err late;

    if (folder_sweep(l->c->data_dir, FOLDER_SANDBOX, f->id, keep, &late) < 0)
        return;
    launch_close_record(l, f, keep);
    last = l->result;
    if (plan->amnesic)
        forget_words(&last);
    if (keep)
        folder_write_result(f->fd, &last, &late);
}

static int supervise(struct launch *l, const char *name, const struct plan *plan, struct err *e)
{
    own_folder struct folder folder = {.fd = -1, .lock_fd = -1};
    struct keeper k = {.plan = plan,
                       .c = l->c,
                       .folder = &folder,
                       .data_fd = -1,
                       .stdin_fd = -1,
                       .out_fd = -1,
                       .umask = 022};

    if (leave_caller(l, e) < 0 || signals_hold(&l->signals, e) < 0 ||
        folder_create(l->c->data_dir, name, plan, l->c, &folder, e) < 0)
        return -1;
    if (launch_all(l, &k, e) < 0) {
        folder_sweep(l->c->data_dir, FOLDER_SANDBOX, name, false, &(struct err){0});
        return -1;
    }
    clean_up(l, plan, &folder);
    return 0;
}

/* The whole life of the supervisor; returns its exit status. */
static int supervisor_main(const char *name, const struct plan *plan, const struct run_config *c,
                           int starter_fd)
{
    struct launch l = LAUNCH_INIT(c);
    struct control last = {.type = CONTROL_RESULT};

    l.starter_fd = starter_fd;
    if (supervise(&l, name, plan, &l.result.err) < 0)
        snprintf(l.result.id, sizeof(l.result.id), "%s", name);
    last.result = l.result;
    if (l.starter_fd >= 0)
        control_send(l.starter_fd, &last);
    launch_done(&l);
    return last.result.err.class == ERR_NONE ? 0 : 1;
}

/* ---- up: the command ------------------------------------------------------------------------- */

/* The supervisor's word, or the user's: a signal is passed on, and the supervisor answers. */
static int wait_until_up(int fd, pid_t pid, const struct signals *s, struct control *ret,
                         struct err *e)
{
    struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = s->fd, .events = POLLIN}};
    int n = 0;

    while (n == 0) {
        int signo;

        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return err_sys(e, ERR_HOST, errno, "cannot wait for the sandbox");
        while ((signo = signals_next(s)))
            if (signo != SIGWINCH && signo != SIGCONT)
                kill(pid, signo);
        n = control_receive(fd, ret);
    }
    if (n < 0)
        return err_set(e, ERR_HOST, "the supervisor died, or cannot be heard");
    return 0;
}

static int start_supervisor(const char *name, const struct plan *plan, const struct run_config *c,
                            struct signals *s, struct control *ret, struct err *e)
{
    own_close int ours = -1, theirs = -1;
    int pair[2], rc;
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(e, ERR_HOST, errno, "socketpair");
    ours = pair[0];
    theirs = pair[1];
    pid = fork();
    if (pid == 0) {
        close(ours);
        signals_release(s);
        _exit(supervisor_main(name, plan, c, theirs));
    }
    if (pid < 0)
        return err_sys(e, ERR_HOST, errno, "fork");
    close(own_steal_fd(theirs));
    rc = wait_until_up(ours, pid, s, ret, e);
    if (rc < 0) {
        /* It sees our end go until it is up, and takes signals from then on. */
        close(own_steal_fd(ours));
        kill(pid, SIGTERM);
    }
    if (rc < 0 || ret->type == CONTROL_RESULT)
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    return rc;
}

int sandbox_up(const char *name, const struct plan *plan, const struct run_config *c,
               struct run_result *ret, struct err *e)
{
    struct signals s;
    struct control m = {0};
    int rc;

    if (!c->pool_idle_ms && str_starts_with(name, POOL_PREFIX))
        return err_set(e, ERR_USAGE,
                       "a name that begins with '" POOL_PREFIX
                       "' is the pool's (see 'lazaret run --pool')");
    if (sandbox_check_name(name, e) < 0 || launch_check(plan, c, e) < 0 || signals_hold(&s, e) < 0)
        return -1;
    rc = start_supervisor(name, plan, c, &s, &m, e);
    signals_release(&s);
    if (rc < 0)
        return -1;
    *ret = m.result;
    if (m.type == CONTROL_STARTED)
        return 0;
    *e = m.result.err;
    if (e->class == ERR_NONE)
        err_set(e, ERR_INTERRUPTED, "interrupted");
    return -1;
}

/* ---- down ------------------------------------------------------------------------------------ */

int sandbox_hold_supervisor(int folder_fd)
{
    own_doc struct doc *run = NULL;
    own_free char *path = NULL;
    struct stat st;
    uint64_t pid;
    struct err e;

    if (folder_read_doc(folder_fd, "run.json", &run, &e) < 0 ||
        doc_get_u64(run, "pid", &pid, &e) < 0 || pid < 2 || pid > INT32_MAX)
        return -1;
    path = str_printf("/proc/%d", (int)pid);
    if (stat(path, &st) < 0 || st.st_uid != geteuid())
        return -1;
    return pidfd_open((pid_t)pid, 0);
}

/* Asks the keeper, which answers by closing. */
static void ask_down(int folder_fd, uint64_t patience_ms)
{
    const struct talk_request r = {.version = TALK_VERSION, .what = TALK_DOWN};
    uint64_t until = clock_mono_ms() + patience_ms;
    own_close int fd = -1;
    struct pollfd p = {.events = POLLIN};
    struct err e;

    if (talk_connect(folder_fd, &fd, &e) < 0 || talk_ask(fd, &r, NULL, 0, &e) < 0)
        return;
    p.fd = fd;
    while (poll(&p, 1, clock_poll_timeout(until)) < 0 && errno == EINTR)
        ;
}

/* Waits until nobody holds the folder's lock. */
static bool wait_until_dead(int folder_fd, uint64_t until_ms)
{
    const char *state = "";
    struct err e;

    while (folder_state(folder_fd, FOLDER_SANDBOX, &state, &e) == 0 && strcmp(state, "dead") != 0) {
        if (clock_mono_ms() >= until_ms)
            return false;
        poll(NULL, 0, 5);
    }
    return true;
}

/* Removes the folder, unless its supervisor has done so already, or its name is another's now. */
static int sweep(const char *data_dir, const char *name, int folder_fd, struct err *e)
{
    own_close int place = folder_lock_place(data_dir, FOLDER_SANDBOX, e);
    own_free char *path = str_printf("%s/%s/%s", data_dir, folder_place(FOLDER_SANDBOX), name);
    struct stat then, now;

    if (place < 0)
        return -1;
    if (stat(path, &now) < 0)
        return errno == ENOENT ? 0 : err_sys(e, ERR_HOST, errno, "cannot look at '%s'", path);
    if (fstat(folder_fd, &then) < 0 || then.st_ino != now.st_ino)
        return 0;
    return folder_sweep(data_dir, FOLDER_SANDBOX, name, false, e);
}

/* It has been told to end: returns when nothing is left. */
static int see_end(const char *data_dir, const char *name, int folder_fd, int supervisor,
                   struct err *e)
{
    if (!wait_until_dead(folder_fd, clock_mono_ms() + GONE_MS))
        return err_set(e, ERR_HOST, "sandbox '%s' does not end", name);
    /* What is left for it to do is to close the record. */
    if (supervisor >= 0)
        (void)poll(&(struct pollfd){.fd = supervisor, .events = POLLIN}, 1, GONE_MS);
    return sweep(data_dir, name, folder_fd, e);
}

int sandbox_down(const char *data_dir, const char *name, bool hard, struct err *e)
{
    own_close int fd = -1, supervisor = -1;
    uint64_t patience_ms = DOWN_MS;
    const char *state;

    if (sandbox_open(data_dir, name, &fd, &state, e) < 0)
        return -1;
    if (strcmp(state, "dead") != 0) {
        if (changes_are_asked_of(fd))
            patience_ms += CHANGES_DOWN_MS;
        supervisor = sandbox_hold_supervisor(fd);
        if (!hard && strcmp(state, "starting") == 0 && supervisor >= 0)
            pidfd_send_signal(supervisor, SIGTERM, NULL, 0);
        else if (!hard)
            ask_down(fd, patience_ms);
        /* Init dies with the supervisor, and everything with init. */
        if ((hard || !wait_until_dead(fd, clock_mono_ms() + DOWN_MS)) && supervisor >= 0)
            pidfd_send_signal(supervisor, SIGKILL, NULL, 0);
    }
    return see_end(data_dir, name, fd, supervisor, e);
}

int sandbox_drain(const char *data_dir, const char *name, struct err *e)
{
    struct talk_request r = {.what = TALK_DRAIN};
    own_close int fd = -1, supervisor = -1;
    const char *state;
    struct talk_answer a;

    if (sandbox_open(data_dir, name, &fd, &state, e) < 0)
        return -1;
    if (strcmp(state, "dead") != 0) {
        supervisor = sandbox_hold_supervisor(fd);
        /* Its answer is the end of the connection. */
        if (sandbox_ask(data_dir, name, &r, DOWN_MS / 1000, &a, e) < 0 && e->class == ERR_USAGE)
            return -1;
    }
    return see_end(data_dir, name, fd, supervisor, e);
}
