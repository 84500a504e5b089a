/*
 * wrap: what is around QEMU's process, and where in a cage the files are that it may have.
 *
 * lazaret-qemu is libvirt's <emulator>. It learns nothing from its arguments: the places below are
 * the same in every cage (run/cage.h), and no other file of this host is there for QEMU.
 */
#ifndef LZ_WRAP_WRAP_H
#define LZ_WRAP_WRAP_H

#include <stdbool.h>
#include <stddef.h>

#define WRAP_QEMU "/usr/bin/qemu-system-x86_64"

/* Inside a cage: a tmpfs, 0755. Short, because libvirt's root must be. */
#define CAGE_DIR      "/run/lz"
#define CAGE_ROOT     CAGE_DIR "/root"     /* libvirt's root */
#define CAGE_VM       CAGE_DIR "/vm"       /* what QEMU may see: bound disks, kernel, sockets */
#define CAGE_IN       CAGE_DIR "/in"       /* input folders, bound read-only */
#define CAGE_TEMPLATE CAGE_DIR "/template" /* a guest's memory while it is saved */
#define CAGE_EMULATOR                                                                              \
    CAGE_DIR "/lazaret-qemu" /* bound: QEMU's user could not reach it elsewhere                    \
                              */

/* In CAGE_VM, the files that QEMU writes; all others there are bound read-only, or sockets. */
#define CAGE_SCRATCH "scratch.raw"
#define CAGE_DISK    "scratch.qcow2"
#define CAGE_BLANK   "blank-scratch"
/* In CAGE_TEMPLATE. */
#define CAGE_RAM "ram"

/* What compiles the AppArmor profile of a job's container. */
#define WRAP_ARMOR_PARSER "/usr/sbin/apparmor_parser"

/* A layer around QEMU, or around a job in the guest, and what this host makes of it. */
struct wrap_layer {
    const char *name; /* stable: "user", "landlock", ... */
    bool holds;
    char text[200]; /* one line: what it is, or why it is not there and what that means */
};
#define WRAP_LAYERS 8

/*
 * Which layers will be around the QEMU and the jobs of a run over `uri` (NULL: the embedded driver)
 * that we start. Looks at this kernel and at who we are; starts nothing.
 */
void wrap_look(const char *uri, struct wrap_layer ret[WRAP_LAYERS]);

#endif
