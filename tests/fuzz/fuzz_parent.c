/*
 * fuzz_parent: what the host's proxy answers is read the same in any pieces, and has an end; and a
 * variable that names a proxy comes to one that is written and read again.
 */
#include "base/own.h"
#include "gateway/parent.h"
#include "plan/net_proxy.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void read_answer(const uint8_t *data, size_t len)
{
    struct parent_answer whole = {0}, parts = {0};
    size_t used = 0, done = 0;
    int rc = parent_feed(&whole, data, len, &used), each = 0;

    for (size_t n = 0; each == 0 && done < len; done += n) {
        size_t more = len - done < 7 ? len - done : 7;

        each = parent_feed(&parts, data + done, more, &n);
        if (each < 0)
            break;
    }
    MUST(rc == each && whole.len <= PARENT_HEAD_MAX);
    if (rc == 1)
        MUST(done == used && whole.status == parts.status && whole.status >= 100 &&
             whole.status <= 599);
}

static void read_variable(const char *url, const char *no_proxy)
{
    own_net_proxy struct net_proxy p = {0}, again = {0};
    own_free char *login = NULL, *text = NULL;
    own_strv struct strv notes = {0};
    own_doc struct doc *d = NULL;
    struct err e = {0};

    if (net_proxy_parse("x", url, no_proxy, &p, &login, &notes, &e) < 0) {
        MUST(e.class == ERR_USAGE && !p.host && !login);
        return;
    }
    text = net_proxy_text(&p);
    MUST(net_proxy_is_text(text));
    MUST(!login || (strlen(login) <= NET_PROXY_LOGIN_MAX && strchr(login, ':')));
    d = net_proxy_to_doc(&p);
    MUST(net_proxy_from_doc(d, &again, &e) == 0);
    MUST(strcmp(again.host, p.host) == 0 && again.port == p.port);
    for (size_t i = 0; i < p.direct.n; i++)
        MUST(strchr(p.direct.items[i], '/') || !net_proxy_leads_to(&p, p.direct.items[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    own_free char *text = calloc(1, len + 1);
    char *rest = text;

    MUST(text);
    read_answer(data, len);
    memcpy(text, data, len);
    strsep(&rest, "\n");
    read_variable(text, rest);
    return 0;
}
