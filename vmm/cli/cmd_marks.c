/* cmd_marks: `lazaret snapshot`, `revert`, `marks` and `forget`. */
#include "base/own.h"
#include "cli/cli.h"
#include "run/sandbox.h"

#include <stdio.h>
#include <string.h>

struct asked {
    const char *name, *mark;
    bool json;
};

/* The options, a sandbox's name, and at most (`need`: exactly) one mark. Returns -1 to go on. */
static int parse(int argc, char **argv, const char *help, bool takes, bool need, struct asked *ret)
{
    const struct cli_option options[] = {{.name = "--json", .ret_flag = &ret->json}, {0}};
    int status;

    status = cli_parse_sandbox(&argc, argv, options, help, takes);
    if (status >= 0)
        return status;
    ret->name = argv[1];
    ret->mark = argc > 2 ? argv[2] : NULL;
    if (need && !ret->mark)
        return cli_misuse(argv[0], "which mark?");
    return -1;
}

static double mebibytes(const struct doc *d, const char *key)
{
    return (double)cli_number(d, key) / 1048576.0;
}

static int make_or_go(int argc, char **argv, const char *help,
                      int (*fn)(const char *, const char *, const char *, struct doc **,
                                struct err *))
{
    own_paths struct cli_paths paths = {0};
    own_doc struct doc *d = NULL;
    struct asked a = {0};
    struct err e;
    int status = parse(argc, argv, help, true, false, &a);

    if (status >= 0)
        return status;
    if (cli_paths_find(&paths, &e) < 0 || fn(paths.data_dir, a.name, a.mark, &d, &e) < 0)
        return cli_fail(&e);
    if (a.json)
        cli_print_doc(d);
    else
        printf("%s\n", cli_text(d, "mark"));
    return cli_flush();
}

int cmd_snapshot(int argc, char **argv)
{
    return make_or_go(argc, argv, help_snapshot, sandbox_snapshot);
}

int cmd_revert(int argc, char **argv)
{
    return make_or_go(argc, argv, help_revert, sandbox_revert);
}

int cmd_forget(int argc, char **argv)
{
    own_paths struct cli_paths paths = {0};
    struct asked a = {0};
    struct err e;
    int status = parse(argc, argv, help_forget, true, true, &a);

    if (status >= 0)
        return status;
    if (cli_paths_find(&paths, &e) < 0 || sandbox_forget(paths.data_dir, a.name, a.mark, &e) < 0)
        return cli_fail(&e);
    return 0;
}

static void print_marks(const struct doc *d)
{
    const struct doc *rows = NULL;
    struct err missing;

    printf("  %-20s %-20s %-25s %10s\n", "MARK", "AFTER", "MADE", "MEMORY");
    doc_get_array(d, "marks", &rows, &missing);
    for (size_t i = 0; rows && i < doc_len(rows); i++) {
        const struct doc *row = doc_at(rows, i);
        bool here = false;

        doc_get_bool(row, "here", &here, &missing);
        printf("%c %-20s %-20s %-25s %8.1f M\n", here ? '*' : ' ', cli_text(row, "mark"),
               cli_text(row, "parent"), cli_text(row, "made"), mebibytes(row, "bytes"));
    }
    printf("%.1f M of memory in all, and a disk of %.1f M with what the marks keep of it\n",
           mebibytes(d, "marks_bytes"), mebibytes(d, "disk_bytes"));
}

int cmd_marks(int argc, char **argv)
{
    own_paths struct cli_paths paths = {0};
    own_doc struct doc *d = NULL;
    struct asked a = {0};
    struct err e;
    int status = parse(argc, argv, help_marks, false, false, &a);

    if (status >= 0)
        return status;
    if (cli_paths_find(&paths, &e) < 0 || sandbox_marks(paths.data_dir, a.name, &d, &e) < 0)
        return cli_fail(&e);
    if (a.json)
        cli_print_doc(d);
    else
        print_marks(d);
    return cli_flush();
}
