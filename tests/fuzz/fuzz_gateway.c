/* fuzz_gateway: the gateway's frames, in process: a guest that is met talks; the rules let it ask
 * for names that a dead name server has, an address that nobody listens on, and an origin. */
#include "gateway/gate.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct gate g;
static struct pollfd polls[GATE_POLLS_MAX];

#define RULES                                                                                      \
    "{\"network\":[{\"to\":\"https://*.a.org\"},{\"to\":\"tcp://127.0.0.1:1\",\"streams\":3},"     \
    "{\"to\":\"https://a.org/v1\",\"name\":\"api\",\"methods\":[\"GET\",\"POST\"]}],"              \
    "\"network_ranges\":[\"127.0.0.0/8\"]}"

static void command(uint32_t type, int fd)
{
    const struct gateway_command c = {.type = type};
    int port;

    gate_command(&g, &c, fd, &port);
    if (port >= 0)
        close(port);
}

static void begin(void)
{
    struct err e;
    int fd = memfd_create("rules", MFD_CLOEXEC);

    MUST(gate_open(&g, "127.0.0.1:1", "/dev/null", NULL, &e) == 0);
    MUST(write(fd, RULES, strlen(RULES)) == (ssize_t)strlen(RULES));
    command(GATEWAY_RULES, fd);
    command(GATEWAY_PORT, dup(0)); /* the nonce is zeros, so that a READY can be guessed */
}

/* Everything that the loop does, without waiting. */
static void turn(void)
{
    const struct gateway_event *ev;
    const uint8_t *at;
    size_t n;

    if (!g.over) {
        n = gate_poll(&g, polls);
        MUST(poll(polls, n, 0) >= 0);
        gate_take(&g, polls, n);
        gate_turn(&g);
    }
    while ((ev = gate_event(&g))) {
        MUST(ev->type != GATEWAY_LOST); /* whatever the guest says, the fault is its own */
        MUST(ev->type != GATEWAY_TRY || (net_is_name(ev->host, strlen(ev->host)) && ev->exec >= 1));
        gate_event_taken(&g);
    }
    gate_sent(&g, gate_output(&g, &at));
}

/* The first byte says how much comes at once, and whether it is held meanwhile. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    size_t step = len > 0 ? 1 + data[0] % 64u * 100u : 1;

    begin();
    turn();
    for (size_t at = 1; at < len && gate_takes_input(&g);) {
        uint8_t *to;
        size_t n = gate_input_space(&g, &to);

        if (data[0] & 128)
            command(g.session.state == NET_IN_HELD ? GATEWAY_RESUME : GATEWAY_HOLD, -1);
        n = n < step ? n : step;
        n = n < len - at ? n : len - at;
        MUST(n > 0);
        memcpy(to, data + at, n);
        gate_input(&g, n);
        at += n;
        turn();
    }
    turn();
    gate_close(&g);
    return 0;
}
