/* tell: what the host is told of one job. See tell.h. */
#include "agent/tell.h"

#include "agent/boot.h"
#include "shared/bytes.h"

#include <string.h>
#include <sys/wait.h>

bool tell_unstarted(struct exec *x, struct outbox *o)
{
    uint8_t raw[4 + WIRE_TEXT_MAX];
    size_t len = strlen(x->text);

    bytes_put_u32(raw, x->wrong);
    memcpy(raw + 4, x->text, len);
    return outbox_put(o, WIRE_UNSTARTED, wire_stream(x->number, WIRE_CONTROL), raw, 4 + len);
}

bool tell_denials(struct exec *x, bool last, struct outbox *o)
{
    struct denial *d;
    uint8_t raw[WIRE_DENIED_SIZE];

    while ((d = denials_due(&x->denials, last))) {
        size_t n = wire_denied_format(raw, &d->row);

        if (!outbox_put(o, WIRE_DENIED, wire_stream(x->number, WIRE_CONTROL), raw, n))
            return false;
        denials_told(d);
    }
    return true;
}

bool tell_seen(struct exec *x, bool looks, bool last, struct outbox *o)
{
    bool none = (looks || last) && eyes_look(&x->eyes, boot_now_ms(), &x->seen);
    uint8_t raw[WIRE_SEEN_HEAD + WIRE_PATH_MAX];
    struct wire_seen m;

    if (last && none)
        seen_end(&x->seen);
    while (seen_next(&x->seen, &m)) {
        size_t n = wire_seen_format(raw, &m);

        if (!outbox_put(o, WIRE_SEEN, wire_stream(x->number, WIRE_CONTROL), raw, n))
            return false;
        seen_told(&x->seen, &m);
    }
    return x->seen.ended;
}

bool tell_exit(struct exec *x, struct outbox *o)
{
    /* Killed from outside, the container's first process has no word on the command. */
    int status = x->ended ? x->status : x->init_status;
    struct wire_exit m = {
        .signaled = WIFSIGNALED(status),
        .code = (uint32_t)(WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)),
    };
    uint8_t raw[WIRE_EXIT_SIZE];

    container_usage(&x->paths, x->number, &m);
    wire_exit_format(raw, &m);
    return outbox_put(o, WIRE_EXIT, wire_stream(x->number, WIRE_CONTROL), raw, sizeof(raw));
}
