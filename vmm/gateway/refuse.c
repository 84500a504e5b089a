/* refuse: why a try was refused, in words that a client can act on. See refuse.h. */
#include "gateway/refuse.h"

#include "base/doc.h"
#include "base/own.h"
#include "base/str.h"
#include "gateway/gate.h"
#include "plan/net.h"

uint16_t refuse_status(uint32_t why)
{
    static const uint16_t status[NET_WHY_END] = {
        [NET_WHY_RULE] = 403,    [NET_WHY_ADDRESS] = 403, [NET_WHY_NAME] = 502,
        [NET_WHY_CONNECT] = 502, [NET_WHY_TIMEOUT] = 504, [NET_WHY_TLS] = 502,
        [NET_WHY_BUDGET] = 429,  [NET_WHY_LIMIT] = 429,   [NET_WHY_REQUEST] = 400,
        [NET_WHY_PEER] = 502,    [NET_WHY_GONE] = 403,
    };

    return why < NET_WHY_END && status[why] ? status[why] : 502;
}

static char *how_to_allow(const struct gate_stream *s)
{
    own_free char *wish = NULL;

    if (s->why == NET_WHY_ADDRESS)
        return str_dup("name the range of its address in the policy's network_ranges");
    if (s->why != NET_WHY_RULE && s->why != NET_WHY_GONE)
        return NULL;
    if (s->open.kind == NET_ORIGIN)
        return str_printf("a rule with the name '%s', its method and its path", s->open.name);
    wish = net_wish_for(s->open.name, s->open.port);
    return str_printf("--allow %s", wish);
}

uint32_t refuse_secret(const struct gate_stream *s)
{
    if (s->stage != GATE_WAITING || !rule_lacks_secret(s->rule))
        return 0;
    if (rule_awaits_secret(s->rule))
        return s->why == NET_WHY_TIMEOUT ? GATEWAY_SECRET_LATE : 0;
    return s->why == NET_WHY_REQUEST ? GATEWAY_SECRET_BAD : 0;
}

char *refuse_text(const struct gate_stream *s)
{
    own_doc struct doc *d = doc_new_object();
    own_free char *to = gateway_destination(s->open.name, s->open.port);
    own_free char *how = how_to_allow(s);
    own_free char *reason =
        gateway_event_text(s->why, s->why == NET_WHY_CONNECT ? s->proxy_said : 0, refuse_secret(s));

    doc_set_bool(d, "denied", true);
    doc_set_str(d, "destination", to);
    if (s->rule)
        doc_set_str(d, "rule", s->rule->url);
    else
        doc_set(d, "rule", NULL);
    doc_set_str(d, "reason", reason);
    if (how)
        doc_set_str(d, "how_to_allow", how);
    else
        doc_set(d, "how_to_allow", NULL);
    return doc_format(d, false);
}
