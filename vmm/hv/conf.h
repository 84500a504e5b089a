/* conf: what libvirt's QEMU driver is told, as the text of its qemu.conf. Pure. */
#ifndef LZ_HV_CONF_H
#define LZ_HV_CONF_H

#include <stdbool.h>
#include <sys/types.h>

struct hv_conf {
    bool as_root; /* the driver is; else user and namespaces cannot be another's */
    uid_t uid;    /* QEMU's, as root */
    gid_t gid;
    bool core_to_nobody; /* the limit of core files may be raised to 1 */
};

/* Returns new. */
char *hv_conf_text(const struct hv_conf *c);

#endif
