/* twin: a program of ours, taken over by a guest: what all of them do. See twin.h. */
#include "tests/hostile/twin.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static struct twin_ask ask;
static struct twin_answer answer;

static void confine(void)
{
    const struct confine r = twin_rights(ask.rights);
    struct err e;

    twin_must(twin_take(&r, &e));
}

/* All rights are taken but those of the list of calls. */
static void confine_behind(void)
{
    static struct confine_call all[TWIN_CALLS];
    struct confine r = twin_rights(ask.rights);
    struct err e;

    for (int nr = 0; nr < (int)TWIN_CALLS; nr++)
        all[nr] = (struct confine_call){nr, CONFINE_ANY_ARG, "the next layer is what is tried", 0};
    r.calls = all;
    r.n_calls = TWIN_CALLS;
    twin_must(twin_take(&r, &e));
}

static bool survives(long nr)
{
    const struct confine r = twin_rights(ask.rights);
    struct err e;
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        twin_must(confine_self(&r, &e));
        syscall(nr, 0, 0, 0, 0, 0, 0);
        _exit(0);
    }
    twin_must(pid < 0 ? -1 : waitpid(pid, &status, 0));
    twin_must(WIFEXITED(status) && WEXITSTATUS(status) != 0 ? -1 : 0);
    return WIFEXITED(status);
}

static void sweep(void)
{
    const long x32 = 0x40000000;

    for (uint32_t nr = 0; nr < TWIN_CALLS; nr++) {
        if (survives(nr))
            answer.survived[nr / 32] |= 1u << nr % 32;
        if (nr % 8 == 0 && survives(x32 | nr))
            answer.survived_x32++;
    }
    twin_tell(&answer);
}

int main(int argc, char **argv)
{
    (void)argc;
    twin_must(prctl(PR_SET_PDEATHSIG, 9)); /* whatever is tried, nothing of it is left */
    twin_hear(argv[0], &ask);
    if (ask.mode == TWIN_SWEEP) {
        sweep();
        return 0;
    }
    if (ask.mode == TWIN_LIE) {
        twin_lie(ask.what);
        for (;;)
            pause();
    }
    if (ask.mode == TWIN_BEHIND)
        confine_behind();
    else
        confine();
    while (ask.mode == TWIN_STAY)
        continue;
    answer.result = twin_try(ask.what, ask.victim);
    answer.errnum = errno;
    twin_tell(&answer);
    _exit(0);
}
