/* terminal: raw mode of the user's terminal for `run -t`, always undone. */
#include "cli/terminal.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* File scope, because a handler for fatal signals must reach it. */
static struct termios before;
static volatile sig_atomic_t raw_fd = -1;

void terminal_size(int fd, uint16_t *ret_rows, uint16_t *ret_cols)
{
    struct winsize ws;

    *ret_rows = 24;
    *ret_cols = 80;
    if (ioctl(fd, TIOCGWINSZ, &ws) == 0 && ws.ws_row && ws.ws_col) {
        *ret_rows = ws.ws_row;
        *ret_cols = ws.ws_col;
    }
}

void terminal_restore(void)
{
    if (raw_fd >= 0)
        tcsetattr(raw_fd, TCSADRAIN, &before);
    raw_fd = -1;
}

static void on_fatal(int signo)
{
    terminal_restore();
    signal(signo, SIG_DFL);
    raise(signo);
}

void terminal_raw(int fd)
{
    static const int fatal[] = {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL};
    struct termios raw;

    if (raw_fd < 0 && tcgetattr(fd, &before) < 0)
        return;
    raw = before;
    cfmakeraw(&raw);
    if (raw_fd < 0) {
        atexit(terminal_restore);
        for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
            signal(fatal[i], on_fatal);
    }
    raw_fd = fd;
    tcsetattr(fd, TCSADRAIN, &raw);
}

void terminal_on_started(void *arg)
{
    const bool *raw = arg;

    if (*raw)
        terminal_raw(STDIN_FILENO);
}

void terminal_on_resize(void *arg, uint16_t *ret_rows, uint16_t *ret_cols)
{
    (void)arg;
    terminal_size(STDIN_FILENO, ret_rows, ret_cols);
}

void terminal_on_ended(void *arg)
{
    (void)arg;
    terminal_restore();
}
