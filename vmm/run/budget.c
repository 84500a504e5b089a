/* budget: how long one job may be idle, and how much CPU time it may use. See budget.h. */
#include "run/budget.h"

#define STEP_MIN_MS 25u
#define STEP_MAX_MS 1000u
#define IDLE_STEPS  8u /* in the idle time that is allowed */
#define NS_PER_MS   1000000u

void budget_begin(struct budget *b, uint64_t idle_max_ms, uint64_t cpu_max_ms, uint64_t cpus)
{
    *b = (struct budget){.idle_max_ms = idle_max_ms, .cpu_max_ms = cpu_max_ms, .cpus = cpus};
}

/* Short enough that idle time has some, and that all CPUs at once do not get far beyond the rest.
 */
static uint64_t step_ms(const struct budget *b)
{
    uint64_t step = STEP_MAX_MS, used_ms = b->used_ns / NS_PER_MS;

    if (b->idle_max_ms && b->idle_max_ms / IDLE_STEPS < step)
        step = b->idle_max_ms / IDLE_STEPS;
    if (b->cpu_max_ms && used_ms < b->cpu_max_ms &&
        (b->cpu_max_ms - used_ms) / (b->cpus + 1) < step)
        step = (b->cpu_max_ms - used_ms) / (b->cpus + 1);
    return step < STEP_MIN_MS ? STEP_MIN_MS : step;
}

uint64_t budget_next_ms(const struct budget *b, uint64_t now_ms)
{
    if (!b->idle_max_ms && !b->cpu_max_ms)
        return UINT64_MAX;
    return b->begun ? now_ms + step_ms(b) : now_ms;
}

/* With the last span, of `span_ms` and `cpu_ns`. */
static bool is_idle(const struct budget *b, uint64_t span_ms, uint64_t cpu_ns, uint64_t moved)
{
    return moved == b->seen_moved && (b->idle_cpu_ns + cpu_ns) / NS_PER_MS <=
                                         (b->idle_ms + span_ms) / BUDGET_STILL + BUDGET_SPARE_MS;
}

static bool take_span(struct budget *b, uint64_t span_ms, uint64_t cpu_ns, uint64_t moved)
{
    const uint64_t most_ms = 2 * step_ms(b);
    bool over = b->idle_ms >= b->idle_max_ms;

    if (!is_idle(b, span_ms, cpu_ns, moved)) {
        b->idle_ms = b->idle_cpu_ns = 0;
        return false;
    }
    b->idle_ms += span_ms < most_ms ? span_ms : most_ms;
    b->idle_cpu_ns += cpu_ns;
    return over;
}

enum budget_over budget_look(struct budget *b, uint64_t now_ms, uint64_t cpu_ns, uint64_t moved)
{
    uint64_t cpu = cpu_ns >= b->seen_cpu_ns ? cpu_ns - b->seen_cpu_ns : cpu_ns;
    enum budget_over over = BUDGET_FINE;

    if (b->begun) {
        b->used_ns += cpu;
        if (b->idle_max_ms && take_span(b, now_ms - b->seen_ms, cpu, moved))
            over = BUDGET_IDLE;
    }
    if (b->cpu_max_ms && b->used_ns / NS_PER_MS >= b->cpu_max_ms)
        over = BUDGET_CPU;
    b->begun = true;
    b->seen_ms = now_ms;
    b->seen_cpu_ns = cpu_ns;
    b->seen_moved = moved;
    return over;
}
