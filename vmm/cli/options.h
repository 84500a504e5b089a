/*
 * options: the options that `run` and `check` share, from the command line to a plan.
 */
#ifndef LZ_CLI_OPTIONS_H
#define LZ_CLI_OPTIONS_H

#include "base/str.h"
#include "cli/cli.h"
#include "run/sandbox.h"

struct options {
    struct plan_wish wish;
    struct strv env, inputs, out_recipients, read, write, exec;
    char *in_identity;                     /* absolute */
    struct strv asked_secrets, secret_env; /* --secret, --secret-env as they were given */
    struct secrets secrets;                /* what they say; not opened */
    char *out;                             /* absolute */
    const char *accel;                     /* auto, kvm, tcg */
    const char *uri;                       /* --connect, or NULL */
    const char *keep;                      /* `run`: the new sandbox's name */
    const char *from;                      /* `run`: --fork-from */
    const char *after;                     /* `run`, with `keep`: see options_after() */
    const char *max_marks;
    bool json, keep_logs, cold, mark_each_exec;
};

/* Parses argv. Returns -1 to go on, else the exit status (help was shown, or misuse). */
int options_parse(int argc, char **argv, const char *help, struct options *ret);
/* Adds "K=V"; "K" alone takes the caller's own value, and nothing if there is none. */
void options_add_env(struct strv *env, const char *text);
/* Refuses what `run` takes and a sandbox does not. Returns -1 to go on. */
int options_for_sandbox(const char *command, const struct options *o);
/* What --secret and --secret-env say. Returns -1 to go on, else the exit status. */
int options_secrets(const char *command, const struct strv *asked, const struct strv *env,
                    bool interactive, struct secrets *ret);
void options_done(struct options *o);
#define own_options __attribute__((cleanup(options_done)))

/* What every run and sandbox needs to know of us; the rest is zero. */
struct run_config options_run_config(const struct cli_paths *paths);
/* "keep", "revert" or "discard"; NULL leaves *ret as it is. */
int options_after(const char *text, enum sandbox_after *ret, struct err *e);
/* Decides the accelerator for `accel` ("auto", "kvm" or "tcg"), loudly when it is software
 * emulation by default. */
int options_accel(const char *accel, const struct cli_paths *paths, struct plan_wish *w,
                  struct err *e);
/* Asks the image what it would have run, decides the accelerator, and resolves. */
int options_resolve(struct options *o, const struct cli_paths *paths, struct plan **ret,
                    struct err *e);

#endif
