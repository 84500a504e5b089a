/*
 * state: a guest's devices, and its memory where wanted, into a file and out of it again.
 *
 * How it works (QEMU's docs/devel/migration.rst; qapi/migration.json of 7.2)
 *   Saving is a migration to a file while the guest stands still. libvirt's own save and restore
 *   always stream all memory and have no hook for x-ignore-shared, so both ends go through the
 *   monitor: capability, fd, start, then asking until it has ended. With HV_RAM_APART the memory is
 *   a file that both domains name in their XML: the template maps it shared, so what it wrote is in
 *   the file; the restored guest maps it privately, and only the devices travel.
 *   QEMU knows the experimental capability by its name only: both ends set it or the stream does
 *   not fit.
 */
#include "base/clock.h"
#include "base/doc.h"
#include "base/own.h"
#include "base/str.h"
#include "hv/hv_private.h"

#include <errno.h>
#include <fcntl.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/virterror.h>
#include <string.h>
#include <time.h>

#define FD_NAME     "lazaret"
#define CALL_OFF_MS 3000u   /* where nobody takes what is written, it is never over */
#define ASK_NS      1000000 /* between two questions: a save takes a few milliseconds */

static int give_fd(struct hv *h, int fd, const char *doing, struct err *e)
{
    static const char command[] =
        "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"" FD_NAME "\"}}";
    own_free char *reply = NULL;
    int r;

    hv_ask_within(h, HV_ANSWER_MS);
    r = virDomainQemuMonitorCommandWithFiles(h->dom, command, 1, &fd, NULL, NULL, &reply, 0);
    hv_answered(h);
    if (r < 0)
        return hv_failed(h, doing, e);
    return hv_check_reply(reply, doing, NULL, e);
}

/* Both ends of a stream agree on where the memory is. */
static int agree(struct hv *h, enum hv_ram ram, const char *doing, struct err *e)
{
    own_free char *capability =
        str_printf("{\"execute\":\"migrate-set-capabilities\",\"arguments\":{\"capabilities\":"
                   "[{\"capability\":\"x-ignore-shared\",\"state\":%s}]}}",
                   ram == HV_RAM_APART ? "true" : "false");

    return hv_ask(h, capability, doing, NULL, e);
}

/* All of it may go as fast as the file takes it. */
static int unbrake(struct hv *h, const char *doing, struct err *e)
{
    return hv_ask(h,
                  "{\"execute\":\"migrate-set-parameters\",\"arguments\":"
                  "{\"max-bandwidth\":1099511627776}}",
                  doing, NULL, e);
}

/* A save says that it has ended a moment before the guest may go on or another save may begin. */
static int is_settled(struct hv *h, const char *doing, struct err *e)
{
    own_doc struct doc *d = NULL;
    const struct doc *info;
    const char *status;

    if (hv_ask(h, "{\"execute\":\"query-status\"}", doing, &d, e) < 0)
        return -1;
    if (doc_get_object(d, "return", &info, e) < 0 || doc_get_str(info, "status", &status, e) < 0)
        return err_wrap(e, "%s", doing);
    return strcmp(status, "finish-migrate") != 0;
}

/* One look: 1 when it has ended well, 0 when it goes on. */
static int look(struct hv *h, const char *doing, struct err *e)
{
    own_doc struct doc *d = NULL;
    const struct doc *info;
    const char *status, *why;
    char shown[300];

    if (hv_ask(h, "{\"execute\":\"query-migrate\"}", doing, &d, e) < 0)
        return -1;
    if (doc_get_object(d, "return", &info, e) < 0)
        return err_wrap(e, "%s", doing);
    if (!doc_has(info, "status"))
        return 0; /* not even begun */
    if (doc_get_str(info, "status", &status, e) < 0)
        return err_wrap(e, "%s", doing);
    if (strcmp(status, "completed") == 0)
        return 1;
    if (strcmp(status, "failed") != 0 && strcmp(status, "cancelled") != 0)
        return 0;
    if (!doc_has(info, "error-desc") || doc_get_str(info, "error-desc", &why, e) < 0)
        why = "no reason given (is there space left? see libvirt's log)";
    str_escape(shown, sizeof(shown), why, strlen(why));
    return err_set(e, ERR_HOST, "%s: it %s: %s", doing, status, shown);
}

static int look_at_save(struct hv *h, const char *doing, struct err *e)
{
    int r = look(h, doing, e);

    return r == 1 ? is_settled(h, doing, e) : r;
}

static int wait_end(struct hv *h, int (*look_fn)(struct hv *, const char *, struct err *),
                    uint64_t timeout_ms, const char *doing, struct err *e)
{
    uint64_t deadline_ms = clock_mono_ms() + timeout_ms;
    int r;

    while ((r = look_fn(h, doing, e)) == 0) {
        if (clock_mono_ms() >= deadline_ms)
            return err_set(e, ERR_HOST, "%s: not done within %u ms", doing, (unsigned)timeout_ms);
        nanosleep(&(struct timespec){.tv_nsec = ASK_NS}, NULL);
    }
    return r < 0 ? -1 : 0;
}

/* Is no save under way, as far as can be known? */
static bool is_over(struct hv *h)
{
    static const char doing[] = "a save that is called off";
    own_doc struct doc *d = NULL;
    const struct doc *info;
    const char *status;
    struct err e;

    if (hv_ask(h, "{\"execute\":\"query-migrate\"}", doing, &d, &e) < 0 ||
        doc_get_object(d, "return", &info, &e) < 0)
        return false;
    if (doc_has(info, "status") &&
        (doc_get_str(info, "status", &status, &e) < 0 ||
         (strcmp(status, "completed") != 0 && strcmp(status, "failed") != 0 &&
          strcmp(status, "cancelled") != 0)))
        return false;
    return is_settled(h, doing, &e) == 1;
}

/* One that goes on would stop the guest again, after it was let go. */
static void call_off(struct hv *h)
{
    uint64_t deadline_ms = clock_mono_ms() + CALL_OFF_MS;

    (void)hv_ask(h, "{\"execute\":\"migrate_cancel\"}", "cannot call off a save", NULL,
                 &(struct err){0});
    while (!hv_has_ended(h) && !is_over(h) && clock_mono_ms() < deadline_ms)
        nanosleep(&(struct timespec){.tv_nsec = ASK_NS}, NULL);
}

static int need_qemu(const struct hv *h, const char *doing, struct err *e)
{
    const char *type = virConnectGetType(h->conn);

    if (!h->dom)
        return err_set(e, ERR_HOST, "%s: there is no domain", doing);
    if (!h->embedded || !type || strcmp(type, "QEMU") != 0)
        return err_set(e, ERR_HOST, "%s: only with libvirt's embedded driver", doing);
    return 0;
}

int hv_save_state(struct hv *h, int state_fd, enum hv_ram ram, uint64_t timeout_ms, struct err *e)
{
    static const char doing[] = "cannot save the guest's state";

    if (need_qemu(h, doing, e) < 0 || agree(h, ram, doing, e) < 0 || unbrake(h, doing, e) < 0 ||
        hv_pause(h, e) < 0 || give_fd(h, state_fd, doing, e) < 0)
        return -1;
    if (hv_ask(h, "{\"execute\":\"migrate\",\"arguments\":{\"uri\":\"fd:" FD_NAME "\"}}", doing,
               NULL, e) == 0 &&
        wait_end(h, look_at_save, timeout_ms, doing, e) == 0)
        return 0;
    call_off(h);
    return -1;
}

static int take_in(struct hv *h, int state_fd, enum hv_ram ram, uint64_t timeout_ms, struct err *e)
{
    static const char doing[] = "cannot restore the guest's state";

    if (need_qemu(h, doing, e) < 0 || agree(h, ram, doing, e) < 0 ||
        give_fd(h, state_fd, doing, e) < 0)
        return -1;
    if (hv_ask(h, "{\"execute\":\"migrate-incoming\",\"arguments\":{\"uri\":\"fd:" FD_NAME "\"}}",
               doing, NULL, e) < 0)
        return -1;
    return wait_end(h, look, timeout_ms, doing, e);
}

int hv_create_incoming(struct hv *h, const char *xml, int state_fd, enum hv_ram ram,
                       uint64_t timeout_ms, struct err *e)
{
    struct err ignored;

    if (hv_create(h, xml, false, e) < 0)
        return -1;
    if (take_in(h, state_fd, ram, timeout_ms, e) == 0)
        return 0;
    (void)hv_destroy(h, &ignored); /* what took in half a state must not run */
    return -1;
}
