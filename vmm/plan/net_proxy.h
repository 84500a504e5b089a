/*
 * net_proxy: the proxy that this host goes out through, as its environment names it, and what is
 * reached without it.
 *
 * How it works
 *   The gateway asks it for every connection by CONNECT. Which address a name leads to is then the
 *   proxy's to say: what net_address_ok() judges is a destination that is an address itself, or is
 *   reached directly. So it is there only where the user asks for it, and a policy that bounds the
 *   network has to name it.
 *
 *     https_proxy   http://[USER[:PASSWORD]@]HOST:PORT[/], or without "http://"
 *     no_proxy      "example.org" or ".example.org" (it, and every name below it), an address, a
 *                   range "10.0.0.0/8" (of addresses, not of names), "*"; by commas or blanks
 *
 * Must not: let the login into a plan, a message or a record.
 */
#ifndef LZ_PLAN_NET_PROXY_H
#define LZ_PLAN_NET_PROXY_H

#include "base/doc.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define NET_PROXY_LOGIN_MAX  512u /* bytes of user, colon and password */
#define NET_PROXY_DIRECT_MAX 128u /* destinations */

struct net_proxy {
    char *host; /* lower case, or an address without brackets; NULL: there is none */
    uint16_t port;
    struct strv direct; /* what is reached without it */
    char *from;         /* the variable that names it */
};

void net_proxy_done(struct net_proxy *p);
#define own_net_proxy __attribute__((cleanup(net_proxy_done)))
/* `to` is empty. */
void net_proxy_copy(struct net_proxy *to, const struct net_proxy *from);

/*
 * Reads what the variable `from` says, and no_proxy (NULL: it is not set). *ret_login, new:
 * "USER:PASSWORD", decoded, or NULL. What of no_proxy is not understood goes through the proxy, and
 * is a line in `notes`. ERR_USAGE names the variable, not what it says.
 */
int net_proxy_parse(const char *from, const char *url, const char *no_proxy, struct net_proxy *ret,
                    char **ret_login, struct strv *notes, struct err *e);
/* Returns new: "HOST:PORT", what a policy names it by. */
char *net_proxy_text(const struct net_proxy *p);
/* A policy's text for one: it has this form. */
bool net_proxy_is_text(const char *text);
/* The way to `host` (a name in lower case, or an address) is through it. */
bool net_proxy_leads_to(const struct net_proxy *p, const char *host);

/* Returns new: {"at": "HOST:PORT", "direct": [...], "from": ...}; and back. ERR_HOST. */
struct doc *net_proxy_to_doc(const struct net_proxy *p);
int net_proxy_from_doc(const struct doc *d, struct net_proxy *ret, struct err *e);

#endif
