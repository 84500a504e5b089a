/* timing: where the time of a run went. */
#include "run/timing.h"

#include "base/clock.h"
#include "base/str.h"

static const char *const names[TIMING_STEPS] = {
    [TIMING_PARSE] = "parse",     [TIMING_BEGIN] = "begin",   [TIMING_TURN] = "turn",
    [TIMING_IMAGE] = "image",     [TIMING_DISKS] = "disks",   [TIMING_XML] = "xml",
    [TIMING_LIBVIRT] = "libvirt", [TIMING_SAVED] = "saved",   [TIMING_QEMU] = "qemu",
    [TIMING_HELLO] = "hello",     [TIMING_RECORD] = "record", [TIMING_JOB] = "job",
    [TIMING_COLLECT] = "collect", [TIMING_DOWN] = "down",     [TIMING_CONTAINER] = "container",
};

const char *timing_step_name(enum timing_step step)
{
    return names[step];
}

void timing_begin(struct timing *t, uint64_t at_us)
{
    *t = (struct timing){.at_us = at_us};
}

void timing_note(struct timing *t, enum timing_step step)
{
    uint64_t now = clock_mono_us();

    if (t->at_us == 0)
        return;
    t->us[step] += now - t->at_us;
    t->at_us = now;
}

uint64_t timing_whole_us(const struct timing *t)
{
    uint64_t sum = 0;

    for (int i = 0; i < TIMING_STEPS; i++)
        sum += t->us[i];
    return sum;
}

struct doc *timing_to_doc(const struct timing *t)
{
    struct doc *d = doc_new_object();

    for (int i = 0; i < TIMING_STEPS; i++)
        doc_set_u64(d, names[i], t->us[i]);
    doc_set_u64(d, "whole", timing_whole_us(t));
    return d;
}

static void add_line(struct str *s, const char *name, uint64_t us)
{
    str_addf(s, "%-10s %9.1f ms\n", name, (double)us / 1000);
}

char *timing_to_text(const struct timing *t)
{
    struct str s = {0};

    for (int i = 0; i < TIMING_STEPS; i++)
        add_line(&s, names[i], t->us[i]);
    add_line(&s, "whole", timing_whole_us(t));
    return str_steal(&s);
}
