/* cmd_warm: `lazaret warm`: the guests that runs begin with: ls, rm, prune. */
#include "base/clock.h"
#include "base/own.h"
#include "cli/cli.h"
#include "snapshots/warm.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char help_warm[] =
    "usage: lazaret warm ls [--json]\n"
    "       lazaret warm rm KEY...\n"
    "       lazaret warm prune [--max-size SIZE] [--json]\n"
    "\n"
    "The guests that were saved before they were any run's: the first `run` of a shape makes one,\n"
    "later ones begin with it. A KEY is the beginning of one that `ls` shows, 12 digits or more.\n"
    "\n"
    "  --max-size SIZE  keep those used last, as many as fit into SIZE (4G); K, M, G, T\n"
    "  --json           on stdout: an array of them, or what was removed\n";

static void print_row(const struct doc *row)
{
    const char *key = "?", *image = "(damaged)";
    uint64_t bytes = 0, used = 0;
    char when[32];
    struct err missing;

    doc_get_str(row, "key", &key, &missing);
    doc_get_str(row, "image", &image, &missing);
    doc_get_u64(row, "bytes", &bytes, &missing);
    doc_get_u64(row, "used", &used, &missing);
    printf("%-14.12s %-14.12s %8.1f M  %.16sZ\n", key, image, (double)bytes / 1048576.0,
           clock_format_utc(when, used * 1000000000u));
}

static int list(const char *dir, bool json)
{
    own_doc struct doc *rows = NULL;
    struct err e;

    if (warm_list(dir, &rows, &e) < 0)
        return cli_fail(&e);
    if (json) {
        cli_print_doc(rows);
        return cli_flush();
    }
    printf("%-14s %-14s %10s  %s\n", "KEY", "IMAGE", "SIZE", "USED");
    for (size_t i = 0; i < doc_len(rows); i++)
        print_row(doc_at(rows, i));
    return cli_flush();
}

static int prune(const char *dir, const char *max_size, bool json)
{
    uint64_t max = WARM_MAX_BYTES, removed, bytes;
    own_doc struct doc *d = NULL;
    struct err e;

    if (max_size && str_parse_size(max_size, "--max-size", 0, UINT64_MAX, &max, &e) < 0)
        return cli_fail(&e);
    if (warm_prune(dir, max, &removed, &bytes, &e) < 0)
        return cli_fail(&e);
    if (!json) {
        printf("%" PRIu64 " removed, %.1f M\n", removed, (double)bytes / 1048576.0);
        return cli_flush();
    }
    d = doc_new_object();
    doc_set_u64(d, "removed", removed);
    doc_set_u64(d, "bytes", bytes);
    cli_print_doc(d);
    return cli_flush();
}

static int remove_all(const char *dir, char *const *keys)
{
    struct err e;

    for (; *keys; keys++)
        if (warm_remove(dir, *keys, &e) < 0)
            return cli_fail(&e);
    return 0;
}

int cmd_warm(int argc, char **argv)
{
    const char *verb, *max_size = NULL;
    bool json = false;
    const struct cli_option options[] = {
        {.name = "--json", .ret_flag = &json}, {.name = "--max-size", .ret_value = &max_size}, {0}};
    own_paths struct cli_paths paths = {0};
    own_free char *dir = NULL;
    struct err e;
    int status;

    status = cli_parse(&argc, argv, options, help_warm);
    if (status >= 0)
        return status;
    verb = argc > 1 ? argv[1] : "";
    if (cli_paths_find(&paths, &e) < 0)
        return cli_fail(&e);
    dir = str_printf("%s/warm", paths.data_dir);
    if (strcmp(verb, "ls") == 0 && argc == 2 && !max_size)
        return list(dir, json);
    if (strcmp(verb, "rm") == 0 && argc > 2 && !max_size && !json)
        return remove_all(dir, argv + 2);
    if (strcmp(verb, "prune") == 0 && argc == 2)
        return prune(dir, max_size, json);
    return cli_misuse(argv[0], "ls, prune, or rm and a key");
}
