/* cmd_cp: `lazaret cp`: files, folders and tars into a sandbox and out of it. */
#include "base/own.h"
#include "cli/cli.h"
#include "cli/outcome.h"
#include "run/copy.h"
#include "run/sandbox.h"

#include <stdio.h>
#include <string.h>

/* "NAME:PATH", where no '/' stands before the colon. Returns new: the name; or NULL. */
static char *split(const char *text, const char **ret_path)
{
    size_t len = strcspn(text, ":/");

    if (text[len] != ':')
        return NULL;
    *ret_path = text + len + 1;
    return str_printf("%.*s", (int)len, text);
}

int cmd_cp(int argc, char **argv)
{
    const char *max = NULL;
    const struct cli_option options[] = {{.name = "--max", .ret_value = &max}, {0}};
    own_paths struct cli_paths paths = {0};
    own_free char *from = NULL, *to = NULL;
    struct copy c = {.max_bytes = PLAN_OUT_MAX_DEFAULT};
    struct run_result r = {0};
    struct err e;
    int status, rc;

    status = cli_parse(&argc, argv, options, help_cp);
    if (status >= 0)
        return status;
    if (argc != 3)
        return cli_misuse(argv[0], "two paths are needed, one of them NAME:PATH");
    from = split(argv[1], &c.inside);
    to = split(argv[2], &c.inside);
    if (!from == !to)
        return cli_misuse(argv[0], "one of the two paths must be NAME:PATH");
    if (max && str_parse_size(max, "--max", 0, PLAN_DISK_MAX, &c.max_bytes, &e) < 0)
        return cli_fail(&e);
    if (!c.inside[0])
        return cli_misuse(argv[0], "the path behind '%s:' is empty", from ? from : to);
    c.outside = from ? argv[2] : argv[1];
    c.sandbox = from ? from : to;
    if (cli_paths_find(&paths, &e) < 0)
        return cli_fail(&e);
    c.data_dir = paths.data_dir;
    c.unpack_path = paths.unpack;
    rc = from ? copy_out(&c, &r, &e) : copy_in(&c, &r, &e);
    outcome_print_notes(r.notes);
    return rc < 0 ? cli_fail(&e) : 0;
}
