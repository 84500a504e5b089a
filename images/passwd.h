/* passwd: the ids of a user of an image, by the image's own /etc/passwd and /etc/group. UNTRUSTED.
 */
#ifndef LZ_IMAGES_PASSWD_H
#define LZ_IMAGES_PASSWD_H

#include "base/err.h"
#include "images/rootfs.h"

#define PASSWD_FILE_MAX (1u << 20) /* bytes of either file */

/*
 * `spec` is docker's USER: "USER", "USER:GROUP", each a name or a number; "" is root. Found as
 * docker does it: the first line with that name or number; a number that is in no line stands for
 * itself, and then its group is 0. ERR_IMAGE for a name that is not there and an id that the guest
 * has not.
 */
int passwd_resolve(const struct rootfs *r, const char *spec, uid_t *ret_uid, gid_t *ret_gid,
                   struct err *e);

#endif
