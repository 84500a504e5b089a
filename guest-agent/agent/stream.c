/* stream: the bytes of one job: its pipes or its terminal, against the host's credit. See exec.h.
 */
#include "agent/stream.h"

#include "shared/fds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#define STREAM_CREDIT_MIN (WIRE_WINDOW / 4) /* bytes of input that are given back at once */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void stream_init(struct exec *x)
{
    x->in.fd = x->out[0].fd = x->out[1].fd = -1;
    x->in.open = x->in.lost = false;
    x->in.at = x->in.length = x->in.spent = 0;
    x->out[0].credit = wire_window(WIRE_STDOUT);
    x->out[1].credit = wire_window(WIRE_STDERR);
}

void stream_done(struct exec *x)
{
    close_fd(&x->in.fd);
    close_fd(&x->out[0].fd);
    close_fd(&x->out[1].fd);
}

/* A pipe whose end `ours` (0: the reading one) does not block. */
static int make_pipe(int ours, int *ret_ours, int *ret_theirs)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return -1;
    *ret_ours = fds[ours];
    *ret_theirs = fds[1 - ours];
    return fcntl(*ret_ours, F_SETFL, O_NONBLOCK);
}

static int listen_console(struct exec *x)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    if (snprintf(a.sun_path, sizeof(a.sun_path), "%s/" CONTAINER_CONSOLE, x->bundle) >=
        (int)sizeof(a.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    x->console = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return x->console < 0 || bind(x->console, (const struct sockaddr *)&a, sizeof(a)) < 0
               ? -1
               : listen(x->console, 1);
}

static int open_null(int *ret_fd)
{
    *ret_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    return *ret_fd < 0 ? -1 : 0;
}

int stream_open(struct exec *x)
{
    x->in.open = x->ask.flags & WIRE_EXEC_STDIN;
    if (x->ask.flags & WIRE_EXEC_TTY) {
        for (int i = 0; i < 3; i++)
            if (open_null(&x->stdio[i]) < 0)
                return -1;
        return listen_console(x);
    }
    if (x->in.open ? make_pipe(1, &x->in.fd, &x->stdio[0]) < 0 : open_null(&x->stdio[0]) < 0)
        return -1;
    for (int i = 0; i < 2; i++)
        if (make_pipe(0, &x->out[i].fd, &x->stdio[i + 1]) < 0)
            return -1;
    return 0;
}

int stream_take_console(struct exec *x)
{
    const struct winsize size = {.ws_row = x->ask.rows, .ws_col = x->ask.cols};
    struct fds with;
    char name[256];
    int fd = accept4(x->console, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : fds_receive(fd, name, sizeof(name), &with, 0);

    close_fd(&fd);
    close_fd(&x->console);
    if (n < 0)
        return -1;
    fd = fds_one(&with);
    if (fd < 0) {
        errno = EBADMSG;
        return -1;
    }
    x->out[0].fd = fd;
    x->in.fd = x->in.open ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return -1;
    return ioctl(fd, TIOCSWINSZ, &size);
}

int exec_input(struct exec *x, const uint8_t *p, size_t len)
{
    struct exec_input *in = &x->in;
    size_t end = (in->at + in->length) % WIRE_WINDOW, first = WIRE_WINDOW - end;

    if (!in->open || len > WIRE_WINDOW - in->length - in->spent)
        return -EPROTO;
    /* A job that has closed its stdin: the bytes go nowhere, but the host gets its credit. */
    if (in->fd < 0) {
        in->spent += len;
        return 0;
    }
    first = len < first ? len : first;
    memcpy(in->ring + end, p, first);
    memcpy(in->ring, p + first, len - first);
    in->length += len;
    return 0;
}

/* Once everything has been written, the job sees the end. */
static void end_input(struct exec_input *in, bool tty)
{
    struct termios t;

    if (in->open || in->length > 0 || in->fd < 0 || (tty && in->lost))
        return;
    if (tty && tcgetattr(in->fd, &t) == 0)
        (void)!write(in->fd, &t.c_cc[VEOF], 1);
    close_fd(&in->fd);
}

void exec_input_end(struct exec *x)
{
    x->in.open = false;
    end_input(&x->in, x->ask.flags & WIRE_EXEC_TTY);
}

void stream_keep(struct exec *x)
{
    x->in.lost = true;
    x->out[0].credit = wire_window(WIRE_STDOUT);
    x->out[1].credit = wire_window(WIRE_STDERR);
    exec_input_end(x);
}

int exec_credit(struct exec *x, enum wire_kind kind, uint32_t bytes)
{
    struct exec_output *out = &x->out[kind == WIRE_STDERR];

    if (bytes > wire_window(kind) - out->credit)
        return -EPROTO;
    out->credit += bytes;
    return 0;
}

void exec_close_output(struct exec *x, enum wire_kind kind)
{
    /* A terminal without a reader is hung up. */
    close_fd(&x->out[kind == WIRE_STDERR].fd);
    if (x->ask.flags & WIRE_EXEC_TTY)
        close_fd(&x->in.fd);
}

void exec_resize(struct exec *x, uint16_t rows, uint16_t cols)
{
    const struct winsize size = {.ws_row = rows, .ws_col = cols};

    if ((x->ask.flags & WIRE_EXEC_TTY) && x->out[0].fd >= 0)
        (void)ioctl(x->out[0].fd, TIOCSWINSZ, &size);
}

void stream_first_line(struct exec *x, char *ret_line, size_t size)
{
    ssize_t n = x->out[1].fd < 0 ? -1 : read(x->out[1].fd, ret_line, size - 1);

    ret_line[n > 0 ? n : 0] = '\0';
    ret_line[strcspn(ret_line, "\n")] = '\0';
}

void stream_fill(const struct exec *x, bool room, struct pollfd fds[EXEC_SLOTS])
{
    bool running = x->state == WIRE_IN_RUNNING;

    fds[EXEC_IN] =
        (struct pollfd){.fd = running && x->in.length > 0 ? x->in.fd : -1, .events = POLLOUT};
    for (int i = 0; i < 2; i++) {
        const struct exec_output *out = &x->out[i];

        fds[EXEC_OUT + i] = (struct pollfd){.fd = running && room && out->credit > 0 ? out->fd : -1,
                                            .events = POLLIN};
    }
}

static void pump_input(struct exec *x)
{
    struct exec_input *in = &x->in;
    size_t first = WIRE_WINDOW - in->at;
    ssize_t n = write(in->fd, in->ring + in->at, in->length < first ? in->length : first);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0) {
        close_fd(&in->fd);
        n = (ssize_t)in->length;
    }
    in->at = (in->at + (size_t)n) % WIRE_WINDOW;
    in->length -= (size_t)n;
    in->spent += (size_t)n;
    end_input(in, x->ask.flags & WIRE_EXEC_TTY);
}

/* In large pieces: small ones would make the host send small frames, and those smaller credit. */
static void return_credit(struct exec *x, struct outbox *o)
{
    uint8_t raw[4];

    if (x->in.lost)
        return;
    wire_u32_format(raw, (uint32_t)x->in.spent);
    if (x->in.spent >= STREAM_CREDIT_MIN &&
        outbox_put(o, WIRE_CREDIT, wire_stream(x->number, WIRE_STDIN), raw, sizeof(raw)))
        x->in.spent = 0;
}

static void pump_output(struct exec *x, int i, struct outbox *o)
{
    struct exec_output *out = &x->out[i];
    size_t room = outbox_room(o);
    ssize_t n;

    room = room < out->credit ? room : out->credit;
    if (out->fd < 0 || room == 0)
        return;
    n = read(out->fd, outbox_payload(o), room);
    if (n > 0) {
        outbox_commit(o, WIRE_DATA, wire_stream(x->number, i ? WIRE_STDERR : WIRE_STDOUT),
                      (size_t)n);
        out->credit -= (size_t)n;
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        /* EIO: nobody has the terminal open any more. */
        close_fd(&out->fd);
    }
}

void stream_pump(struct exec *x, const struct pollfd fds[EXEC_SLOTS], struct outbox *o)
{
    if (x->in.fd >= 0 && fds[EXEC_IN].fd == x->in.fd && fds[EXEC_IN].revents)
        pump_input(x);
    return_credit(x, o);
    for (int i = 0; i < 2; i++)
        if (x->out[i].fd >= 0 && fds[EXEC_OUT + i].fd == x->out[i].fd && fds[EXEC_OUT + i].revents)
            pump_output(x, i, o);
}

bool stream_is_drained(const struct exec *x)
{
    return x->out[0].fd < 0 && x->out[1].fd < 0;
}
