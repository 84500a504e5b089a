/* record: whether a guest has a record, and what of it is on it: by wish and policies. */
#include "plan/record.h"

#include "plan/plan.h"
#include "record/redact.h"
#include "seal/key.h"

#include <string.h>

static int take_recipients(const struct strv *keys, struct plan_record *r, struct err *e)
{
    struct seal_public key;

    for (size_t i = 0; keys && i < keys->n; i++)
        if (seal_public_parse(keys->items[i], &key, e) < 0)
            return err_wrap(e, "--record-recipient: number %zu", i + 1);
    if (keys)
        strv_add_new(&r->recipients, keys);
    if (r->recipients.n > SEAL_RECIPIENTS_MAX)
        return err_set(e, ERR_USAGE, "--record-recipient: more than %d keys", SEAL_RECIPIENTS_MAX);
    if (r->off && keys && keys->n > 0)
        return err_set(e, ERR_USAGE, "--no-record and --record-recipient exclude each other");
    return 0;
}

int plan_resolve_record(const struct plan_wish *w, struct plan *p, struct err *e)
{
    struct plan_record *r = &p->record;

    r->off |= w->build || w->prove || w->record.off;
    r->no_content |= w->record.no_content;
    r->changes |= w->record.changes;
    if (w->build || w->prove)
        return 0;
    if (r->off && policy_check_record(&w->policies, "--no-record", e) < 0)
        return -1;
    for (size_t i = 0; i < w->policies.n; i++) {
        r->no_content |= w->policies.items[i].no_content;
        r->changes |= w->policies.items[i].changes;
        strv_add_new(&r->redact, &w->policies.items[i].redact.texts);
    }
    if (w->record.changes && (r->off || p->amnesic))
        return err_set(
            e, ERR_USAGE,
            "--record-changes excludes --no-record, --amnesic, and input or output that is sealed");
    if (r->redact.n > REDACT_MAX)
        return err_set(e, ERR_USAGE, "policy: more than %d patterns to redact", REDACT_MAX);
    return take_recipients(w->record.recipients, r, e);
}

void plan_record_copy(struct plan_record *to, const struct plan_record *from)
{
    *to = (struct plan_record){
        .off = from->off, .no_content = from->no_content, .changes = from->changes};
    strv_add_all(&to->redact, &from->redact);
    strv_add_all(&to->recipients, &from->recipients);
}

void plan_record_done(struct plan_record *r)
{
    strv_done(&r->redact);
    strv_done(&r->recipients);
}

struct doc *plan_record_to_doc(const struct plan_record *r)
{
    struct doc *d = doc_new_object();

    doc_set_bool(d, "on", !r->off);
    doc_set_bool(d, "content", !r->no_content);
    doc_set_bool(d, "changes", r->changes);
    doc_set_strv(d, "redact", (const char *const *)r->redact.items);
    doc_set_strv(d, "recipients", (const char *const *)r->recipients.items);
    return d;
}

int plan_record_from_doc(const struct doc *plan, struct plan_record *ret, struct err *e)
{
    const struct doc *d;
    bool on, content, changes = false;

    if (!doc_has(plan, "record"))
        return 0;
    if (doc_get_object(plan, "record", &d, e) < 0 || doc_get_bool(d, "on", &on, e) < 0 ||
        doc_get_bool(d, "content", &content, e) < 0 ||
        (doc_has(d, "changes") && doc_get_bool(d, "changes", &changes, e) < 0) ||
        doc_get_strv(d, "redact", &ret->redact, e) < 0 ||
        doc_get_strv(d, "recipients", &ret->recipients, e) < 0)
        return -1;
    ret->off = !on;
    ret->no_content = !content;
    ret->changes = changes;
    return 0;
}
