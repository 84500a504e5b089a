/* wrap_private: the steps of lazaret-qemu. */
#ifndef LZ_WRAP_WRAP_PRIVATE_H
#define LZ_WRAP_WRAP_PRIVATE_H

#include "base/err.h"

enum wrap_kind {
    WRAP_GUEST, /* QEMU of a guest */
    WRAP_ASKED, /* QEMU that libvirt asks what it can do: it daemonizes itself */
};

/* Landlock: the files of the cage and QEMU's own, and no others. Fine where the kernel has none. */
int wrap_files(enum wrap_kind kind, struct err *e);
/* The system calls that QEMU has no business with fail with EPERM from here on. */
int wrap_calls(enum wrap_kind kind, struct err *e);

#endif
