/* spool: what lazaret-look writes, through a buffer. See spool.h. */
#include "look/spool.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void write_all(struct spool *s, const uint8_t *data, size_t len)
{
    while (len > 0 && !s->failed) {
        ssize_t n = write(s->fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            s->failed = n < 0 ? errno : ENOSPC;
            return;
        }
        data += n;
        len -= (size_t)n;
    }
}

int spool_flush(struct spool *s)
{
    write_all(s, s->buf, s->n);
    s->n = 0;
    return s->failed ? -1 : 0;
}

void spool_put(struct spool *s, const void *data, size_t len)
{
    if (len > sizeof(s->buf) - s->n)
        (void)spool_flush(s);
    if (len >= sizeof(s->buf)) {
        write_all(s, data, len);
        return;
    }
    memcpy(s->buf + s->n, data, len);
    s->n += len;
}
