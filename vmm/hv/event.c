/*
 * event: libvirt's event loop in a thread of its own, and its callbacks, which feed a pipe.
 *
 * How it works
 *   One default loop exists per process. The thread runs it while a connection is open; a timer
 *   that never fires by itself keeps it busy, and setting it to zero wakes it up to quit. A
 * callback gets a `struct watch`, which is not changed after it was registered and is freed by
 * libvirt, so nothing needs a lock. It writes one `struct hv_event`, which is atomic on a pipe.
 *
 * Must: never block in a callback, never lose the end of the domain. Events that a guest can cause
 * again and again are dropped while HV_UNREAD_MAX bytes are unread; those that come once may use
 * the rest of the pipe.
 */
#include "hv/hv_private.h"

#include <errno.h>
#include <libvirt/virterror.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define HV_UNREAD_MAX 2048 /* bytes; a pipe holds 4096 at least, even for a user over its quota */
#define LOOP_STOP_MS  5000

struct watch {
    int fd;
    char uuid[VIR_UUID_STRING_BUFLEN];
};

static pthread_once_t loop_once = PTHREAD_ONCE_INIT;
static int loop_registered = -1;

static void register_loop(void)
{
    loop_registered = virEventRegisterDefaultImpl();
}

static bool comes_once(enum hv_event_type type)
{
    return type == HV_STARTED || type == HV_CRASHED || type == HV_STOPPED || type == HV_LOST;
}

static void tell(int fd, enum hv_event_type type, enum hv_stopped_why why)
{
    const struct hv_event ev = {.type = type, .why = why};
    int unread;
    ssize_t n;

    if (!comes_once(type) && (ioctl(fd, FIONREAD, &unread) < 0 || unread > HV_UNREAD_MAX))
        return;
    do
        n = write(fd, &ev, sizeof(ev));
    while (n < 0 && errno == EINTR);
}

static bool is_ours(virDomainPtr dom, const struct watch *w)
{
    char uuid[VIR_UUID_STRING_BUFLEN];

    return virDomainGetUUIDString(dom, uuid) == 0 && strcmp(uuid, w->uuid) == 0;
}

static enum hv_stopped_why why_stopped(int detail)
{
    switch (detail) {
    case VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN:
        return HV_WHY_SHUTDOWN;
    case VIR_DOMAIN_EVENT_STOPPED_DESTROYED:
        return HV_WHY_DESTROYED;
    case VIR_DOMAIN_EVENT_STOPPED_CRASHED:
        return HV_WHY_CRASHED;
    case VIR_DOMAIN_EVENT_STOPPED_FAILED:
        return HV_WHY_FAILED;
    default:
        return HV_WHY_OTHER;
    }
}

static int on_lifecycle(virConnectPtr conn, virDomainPtr dom, int event, int detail, void *opaque)
{
    static const enum hv_event_type types[] = {
        [VIR_DOMAIN_EVENT_STARTED] = HV_STARTED,   [VIR_DOMAIN_EVENT_SUSPENDED] = HV_PAUSED,
        [VIR_DOMAIN_EVENT_RESUMED] = HV_RESUMED,   [VIR_DOMAIN_EVENT_STOPPED] = HV_STOPPED,
        [VIR_DOMAIN_EVENT_SHUTDOWN] = HV_SHUTDOWN, [VIR_DOMAIN_EVENT_CRASHED] = HV_CRASHED,
    };
    const struct watch *w = opaque;

    if (event < 0 || (size_t)event >= sizeof(types) / sizeof(types[0]) || !types[event])
        return 0;
    if (is_ours(dom, w))
        tell(w->fd, types[event], event == VIR_DOMAIN_EVENT_STOPPED ? why_stopped(detail) : 0);
    return 0;
}

static void on_io_error(virConnectPtr conn, virDomainPtr dom, const char *path, const char *alias,
                        int action, void *opaque)
{
    const struct watch *w = opaque;

    if (is_ours(dom, w))
        tell(w->fd, HV_IO_ERROR, 0);
}

static void on_close(virConnectPtr conn, int reason, void *opaque)
{
    const struct watch *w = opaque;

    if (reason != VIR_CONNECT_CLOSE_REASON_CLIENT)
        tell(w->fd, HV_LOST, 0);
}

/* Returns new, owned by libvirt once it is registered. */
static struct watch *watch_new(const struct hv *h, const char *uuid)
{
    struct watch *w = calloc(1, sizeof(*w));

    if (!w)
        abort();
    w->fd = h->event_fds[1];
    memcpy(w->uuid, uuid, strnlen(uuid, sizeof(w->uuid) - 1));
    return w;
}

/* Returns the id of the registration, -1 on failure. */
static int watch_event(struct hv *h, int id, virConnectDomainEventGenericCallback cb,
                       const char *uuid)
{
    struct watch *w = watch_new(h, uuid);
    int reg = virConnectDomainEventRegisterAny(h->conn, NULL, id, cb, w, free);

    if (reg < 0)
        free(w);
    return reg;
}

int hv_watch(struct hv *h, const char uuid[VIR_UUID_STRING_BUFLEN], struct err *e)
{
    hv_unwatch(h);
    h->lifecycle_id = watch_event(h, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                  VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle), uuid);
    if (h->lifecycle_id < 0)
        return hv_error_set(e, "cannot watch the domain");
    h->io_error_id =
        watch_event(h, VIR_DOMAIN_EVENT_ID_IO_ERROR, VIR_DOMAIN_EVENT_CALLBACK(on_io_error), uuid);
    if (h->io_error_id < 0)
        return hv_error_set(e, "cannot watch the domain's disks");
    return 0;
}

void hv_unwatch(struct hv *h)
{
    if (h->lifecycle_id >= 0)
        virConnectDomainEventDeregisterAny(h->conn, h->lifecycle_id);
    if (h->io_error_id >= 0)
        virConnectDomainEventDeregisterAny(h->conn, h->io_error_id);
    h->lifecycle_id = h->io_error_id = -1;
}

int hv_watch_connection(struct hv *h, struct err *e)
{
    struct watch *w = watch_new(h, "");

    if (virConnectRegisterCloseCallback(h->conn, on_close, w, free) < 0) {
        free(w);
        return hv_error_set(e, "cannot watch the connection");
    }
    h->close_registered = true;
    /* A daemon that hangs is a daemon that is gone, after 15 s. */
    if (virConnectSetKeepAlive(h->conn, 5, 3) < 0)
        return hv_error_set(e, "cannot watch the connection");
    return 0;
}

void hv_unwatch_connection(struct hv *h)
{
    if (h->close_registered)
        virConnectUnregisterCloseCallback(h->conn, on_close);
    h->close_registered = false;
}

static void on_timer(int timer, void *opaque)
{
    virEventUpdateTimeout(timer, -1);
}

static void *loop_main(void *opaque)
{
    struct hv *h = opaque;

    while (!atomic_load(&h->loop_quit))
        if (virEventRunDefaultImpl() < 0)
            break; /* the caller's deadlines take over */
    return NULL;
}

int hv_thread_start(pthread_t *ret, void *(*main)(void *), void *arg)
{
    sigset_t all, old;
    int r;

    sigfillset(&all); /* signals are the main thread's */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    r = pthread_create(ret, NULL, main, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return r;
}

bool hv_thread_ended(pthread_t thread, uint64_t within_ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(within_ms % 1000) * 1000000;
    until.tv_sec += (time_t)(within_ms / 1000) + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    if (pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &until) == 0)
        return true;
    pthread_detach(thread);
    return false;
}

int hv_loop_start(struct hv *h, struct err *e)
{
    int r;

    pthread_once(&loop_once, register_loop);
    if (loop_registered < 0)
        return hv_error_set(e, "cannot make libvirt's event loop");
    h->loop_timer = virEventAddTimeout(-1, on_timer, NULL, NULL);
    if (h->loop_timer < 0)
        return hv_error_set(e, "cannot make libvirt's event loop");
    r = hv_thread_start(&h->loop, loop_main, h);
    if (r != 0)
        return err_sys(e, ERR_HOST, r, "cannot start libvirt's event loop");
    h->loop_running = true;
    return 0;
}

bool hv_loop_stop(struct hv *h)
{
    hv_patience_close(h);
    if (h->loop_running) {
        atomic_store(&h->loop_quit, true);
        virEventUpdateTimeout(h->loop_timer, 0);
        if (!hv_thread_ended(h->loop, LOOP_STOP_MS))
            return false;
        h->loop_running = false;
    }
    if (h->loop_timer >= 0)
        virEventRemoveTimeout(h->loop_timer);
    h->loop_timer = -1;
    return true;
}

int hv_event_fd(const struct hv *h)
{
    return h->event_fds[0];
}

int hv_next_event(struct hv *h, struct hv_event *ret)
{
    struct hv_event ev;
    ssize_t n;

    do
        n = read(h->event_fds[0], &ev, sizeof(ev));
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof(ev))
        return 0;
    *ret = ev;
    return 1;
}
