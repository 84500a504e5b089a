/* seen: what the guest says that a job did to files. See seen.h. */
#include "run/seen.h"

#include "base/own.h"
#include "run/alarm.h"
#include "run/recording.h"
#include "run/serve.h"

#define LINE_ROWS 32u /* of one line of a record: far below RECORD_LINE_MAX */

bool seen_is_wanted(const struct plan *p)
{
    return !p->record.off && !p->record.no_content && !p->amnesic;
}

/* Returns new: a line about this job. */
static struct doc *line_of(const struct keeper *k, uint32_t exec)
{
    struct doc *d = doc_new_object();

    doc_set_u64(d, "exec", serve_serial(k, exec));
    return d;
}

static void add_row(struct keeper *k, const struct channel_event *ev)
{
    struct doc **rows = &k->wrote[ev->exec - 1], *row = doc_new_object();

    if (!*rows)
        *rows = doc_new_array();
    doc_set_str(row, "path", ev->text);
    doc_set_u64(row, "bytes", ev->seen.size);
    doc_add(*rows, row);
}

/* What has come so far, and how often there was more than that, 0: it is not
 * known yet. */
static void add_line(struct keeper *k, uint32_t exec, uint64_t more)
{
    struct doc *rows = own_steal_ptr(k->wrote[exec - 1]), *d;

    if (!rows && more == 0)
        return;
    d = line_of(k, exec);
    doc_set(d, "rows", rows ? rows : doc_new_array());
    if (more)
        doc_set_u64(d, "more", more);
    recording_guest(k, "wrote", d);
}

/* The path of a canary is the policy's own text, not the guest's; NULL: it is
 * not known which. Of a job that runs on from another sandbox they were others.
 */
static const char *canary(const struct job *j, const struct strv *files, uint32_t which)
{
    return !j->adopted && which < files->n ? files->items[which] : NULL;
}

static void take_canary(struct keeper *k, const struct channel_event *ev)
{
    const struct job *j = &k->jobs[ev->exec - 1];
    own_strv struct strv files = {0};
    const char *path;
    struct doc *d;

    alert_rules_files(&j->plan->alerts, &files);
    path = canary(j, &files, ev->seen.detail);
    if (ev->seen.kind == WIRE_SEEN_CANARY) {
        alarm_file(k, path);
        return;
    }
    if (!path)
        return;
    d = line_of(k, ev->exec);
    doc_set_str(d, "path", path);
    recording_guest(k, "unwatched", d);
    if (!k->serving)
        run_note(&k->result, "the canary '%.200s' is not there: it is not watched", path);
}

void seen_take(struct keeper *k, const struct channel_event *ev)
{
    const struct channel_seen *m = &ev->seen;

    if (m->kind >= WIRE_SEEN_CANARY)
        take_canary(k, ev);
    if (m->kind == WIRE_SEEN_WRITTEN)
        add_row(k, ev);
    if (m->kind == WIRE_SEEN_BLIND)
        recording_guest(k, "unwatched", line_of(k, ev->exec));
    if (m->kind == WIRE_SEEN_LOST || doc_len(k->wrote[ev->exec - 1]) == LINE_ROWS)
        add_line(k, ev->exec, m->kind == WIRE_SEEN_LOST ? m->size : 0);
}

void seen_end(struct keeper *k, uint32_t exec)
{
    add_line(k, exec, 0);
}

void seen_done(struct keeper *k)
{
    for (uint32_t exec = 1; exec <= WIRE_EXEC_MAX; exec++)
        add_line(k, exec, 0);
}
