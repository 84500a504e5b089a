/*
 * twin_relay: lazaret-relay, taken over by a guest. See twin.h.
 *
 * By its own name "lazaret-relay" it stands in a whole manager: says that the guest is ready and
 * its job started, and then says something without end.
 */
#include "tests/hostile/twin_lies.h"

#include "channel/relay.h"
#include "channel/rights.h"

#define CHANNEL 4 /* the ask comes there, and the answer goes there */

struct confine twin_rights(uint32_t which)
{
    (void)which;
    return rights_relay();
}

int twin_take(const struct confine *r, struct err *e)
{
    return confine_self(r, e);
}

void twin_tell(const struct twin_answer *answer)
{
    twin_must(send(CHANNEL, answer, sizeof(*answer), MSG_NOSIGNAL) == sizeof(*answer) ? 0 : -1);
}

/* ---- lies to the manager --------------------------------------------------------------------- */

static struct channel_event record;

void twin_lie(uint32_t what)
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
    twin_send_lie(RELAY_CONTROL, what, &record, sizeof(record));
}

static void say(enum channel_event_type type, uint32_t exec)
{
    record = (struct channel_event){.type = type, .exec = exec};
    twin_must((int)send(RELAY_CONTROL, &record, sizeof(record), MSG_NOSIGNAL));
}

static void talk_without_end(void)
{
    const struct confine r = rights_relay();
    struct relay_command c = {0};
    struct err e;

    twin_must(confine_self(&r, &e)); /* or the keeper would see that it is not */
    say(CHANNEL_READY, 0);
    while (c.type != RELAY_EXEC)
        twin_must((int)recv(RELAY_CONTROL, &c, sizeof(c), 0) > 0 ? 0 : -1);
    /* Each time as if the job began anew. */
    for (;;) {
        say(CHANNEL_STARTED, c.exec);
        record = (struct channel_event){.type = CHANNEL_LOG};
        memset(record.text, 'x', sizeof(record.text) - 1);
        twin_must((int)send(RELAY_CONTROL, &record, sizeof(record), MSG_NOSIGNAL));
    }
}

void twin_hear(const char *name, struct twin_ask *ret)
{
    if (strstr(name, "/lazaret-relay"))
        talk_without_end();
    twin_must(recv(CHANNEL, ret, sizeof(*ret), MSG_WAITALL) == sizeof(*ret) ? 0 : -1);
}
