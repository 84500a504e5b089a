/* refuse: why a try was refused, in words that a client can act on. See refuse.h. */
#include "gateway/refuse.h"

#include "base/doc.h"
#include "base/own.h"
#include "base/str.h"
#include "gateway/gate.h"

#include <string.h>

static const struct {
    uint16_t status;
    const char *reason;
} rows[NET_WHY_END] = {
    [NET_WHY_DONE] = {500, "it has ended"},
    [NET_WHY_RULE] = {403, "no rule allows it"},
    [NET_WHY_ADDRESS] = {403, "its name leads to an address that is private or the host's own"},
    [NET_WHY_NAME] = {502, "its name cannot be resolved"},
    [NET_WHY_CONNECT] = {502, "it cannot be reached, or does not accept"},
    [NET_WHY_TIMEOUT] = {504, "it took too long"},
    [NET_WHY_TLS] = {502, "it is not the TLS, the name or the certificate that the rule wants"},
    [NET_WHY_BUDGET] = {429, "the bytes of its rule are used up"},
    [NET_WHY_LIMIT] = {429, "there are too many connections at once"},
    [NET_WHY_REQUEST] = {400, "it is no request that can be passed on"},
    [NET_WHY_PEER] = {502, "the server broke off"},
    [NET_WHY_GONE] = {403, "its rule was taken away"},
};

uint16_t refuse_status(uint32_t why)
{
    return rows[why < NET_WHY_END ? why : NET_WHY_PEER].status;
}

/* "host:port", or http://NAME.lazaret */
static char *destination(const struct gate_stream *s)
{
    if (s->open.kind == NET_ORIGIN)
        return str_printf("http://%s." NET_ORIGIN_DOMAIN, s->open.name);
    return str_printf(strchr(s->open.name, ':') ? "[%s]:%u" : "%s:%u", s->open.name, s->open.port);
}

static char *how_to_allow(const struct gate_stream *s)
{
    if (s->why == NET_WHY_ADDRESS)
        return str_dup("name the range of its address in the policy's network_ranges");
    if (s->why != NET_WHY_RULE && s->why != NET_WHY_GONE)
        return NULL;
    if (s->open.kind == NET_ORIGIN)
        return str_printf("a rule with the name '%s', its method and its path", s->open.name);
    if (s->open.port == 443)
        return str_printf("--allow https://%s", s->open.name);
    if (s->open.port == 80)
        return str_printf("--allow http://%s", s->open.name);
    return str_printf(strchr(s->open.name, ':') ? "--allow tcp://[%s]:%u" : "--allow tcp://%s:%u",
                      s->open.name, s->open.port);
}

char *refuse_text(const struct gate_stream *s)
{
    own_doc struct doc *d = doc_new_object();
    own_free char *to = destination(s), *how = how_to_allow(s);

    doc_set_bool(d, "denied", true);
    doc_set_str(d, "destination", to);
    if (s->rule)
        doc_set_str(d, "rule", s->rule->url);
    else
        doc_set(d, "rule", NULL);
    doc_set_str(d, "reason", rows[s->why < NET_WHY_END ? s->why : NET_WHY_PEER].reason);
    if (how)
        doc_set_str(d, "how_to_allow", how);
    else
        doc_set(d, "how_to_allow", NULL);
    return doc_format(d, false);
}
