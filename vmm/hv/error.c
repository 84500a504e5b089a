/* error: libvirt's last error as one line of our own, with the way out where the cause is known. */
#include "base/own.h"
#include "base/str.h"
#include "hv/hv_private.h"

#include <ctype.h>
#include <libvirt/virterror.h>
#include <string.h>

static const struct {
    const char *part; /* of libvirt's or QEMU's text: there is no finer code */
    const char *way_out;
} known[] = {
    {"no connection driver available for qemu",
     "libvirt's QEMU driver is missing: install Debian's package 'libvirt-daemon-driver-qemu'"},
    {"Cannot check QEMU binary", "QEMU is missing: install Debian's package 'qemu-system-x86'"},
    {"Failed to parse user", "QEMU's own account is missing: useradd --system --user-group "
                             "--home-dir /nonexistent libvirt-qemu"},
    {"Failed to acquire pid file", "another process uses the same libvirt root"},
    {"already open with path", "a process can use one libvirt root only"},
    {"Failed to connect socket to",
     "no libvirt daemon answers there: start 'libvirtd', or leave '--connect' out"},
    {"does not support virt type 'kvm'", "no usable /dev/kvm: use '--accel tcg'"},
    {"could not find capabilities for domaintype=kvm", "no usable /dev/kvm: use '--accel tcg'"},
    {"Could not access KVM kernel module", "no usable /dev/kvm: use '--accel tcg'"},
    {"failed to initialize kvm", "no usable /dev/kvm: use '--accel tcg'"},
    {"Failed to get \"write\" lock", "another virtual machine uses the same disk"},
    {"to validate against schema", "the XML does not fit libvirt's schema"},
    {"No space left on device", "make room on that file system"},
    {"annot allocate memory", "the host has too little free memory: ask for less with '--memory'"},
    {"annot set up guest memory",
     "the host has too little free memory: ask for less with '--memory'"},
    {"Permission denied", "check the owner and mode of that file and of the folders above it"},
};

/*
 * The line that says most, cut out of `text`. Libvirt quotes what QEMU wrote, whose last line says
 * why it ended, behind the time; but of an XML error the first line, before the place is drawn.
 */
static const char *best_line(char *text, int code)
{
    size_t len = strlen(text);
    const char *line = text, *qemu;

    while (len > 0 && isspace((unsigned char)text[len - 1]))
        text[--len] = '\0';
    if (code == VIR_ERR_XML_ERROR || code == VIR_ERR_XML_DETAIL)
        text[strcspn(text, "\n")] = '\0';
    else if (strrchr(text, '\n'))
        line = strrchr(text, '\n') + 1;
    qemu = strstr(line, "Z qemu-system-");
    return qemu ? qemu + 2 : line;
}

int hv_error_set(struct err *e, const char *doing)
{
    const virError *last = virGetLastError();
    own_free char *text = str_dup(last && last->message ? last->message : "unknown error");
    const char *way_out = NULL;
    char line[700];
    const char *why;

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]) && !way_out; i++)
        if (strstr(text, known[i].part))
            way_out = known[i].way_out;
    why = best_line(text, last ? last->code : 0);
    str_escape(line, sizeof(line), why, strlen(why));
    virResetLastError();
    if (way_out)
        return err_set(e, ERR_HOST, "%s: %s (%s)", doing, line, way_out);
    return err_set(e, ERR_HOST, "%s: %s", doing, line);
}
