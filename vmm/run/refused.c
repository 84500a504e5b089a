/* refused: what a guest is refused, on the record as it happens. See refused.h. */
#include "run/refused.h"

#include "base/clock.h"
#include "base/own.h"
#include "run/denied.h"
#include "run/keeper.h"
#include "run/recording.h"
#include "shared/net.h"

void refused_add_try(struct refused *r, const struct gateway_event *try)
{
    r->tries.count++;
    r->tries.last = *try;
}

void refused_add_call(struct refused *r, uint32_t serial, const struct wire_denied *row)
{
    uint32_t i = 0;

    while (i < r->calls.n && (r->calls.rows[i].serial != serial ||
                              wire_denied_what(&r->calls.rows[i].row) != wire_denied_what(row)))
        i++;
    if (i == REFUSED_ROWS) {
        r->calls.more++;
        return;
    }
    r->calls.rows[i].serial = serial;
    r->calls.rows[i].row = *row;
    if (i == r->calls.n)
        r->calls.n++;
}

uint64_t refused_due_ms(const struct refused *r)
{
    uint64_t tries = r->tries.count ? r->tries.next_ms : UINT64_MAX;
    uint64_t calls = r->calls.n ? r->calls.next_ms : UINT64_MAX;

    return tries < calls ? tries : calls;
}

/* What is told out of turn moves no turn. */
static void begin_turn(uint64_t *next_ms, uint64_t now_ms)
{
    if (now_ms != UINT64_MAX)
        *next_ms = now_ms + REFUSED_MS;
}

struct doc *refused_take_tries(struct refused *r, uint64_t now_ms, bool content)
{
    const struct gateway_event *last = &r->tries.last;
    own_free char *to = NULL;
    struct doc *d;

    if (r->tries.count == 0 || now_ms < r->tries.next_ms)
        return NULL;
    d = doc_new_object();
    doc_set_u64(d, "count", r->tries.count);
    if (content) {
        to = gateway_destination(last->host, last->port);
        doc_set_u64(d, "guest_exec", last->exec);
        doc_set_str(d, "destination", to);
        doc_set_str(d, "why", net_why_name(last->why));
    }
    r->tries.count = 0;
    begin_turn(&r->tries.next_ms, now_ms);
    return d;
}

struct doc *refused_take_calls(struct refused *r, uint64_t now_ms)
{
    struct doc *d, *rows;

    if (r->calls.n == 0 || now_ms < r->calls.next_ms)
        return NULL;
    d = doc_new_object();
    rows = doc_new_array();
    for (uint32_t i = 0; i < r->calls.n; i++) {
        struct doc *row = denied_row_to_doc(&r->calls.rows[i].row);

        doc_set_u64(row, "exec", r->calls.rows[i].serial);
        doc_add(rows, row);
    }
    doc_set(d, "rows", rows);
    if (r->calls.more)
        doc_set_u64(d, "more", r->calls.more);
    r->calls.n = 0;
    r->calls.more = 0;
    begin_turn(&r->calls.next_ms, now_ms);
    return d;
}

uint64_t refused_tell(struct keeper *k, bool all)
{
    const uint64_t now = all ? UINT64_MAX : clock_mono_ms();
    struct doc *tries = refused_take_tries(&k->refused, now, recording_has_content(k));
    struct doc *calls = refused_take_calls(&k->refused, now);

    if (tries)
        recording_add(k, "egress_again", tries);
    if (calls)
        recording_guest(k, "denied", calls);
    return refused_due_ms(&k->refused);
}
