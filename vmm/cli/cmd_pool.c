/* cmd_pool: `lazaret pool`: the guests that are ready before their runs: ls, rm. */
#include "base/own.h"
#include "cli/cli.h"
#include "run/pool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char help_pool[] =
    "usage: lazaret pool ls [--json]\n"
    "       lazaret pool rm [--json]\n"
    "\n"
    "The guests that 'lazaret run --pool N' has made ready, each for one run of the same plan.\n"
    "`rm` takes down those that no run has taken; runs that have one go on. They end by "
    "themselves\n"
    "when nobody takes them (run's --pool-idle, 10m).\n"
    "\n"
    "  --json  on stdout: an array of them, or how many were removed\n";

static int list(const char *data_dir, bool json)
{
    own_doc struct doc *all = NULL, *rows = doc_new_array();
    struct err e;

    if (run_list(data_dir, false, &all, &e) < 0)
        return cli_fail(&e);
    for (size_t i = 0; i < doc_len(all); i++)
        if (str_starts_with(cli_text(doc_at(all, i), "id"), POOL_PREFIX))
            doc_add(rows, doc_copy(doc_at(all, i)));
    if (json) {
        cli_print_doc(rows);
        return cli_flush();
    }
    printf("%-26s %-8s %-25s %s\n", "NAME", "STATE", "STARTED", "IMAGE");
    for (size_t i = 0; i < doc_len(rows); i++) {
        const struct doc *row = doc_at(rows, i);

        printf("%-26s %-8s %-25s %s\n", cli_text(row, "id"), cli_text(row, "state"),
               cli_text(row, "started"), cli_text(row, "image"));
    }
    return cli_flush();
}

static int remove_ready(const char *data_dir, bool json)
{
    own_doc struct doc *d = NULL;
    uint64_t removed;
    struct err e;

    if (pool_drain(data_dir, &removed, &e) < 0)
        return cli_fail(&e);
    if (!json) {
        printf("%" PRIu64 " removed\n", removed);
        return cli_flush();
    }
    d = doc_new_object();
    doc_set_u64(d, "removed", removed);
    cli_print_doc(d);
    return cli_flush();
}

int cmd_pool(int argc, char **argv)
{
    bool json = false;
    const struct cli_option options[] = {{.name = "--json", .ret_flag = &json}, {0}};
    own_paths struct cli_paths paths = {0};
    struct err e;
    int status;

    status = cli_parse(&argc, argv, options, help_pool);
    if (status >= 0)
        return status;
    if (cli_paths_find(&paths, &e) < 0)
        return cli_fail(&e);
    if (argc == 2 && strcmp(argv[1], "ls") == 0)
        return list(paths.data_dir, json);
    if (argc == 2 && strcmp(argv[1], "rm") == 0)
        return remove_ready(paths.data_dir, json);
    return cli_misuse(argv[0], "ls or rm");
}
