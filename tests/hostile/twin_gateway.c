/* twin_gateway: lazaret-gateway, taken over by a guest or by a server. See twin.h. */
#include "tests/hostile/twin_lies.h"

#include "gateway/record.h"
#include "gateway/rights.h"

#define PORT 4 /* in its place there is another socket, so that there is one */

struct confine twin_rights(uint32_t which)
{
    (void)which;
    return rights_gateway();
}

int twin_take(const struct confine *r, struct err *e)
{
    return rights_take(r, e);
}

void twin_hear(const char *name, struct twin_ask *ret)
{
    (void)name;
    twin_must(dup2(GATEWAY_CONTROL, PORT));
    twin_must(recv(GATEWAY_CONTROL, ret, sizeof(*ret), 0) == sizeof(*ret) ? 0 : -1);
}

void twin_tell(const struct twin_answer *answer)
{
    twin_must(send(GATEWAY_CONTROL, answer, sizeof(*answer), MSG_NOSIGNAL) == sizeof(*answer) ? 0
                                                                                              : -1);
}

void twin_lie(uint32_t what)
{
    static struct gateway_event record;

    record = (struct gateway_event){
        .type = GATEWAY_TRY, .exec = 1, .why = NET_WHY_RULE, .port = 443, .host = "example.org"};
    if (what == LIE_TYPE)
        record.type = 77;
    if (what == LIE_TEXT)
        strcpy(record.host, "\033[2J");
    if (what == LIE_NO_NUL)
        memset(record.host, 'x', sizeof(record.host));
    if (what == LIE_EXEC)
        record.exec = UINT32_MAX;
    if (what == LIE_NOT_ASKED)
        record = (struct gateway_event){.type = GATEWAY_HELD};
    if (what == LIE_FLOOD) /* of a guest that there was before: passed over */
        record = (struct gateway_event){.type = GATEWAY_READY, .guest = 77};
    twin_send_lie(GATEWAY_CONTROL, what, &record, sizeof(record));
}
