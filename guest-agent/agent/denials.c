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

void denials_add_file(struct denials *d, const char *name, uint32_t access)
{
    struct denial *f = d->files;

    for (size_t i = 0; i < d->n_files; i++, f++)
        if ((f->row.detail & ~255u) == access && strcmp(f->row.name, name) == 0) {
            f->row.count++;
            return;
        }
    if (d->n_files == WIRE_FILES_MAX) {
        denials_add(d, WIRE_DENIED_FILES, 1);
        return;
    }
    d->n_files++;
    *f = (struct denial){
        .row = {.kind = WIRE_DENIED_FILE, .detail = access | (uint32_t)d->n_files, .count = 1}};
    memcpy(f->row.name, name, strnlen(name, WIRE_NAME_MAX));
}

void denials_add(struct denials *d, enum wire_denied_kind kind, uint64_t count)
{
    d->others[kind].row.kind = kind;
    d->others[kind].row.count += count;
}

static bool is_due(const struct denial *d, bool last)
{
    return d->row.count > 0 && (d->told <= d->row.count / 2 || (last && d->told < d->row.count));
}

struct denial *denials_due(struct denials *d, bool last)
{
    for (size_t i = 0; i < d->n_calls; i++)
        if (is_due(&d->calls[i], last))
            return &d->calls[i];
    for (size_t i = 0; i < d->n_files; i++)
        if (is_due(&d->files[i], last))
            return &d->files[i];
    for (uint32_t kind = WIRE_DENIED_FOREIGN; kind < WIRE_DENIED_FILE; kind++)
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
    for (size_t i = 0; i < d->n_files; i++)
        d->files[i].told = 0;
    for (uint32_t kind = 0; kind < WIRE_DENIED_FILE; kind++)
        d->others[kind].told = 0;
}
