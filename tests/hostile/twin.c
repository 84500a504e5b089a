/*
 * twin: lazaret-relay or lazaret-unpack (TWIN_UNPACK), taken over by a guest. See twin.h.
 *
 * By its own name "lazaret-relay" it stands in a whole manager: says that the guest is ready and
 * its job started, and then says something without end.
 */
#include "tests/hostile/twin.h"

#include "channel/relay.h"
#include "channel/rights.h"
#include "channel/unpack_record.h"

#include <errno.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct twin_ask ask;

#ifdef TWIN_UNPACK
#define ANSWER_FD TWIN_UNPACK_ANSWER
#define PARENT_FD UNPACK_RESULT

static struct confine rights(void)
{
    if (ask.rights == TWIN_RIGHTS_QUOTE)
        return rights_quote();
    return rights_unpack(UNPACK_DIR, 4096, ask.rights == TWIN_RIGHTS_SEALED);
}
#else
#define ANSWER_FD TWIN_RELAY_ASK
#define PARENT_FD RELAY_CONTROL

static struct confine rights(void)
{
    return rights_relay();
}
#endif

static struct twin_answer answer;

static void must(int rc)
{
    if (rc < 0)
        _exit(99);
}

static void hear(void)
{
#ifdef TWIN_UNPACK
    must(pread(TWIN_UNPACK_ASK, &ask, sizeof(ask), 0) == sizeof(ask) ? 0 : -1);
#else
    must(recv(TWIN_RELAY_ASK, &ask, sizeof(ask), MSG_WAITALL) == sizeof(ask) ? 0 : -1);
#endif
}

static void tell(void)
{
    must(send(ANSWER_FD, &answer, sizeof(answer), MSG_NOSIGNAL) == sizeof(answer) ? 0 : -1);
}

/* All rights are taken but those of the list of calls. */
static void confine_behind(void)
{
    static struct confine_call all[TWIN_CALLS];
    struct confine r = rights();
    struct err e;

    for (int nr = 0; nr < (int)TWIN_CALLS; nr++)
        all[nr] = (struct confine_call){nr, CONFINE_ANY_ARG, "the next layer is what is tried"};
    r.calls = all;
    r.n_calls = TWIN_CALLS;
    must(confine_self(&r, &e));
}

static bool survives(long nr)
{
    const struct confine r = rights();
    struct err e;
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        must(confine_self(&r, &e));
        syscall(nr, 0, 0, 0, 0, 0, 0);
        _exit(0);
    }
    must(pid < 0 ? -1 : waitpid(pid, &status, 0));
    must(WIFEXITED(status) && WEXITSTATUS(status) != 0 ? -1 : 0);
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
    tell();
}

/* ---- lies to the manager --------------------------------------------------------------------- */

#ifdef TWIN_UNPACK
static struct unpack_record record;

static size_t make_lie(uint32_t what)
{
    record = (struct unpack_record){.type = UNPACK_DONE};
    if (what == LIE_TYPE)
        record.type = 77;
    if (what == LIE_TEXT)
        strcpy(record.text, "\033[2J");
    if (what == LIE_NO_NUL)
        memset(record.text, 'x', sizeof(record.text));
    if (what == LIE_EXEC)
        record.files = UINT64_MAX;
    if (what == LIE_NOT_ASKED)
        record.bytes = UINT64_MAX;
    if (what == LIE_FLOOD)
        record = (struct unpack_record){.type = UNPACK_REFUSED, .why = TREE_WHY_LINK};
    return sizeof(record);
}
#else
static struct channel_event record;

static size_t make_lie(uint32_t what)
{
    record = (struct channel_event){.type = CHANNEL_LOG};
    if (what == LIE_TYPE)
        record.type = (enum channel_event_type)77;
    if (what == LIE_TEXT)
        strcpy(record.text, "\033[2J");
    if (what == LIE_NO_NUL)
        memset(record.text, 'x', sizeof(record.text));
    if (what == LIE_EXEC)
        record = (struct channel_event){.type = CHANNEL_EXIT, .exec = 0xffffffff};
    if (what == LIE_NOT_ASKED)
        record = (struct channel_event){.type = CHANNEL_COLLECTED};
    return sizeof(record);
}
#endif

/* An fd comes along: whoever takes it has one more. */
static void send_with_fd(const void *data, size_t len)
{
    struct iovec iov = {(void *)(uintptr_t)data, len};
    union {
        struct cmsghdr h;
        char space[CMSG_SPACE(sizeof(int))];
    } c = {.h = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};
    int fd = STDERR_FILENO;

    memcpy(CMSG_DATA(&c.h), &fd, sizeof(fd));
    must((int)sendmsg(PARENT_FD, &m, MSG_NOSIGNAL));
}

static void lie(uint32_t what)
{
    static char larger[sizeof(record) + 8];
    size_t len = make_lie(what);

    if (what == LIE_SHORT)
        len--;
    memcpy(larger, &record, sizeof(record));
    if (what == LIE_LONG)
        len++;
    if (what == LIE_FDS)
        send_with_fd(&record, len);
    must((int)send(PARENT_FD, larger, len, MSG_NOSIGNAL));
    for (;;) {
        if (what != LIE_FLOOD)
            return;
        must((int)send(PARENT_FD, larger, len, MSG_NOSIGNAL));
    }
}

#ifndef TWIN_UNPACK
static void say(enum channel_event_type type, uint32_t exec)
{
    record = (struct channel_event){.type = type, .exec = exec};
    must((int)send(PARENT_FD, &record, sizeof(record), MSG_NOSIGNAL));
}

static void talk_without_end(void)
{
    const struct confine r = rights();
    struct relay_command c = {0};
    struct err e;

    must(confine_self(&r, &e)); /* or the keeper would see that it is not */
    say(CHANNEL_READY, 0);
    while (c.type != RELAY_EXEC)
        must((int)recv(PARENT_FD, &c, sizeof(c), 0) > 0 ? 0 : -1);
    /* Each time as if the job began anew. */
    for (;;) {
        say(CHANNEL_STARTED, c.exec);
        record = (struct channel_event){.type = CHANNEL_LOG};
        memset(record.text, 'x', sizeof(record.text) - 1);
        must((int)send(PARENT_FD, &record, sizeof(record), MSG_NOSIGNAL));
    }
}
#endif

int main(int argc, char **argv)
{
    (void)argc;
    must(prctl(PR_SET_PDEATHSIG, 9)); /* whatever is tried, nothing of it is left */
#ifndef TWIN_UNPACK
    if (strstr(argv[0], "/lazaret-relay"))
        talk_without_end();
#endif
    hear();
    if (ask.mode == TWIN_SWEEP) {
        sweep();
        return 0;
    }
    if (ask.mode == TWIN_LIE) {
        lie(ask.what);
        for (;;)
            pause();
    }
    if (ask.mode == TWIN_BEHIND) {
        confine_behind();
    } else {
        const struct confine r = rights();
        struct err e;

        must(confine_self(&r, &e));
    }
    answer.result = twin_try(ask.what, ask.victim);
    answer.errnum = errno;
    tell();
    _exit(0);
}
