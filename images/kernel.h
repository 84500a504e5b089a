/*
 * kernel: the kernel that an image boots: Debian's cloud kernel with the modules that bring-up
 * needs, from its package, or one of our own from the store, which needs none.
 *
 * Debian's package is unpacked in memory, never installed. The bzImage is taken as it is: it keeps
 * text KASLR, which a PVH start of vmlinux has not.
 */
#ifndef LZ_IMAGES_KERNEL_H
#define LZ_IMAGES_KERNEL_H

#include "images/apt.h"
#include "images/fileset.h"
#include "images/store.h"

#define KERNEL_AUTO   "auto"   /* our own where it is built, else Debian's */
#define KERNEL_DEBIAN "debian" /* the flavour of Debian's cloud kernel */

/*
 * The time stamp counter is the hypervisor's, and to be trusted. Measured against timer ticks, some
 * of which a guest on a busy host never sees, it would be given up for them: under software
 * emulation the guest's clock then ran at half its speed.
 */
#define KERNEL_CLOCK "tsc=reliable"
/*
 * What Debian's kernel wants on its command line: its messages on the serial port, a panic ends the
 * machine, KERNEL_CLOCK, no self-tests of ciphers (0.4 s under software emulation), modules only
 * with Debian's signature. No mitigation is switched off.
 */
#define KERNEL_CMDLINE                                                                             \
    "console=ttyS0 quiet panic=-1 " KERNEL_CLOCK                                                   \
    " cryptomgr.notests=1 random.trust_cpu=on module.sig_enforce=1"

struct kernel {
    char *flavour;              /* KERNEL_DEBIAN, or one of kernel_flavours (kernel_config.h) */
    char *cmdline;              /* the arguments that it wants */
    struct apt_package package; /* whose version is the kernel's release */
    char *bzimage;
    size_t bzimage_len;
    struct fileset modules; /* modules/NN-name.ko, in load order; ours has none */
};
void kernel_done(struct kernel *k);
#define own_kernel __attribute__((cleanup(kernel_done)))

/* True for KERNEL_AUTO, KERNEL_DEBIAN and each flavour. */
bool kernel_is_choice(const char *which);
/*
 * The kernel for an image: `which` is a kernel_is_choice(), else ERR_USAGE. A damaged one of our
 * own is ERR_IMAGE also with KERNEL_AUTO: nobody gets another kernel unasked.
 */
int kernel_choose(const struct apt *a, const struct store *s, const char *which, struct kernel *ret,
                  struct err *e);

/* Debian's: newest 6.12 cloud kernel of the suite, else the suite's own. Downloads when it
 * must. */
int kernel_fetch(const struct apt *a, struct kernel *ret, struct err *e);

/*
 * Orders the modules `wanted` (NULL-terminated) and all that they depend on, unpacked, into `ret`.
 * `all` has lib/modules/VERSION/...ko.xz and modules.builtin; a built-in module needs nothing.
 */
int kernel_order_modules(const struct fileset *all, const char *const *wanted, struct fileset *ret,
                         struct err *e);

#endif
