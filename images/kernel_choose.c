/* kernel_choose: which kernel an image gets. */
#include "images/kernel.h"

#include "base/own.h"
#include "images/kernel_config.h"
#include "images/kernel_record.h"
#include "images/kernel_source.h"

#include <string.h>

static int take_own(const struct store *s, const char *flavour, struct kernel *ret, struct err *e)
{
    own_kernel_record struct kernel_record r = {0};
    own_kernel struct kernel k = {0};

    if (kernel_record_open(s, flavour, &r, e) < 0 ||
        kernel_record_read(s, &r, &k.bzimage, &k.bzimage_len, e) < 0)
        return err_wrap(e, "rebuild it with 'lazaret image kernel build --flavour %s'", flavour);
    k.flavour = own_steal_ptr(r.flavour);
    k.cmdline = own_steal_ptr(r.cmdline);
    k.package.name = str_dup(KERNEL_SOURCE_PACKAGE);
    k.package.version = own_steal_ptr(r.release);
    k.package.arch = str_dup("all");
    *ret = k;
    k = (struct kernel){0};
    return 0;
}

bool kernel_is_choice(const char *which)
{
    return strcmp(which, KERNEL_AUTO) == 0 || strcmp(which, KERNEL_DEBIAN) == 0 ||
           kernel_is_flavour(which);
}

int kernel_choose(const struct apt *a, const struct store *s, const char *which, struct kernel *ret,
                  struct err *e)
{
    if (!kernel_is_choice(which))
        return err_set(e, ERR_USAGE, "there is no kernel '%s' (auto, debian, airgap or net)",
                       which);
    if (strcmp(which, KERNEL_AUTO) == 0)
        which = store_has_name(s, STORE_KERNELS, kernel_flavours[0]) ? kernel_flavours[0]
                                                                     : KERNEL_DEBIAN;
    return strcmp(which, KERNEL_DEBIAN) == 0 ? kernel_fetch(a, ret, e) : take_own(s, which, ret, e);
}
