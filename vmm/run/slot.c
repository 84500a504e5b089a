/* slot: guests begin a few at a time. See slot.h. */
#include "run/slot.h"

#include "base/clock.h"
#include "base/own.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <unistd.h>

#define LOOK_MS   10
#define SLOT_SIZE ((off_t)sizeof(uint64_t)) /* in the file: since when, of clock_mono_ms() */

unsigned slot_count(void)
{
    cpu_set_t set;

    /* Of more processors than fit in a set nobody has to be careful. */
    return 1 +
           (sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : CPU_SETSIZE);
}

static bool lock(int fd, unsigned i)
{
    struct flock l = {.l_type = F_WRLCK,
                      .l_whence = SEEK_SET,
                      .l_start = (off_t)i * SLOT_SIZE,
                      .l_len = SLOT_SIZE};

    return fcntl(fd, F_OFD_SETLK, &l) == 0;
}

static bool note_now(int fd, unsigned i)
{
    const uint64_t now = clock_mono_ms();

    return pwrite(fd, &now, sizeof(now), (off_t)i * SLOT_SIZE) == sizeof(now);
}

static bool is_held_long(int fd, unsigned i, uint64_t held_ms)
{
    const uint64_t now = clock_mono_ms();
    uint64_t since = 0;

    /* Before the machine was started anew it may have been later. */
    return pread(fd, &since, sizeof(since), (off_t)i * SLOT_SIZE) != sizeof(since) || since > now ||
           now - since >= held_ms;
}

enum found { FOUND_NONE, FOUND_SLOT, FOUND_HELD_LONG };

/* Of two who look at the same moment both may go on with what was held for long: no matter. */
static enum found look(int fd, const struct slots *of)
{
    for (unsigned i = 0; i < of->n; i++)
        if (lock(fd, i))
            return note_now(fd, i) ? FOUND_SLOT : FOUND_HELD_LONG;
    for (unsigned i = 0; i < of->n; i++)
        if (is_held_long(fd, i, of->held_ms)) {
            (void)note_now(fd, i);
            return FOUND_HELD_LONG;
        }
    return FOUND_NONE;
}

int slot_take(const struct slots *of)
{
    own_close int fd = open(of->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    const uint64_t until = clock_mono_ms() + of->patience_ms;
    enum found found = FOUND_NONE;

    if (fd < 0)
        return -1;
    while ((found = look(fd, of)) == FOUND_NONE && clock_mono_ms() < until)
        poll(NULL, 0, LOOK_MS);
    return found == FOUND_SLOT ? own_steal_fd(fd) : -1;
}

void slot_give(int *fd)
{
    struct flock all = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

    if (*fd < 0)
        return;
    (void)fcntl(*fd, F_OFD_SETLK, &all);
    close(own_steal_fd(*fd));
}
