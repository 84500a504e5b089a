/* template: a guest that is booted once to be saved. See template.h. */
#include "run/template.h"

#include "base/clock.h"
#include "base/own.h"
#include "channel/channel.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define SAVE_MS 30000u
#define GONE_MS 2000u

int template_connect(const char *path, int *ret_fd, struct err *e)
{
    own_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(at.sun_path))
        return err_set(e, ERR_HOST, "the path of the socket '%s' is too long", path);
    memcpy(at.sun_path, path, strlen(path));
    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot connect to QEMU's '%s'", path);
    *ret_fd = own_steal_fd(fd);
    return 0;
}

void template_wait_gone(struct hv *hv)
{
    struct pollfd p = {.fd = hv_event_fd(hv), .events = POLLIN};
    uint64_t until = clock_mono_ms() + GONE_MS;
    struct hv_event ev;

    while (clock_mono_ms() < until) {
        (void)poll(&p, 1, clock_poll_timeout(until));
        while (hv_next_event(hv, &ev) == 1)
            if (ev.type == HV_STOPPED)
                return;
    }
}

/* 1: it is parked, 0: not yet. */
static int take_channel_event(const struct channel_event *ev, struct err *e)
{
    switch (ev->type) {
    case CHANNEL_PARKED:
        return 1;
    case CHANNEL_LOG:
        return 0;
    case CHANNEL_FAILED:
        return err_set(e, ERR_GUEST, "it could not be brought up: %s", ev->text);
    case CHANNEL_HOST_FAILED:
        return err_set(e, ERR_HOST, "%s", ev->text);
    case CHANNEL_READY:
    case CHANNEL_STARTED:
    case CHANNEL_UNSTARTED:
    case CHANNEL_DENIED:
    case CHANNEL_SEEN:
    case CHANNEL_EXIT:
    case CHANNEL_GONE:
    case CHANNEL_MOVED:
    case CHANNEL_COLLECTED:
    case CHANNEL_USED:
    case CHANNEL_SYNCED:
    case CHANNEL_TAMPERED:
        break;
    case CHANNEL_LOST:
        return err_set(e, ERR_GUEST, "it stopped, or the channel to it broke: %s", ev->text);
    }
    return err_set(e, ERR_GUEST, "it stopped or broke the protocol before it was parked");
}

static int check_events(struct hv *hv, struct err *e)
{
    struct hv_event ev;

    while (hv_next_event(hv, &ev) == 1)
        if (ev.type != HV_STARTED && ev.type != HV_RESUMED && ev.type != HV_PAUSED)
            return err_set(e, ERR_GUEST, "it stopped before it was parked");
    return 0;
}

static int wait_parked(const struct template *t, struct channel *ch, struct err *e)
{
    uint64_t until = clock_mono_ms() + t->boot_ms;
    struct pollfd p[2] = {{.fd = channel_fd(ch), .events = POLLIN},
                          {.fd = hv_event_fd(t->hv), .events = POLLIN}};

    while (clock_mono_ms() < until) {
        struct channel_event ev;

        if (poll(p, 2, clock_poll_timeout(until)) < 0 && errno != EINTR)
            return err_sys(e, ERR_HOST, errno, "cannot wait for it");
        for (int n = 0; n < CHANNEL_TURN && channel_next(ch, &ev) == 1; n++) {
            int r = take_channel_event(&ev, e);

            if (r != 0)
                return r < 0 ? -1 : 0;
        }
        if (check_events(t->hv, e) < 0)
            return -1;
    }
    return err_set(e, ERR_GUEST, "it was not ready in time");
}

static int boot_and_save(const struct template *t, int state_fd, struct err *e)
{
    __attribute__((cleanup(channel_close_p))) struct channel *ch = NULL;
    own_close int channel = -1, console = -1, net = -1;
    struct channel_config c = {.relay_path = t->relay_path,
                               .console_log_fd = t->console_log_fd,
                               .console_max_bytes = t->console_max_bytes};

    if (hv_create(t->hv, t->xml, false, e) < 0 || template_connect(t->channel, &channel, e) < 0 ||
        template_connect(t->console, &console, e) < 0 ||
        (t->net && template_connect(t->net, &net, e) < 0))
        return -1;
    c.channel_fd = channel;
    c.console_fd = console;
    if (channel_open(&c, &ch, e) < 0 || hv_resume(t->hv, e) < 0 ||
        channel_hello(ch, &(struct channel_hello){.park = true}, e) < 0 ||
        wait_parked(t, ch, e) < 0)
        return -1;
    return hv_save_state(t->hv, state_fd, HV_RAM_APART, SAVE_MS, e);
}

int template_save(const struct template *t, int state_fd, struct err *e)
{
    int rc = boot_and_save(t, state_fd, e);
    struct err late;

    if (hv_destroy(t->hv, &late) < 0) {
        *e = late;
        return -1;
    }
    template_wait_gone(t->hv);
    return rc;
}
