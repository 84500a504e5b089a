/* signals: the ones that end or resize what a process of ours waits for. */
#include "run/signals.h"

#include "base/own.h"

#include <errno.h>
#include <sys/signalfd.h>

int signals_hold(struct signals *s, struct err *e)
{
    static const int taken[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGCONT};
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        struct sigaction sa;

        if (sigaction(taken[i], NULL, &sa) == 0 && sa.sa_handler != SIG_IGN)
            sigaddset(&set, taken[i]);
    }
    sigprocmask(SIG_BLOCK, &set, &s->old);
    s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->fd >= 0)
        return 0;
    sigprocmask(SIG_SETMASK, &s->old, NULL);
    return err_sys(e, ERR_HOST, errno, "signalfd");
}

int signals_next(const struct signals *s)
{
    struct signalfd_siginfo si;

    return read(s->fd, &si, sizeof(si)) == sizeof(si) ? (int)si.ssi_signo : 0;
}

void signals_release(struct signals *s)
{
    if (s->fd < 0)
        return;
    while (signals_next(s))
        ;
    sigprocmask(SIG_SETMASK, &s->old, NULL);
    close(own_steal_fd(s->fd));
}
