/* cmd_runs: `lazaret ls`, `show` and `gc`: what runs and sandboxes there are, the end of dead ones.
 */
#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "record/store.h"
#include "run/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A JSON list of words as one line, cut for a table. Our own user's words, but escaped all the
 * same. */
static void format_command(const struct doc *row, char *out, size_t out_size)
{
    own_str struct str line = {0};
    const struct doc *words;
    bool sandbox = strcmp(cli_text(row, "kind"), "sandbox") == 0;
    struct err ignored;

    if (doc_has(row, "debug"))
        str_add(&line, "(debug, not confined) ");
    if (doc_has(row, "held"))
        str_addf(&line, "(a sandbox, held: %s)", cli_text(row, "held"));
    else if (sandbox)
        str_add(&line, "(a sandbox)");
    else if (doc_get_array(row, "command", &words, &ignored) == 0)
        for (size_t i = 0; i < doc_len(words); i++)
            str_addf(&line, "%s%s", i ? " " : "", doc_str_at(words, i) ? doc_str_at(words, i) : "");
    str_escape(out, out_size, line.data ? line.data : "", line.len);
}

int cmd_ls(int argc, char **argv)
{
    own_paths struct cli_paths paths = {0};
    own_doc struct doc *list = NULL;
    bool json = false, all = false;
    struct err e;
    int status = cli_simple_options(argc, argv, help_ls, &json, "--all", &all);

    if (status >= 0)
        return status;
    if (cli_paths_find(&paths, &e) < 0 || run_list(paths.data_dir, all, &list, &e) < 0)
        return cli_fail(&e);
    if (json) {
        cli_print_doc(list);
        return cli_flush();
    }
    printf("%-24s %-8s %-25s %-12s %s\n", "ID", "STATE", "STARTED", "IMAGE", "COMMAND");
    for (size_t i = 0; i < doc_len(list); i++) {
        const struct doc *row = doc_at(list, i);
        char command[64];

        format_command(row, command, sizeof(command));
        printf("%-24s %-8s %-25s %-12s %s\n", cli_text(row, "id"), cli_text(row, "state"),
               cli_text(row, "started"), cli_text(row, "image"), command);
    }
    return cli_flush();
}

int cmd_show(int argc, char **argv)
{
    own_paths struct cli_paths paths = {0};
    own_doc struct doc *d = NULL;
    const char *id = NULL;
    struct err e;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(help_show, stdout);
            return cli_flush();
        }
        if (strcmp(argv[i], "--json") == 0)
            continue; /* it is JSON in any case */
        if (argv[i][0] == '-')
            return cli_misuse(argv[0], "unknown option '%s'", argv[i]);
        if (id)
            return cli_misuse(argv[0], "unexpected argument '%s'", argv[i]);
        id = argv[i];
    }
    if (!id || !*id)
        return cli_misuse(argv[0], "which run?");
    if (cli_paths_find(&paths, &e) < 0 || run_show(paths.data_dir, id, &d, &e) < 0)
        return cli_fail(&e);
    cli_print_doc(d);
    return cli_flush();
}

static int read_retention(const char *age, const char *size, uint64_t *ret_ms, uint64_t *ret_bytes,
                          struct err *e)
{
    if (age && policy_parse_age(age, "--records-older-than", ret_ms, e) < 0)
        return -1;
    return size ? str_parse_size(size, "--records-max-size", 0, UINT64_MAX, ret_bytes, e) : 0;
}

/* By what was asked for and by the policies of the host and of the user, whichever is less. */
static int prune(const char *data_dir, uint64_t older_ms, uint64_t most, uint64_t *ret_records,
                 uint64_t *ret_bytes, struct err *e)
{
    own_options struct options o = {0};

    if (options_read_policies(&o, e) < 0)
        return -1;
    policies_bound_retention(&o.wish.policies, &older_ms, &most);
    if (older_ms == UINT64_MAX && most == UINT64_MAX)
        return 0;
    return record_prune(data_dir, older_ms, most, ret_records, ret_bytes, e);
}

int cmd_gc(int argc, char **argv)
{
    own_paths struct cli_paths paths = {0};
    bool json = false, kept = false;
    const char *age = NULL, *size = NULL;
    const struct cli_option options[] = {{.name = "--kept", .ret_flag = &kept},
                                         {.name = "--json", .ret_flag = &json},
                                         {.name = "--records-older-than", .ret_value = &age},
                                         {.name = "--records-max-size", .ret_value = &size},
                                         {0}};
    uint64_t removed = 0, older_ms = UINT64_MAX, most = UINT64_MAX, records = 0, bytes = 0;
    struct err e;
    int status = cli_parse(&argc, argv, options, help_gc);

    if (status >= 0)
        return status;
    if (argc > 1)
        return cli_misuse(argv[0], "unexpected argument '%s'", argv[1]);
    if (read_retention(age, size, &older_ms, &most, &e) < 0 || cli_paths_find(&paths, &e) < 0 ||
        run_gc(paths.data_dir, kept, &removed, &e) < 0 ||
        prune(paths.data_dir, older_ms, most, &records, &bytes, &e) < 0)
        return cli_fail(&e);
    if (json)
        printf("{\"swept\":%" PRIu64 ",\"records\":%" PRIu64 "}\n", removed, records);
    else
        printf("%" PRIu64 " run(s) swept\n", removed);
    if (!json && (age || size || records > 0))
        printf("%" PRIu64 " record(s) removed, %.1f K\n", records, (double)bytes / 1024.0);
    return cli_flush();
}
