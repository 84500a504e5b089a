/* alert: whether a rule about what a guest does is met. See alert.h. */
#include "run/alert.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define STILL_PERCENT 5u /* of one processor: a guest's kernel does something now and then */

void alert_begin(struct alert_state *s, const struct alert_rules *rules)
{
    *s = (struct alert_state){.n = rules->n};
    s->rules = calloc(rules->n ? rules->n : 1, sizeof(*s->rules));
    if (!s->rules)
        abort(); /* as str.h */
}

void alert_done(struct alert_state *s)
{
    free(s->rules);
    *s = (struct alert_state){0};
}

static uint64_t number(enum alert_when when, const struct alert_sample *now)
{
    switch (when) {
    case ALERT_CPU:
        return now->cpu_ns;
    case ALERT_MEMORY:
        return now->resident_bytes;
    case ALERT_DISK:
        return now->disk_bytes;
    case ALERT_STREAMS:
        return now->moved_bytes;
    case ALERT_OUTPUT:
        return now->output_bytes;
    case ALERT_DENIALS:
        return now->denials;
    case ALERT_PROCESSES:
        return now->processes;
    case ALERT_EGRESS:
        return now->egress_refused;
    case ALERT_EGRESS_BYTES:
        return now->egress_bytes;
    case ALERT_SILENCE:
    case ALERT_CANARY:
    case ALERT_WHENS:
        break;
    }
    return 0;
}

/* What it grew by within the span; *ret_ms is how long that is. A number that fell began anew. */
static uint64_t growth(struct alert_one *o, const struct alert_rule *r, uint64_t value,
                       uint64_t now_ms, uint64_t *ret_ms)
{
    size_t last = (o->next + ALERT_STEPS - 1) % ALERT_STEPS, oldest;

    if (o->n > 0 && value < o->value[last])
        o->n = o->next = 0;
    if (o->n == 0 || now_ms - o->at_ms[last] >= r->for_ms / ALERT_STEPS) {
        o->at_ms[o->next] = now_ms;
        o->value[o->next] = value;
        o->next = (o->next + 1) % ALERT_STEPS;
        o->n += o->n < ALERT_STEPS;
    }
    oldest = (o->next + ALERT_STEPS - o->n) % ALERT_STEPS;
    /* A look that came late must not make the span longer. */
    while (o->n > 1 && now_ms - o->at_ms[oldest] > r->for_ms) {
        o->n--;
        oldest = (oldest + 1) % ALERT_STEPS;
    }
    *ret_ms = now_ms - o->at_ms[oldest];
    return value - o->value[oldest];
}

static bool is_silent(struct alert_state *s, struct alert_one *o, const struct alert_rule *r,
                      const struct alert_sample *now, uint64_t span_ms)
{
    uint64_t cpu = now->cpu_ns > s->cpu_ns ? now->cpu_ns - s->cpu_ns : 0;

    if (span_ms == 0 || now->moved_bytes != s->moved_bytes ||
        cpu / 10000 > span_ms * STILL_PERCENT) {
        o->still_ms = now->now_ms;
        return false;
    }
    return now->now_ms - o->still_ms >= r->for_ms;
}

/* Whether it was told just now; if not, it is now. */
static bool is_again(struct alert_one *o, const struct alert_rule *r, uint64_t now_ms)
{
    if (now_ms < o->quiet_ms)
        return true;
    o->quiet_ms = now_ms + (r->for_ms > ALERT_AGAIN_MS ? r->for_ms : ALERT_AGAIN_MS);
    return false;
}

/* `text` says by what. */
static bool is_met(struct alert_one *o, const struct alert_rule *r, uint64_t value,
                   const struct alert_sample *now, char *text, size_t size)
{
    uint64_t span_ms = 0;

    if (r->for_ms)
        value = growth(o, r, value, now->now_ms, &span_ms);
    if (r->when == ALERT_CPU) {
        /* A share is of the whole span, or it would be met by any moment of work. */
        if (span_ms + r->for_ms / ALERT_STEPS + 1000 < r->for_ms || span_ms == 0)
            return false;
        value = value / 10000 / span_ms;
    }
    if (value <= r->above)
        return false;
    (void)snprintf(text, size, "%s: %" PRIu64 " is above %" PRIu64, alert_when_name(r->when), value,
                   r->above);
    return true;
}

void alert_look(struct alert_state *s, const struct alert_rules *rules,
                const struct alert_sample *now, alert_met_fn *met, void *arg)
{
    uint64_t span_ms = s->at_ms && now->now_ms > s->at_ms ? now->now_ms - s->at_ms : 0;

    for (size_t i = 0; i < s->n && i < rules->n; i++) {
        const struct alert_rule *r = &rules->items[i];
        struct alert_one *o = &s->rules[i];
        char text[ALERT_TEXT_MAX];
        bool is;

        if (r->when == ALERT_CANARY)
            continue;
        if (r->when == ALERT_SILENCE) {
            is = is_silent(s, o, r, now, span_ms);
            (void)snprintf(text, sizeof(text), "silence for %" PRIu64 " s",
                           (now->now_ms - o->still_ms) / 1000);
        } else {
            is = is_met(o, r, number(r->when, now), now, text, sizeof(text));
        }
        if (is && !is_again(o, r, now->now_ms))
            met(i, text, false, arg);
    }
    s->at_ms = now->now_ms;
    s->moved_bytes = now->moved_bytes;
    s->cpu_ns = now->cpu_ns;
}

void alert_destination(struct alert_state *s, const struct alert_rules *rules, uint64_t now_ms,
                       const char *host, const char *shown, alert_met_fn *met, void *arg)
{
    for (size_t i = 0; i < s->n && i < rules->n; i++) {
        const struct alert_rule *r = &rules->items[i];
        char text[ALERT_TEXT_MAX];

        if (r->when != ALERT_CANARY || !alert_is_canary(r, host))
            continue;
        (void)snprintf(text, sizeof(text), "canary: %.200s was tried", shown);
        met(i, text, is_again(&s->rules[i], r, now_ms), arg);
    }
}

void alert_file(struct alert_state *s, const struct alert_rules *rules, uint64_t now_ms,
                const char *path, const char *shown, alert_met_fn *met, void *arg)
{
    for (size_t i = 0; i < s->n && i < rules->n; i++) {
        const struct alert_rule *r = &rules->items[i];
        char text[ALERT_TEXT_MAX];

        if (r->when != ALERT_CANARY || !alert_is_canary_file(r, path))
            continue;
        (void)snprintf(text, sizeof(text), "canary: %.200s was opened", shown);
        met(i, text, is_again(&s->rules[i], r, now_ms), arg);
    }
}

void alert_skip(struct alert_state *s, uint64_t now_ms)
{
    s->at_ms = now_ms;
    for (size_t i = 0; i < s->n; i++) {
        s->rules[i].still_ms = now_ms;
        s->rules[i].n = s->rules[i].next = 0;
    }
}
