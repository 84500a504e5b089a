/* launch: from the first process of a run or sandbox to its last. See launch.h. */
#include "run/launch.h"

#include "base/own.h"
#include "run/amnesia.h"
#include "run/cage.h"
#include "run/control.h"
#include "run/fork.h"
#include "run/recording.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define LAUNCH_FILES 128u /* that a process may have open; a keeper with every client has fewer */

/* In init: the launcher's signals are none of the run's business. */
static int before(void *arg, struct err *e)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit of the caller's is an error of the write */
    return keeper_before(arg, e);
}

static int keeper(void *arg)
{
    return keeper_main(arg);
}

static void failed(void *arg, const struct err *e)
{
    struct keeper *k = arg;
    struct control m = {.type = CONTROL_RESULT};

    memcpy(m.result.id, k->folder->id, sizeof(m.result.id));
    m.result.err = *e;
    m.result.timing = k->result.timing;
    control_send(k->control_fd, &m);
}

static void take_signal(struct launch *l, int signo)
{
    struct control m = {.type = CONTROL_SIGNAL, .signo = signo};

    /* Back in the foreground: the shell may have left the terminal otherwise. */
    if (signo == SIGCONT) {
        if (l->started && l->c->on_started)
            l->c->on_started(l->c->arg);
        return;
    }
    if (signo == SIGWINCH) {
        m.type = CONTROL_RESIZE;
        if (l->c->on_resize) {
            l->c->on_resize(l->c->arg, &m.rows, &m.cols);
            control_send(l->control_fd, &m);
        }
        return;
    }
    if (l->last_signal || !l->started) {
        l->killed = true;
        kill(l->init, SIGKILL);
    } else {
        control_send(l->control_fd, &m);
    }
    l->last_signal = signo;
}

/* It is up: whoever waited for that goes on without us. */
static void tell_starter(struct launch *l, const struct control *m)
{
    if (l->starter_fd < 0)
        return;
    control_send(l->starter_fd, m);
    close(own_steal_fd(l->starter_fd));
}

/* It is said, and on the record as long as there is a keeper. */
static void say_untold(struct launch *l, uint32_t alert, const char *what, const struct err *why)
{
    struct control m = {.type = CONTROL_UNTOLD, .alert = alert};
    own_free char *text = str_printf("%s: %s", what, why->text);

    str_escape(m.text, sizeof(m.text), text, strlen(text));
    if (l->c->on_alert)
        l->c->on_alert(&l->plan->alerts.items[alert], m.text);
    control_hint(l->control_fd, &m);
}

static void take_alert(struct launch *l, const struct control *m)
{
    const struct alert_rules *rules = &l->plan->alerts;
    const struct alert_rule *r;
    struct err e;

    if (m->alert >= rules->n || !str_is_printable(m->text, sizeof(m->text)))
        return;
    r = &rules->items[m->alert];
    if (l->c->on_alert)
        l->c->on_alert(r, m->text);
    if (r->command.n > 0 && notify_command(&l->notify, r, m->text, &e) < 0)
        say_untold(l, m->alert, "its command was not started", &e);
    if (r->socket && notify_socket(&l->notify, r, m->text, &e) < 0)
        say_untold(l, m->alert, "its socket was not told", &e);
}

static void take_control(struct launch *l)
{
    struct control m;

    while (control_receive(l->control_fd, &m) == 1) {
        if (m.type == CONTROL_STARTED) {
            l->started = true;
            tell_starter(l, &m);
            if (l->c->on_started)
                l->c->on_started(l->c->arg);
        }
        if (m.type == CONTROL_DENIED && l->c->on_denied)
            l->c->on_denied(&m.denied, m.result.debug);
        if (m.type == CONTROL_ALERT)
            take_alert(l, &m);
        if (m.type == CONTROL_RESULT) {
            l->result = m.result;
            l->has_result = true;
        }
    }
}

/* Until init is gone, and with it every process of the run. */
static int watch(struct launch *l, struct err *e)
{
    enum { CONTROL, SIGNALS, INIT, STARTER, CARRY, POLLS = CARRY + CARRY_POLLS };
    own_close int init = (int)syscall(SYS_pidfd_open, l->init, 0);
    struct pollfd p[POLLS];

    if (init < 0)
        return err_sys(e, ERR_HOST, errno, "cannot wait for the run");
    for (int i = 0; i < POLLS; i++)
        p[i] = (struct pollfd){.fd = -1};
    p[CONTROL] = (struct pollfd){.fd = l->control_fd, .events = POLLIN};
    p[SIGNALS] = (struct pollfd){.fd = l->signals.fd, .events = POLLIN};
    p[INIT] = (struct pollfd){.fd = init, .events = POLLIN};
    while (!p[INIT].revents) {
        int signo;

        p[STARTER] = (struct pollfd){.fd = l->starter_fd};
        if (l->started)
            carry_polls(&l->carry, p + CARRY);
        if (poll(p, POLLS, -1) < 0) {
            if (errno != EINTR)
                return err_sys(e, ERR_HOST, errno, "cannot wait for the run");
            continue;
        }
        if (p[CONTROL].revents)
            take_control(l);
        if (p[CONTROL].revents & (POLLHUP | POLLERR))
            p[CONTROL].fd = -1; /* the keeper is gone; init follows */
        if (p[STARTER].revents && !l->started && !l->killed)
            take_signal(l, SIGHUP); /* nobody waits for it any more */
        while ((signo = signals_next(&l->signals)))
            take_signal(l, signo);
        carry_work(&l->carry, p + CARRY);
    }
    take_control(l);
    return 0;
}

/* What is known when the keeper could not say it itself. */
static void judge(struct launch *l)
{
    struct run_result *r = &l->result;

    if (!l->has_result) {
        const struct timing began = r->timing;

        memset(r, 0, sizeof(*r));
        r->timing = began;
        snprintf(r->id, sizeof(r->id), "%s", l->id);
        if (!l->killed)
            err_set(&r->err, ERR_HOST, "the keeper of '%s' died (see 'lazaret doctor')", l->id);
    }
    if (l->killed) {
        r->signal = l->last_signal;
        err_set(&r->err, ERR_INTERRUPTED,
                l->started ? "interrupted twice: everything was ended" : "interrupted");
    }
}

static int start(struct launch *l, struct keeper *k, struct err *e)
{
    int pair[2];
    int rc;

    if (k->plan->amnesic && amnesia_no_cores(e) < 0)
        return -1;
    k->gateway_fd = -1;
    /* Here is the host's network. */
    if (k->plan->egress &&
        gateway_start(l->c->gateway_path, l->c->proxy_login, &k->gateway_fd, &l->gateway, e) < 0)
        return -1;
    k->gateway_pid = l->gateway;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(e, ERR_HOST, errno, "socketpair");
    l->result.timing = k->result.timing;
    l->control_fd = pair[0];
    k->control_fd = pair[1];
    fence_note_host(&k->host);
    rc = cage_start(&(struct cage){.namespaces = l->c->uri == NULL,
                                   .kvm = k->plan->accel == PLAN_KVM,
                                   .launcher_fds = {l->control_fd, l->signals.fd, l->carry.from,
                                                    l->carry.to, l->starter_fd},
                                   .life_fd = k->control_fd,
                                   .keep_fd = k->folder->lock_fd,
                                   .before = before,
                                   .keeper = keeper,
                                   .failed = failed,
                                   .arg = k},
                    &l->init, e);
    close(pair[1]);
    own_close_p(&k->gateway_fd); /* it ends when the keeper's is closed */
    /* Held here, it would outlive the keeper that needs it. */
    if (l->c->from)
        fork_let_go(l->c->from);
    secrets_close(l->c->secrets); /* the keeper has its own */
    secrets_close(l->c->gateway_secrets);
    return rc;
}

static void end_child(pid_t pid)
{
    kill(pid, SIGKILL); /* gone already, or about to go, unless watching failed */
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* The relay says nothing of what it lacks, and a keeper that runs out of files says it too late. */
static int check_files(struct err *e)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) < 0)
        return err_sys(e, ERR_HOST, errno, "getrlimit");
    if (r.rlim_cur >= LAUNCH_FILES)
        return 0;
    return err_set(e, ERR_HOST,
                   "too many open files: only %u may be at once, which is too few (allow %u with "
                   "'ulimit -n %u')",
                   (unsigned)r.rlim_cur, LAUNCH_FILES, LAUNCH_FILES);
}

int launch_check(const struct plan *plan, const struct run_config *c, struct err *e)
{
    const char *const programs[] = {c->relay_path, c->unpack_path, c->wrap_path,
                                    plan->egress ? c->gateway_path : NULL,
                                    plan->record.changes ? c->look_path : NULL};

    if (plan->inputs.n > KEEPER_INPUTS_MAX)
        return err_set(e, ERR_USAGE, "--in: more than %d folders", KEEPER_INPUTS_MAX);
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
        if (programs[i] && access(programs[i], X_OK) < 0)
            return err_sys(e, ERR_HOST, errno, "cannot run '%s' (is lazaret installed whole?)",
                           programs[i]);
    if (plan->amnesic && c->uri)
        return err_set(e, ERR_REFUSED,
                       "--amnesic needs namespaces of our own: it excludes --connect");
    if (plan->alerts.n > 0 && c->uri)
        return err_set(
            e, ERR_REFUSED,
            "a policy has alerts (%s), which need a QEMU of our own: it excludes --connect",
            plan->alerts.items[0].from);
    if (check_files(e) < 0 || (plan->amnesic && amnesia_check(e) < 0))
        return -1;
    return recording_prepare(plan, c, e);
}

int launch_all(struct launch *l, struct keeper *k, struct err *e)
{
    int rc;

    l->plan = k->plan;
    l->id = l->notify.id = k->folder->id;
    rc = start(l, k, e);

    if (rc == 0)
        rc = watch(l, e);
    if (l->init > 0)
        end_child(l->init);
    if (l->gateway > 0)
        end_child(l->gateway);
    if (rc == 0)
        judge(l);
    l->result.debug = k->plan->debug; /* whoever said how it ended */
    return rc;
}

void launch_close_record(struct launch *l, const struct folder *f, bool kept)
{
    struct err why;

    if (recording_close(l->plan, l->c, f, kept, &why) < 0)
        run_note(&l->result, "its record is not whole: %s", why.text);
}

void launch_done(struct launch *l)
{
    carry_close(&l->carry);
    signals_release(&l->signals);
    if (l->control_fd >= 0)
        close(own_steal_fd(l->control_fd));
    if (l->starter_fd >= 0)
        close(own_steal_fd(l->starter_fd));
}
