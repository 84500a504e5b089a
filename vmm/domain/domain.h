/*
 * domain: plan and files -> libvirt domain XML. Pure; the only user of libxml2.
 *
 * The XML is the attack surface of the virtual machine: a fixed short list of devices. Its shape is
 * kept by the golden files under tests/golden, by domain_devices() and by domain_compare().
 */
#ifndef LZ_DOMAIN_DOMAIN_H
#define LZ_DOMAIN_DOMAIN_H

#include "plan/plan.h"

/* Names the file that `preload` opens read-only (hv/preload.c reads it in QEMU's environment). */
#define DOMAIN_READONLY_ENV "LAZARET_READONLY"

/* How the guest begins, and with that what its memory is. */
enum domain_start {
    DOMAIN_BOOT,     /* by its kernel; memory of its own */
    DOMAIN_TEMPLATE, /* by its kernel; what it has in memory is in the file `ram` */
    DOMAIN_RESTORE, /* waits for a saved state; reads `ram`, and keeps what it changes for itself */
    DOMAIN_INCOMING, /* waits for a saved state with the memory in it */
    DOMAIN_TRANSFER, /* the same, and what it has in memory is in the file `ram` */
};

/* How the guest reads the root, and no other way: see GUEST_ARG_VERITY. Borrowed. */
struct domain_verity {
    const char *root_hash, *salt; /* SHA-256, 64 lower-case hexadecimal digits */
    uint64_t data_blocks;
    uint64_t hash_start;
};

/* Absolute paths as the QEMU process will see them; borrowed. */
struct domain_files {
    enum domain_start start;
    const char *name;  /* domain name */
    const char *uuid;  /* RFC 4122 text form */
    const char *genid; /* the same; another at each start, which tells q35's guest of it */
    const char *emulator;
    const char
        *kernel; /* kernel and initramfs: unused by a guest that waits, they are in its memory */
    const char *initrd;
    const char *root; /* squashfs and hash tree, read-only */
    struct domain_verity verity;
    const char *scratch; /* writable */
    bool marks;          /* `scratch` is qcow2, which keeps what it held at a mark; else raw */
    const char *base;    /* raw: below a `scratch` with marks, or NULL: nothing is */
    const char *input;   /* squashfs, read-only; NULL: no such disk */
    const char *channel; /* unix socket, made by libvirt (mode='bind') */
    const char *console; /* unix socket, made by libvirt (mode='bind') */
    const char *net;     /* the same, of the port of egress; NULL: there is none */
    const char *cmdline; /* from the image; the plan's own arguments are added to it */
    const char *ram;     /* DOMAIN_TEMPLATE, DOMAIN_RESTORE and DOMAIN_TRANSFER */
    const char *preload; /* DOMAIN_RESTORE: library that makes QEMU open `ram` read-only */
};

/* Returns new: the XML text. ERR_USAGE for text that XML cannot carry; ERR_IMAGE for kernel
 * arguments that are not for an image to say. */
int domain_format(const struct plan *p, const struct domain_files *f, char **ret_xml,
                  struct err *e);

/* Returns new, NULL-terminated: "disk:lz-root", "channel:lazaret.0", ... sorted; for tests and
 * check. */
int domain_devices(const char *xml, struct strv *ret, struct err *e);

/* Every element and attribute of a live domain, not only its devices (shape.c). */
struct domain_shape {
    size_t of_plan, of_libvirt; /* elements, attributes and texts of either */
    char wrong[256];            /* the first that is neither, or is missing; or "" */
};
int domain_compare(const char *live, const char *xml, struct domain_shape *ret, struct err *e);

#endif
