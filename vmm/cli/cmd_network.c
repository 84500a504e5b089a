/* cmd_network: `lazaret allow` and `lazaret deny`: where a sandbox that is up may connect to. */
#include "base/log.h"
#include "base/own.h"
#include "cli/options.h"

#include <string.h>

/* A name and at least one destination, behind the options. Returns -1 to go on. */
static int parse(int argc, char **argv, const struct cli_option *options, const char *help,
                 struct strv *ret_where)
{
    int status = cli_parse(&argc, argv, options, help);

    if (status >= 0)
        return status;
    if (argc < 2)
        return cli_misuse(argv[0], "which sandbox?");
    if (argc < 3)
        return cli_misuse(argv[0], "which destination?");
    for (int i = 2; i < argc; i++)
        strv_add(ret_where, argv[i]);
    return -1;
}

/* What is asked for, within the policies of now and of when it came up. */
static int resolve(const char *data_dir, const char *name, struct options *o,
                   const struct strv *where, struct net_rules *ret, struct err *e)
{
    own_plan struct plan *plan = NULL;
    own_strv struct strv notes = {0};

    if (options_read(o, e) < 0 || sandbox_plan(data_dir, name, &plan, e) < 0)
        return -1;
    if (!plan->egress)
        return err_set(e, ERR_USAGE,
                       "sandbox '%s' came up without a network, and gets none later (take it "
                       "down, and bring it up with --allow, or a manifest's 'network')",
                       name);
    if (plan_allow(plan, where, &o->wish.policies, &o->secrets.files, ret, &notes, e) < 0)
        return -1;
    for (size_t i = 0; i < notes.n; i++)
        log_msg(LOG_WARN, "%s", notes.items[i]);
    return 0;
}

int cmd_allow(int argc, char **argv)
{
    own_options struct options o = {0};
    const struct cli_option options[] = {{.name = "--policy", .ret_values = &o.policy_files},
                                         {.name = "--secret", .ret_values = &o.asked_secrets},
                                         {0}};
    own_paths struct cli_paths paths = {0};
    own_net_rules struct net_rules rules = {0};
    own_strv struct strv where = {0};
    const struct strv none = {0};
    struct err e;
    int status = parse(argc, argv, options, help_allow, &where);

    if (status < 0)
        status = options_secrets("allow", &o.asked_secrets, &none, false, &o.secrets);
    if (status >= 0)
        return status;
    if (secrets_open(&o.secrets, &e) < 0 || cli_paths_find(&paths, &e) < 0 ||
        resolve(paths.data_dir, argv[1], &o, &where, &rules, &e) < 0 ||
        sandbox_change_network(paths.data_dir, argv[1], &rules, &none, &o.secrets, &e) < 0)
        return cli_fail(&e);
    return 0;
}

int cmd_deny(int argc, char **argv)
{
    const struct cli_option options[] = {{0}};
    own_paths struct cli_paths paths = {0};
    const struct net_rules nothing = {0};
    own_secrets struct secrets secrets = {0};
    own_strv struct strv where = {0};
    struct err e;
    int status = parse(argc, argv, options, help_deny, &where);

    if (status >= 0)
        return status;
    if (cli_paths_find(&paths, &e) < 0 ||
        sandbox_change_network(paths.data_dir, argv[1], &nothing, &where, &secrets, &e) < 0)
        return cli_fail(&e);
    return 0;
}
