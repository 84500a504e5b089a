/*
 * boot: from the kernel's first process to a guest that can run containers.
 *
 * How it works
 *   A table of steps, in order; the first that fails ends bring-up with a sentence for the host.
 *   The initramfs holds this program as /init, the OCI runtime with its libraries, and the modules
 *   that bring-up needs. It is bound over itself and moved onto / first, because crun's pivot_root
 *   refuses to work on the kernel's own rootfs.
 *   What is of one run only, its disks and its identity, comes with HELLO (disks.h, seed.h): until
 *   then the guest could become any run's.
 */
#ifndef LZ_AGENT_BOOT_H
#define LZ_AGENT_BOOT_H

#include "shared/wire.h"

struct boot_fault {
    char text[WIRE_TEXT_MAX + 1]; /* what failed, for people */
};

/* Fills the fault from a format and errno. Returns -1. */
int boot_fail(struct boot_fault *f, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* 0, or -1 and the fault. */
int boot_guest(struct boot_fault *f);

/* Opens the virtio-serial port WIRE_PORT_NAME, waiting for it a while: an fd, or -errno. */
int boot_open_port(void);

/* Opens the virtio-serial port of that name, without waiting: an fd, -ENODEV, -EAGAIN (not there,
 * but one whose name is not known yet is), or -errno. */
int boot_find_port(const char *wanted);

/* Writes all of `text` to a file of the kernel's. -1: errno says why not. */
int boot_write(const char *path, const char *text);

/* Milliseconds of CLOCK_MONOTONIC; and a short sleep between two looks at something. */
uint64_t boot_now_ms(void);
void boot_nap(void);

#endif
