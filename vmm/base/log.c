/* log: messages for people, on stderr, one line each. */
#include "base/log.h"

#include <stdio.h>

static enum log_level shown = LOG_NOTE;
static const char *marked; /* or NULL */

void log_mark(const char *mark)
{
    marked = mark;
}

void log_set_level(enum log_level level)
{
    shown = level;
}

enum log_level log_get_level(void)
{
    return shown;
}

/* A path or an argument may hold what a terminal obeys: C0, DEL, and C1 as UTF-8. */
static void make_plain(char *line)
{
    for (unsigned char *p = (unsigned char *)line; *p; p++) {
        if (*p < 0x20 || *p == 0x7f)
            *p = '?';
        else if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
            p[0] = p[1] = '?';
    }
}

void log_msg(enum log_level level, const char *fmt, ...)
{
    char line[2048];
    va_list ap;

    if (level > shown)
        return;
    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    make_plain(line);
    fprintf(stderr, "lazaret: %s%s%s%s\n", marked ? marked : "", marked ? ": " : "",
            level == LOG_WARN ? "warning: " : "", line);
}

void log_err(const struct err *e)
{
    log_msg(LOG_ERROR, "%s", e->text);
}
