/* twin_lies: how a twin sends a record that lies, over a socket. */
#ifndef LZ_TESTS_HOSTILE_TWIN_LIES_H
#define LZ_TESTS_HOSTILE_TWIN_LIES_H

#include "tests/hostile/twin.h"

#include <string.h>
#include <sys/socket.h>

#define TWIN_RECORD_MAX 4096u

/* An fd comes along: whoever takes it has one more. */
static inline void twin_send_with_fd(int to, const void *data, size_t len)
{
    struct iovec iov = {(void *)(uintptr_t)data, len};
    union {
        struct cmsghdr h;
        char space[CMSG_SPACE(sizeof(int))];
    } c = {.h = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};
    int fd = STDERR_FILENO;

    memcpy(CMSG_DATA(&c.h), &fd, sizeof(fd));
    twin_must((int)sendmsg(to, &m, MSG_NOSIGNAL));
}

static inline void twin_send_lie(int to, uint32_t what, const void *record, size_t len)
{
    static char larger[TWIN_RECORD_MAX];

    memcpy(larger, record, len);
    if (what == LIE_SHORT)
        len--;
    if (what == LIE_LONG)
        len++;
    if (what == LIE_FDS)
        twin_send_with_fd(to, record, len);
    for (;;) {
        twin_must((int)send(to, larger, len, MSG_NOSIGNAL));
        if (what != LIE_FLOOD && what != LIE_FLOOD_OF_FILES)
            return;
    }
}

#endif
