/* file: whole files and folders, by directory fd. */
#include "base/file.h"

#include "base/clock.h"
#include "base/own.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

int file_open_dir(const char *path, int *ret_fd, struct err *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open folder '%s'", path);
    *ret_fd = fd;
    return 0;
}

int file_open_real(int dirfd, const char *path, int flags)
{
    const struct open_how how = {.flags = (uint64_t)flags | O_CLOEXEC,
                                 .resolve = RESOLVE_NO_SYMLINKS};

    return (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
}

int file_make_dirs(const char *path, mode_t mode, struct err *e)
{
    own_free char *copy = str_dup(path);

    for (char *p = copy + 1;; p++) {
        char end = *p;

        if (end != '/' && end != '\0')
            continue;
        *p = '\0';
        if (mkdir(copy, mode) < 0 && errno != EEXIST)
            return err_sys(e, ERR_HOST, errno, "cannot make folder '%s'", copy);
        if (end == '\0')
            return 0;
        *p = end;
    }
}

/* All of an open regular file. */
static int read_whole(int fd, const struct stat *st, const char *name, size_t max, char **ret_data,
                      size_t *ret_len, struct err *e)
{
    own_free char *data = NULL;
    size_t len = 0;

    if (!S_ISREG(st->st_mode))
        return err_set(e, ERR_HOST, "'%s' is not a regular file", name);
    if (st->st_size < 0 || (uint64_t)st->st_size > max)
        return err_set(e, ERR_HOST, "'%s' is over %zu bytes", name, max);
    data = malloc((size_t)st->st_size + 1);
    if (!data)
        return err_set(e, ERR_HOST, "out of memory");
    while (len < (size_t)st->st_size) {
        ssize_t n = read(fd, data + len, (size_t)st->st_size - len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, ERR_HOST, errno, "cannot read '%s'", name);
        if (n == 0)
            break;
        len += (size_t)n;
    }
    data[len] = '\0';
    *ret_data = own_steal_ptr(data);
    if (ret_len)
        *ret_len = len;
    return 0;
}

int file_read(int dirfd, const char *name, size_t max, char **ret_data, size_t *ret_len,
              struct err *e)
{
    own_close int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open '%s'", name);
    return read_whole(fd, &st, name, max, ret_data, ret_len, e);
}

int file_read_ours(int dirfd, const char *name, size_t max, mode_t forbidden, char **ret_data,
                   size_t *ret_len, struct err *e)
{
    own_close int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open '%s'", name);
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return err_set(e, ERR_HOST, "'%s' belongs to uid %u, neither to us nor to root", name,
                       st.st_uid);
    if (st.st_mode & forbidden)
        return err_set(e, ERR_HOST, "'%s' has mode %03o, which is too open (chmod %03o)", name,
                       st.st_mode & 07777, st.st_mode & 07777 & ~forbidden);
    return read_whole(fd, &st, name, max, ret_data, ret_len, e);
}

int file_open_unnamed(const char *dir, int *ret_fd, struct err *e)
{
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot make a temporary file in '%s'", dir);
    *ret_fd = fd;
    return 0;
}

int file_write_all(int fd, const void *data, size_t len)
{
    const char *p = data;

    while (len > 0) {
        ssize_t n = write(fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

static int write_whole(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
                       bool durable, struct err *e)
{
    own_free char *temp = NULL;
    own_close int fd = -1;
    uint32_t tag;

    if (getrandom(&tag, sizeof(tag), 0) != sizeof(tag))
        return err_sys(e, ERR_HOST, errno, "getrandom");
    temp = str_printf("%s.%08x.tmp", name, tag);
    fd = openat(dirfd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot write '%s'", name);
    if (file_write_all(fd, data, len) < 0 || (durable && fsync(fd) < 0) ||
        renameat(dirfd, temp, dirfd, name) < 0) {
        int errnum = errno;

        unlinkat(dirfd, temp, 0);
        return err_sys(e, ERR_HOST, errnum, "cannot write '%s'", name);
    }
    return 0;
}

int file_write(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
               struct err *e)
{
    const char *slash = strrchr(name, '/');
    own_free char *parent =
        slash ? str_printf("%.*s", (int)(slash - name + 1), name) : str_dup(".");
    own_close int folder = -1;

    if (write_whole(dirfd, name, data, len, mode, true, e) < 0)
        return -1;
    folder = openat(dirfd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || fsync(folder) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot sync the folder of '%s'", name);
    return 0;
}

int file_write_brief(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
                     struct err *e)
{
    return write_whole(dirfd, name, data, len, mode, false, e);
}

/* What file systems may share is not copied; between two of them it is. */
static ssize_t copy_some(int from, off_t *at, int to, off_t end)
{
    off_t out = *at;
    ssize_t n = copy_file_range(from, at, to, &out, (size_t)(end - *at), 0);

    if (n >= 0 || errno != EXDEV)
        return n;
    return lseek(to, *at, SEEK_SET) < 0 ? -1 : sendfile(to, from, at, (size_t)(end - *at));
}

int file_copy_sparse(int from, int to)
{
    off_t at = 0, size = lseek(from, 0, SEEK_END);

    if (size < 0 || ftruncate(to, size) < 0)
        return -1;
    while ((at = lseek(from, at, SEEK_DATA)) >= 0) {
        const off_t end = lseek(from, at, SEEK_HOLE);

        while (at < end) {
            ssize_t n = copy_some(from, &at, to, end);

            if (n < 0 && errno == EINTR)
                continue;
            if (n == 0) /* it became shorter */
                errno = EIO;
            if (n <= 0)
                return -1;
        }
    }
    return errno == ENXIO ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)where;
    return (type == FTW_DP ? rmdir(path) : unlink(path)) < 0 && errno != ENOENT ? -1 : 0;
}

int file_remove_tree(int dirfd, const char *name, struct err *e)
{
    own_free char *path = dirfd == AT_FDCWD || name[0] == '/'
                              ? str_dup(name)
                              : str_printf("/proc/self/fd/%d/%s", dirfd, name);

    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) < 0 && errno != ENOENT)
        return err_sys(e, ERR_HOST, errno, "cannot remove '%s'", name);
    return 0;
}

int file_dir_is_empty(int dirfd, bool *ret_empty, struct err *e)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    own_closedir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *d;
    bool empty = true;

    if (!dir) {
        if (fd >= 0)
            close(fd);
        return err_sys(e, ERR_HOST, errno, "cannot list the folder");
    }
    errno = 0;
    while (empty && (d = readdir(dir)))
        empty = strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0;
    if (errno)
        return err_sys(e, ERR_HOST, errno, "cannot list the folder");
    *ret_empty = empty;
    return 0;
}

int file_try_lock(int fd, bool shared, bool *ret_taken, struct err *e)
{
    bool taken = flock(fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0;

    if (!taken && errno != EWOULDBLOCK)
        return err_sys(e, ERR_HOST, errno, "cannot lock");
    *ret_taken = taken;
    return 0;
}

int file_wait_lock(int fd, bool shared, uint64_t wait_ms, bool *ret_taken, struct err *e)
{
    uint64_t until = clock_mono_ms() + wait_ms;
    bool taken;

    for (;;) {
        if (file_try_lock(fd, shared, &taken, e) < 0)
            return -1;
        if (taken || clock_mono_ms() >= until)
            break;
        poll(NULL, 0, 5);
    }
    *ret_taken = taken;
    return 0;
}

int file_set_cloexec(int fd, bool on)
{
    return fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0);
}

bool file_is_full(int fd, uint64_t min_bytes)
{
    struct statvfs v;

    return fstatvfs(fd, &v) == 0 && (uint64_t)v.f_bavail * v.f_frsize < min_bytes;
}

ssize_t file_refill(int fd, uint64_t *offset, uint8_t *buf, size_t size, size_t *start, size_t *end)
{
    ssize_t n;

    memmove(buf, buf + *start, *end - *start);
    *end -= *start;
    *start = 0;
    do
        n = pread(fd, buf + *end, size - *end, (off_t)*offset);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        *end += (size_t)n;
        *offset += (uint64_t)n;
    }
    return n;
}

ssize_t file_read_up_to(int fd, void *buf, size_t size)
{
    size_t len = 0;

    while (len < size) {
        ssize_t n = read(fd, (char *)buf + len, size - len);

        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            return -1;
        len += n > 0 ? (size_t)n : 0;
    }
    return (ssize_t)len;
}

void file_close_others(const int *keep, size_t n)
{
    for (unsigned from = STDERR_FILENO + 1; from < INT32_MAX;) {
        unsigned next = INT32_MAX;

        for (size_t i = 0; i < n; i++)
            if (keep[i] >= (int)from && (unsigned)keep[i] < next)
                next = (unsigned)keep[i];
        if (next > from)
            close_range(from, next - 1, 0);
        from = next + 1;
    }
}
