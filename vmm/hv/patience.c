/*
 * patience: how long QEMU may take to answer.
 *
 * How it works
 *   Libvirt waits for QEMU's monitor without end, and so would whoever asked. A timer in the event
 *   loop's thread, which no question blocks, kills a QEMU that is late: then libvirt sees it go,
 * the question fails, and the domain's end is told like any other. hv_was_late() says why it ended.
 *   While QEMU starts, its process is not known here yet: it is found by the file that libvirt has
 *   it write, and looked for again where that is not there yet. Over a daemon the domain is
 *   destroyed by libvirt, which waits for no question then; one that starts is found by its uuid. A
 *   daemon that does not answer that either is given up by libvirt itself (hv_watch_connection()).
 */
#include "base/clock.h"
#include "base/own.h"
#include "base/str.h"
#include "hv/hv_private.h"

#include <dirent.h>
#include <libvirt/virterror.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define AGAIN_MS 1000

/* In our own pid namespace there is no other QEMU than those of this root. Libvirt's driver has
 * such a file too: that is us. */
static void kill_starting(const struct hv *h)
{
    own_free char *path = str_printf("%s/run/qemu", h->root);
    own_closedir DIR *d = opendir(path);

    for (struct dirent *en; d && (en = readdir(d));) {
        const char *dot = strrchr(en->d_name, '.');
        pid_t pid;

        if (dot && strcmp(dot, ".pid") == 0 &&
            hv_read_pid(h, en->d_name, &pid, &(struct err){0}) == 0 && pid != getpid())
            kill(pid, SIGKILL);
    }
}

static void destroy_starting(struct hv *h)
{
    virDomainPtr dom = virDomainLookupByUUIDString(h->conn, h->starting);

    if (!dom)
        return;
    virDomainDestroy(dom);
    virDomainFree(dom);
}

static void end_qemu(struct hv *h)
{
    h->late_ms = h->asked_ms;
    if (h->qemu_fd >= 0)
        pidfd_send_signal(h->qemu_fd, SIGKILL, NULL, 0);
    else if (h->embedded)
        kill_starting(h);
    else if (h->dom)
        virDomainDestroy(h->dom);
    else if (h->starting)
        destroy_starting(h);
}

/* In the loop's thread, once in a while: the timer is not moved for each question. */
static void on_late(int timer, void *opaque)
{
    struct hv *h = opaque;
    uint64_t now = clock_mono_ms();
    int again = -1;

    pthread_mutex_lock(&h->patience);
    if (h->asked_until_ms > now)
        again = (int)(h->asked_until_ms - now) + 1;
    else if (h->asked_until_ms) {
        end_qemu(h);
        if (h->qemu_fd < 0 && (h->embedded || h->starting))
            again = AGAIN_MS;
    }
    h->armed_until_ms = again < 0 ? 0 : now + (uint64_t)again;
    virEventUpdateTimeout(timer, again);
    pthread_mutex_unlock(&h->patience);
}

int hv_patience_open(struct hv *h, struct err *e)
{
    h->late_timer = virEventAddTimeout(-1, on_late, h, NULL);
    return h->late_timer < 0 ? hv_error_set(e, "cannot make a timer") : 0;
}

void hv_patience_close(struct hv *h)
{
    if (h->late_timer >= 0)
        virEventRemoveTimeout(h->late_timer);
    h->late_timer = -1;
}

void hv_ask_within(struct hv *h, uint64_t ms)
{
    pthread_mutex_lock(&h->patience);
    h->asked_ms = ms;
    h->asked_until_ms = clock_mono_ms() + ms;
    if (!h->armed_until_ms || h->armed_until_ms > h->asked_until_ms) {
        h->armed_until_ms = h->asked_until_ms;
        virEventUpdateTimeout(h->late_timer, (int)ms);
    }
    pthread_mutex_unlock(&h->patience);
}

void hv_answered(struct hv *h)
{
    pthread_mutex_lock(&h->patience);
    h->asked_until_ms = 0;
    pthread_mutex_unlock(&h->patience);
}

int hv_failed(const struct hv *h, const char *doing, struct err *e)
{
    if (!h->late_ms)
        return hv_error_set(e, doing);
    virResetLastError();
    return err_set(e, ERR_HOST, "%s: QEMU did not answer within %u s and was killed", doing,
                   (unsigned)(h->late_ms / 1000));
}

int hv_check_answers(struct hv *h, struct err *e)
{
    if (!h->dom)
        return err_set(e, ERR_HOST, "there is no domain");
    return hv_ask(h, "{\"execute\":\"query-status\"}", "the virtual machine", NULL, e);
}

uint64_t hv_was_late(const struct hv *h)
{
    return h->late_ms;
}
