/* net_proxy: the proxy that this host goes out through. See net_proxy.h. */
#include "plan/net_proxy.h"

#include "base/own.h"
#include "plan/net.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void net_proxy_done(struct net_proxy *p)
{
    free(p->host);
    strv_done(&p->direct);
    free(p->from);
    *p = (struct net_proxy){0};
}

void net_proxy_copy(struct net_proxy *to, const struct net_proxy *from)
{
    if (!from->host)
        return;
    to->host = str_dup(from->host);
    to->port = from->port;
    strv_add_all(&to->direct, &from->direct);
    to->from = str_dup(from->from);
}

char *net_proxy_text(const struct net_proxy *p)
{
    return str_printf(strchr(p->host, ':') ? "[%s]:%u" : "%s:%u", p->host, p->port);
}

/* "HOST:PORT", in the spelling of rules. */
static bool take_place(const char *text, struct net_proxy *ret)
{
    own_free char *url = str_printf("tcp://%s", text);
    own_net_rule struct net_rule r = {0};
    struct err ignored;

    if (strpbrk(text, ",/*") || net_rule_parse(url, NET_OF_WISH, NULL, &r, &ignored) < 0)
        return false;
    ret->host = own_steal_ptr(r.host);
    ret->port = r.port;
    return true;
}

bool net_proxy_is_text(const char *text)
{
    own_net_proxy struct net_proxy p = {0};
    own_free char *again = NULL;

    if (!take_place(text, &p))
        return false;
    again = net_proxy_text(&p);
    return strcmp(again, text) == 0;
}

/* ---- the environment ---- */

static int digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* Returns new: `len` bytes with %XX decoded, and a colon; NULL: it is no login. */
static char *decode_login(const char *text, size_t len)
{
    own_free char *out = calloc(1, len + 2);
    size_t n = 0;

    if (!out)
        abort();
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c == '%') {
            int high = len - i > 2 ? digit(text[i + 1]) : -1, low;

            low = high >= 0 ? digit(text[i + 2]) : -1;
            if (low < 0)
                return NULL;
            c = (unsigned char)(16 * high + low);
            i += 2;
        }
        if (c < ' ' || c == 0x7f)
            return NULL;
        out[n++] = (char)c;
    }
    if (!memchr(text, ':', len))
        out[n++] = ':';
    return n <= NET_PROXY_LOGIN_MAX ? own_steal_ptr(out) : NULL;
}

static void lower(char *text)
{
    for (char *c = text; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
}

/* Returns new: an entry of no_proxy in its one spelling; NULL: it is not understood. */
static char *direct_of(const char *text)
{
    own_free char *place = NULL;
    own_net_proxy struct net_proxy p = {0};
    struct net_range range;
    struct err ignored;

    if (strcmp(text, "*") == 0)
        return str_dup(text);
    if (strchr(text, '/'))
        return net_range_parse(text, &range, &ignored) == 0 ? net_range_format(&range) : NULL;
    if (str_starts_with(text, "*."))
        text++;
    if (text[0] == '.')
        text++;
    /* An IPv6 address stands here without brackets. */
    place = str_printf(strchr(text, ':') && text[0] != '[' ? "[%s]:1" : "%s:1", text);
    return take_place(place, &p) ? own_steal_ptr(p.host) : NULL;
}

static void take_direct(const char *no_proxy, struct net_proxy *p, struct strv *notes)
{
    own_free char *copy = str_dup(no_proxy);
    char *rest = copy;

    for (char *one; (one = strsep(&rest, ", \t"));) {
        own_free char *direct = NULL;
        char shown[64];

        if (!*one)
            continue;
        lower(one);
        direct = p->direct.n < NET_PROXY_DIRECT_MAX ? direct_of(one) : NULL;
        if (direct) {
            strv_add(&p->direct, direct);
            continue;
        }
        str_escape(shown, sizeof(shown), one, strlen(one));
        strv_addf(notes, "no_proxy: '%s' is %s, and what it means goes through the proxy", shown,
                  p->direct.n < NET_PROXY_DIRECT_MAX ? "not understood" : "one too many");
    }
}

int net_proxy_parse(const char *from, const char *url, const char *no_proxy, struct net_proxy *ret,
                    char **ret_login, struct strv *notes, struct err *e)
{
    own_net_proxy struct net_proxy p = {.from = str_dup(from)};
    own_free char *login = NULL, *place = NULL;
    const char *at = url, *host;
    size_t len;

    if (strncasecmp(at, "http://", 7) == 0)
        at += 7;
    else if (strstr(at, "://"))
        return err_set(e, ERR_USAGE, "%s: the only proxies that can be used are of http://", from);
    host = strrchr(at, '@');
    if (host && !(login = decode_login(at, (size_t)(host - at))))
        return err_set(e, ERR_USAGE, "%s: what is in front of the '@' is no user and password",
                       from);
    host = host ? host + 1 : at;
    len = strlen(host);
    place = str_printf("%.*s", (int)(len > 0 && host[len - 1] == '/' ? len - 1 : len), host);
    if (!take_place(place, &p))
        return err_set(e, ERR_USAGE,
                       "%s: it does not name a host and its port (http://proxy.example.org:3128)",
                       from);
    if (no_proxy)
        take_direct(no_proxy, &p, notes);
    *ret = p;
    *ret_login = own_steal_ptr(login);
    p = (struct net_proxy){0};
    return 0;
}

/* ---- what it is for ---- */

static bool is_direct(const char *direct, const char *host)
{
    size_t len = strlen(host), tail = strlen(direct);
    struct net_range range;
    struct err ignored;

    if (strcmp(direct, "*") == 0 || strcmp(direct, host) == 0)
        return true;
    if (strchr(direct, '/'))
        return net_range_parse(direct, &range, &ignored) == 0 && net_range_has(&range, host);
    return len > tail && host[len - tail - 1] == '.' && strcmp(host + len - tail, direct) == 0;
}

bool net_proxy_leads_to(const struct net_proxy *p, const char *host)
{
    for (size_t i = 0; i < p->direct.n; i++)
        if (is_direct(p->direct.items[i], host))
            return false;
    return p->host != NULL;
}

/* ---- as JSON ---- */

struct doc *net_proxy_to_doc(const struct net_proxy *p)
{
    struct doc *d = doc_new_object();
    own_free char *at = net_proxy_text(p);

    doc_set_str(d, "at", at);
    doc_set_strv(d, "direct", (const char *const *)p->direct.items);
    doc_set_str(d, "from", p->from);
    return d;
}

int net_proxy_from_doc(const struct doc *d, struct net_proxy *ret, struct err *e)
{
    own_net_proxy struct net_proxy p = {0};
    const char *at, *from;

    if (doc_get_str(d, "at", &at, e) < 0 || doc_get_strv(d, "direct", &p.direct, e) < 0 ||
        doc_get_str(d, "from", &from, e) < 0)
        return err_wrap(e, "egress_proxy");
    if (!take_place(at, &p))
        return err_set(e, ERR_HOST, "egress_proxy: '%.64s' is none", at);
    p.from = str_dup(from);
    *ret = p;
    p = (struct net_proxy){0};
    return 0;
}
