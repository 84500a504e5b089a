/*
 * cli: what the commands share: where things are, and how results are printed.
 *
 * A command returns the exit status; errors are printed once, by cli_fail().
 */
#ifndef LZ_CLI_CLI_H
#define LZ_CLI_CLI_H

#include "base/doc.h"
#include "base/err.h"
#include "base/str.h"
#include "plan/plan.h"

#include <stdbool.h>

struct cli_paths {
    char *data_dir; /* LAZARET_DATA_DIR, or /var/lib/lazaret, or the user's own */
    char *wrap;     /* QEMU's surroundings: lazaret-qemu */
    char *preload;  /* the library that QEMU gets for a saved guest */
    char *relay, *unpack, *look, *gateway,
        *agent;    /* our other programs: beside us when run from a build folder */
    char *recipes; /* the folder of our own recipes, likewise */
};

/* What every program of ours begins with. Returns -1 to go on, else the exit status. */
int cli_begin(void);

/* Finds the paths and makes the data folder (0700). */
int cli_paths_find(struct cli_paths *ret, struct err *e);
void cli_paths_done(struct cli_paths *p);
#define own_paths __attribute__((cleanup(cli_paths_done)))

/* Prints the error; returns its exit status. */
int cli_fail(const struct err *e);
/* "unknown option" and the like: one line with the command's name and the way to its help; 125. */
int cli_misuse(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Prints JSON on stdout. */
void cli_print_doc(const struct doc *d);
/* For tables: a member of a row, "-" or 0 where there is none. */
const char *cli_text(const struct doc *d, const char *key);
uint64_t cli_number(const struct doc *d, const char *key);
/* Fails if stdout could not be written to (a full disk, a closed pipe). */
int cli_flush(void);

/* The commands: argv[0] is the command's own name. */
int cmd_run(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_ls(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_gc(int argc, char **argv);
int cmd_image(int argc, char **argv);
int cmd_warm(int argc, char **argv);
int cmd_pool(int argc, char **argv);
int cmd_up(int argc, char **argv);
int cmd_exec(int argc, char **argv);
int cmd_down(int argc, char **argv);
int cmd_pause(int argc, char **argv);
int cmd_resume(int argc, char **argv);
int cmd_kill(int argc, char **argv);
int cmd_allow(int argc, char **argv);
int cmd_deny(int argc, char **argv);
int cmd_manifest(int argc, char **argv);
int cmd_ps(int argc, char **argv);
int cmd_console(int argc, char **argv);
int cmd_cp(int argc, char **argv);
int cmd_attach(int argc, char **argv);
int cmd_logs(int argc, char **argv);
int cmd_stats(int argc, char **argv);
int cmd_snapshot(int argc, char **argv);
int cmd_revert(int argc, char **argv);
int cmd_marks(int argc, char **argv);
int cmd_forget(int argc, char **argv);
int cmd_fork(int argc, char **argv);
int cmd_diff(int argc, char **argv);
int cmd_prove(int argc, char **argv);
int cmd_record(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_metrics(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_events(int argc, char **argv);
int cmd_keygen(int argc, char **argv);
int cmd_unseal(int argc, char **argv);

/* Help texts (help.c), also behind the man pages' synopsis. */
extern const char help_main[], help_run[], help_check[], help_doctor[], help_ls[], help_show[],
    help_gc[], help_image[], help_warm[], help_pool[], help_up[], help_exec[], help_down[],
    help_pause[], help_resume[], help_kill[], help_ps[], help_console[], help_cp[], help_stats[],
    help_attach[], help_logs[], help_snapshot[], help_revert[], help_marks[], help_forget[],
    help_fork[], help_diff[], help_prove[], help_metrics[], help_report[], help_events[],
    help_keygen[], help_unseal[], help_record[], help_verify[], help_allow[], help_deny[],
    help_manifest[];

/* One option; exactly one of the ret_* says where it goes. A table of them ends with an empty one.
 * What is stored is borrowed from argv, but for ret_values. */
struct cli_option {
    const char *name;        /* "--json", "-t" */
    bool *ret_flag;          /* a switch */
    const char **ret_value;  /* "--tag NAME" or "--tag=NAME"; the last one counts */
    struct strv *ret_values; /* the same, each one counts */
};
/* Takes the options out of argv, up to "--"; what stays, behind argv[0], are the arguments. With
 * --help among them it prints `help` (NULL: who calls has done so). Returns -1 to go on, else the
 * exit status. */
int cli_parse(int *argc, char **argv, const struct cli_option *options, const char *help);

/* The same where argv[1] has to be a sandbox's name, with at most `more` arguments behind it. */
int cli_parse_sandbox(int *argc, char **argv, const struct cli_option *options, const char *help,
                      int more);

/* Common to commands with no options of their own but --json and --help: parses them. Returns -1
 * to go on, else the exit status. `flag` (may be NULL) is one more switch. */
int cli_simple_options(int argc, char **argv, const char *help, bool *ret_json, const char *flag,
                       bool *ret_flag);

#endif
