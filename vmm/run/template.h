/*
 * template: a guest that is booted once to be saved, and never becomes anybody's.
 *
 * How it works
 *   It boots with blank disks in the places of a run's, is greeted with `park`, answers PARKED, and
 * is saved while it waits for the next greeting. Then it is destroyed: its memory file does not
 * change any more. It has a relay of its own, for its bytes are a guest's, although no job was in
 * it.
 */
#ifndef LZ_RUN_TEMPLATE_H
#define LZ_RUN_TEMPLATE_H

#include "base/err.h"
#include "hv/hv.h"

struct template
{
    struct hv *hv;          /* without a domain */
    const char *xml;        /* DOMAIN_TEMPLATE */
    const char *relay_path; /* of the program lazaret-relay */
    const char *channel;    /* the sockets in the XML */
    const char *console;
    const char *net; /* the same, of the port of egress, which nobody reads; or NULL */
    int console_log_fd;
    uint64_t console_max_bytes;
    uint64_t boot_ms; /* how long PARKED may take */
};

/* Writes the devices' state to state_fd (HV_RAM_APART). Leaves no domain, whatever happens. */
int template_save(const struct template *t, int state_fd, struct err *e);

/* Connects to a unix socket of QEMU's. */
int template_connect(const char *path, int *ret_fd, struct err *e);

/* Waits, not for long, until libvirt has seen the end of the last domain: what it says about that
 * must not be taken for the next one's. */
void template_wait_gone(struct hv *hv);

#endif
