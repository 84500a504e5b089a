/* say: the agent's words to the console, and the end of the guest. */
#include "agent/say.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/reboot.h>
#include <unistd.h>

#define SAY_LINE_MAX 1024

void say(const char *format, ...)
{
    char line[SAY_LINE_MAX];
    va_list ap;

    va_start(ap, format);
    (void)vsnprintf(line, sizeof(line), format, ap);
    va_end(ap);
    dprintf(STDERR_FILENO, "lazaret-agent: %s\n", line);
}

void power_off(void)
{
    sync();
    (void)reboot(RB_POWER_OFF);
    (void)reboot(RB_AUTOBOOT);
    for (;;)
        pause();
}
