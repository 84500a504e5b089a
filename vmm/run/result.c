/* result: how a run went, as an exit status, a class name and JSON. */
#include "run/run.h"

#include "channel/unpack.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void run_note(struct run_result *r, const char *fmt, ...)
{
    size_t len = strlen(r->notes);
    va_list ap;

    if (len + 2 >= RUN_NOTES_SIZE)
        return;
    if (len > 0)
        r->notes[len++] = '\n';
    va_start(ap, fmt);
    vsnprintf(r->notes + len, RUN_NOTES_SIZE - len, fmt, ap);
    va_end(ap);
}

int run_result_status(const struct run_result *r)
{
    if (r->err.class == ERR_INTERRUPTED)
        return r->signal ? 128 + r->signal : err_class_status(ERR_INTERRUPTED);
    if (r->err.class != ERR_NONE)
        return err_class_status(r->err.class);
    return r->end == RUN_ENDED_EXIT ? r->exit_code : 128 + r->signal;
}

const char *run_result_class(const struct run_result *r)
{
    static const char *const ends[] = {
        [RUN_ENDED_NOT] = "host",
        [RUN_ENDED_EXIT] = "exited",
        [RUN_ENDED_SIGNAL] = "signaled",
        [RUN_ENDED_OOM] = "oom",
    };

    return r->err.class != ERR_NONE ? err_class_name(r->err.class) : ends[r->end];
}

static void add_notes(struct doc *d, const char *notes)
{
    struct doc *list = doc_new_array();

    while (*notes) {
        size_t len = strcspn(notes, "\n");
        char line[RUN_NOTES_SIZE];

        memcpy(line, notes, len);
        line[len] = '\0';
        doc_add_str(list, line);
        notes += len + (notes[len] == '\n');
    }
    doc_set(d, "notes", list);
}

struct doc *run_result_to_doc(const struct run_result *r)
{
    struct doc *d = doc_new_object();

    doc_set_str(d, "format", "lazaret-result");
    doc_set_u64(d, "version", 1);
    doc_set_str(d, "id", r->id);
    doc_set_str(d, "class", run_result_class(r));
    doc_set_i64(d, "status", run_result_status(r));
    if (r->err.class != ERR_NONE)
        doc_set_str(d, "error", r->err.text);
    if (r->end == RUN_ENDED_EXIT)
        doc_set_i64(d, "exit_code", r->exit_code);
    if (r->end == RUN_ENDED_SIGNAL || r->end == RUN_ENDED_OOM)
        doc_set_i64(d, "signal", r->signal);
    if (r->debug)
        doc_set_bool(d, "debug", true);
    doc_set_bool(d, "warm", r->warm);
    if (r->pooled)
        doc_set_bool(d, "pooled", true);
    doc_set_u64(d, "boot_ms", r->boot_ms);
    doc_set_u64(d, "job_ms", r->job_ms);
    doc_set_u64(d, "guest_oom_kills", r->oom_kills);
    doc_set_u64(d, "guest_cpu_us", r->cpu_us);
    doc_set_u64(d, "guest_peak_bytes", r->peak_bytes);
    if (timing_whole_us(&r->timing) > 0)
        doc_set(d, "timing_us", timing_to_doc(&r->timing));
    doc_set(d, "guest_denials", denied_to_doc(&r->denied));
    egress_to_doc(&r->egress, d);
    if (r->collected) {
        struct doc *out = doc_new_object();

        doc_set_u64(out, "files", r->out_files);
        doc_set_u64(out, "folders", r->out_folders);
        doc_set_u64(out, "bytes", r->out_bytes);
        doc_set_u64(out, "refused", r->out_refused);
        if (r->out_sealed)
            doc_set_str(out, "sealed", UNPACK_SEALED);
        doc_set(d, "out", out);
    }
    add_notes(d, r->notes);
    return d;
}
