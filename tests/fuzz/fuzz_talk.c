/* fuzz_talk: a request of a client and its command: what is taken is legal, and no fd is lost. */
#include "base/file.h"
#include "base/own.h"
#include "run/talk.h"
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

static void send_request(int fd, const void *data, size_t len, size_t n_fds)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
    union {
        struct cmsghdr h;
        char space[CMSG_SPACE(64 * sizeof(int))];
    } control = {.h = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    int fds[64];

    for (size_t i = 0; i < n_fds; i++)
        fds[i] = fd;
    if (n_fds > 0) {
        control.h.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(&control.h), fds, n_fds * sizeof(int));
        m.msg_control = control.space;
        m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
    }
    MUST(sendmsg(fd, &m, MSG_NOSIGNAL) == (ssize_t)len);
}

static void unpack(const struct talk_request *r, const uint8_t *data, size_t len)
{
    own_close int fd = memfd_create("command", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    own_command struct talk_command c = {0};
    struct err e;

    MUST(fd >= 0 && file_write_all(fd, data, len) == 0);
    MUST(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
    if (talk_unpack(fd, r, &c, &e) < 0) {
        MUST(e.class == ERR_USAGE && e.text[0]);
        return;
    }
    MUST(c.argv.n == r->n_args && c.env.n == r->n_env && c.secrets.n == r->n_secrets &&
         c.secret_env.n == r->n_secret_env && c.workdir && c.user);
}

/* Is it the first request (bit 0 clear)? How many fds come (bits 1 to 6)? Then the request's bytes
 * as far as there are any, zeros behind them; what is left is the command. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct talk_request sent = {0}, got;
    int pair[2], fds[TALK_FDS_MAX];
    size_t n_fds = 0, n;
    bool cut;

    if (len == 0)
        return 0;
    n = len - 1 < sizeof(sent) ? len - 1 : sizeof(sent);
    cut = data[0] & 128;
    memcpy(&sent, data + 1, n);
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    send_request(pair[0], &sent, sizeof(sent) - cut, data[0] >> 1 & 63);
    if (talk_take_request(pair[1], data[0] & 1, &got, fds, &n_fds) == 1) {
        MUST(!cut && got.what == sent.what && got.n_args == sent.n_args);
        MUST(n_fds == (data[0] >> 1 & 63u) && n_fds <= TALK_FDS_MAX);
        MUST(got.what > 0 && got.what < TALK_WHAT_END && !(got.flags & ~TALK_FLAGS));
        MUST(strnlen(got.name, sizeof(got.name)) < sizeof(got.name));
        for (size_t i = 0; i < n_fds; i++)
            MUST(close(fds[i]) == 0);
        if (got.what == TALK_EXEC)
            unpack(&got, data + 1 + n, len - 1 - n);
    }
    close(pair[0]);
    MUST(close(pair[1]) == 0 && fcntl(pair[1], F_GETFD) < 0);
    return 0;
}
