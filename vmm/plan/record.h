/* record: whether a guest has a record, and what of it is on it (record/record.h). */
#ifndef LZ_PLAN_RECORD_H
#define LZ_PLAN_RECORD_H

#include "base/doc.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

struct plan_record {
    bool off;
    bool no_content;        /* no arguments, names of variables and outputs, words of the guest */
    bool changes;           /* what it changed on its disk is on it, at its end */
    struct strv redact;     /* patterns: record/redact.h */
    struct strv recipients; /* public keys that it is sealed to at the end; empty: to nobody */
};

/* Of the command line only: it is not for a manifest to say. */
struct plan_record_wish {
    bool off, no_content, changes;
    const struct strv *recipients; /* borrowed; NULL: none */
};

struct plan;
struct plan_wish;

/* Adds what is wished, within the policies, to what is there. */
int plan_resolve_record(const struct plan_wish *w, struct plan *p, struct err *e);
void plan_record_copy(struct plan_record *to, const struct plan_record *from);
void plan_record_done(struct plan_record *r);
/* The member "record" of a plan that is written. */
struct doc *plan_record_to_doc(const struct plan_record *r);
/* One of an older lazaret has none. */
int plan_record_from_doc(const struct doc *plan, struct plan_record *ret, struct err *e);

#endif
