/* output_file: a file of the user's, whole or not at all. See output_file.h. */
#include "cli/output_file.h"

#include "base/file.h"
#include "base/own.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int output_file(const char *path, const char *text, size_t len, mode_t mode, struct err *e)
{
    own_free char *part = str_printf("%s.part-%d", path, (int)getpid());
    own_close int fd = -1;
    struct stat st;

    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        return fd < 0 || file_write_all(fd, text, len) < 0
                   ? err_sys(e, ERR_USAGE, errno, "cannot write '%s'", path)
                   : 0;
    }
    fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return err_sys(e, ERR_USAGE, errno, "cannot write '%s'", path);
    if (fchmod(fd, mode) < 0 || file_write_all(fd, text, len) < 0 || fsync(fd) < 0 ||
        rename(part, path) < 0) {
        err_sys(e, ERR_HOST, errno, "cannot write '%s'", path);
        (void)unlink(part);
        return -1;
    }
    return 0;
}
