/* alarm: the alerts of a guest's plan, looked at while it runs. See alarm.h. */
#include "run/alarm.h"

#include "base/clock.h"
#include "base/own.h"
#include "gateway/gateway.h"
#include "run/alert.h"
#include "run/control.h"
#include "run/evidence.h"
#include "run/recording.h"
#include "run/sample.h"
#include "run/serve.h"

struct alarm {
    struct alert_state state;
    struct alert_sample now;
    uint64_t next_ms;
    /* Of the job there. */
    uint64_t seen_moved[WIRE_EXEC_MAX], seen_wrote[WIRE_EXEC_MAX], seen_denied[WIRE_EXEC_MAX];
    bool asks_moved, asks_guest;
    enum alert_action due; /* of those that were met since alarm_act() */
    const struct alert_rule *by;
    uint64_t met_ms;
    char text[ALERT_TEXT_MAX];
};

static bool any(const struct alert_rules *rules, enum alert_when a, enum alert_when b)
{
    for (size_t i = 0; i < rules->n; i++)
        if (rules->items[i].when == a || rules->items[i].when == b)
            return true;
    return false;
}

void alarm_begin(struct keeper *k)
{
    const struct alert_rules *rules = &k->plan->alerts;

    if (rules->n == 0 || k->alarm)
        return;
    k->alarm = calloc(1, sizeof(*k->alarm));
    if (!k->alarm)
        abort(); /* as str.h: the host is out of memory */
    alert_begin(&k->alarm->state, rules);
    k->alarm->asks_moved =
        any(rules, ALERT_STREAMS, ALERT_SILENCE) || any(rules, ALERT_OUTPUT, ALERT_OUTPUT);
    k->alarm->asks_guest = any(rules, ALERT_PROCESSES, ALERT_PROCESSES);
}

void alarm_done(struct keeper *k)
{
    if (!k->alarm)
        return;
    alert_done(&k->alarm->state);
    free(k->alarm);
    k->alarm = NULL;
}

uint64_t alarm_due_ms(const struct keeper *k)
{
    return k->alarm && k->ready && !k->held ? k->alarm->next_ms : UINT64_MAX;
}

/* The rest of it is the launcher's; the journal is for those without a record. */
static void tell(struct keeper *k, size_t rule, const char *text)
{
    const struct alert_rule *r = &k->plan->alerts.items[rule];
    struct control m = {.type = CONTROL_ALERT, .alert = (uint32_t)rule};
    const char *type = r->when == ALERT_CANARY ? "tripwire" : "alert";
    struct doc *d = doc_new_object();
    struct err ignored;

    doc_set_str(d, "rule", r->from);
    doc_set_str(d, "action", alert_action_name(r->action));
    doc_set_str(d, "text", text);
    folder_journal_event(k->folder, type, doc_copy(d), &ignored);
    recording_add(k, type, d);
    (void)snprintf(m.text, sizeof(m.text), "%s", text);
    control_hint(k->control_fd, &m);
}

void alarm_untold(struct keeper *k, uint32_t rule, const char *why)
{
    struct doc *d;

    if (rule >= k->plan->alerts.n || !str_is_printable(why, sizeof(((struct control *)0)->text)))
        return;
    d = doc_new_object();
    doc_set_str(d, "rule", k->plan->alerts.items[rule].from);
    doc_set_str(d, "text", why);
    recording_add(k, "untold", d);
}

static void met(size_t rule, const char *text, bool again, void *arg)
{
    struct keeper *k = arg;
    struct alarm *a = k->alarm;
    const struct alert_rule *r = &k->plan->alerts.items[rule];

    if (!again)
        tell(k, rule, text);
    if (r->action < ALERT_PAUSE || (a->by && r->action <= a->due))
        return;
    a->due = r->action;
    a->by = r;
    a->met_ms = clock_mono_ms();
    (void)snprintf(a->text, sizeof(a->text), "%s", text);
}

static uint64_t grown(uint64_t *seen, uint64_t now)
{
    uint64_t by = now >= *seen ? now - *seen : now; /* another job's, from its beginning */

    *seen = now;
    return by;
}

static uint64_t denied_of(const struct job *j)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; j->result && i < j->result->denied.n; i++)
        sum += j->result->denied.rows[i].count;
    return sum;
}

static void count(struct alarm *a, unsigned i, const struct job *j)
{
    a->now.moved_bytes += grown(&a->seen_moved[i], j->moved);
    a->now.output_bytes += grown(&a->seen_wrote[i], j->wrote);
    a->now.denials += grown(&a->seen_denied[i], denied_of(j));
}

void alarm_job(struct keeper *k, uint32_t exec, bool over)
{
    struct alarm *a = k->alarm;

    if (!a)
        return;
    if (!over) {
        a->seen_moved[exec - 1] = a->seen_wrote[exec - 1] = a->seen_denied[exec - 1] = 0;
        if (a->asks_moved)
            (void)channel_moved(k->channel, exec, &(struct err){0});
        return;
    }
    count(a, exec - 1, &k->jobs[exec - 1]);
    a->next_ms = 0; /* what a short one did is looked at, too */
}

static void look_at_jobs(struct keeper *k)
{
    struct alarm *a = k->alarm;

    for (unsigned i = 0; i < WIRE_EXEC_MAX; i++) {
        const struct job *j = &k->jobs[i];

        if (!job_is_running(j))
            continue;
        count(a, i, j);
        if (a->asks_moved)
            (void)channel_moved(k->channel, i + 1, &(struct err){0});
    }
}

static void look_at_guest(struct keeper *k)
{
    struct alarm *a = k->alarm;

    a->now.processes = 0;
    for (unsigned i = 0; i < WIRE_EXEC_MAX; i++)
        a->now.processes += k->used.execs[i].pids;
    (void)channel_usage(k->channel, &(struct err){0});
}

void alarm_turn(struct keeper *k)
{
    struct alarm *a = k->alarm;
    struct sample s;

    if (clock_mono_ms() < alarm_due_ms(k))
        return;
    a->now.now_ms = clock_mono_ms();
    a->next_ms = a->now.now_ms + ALARM_MS;
    if (serve_is_paused(k)) { /* nothing in it happens */
        alert_skip(&a->state, a->now.now_ms);
        return;
    }
    if (sample_read(hv_qemu_pid(k->hv), &s) == 0) {
        a->now.cpu_ns = s.user_ns + s.system_ns;
        a->now.resident_bytes = s.resident_bytes;
    }
    a->now.disk_bytes = sample_disk_bytes(k->state_fd);
    look_at_jobs(k);
    if (a->asks_guest)
        look_at_guest(k);
    alert_look(&a->state, &k->plan->alerts, &a->now, met, k);
}

void alarm_output(struct keeper *k, uint64_t bytes)
{
    struct alarm *a = k->alarm;

    if (!a)
        return;
    a->now.output_bytes += bytes;
    a->next_ms = 0; /* before it is anybody's */
}

void alarm_egress(struct keeper *k, const struct gateway_event *ev)
{
    struct alarm *a = k->alarm;
    const char *shown;

    if (!a)
        return;
    if (ev->type == GATEWAY_CLOSED)
        a->now.egress_bytes += ev->bytes_up + ev->bytes_down;
    if (ev->type != GATEWAY_TRY)
        return;
    a->now.egress_refused += !ev->allowed;
    /* Of a name below a canary's the guest chose a part. */
    shown = k->plan->amnesic || k->plan->record.no_content ? "a destination" : ev->host;
    alert_destination(&a->state, &k->plan->alerts, clock_mono_ms(), ev->host, shown, met, k);
}

void alarm_file(struct keeper *k, const char *path)
{
    bool hidden = k->plan->amnesic || k->plan->record.no_content;
    struct alarm *a = k->alarm;

    if (a)
        alert_file(&a->state, &k->plan->alerts, clock_mono_ms(), path,
                   path && !hidden ? path : "a file", met, k);
}

static int end(const struct alarm *a, const struct alert_rule *by, struct err *e)
{
    return err_set(e, ERR_LIMIT, "an alert of %s ended it: %s", by->from, a->text);
}

int alarm_act(struct keeper *k, struct err *e)
{
    struct alarm *a = k->alarm;
    const struct alert_rule *by = a ? a->by : NULL;
    own_free char *why = NULL;
    struct err kept = {0};

    if (!by)
        return 0;
    a->by = NULL;
    if (by->action == ALERT_KILL)
        return end(a, by, e);
    why = str_printf("an alert of %s: %s", by->from, a->text);
    if (k->serving && serve_stand_still(k, why, e) < 0)
        return -1;
    /* One whose fence is broken answers nothing: to ask it would end it. */
    if (by->action == ALERT_FREEZE && k->held)
        run_note(&k->result, "there is no evidence of it: the sandbox is held");
    else if (by->action == ALERT_FREEZE && evidence_take(k, a->met_ms, &kept) < 0)
        run_note(&k->result, "there is no evidence of it: %s", kept.text);
    return k->serving ? 0 : end(a, by, e);
}
