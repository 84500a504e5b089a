/*
 * outcome: how a job went, told to whoever started it.
 */
#ifndef LZ_CLI_OUTCOME_H
#define LZ_CLI_OUTCOME_H

#include "cli/cli.h"
#include "run/sandbox.h"

/* Every line from now on is marked; the first says what it means. Twice is once. */
void outcome_mark_debug(void);

/*
 * Notes and error on stderr. With `captured` (--json; may be NULL) one object on stdout: the
 * result, `name` of its manifest and `learned` (the manifest that was written), or NULL, and what
 * the job wrote, which is closed. Returns the exit status.
 */
int outcome_print(const struct cli_paths *paths, const struct run_result *r, const char *name,
                  const char *learned, struct run_capture *captured);

/* A rule of the policy was met: on_alert of run.h. */
void outcome_print_alert(const struct alert_rule *rule, const char *text);
/* What a job is refused, as soon as it is known: on_denied of run.h and sandbox.h. */
void outcome_print_denied(const struct wire_denied *row, bool debug);
/* Notes of a result on stderr, each on a line of its own. */
void outcome_print_notes(const char *notes);

/* What happens while a command of ours runs in a sandbox: the terminal is its own, what it is
 * refused is said. x->interactive and x->tty are set; *raw is as long there as the command. */
void outcome_attend(struct sandbox_exec *x, bool *raw);

#endif
