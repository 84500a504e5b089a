/*
 * fds: one message with the file descriptors that go with it, over a Unix socket (SCM_RIGHTS,
 * unix(7)). It does not cross the boundary: both sides have processes of their own that hand
 * descriptors on, by records on SOCK_SEQPACKET sockets.
 */
#ifndef LZ_SHARED_FDS_H
#define LZ_SHARED_FDS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* More than any record may have, so that what is illegal is seen, and closed. */
#define FDS_ROOM 72

struct fds {
    size_t n;
    bool cut; /* the message was longer, or more came than there was room or a number for */
    int fd[FDS_ROOM];
};

/* As send(2) with `flags` and MSG_NOSIGNAL, and not interrupted. The fds stay the caller's. */
ssize_t fds_send(int sock, const void *data, size_t len, const int *fds, size_t n_fds, int flags);

/* As recv(2) with `flags`, and not interrupted. What came with it is close-on-exec, and the
 * caller's to close whatever the record is; with an error (-1) there is none. */
ssize_t fds_receive(int sock, void *data, size_t len, struct fds *ret, int flags);

/* The fd where just `n` came, as an array; else NULL, and they are closed. */
const int *fds_just(struct fds *f, size_t n);

/* The fd where just one came; else -1, and they are closed. */
int fds_one(struct fds *f);

void fds_close(struct fds *f);

#endif
