/*
 * alert: whether a rule about what a guest does is met, by numbers that are taken now and then.
 * Pure but for memory.
 *
 * How it works
 *   A rule about a span keeps what its number was, ALERT_STEPS times in the span; what it grew by
 *   since the oldest of them is judged, or for CPU the share of one processor. The others are
 *   judged by the number as it is. A rule that was met is met again only after its span, or
 *   ALERT_AGAIN_MS: one that stays met does not flood a log.
 */
#ifndef LZ_RUN_ALERT_H
#define LZ_RUN_ALERT_H

#include "plan/alert.h"

#define ALERT_STEPS    16u
#define ALERT_AGAIN_MS 10000u
#define ALERT_TEXT_MAX 256u

/* What a guest has used and done so far. */
struct alert_sample {
    uint64_t now_ms; /* monotonic */
    uint64_t cpu_ns, resident_bytes, disk_bytes, moved_bytes, output_bytes;
    uint64_t denials, processes; /* the guest's word */
    uint64_t egress_refused, egress_bytes;
};

struct alert_state {
    struct alert_one {
        uint64_t at_ms[ALERT_STEPS], value[ALERT_STEPS];
        size_t n, next;    /* kept; where the next one goes */
        uint64_t still_ms; /* of silence: since when */
        uint64_t quiet_ms; /* it is not told before */
    } * rules;
    size_t n;
    uint64_t at_ms, moved_bytes, cpu_ns; /* of the last sample */
};

/* `rules` is borrowed by every call. */
void alert_begin(struct alert_state *s, const struct alert_rules *rules);
void alert_done(struct alert_state *s);

/* Takes a sample. Calls `met` for each rule that it meets, with a text that says by what. */
/* `again`: it was told just now; only what is done about it is done once more. */
typedef void alert_met_fn(size_t rule, const char *text, bool again, void *arg);
void alert_look(struct alert_state *s, const struct alert_rules *rules,
                const struct alert_sample *now, alert_met_fn *met, void *arg);
/* A destination that was tried, in lower case: canaries. `shown` is how it may be named. */
void alert_destination(struct alert_state *s, const struct alert_rules *rules, uint64_t now_ms,
                       const char *host, const char *shown, alert_met_fn *met, void *arg);
/* A canary file was opened, as the guest says; NULL: one that is not known. */
void alert_file(struct alert_state *s, const struct alert_rules *rules, uint64_t now_ms,
                const char *path, const char *shown, alert_met_fn *met, void *arg);
/* Nothing of the guest's happened until now: no silence, and no span that has to be whole. */
void alert_skip(struct alert_state *s, uint64_t now_ms);

#endif
