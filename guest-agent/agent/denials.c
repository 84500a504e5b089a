/* denials: what one job was refused, counted by kind. See denials.h. */
#include "agent/denials.h"

#include <string.h>

void denials_init(struct denials *d)
{
    memset(d, 0, sizeof(*d));
}

void denials_add_call(struct denials *d, uint32_t number)
{
    size_t at = 0;

    if (number > WIRE_CALL_MAX) { /* x32 */
        denials_add(d, WIRE_DENIED_FOREIGN, 1);
        return;
    }
    while (at < d->n_calls && d->calls[at].detail < number)
        at++;
    if (at < d->n_calls && d->calls[at].detail == number) {
        d->calls[at].count++;
        return;
    }
    if (d->n_calls == DENIALS_CALLS) {
        denials_add(d, WIRE_DENIED_MORE, 1);
        return;
    }
    memmove(&d->calls[at + 1], &d->calls[at], (d->n_calls - at) * sizeof(d->calls[0]));
    d->calls[at] = (struct wire_denied){.kind = WIRE_DENIED_CALL, .detail = number, .count = 1};
    d->n_calls++;
}

void denials_add(struct denials *d, enum wire_denied_kind kind, uint64_t count)
{
    d->others[kind] += count;
}

bool denials_row(const struct denials *d, size_t i, struct wire_denied *ret)
{
    if (i < d->n_calls) {
        *ret = d->calls[i];
        return true;
    }
    i -= d->n_calls;
    for (uint32_t kind = WIRE_DENIED_FOREIGN; kind < WIRE_DENIED_KIND_END; kind++) {
        if (d->others[kind] == 0 || i-- > 0)
            continue;
        *ret = (struct wire_denied){.kind = kind, .count = d->others[kind]};
        return true;
    }
    return false;
}
