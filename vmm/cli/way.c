/* way: the proxy that this host goes out through. See way.h. */
#include "cli/way.h"

#include "base/log.h"
#include "base/own.h"

#include <stdlib.h>
#include <string.h>

void way_done(struct way *w)
{
    net_proxy_done(&w->proxy);
    if (w->login)
        explicit_bzero(w->login, strlen(w->login));
    free(w->login);
    *w = (struct way){0};
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

int way_find(struct way *ret, struct err *e)
{
    /* Every connection is asked for by CONNECT: the one for https goes first. */
    static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "all_proxy",
                                        "ALL_PROXY",   "http_proxy",  "HTTP_PROXY"};
    const char *direct = variable("no_proxy");
    own_strv struct strv notes = {0};
    size_t i = 0, n = sizeof(names) / sizeof(names[0]);

    while (i < n && !variable(names[i]))
        i++;
    if (i == n)
        return err_set(e, ERR_USAGE,
                       "--egress-proxy: the environment names no proxy (https_proxy, all_proxy or "
                       "http_proxy)");
    if (net_proxy_parse(names[i], variable(names[i]), direct ? direct : variable("NO_PROXY"),
                        &ret->proxy, &ret->login, &notes, e) < 0)
        return err_wrap(e, "--egress-proxy");
    for (size_t k = 0; k < notes.n; k++)
        log_msg(LOG_WARN, "%s", notes.items[k]);
    return 0;
}

int way_follow(const struct plan *plan, struct way *ret, struct err *e)
{
    own_free char *theirs = NULL, *ours = NULL;

    if (!plan->egress_proxy.host)
        return 0;
    theirs = net_proxy_text(&plan->egress_proxy);
    if (way_find(ret, e) < 0)
        return err_wrap(e, "the sandbox goes out through %s", theirs);
    ours = net_proxy_text(&ret->proxy);
    return strcmp(ours, theirs) == 0
               ? 0
               : err_set(e, ERR_USAGE,
                         "the sandbox goes out through %s, and %s names %s: a fork goes the same "
                         "way",
                         theirs, ret->proxy.from, ours);
}
