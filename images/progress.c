/* progress: what a long operation tells the person who waits. */
#include "images/progress.h"

#include <stdarg.h>
#include <stdio.h>

void progress(const struct progress *p, const char *fmt, ...)
{
    char line[256];
    va_list ap;

    if (!p || !p->line)
        return;
    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    p->line(p->arg, line);
}
