/*
 * options: the options that `run`, `check` and `up` share, from the command line to a plan.
 *
 * What the table of plan/key.h has is put into a request as it was written; the manifest and the
 * policies are read from their files. What any of it means is the resolver's.
 */
#ifndef LZ_CLI_OPTIONS_H
#define LZ_CLI_OPTIONS_H

#include "base/str.h"
#include "cli/cli.h"
#include "cli/way.h"
#include "run/recording.h"
#include "run/sandbox.h"

#define OPTIONS_HOST_POLICY "/etc/lazaret/policy.json"

struct options {
    struct request given, manifest;
    struct policy *policies; /* those that apply */
    struct plan_wish wish;
    struct strv policy_files;              /* --policy */
    struct strv layers;                    /* that this host will put around QEMU and jobs */
    struct strv asked_secrets, secret_env; /* --secret, --secret-env as they were given */
    struct secrets secrets;                /* what they say; not opened */
    struct secrets gateway_secrets;        /* of them, what network rules use: options_resolve() */
    bool egress_proxy; /* --egress-proxy, and what it comes to: options_read() */
    struct way way;
    struct strv record_to;        /* --record-recipient */
    struct recording_files files; /* the manifest and policies, for a record */
    const char *manifest_file;
    const char *uri;              /* --connect, or NULL */
    const char *keep;             /* `run`: the new sandbox's name */
    const char *from;             /* `run`: --fork-from */
    const char *learn;            /* `run`: --learn */
    const char *pool, *pool_idle; /* `run`: --pool, --pool-idle */
    bool json, keep_logs, cold, timing;
    uint64_t began_us; /* monotonic */
};

/* Parses argv. Returns -1 to go on, else the exit status (help was shown, or misuse). */
int options_parse(int argc, char **argv, const char *help, struct options *ret);
/* Adds "K=V"; "K" alone takes the caller's own value, and nothing if there is none. */
void options_add_env(struct strv *env, const char *text);
/* It is for a sandbox: refuses what only `run` takes. Returns -1 to go on. */
int options_for_sandbox(const char *command, struct options *o);
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
/* Reads one manifest. Returns new: its text, if `ret_text` is not NULL. ERR_USAGE. */
int options_read_request(const char *path, struct request *ret, char **ret_text, struct err *e);
/* Reads the policies of the host and of the user, and those that were named. */
int options_read_policies(struct options *o, struct err *e);
/* Reads the manifest and the policies that apply, and finds the folders that are named. */
int options_read(struct options *o, struct err *e);
/* The same, asks the image what it would have run, decides the accelerator, and resolves; says
 * what was trimmed, and sorts secrets. */
int options_resolve(struct options *o, const struct cli_paths *paths, struct plan **ret,
                    struct err *e);
/* Of a plan that was resolved: which secrets are the gateway's, and which go into the environment.
 */
void options_sort_secrets(struct options *o, const struct plan *plan);

#endif
