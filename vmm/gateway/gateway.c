/* gateway: the launcher's and the keeper's end of lazaret-gateway. See gateway.h. */
#include "gateway/gateway.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/own.h"
#include "base/spawn.h"
#include "base/str.h"
#include "gateway/record.h"
#include "shared/net.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>

struct gateway {
    int control;
    bool over;      /* TAMPERED or LOST was handed out */
    bool holding;   /* HOLD sent, HELD not seen */
    bool greeted;   /* PORT sent, READY not seen */
    uint32_t guest; /* which port it is */
};

const char *gateway_why_text(uint32_t why)
{
    static const char *const texts[NET_WHY_END] = {
        [NET_WHY_DONE] = "it has ended",
        [NET_WHY_RULE] = "no rule allows it",
        [NET_WHY_ADDRESS] = "its name leads to an address that is private or the host's own",
        [NET_WHY_NAME] = "its name cannot be resolved",
        [NET_WHY_CONNECT] = "it cannot be reached, or does not accept",
        [NET_WHY_TIMEOUT] = "it took too long",
        [NET_WHY_TLS] = "it is not the TLS, the name or the certificate that the rule wants",
        [NET_WHY_BUDGET] = "the bytes of its rule are used up",
        [NET_WHY_LIMIT] = "there are too many connections at once",
        [NET_WHY_REQUEST] = "it is no request that can be passed on",
        [NET_WHY_PEER] = "the server broke off",
        [NET_WHY_GONE] = "its rule was taken away",
    };

    return why < NET_WHY_END ? texts[why] : "?";
}

char *gateway_event_text(uint32_t why, uint32_t proxy, uint32_t secret)
{
    if (secret == GATEWAY_SECRET_LATE)
        return str_dup("the secret of its rule has not come yet");
    if (secret == GATEWAY_SECRET_BAD)
        return str_dup(
            "the secret of its rule cannot go into a header: 1 to 4096 bytes on one line");
    if (proxy == 0)
        return str_dup(gateway_why_text(why));
    if (proxy == GATEWAY_PROXY_SILENT)
        return str_dup("the host's proxy cannot be reached, or gives no answer");
    return str_printf("the host's proxy refused it: status %u%s", proxy,
                      proxy == 407 ? " (it wants another user and password)" : "");
}

char *gateway_destination(const char *host, unsigned port)
{
    if (port == 0)
        return str_printf("http://%s." NET_ORIGIN_DOMAIN, host);
    return str_printf(strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
}

/* ---- launcher -------------------------------------------------------------------------------- */

/* Of the caller's environment it gets these, if they are there. */
static void fill_env(const char *login, char *env[4])
{
    static const char *const names[] = {GATEWAY_DNS_ENV, GATEWAY_CERTIFICATES_ENV};
    size_t n = 0;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = getenv(names[i]);

        if (value && *value)
            env[n++] = str_printf("%s=%s", names[i], value);
    }
    if (login)
        env[n++] = str_printf(GATEWAY_LOGIN_ENV "=%s", login);
}

int gateway_start(const char *path, const char *login, int *ret_control_fd, pid_t *ret_pid,
                  struct err *e)
{
    const char *const argv[] = {path, NULL};
    char *env[4] = {NULL};
    own_close int ours = -1, theirs = -1;
    int pair[2], rc;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(e, ERR_HOST, errno, "socketpair");
    ours = pair[0];
    theirs = pair[1];
    fill_env(login, env);
    rc = spawn_start(&(struct spawn){.argv = argv,
                                     .env = (const char *const *)env,
                                     .cwd = "/",
                                     .stdio = {SPAWN_NULL, SPAWN_NULL, SPAWN_NULL},
                                     .fds = &theirs,
                                     .n_fds = 1,
                                     .die_with_parent = true},
                     ret_pid, e);
    for (size_t i = 0; env[i]; i++)
        free(env[i]);
    if (rc < 0)
        return err_wrap(e, "gateway");
    *ret_control_fd = own_steal_fd(ours);
    return 0;
}

/* ---- keeper ---------------------------------------------------------------------------------- */

struct gateway *gateway_new(int control_fd)
{
    struct gateway *g = calloc(1, sizeof(*g));

    if (!g)
        abort();
    g->control = control_fd;
    return g;
}

void gateway_finish(struct gateway *g)
{
    (void)shutdown(g->control, SHUT_WR);
}

void gateway_free(struct gateway *g)
{
    if (!g)
        return;
    close(g->control);
    free(g);
}

int gateway_fd(const struct gateway *g)
{
    return g->control;
}

static int send_command(struct gateway *g, const struct gateway_command *c, int fd, struct err *e)
{
    int rc = spawn_tell(g->control, c, sizeof(*c), &fd, fd >= 0);

    if (rc == -ETIMEDOUT)
        return err_set(e, ERR_HOST, "the gateway takes no command");
    return rc < 0 ? err_sys(e, ERR_HOST, -rc, "cannot tell the gateway") : 0;
}

int gateway_secret(struct gateway *g, const char *name, int fd, struct err *e)
{
    struct gateway_command c = {.type = GATEWAY_SECRET};

    snprintf(c.name, sizeof(c.name), "%s", name);
    return send_command(g, &c, fd, e);
}

int gateway_rules(struct gateway *g, const struct doc *rules, struct err *e)
{
    const struct gateway_command c = {.type = GATEWAY_RULES};
    own_free char *text = doc_format(rules, false);
    own_close int fd = memfd_create("lazaret-rules", MFD_CLOEXEC);

    if (fd < 0 || file_write_all(fd, text, strlen(text)) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot hand rules to the gateway");
    return send_command(g, &c, fd, e);
}

int gateway_port(struct gateway *g, int port_fd, struct err *e)
{
    struct gateway_command c = {.type = GATEWAY_PORT, .guest = g->guest + 1};

    if (getrandom(c.nonce, sizeof(c.nonce), 0) != sizeof(c.nonce))
        return err_sys(e, ERR_HOST, errno, "getrandom");
    g->guest++;
    g->greeted = true;
    g->holding = false;
    return send_command(g, &c, port_fd, e);
}

int gateway_hold(struct gateway *g, struct err *e)
{
    g->holding = true;
    return send_command(g, &(struct gateway_command){.type = GATEWAY_HOLD}, -1, e);
}

int gateway_resume(struct gateway *g, struct err *e)
{
    return send_command(g, &(struct gateway_command){.type = GATEWAY_RESUME}, -1, e);
}

/* ---- events ---------------------------------------------------------------------------------- */

static bool ends_within(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

/* What a rule or a guest may name: an origin that no rule has stands under its own name. */
static bool host_is_sane(const struct gateway_event *ev)
{
    if (!ends_within(ev->host, GATEWAY_HOST_SIZE))
        return false;
    return ev->port ? net_is_name(ev->host, strlen(ev->host))
                    : net_is_origin(ev->host, strlen(ev->host));
}

static bool address_is_sane(const char *address)
{
    return ends_within(address, GATEWAY_ADDRESS_SIZE) &&
           (!address[0] || net_is_name(address, strlen(address)));
}

static bool proxy_is_sane(const struct gateway_event *ev)
{
    if (ev->proxy == 0)
        return true;
    return ev->why == NET_WHY_CONNECT &&
           (ev->proxy == GATEWAY_PROXY_SILENT || (ev->proxy >= 100 && ev->proxy <= 599));
}

static bool secret_is_sane(const struct gateway_event *ev)
{
    return ev->secret == 0 || (ev->secret == GATEWAY_SECRET_LATE && ev->why == NET_WHY_TIMEOUT) ||
           (ev->secret == GATEWAY_SECRET_BAD && ev->why == NET_WHY_REQUEST);
}

static bool try_is_sane(const struct gateway_event *ev)
{
    return ev->exec >= 1 && ev->exec <= NET_EXEC_MAX && ev->allowed <= 1 && ev->why < NET_WHY_END &&
           ev->port <= UINT16_MAX && host_is_sane(ev) && address_is_sane(ev->address) &&
           proxy_is_sane(ev) && secret_is_sane(ev) && !ev->text[0];
}

/* Can a gateway that does its duty have sent this? */
static bool event_is_sane(const struct gateway *g, const struct gateway_event *ev)
{
    switch (ev->type) {
    case GATEWAY_READY:
        return g->greeted;
    case GATEWAY_HELD:
        return g->holding;
    case GATEWAY_TRY:
        return try_is_sane(ev) && (ev->allowed ? ev->why == 0 : ev->why != 0);
    case GATEWAY_CLOSED:
        return try_is_sane(ev);
    case GATEWAY_TAMPERED:
    case GATEWAY_LOST:
        return str_is_printable(ev->text, sizeof(ev->text));
    default:
        return false;
    }
}

static void end_with(struct gateway *g, struct gateway_event *ev, uint32_t type, const char *text)
{
    *ev = (struct gateway_event){.type = type};
    snprintf(ev->text, sizeof(ev->text), "%s", text);
    g->over = true;
}

/* Of a guest that there was before this one. */
static bool is_of_the_past(const struct gateway *g, const struct gateway_event *ev)
{
    return (ev->type == GATEWAY_READY || ev->type == GATEWAY_HELD) && ev->guest != g->guest;
}

int gateway_next(struct gateway *g, struct gateway_event *ret)
{
    struct gateway_event ev;
    unsigned past = 0;
    ssize_t n;

    if (g->over)
        return 0;
    do
        n = spawn_hear(g->control, &ev, sizeof(ev));
    while (n == sizeof(ev) && is_of_the_past(g, &ev) && ++past < GATEWAY_TURN);
    if (past == GATEWAY_TURN) /* the rest another time */
        return 0;
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n < 0)
        end_with(g, &ev, GATEWAY_LOST, strerrordesc_np(errno));
    else if (n == 0)
        end_with(g, &ev, GATEWAY_LOST, "the gateway ended");
    else if ((size_t)n != sizeof(ev) || !event_is_sane(g, &ev))
        end_with(g, &ev, GATEWAY_LOST, "the gateway sent what is not an event");
    else if (ev.type == GATEWAY_TAMPERED || ev.type == GATEWAY_LOST)
        g->over = true;
    else if (ev.type == GATEWAY_READY)
        g->greeted = false;
    else if (ev.type == GATEWAY_HELD)
        g->holding = false;
    *ret = ev;
    return 1;
}
