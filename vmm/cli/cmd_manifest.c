/* cmd_manifest: `lazaret manifest diff`: what one manifest allows more than another. */
#include "base/own.h"
#include "cli/options.h"
#include "plan/widen.h"

#include <stdio.h>
#include <string.h>

/* The texts are of a file that may be anybody's. */
static void print_rows(const struct doc *rows)
{
    for (size_t i = 0; i < doc_len(rows); i++) {
        const struct doc *row = doc_at(rows, i);
        own_free char *line = str_printf("%s: %s: %s", cli_text(row, "place"), cli_text(row, "key"),
                                         cli_text(row, "text"));
        size_t room = 4 * strlen(line) + 1;
        own_free char *shown = malloc(room);

        if (!shown)
            abort();
        str_escape(shown, room, line, strlen(line));
        puts(shown);
    }
}

static int diff(int argc, char **argv)
{
    bool json = false;
    const struct cli_option options[] = {{.name = "--json", .ret_flag = &json}, {0}};
    own_request struct request from = {0}, to = {0};
    own_doc struct doc *rows = NULL;
    struct err e;
    int status = cli_parse(&argc, argv, options, help_manifest);

    if (status >= 0)
        return status;
    if (argc != 3)
        return cli_misuse("manifest", "diff needs two manifests");
    if (options_read_request(argv[1], &from, NULL, &e) < 0 ||
        options_read_request(argv[2], &to, NULL, &e) < 0 ||
        request_widens(&from, &to, &rows, &e) < 0)
        return cli_fail(&e);
    if (json)
        cli_print_doc(rows);
    else
        print_rows(rows);
    status = cli_flush();
    return status ? status : doc_len(rows) > 0;
}

int cmd_manifest(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "diff") == 0)
        return diff(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        fputs(help_manifest, stdout);
        return cli_flush();
    }
    return argc > 1 ? cli_misuse(argv[0], "there is no '%s'", argv[1])
                    : cli_misuse(argv[0], "which: 'diff' is what there is");
}
