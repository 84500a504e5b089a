/* control: what launcher and keeper say to each other. */
#include "run/control.h"

#include <errno.h>
#include <sys/socket.h>

int control_send(int fd, const struct control *m)
{
    ssize_t n;

    do
        n = send(fd, m, sizeof(*m), MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n == sizeof(*m) ? 0 : -1;
}

void control_hint(int fd, const struct control *m)
{
    (void)send(fd, m, sizeof(*m), MSG_NOSIGNAL | MSG_DONTWAIT);
}

int control_receive(int fd, struct control *ret)
{
    ssize_t n;

    do
        n = recv(fd, ret, sizeof(*ret), MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return 0;
    return n == sizeof(*ret) ? 1 : -1;
}
