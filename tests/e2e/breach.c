/*
 * breach: loaded into lazaret by test_watch.py only: breaks the fence of a guest on purpose.
 *
 * How it works
 *   A file that the test shares says what to do. ATTACH: the keeper's own libvirt is asked for one
 *   more port in the live domain, behind the keeper's back, when it is about to wait. The golden
 *   machine has no place for one, so libvirt adds a controller, and fails after that. LIE: as long
 *   as it is set, libvirt's live XML has a network card in it. RELABEL: there QEMU's label is one
 * that nobody gives its files. With `hurry` a deadline of 20 s or 60 s in libvirt's loop is over
 * after one; with ONCE until somebody is killed for it. With `refuse` no process can be stopped.
 * When the fence broke, and when QEMU was stopped, goes into the same file.
 */
#include "tests/e2e/preloaded.h"

#include <dlfcn.h>
#include <errno.h>
#include <libvirt/libvirt.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { NOTHING, ATTACH, LIE, RELABEL };
enum { ONCE = 2 }; /* of `hurry` */

/* The same in test_watch.py. */
struct breach {
    _Atomic uint32_t what, hurry;
    _Atomic uint64_t broken_ns, stopped_ns; /* monotonic; the first one each */
    _Atomic uint32_t refuse;
};
static struct breach *breach;
static virDomainPtr domain;

static const char device[] = "<channel type='null'><target type='virtio' name='breach'/></channel>";
static const char card[] = "<interface type='user'><model type='virtio'/></interface></devices>";

__attribute__((constructor)) static void begin(void)
{
    breach = preloaded_share("LAZARET_BREACH", sizeof(*breach));
}

static void note(_Atomic uint64_t *when)
{
    struct timespec now;
    uint64_t never = 0;

    clock_gettime(CLOCK_MONOTONIC, &now);
    atomic_compare_exchange_strong(when, &never,
                                   (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
}

/* The library's function in whose place ours, breach_NAME, is. */
#define REAL(name) ((__typeof__(&breach_##name))(uintptr_t)dlsym(RTLD_NEXT, #name))

virDomainPtr breach_virDomainCreateXML(virConnectPtr conn, const char *xml,
                                       unsigned flags) __asm__("virDomainCreateXML");
virDomainPtr breach_virDomainCreateXML(virConnectPtr conn, const char *xml, unsigned flags)
{
    domain = REAL(virDomainCreateXML)(conn, xml, flags);
    return domain;
}

char *breach_virDomainGetXMLDesc(virDomainPtr dom, unsigned flags) __asm__("virDomainGetXMLDesc");
char *breach_virDomainGetXMLDesc(virDomainPtr dom, unsigned flags)
{
    char *xml = REAL(virDomainGetXMLDesc)(dom, flags), *end, *lie;

    if (xml && breach && atomic_load(&breach->what) == RELABEL &&
        (end = strstr(xml, "relabel='yes'")))
        memcpy(end, "relabel='no' ", strlen("relabel='no' "));
    if (!xml || !breach || atomic_load(&breach->what) != LIE || !(end = strstr(xml, "</devices>")))
        return xml;
    lie = calloc(1, strlen(xml) + sizeof(card));
    if (!lie)
        abort();
    (void)snprintf(lie, strlen(xml) + sizeof(card), "%.*s%s%s", (int)(end - xml), xml, card,
                   end + strlen("</devices>"));
    free(xml);
    return lie;
}

int breach_virEventUpdateTimeout(int timer, int ms) __asm__("virEventUpdateTimeout");
int breach_virEventUpdateTimeout(int timer, int ms)
{
    bool hurry = breach && breach->hurry && (ms == 20000 || ms == 60000);

    return REAL(virEventUpdateTimeout)(timer, hurry ? 1000 : ms);
}

int breach_kill(pid_t pid, int signo) __asm__("kill");
int breach_kill(pid_t pid, int signo)
{
    uint32_t once = ONCE;

    if (breach && signo == SIGKILL)
        atomic_compare_exchange_strong(&breach->hurry, &once, 0);
    return REAL(kill)(pid, signo);
}

int breach_clock_gettime(clockid_t id, struct timespec *t) __asm__("clock_gettime");
int breach_clock_gettime(clockid_t id, struct timespec *t)
{
    int r = (int)syscall(SYS_clock_gettime, id, t);

    if (breach && breach->hurry && id == CLOCK_MONOTONIC && gettid() != getpid())
        t->tv_sec += 60;
    return r;
}

int breach_poll(struct pollfd *p, nfds_t n, int ms) __asm__("poll");
int breach_poll(struct pollfd *p, nfds_t n, int ms)
{
    uint32_t attach = ATTACH;

    /* Not the thread of libvirt's event loop. */
    if (breach && domain && gettid() == getpid() &&
        atomic_compare_exchange_strong(&breach->what, &attach, NOTHING)) {
        virDomainAttachDeviceFlags(domain, device, VIR_DOMAIN_AFFECT_LIVE);
        note(&breach->broken_ns);
    }
    return REAL(poll)(p, n, ms);
}

int breach_pidfd_send_signal(int fd, int signo, siginfo_t *info,
                             unsigned flags) __asm__("pidfd_send_signal");
int breach_pidfd_send_signal(int fd, int signo, siginfo_t *info, unsigned flags)
{
    int r;

    if (breach && breach->refuse && signo == SIGSTOP) {
        errno = EPERM;
        return -1;
    }
    r = REAL(pidfd_send_signal)(fd, signo, info, flags);
    if (breach && signo == SIGSTOP && r == 0)
        note(&breach->stopped_ns);
    return r;
}
