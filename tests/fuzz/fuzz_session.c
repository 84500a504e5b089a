/* fuzz_session: the relay's session, in process: jobs, of which one is adopted, and a collection;
 * then the guest talks. */
#include "base/str.h"
#include "channel/session.h"
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static struct session s;

static int null_fd(void)
{
    return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static void command(uint32_t type, uint32_t exec, uint32_t flags, int n_fds)
{
    struct relay_command c = {.type = type, .exec = exec, .cap_bytes = 100, .signo = 15};
    int fds[RELAY_FD_MAX];

    c.hello.version = WIRE_VERSION;
    c.hello.flags = flags;
    c.hello.keep = flags & WIRE_HELLO_PARK ? 0 : wire_exec_bit(3);
    c.how = (struct wire_exec){.flags = flags,
                               .config_size = 2,
                               .secrets = exec == 4,
                               .canaries = exec == 1,
                               .profile_size = exec == 2 ? 3 : 0};
    strcpy(c.name, "KEY");
    for (int i = 0; i < n_fds; i++)
        fds[i] = null_fd();
    if (type == RELAY_EXEC) { /* its config is what is read first */
        close(fds[RELAY_FD_CONFIG]);
        fds[RELAY_FD_CONFIG] = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    }
    session_command(&s, &c, fds, n_fds);
}

/* Everything that the relay's loop does, with fds that are always ready. */
static void turn(void)
{
    struct pollfd p[SESSION_POLL_MAX];
    const struct channel_event *ev;
    const uint8_t *at;
    bool silent = session_is_holding(&s) && session_output(&s, &at) == 0;

    session_poll(&s, p);
    for (size_t i = 0; i < SESSION_POLL_MAX; i++)
        p[i].revents = p[i].events;
    session_io(&s, p);
    MUST(!silent || !session_is_holding(&s) || session_output(&s, &at) == 0);
    while ((ev = session_event(&s))) {
        MUST(str_is_printable(ev->text, sizeof(ev->text)) && ev->exec <= WIRE_EXEC_MAX);
        session_event_taken(&s);
    }
    session_sent(&s, session_output(&s, &at));
}

/* The first byte says how much comes at once, and what the keeper asks for meanwhile: with an odd
 * one, a sync whenever it may. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    size_t step = len > 0 ? 1 + data[0] % 64u * 100u : 1;

    session_init(&s);
    memset(s.nonce, 0, sizeof(s.nonce));
    /* The nonce is zeros, so that a READY can be guessed. */
    command(RELAY_ADOPT, 3, 0, 2);
    command(RELAY_HELLO, 0, len > 0 && data[0] & 128 ? WIRE_HELLO_PARK : 0, 0);
    command(RELAY_EXEC, 1, WIRE_EXEC_STDIN | WIRE_EXEC_WATCH, 4);
    command(RELAY_EXEC, 2, WIRE_EXEC_TTY, 2);
    command(RELAY_SECRET, 4, 0, 1);
    command(RELAY_EXEC, 4, 0, 3);
    command(RELAY_SIGNAL, 1, 0, 0);
    command(RELAY_COLLECT, 0, 0, 1);
    turn();
    for (size_t at = 1; at < len && session_takes_input(&s);) {
        uint8_t *to;
        size_t n = session_input_space(&s, &to);

        if (data[0] & 1)
            command(s.state == WIRE_IN_HELD ? RELAY_RESUME : RELAY_SYNC, 0, 0, 0);
        n = n < step ? n : step;
        n = n < len - at ? n : len - at;
        MUST(n > 0);
        memcpy(to, data + at, n);
        session_input(&s, n);
        at += n;
        if (data[0] & 64)
            turn();
    }
    for (int i = 0; i < 8; i++) /* enough to write every ring out */
        turn();
    session_done(&s);
    return 0;
}
