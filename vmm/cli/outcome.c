/* outcome: how a job went, told to whoever started it. */
#include "cli/outcome.h"

#include "base/log.h"
#include "base/own.h"
#include "channel/unpack.h"
#include "cli/terminal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* `"key":` and the captured text as a JSON string, written by lazaret-unpack: never read here. */
static int print_captured(const struct cli_paths *paths, int fd, const char *key, struct err *e)
{
    struct stat st;
    bool cut = fd >= 0 && fstat(fd, &st) == 0 && st.st_size > RUN_CAPTURE_MAX;

    if (cut && ftruncate(fd, RUN_CAPTURE_MAX) < 0)
        return err_sys(e, ERR_HOST, errno, "ftruncate");
    printf(",\"%s_truncated\":%s,\"%s\":", key, cut ? "true" : "false", key);
    if (fd < 0) {
        fputs("\"\"", stdout);
        return 0;
    }
    if (fflush(stdout) != 0)
        return err_set(e, ERR_HOST, "cannot write to stdout");
    return unpack_print_json(paths->unpack, fd, STDOUT_FILENO, e);
}

/* One JSON object on stdout: the result, and what the job wrote. */
static int print_json(const struct cli_paths *paths, const struct run_result *result,
                      const char *name, const char *learned, const struct run_capture *captured)
{
    own_doc struct doc *d = run_result_to_doc(result);
    own_free char *text = NULL;
    struct err e;

    if (name)
        doc_set_str(d, "name", name);
    if (learned)
        doc_set_str(d, "learned", learned);
    text = doc_format(d, false);

    printf("%.*s", (int)(strlen(text) - 1), text); /* without the last brace */
    if (print_captured(paths, captured->stdout_fd, "stdout", &e) < 0 ||
        print_captured(paths, captured->stderr_fd, "stderr", &e) < 0)
        return cli_fail(&e);
    puts("}");
    return cli_flush();
}

void outcome_print_notes(const char *notes)
{
    while (*notes) {
        int len = (int)strcspn(notes, "\n");

        log_msg(LOG_WARN, "%.*s", len, notes);
        notes += len + (notes[len] == '\n');
    }
}

void outcome_mark_debug(void)
{
    static bool done;

    if (done)
        return;
    done = true;
    log_mark("debug, not confined");
    log_msg(LOG_WARN, "the job may trace its processes; what it does here proves nothing about a "
                      "run without --debug");
}

void outcome_print_denied(const struct wire_denied *row, bool debug)
{
    char line[WIRE_NAME_MAX + 128];

    if (!denied_first_line(row, line, sizeof(line)))
        return;
    if (debug)
        outcome_mark_debug();
    log_msg(LOG_WARN, "%s", line);
}

void outcome_print_alert(const struct alert_rule *rule, const char *text)
{
    log_msg(LOG_WARN, "alert of %s: %s", rule->from, text);
}

int outcome_print(const struct cli_paths *paths, const struct run_result *r, const char *name,
                  const char *learned, struct run_capture *captured)
{
    int status;

    if (r->debug)
        outcome_mark_debug();
    outcome_print_notes(r->notes);
    if (r->err.class != ERR_NONE)
        log_err(&r->err);
    if (!captured)
        return run_result_status(r);
    status = print_json(paths, r, name, learned, captured);
    if (captured->stdout_fd >= 0)
        close(captured->stdout_fd);
    if (captured->stderr_fd >= 0)
        close(captured->stderr_fd);
    return status ? status : run_result_status(r);
}

void outcome_attend(struct sandbox_exec *x, bool *raw)
{
    /* Raw only if it is the job's stdin: else Ctrl-C would be lost. */
    *raw = x->tty && x->interactive && isatty(STDIN_FILENO);
    if (x->tty)
        terminal_size(STDIN_FILENO, &x->rows, &x->cols);
    x->on_started = terminal_on_started;
    x->on_resize = terminal_on_resize;
    x->on_denied = x->tty ? NULL : outcome_print_denied;
    x->on_ended = terminal_on_ended;
    x->arg = raw;
}
