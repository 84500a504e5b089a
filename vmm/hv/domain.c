/*
 * domain: one transient domain from its creation to the proof that its QEMU is gone.
 *
 * How it works
 *   QEMU is started by libvirt but is no child of ours. hv_create() reads its pid from libvirt's
 *   root, opens a pidfd, and only then checks that the process was started for this domain (its
 *   command line has the uuid), so a pid that was used again is never signalled. Destroying is
 *   SIGKILL by that pidfd and a poll on it: libvirt's own call sleeps 200 ms at least.
 *   QEMU's version is asked for while the guest has not run: later its answers are not trusted.
 */
#include "base/clock.h"
#include "base/doc.h"
#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "hv/hv_private.h"

#include <errno.h>
#include <fcntl.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/virterror.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define CMDLINE_MAX 65536
#define REMOVED_MS  2000u

/* Ours is written by the domain library: plain, and with one uuid. */
static int find_uuid(const char *xml, char ret[VIR_UUID_STRING_BUFLEN], struct err *e)
{
    static const char open_tag[] = "<uuid>", close_tag[] = "</uuid>";
    const char *p = strstr(xml, open_tag);
    const char *end = p ? strstr(p, close_tag) : NULL;

    if (!p || !end || end - p != (long)(sizeof(open_tag) - 1 + VIR_UUID_STRING_BUFLEN - 1))
        return err_set(e, ERR_HOST, "the domain XML has no uuid");
    memcpy(ret, p + sizeof(open_tag) - 1, VIR_UUID_STRING_BUFLEN - 1);
    ret[VIR_UUID_STRING_BUFLEN - 1] = '\0';
    return 0;
}

int hv_read_pid(const struct hv *h, const char *file, pid_t *ret, struct err *e)
{
    own_free char *path = str_printf("%s/run/qemu/%s", h->root, file);
    own_free char *text = NULL;
    uint64_t pid;

    if (file_read(AT_FDCWD, path, 32, &text, NULL, e) < 0)
        return err_wrap(e, "cannot read QEMU's pid");
    text[strcspn(text, "\n")] = '\0';
    if (str_parse_u64(text, "QEMU's pid", 2, INT32_MAX, &pid, e) < 0) {
        e->class = ERR_HOST;
        return -1;
    }
    *ret = (pid_t)pid;
    return 0;
}

/* True if the process was started with "-uuid UUID". */
static bool was_started_for(pid_t pid, const char *uuid)
{
    own_free char *path = str_printf("/proc/%d/cmdline", (int)pid);
    own_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    own_free char *text = malloc(CMDLINE_MAX + 1);
    const char *prev = "";
    ssize_t len = fd < 0 || !text ? -1 : file_read_up_to(fd, text, CMDLINE_MAX);

    if (len < 0)
        return false;
    text[len] = '\0';
    for (const char *arg = text; arg < text + len; arg += strlen(arg) + 1) {
        if (strcmp(prev, "-uuid") == 0 && strcmp(arg, uuid) == 0)
            return true;
        prev = arg;
    }
    return false;
}

static int hold_qemu(struct hv *h, const char *uuid, struct err *e)
{
    const char *name = virDomainGetName(h->dom);
    own_free char *file = NULL;
    own_close int fd = -1;
    pid_t pid;

    if (!name)
        return hv_error_set(e, "cannot read the domain's name");
    file = str_printf("%s.pid", name);
    if (hv_read_pid(h, file, &pid, e) < 0)
        return -1;
    fd = pidfd_open(pid, 0);
    if (fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot hold QEMU's process %d", (int)pid);
    if (!was_started_for(pid, uuid))
        return err_set(e, ERR_HOST, "process %d is not this domain's QEMU (did it just end?)",
                       (int)pid);
    h->qemu_pid = pid;
    h->qemu_fd = own_steal_fd(fd);
    return 0;
}

/* Best effort: other drivers have no such monitor, and the version is only told, never relied on.
 */
static void ask_qemu_version(struct hv *h)
{
    own_doc struct doc *reply = NULL;
    const struct doc *ret, *qemu;
    char *text = NULL;
    uint64_t major, minor, micro;
    struct err e;

    hv_ask_within(h, HV_ANSWER_MS);
    if (virDomainQemuMonitorCommand(h->dom, "{\"execute\":\"query-version\"}", &text, 0) == 0 &&
        doc_parse(text, strlen(text), "QEMU's version", &reply, &e) == 0 &&
        doc_get_object(reply, "return", &ret, &e) == 0 &&
        doc_get_object(ret, "qemu", &qemu, &e) == 0 &&
        doc_get_u64(qemu, "major", &major, &e) == 0 &&
        doc_get_u64(qemu, "minor", &minor, &e) == 0 && doc_get_u64(qemu, "micro", &micro, &e) == 0)
        snprintf(h->qemu_version, sizeof(h->qemu_version), "%u.%u.%u", (unsigned)major,
                 (unsigned)minor, (unsigned)micro);
    hv_answered(h);
    free(text);
    virResetLastError();
}

static bool is_qemu(const struct hv *h)
{
    const char *type = virConnectGetType(h->conn);

    return type && strcmp(type, "QEMU") == 0;
}

static int start_paused(struct hv *h, const char *xml, const char *uuid, bool validate,
                        struct err *e)
{
    unsigned flags = validate ? VIR_DOMAIN_START_VALIDATE : 0;

    if (is_qemu(h))
        flags |= VIR_DOMAIN_START_PAUSED;
    h->starting = uuid;
    hv_ask_within(h, HV_START_MS);
    h->dom = virDomainCreateXML(h->conn, xml, flags);
    hv_answered(h);
    h->starting = NULL;
    if (!h->dom)
        return hv_failed(h, "cannot start the virtual machine", e);
    /* The test driver runs no guest and knows no such flag. */
    if (!is_qemu(h) && virDomainSuspend(h->dom) < 0)
        return hv_error_set(e, "cannot pause the domain");
    return 0;
}

static void forget_domain(struct hv *h)
{
    pthread_mutex_lock(&h->patience);
    if (h->dom)
        virDomainFree(h->dom);
    h->dom = NULL;
    h->qemu_pid = 0;
    own_close_p(&h->qemu_fd);
    h->qemu_fd = -1;
    pthread_mutex_unlock(&h->patience);
}

static int create_and_check(struct hv *h, const char *xml, const char *uuid, bool validate,
                            struct err *e)
{
    char real_uuid[VIR_UUID_STRING_BUFLEN];

    if (start_paused(h, xml, uuid, validate, e) < 0)
        return -1;
    if (virDomainGetUUIDString(h->dom, real_uuid) < 0)
        return hv_error_set(e, "cannot read the domain's uuid");
    if (strcmp(uuid, real_uuid) != 0)
        return err_set(e, ERR_HOST, "libvirt gave the domain another uuid than its XML");
    if (h->embedded && hold_qemu(h, uuid, e) < 0)
        return -1;
    return 0;
}

/* Libvirt tells the end of a domain a moment before its name is free for another, and finds it by
 * neither name nor uuid in the last of that: only its count has it to the end. There is no other.
 */
static void wait_removed(const struct hv *h)
{
    const uint64_t until_ms = clock_mono_ms() + REMOVED_MS;

    while (h->embedded && clock_mono_ms() < until_ms &&
           virConnectNumOfDomains(h->conn) + virConnectNumOfDefinedDomains(h->conn) > 0)
        poll(NULL, 0, 1);
    virResetLastError();
}

int hv_create(struct hv *h, const char *xml, bool validate, struct err *e)
{
    char uuid[VIR_UUID_STRING_BUFLEN];

    if (h->dom)
        return err_set(e, ERR_HOST, "this connection has its domain already");
    if (find_uuid(xml, uuid, e) < 0)
        return -1;
    wait_removed(h);
    h->late_ms = 0;
    if (hv_watch(h, uuid, e) == 0 && create_and_check(h, xml, uuid, validate, e) == 0)
        return 0;
    if (h->dom)
        virDomainDestroy(h->dom);
    virResetLastError();
    forget_domain(h);
    hv_unwatch(h);
    return -1;
}

static int need_domain(const struct hv *h, struct err *e)
{
    return h->dom ? 0 : err_set(e, ERR_HOST, "there is no domain");
}

int hv_resume(struct hv *h, struct err *e)
{
    int r;

    if (need_domain(h, e) < 0)
        return -1;
    hv_ask_within(h, HV_ANSWER_MS);
    r = virDomainResume(h->dom);
    hv_answered(h);
    return r < 0 ? hv_failed(h, "cannot run the virtual machine", e) : 0;
}

int hv_pause(struct hv *h, struct err *e)
{
    int r;

    if (need_domain(h, e) < 0)
        return -1;
    hv_ask_within(h, HV_ANSWER_MS);
    r = virDomainSuspend(h->dom);
    hv_answered(h);
    return r < 0 ? hv_failed(h, "cannot pause the virtual machine", e) : 0;
}

static int signal_qemu(const struct hv *h, int signo, struct err *e)
{
    if (pidfd_send_signal(h->qemu_fd, signo, NULL, 0) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot signal QEMU's process %d", (int)h->qemu_pid);
    return 0;
}

int hv_freeze(struct hv *h, struct err *e)
{
    return h->qemu_fd >= 0 ? signal_qemu(h, SIGSTOP, e) : hv_pause(h, e);
}

int hv_thaw(struct hv *h, struct err *e)
{
    return h->qemu_fd >= 0 ? signal_qemu(h, SIGCONT, e) : 0;
}

bool hv_has_ended(struct hv *h)
{
    struct pollfd p = {.fd = h->qemu_fd, .events = POLLIN};
    bool gone;

    if (!h->dom)
        return true;
    if (h->qemu_fd >= 0)
        return poll(&p, 1, 0) == 1;
    gone = virDomainIsActive(h->dom) != 1;
    virResetLastError();
    return gone;
}

/* Through libvirt: waits until it saw QEMU end. A domain that is gone is what was wanted. */
static int destroy_by_libvirt(virDomainPtr dom, struct err *e)
{
    int code;

    if (virDomainDestroy(dom) == 0)
        return 0;
    code = virGetLastErrorCode();
    if (code == VIR_ERR_NO_DOMAIN || virDomainIsActive(dom) == 0) {
        virResetLastError();
        return 0;
    }
    return hv_error_set(e, "cannot end the virtual machine");
}

static int kill_qemu(const struct hv *h, struct err *e)
{
    struct pollfd p = {.fd = h->qemu_fd, .events = POLLIN};
    uint64_t deadline_ms = clock_mono_ms() + HV_KILL_MS;
    int n;

    if (pidfd_send_signal(h->qemu_fd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
        return err_sys(e, ERR_HOST, errno, "cannot kill QEMU's process %d", (int)h->qemu_pid);
    do
        n = poll(&p, 1, clock_poll_timeout(deadline_ms));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(e, ERR_HOST, errno, "cannot wait for the end of QEMU's process %d",
                       (int)h->qemu_pid);
    if (n == 0)
        return err_set(e, ERR_HOST, "QEMU's process %d was killed but does not end",
                       (int)h->qemu_pid);
    return 0;
}

int hv_destroy(struct hv *h, struct err *e)
{
    if (!h->dom)
        return 0;
    if ((h->qemu_fd >= 0 ? kill_qemu(h, e) : destroy_by_libvirt(h->dom, e)) < 0)
        return -1;
    forget_domain(h);
    return 0;
}

int hv_destroy_by_name(struct hv *h, const char *name, struct err *e)
{
    virDomainPtr dom = virDomainLookupByName(h->conn, name);
    int r;

    if (!dom) {
        if (virGetLastErrorCode() != VIR_ERR_NO_DOMAIN)
            return hv_error_set(e, "cannot look for the virtual machine");
        virResetLastError();
        return 0;
    }
    r = destroy_by_libvirt(dom, e);
    virDomainFree(dom);
    return r;
}

pid_t hv_qemu_pid(const struct hv *h)
{
    return h->qemu_pid;
}

int hv_live_xml(struct hv *h, char **ret, struct err *e)
{
    char *xml;

    if (need_domain(h, e) < 0)
        return -1;
    hv_ask_within(h, HV_ANSWER_MS);
    xml = virDomainGetXMLDesc(h->dom, 0);
    hv_answered(h);
    if (!xml)
        return hv_failed(h, "cannot read the domain's XML", e);
    *ret = xml;
    return 0;
}

int hv_get_versions(struct hv *h, struct hv_versions *ret, struct err *e)
{
    struct hv_versions v = {0};
    unsigned long lib;

    if (virConnectGetLibVersion(h->conn, &lib) < 0)
        return hv_error_set(e, "cannot read libvirt's version");
    snprintf(v.libvirt, sizeof(v.libvirt), "%lu.%lu.%lu", lib / 1000000, lib / 1000 % 1000,
             lib % 1000);
    if (h->dom && !h->qemu_version[0])
        ask_qemu_version(h);
    memcpy(v.qemu, h->qemu_version, sizeof(v.qemu));
    *ret = v;
    return 0;
}
