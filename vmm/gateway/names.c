/* names: asks the host's name servers. See names.h. */
#include "gateway/names.h"

#include "base/own.h"

#include <ares.h>
#include <string.h>
#include <sys/time.h>

#define TRY_MS 1500 /* for one server to answer */
#define TRIES  3

struct names {
    ares_channel channel;
    struct pollfd polls[NAMES_POLLS_MAX];
    size_t n_polls, n_pending;
};

struct names_query {
    struct names *names;
    names_done done; /* NULL: forgotten */
    void *arg;
    bool asking; /* names_ask() has not returned */
    bool over;
};

/* c-ares opens, watches and closes a socket; one that has no place is closed by its time limit. */
static void watch(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct names *n = arg;
    short events = (short)((readable ? POLLIN : 0) | (writable ? POLLOUT : 0));
    size_t i = 0;

    while (i < n->n_polls && n->polls[i].fd != fd)
        i++;
    if (i == n->n_polls && (events == 0 || i == NAMES_POLLS_MAX))
        return;
    n->polls[i] = (struct pollfd){.fd = fd, .events = events};
    if (i == n->n_polls)
        n->n_polls++;
    else if (events == 0)
        n->polls[i] = n->polls[--n->n_polls];
}

int names_open(const char *servers, struct names **ret, struct err *e)
{
    struct names *n = calloc(1, sizeof(*n));
    char lookups[] = "b"; /* not the file of hosts */
    struct ares_options o = {.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_STAYOPEN,
                             .timeout = TRY_MS,
                             .tries = TRIES,
                             .lookups = lookups,
                             .sock_state_cb = watch,
                             .sock_state_cb_data = n};
    const int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
                     ARES_OPT_SOCK_STATE_CB;
    int r;

    if (!n)
        return err_set(e, ERR_HOST, "out of memory");
    r = ares_library_init(ARES_LIB_INIT_ALL);
    if (r == ARES_SUCCESS)
        r = ares_init_options(&n->channel, &o, mask);
    if (r == ARES_SUCCESS && servers) {
        r = ares_set_servers_ports_csv(n->channel, servers);
        if (r != ARES_SUCCESS)
            ares_destroy(n->channel);
    }
    if (r != ARES_SUCCESS) {
        free(n);
        return err_set(e, ERR_HOST, "names of hosts cannot be looked up: %s", ares_strerror(r));
    }
    *ret = n;
    return 0;
}

void names_close(struct names *n)
{
    if (!n)
        return;
    ares_destroy(n->channel);
    free(n);
}

/* One of each family in turn, as servers may be reached by one of them only. */
static void collect(const struct ares_addrinfo *info, struct names_answer *ret)
{
    const int families[] = {AF_INET6, AF_INET};
    const struct ares_addrinfo_node *at[2] = {info->nodes, info->nodes};

    for (bool more = true; more && ret->n < NAMES_ADDRESSES_MAX;) {
        more = false;
        for (size_t f = 0; f < 2 && ret->n < NAMES_ADDRESSES_MAX; f++) {
            while (at[f] && at[f]->ai_family != families[f])
                at[f] = at[f]->ai_next;
            if (!at[f] || at[f]->ai_addrlen > sizeof(ret->addresses[0]))
                continue;
            memcpy(&ret->addresses[ret->n++], at[f]->ai_addr, at[f]->ai_addrlen);
            at[f] = at[f]->ai_next;
            more = true;
        }
    }
}

static void take_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    struct names_query *q = arg;
    struct names_answer answer = {.in_time = status != ARES_ETIMEOUT};

    (void)timeouts;
    q->names->n_pending--;
    if (status == ARES_SUCCESS && info)
        collect(info, &answer);
    if (info)
        ares_freeaddrinfo(info);
    if (q->done && status != ARES_EDESTRUCTION)
        q->done(q->arg, &answer);
    q->over = true;
    if (!q->asking)
        free(q);
}

bool names_is_full(const struct names *n)
{
    return n->n_pending >= NAMES_PENDING_MAX;
}

struct names_query *names_ask(struct names *n, const char *host, names_done done, void *arg)
{
    struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_NOSORT, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct names_query *q = calloc(1, sizeof(*q));

    if (!q) {
        done(arg, &(struct names_answer){.in_time = true});
        return NULL;
    }
    *q = (struct names_query){.names = n, .done = done, .arg = arg, .asking = true};
    n->n_pending++;
    ares_getaddrinfo(n->channel, host, NULL, &hints, take_answer, q);
    q->asking = false;
    if (!q->over)
        return q;
    free(q);
    return NULL;
}

void names_forget(struct names_query *q)
{
    if (q)
        q->done = NULL;
}

size_t names_poll(const struct names *n, struct pollfd p[NAMES_POLLS_MAX])
{
    memcpy(p, n->polls, n->n_polls * sizeof(p[0]));
    return n->n_polls;
}

int names_timeout_ms(const struct names *n)
{
    struct timeval tv;

    if (!ares_timeout(n->channel, NULL, &tv))
        return -1;
    return (int)(tv.tv_sec * 1000 + (tv.tv_usec + 999) / 1000);
}

void names_work(struct names *n, const struct pollfd *p, size_t n_polls)
{
    for (size_t i = 0; i < n_polls; i++)
        if (p[i].revents)
            ares_process_fd(n->channel,
                            p[i].revents & (POLLIN | POLLHUP | POLLERR) ? p[i].fd : ARES_SOCKET_BAD,
                            p[i].revents & POLLOUT ? p[i].fd : ARES_SOCKET_BAD);
    ares_process_fd(n->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* what is too late */
}
