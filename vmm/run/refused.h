/*
 * refused: what a guest is refused, on the record as it happens.
 *
 * How it works
 *   A destination that the gateway refuses for the first time has its line (recording_egress());
 *   tries after that, and what a guest's kernel refused, for the first time or twice as often as
 *   was told last, are gathered here: the first is a line at once, what comes within REFUSED_MS of
 *   one goes into the next, of what comes more than once the newest, and what is left when a
 *   command ends before its end. So a guest makes two lines a second of it, whatever it does.
 *   What a command was refused in all is said at its end (recording_exit()).
 */
#ifndef LZ_RUN_REFUSED_H
#define LZ_RUN_REFUSED_H

#include "base/doc.h"
#include "gateway/gateway.h"
#include "shared/wire.h"

#include <stdbool.h>

#define REFUSED_MS   1000u
#define REFUSED_ROWS 32u /* of one line; what is above that is counted */

struct refused {
    struct refused_tries {
        uint64_t count, next_ms; /* since the last line; when the next one may be */
        struct gateway_event last;
    } tries;
    struct refused_calls {
        uint32_t n;
        struct {
            uint32_t serial;
            struct wire_denied row;
        } rows[REFUSED_ROWS];
        uint64_t more, next_ms;
    } calls;
};

struct keeper;

/* A try that has no line of its own. */
void refused_add_try(struct refused *r, const struct gateway_event *try);
/* The guest's word; in place of what it said before, if that is not told. `serial`: of the command.
 */
void refused_add_call(struct refused *r, uint32_t serial, const struct wire_denied *row);
/* When the next line is due, or UINT64_MAX. */
uint64_t refused_due_ms(const struct refused *r);
/* Return new: the members of a line that is due, or NULL. UINT64_MAX: whatever there is, is. */
struct doc *refused_take_tries(struct refused *r, uint64_t now_ms, bool content);
struct doc *refused_take_calls(struct refused *r, uint64_t now_ms);

/* Puts on record what is due, or all of it; returns when the next line is. */
uint64_t refused_tell(struct keeper *k, bool all);

#endif
