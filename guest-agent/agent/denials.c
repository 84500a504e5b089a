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
    while (at < d->n_calls && d->calls[at].row.detail < number)
        at++;
    if (at < d->n_calls && d->calls[at].row.detail == number) {
        d->calls[at].row.count++;
        return;
    }
    if (d->n_calls == DENIALS_CALLS) {
        denials_add(d, WIRE_DENIED_MORE, 1);
        return;
    }
    memmove(&d->calls[at + 1], &d->calls[at], (d->n_calls - at) * sizeof(d->calls[0]));
    d->calls[at] = (struct denial){.row = {.kind = WIRE_DENIED_CALL, .detail = number, .count = 1}};
    d->n_calls++;
}

void denials_add(struct denials *d, enum wire_denied_kind kind, uint64_t count)
{
    d->others[kind].row.kind = kind;
    d->others[kind].row.count += count;
}

static bool is_due(const struct denial *d, bool last)
{
    return d->row.count > 0 && (d->told == 0 || (last && d->told < d->row.count));
}

struct denial *denials_due(struct denials *d, bool last)
{
    for (size_t i = 0; i < d->n_calls; i++)
        if (is_due(&d->calls[i], last))
            return &d->calls[i];
    for (uint32_t kind = WIRE_DENIED_FOREIGN; kind < WIRE_DENIED_KIND_END; kind++)
        if (is_due(&d->others[kind], last))
            return &d->others[kind];
    return NULL;
}

void denials_told(struct denial *row)
{
    row->told = row->row.count;
}

void denials_untold(struct denials *d)
{
    for (size_t i = 0; i < d->n_calls; i++)
        d->calls[i].told = 0;
    for (uint32_t kind = 0; kind < WIRE_DENIED_KIND_END; kind++)
        d->others[kind].told = 0;
}
