/* audit: hears from the guest's kernel what was refused. See audit.h. */
#include "agent/audit.h"

#include "shared/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECORD_MAX   8192       /* bytes: longer than the kernel's longest */
#define BUFFER_BYTES (1 << 20)  /* of the socket */
#define MARK         "lazaret " /* and a number */

int audit_open(void)
{
    const struct sockaddr_nl at = {.nl_family = AF_NETLINK,
                                   .nl_groups = 1u << (AUDIT_NLGRP_READLOG - 1)};
    const int size = BUFFER_BYTES;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_AUDIT);

    if (fd < 0)
        return -1;
    if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0) {
        close(fd);
        return -1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
    return fd;
}

int audit_name_me(uint32_t owner)
{
    char text[16];
    int fd = open("/proc/self/loginuid", O_WRONLY | O_CLOEXEC);
    int n = snprintf(text, sizeof(text), "%u", owner);
    int rc = 0;

    if (fd < 0)
        return -errno;
    if (write(fd, text, (size_t)n) < 0)
        rc = -errno;
    close(fd);
    return rc;
}

uint32_t audit_new_mark(struct audit *a)
{
    a->last_mark = a->last_mark == UINT32_MAX ? 1 : a->last_mark + 1;
    return a->last_mark;
}

int audit_mark(struct audit *a, uint32_t number)
{
    struct {
        struct nlmsghdr h;
        char text[32];
    } m = {.h = {.nlmsg_type = AUDIT_USER_AVC, .nlmsg_flags = NLM_F_REQUEST}};
    int n = snprintf(m.text, sizeof(m.text), MARK "%u", number);

    /* Of this type it is taken although auditing is off: nobody has switched it on. */
    m.h.nlmsg_len = (uint32_t)(NLMSG_HDRLEN + n + 1);
    if (a->fd < 0)
        return -ENOTCONN;
    return send(a->fd, &m, m.h.nlmsg_len, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* The number behind `key`; false: it is not there. What a job can choose, its name, has neither
 * blanks nor quotes in a record: the kernel writes such a one in hexadecimal digits. */
static bool number_of(const char *text, const char *key, int base, uint32_t *ret)
{
    const char *at = strstr(text, key);
    char *end;
    unsigned long value;

    if (!at)
        return false;
    at += strlen(key);
    value = strtoul(at, &end, base);
    *ret = (uint32_t)value;
    return end != at && value <= UINT32_MAX;
}

/* "audit(1.2:3): auid=4 uid=... comm="x" exe="/x" sig=0 arch=c000003e syscall=165 compat=0 ..." */
static struct audit_event read_denied(const char *text)
{
    struct audit_event ev = {.what = AUDIT_DENIED};
    uint32_t arch;

    if (!number_of(text, ": auid=", 10, &ev.owner) || !number_of(text, " arch=", 16, &arch) ||
        !number_of(text, " syscall=", 10, &ev.number))
        return (struct audit_event){.what = AUDIT_LOST};
    ev.foreign = arch != AUDIT_ARCH_X86_64;
    return ev;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The text behind `key`: in quotes, or in hexadecimal digits where it has bytes that a record
 * cannot show (audit_log_n_untrustedstring()). False: there is none. */
static bool text_of(const char *text, const char *key, char *ret, size_t size)
{
    const char *at = strstr(text, key);
    size_t n = 0;

    if (!at)
        return false;
    at += strlen(key);
    if (*at == '"') {
        n = strcspn(++at, "\"");
        n = n < size ? n : size - 1;
        memcpy(ret, at, n);
    } else {
        for (; n < size - 1 && digit(at[0]) >= 0 && digit(at[1]) >= 0; at += 2)
            ret[n++] = (char)(digit(at[0]) << 4 | digit(at[1]));
    }
    ret[n] = '\0';
    return ret[0] != '\0';
}

static uint32_t access_of(const char *mask)
{
    /* To create, append to, delete, link and lock is to change. */
    return (strchr(mask, 'r') ? WIRE_FILE_READ : 0) | (strpbrk(mask, "xm") ? WIRE_FILE_EXEC : 0) |
           (mask[strspn(mask, "rxm")] ? WIRE_FILE_WRITE : 0);
}

/* "audit(1.2:3): apparmor="DENIED" operation="open" class="file" profile="lazaret-exec-1"
 * name="/etc/shadow" pid=4 comm="x" requested_mask="r" denied_mask="r" fsuid=5 ouid=0". What a job
 * can choose, the names of files and its own, has neither blanks nor quotes there. */
static struct audit_event read_armor(const char *text)
{
    struct audit_event ev = {.what = AUDIT_NOTHING};
    char mask[16];

    if (!strstr(text, ": apparmor=\"DENIED\" ") ||
        !number_of(text, " profile=\"" GUEST_PROFILE, 10, &ev.exec))
        return ev;
    ev.what = AUDIT_ARMOR;
    if (text_of(text, " name=", ev.name, sizeof(ev.name)) &&
        text_of(text, " denied_mask=", mask, sizeof(mask))) {
        ev.what = AUDIT_FILE;
        ev.access = access_of(mask);
    }
    return ev;
}

static struct audit_event read_record(uint16_t type, const char *text)
{
    struct audit_event ev = {.what = AUDIT_NOTHING};

    if (type == AUDIT_SECCOMP)
        return read_denied(text);
    if (type == AUDIT_AVC)
        return read_armor(text);
    if (type == AUDIT_USER_AVC && number_of(text, " msg='" MARK, 10, &ev.number))
        ev.what = AUDIT_MARKED;
    else if (type == NLMSG_ERROR)
        ev.what = AUDIT_BROKEN;
    return ev;
}

struct audit_event audit_next(struct audit *a)
{
    static union {
        struct nlmsghdr h;
        char bytes[RECORD_MAX + 1];
    } m;
    ssize_t n;

    for (;;) {
        struct audit_event ev;

        n = recv(a->fd, &m, RECORD_MAX, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return (struct audit_event){.what = errno == ENOBUFS ? AUDIT_LOST : AUDIT_NOTHING};
        if (n == 0)
            return (struct audit_event){.what = AUDIT_NOTHING};
        /* Not by the length in the header, which is wrong in these. */
        m.bytes[n] = '\0';
        if (n <= (ssize_t)NLMSG_HDRLEN)
            continue;
        ev = read_record(m.h.nlmsg_type, m.bytes + NLMSG_HDRLEN);
        if (ev.what != AUDIT_NOTHING)
            return ev;
    }
}
