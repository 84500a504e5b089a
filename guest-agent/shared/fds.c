/* fds: one message with the file descriptors that go with it. See fds.h. */
#include "shared/fds.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
    struct cmsghdr head;
    char space[CMSG_SPACE(FDS_ROOM * sizeof(int))];
};

ssize_t fds_send(int sock, const void *data, size_t len, const int *fds, size_t n_fds, int flags)
{
    union control control = {.head = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n;

    if (n_fds > FDS_ROOM) {
        errno = EINVAL;
        return -1;
    }
    if (n_fds > 0) {
        control.head.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(&control.head), fds, n_fds * sizeof(int));
        m.msg_control = control.space;
        m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
    }
    do
        n = sendmsg(sock, &m, flags | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n;
}

ssize_t fds_receive(int sock, void *data, size_t len, struct fds *ret, int flags)
{
    union control control;
    struct iovec iov = {.iov_base = data, .iov_len = len};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.space,
                       .msg_controllen = sizeof(control.space)};
    ssize_t n;

    *ret = (struct fds){0};
    do
        n = recvmsg(sock, &m, flags | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return n;
    ret->cut = m.msg_flags & (MSG_TRUNC | MSG_CTRUNC);
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
        size_t more;

        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
            continue;
        more = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(ret->fd + ret->n, CMSG_DATA(h), more * sizeof(int));
        ret->n += more;
    }
    return n;
}

const int *fds_just(struct fds *f, size_t n)
{
    if (f->n == n && !f->cut)
        return f->fd;
    fds_close(f);
    return NULL;
}

int fds_one(struct fds *f)
{
    const int *fd = fds_just(f, 1);

    return fd ? *fd : -1;
}

void fds_close(struct fds *f)
{
    for (size_t i = 0; i < f->n; i++)
        close(f->fd[i]);
    f->n = 0;
}
