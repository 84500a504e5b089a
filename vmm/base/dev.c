/* dev: a /dev of our own. See dev.h. */
#include "base/dev.h"

#include "base/own.h"
#include "base/str.h"

#include <errno.h>
#include <sys/mount.h>
#include <sys/stat.h>

int dev_without_kvm(struct err *e)
{
    static const char *const names[] = {"null", "zero", "full", "random", "urandom", "tty", "ptmx"};
    enum { N = sizeof(names) / sizeof(names[0]) };
    dev_t devices[N];

    for (int i = 0; i < N; i++) {
        own_free char *path = str_printf("/dev/%s", names[i]);
        struct stat st;

        if (stat(path, &st) < 0)
            return err_sys(e, ERR_HOST, errno, "cannot look at '%s'", path);
        devices[i] = st.st_rdev;
    }
    umount2("/dev", MNT_DETACH); /* fails where it is a folder like others */
    if (mount("tmpfs", "/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=64k") < 0)
        return err_sys(e, ERR_HOST, errno, "cannot mount a /dev in a namespace of our own");
    for (int i = 0; i < N; i++) {
        own_free char *path = str_printf("/dev/%s", names[i]);

        if (mknod(path, S_IFCHR | 0666, devices[i]) < 0 || chmod(path, 0666) < 0)
            return err_sys(e, ERR_HOST, errno, "cannot make '%s' in a namespace of our own", path);
    }
    if (mkdir("/dev/pts", 0755) < 0 || mkdir("/dev/shm", 01777) < 0 ||
        mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "ptmxmode=0666") < 0)
        return err_sys(e, ERR_HOST, errno, "cannot make folders in a /dev of our own");
    return 0;
}
